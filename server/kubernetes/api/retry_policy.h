// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_API_RETRY_POLICY_H_
#define GANTRY_SERVER_KUBERNETES_API_RETRY_POLICY_H_

#include <optional>

#include "absl/time/time.h"
#include "server/kubernetes/api/error.h"

namespace gantry::kubernetes {

// "Retry?" and "how long?" are two questions. Both answers are pure functions.

// What one attempt of a call came to.
struct AttemptResult {
  ErrorKind kind = ErrorKind::kNone;
  int http_status = 0;  // 0: no response
  std::optional<absl::Duration> retry_after;
  bool is_read = false;  // repeating it changes nothing
};

enum class RetryReason {
  kNone,
  kServerAsked,  // 429, or 5xx with Retry-After: for any verb
  kTransport,    // no answer, for reads only
};

RetryReason WhyRetry(const AttemptResult& attempt);

// Attempts in all, the first one included.
inline constexpr int kMaxServerAskedTries = 10;
inline constexpr int kMaxTransportTries = 5;

// Counts the failures of one call and says when it has had enough. Used by one call.
class RetryBudget {
 public:
  // Whether, after a failure for `reason`, another attempt is due.
  bool Spend(RetryReason reason);
  // Failures so far.
  int failures() const { return server_asked_ + transport_; }

 private:
  int server_asked_ = 0;
  int transport_ = 0;
};

inline constexpr absl::Duration kFirstBackoff = absl::Milliseconds(100);
inline constexpr absl::Duration kMaxBackoff = absl::Seconds(5);

// How long to wait after the `failures`-th failure (1, 2, ...). The backoff doubles from
// kFirstBackoff to kMaxBackoff, and of it between one half and all is waited, as `random` (in
// [0, 1)) says. What the server asked for is waited in full, and up to a tenth more.
absl::Duration RetryDelay(int failures, std::optional<absl::Duration> retry_after, double random);

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_API_RETRY_POLICY_H_
