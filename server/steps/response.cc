// SPDX-License-Identifier: Apache-2.0
#include "server/steps/response.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/strings.h"
#include "server/health/health_check_input.h"
#include "server/steps/config/struct_json.h"

namespace gantry::steps {
namespace {

using nlohmann::json;

constexpr absl::Duration kRunningRetry = absl::Seconds(5);
constexpr absl::Duration kErroredRetry = absl::Seconds(30);

// {"apps": [{"name", "namespace"}, ...]}, in one order, so that a response from the record is the
// same.
json AppsOutput(std::vector<argocd::ApplicationName> names) {
  std::sort(names.begin(), names.end());
  json apps = json::array();
  for (const argocd::ApplicationName& name : names) {
    apps.push_back({{"name", name.name}, {"namespace", name.ns}});
  }
  return {{"apps", std::move(apps)}};
}

void SetActionOf(const ApplicationPlan& plan, bool dry_run, v1::ApplicationOutcome& outcome) {
  switch (plan.verdict) {
    case Verdict::kDone:
      outcome.set_action(v1::ApplicationOutcome::ACTION_NONE);
      break;
    case Verdict::kWaits:
      outcome.set_action(v1::ApplicationOutcome::ACTION_WAITED);
      break;
    case Verdict::kWrites:
      if (!dry_run) break;
      outcome.set_action(v1::ApplicationOutcome::ACTION_SYNC_STARTED);
      outcome.set_message(base::StrCat("dry run, not written: ", plan.message));
      outcome.set_patch(plan.write->patch);
      break;
    default:
      break;
  }
}

void SetOutcome(const ApplicationPlan& plan, const std::string* written, bool dry_run,
                v1::ApplicationOutcome& outcome) {
  const argocd::Application& application = *plan.application;
  outcome.set_namespace_(application.name.ns);
  outcome.set_name(application.name.name);
  outcome.set_message(plan.message);
  if (plan.verdict == Verdict::kSkipped) {
    if (!plan.by_name) outcome.set_action(v1::ApplicationOutcome::ACTION_SKIPPED);
    return;
  }
  if (application.operation_state) {
    outcome.set_operation_phase(application.operation_state->phase.str());
  }
  outcome.mutable_desired_revisions()->Add(plan.desired_revisions.begin(),
                                           plan.desired_revisions.end());
  if (written == nullptr) return SetActionOf(plan, dry_run, outcome);
  outcome.set_action(v1::ApplicationOutcome::ACTION_SYNC_STARTED);
  outcome.set_patch(*written);
  // What was read is the state of an earlier operation, and the patch removed it.
  if (plan.verdict == Verdict::kWrites) outcome.clear_operation_phase();
}

}  // namespace

v1::RunStepResponse MakeResponse(v1::StepStatus status, v1::StepReason reason,
                                 std::string message) {
  v1::RunStepResponse response;
  response.set_status(status);
  response.set_reason(reason);
  response.set_message(std::move(message));
  if (status == v1::STEP_STATUS_RUNNING) SetRetryAfter(kRunningRetry, response);
  if (status == v1::STEP_STATUS_ERRORED) SetRetryAfter(kErroredRetry, response);
  return response;
}

void SetRetryAfter(absl::Duration delay, v1::RunStepResponse& response) {
  *response.mutable_retry_after() =
      google::protobuf::util::TimeUtil::NanosecondsToDuration(absl::ToInt64Nanoseconds(delay));
}

v1::RunStepResponse InvalidConfig(const std::vector<Violation>& violations) {
  const Violation& first = violations.front();
  v1::RunStepResponse response = MakeResponse(
      v1::STEP_STATUS_FAILED, v1::STEP_REASON_INVALID_CONFIG,
      base::StrCat(
          "the configuration is not valid: ", first.field, first.field.empty() ? "" : ": ",
          first.description,
          violations.size() > 1 ? base::StrCat(" (and ", violations.size() - 1, " more)") : ""));
  for (const Violation& violation : violations) {
    v1::ConfigViolation& added = *response.add_violations();
    added.set_field(violation.field);
    added.set_description(violation.description);
  }
  return response;
}

v1::RunStepResponse Superseded(std::string_view promotion, std::string_view newer) {
  return MakeResponse(v1::STEP_STATUS_ABORTED, v1::STEP_REASON_PROMOTION_SUPERSEDED,
                      base::StrCat("promotion ", promotion, " was superseded by promotion ", newer,
                                   "; it writes nothing any more"));
}

void AddOutcomes(const StepPlan& plan,
                 const std::map<argocd::ApplicationName, std::string>& written, bool dry_run,
                 v1::RunStepResponse& response) {
  for (const ApplicationPlan& application : plan.applications) {
    const auto patch = written.find(application.application->name);
    SetOutcome(application, patch == written.end() ? nullptr : &patch->second, dry_run,
               *response.add_applications());
  }
  json output = AppsOutput(plan.Names());
  output.update(plan.output);
  *response.mutable_output() = ToStruct(output);
}

v1::HealthCheck HealthCheckOf(std::string_view uses, const stages::StepRecord& step) {
  std::vector<health::CheckedApplication> checked;
  for (const stages::ApplicationRecord& application : step.applications) {
    checked.push_back({application.name, application.desired_revisions});
  }
  v1::HealthCheck check;
  check.set_uses(std::string(uses));
  *check.mutable_input() = health::ToInput(checked);
  return check;
}

v1::RunStepResponse RecordedResponse(const stages::StepRecord& step, const StepIdentity& identity,
                                     const cache::Caches& caches) {
  v1::RunStepResponse response = MakeResponse(step.status, step.reason, step.message);
  std::vector<argocd::ApplicationName> names;
  json health = json::object();
  for (const stages::ApplicationRecord& application : step.applications) {
    v1::ApplicationOutcome& outcome = *response.add_applications();
    outcome.set_namespace_(application.name.ns);
    outcome.set_name(application.name.name);
    if (application.attempts.done) {
      outcome.set_action(v1::ApplicationOutcome::ACTION_NONE);
      outcome.set_message(identity.changes_applications ? "was done before, as recorded"
                                                        : "was ready before, as recorded");
    }
    outcome.mutable_desired_revisions()->Add(application.desired_revisions.begin(),
                                             application.desired_revisions.end());
    names.push_back(application.name);
    const auto known = caches.FindFresh(application.name);
    if (known != nullptr) health[ToString(known->name)] = known->health_status.str();
  }
  json output = AppsOutput(std::move(names));
  if (identity.changes_applications) {
    if (step.status == v1::STEP_STATUS_SUCCEEDED) {
      *response.mutable_health_check() = HealthCheckOf(identity.uses, step);
    }
  } else {
    output["healthStatus"] = std::move(health);
  }
  *response.mutable_output() = ToStruct(output);
  return response;
}

}  // namespace gantry::steps
