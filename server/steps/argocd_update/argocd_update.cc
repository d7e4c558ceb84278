// SPDX-License-Identifier: Apache-2.0
#include "server/steps/argocd_update/argocd_update.h"

#include <utility>

#include "absl/strings/str_join.h"
#include "base/strings.h"
#include "base/text.h"
#include "server/argocd/desired_source.h"
#include "server/steps/argocd_update/config.h"
#include "server/steps/argocd_update/decide.h"
#include "server/steps/argocd_update/match.h"
#include "server/steps/argocd_update/patch.h"

namespace gantry::steps {
namespace {

using Kind = Decision::Kind;

struct Outcome {
  Verdict verdict;
  v1::StepReason reason;
};

Outcome OutcomeOf(Kind kind) {
  switch (kind) {
    case Kind::kDone:
      return {Verdict::kDone, v1::STEP_REASON_UNSPECIFIED};
    case Kind::kOperationRunning:
      return {Verdict::kWaits, v1::STEP_REASON_OPERATION_RUNNING};
    case Kind::kOtherOperationRunning:
      return {Verdict::kWaits, v1::STEP_REASON_OTHER_OPERATION_RUNNING};
    case Kind::kAwaitingRetry:
      return {Verdict::kWaits, v1::STEP_REASON_AWAITING_RETRY};
    case Kind::kWrite:
      return {Verdict::kWrites, v1::STEP_REASON_OPERATION_RUNNING};
    case Kind::kDeleting:
      return {Verdict::kErrors, v1::STEP_REASON_APPLICATION_DELETING};
    case Kind::kReconcileDisabled:
      return {Verdict::kErrors, v1::STEP_REASON_RECONCILE_DISABLED};
    case Kind::kOperationFailed:
      return {Verdict::kFails, v1::STEP_REASON_OPERATION_FAILED};
    case Kind::kRevisionNotReached:
      return {Verdict::kFails, v1::STEP_REASON_REVISION_NOT_REACHED};
  }
  return {Verdict::kUndecided, v1::STEP_REASON_UNSPECIFIED};
}

// One evaluation: authorize, match, decide. The first that refuses ends it.
class Evaluation {
 public:
  Evaluation(const ArgocdUpdateConfig& config, const StepInput& input)
      : config_(config), in_(input), updates_(input.candidates.size()) {}

  StepPlan Evaluate() {
    plan_.success = "all Applications are synced";
    for (const Candidate& candidate : in_.candidates) {
      ApplicationPlan& application = plan_.applications.emplace_back();
      application.application = candidate.application;
      application.by_name = candidate.by_name;
      if (candidate.authorization.authorized) continue;
      application.verdict = Verdict::kSkipped;
      application.message = candidate.authorization.reason;
    }
    plan_.refusal = Authorize();
    if (!plan_.refusal) plan_.refusal = MatchEntries();
    if (!plan_.refusal) plan_.refusal = MatchAll();
    if (plan_.refusal) return std::move(plan_);
    for (std::size_t i = 0; i < in_.candidates.size(); ++i) {
      if (in_.candidates[i].authorization.authorized) DecideOne(i);
    }
    return std::move(plan_);
  }

 private:
  // An Application that is named has to authorize the Stage; of those that a selector matches, one.
  Refusal Authorize() {
    Refusal refusal;
    for (std::size_t e = 0; e < config_.apps.size(); ++e) {
      std::size_t authorized = 0;
      std::string reason;
      for (const std::size_t i : in_.entries[e]) {
        const Candidate& candidate = in_.candidates[i];
        if (!candidate.authorization.authorized) {
          reason = base::StrCat("Application ", ToString(candidate.application->name),
                                " does not authorize Stage ", in_.project, ":", in_.stage, ": ",
                                candidate.authorization.reason);
          continue;
        }
        ++authorized;
        const auto& sources = config_.apps[e].sources;
        updates_[i].insert(updates_[i].end(), sources.begin(), sources.end());
      }
      if (authorized > 0 || refusal) continue;
      const ApplicationSelection& selection = config_.apps[e].selection;
      refusal.reason = v1::STEP_REASON_NOT_AUTHORIZED;
      refusal.message =
          !selection.name.empty()
              ? reason
              : base::StrCat("none of the ", in_.entries[e].size(),
                             " Applications that match the selector ", selection.label_selector,
                             " authorizes Stage ", in_.project, ":", in_.stage,
                             "; the last of them: ", reason);
    }
    return refusal;
  }

  // Entry by entry first: with several Applications in one entry, an update that does not fit all
  // of them is a question of the entry, not of one Application.
  Refusal MatchEntries() const {
    for (std::size_t e = 0; e < config_.apps.size(); ++e) {
      std::vector<std::string> unmatched;
      SourceMatch first;
      std::size_t members = 0;
      for (const std::size_t i : in_.entries[e]) {
        if (!in_.candidates[i].authorization.authorized) continue;
        ++members;
        const argocd::Application& application = *in_.candidates[i].application;
        SourceMatch match = MatchSources(application, config_.apps[e].sources);
        if (match.problem == SourceMatch::Problem::kNone) continue;
        if (unmatched.empty()) first = std::move(match);
        unmatched.push_back(ToString(application.name));
      }
      if (unmatched.empty()) continue;
      if (members > 1) {
        return {v1::STEP_REASON_INCOMPATIBLE_SOURCES,
                base::StrCat("the source updates of apps[", e, "] do not fit ", unmatched.size(),
                             " of its ", members, " Applications: ", base::FirstThree(unmatched),
                             "; ", first.message)};
      }
      return {first.problem == SourceMatch::Problem::kNotMatched
                  ? v1::STEP_REASON_SOURCE_NOT_MATCHED
                  : v1::STEP_REASON_INCOMPATIBLE_SOURCES,
              std::move(first.message)};
    }
    return {};
  }

