// SPDX-License-Identifier: Apache-2.0
#include "server/health/application_rules.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/strings/str_join.h"
#include "base/strings.h"
#include "base/text.h"
#include "server/argocd/annotations.h"
#include "server/argocd/desired_source.h"
#include "server/health/words.h"

namespace gantry::health {
namespace {

using argocd::Application;
using argocd::ApplicationName;
using argocd::OperationState;
using argocd::Source;

// A revision is told whole, however long: what it differs in may be at its end.
std::string QuoteRevision(std::string_view revision) {
  return base::Quote(revision, revision.size());
}

// What keeps the rules from being applied at all: each a sentence that begins with the Application.
std::optional<std::string> StaleIssue(const std::string& name, const Evidence& evidence) {
  if (!evidence.stale_since) return std::nullopt;
  return base::StrCat(name, ": nothing was heard of it since ",
                      base::UtcTime(*evidence.stale_since));
}

std::optional<std::string> AbsentIssue(const std::string& name, const Evidence& evidence) {
  if (evidence.application != nullptr) return std::nullopt;
  return base::StrCat("unable to find ", name, At(", UNKNOWN since ", evidence.unknown_since),
                      Explanation(evidence.why_absent));
}

std::optional<std::string> ProblemIssue(const std::string& name, const Evidence& evidence) {
  if (evidence.application == nullptr || evidence.application->problem.empty()) {
    return std::nullopt;
  }
  return base::StrCat(name, " could not be understood",
                      At(", UNKNOWN since ", evidence.unknown_since),
                      Explanation(evidence.application->problem));
}

// Argo CD's words, without an evaluation.
v1::ApplicationHealth Words(const ApplicationName& name,
                            const std::vector<std::string>& desired_revisions,
                            const Evidence& evidence) {
  v1::ApplicationHealth health;
  health.set_namespace_(name.ns);
  health.set_name(name.name);
  for (const std::string& revision : desired_revisions) health.add_desired_revisions(revision);
  // Of an object that was not understood nothing but its name is to be relied on.
  if (evidence.application == nullptr || !evidence.application->problem.empty()) return health;
  const Application& application = *evidence.application;
  health.set_health_status(application.health_status.str());
  health.set_health_message(application.health_message);
  health.set_sync_status(application.sync_status.str());
  if (application.operation_state) {
    health.set_operation_phase(application.operation_state->phase.str());
  }
  for (const auto& revision : application.sync_revisions) {
    health.add_observed_revisions(revision.str());
  }
  return health;
}

// The rules of one Application that is there, in their order.
class ApplicationRules {
 public:
  ApplicationRules(const Application& application, const std::string& name,
                   const std::vector<std::string>& desired)
      : app_(application), name_(name), desired_(desired) {}

  void Evaluate(ApplicationEvaluation& evaluation) {
    evaluation.health.set_state(State());
    for (std::string& issue : issues_) evaluation.health.add_issues(std::move(issue));
    evaluation.wants_refresh = wants_refresh_;
  }

 private:
  v1::HealthState State() {
    if (app_.deletion_requested_at) {
      return Unknown(" is being deleted since ", base::UtcTime(*app_.deletion_requested_at));
    }
    if (!IsReconciled()) return EvaluateUnreconciled();
    if (HasErrorConditions()) return v1::HEALTH_STATE_UNHEALTHY;
    if (argocd::AnyDesired(desired_)) {
      if (const v1::HealthState state = EvaluateRevisions();
          state != v1::HEALTH_STATE_UNSPECIFIED) {
        return state;
      }
    }
    return EvaluateHealth();
  }

  template <typename... Pieces>
  v1::HealthState Unknown(const Pieces&... pieces) {
    Say(pieces...);
    return v1::HEALTH_STATE_UNKNOWN;
  }

  template <typename... Pieces>
  void Say(const Pieces&... pieces) {
    issues_.push_back(base::StrCat(name_, pieces...));
  }

