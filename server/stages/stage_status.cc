// SPDX-License-Identifier: Apache-2.0
#include "server/stages/stage_status.h"

#include <algorithm>

#include "base/text.h"
#include "server/stages/enum_names.h"
#include "server/stages/stage_record.h"

namespace gantry::stages {
namespace {

using nlohmann::json;

const json* ArrayIn(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_array() ? &*found : nullptr;
}

std::string TextIn(const json& object, const char* key) {
  if (!object.is_object()) return "";
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::optional<absl::Time> TimeIn(const json& object, const char* key) {
  absl::Time time;
  if (!absl::ParseTime(absl::RFC3339_full, TextIn(object, key), &time, nullptr) ||
      time == absl::InfiniteFuture() || time == absl::InfinitePast()) {
    return std::nullopt;
  }
  return time;
}

}  // namespace

StageStatus StatusFromJson(const json& object) {
  StageStatus status;
  if (!object.is_object()) return status;
  status.state =
      HealthStateFromWord(TextIn(object, "state")).value_or(v1::HEALTH_STATE_UNSPECIFIED);
  if (const json* issues = ArrayIn(object, "issues")) {
    for (const json& issue : *issues) {
      if (issue.is_string()) status.issues.push_back(issue.get<std::string>());
    }
  }
  if (const json* applications = ArrayIn(object, "applications")) {
    for (const json& application : *applications) {
      status.applications.push_back(
          {{TextIn(application, "namespace"), TextIn(application, "name")},
           HealthStateFromWord(TextIn(application, "state")).value_or(v1::HEALTH_STATE_UNSPECIFIED),
           TimeIn(application, "since")});
    }
  }
  status.transition_time = TimeIn(object, "transitionTime");
  return status;
}

json ToJson(const StageStatus& status) {
  json applications = json::array();
  for (const StageStatus::Application& application : status.applications) {
    json& added = applications.emplace_back(json{{"namespace", application.name.ns},
                                                 {"name", application.name.name},
                                                 {"state", ToWord(application.state)}});
    if (application.since) added["since"] = base::UtcTime(*application.since);
  }
  json object = {{"state", ToWord(status.state)},
                 {"issues", status.issues},
                 {"applications", std::move(applications)}};
  if (status.transition_time) {
    object["transitionTime"] = base::UtcTime(*status.transition_time);
  }
  return object;
}

StageStatus NextStatus(const v1::StageHealth& health, const StageStatus& stored, absl::Time now) {
  const absl::Time second = absl::FromUnixSeconds(absl::ToUnixSeconds(now));
  StageStatus next;
  next.state = health.state();
  for (const std::string& issue : health.issues()) {
    if (next.issues.size() == kMaxStatusIssues) break;
    next.issues.push_back(CutMessage(issue));
  }
  for (const v1::ApplicationHealth& application : health.applications()) {
    StageStatus::Application& added = next.applications.emplace_back();
    added.name = {application.namespace_(), application.name()};
    added.state = application.state();
    added.since = second;
    // In the order in which they were written, that is, by name.
    const auto before =
        std::lower_bound(stored.applications.begin(), stored.applications.end(), added.name,
                         [](const StageStatus::Application& known,
                            const argocd::ApplicationName& name) { return known.name < name; });
    if (before != stored.applications.end() && before->name == added.name &&
        before->state == added.state && before->since) {
      added.since = before->since;
    }
  }
  next.transition_time = stored.transition_time;
  if (next.state != stored.state || !stored.transition_time) {
    next.transition_time = second;
  }
  return next;
}

}  // namespace gantry::stages
