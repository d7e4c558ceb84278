// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_ARGOCD_UPDATE_DECIDE_H_
#define GANTRY_SERVER_STEPS_ARGOCD_UPDATE_DECIDE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "server/argocd/application.h"
#include "server/argocd/desired_source.h"
#include "server/stages/attempt_record.h"

namespace gantry::steps {

struct DecideInput {
  const argocd::Application& application;
  std::string_view promotion;
  stages::AttemptRecord record;
  // One per source, empty where none is asked for.
  const std::vector<std::string>& desired_revisions;
  const std::vector<argocd::DesiredSource>& desired;  // one per source
  // The spec does not (or not any more) hold everything that this step writes into it.
  bool spec_differs = false;
  int max_attempts = 5;
  absl::Time now;
};

struct Decision {
  enum class Kind {
    kDone,
    kOperationRunning,       // ours
    kOtherOperationRunning,  // somebody else's
    kAwaitingRetry,          // the next attempt is due after retry_after
    kWrite,                  // make attempt number `attempt`
    kDeleting,
    kReconcileDisabled,
    kOperationFailed,     // final for this promotion
    kRevisionNotReached,  // final for this promotion
  };
  Kind kind = Kind::kDone;
  int attempt = 0;
  // Our last attempt known, on record or by the operation found; to be recorded.
  int last_attempt = 0;
  absl::Duration retry_after = absl::ZeroDuration();
  std::string message;  // one sentence that names the Application
};

// What to do with one Application, from a live read of it and the Stage's record. Exactly one
// operation per attempt follows from two rules: while anybody's operation is set nothing is
// written, and what is written carries the resourceVersion of the read decided on.
Decision Decide(const DecideInput& input);

// Attempt n+1 starts no earlier than this after attempt n finished.
absl::Duration AttemptDelay(int attempts_made);

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_ARGOCD_UPDATE_DECIDE_H_