  // `reconciledAt` is when the comparison began, in whole seconds. One that began in the second in
  // which the operation finished may have looked before or after. Synced it can only have seen
  // after, unless the Application was so before; then the refresh that comes with each operation
  // still waits for the comparison that will tell.
  bool IsReconciled() const {
    if (!app_.operation_state || !app_.operation_state->finished_at) return true;
    const absl::Time finished_at = *app_.operation_state->finished_at;
    if (!app_.reconciled_at || *app_.reconciled_at < finished_at) return false;
    if (*app_.reconciled_at > finished_at) return true;
    return app_.sync_status == "Synced" && !app_.refresh;
  }

  v1::HealthState EvaluateUnreconciled() {
    const std::string since = base::UtcTime(*app_.operation_state->finished_at);
    if (app_.skip_reconcile) {
      return Unknown(" has not been reconciled since its operation finished at ", since,
                     ", because the annotation ", argocd::kSkipReconcileAnnotation,
                     ": \"true\" tells Argo CD to skip it; remove that");
    }
    wants_refresh_ = true;
    return Unknown(" has not been reconciled since its operation finished at ", since,
                   "; waiting for Argo CD to refresh it");
  }

  bool HasErrorConditions() {
    for (const argocd::Condition& condition : app_.conditions) {
      if (condition.type != "ComparisonError" && condition.type != "InvalidSpecError") continue;
      Say(" has the condition ", condition.type.view(), Explanation(condition.message));
    }
    std::sort(issues_.begin(), issues_.end());
    return !issues_.empty();
  }

  // UNSPECIFIED when the desired revisions are there.
  v1::HealthState EvaluateRevisions() {
    if (IsBeingSynced()) return v1::HEALTH_STATE_UNKNOWN;
    const OperationState& state = *app_.operation_state;
    if (app_.sources.size() != desired_.size() || app_.sync_revisions.size() != desired_.size()) {
      return Unknown(" has ", base::Count(app_.sources.size(), "source"), " and ",
                     base::Count(app_.sync_revisions.size(), "observed revision"),
                     " since its operation finished at ", base::UtcTime(*state.finished_at),
                     ", but ", base::Count(desired_.size(), "desired revision"),
                     " to compare them with");
    }
    for (std::size_t i = 0; i < desired_.size(); ++i) {
      if (desired_[i].empty() || IsObserved(i)) continue;
      Say(": source ", SourceText(i), " is at revision ",
          QuoteRevision(app_.sync_revisions[i].view()), ", expected ", QuoteRevision(desired_[i]));
    }
    if (issues_.empty() && app_.sync_status != "Synced") EvaluateDeployed(state);
    return issues_.empty() ? v1::HEALTH_STATE_UNSPECIFIED : v1::HEALTH_STATE_UNHEALTHY;
  }

  bool IsBeingSynced() {
    const bool pending = app_.operation && app_.operation->has_sync;
    const bool finished = app_.operation_state && app_.operation_state->finished_at;
    if (!pending && finished) return false;
    if (!app_.operation_state) {
      if (pending) {
        Say(" is being synced: its operation has not begun yet", CreatedAt());
      } else {
        Say(" has not been synced yet: there is no operation on record", CreatedAt());
      }
      return true;
    }
    const OperationState& state = *app_.operation_state;
    if (finished && argocd::IsCompleted(state.phase.view())) {
      Say(" is being synced: an operation is pending, the one before it finished at ",
          base::UtcTime(*state.finished_at));
    } else {
      Say(" is being synced", At(" since ", state.started_at), ": its operation is not complete");
    }
    return true;
  }

  std::string CreatedAt() const { return At("; the Application was created at ", app_.created_at); }

  bool IsObserved(std::size_t i) const {
    const std::size_t count = desired_.size();
    return (app_.sync_revisions.size() == count && app_.sync_revisions[i] == desired_[i]) ||
           (app_.compared_sources.size() == count &&
            app_.compared_sources[i].target_revision == desired_[i]);
  }

