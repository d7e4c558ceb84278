// SPDX-License-Identifier: Apache-2.0
#include "server/stages/stage_record_json.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/strings.h"
#include "base/text.h"
#include "server/stages/enum_names.h"

namespace gantry::stages {
namespace {

using nlohmann::json;
using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::element_type;
using simdjson::dom::object;

constexpr std::int64_t kMaxAttempts = 1'000'000;

std::string_view TypeName(element value) {
  switch (value.type()) {
    case element_type::ARRAY:
      return "an array";
    case element_type::OBJECT:
      return "an object";
    case element_type::INT64:
    case element_type::UINT64:
    case element_type::DOUBLE:
      return "a number";
    case element_type::STRING:
      return "a string";
    case element_type::BOOL:
      return "a boolean";
    case element_type::NULL_VALUE:
      return "null";
  }
  return "of no known type";
}

// Reads the fields of a spec and keeps the first thing that is wrong, so that what reads a record
// stays a plain list of its fields. Lives for one ReadRecord.
class SpecReader {
 public:
  const std::string& error() const { return error_; }

  // Of a field that is not there: the empty value.
  std::string Text(object parent, std::string_view key) {
    const std::optional<element> found = Find(parent, key);
    return found ? TextOf(*found, key) : "";
  }
  std::string RequiredText(object parent, std::string_view key) {
    if (!Find(parent, key)) Fail(base::StrCat("a field ", key, " is missing"));
    return Text(parent, key);
  }
  bool Boolean(object parent, std::string_view key) {
    const std::optional<element> found = Find(parent, key);
    bool value = false;
    if (found && found->get(value) != simdjson::SUCCESS) Expected(*found, key, "a boolean");
    return value;
  }
  // A count of attempts. Others may have written it; a number that nobody ever counts to is as
  // good as the largest that somebody does.
  int Count(object parent, std::string_view key) {
    const std::optional<element> found = Find(parent, key);
    if (!found) return 0;
    double number = 0;
    if (found->get(number) != simdjson::SUCCESS) Expected(*found, key, "a number");
    return static_cast<int>(std::clamp(number, 0.0, static_cast<double>(kMaxAttempts)));
  }
  absl::Time Time(object parent, std::string_view key) {
    const std::string text = Text(parent, key);
    absl::Time time = absl::UnixEpoch();
    std::string error;
    if (!text.empty() && !absl::ParseTime(absl::RFC3339_full, text, &time, &error)) {
      Fail(base::StrCat("its field ", key, " is \"", text, "\", expected an RFC 3339 time"));
    }
    return time;
  }
  std::optional<absl::Time> OptionalTime(object parent, std::string_view key) {
    if (!Find(parent, key)) return std::nullopt;
    return Time(parent, key);
  }
  template <typename Enum>
  Enum Word(object parent, std::string_view key,
            std::optional<Enum> (*from_word)(std::string_view)) {
    const std::string word = Text(parent, key);
    if (word.empty()) return static_cast<Enum>(0);
    const std::optional<Enum> value = from_word(word);
    if (!value) Fail(base::StrCat("its field ", key, " is \"", word, "\", not a known value"));
    return value.value_or(static_cast<Enum>(0));
  }
  std::vector<std::string> Texts(object parent, std::string_view key) {
    std::vector<std::string> texts;
    Elements(parent, key, [&](element entry) { texts.push_back(TextOf(entry, key)); });
    return texts;
  }
  template <typename Take>
  void Objects(object parent, std::string_view key, const Take& take) {
    Elements(parent, key, [&](element entry) {
      object read;
      if (entry.get(read) == simdjson::SUCCESS) {
        take(read);
      } else {
        Expected(entry, key, "objects");
      }
    });
  }
  template <typename Take>
  void Object(object parent, std::string_view key, const Take& take) {
    const std::optional<element> found = Find(parent, key);
    object read;
    if (!found) return;
    if (found->get(read) == simdjson::SUCCESS) {
      take(read);
    } else {
      Expected(*found, key, "an object");
    }
  }

