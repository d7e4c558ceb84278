// SPDX-License-Identifier: Apache-2.0
#include "server/stages/stage_status.h"

#include "server/base/strings.h"
#include "server/stages/enum_names.h"
#include "server/stages/stage_record.h"

namespace gantry::stages {
namespace {

using nlohmann::json;

const json* ArrayAt(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_array() ? &*found : nullptr;
}

std::string TextAt(const json& object, const char* key) {
  if (!object.is_object()) return "";
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

StageStatus StatusFromJson(const json& object) {
  StageStatus status;
  if (!object.is_object()) return status;
  status.state =
      HealthStateFromWord(TextAt(object, "state")).value_or(v1::HEALTH_STATE_UNSPECIFIED);
  if (const json* issues = ArrayAt(object, "issues")) {
    for (const json& issue : *issues) {
      if (issue.is_string()) status.issues.push_back(issue.get<std::string>());
    }
  }
  if (const json* applications = ArrayAt(object, "applications")) {
    for (const json& application : *applications) {
      status.applications.push_back(
          {{TextAt(application, "namespace"), TextAt(application, "name")},
           HealthStateFromWord(TextAt(application, "state"))
               .value_or(v1::HEALTH_STATE_UNSPECIFIED)});
    }
  }
  absl::Time time;
  if (absl::ParseTime(absl::RFC3339_full, TextAt(object, "transitionTime"), &time, nullptr) &&
      time != absl::InfiniteFuture() && time != absl::InfinitePast()) {
    status.transition_time = time;
  }
  return status;
}

json ToJson(const StageStatus& status) {
  json applications = json::array();
  for (const StageStatus::Application& application : status.applications) {
    applications.push_back({{"namespace", application.name.ns},
                            {"name", application.name.name},
                            {"state", ToWord(application.state)}});
  }
  json object = {{"state", ToWord(status.state)},
                 {"issues", status.issues},
                 {"applications", std::move(applications)}};
  if (status.transition_time) {
    object["transitionTime"] =
        absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", *status.transition_time, absl::UTCTimeZone());
  }
  return object;
}

StageStatus NextStatus(const v1::StageHealth& health, const StageStatus& stored, absl::Time now) {
  StageStatus next;
  next.state = health.state();
  for (const std::string& issue : health.issues()) {
    if (next.issues.size() == kMaxStatusIssues) break;
    next.issues.push_back(CutMessage(issue));
  }
  for (const v1::ApplicationHealth& application : health.applications()) {
    next.applications.push_back(
        {{application.namespace_(), application.name()}, application.state()});
  }
  next.transition_time = stored.transition_time;
  if (next.state != stored.state || !stored.transition_time) {
    next.transition_time = absl::FromUnixSeconds(absl::ToUnixSeconds(now));
  }
  return next;
}

}  // namespace gantry::stages
