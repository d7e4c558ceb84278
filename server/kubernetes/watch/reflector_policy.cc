// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/watch/reflector_policy.h"

#include <algorithm>

#include "server/kubernetes/api/error.h"

namespace gantry::kubernetes {
namespace {

constexpr absl::Duration kVeryShort = absl::Seconds(1);

}  // namespace

std::string_view RestartReasonName(RestartReason reason) {
  switch (reason) {
    case RestartReason::kEnded:
      return "ended";
    case RestartReason::kExpired:
      return "expired";
    case RestartReason::kThrottled:
      return "throttled";
    case RestartReason::kUnreachable:
      return "unreachable";
    case RestartReason::kTooShort:
      return "too_short";
    case RestartReason::kFailed:
      return "failed";
    case RestartReason::kNotStreamed:
      return "not_streamed";
  }
  return "unknown";
}

RestartReason ReasonOf(const absl::Status& error) {
  const ErrorDetail detail = DetailOf(error);
  if (detail.kind == ErrorKind::kExpired) return RestartReason::kExpired;
  if (detail.http_status == 429) return RestartReason::kThrottled;
  // A server that does not answer in time is no better than one that is not there.
  if (detail.kind == ErrorKind::kUnreachable || detail.kind == ErrorKind::kDeadlineExceeded) {
    return RestartReason::kUnreachable;
  }
  return RestartReason::kFailed;
}

RestartReason ReasonOf(const WatchEnd& end) {
  if (!end.error.ok()) return ReasonOf(end.error);
  const bool too_short = !end.silent && !end.had_event && end.lasted < kVeryShort;
  return too_short ? RestartReason::kTooShort : RestartReason::kEnded;
}

Reaction ReactionTo(RestartReason reason) {
  switch (reason) {
    case RestartReason::kEnded:
      return Reaction::kWatchAtOnce;
    case RestartReason::kExpired:
    case RestartReason::kNotStreamed:
      return Reaction::kListAtOnce;
    case RestartReason::kThrottled:
    case RestartReason::kUnreachable:
      return Reaction::kWatchAfterBackoff;
    case RestartReason::kTooShort:
    case RestartReason::kFailed:
      return Reaction::kListAfterBackoff;
  }
  return Reaction::kListAfterBackoff;
}

Reaction ReactionToFailedList(RestartReason reason, bool had_resource_version) {
  const bool younger_may_do = reason == RestartReason::kExpired && had_resource_version;
  return younger_may_do ? Reaction::kListAtOnce : Reaction::kListAfterBackoff;
}

void ReflectorBackoff::Good() {
  if (!good_since_) good_since_ = clock_.SinceBoot();
}

absl::Duration ReflectorBackoff::Next() {
  if (good_since_ && clock_.SinceBoot() - *good_since_ >= kGoodTime) next_ = kFirstReflectorBackoff;
  good_since_.reset();
  const absl::Duration backoff = next_;
  next_ = std::min(next_ * 2, kMaxReflectorBackoff);
  return backoff * (0.5 + 0.5 * random_.Uniform());
}

void CatchUp::Begin(absl::Duration now) {
  last_sign_ = now;
  unsettled_since_ = now;
}

std::optional<absl::Duration> CatchUp::Event(absl::Duration received) {
  // Also while the watch has not settled: time that passed without events, such as that of a
  // process that was stopped, is none in which it caught up.
  if (received - last_sign_ > kBacklogPause) unsettled_since_ = received;
  last_sign_ = received;
  if (unsettled_since_ && received - *unsettled_since_ <= kCatchUpTime) return std::nullopt;
  unsettled_since_.reset();
  return received;
}

std::optional<absl::Duration> CatchUp::Quiet() {
  if (!unsettled_since_) return std::nullopt;
  unsettled_since_.reset();
  return last_sign_;
}

}  // namespace gantry::kubernetes
