// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_BASE_CLOCK_H_
#define GANTRY_BASE_CLOCK_H_

#include "absl/time/time.h"

namespace gantry::base {

// What time it is, injected so that rules about time are tested without waiting. Any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  // The wall clock: comparable with timestamps in Kubernetes objects.
  virtual absl::Time Now() const = 0;
  // Time since boot, suspended time included (CLOCK_BOOTTIME): for ages and intervals.
  virtual absl::Duration SinceBoot() const = 0;
};

// The machine's clocks. Lives as long as the process.
const Clock& SystemClock();

}  // namespace gantry::base

#endif  // GANTRY_BASE_CLOCK_H_
