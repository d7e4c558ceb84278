// SPDX-License-Identifier: Apache-2.0
#include "server/stages/stage_status.h"

#include <algorithm>

#include "base/text.h"
#include "server/stages/enum_names.h"
#include "server/stages/stage_record.h"

namespace gantry::stages {
namespace {

using nlohmann::json;
using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

std::string TextIn(object parent, std::string_view key) {
  std::string_view text;
  return parent.at_key(key).get(text) == simdjson::SUCCESS ? std::string(text) : "";
}

v1::HealthState StateIn(object parent) {
  return HealthStateFromWord(TextIn(parent, "state")).value_or(v1::HEALTH_STATE_UNSPECIFIED);
}

std::optional<absl::Time> TimeIn(object parent, std::string_view key) {
  absl::Time time;
  if (!absl::ParseTime(absl::RFC3339_full, TextIn(parent, key), &time, nullptr) ||
      time == absl::InfiniteFuture() || time == absl::InfinitePast()) {
    return std::nullopt;
  }
  return time;
}

}  // namespace

StageStatus ReadStatus(simdjson::padded_string_view text) {
  // Its memory is used again for the next status.
  thread_local simdjson::dom::parser parser;
  StageStatus status;
  object fields;
  if (parser.parse(text).get(fields) != simdjson::SUCCESS) return status;
  status.state = StateIn(fields);
  array entries;
  if (fields.at_key("issues").get(entries) == simdjson::SUCCESS) {
    for (const element entry : entries) {
      std::string_view issue;
      if (entry.get(issue) == simdjson::SUCCESS) status.issues.emplace_back(issue);
    }
  }
  if (fields.at_key("applications").get(entries) == simdjson::SUCCESS) {
    for (const element entry : entries) {
      StageStatus::Application& application = status.applications.emplace_back();
      object read;
      if (entry.get(read) != simdjson::SUCCESS) continue;
      application.name = {TextIn(read, "namespace"), TextIn(read, "name")};
      application.state = StateIn(read);
      application.since = TimeIn(read, "since");
    }
  }
  status.transition_time = TimeIn(fields, "transitionTime");
  return status;
}

json WriteStatus(const StageStatus& status) {
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
