// SPDX-License-Identifier: Apache-2.0
#include "server/steps/argocd_update/decide.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "base/clock.h"
#include "base/strings.h"
#include "base/text.h"
#include "server/argocd/annotations.h"
#include "server/argocd/desired_source.h"

namespace gantry::steps {
namespace {

using Kind = Decision::Kind;

using argocd::Application;
using argocd::Operation;
using argocd::OperationState;

bool AllReached(const std::vector<std::string>& desired, const OperationState& state) {
  if (!argocd::AnyDesired(desired)) return true;
  return state.sync_result && argocd::AllReached(desired, state.phase.view(), *state.sync_result);
}

std::string Quote(std::string_view text) { return base::StrCat("\"", text, "\""); }

std::string_view View(const std::string& text) { return text; }
std::string_view View(const base::InternedString& text) { return text.view(); }

template <typename Revisions>
std::string QuoteAll(const Revisions& revisions) {
  std::string quoted;
  for (const auto& revision : revisions) {
    base::StrAppend(&quoted, quoted.empty() ? "" : ", ", Quote(View(revision)));
  }
  return quoted.empty() ? "none" : quoted;
}

// The rules that need several facts at once, each computed once.
class Deciding {
 public:
  explicit Deciding(const DecideInput& input)
      : in_(input), app_(input.application), name_(ToString(input.application.name)) {
    if (!app_.operation_state) return;
    const Operation& operation = app_.operation_state->operation;
    if (!IsOurs(operation)) return;
    int attempt = 1;
    if (operation.attempt &&
        (!absl::SimpleAtoi(base::ToAbsl(operation.attempt->view()), &attempt) || attempt < 1)) {
      attempt = 1;
    }
    // An operation of another step of this promotion is as foreign as another promotion's.
    const stages::AttemptRecord& record = in_.record;
    const bool of_another_step =
        attempt <= record.earlier || (attempt > record.last && attempt <= record.others);
    if (!of_another_step) state_attempt_ = attempt;
  }

  Decision Decide() const {
    Decision decision = DecideByState();
    decision.last_attempt = std::max(in_.record.last, state_attempt_);
    return decision;
  }

 private:
  bool IsOurs(const Operation& operation) const {
    return operation.promotion && *operation.promotion == in_.promotion;
  }

  Decision DecideByState() const {
    if (in_.record.done) return Done("was done before, as recorded");
    if (app_.deletion_requested_at) {
      return {.kind = Kind::kDeleting,
              .message = base::StrCat("Application ", name_, " is being deleted")};
    }
    if (app_.operation) return Waiting(*app_.operation);

    if (!app_.operation_state || !argocd::IsCompleted(app_.operation_state->phase.view())) {
      return Write();
    }
    const OperationState& state = *app_.operation_state;
    const bool reached = AllReached(in_.desired_revisions, state);
    if (state_attempt_ == 0) {
      // Argo CD's self-heal may have replaced our operation's state before anyone saw it. It
      // proves us done only if our changes are in the spec and what we wanted was deployed.
      if (in_.record.made() > 0 && state.phase == "Succeeded" &&
          argocd::AnyDesired(in_.desired_revisions) && reached && !in_.spec_differs) {
        return Done("was synced to what is desired after our attempt");
      }
      return Write();
    }
    if (!state.sync_result) return WriteAgain();
    if (state.phase != "Succeeded") {
      return reached ? Failed(Kind::kOperationFailed) : WriteAgain();
    }
    if (!reached) return WriteAgain();
    // Our own record tells that the spec was written. Without it, the spec has to.
    if (state_attempt_ > in_.record.last && in_.spec_differs) return Write();
    return Done("was synced");
  }

  Decision Done(std::string_view how) const {
    return {.kind = Kind::kDone, .message = base::StrCat("Application ", name_, " ", how)};
  }

