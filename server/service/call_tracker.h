// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_SERVICE_CALL_TRACKER_H_
#define GANTRY_SERVER_SERVICE_CALL_TRACKER_H_

#include <chrono>
#include <cstddef>

#include "base/mutex.h"

namespace gantry::service {

// Counts the calls in progress, so that a server can stop taking new ones and then wait for just
// those it took. Owned by the service; any thread.
class CallTracker {
 public:
  // False when draining: the call is to be refused. Otherwise End() is called once when it ends.
  [[nodiscard]] bool Begin();
  void End();

  void StartDraining();
  // True when no call is in progress, false when `deadline` passed first.
  bool WaitUntilIdle(std::chrono::steady_clock::time_point deadline);

 private:
  base::Mutex mutex_;
  base::ConditionVariable idle_;
  std::size_t in_progress_ ABSL_GUARDED_BY(mutex_) = 0;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace gantry::service

#endif  // GANTRY_SERVER_SERVICE_CALL_TRACKER_H_
