// SPDX-License-Identifier: Apache-2.0
#include "server/steps/recording.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace gantry::steps {
namespace {

bool HasEnded(v1::StepStatus status) {
  return status == v1::STEP_STATUS_SUCCEEDED || status == v1::STEP_STATUS_FAILED;
}

// The promotion is the current one, or none ever was: it takes nobody's place.
bool IsCurrent(const stages::StageRecord& record, const StepIdentity& identity) {
  return record.promotion.name.empty() || record.promotion.name == identity.promotion;
}

bool AnyNewlyDone(const StepPlan& plan, const StepIdentity& identity,
                  const stages::StageRecord& record) {
  return std::any_of(
      plan.applications.begin(), plan.applications.end(), [&](const ApplicationPlan& application) {
        return application.verdict == Verdict::kDone &&
               !stages::AttemptsOf(record, identity.promotion, identity.step, identity.config_hash,
                                   application.application->name)
                    .done;
      });
}

// With `reserve`, the attempt about to be made too.
void RecordApplication(const ApplicationPlan& plan, bool reserve, stages::StepRecord& step) {
  stages::ApplicationRecord& application = stages::EnsureApplication(step, plan.application->name);
  application.attempts = plan.attempts;
  application.desired_revisions = plan.desired_revisions;
  if (reserve && plan.write) application.attempts.last = plan.write->attempt;
}

// The step with all that this call has seen of its Applications.
stages::StepRecord& EnsureRecorded(const StepPlan& plan, bool reserve, const StepIdentity& identity,
                                   stages::StageRecord& record) {
  stages::MakeCurrent(record, identity.promotion);
  stages::StepRecord& step =
      stages::EnsureStep(record, identity.step, identity.uses, identity.config_hash);
  for (const ApplicationPlan& application : plan.applications) {
    if (application.verdict != Verdict::kSkipped) RecordApplication(application, reserve, step);
  }
  return step;
}

// An Application that the step matched in an earlier call and does not match any more is not part
// of its success.
void ForgetOthers(const StepPlan& plan, stages::StepRecord& step) {
  std::vector<argocd::ApplicationName> names = plan.Names();
  std::sort(names.begin(), names.end());
  std::erase_if(step.applications, [&](const stages::ApplicationRecord& application) {
    return !std::binary_search(names.begin(), names.end(), application.name);
  });
}

void RegisterHealthChecks(const StepPlan& plan, stages::StageRecord& record) {
  for (const ApplicationPlan& application : plan.applications) {
    if (application.verdict == Verdict::kSkipped) continue;
    const argocd::Application& seen = *application.application;
    stages::RegisterHealthCheck(
        record,
        {.application = seen.name,
         .promotion = "",
         .desired_revisions = application.desired_revisions,
         .resource_version = seen.resource_version,
         .finished_at = seen.operation_state ? seen.operation_state->finished_at : std::nullopt});
  }
}

bool RecordChange(const StepPlan& plan, const Conclusion& conclusion, const StepIdentity& identity,
                  absl::Time now, stages::StageRecord& record) {
  const bool newly_done = AnyNewlyDone(plan, identity, record);
  if (conclusion.status == v1::STEP_STATUS_ERRORED) {
    // What was seen done is kept; a promotion that is not the current one does not become it.
    if (!newly_done || record.promotion.name != identity.promotion) return false;
    EnsureRecorded(plan, /*reserve=*/false, identity, record);
    return true;
  }
  if (conclusion.status == v1::STEP_STATUS_RUNNING) {
    if (!newly_done && !plan.Any(Verdict::kWrites)) return false;
    stages::RecordAnswer(record, EnsureRecorded(plan, /*reserve=*/true, identity, record),
                         conclusion.status, v1::STEP_REASON_OPERATION_RUNNING, "", now);
    return true;
  }
  stages::StepRecord& step = EnsureRecorded(plan, /*reserve=*/false, identity, record);
  if (conclusion.status == v1::STEP_STATUS_SUCCEEDED) {
    ForgetOthers(plan, step);
    RegisterHealthChecks(plan, record);
  }
  stages::RecordAnswer(record, step, conclusion.status, conclusion.reason, conclusion.message, now);
  return true;
}

bool RecordLook(const StepPlan& plan, const Conclusion& conclusion, const StepIdentity& identity,
                absl::Time now, stages::StageRecord& record) {
  if (plan.refusal) return false;
  const bool current = IsCurrent(record, identity);
  if (!current && !HasEnded(conclusion.status)) return false;
  const stages::StepRecord* known = FindRecorded(record, identity);
  if (known != nullptr && known->status == conclusion.status) return false;
  if (!current) {
    stages::StepRecord ended{.step = identity.step,
                             .uses = identity.uses,
                             .config_hash = identity.config_hash,
                             .status = conclusion.status,
                             .reason = conclusion.reason,
                             .message = stages::CutMessage(conclusion.message),
                             .applications = {}};
    for (const ApplicationPlan& application : plan.applications) {
      RecordApplication(application, /*reserve=*/false, ended);
    }
    stages::RecordEndedWait(record, identity.promotion, std::move(ended));
    return true;
  }
  stages::MakeCurrent(record, identity.promotion);
  stages::StepRecord& step =
      stages::EnsureStep(record, identity.step, identity.uses, identity.config_hash);
  step.applications.clear();
  for (const ApplicationPlan& application : plan.applications) {
    RecordApplication(application, /*reserve=*/false, step);
  }
  stages::RecordAnswer(record, step, conclusion.status, conclusion.reason, conclusion.message, now);
  return true;
}

}  // namespace

const stages::StepRecord* FindRecorded(const stages::StageRecord& record,
                                       const StepIdentity& identity) {
  const stages::StepRecord* step =
      identity.changes_applications || IsCurrent(record, identity)
          ? stages::FindStep(record, identity.promotion, identity.step)
          : stages::FindEndedWait(record, identity.promotion, identity.step);
  return step != nullptr && step->config_hash == identity.config_hash ? step : nullptr;
}

const stages::StepRecord* FindEnded(const stages::StageRecord& record,
                                    const StepIdentity& identity) {
  const stages::StepRecord* step = FindRecorded(record, identity);
  return step != nullptr && HasEnded(step->status) ? step : nullptr;
}

bool RecordPlan(const StepPlan& plan, const Conclusion& conclusion, const StepIdentity& identity,
                absl::Time now, stages::StageRecord& record) {
  return identity.changes_applications ? RecordChange(plan, conclusion, identity, now, record)
                                       : RecordLook(plan, conclusion, identity, now, record);
}

bool IsStillReserved(const stages::StageRecord& record, const StepIdentity& identity,
                     const argocd::ApplicationName& name, int attempt) {
  const stages::StepRecord* step = FindRecorded(record, identity);
  if (step == nullptr || step->status != v1::STEP_STATUS_RUNNING) return false;
  const stages::ApplicationRecord* application = stages::FindApplication(*step, name);
  return application != nullptr && !application->attempts.done &&
         application->attempts.last >= attempt;
}

}  // namespace gantry::steps
