// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_BASE_CONTEXT_H_
#define GANTRY_BASE_CONTEXT_H_

#include <atomic>
#include <chrono>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/mutex.h"

namespace gantry::base {

// Carries a caller's deadline and cancellation down to the bytes on the wire. Created by whoever
// starts the work and kept alive by it until the work has ended; any thread may cancel it or
// wait on it. Waiting is done by polling fd(), so that one poll() watches sockets and
// cancellation alike.
class Context {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // Without a deadline.
  Context();
  explicit Context(TimePoint deadline);
  explicit Context(absl::Duration timeout);
  // Narrows `parent`: ends when that is cancelled or at the earlier of both deadlines. The parent
  // outlives it, and is the one to cancel.
  Context(Context& parent, absl::Duration timeout);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  void Cancel();
  bool cancelled() const;
  // TimePoint::max() when there is none.
  TimePoint deadline() const { return deadline_; }
  // Never negative; absl::InfiniteDuration() without a deadline.
  absl::Duration Remaining() const;
  // OK, CANCELLED or DEADLINE_EXCEEDED.
  absl::Status Check() const;
  // Readable from the moment of cancellation on. Owned by this context; -1 when the process has
  // run out of file descriptors (then waiting ends at the deadline alone).
  int fd();

 private:
  Context* const parent_ = nullptr;
  const TimePoint deadline_;
  std::atomic<bool> cancelled_{false};
  Mutex mutex_;
  int fd_ ABSL_GUARDED_BY(mutex_) = -1;
};

// Waiting between retries, injected so that a test can assert the exact list of delays.
class Sleeper {
 public:
  virtual ~Sleeper() = default;
  // OK after `duration`; CANCELLED or DEADLINE_EXCEEDED as soon as the context ends.
  virtual absl::Status Sleep(absl::Duration duration, Context& context) = 0;
};

// Really sleeps. Lives as long as the process.
Sleeper& SystemSleeper();

}  // namespace gantry::base

#endif  // GANTRY_BASE_CONTEXT_H_
