// SPDX-License-Identifier: Apache-2.0
#include "server/steps/step_plan.h"

#include <algorithm>
#include <initializer_list>

#include "base/strings.h"
#include "base/text.h"

namespace gantry::steps {
namespace {

std::string MessagesOf(const StepPlan& plan, std::initializer_list<Verdict> verdicts) {
  std::vector<std::string> messages;
  for (const ApplicationPlan& application : plan.applications) {
    if (std::find(verdicts.begin(), verdicts.end(), application.verdict) != verdicts.end()) {
      messages.push_back(application.message);
    }
  }
  return base::FirstThreeClauses(std::move(messages));
}

// An operation of our own says more about a step than one of somebody else, and both more than a
// point in time.
int Rank(v1::StepReason reason) {
  switch (reason) {
    case v1::STEP_REASON_OPERATION_RUNNING:
      return 0;
    case v1::STEP_REASON_OTHER_OPERATION_RUNNING:
      return 1;
    default:
      return 2;
  }
}

Conclusion Running(const StepPlan& plan) {
  Conclusion conclusion{.status = v1::STEP_STATUS_RUNNING,
                        .message = MessagesOf(plan, {Verdict::kWaits, Verdict::kWrites})};
  for (const ApplicationPlan& application : plan.applications) {
    if (application.verdict != Verdict::kWaits && application.verdict != Verdict::kWrites) continue;
    if (conclusion.reason == v1::STEP_REASON_UNSPECIFIED ||
        Rank(application.reason) < Rank(conclusion.reason)) {
      conclusion.reason = application.reason;
    }
    if (application.due) {
      conclusion.due =
          conclusion.due ? std::min(*conclusion.due, *application.due) : *application.due;
    }
  }
  return conclusion;
}

}  // namespace

const ApplicationPlan* StepPlan::First(Verdict verdict) const {
  const auto found =
      std::find_if(applications.begin(), applications.end(),
                   [&](const ApplicationPlan& plan) { return plan.verdict == verdict; });
  return found == applications.end() ? nullptr : &*found;
}

std::vector<argocd::ApplicationName> StepPlan::Names() const {
  std::vector<argocd::ApplicationName> names;
  for (const ApplicationPlan& plan : applications) {
    if (plan.verdict != Verdict::kSkipped) names.push_back(plan.application->name);
  }
  return names;
}

Conclusion Conclude(const StepPlan& plan) {
  if (plan.refusal) {
    return {v1::STEP_STATUS_ERRORED, plan.refusal.reason, plan.refusal.message, std::nullopt};
  }
  if (const ApplicationPlan* failed = plan.First(Verdict::kFails)) {
    return {v1::STEP_STATUS_FAILED, failed->reason, MessagesOf(plan, {Verdict::kFails}),
            std::nullopt};
  }
  if (const ApplicationPlan* errored = plan.First(Verdict::kErrors)) {
    return {v1::STEP_STATUS_ERRORED, errored->reason, MessagesOf(plan, {Verdict::kErrors}),
            std::nullopt};
  }
  if (plan.Any(Verdict::kWaits) || plan.Any(Verdict::kWrites)) return Running(plan);
  std::vector<std::string> names;
  for (const argocd::ApplicationName& name : plan.Names()) names.push_back(ToString(name));
  return {v1::STEP_STATUS_SUCCEEDED, v1::STEP_REASON_UNSPECIFIED,
          base::StrCat(plan.success, ": ", base::FirstThree(names)), std::nullopt};
}

}  // namespace gantry::steps