  // Each entry fits by itself; together they may contradict each other.
  Refusal MatchAll() {
    desired_.resize(in_.candidates.size());
    for (std::size_t i = 0; i < in_.candidates.size(); ++i) {
      if (!in_.candidates[i].authorization.authorized) continue;
      const argocd::Application& application = *in_.candidates[i].application;
      SourceMatch match = MatchSources(application, updates_[i]);
      if (match.problem != SourceMatch::Problem::kNone) {
        return {v1::STEP_REASON_INCOMPATIBLE_SOURCES, std::move(match.message)};
      }
      desired_[i] = DesiredSources(application, updates_[i], match);
      plan_.applications[i].desired_revisions = std::move(match.desired_revisions);
    }
    return {};
  }

  void DecideOne(std::size_t i) {
    const Candidate& candidate = in_.candidates[i];
    ApplicationPlan& application = plan_.applications[i];
    const nlohmann::json spec_patch = BuildSpecPatch(*candidate.application, desired_[i]);
    Decision decision = Decide({.application = *candidate.application,
                                .promotion = in_.promotion,
                                .record = candidate.attempts,
                                .desired_revisions = application.desired_revisions,
                                .desired = desired_[i],
                                .spec_differs = !spec_patch.empty(),
                                .max_attempts = in_.max_attempts,
                                .now = in_.now});
    const Outcome outcome = OutcomeOf(decision.kind);
    application.verdict = outcome.verdict;
    application.reason = outcome.reason;
    application.message = std::move(decision.message);
    application.attempts = candidate.attempts;
    application.attempts.last = decision.last_attempt;
    if (decision.kind == Kind::kDone) application.attempts.done = true;
    if (decision.kind == Kind::kAwaitingRetry) application.due = in_.now + decision.retry_after;
    if (decision.kind == Kind::kWrite) {
      application.write = BuildWrite(candidate, desired_[i], spec_patch, decision.attempt);
    }
  }

  ApplicationPlan::Write BuildWrite(const Candidate& candidate,
                                    const std::vector<argocd::DesiredSource>& desired,
                                    const nlohmann::json& spec_patch, int attempt) const {
    const OperationRequest request{.promotion = std::string(in_.promotion),
                                   .actor = std::string(in_.actor),
                                   .default_initiator = std::string(in_.default_initiator),
                                   .project = std::string(in_.project),
                                   .stage = std::string(in_.stage),
                                   .attempt = attempt};
    std::vector<std::string> changed;
    for (const nlohmann::json& change : spec_patch) {
      changed.push_back(change.at("path").get<std::string>());
    }
    return {.attempt = attempt,
            .patch = BuildPatch(*candidate.application, candidate.live, spec_patch, request).dump(),
            .changed = absl::StrJoin(changed, ","),
            .event = DescribeWrite(*candidate.application, desired, request)};
  }

  const ArgocdUpdateConfig& config_;
  const StepInput& in_;
  StepPlan plan_;
  // Per candidate: the updates of all its entries, in order; and what they want of its sources.
  std::vector<std::vector<SourceUpdate>> updates_;
  std::vector<std::vector<argocd::DesiredSource>> desired_;
};

class UpdateStep final : public Step {
 public:
  explicit UpdateStep(ArgocdUpdateConfig config) : config_(std::move(config)) {
    for (const auto& app : config_.apps) selections_.push_back(app.selection);
  }
  const std::vector<ApplicationSelection>& selections() const override { return selections_; }
  StepPlan Evaluate(const StepInput& input) const override {
    return Evaluation(config_, input).Evaluate();
  }

 private:
  const ArgocdUpdateConfig config_;
  std::vector<ApplicationSelection> selections_;
};

}  // namespace

std::string_view ArgocdUpdate::description() const {
  return "Changes the sources of Argo CD Applications and syncs them, once per promotion, and "
         "succeeds when Argo CD has deployed what is desired. The Applications must authorize the "
         "Stage by the annotation kargo.akuity.io/authorized-stage.";
}

std::string_view ArgocdUpdate::config_schema() const { return ArgocdUpdateConfigSchema(); }

StepKind::Parsed ArgocdUpdate::Parse(const nlohmann::json& config) const {
  ArgocdUpdateConfig parsed;
  std::vector<Violation> violations = ParseArgocdUpdateConfig(config, parsed);
  if (!violations.empty()) return {std::move(violations), nullptr};
  return {{}, std::make_unique<const UpdateStep>(std::move(parsed))};
}

}  // namespace gantry::steps
