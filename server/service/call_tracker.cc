// SPDX-License-Identifier: Apache-2.0
#include "server/service/call_tracker.h"

namespace gantry::service {

bool CallTracker::Begin() {
  base::MutexLock lock(mutex_);
  if (draining_) return false;
  ++in_progress_;
  return true;
}

void CallTracker::End() {
  base::MutexLock lock(mutex_);
  // Notified under the lock: whoever waits may destroy this object as soon as it is idle.
  if (--in_progress_ == 0) idle_.NotifyAll();
}

void CallTracker::StartDraining() {
  base::MutexLock lock(mutex_);
  draining_ = true;
}

bool CallTracker::WaitUntilIdle(std::chrono::steady_clock::time_point deadline) {
  base::MutexLock lock(mutex_);
  while (in_progress_ > 0) {
    if (!idle_.WaitUntil(mutex_, deadline)) return in_progress_ == 0;
  }
  return true;
}

}  // namespace gantry::service