  // What was compared is what is desired, but the two differ: so it counts what was deployed.
  void EvaluateDeployed(const OperationState& state) {
    const std::string sync = app_.sync_status.empty()
                                 ? " is not compared with its sources"
                                 : base::StrCat(" has sync status ", app_.sync_status.view());
    if (!argocd::IsCompleted(state.phase.view()) || !state.sync_result) {
      Say(sync, ", and its last operation ",
          argocd::IsCompleted(state.phase.view())
              ? base::StrCat("(", state.phase.view(), ") deployed no revision")
              : "was given up before it was complete",
          ", expected ",
          absl::StrJoin(desired_, ", ", [](std::string* out, const std::string& revision) {
            base::StrAppend(out, QuoteRevision(revision));
          }));
      return;
    }
    for (std::size_t i = 0; i < desired_.size(); ++i) {
      if (argocd::Reached(desired_, i, state.phase.view(), *state.sync_result)) continue;
      const auto& deployed = state.sync_result->revisions;
      Say(sync, ", and its last operation (", state.phase.view(), ") deployed ",
          deployed.size() == desired_.size()
              ? base::StrCat("revision ", QuoteRevision(deployed[i].view()))
              : base::StrCat(base::Count(deployed.size(), "revision"), " instead of ",
                             desired_.size()),
          " of source ", SourceText(i), ", expected ", QuoteRevision(desired_[i]));
    }
  }

  // Two sources may have the same repository.
  std::string SourceText(std::size_t i) const {
    const Source& source = app_.sources[i];
    return base::StrCat(app_.sources.size() > 1 ? base::StrCat(i + 1, " ") : "",
                        source.repo_url.view(),
                        source.chart.empty() ? "" : base::StrCat(" chart ", source.chart.view()));
  }

  v1::HealthState EvaluateHealth() {
    if (app_.health_status == "Healthy") return v1::HEALTH_STATE_HEALTHY;
    if (app_.health_status.empty()) {
      Say(" is progressing: Argo CD has not assessed its health yet");
      return v1::HEALTH_STATE_PROGRESSING;
    }
    Say(" has health status ", app_.health_status.view(), Explanation(app_.health_message));
    const bool on_its_way =
        app_.health_status == "Progressing" || app_.health_status == "Suspended";
    return on_its_way ? v1::HEALTH_STATE_PROGRESSING : v1::HEALTH_STATE_UNHEALTHY;
  }

  const Application& app_;
  const std::string& name_;
  const std::vector<std::string>& desired_;
  std::vector<std::string> issues_;
  bool wants_refresh_ = false;
};

}  // namespace

ApplicationEvaluation EvaluateApplication(const ApplicationName& name,
                                          const std::vector<std::string>& desired_revisions,
                                          const Evidence& evidence) {
  ApplicationEvaluation evaluation;
  evaluation.health = Words(name, desired_revisions, evidence);
  const std::string named = base::StrCat("Application ", argocd::ToString(name));
  std::optional<std::string> unusable = StaleIssue(named, evidence);
  if (!unusable) unusable = AbsentIssue(named, evidence);
  if (!unusable) unusable = ProblemIssue(named, evidence);
  if (unusable) {
    evaluation.health.set_state(v1::HEALTH_STATE_UNKNOWN);
    evaluation.health.add_issues(*std::move(unusable));
    return evaluation;
  }
  ApplicationRules(*evidence.application, named, desired_revisions).Evaluate(evaluation);
  return evaluation;
}

v1::ApplicationHealth DescribeApplication(const ApplicationName& name,
                                          const std::vector<std::string>& desired_revisions,
                                          const std::string& why_not_evaluated,
                                          const Evidence& evidence) {
  v1::ApplicationHealth health = Words(name, desired_revisions, evidence);
  health.set_state(v1::HEALTH_STATE_UNKNOWN);
  health.add_issues(why_not_evaluated);
  const std::string named = base::StrCat("Application ", argocd::ToString(name));
  for (std::optional<std::string>& issue :
       std::vector{StaleIssue(named, evidence), AbsentIssue(named, evidence),
                   ProblemIssue(named, evidence)}) {
    if (issue) health.add_issues(*std::move(issue));
  }
  return health;
}

}  // namespace gantry::health
