// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/api/rate_limiter.h"

#include <algorithm>

#include "base/strings.h"
#include "server/kubernetes/api/error.h"

namespace gantry::kubernetes {

RateLimiter::RateLimiter(double qps, int burst, const base::Clock& clock, base::Sleeper& sleeper)
    : qps_(qps),
      interval_(qps > 0 ? absl::Seconds(1) / qps : absl::ZeroDuration()),
      capacity_(interval_ * std::max(burst, 1)),
      clock_(clock),
      sleeper_(sleeper) {}

absl::Status RateLimiter::Acquire(base::Context& context) {
  if (!(qps_ > 0)) return absl::OkStatus();
  absl::Duration wait;
  {
    base::MutexLock lock(mutex_);
    const absl::Duration now = clock_.SinceBoot();
    const absl::Duration booked = std::max(full_at_, now) + interval_;
    wait = std::max(booked - capacity_ - now, absl::ZeroDuration());
    if (wait > context.Remaining()) {
      return MakeError(
          {.kind = ErrorKind::kDeadlineExceeded, .retry_after = wait},
          base::StrCat("this process's own limit of ", qps_,
                       " requests per second to the API server is used up; the next one is free "
                       "in ",
                       absl::FormatDuration(wait),
                       ", after the caller's deadline. Raise --kube-qps if the API server can "
                       "take more"));
    }
    full_at_ = booked;
  }
  if (wait == absl::ZeroDuration()) return absl::OkStatus();
  absl::Status slept = sleeper_.Sleep(wait, context);
  if (slept.ok()) return slept;
  {
    base::MutexLock lock(mutex_);
    full_at_ -= interval_;
  }
  const bool cancelled = slept.code() == absl::StatusCode::kCancelled;
  return MakeError({.kind = cancelled ? ErrorKind::kCancelled : ErrorKind::kDeadlineExceeded},
                   base::StrCat(slept.message(), " while waiting for this process's own limit of ",
                                qps_, " requests per second (--kube-qps)"));
}

}  // namespace gantry::kubernetes
