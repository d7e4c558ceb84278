// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_BASE_WORKER_POOL_H_
#define GANTRY_BASE_WORKER_POOL_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace gantry::base {

// A fixed number of threads that take tasks from a bounded queue, so that blocking work never
// runs on a gRPC thread and load beyond the bound is refused rather than piled up. Owned by the
// wiring; any thread may submit.
class WorkerPool {
 public:
  WorkerPool(std::size_t threads, std::size_t max_queued);
  // As Shutdown().
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // False when the queue is full or the pool is shut down; the task is then not kept.
  [[nodiscard]] bool TrySubmit(std::function<void()> task);
  // The same for what was admitted once already: the bound of the queue is not asked again. False
  // when the pool is shut down.
  [[nodiscard]] bool SubmitAdmitted(std::function<void()> task);
  // Takes no further tasks, finishes those taken, joins the threads.
  void Shutdown();
  std::size_t threads() const { return threads_; }

 private:
  bool Submit(std::function<void()> task, std::size_t max_queued);
  void Work();

  const std::size_t threads_;
  const std::size_t max_queued_;
  Mutex mutex_;
  ConditionVariable wake_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  bool shut_down_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> workers_;
};

// Calls `body(i)` for each i in [0, count), on this thread and on idle threads of `helpers`, in
// ascending order of starting, and returns when all calls that were begun have ended. A body that
// returns false lets no further call begin. The calling thread can do all of it, so a busy pool
// slows it down but never blocks it.
void ParallelFor(WorkerPool& helpers, std::size_t count,
                 const std::function<bool(std::size_t)>& body);

}  // namespace gantry::base

#endif  // GANTRY_BASE_WORKER_POOL_H_
