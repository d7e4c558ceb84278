// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_API_RATE_LIMITER_H_
#define GANTRY_SERVER_KUBERNETES_API_RATE_LIMITER_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/mutex.h"

namespace gantry::kubernetes {

// Keeps this process from flooding an API server that others use too: a token bucket that is
// filled at `qps` tokens per second and holds `burst` of them. Callers are served in the order
// in which they came: each one books the next free moment and sleeps until then. Owned by the
// connection to a cluster, one for each Traffic; any thread.
class RateLimiter {
 public:
  // `qps` of zero or less: unlimited. A `burst` below 1 is taken as 1.
  RateLimiter(double qps, int burst, const base::Clock& clock, base::Sleeper& sleeper);

  // OK when the caller may go on. kDeadlineExceeded at once when its turn would come after its
  // deadline (nothing is booked then), kCancelled when the context ends before it.
  absl::Status Acquire(base::Context& context) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  const double qps_;
  // Between two tokens, and what a full bucket is worth.
  const absl::Duration interval_;
  const absl::Duration capacity_;
  const base::Clock& clock_;
  base::Sleeper& sleeper_;
  base::Mutex mutex_;
  // The moment at which the bucket is full again; in the past when it is. A booking moves it by
  // one interval.
  absl::Duration full_at_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
};

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_API_RATE_LIMITER_H_