 private:
  static std::optional<element> Find(object parent, std::string_view key) {
    element found;
    if (parent.at_key(key).get(found) != simdjson::SUCCESS) return std::nullopt;
    return found;
  }
  std::string TextOf(element value, std::string_view key) {
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS) Expected(value, key, "a string");
    return std::string(text);
  }
  template <typename Take>
  void Elements(object parent, std::string_view key, const Take& take) {
    const std::optional<element> found = Find(parent, key);
    if (!found || found->is_null()) return;
    array read;
    if (found->get(read) != simdjson::SUCCESS) {
      return Fail(base::StrCat("its field ", key, " is not an array"));
    }
    for (const element entry : read) take(entry);
  }
  void Expected(element value, std::string_view key, std::string_view what) {
    Fail(base::StrCat("its field ", key, " is or has ", TypeName(value), ", expected ", what));
  }
  void Fail(std::string error) {
    if (error_.empty()) error_ = std::move(error);
  }

  std::string error_;
};

// Of entries with one name the last counts.
template <typename Entry, typename NameOf>
void SortByName(std::vector<Entry>& entries, const NameOf& name_of) {
  std::stable_sort(entries.begin(), entries.end(),
                   [&](const Entry& a, const Entry& b) { return name_of(a) < name_of(b); });
  std::vector<Entry> unique;
  for (Entry& entry : entries) {
    if (!unique.empty() && name_of(unique.back()) == name_of(entry)) {
      unique.back() = std::move(entry);
    } else {
      unique.push_back(std::move(entry));
    }
  }
  entries = std::move(unique);
}

argocd::ApplicationName ReadName(SpecReader& read, object fields) {
  return {read.RequiredText(fields, "namespace"), read.RequiredText(fields, "name")};
}

StepRecord ReadStep(SpecReader& read, object fields) {
  StepRecord step;
  step.step = read.RequiredText(fields, "name");
  step.uses = read.Text(fields, "uses");
  step.config_hash = read.Text(fields, "configHash");
  step.status = read.Word(fields, "status", StepStatusFromWord);
  // A newer version may know more reasons; they decide nothing.
  step.reason =
      StepReasonFromWord(read.Text(fields, "reason")).value_or(v1::STEP_REASON_UNSPECIFIED);
  step.message = read.Text(fields, "message");
  read.Objects(fields, "applications", [&](object application) {
    step.applications.push_back({.name = ReadName(read, application),
                                 .attempts = {.earlier = read.Count(application, "earlierAttempts"),
                                              .last = read.Count(application, "attempt"),
                                              .unmade = read.Count(application, "unmadeAttempts"),
                                              .done = read.Boolean(application, "done")},
                                 .desired_revisions = read.Texts(application, "desiredRevisions")});
  });
  SortByName(step.applications,
             [](const ApplicationRecord& application) { return application.name; });
  return step;
}

HealthCheckRecord ReadHealthCheck(SpecReader& read, object fields) {
  return {.application = ReadName(read, fields),
          .promotion = read.Text(fields, "promotion"),
          .desired_revisions = read.Texts(fields, "desiredRevisions"),
          .resource_version = read.Text(fields, "resourceVersion"),
          .finished_at = read.OptionalTime(fields, "finishedAt")};
}

IndicatorRecord ReadIndicator(SpecReader& read, object fields) {
  return {.name = read.RequiredText(fields, "name"),
          .state = read.Word(fields, "state", HealthStateFromWord),
          .message = read.Text(fields, "message"),
          .report_time = read.Time(fields, "reportTime"),
          .expire_time = read.OptionalTime(fields, "expireTime")};
}

StageRecord ReadFields(SpecReader& read, object spec) {
  StageRecord record;
  record.project = read.Text(spec, "project");
  record.stage = read.Text(spec, "stage");
  read.Object(spec, "promotion", [&](object promotion) {
    record.promotion = {.name = read.RequiredText(promotion, "name"),
                        .phase = read.Word(promotion, "phase", PromotionPhaseFromWord),
                        .message = read.Text(promotion, "message"),
                        .update_time = read.Time(promotion, "updateTime"),
                        .reported = read.Boolean(promotion, "reported")};
  });
  read.Objects(spec, "steps", [&](object step) { record.steps.push_back(ReadStep(read, step)); });
  read.Objects(spec, "healthChecks",
               [&](object check) { record.health_checks.push_back(ReadHealthCheck(read, check)); });
  read.Objects(spec, "endedWaits", [&](object ended) {
    record.ended_waits.push_back(
        {.promotion = read.RequiredText(ended, "promotion"), .step = ReadStep(read, ended)});
  });
  record.superseded_promotions = read.Texts(spec, "supersededPromotions");
  read.Objects(spec, "indicators", [&](object indicator) {
    record.indicators.push_back(ReadIndicator(read, indicator));
  });
  // The rules rely on the order, and on each name occurring once; others may have written it.
  SortByName(record.health_checks,
             [](const HealthCheckRecord& check) { return check.application; });
  SortByName(record.indicators, [](const IndicatorRecord& indicator) { return indicator.name; });
  // Without a name there is no promotion, whatever else is said of it.
  if (record.promotion.name.empty()) record.promotion = PromotionRecord();
  return record;
}

json ToJson(const StepRecord& step) {
  json applications = json::array();
  for (const ApplicationRecord& application : step.applications) {
    applications.push_back({{"namespace", application.name.ns},
                            {"name", application.name.name},
                            {"earlierAttempts", application.attempts.earlier},
                            {"attempt", application.attempts.last},
                            {"unmadeAttempts", application.attempts.unmade},
                            {"done", application.attempts.done},
                            {"desiredRevisions", application.desired_revisions}});
  }
  return {{"name", step.step},
          {"uses", step.uses},
          {"configHash", step.config_hash},
          {"status", ToWord(step.status)},
          {"reason", ToWord(step.reason)},
          {"message", step.message},
          {"applications", std::move(applications)}};
}

json ToJson(const HealthCheckRecord& check) {
  json written = {{"namespace", check.application.ns},
                  {"name", check.application.name},
                  {"promotion", check.promotion},
                  {"desiredRevisions", check.desired_revisions}};
  if (!check.resource_version.empty()) written["resourceVersion"] = check.resource_version;
  if (check.finished_at) written["finishedAt"] = base::UtcTime(*check.finished_at);
  return written;
}

// An ended step has made no attempts, and its revisions are not kept: there are none to write.
json ToJson(const EndedWaitRecord& ended) {
  json written = ToJson(ended.step);
  written["promotion"] = ended.promotion;
  json& applications = written["applications"] = json::array();
  for (const ApplicationRecord& application : ended.step.applications) {
    applications.push_back({{"namespace", application.name.ns},
                            {"name", application.name.name},
                            {"done", application.attempts.done}});
  }
  return written;
}

json ToJson(const IndicatorRecord& indicator) {
  json written = {
      {"name", indicator.name}, {"state", ToWord(indicator.state)}, {"message", indicator.message}};
  // The epoch stands for a time that is not known.
  if (indicator.report_time != absl::UnixEpoch()) {
    written["reportTime"] = base::UtcTime(indicator.report_time);
  }
  if (indicator.expire_time) written["expireTime"] = base::UtcTime(*indicator.expire_time);
  return written;
}

template <typename Record>
json ToArray(const std::vector<Record>& records) {
  json written = json::array();
  for (const Record& record : records) written.push_back(ToJson(record));
  return written;
}

}  // namespace

