// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_TIMING_H_
#define GANTRY_CLIENT_TIMING_H_

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace gantry::client {

// The clock, the sleep and the dice of a loop that repeats calls, injected so that what such a loop
// does is tested without waiting. Owned by the caller of the loop, and outlives it. A loop uses it
// from the one thread it runs on.
class Timing {
 public:
  virtual ~Timing() = default;
  // The time since some fixed moment; never goes back.
  virtual absl::Duration Now() = 0;
  // Returns once `duration` has passed; at once when it is zero or negative.
  virtual void Sleep(absl::Duration duration) = 0;
  // As Sleep, but not at all once `stopped` has been notified. The machine's also returns as soon
  // as it is.
  virtual void SleepUnless(absl::Duration duration, const absl::Notification& stopped) {
    if (!stopped.HasBeenNotified()) Sleep(duration);
  }
  // A number from 0 up to, not including, 1; all equally likely.
  virtual double Random() = 0;
};

// The machine's. Lives as long as the process; any thread.
Timing& SystemTiming();

}  // namespace gantry::client

#endif  // GANTRY_CLIENT_TIMING_H_