  Decision Waiting(const Operation& operation) const {
    if (!IsOurs(operation)) {
      return {.kind = Kind::kOtherOperationRunning,
              .message = base::StrCat("Application ", name_, " has an operation started by ",
                                      InitiatorOf(operation), "; waiting for it to complete")};
    }
    // A completed state can still be that of an earlier operation, until Argo CD takes up this
    // one.
    const bool quote =
        app_.operation_state && !app_.operation_state->message.empty() &&
        (state_attempt_ > 0 || !argocd::IsCompleted(app_.operation_state->phase.view()));
    return {
        .kind = Kind::kOperationRunning,
        .message = base::StrCat("waiting for the operation on Application ", name_, " to complete",
                                quote ? ": " + app_.operation_state->message : "")};
  }

  // This promotion's operation completed without reaching what it was for.
  Decision WriteAgain() const {
    for (std::size_t i = 0; i < app_.sources.size(); ++i) {
      const argocd::Source& source = app_.sources[i];
      const std::string& given = in_.desired[i].target_revision;
      if (given.empty() || source.target_revision == given) continue;
      const std::string owner =
          app_.owner.empty() ? "its owner (nothing on it tells who that is)" : app_.owner.str();
      return Failed(app_.operation_state->phase == "Succeeded" ? Kind::kRevisionNotReached
                                                               : Kind::kOperationFailed,
                    base::StrCat("; source ", source.repo_url.view(), " was given targetRevision ",
                                 Quote(given), " but has ", Quote(source.target_revision.view()),
                                 " again: ", owner,
                                 " puts it back; change it there, or let that ignore "
                                 "targetRevision"));
    }
    return Write();
  }

  Decision Write() const {
    const int last = std::max({in_.record.last, state_attempt_, in_.record.earlier});
    const int made = std::max(last - in_.record.earlier - in_.record.unmade, 0);
    if (made >= in_.max_attempts) {
      const bool failed = app_.operation_state &&
                          argocd::IsCompleted(app_.operation_state->phase.view()) &&
                          app_.operation_state->phase != "Succeeded";
      return Failed(failed ? Kind::kOperationFailed : Kind::kRevisionNotReached,
                    base::StrCat(" (", made, " attempts were made)"));
    }
    // Only now: a foreign attempt may have the largest number there is.
    const int next = std::max(last, in_.record.others) + 1;
    if (app_.skip_reconcile) {
      return {.kind = Kind::kReconcileDisabled,
              .message = base::StrCat("Application ", name_, " has the annotation ",
                                      argocd::kSkipReconcileAnnotation,
                                      ": \"true\", so Argo CD would never work on an operation; "
                                      "remove it first")};
    }
    if (made > 0 && app_.operation_state && app_.operation_state->finished_at) {
      const absl::Time due = *app_.operation_state->finished_at + AttemptDelay(made);
      if (in_.now < due) {
        return {.kind = Kind::kAwaitingRetry,
                .attempt = next,
                .retry_after = due - in_.now,
                .message = base::StrCat("Application ", name_, ": attempt ", made + 1,
                                        " starts no earlier than ", base::UtcTime(due))};
      }
    }
    return {.kind = Kind::kWrite,
            .attempt = next,
            .message = base::StrCat("Application ", name_, " is to be synced, attempt ", made + 1)};
  }

  Decision Failed(Kind kind, std::string_view addition = "") const {
    std::string message;
    if (kind == Kind::kOperationFailed) {
      message = base::StrCat("the operation on Application ", name_, " ended as ",
                             app_.operation_state->phase.view(), ": ",
                             app_.operation_state->message, addition);
    } else {
      const bool observed = app_.operation_state && app_.operation_state->sync_result;
      message = base::StrCat(
          "Application ", name_, " did not reach what is desired: desired ",
          QuoteAll(in_.desired_revisions), ", observed ",
          observed ? QuoteAll(app_.operation_state->sync_result->revisions) : "none", addition);
    }
    return {.kind = kind, .message = std::move(message)};
  }

  const DecideInput& in_;
  const Application& app_;
  const std::string name_;
  // The attempt whose operation `operationState` is about; 0 when it is not this step's.
  int state_attempt_ = 0;
};

}  // namespace

absl::Duration AttemptDelay(int attempts_made) {
  // 2^20 times ten seconds is four months; more would only overflow.
  return absl::Seconds(10) * (1 << std::clamp(attempts_made - 1, 0, 20));
}

Decision Decide(const DecideInput& input) { return Deciding(input).Decide(); }

}  // namespace gantry::steps
