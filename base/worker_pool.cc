// SPDX-License-Identifier: Apache-2.0
#include "base/worker_pool.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

namespace gantry::base {

WorkerPool::WorkerPool(std::size_t threads, std::size_t max_queued)
    : threads_(std::max<std::size_t>(threads, 1)), max_queued_(max_queued) {
  workers_.reserve(threads_);
  for (std::size_t i = 0; i < threads_; ++i) workers_.emplace_back([this] { Work(); });
}

WorkerPool::~WorkerPool() { Shutdown(); }

bool WorkerPool::TrySubmit(std::function<void()> task) {
  return Submit(std::move(task), max_queued_);
}

bool WorkerPool::SubmitAdmitted(std::function<void()> task) {
  return Submit(std::move(task), std::numeric_limits<std::size_t>::max());
}

bool WorkerPool::Submit(std::function<void()> task, std::size_t max_queued) {
  {
    MutexLock lock(mutex_);
    if (shut_down_ || queue_.size() >= max_queued) return false;
    queue_.push_back(std::move(task));
  }
  wake_.NotifyOne();
  return true;
}

void WorkerPool::Shutdown() {
  {
    MutexLock lock(mutex_);
    shut_down_ = true;
  }
  wake_.NotifyAll();
  for (std::thread& worker : workers_) {
    if (worker.joinable()) worker.join();
  }
}

void WorkerPool::Work() {
  while (true) {
    std::function<void()> task;
    {
      MutexLock lock(mutex_);
      while (queue_.empty() && !shut_down_) wake_.Wait(mutex_);
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    task();
  }
}

namespace {

// Shared with helper tasks, which may start only after the loop has ended and then find nothing
// left to do.
class Loop {
 public:
  Loop(std::size_t count, const std::function<bool(std::size_t)>& body)
      : count_(count), body_(body) {}

  void Run() {
    while (true) {
      std::size_t index = 0;
      {
        MutexLock lock(mutex_);
        if (next_ >= count_) return;
        index = next_++;
        ++running_;
      }
      const bool go_on = body_(index);
      {
        MutexLock lock(mutex_);
        --running_;
        if (!go_on) next_ = count_;
        if (running_ > 0) continue;
      }
      idle_.NotifyAll();
    }
  }

  void WaitUntilIdle() {
    MutexLock lock(mutex_);
    while (running_ > 0) idle_.Wait(mutex_);
  }

 private:
  const std::size_t count_;
  // Outlived by the calls: none begins once next_ has reached count_, and the owner waits for
  // those that have begun.
  const std::function<bool(std::size_t)>& body_;
  Mutex mutex_;
  ConditionVariable idle_;
  std::size_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  std::size_t running_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

void ParallelFor(WorkerPool& helpers, std::size_t count,
                 const std::function<bool(std::size_t)>& body) {
  auto loop = std::make_shared<Loop>(count, body);
  const std::size_t wanted = std::min(count, helpers.threads());
  for (std::size_t i = 1; i < wanted; ++i) {
    if (!helpers.TrySubmit([loop] { loop->Run(); })) break;
  }
  loop->Run();
  loop->WaitUntilIdle();
}

}  // namespace gantry::base
