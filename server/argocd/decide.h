// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_ARGOCD_DECIDE_H_
#define GANTRY_SERVER_ARGOCD_DECIDE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "server/argocd/application.h"

namespace gantry::argocd {

// What the Stage's record knows of one Application in one step of one promotion. Attempts are
// numbered per promotion and Application, so that an operation's number tells which step of the
// promotion it belongs to.
struct AttemptRecord {
  int earlier = 0;  // the last attempt that was somebody else's before our first: of another step,
                    // or of this one with another configuration
  int last = 0;     // the last attempt on record for us; not above `earlier`: none
  int unmade = 0;   // how many of ours were recorded and certainly not made
  bool done = false;  // this step has seen its work on the Application done
  int others = 0;     // the last attempt on record for the promotion's other steps

  // How many attempts count for us.
  int made() const { return last > earlier ? last - earlier - unmade : 0; }
  bool operator==(const AttemptRecord&) const = default;
};

struct DecideInput {
  const Application& application;
  std::string_view promotion;
  AttemptRecord record;
  // One per source, empty where none is asked for.
  const std::vector<std::string>& desired_revisions;
  // The targetRevision this step gives to each source; empty where it gives none.
  const std::vector<std::string>& given_target_revisions;
  // The spec does not (or not any more) hold everything that this step writes into it.
  bool spec_differs = false;
  int max_attempts = 5;
  absl::Time now;
};

struct Verdict {
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
Verdict Decide(const DecideInput& input);

// Succeeded, Failed and Error; Running and Terminating are not, whatever else is set.
bool IsCompleted(std::string_view phase);

// Attempt n+1 starts no earlier than this after attempt n finished.
absl::Duration AttemptDelay(int attempts_made);

}  // namespace gantry::argocd

#endif  // GANTRY_SERVER_ARGOCD_DECIDE_H_
