// SPDX-License-Identifier: Apache-2.0
#include "gantry/client/attempts.h"

#include <algorithm>

#include "gantry/client/errors.h"

namespace gantry::client {

absl::Duration Backoff::Next(double random) {
  const absl::Duration ceiling = ceiling_;
  ceiling_ = std::min(ceiling_ * 2, absl::Seconds(10));
  return ceiling * (0.5 + random / 2);
}

absl::Duration Spread(absl::Duration told, double random) { return told * (1 + random / 4); }

absl::Duration PauseAfter(const absl::Status& error, Backoff& backoff, Timing& timing) {
  const double random = timing.Random();
  const absl::Duration pause = backoff.Next(random);
  const std::optional<absl::Duration> told = RetryDelayOf(error);
  return told ? std::max(pause, Spread(*told, random)) : pause;
}

bool IsPassing(const absl::Status& error) {
  // Nobody here cancels a call: it was a service, or a proxy, that ended while it held the call.
  return absl::IsUnavailable(error) || absl::IsResourceExhausted(error) ||
         absl::IsDeadlineExceeded(error) || absl::IsCancelled(error);
}

absl::Duration Attempts::Limit() const {
  return answered_ ? timeout_ : std::min(timeout_, unreachable_timeout_);
}

absl::Duration Attempts::Remaining() const {
  return std::max(Limit() - Elapsed(), absl::ZeroDuration());
}

std::optional<absl::Duration> Attempts::Pause(const absl::Status& error) {
  answered_ = answered_ || ServiceAnswered(error);
  const absl::Duration pause = PauseAfter(error, backoff_, timing_);
  const absl::Duration remaining = Remaining();
  if (remaining <= absl::ZeroDuration()) return std::nullopt;
  return std::min(pause, remaining);
}

}  // namespace gantry::client
