// SPDX-License-Identifier: Apache-2.0
#include "server/steps/argocd_wait/argocd_wait.h"

#include <algorithm>
#include <utility>

#include "server/steps/argocd_wait/config.h"
#include "server/steps/argocd_wait/evaluate.h"

namespace gantry::steps {
namespace {

using WaitKind = WaitVerdict::Kind;

// Argo CD's health of an Application in the step's previous output; empty when there is none.
std::string PreviousHealth(const nlohmann::json& previous_output,
                           const argocd::ApplicationName& name) {
  const auto health = previous_output.find("healthStatus");
  if (health == previous_output.end() || !health->is_object()) return "";
  const auto found = health->find(ToString(name));
  return found != health->end() && found->is_string() ? found->get<std::string>() : "";
}

void Apply(WaitVerdict verdict, const Candidate& candidate, ApplicationPlan& plan) {
  plan.message = std::move(verdict.message);
  switch (verdict.kind) {
    case WaitKind::kReady:
      plan.verdict = Verdict::kDone;
      plan.attempts.done = true;
      break;
    case WaitKind::kNotReady:
      plan.verdict = Verdict::kWaits;
      plan.reason = v1::STEP_REASON_NOT_READY;
      break;
    case WaitKind::kCondition:
      plan.verdict = Verdict::kFails;
      plan.reason = v1::STEP_REASON_APPLICATION_CONDITION;
      break;
    case WaitKind::kRegressed:
      plan.verdict = Verdict::kFails;
      plan.reason = v1::STEP_REASON_HEALTH_REGRESSED;
      break;
  }
  const argocd::Application& application = *candidate.application;
  plan.wants_refresh = verdict.wants_refresh && !application.refresh &&
                       !application.skip_reconcile && candidate.authorization.authorized;
}

class WaitStep final : public Step {
 public:
  explicit WaitStep(ArgocdWaitConfig config) : config_(std::move(config)) {}

  const std::vector<ApplicationSelection>& selections() const override { return config_.apps; }

  StepPlan Evaluate(const StepInput& input) const override {
    StepPlan plan;
    plan.success = "all Applications are ready";
    nlohmann::json health = nlohmann::json::object();
    for (const Candidate& candidate : input.candidates) {
      const argocd::Application& application = *candidate.application;
      ApplicationPlan& made = plan.applications.emplace_back();
      made.application = candidate.application;
      made.by_name = candidate.by_name;
      Apply(EvaluateWait(application, config_.wait_for,
                         PreviousHealth(input.previous_output, application.name)),
            candidate, made);
      health[ToString(application.name)] = application.health_status.str();
    }
    std::sort(plan.applications.begin(), plan.applications.end(),
              [](const ApplicationPlan& a, const ApplicationPlan& b) {
                return a.application->name < b.application->name;
              });
    plan.output["healthStatus"] = std::move(health);
    return plan;
  }

 private:
  const ArgocdWaitConfig config_;
};

}  // namespace

std::string_view ArgocdWait::description() const {
  return "Waits until Argo CD Applications are as asked for: their operation ended, synced, "
         "healthy. Fails when Argo CD reports an error condition, or when an Application becomes "
         "Degraded while its health is awaited. Changes nothing.";
}

std::string_view ArgocdWait::config_schema() const { return ArgocdWaitConfigSchema(); }

StepKind::Parsed ArgocdWait::Parse(const nlohmann::json& config) const {
  ArgocdWaitConfig parsed;
  std::vector<Violation> violations = ParseArgocdWaitConfig(config, parsed);
  if (!violations.empty()) return {std::move(violations), nullptr};
  return {{}, std::make_unique<const WaitStep>(std::move(parsed))};
}

}  // namespace gantry::steps
