// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_BASE_RETRY_H_
#define GANTRY_BASE_RETRY_H_

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/context.h"
#include "base/random.h"

namespace gantry::base {

// Optimistic concurrency: read, decide, write under the version that was read, and begin again when
// somebody else wrote first. This is the loop around it. An attempt must be the whole of it,
// beginning with the read.

struct RetryPolicy {
  int attempts = 8;
  // The delay doubles with each attempt, and is multiplied by a factor in [0.5, 1.5), so that those
  // who met once do not meet again.
  absl::Duration first_delay = absl::Milliseconds(20);
};

enum class AttemptOutcome {
  kDone,
  kConflict,  // somebody else was faster
};

// Calls `attempt` until it is done, as often as the policy says. Returns kConflict when the last
// attempt met a conflict as well; the error of an attempt that failed; or why the context ended
// (CANCELLED, DEADLINE_EXCEEDED) while waiting for the next. Random and Sleeper are given, so that
// a test sees the exact delays and waits for none.
absl::StatusOr<AttemptOutcome> RetryOnConflict(
    const RetryPolicy& policy, Random& random, Sleeper& sleeper, Context& context,
    absl::FunctionRef<absl::StatusOr<AttemptOutcome>()> attempt);

}  // namespace gantry::base

#endif  // GANTRY_BASE_RETRY_H_