absl::StatusOr<StageRecord> ReadRecord(simdjson::padded_string_view spec) {
  // Its memory is used again for the next record.
  thread_local simdjson::dom::parser parser;
  element document;
  if (const auto error = parser.parse(spec).get(document)) {
    return absl::InvalidArgumentError(
        base::StrCat("its spec is not JSON: ", simdjson::error_message(error)));
  }
  object fields;
  if (document.get(fields) != simdjson::SUCCESS) {
    return absl::InvalidArgumentError("its spec is not an object");
  }
  SpecReader read;
  StageRecord record = ReadFields(read, fields);
  if (!read.error().empty()) return absl::InvalidArgumentError(read.error());
  return record;
}

json WriteRecord(const StageRecord& record) {
  json spec = {{"project", record.project},
               {"stage", record.stage},
               {"steps", ToArray(record.steps)},
               {"healthChecks", ToArray(record.health_checks)},
               {"supersededPromotions", record.superseded_promotions},
               {"endedWaits", ToArray(record.ended_waits)},
               {"indicators", ToArray(record.indicators)}};
  if (!record.promotion.name.empty()) {
    spec["promotion"] = {{"name", record.promotion.name},
                         {"phase", ToWord(record.promotion.phase)},
                         {"message", record.promotion.message},
                         {"updateTime", base::UtcTime(record.promotion.update_time)},
                         {"reported", record.promotion.reported}};
  }
  return spec;
}

}  // namespace gantry::stages
