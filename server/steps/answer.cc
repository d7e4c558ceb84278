// SPDX-License-Identifier: Apache-2.0
#include "server/steps/answer.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "server/stages/stage_record.h"

namespace gantry::steps {

using nlohmann::json;

google::protobuf::Duration ToProto(absl::Duration duration) {
  return google::protobuf::util::TimeUtil::NanosecondsToDuration(
      absl::ToInt64Nanoseconds(duration));
}

v1::RunStepResponse Answer(v1::StepStatus status, v1::StepReason reason, std::string message) {
  v1::RunStepResponse response;
  response.set_status(status);
  response.set_reason(reason);
  response.set_message(std::move(message));
  if (status == v1::STEP_STATUS_RUNNING) *response.mutable_retry_after() = ToProto(kRunningRetry);
  if (status == v1::STEP_STATUS_ERRORED) *response.mutable_retry_after() = ToProto(kErroredRetry);
  return response;
}

v1::RunStepResponse InvalidConfig(const std::vector<Violation>& violations) {
  const Violation& first = violations.front();
  v1::RunStepResponse response = Answer(
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

json AppsOutput(std::vector<argocd::ApplicationName> names) {
  std::sort(names.begin(), names.end());
  json apps = json::array();
  for (const argocd::ApplicationName& name : names) {
    apps.push_back({{"name", name.name}, {"namespace", name.ns}});
  }
  return {{"apps", std::move(apps)}};
}

std::string HashOfConfig(const json& config) {
  // Keys are sorted, so equal configurations have equal text.
  return stages::HashOf(config.dump(-1, ' ', false, json::error_handler_t::replace));
}

}  // namespace gantry::steps
