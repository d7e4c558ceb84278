// SPDX-License-Identifier: Apache-2.0
#include "base/retry.h"

namespace gantry::base {

absl::StatusOr<AttemptOutcome> RetryOnConflict(
    const RetryPolicy& policy, Random& random, Sleeper& sleeper, Context& context,
    absl::FunctionRef<absl::StatusOr<AttemptOutcome>()> attempt) {
  absl::Duration delay = policy.first_delay;
  for (int made = 1;; ++made) {
    absl::StatusOr<AttemptOutcome> outcome = attempt();
    if (!outcome.ok() || *outcome == AttemptOutcome::kDone || made >= policy.attempts) {
      return outcome;
    }
    const absl::Status slept = sleeper.Sleep(delay * (0.5 + random.Uniform()), context);
    if (!slept.ok()) return slept;
    delay *= 2;
  }
}

}  // namespace gantry::base
