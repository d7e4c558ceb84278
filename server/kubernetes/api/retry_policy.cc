// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/api/retry_policy.h"

#include <algorithm>

namespace gantry::kubernetes {

RetryReason WhyRetry(const AttemptResult& attempt) {
  // Waiting does not make it younger, or the server's cache newer: the caller lists again.
  if (attempt.kind == ErrorKind::kExpired) return RetryReason::kNone;
  if (attempt.http_status == 429) return RetryReason::kServerAsked;
  if (attempt.http_status >= 500 && attempt.retry_after) return RetryReason::kServerAsked;
  const bool unanswered =
      attempt.kind == ErrorKind::kUnreachable || attempt.kind == ErrorKind::kDeadlineExceeded;
  return unanswered && attempt.is_read ? RetryReason::kTransport : RetryReason::kNone;
}

bool RetryBudget::Spend(RetryReason reason) {
  switch (reason) {
    case RetryReason::kNone:
      return false;
    case RetryReason::kServerAsked:
      return ++server_asked_ < kMaxServerAskedTries;
    case RetryReason::kTransport:
      return ++transport_ < kMaxTransportTries;
  }
  return false;
}

absl::Duration RetryDelay(int failures, std::optional<absl::Duration> retry_after, double random) {
  absl::Duration backoff = kFirstBackoff;
  for (int i = 1; i < failures && backoff < kMaxBackoff; ++i) backoff *= 2;
  backoff = std::min(backoff, kMaxBackoff) * (0.5 + 0.5 * random);
  if (!retry_after) return backoff;
  return std::max(backoff, *retry_after * (1.0 + 0.1 * random));
}

}  // namespace gantry::kubernetes
