// SPDX-License-Identifier: Apache-2.0
#include "server/stages/stage_record.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "base/strings.h"
#include "base/text.h"
#include "server/stages/enum_names.h"

namespace gantry::stages {
namespace {

using nlohmann::json;

constexpr std::int64_t kMaxAttempts = 1'000'000;
constexpr std::string_view kArgocdWait = "argocd-wait";

// Thrown and caught in this file: the JSON library reports wrong types by exceptions anyway.
struct Malformed {
  std::string message;
};

// Records keep whole seconds, so that one read back equals the one that was written.
absl::Time WholeSecond(absl::Time time) { return absl::FromUnixSeconds(absl::ToUnixSeconds(time)); }

// The latest time that an RFC 3339 text and a protobuf Timestamp can tell.
absl::Time LatestTime() {
  return absl::FromCivil(absl::CivilSecond(9999, 12, 31, 23, 59, 59), absl::UTCTimeZone());
}

absl::Time TimeAt(const json& object, const char* key) {
  const std::string text = object.value(key, "");
  absl::Time time = absl::UnixEpoch();
  std::string error;
  if (!text.empty() && !absl::ParseTime(absl::RFC3339_full, text, &time, &error)) {
    throw Malformed{
        base::StrCat("its field ", key, " is \"", text, "\", expected an RFC 3339 time")};
  }
  return time;
}

template <typename Enum>
Enum EnumAt(const json& object, const char* key,
            std::optional<Enum> (*from_word)(std::string_view)) {
  const std::string word = object.value(key, "");
  if (word.empty()) return static_cast<Enum>(0);
  const std::optional<Enum> value = from_word(word);
  if (!value) {
    throw Malformed{base::StrCat("its field ", key, " is \"", word, "\", not a known value")};
  }
  return *value;
}

json ArrayAt(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return json::array();
  if (!found->is_array()) throw Malformed{base::StrCat("its field ", key, " is not an array")};
  return *found;
}

argocd::ApplicationName NameAt(const json& object) {
  return {object.at("namespace").get<std::string>(), object.at("name").get<std::string>()};
}

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

// A count of attempts. Others may have written it; a number that nobody ever counts to is as good
// as the largest that somebody does.
int CountAt(const json& object, const char* key) {
  return static_cast<int>(
      std::clamp<std::int64_t>(object.value(key, std::int64_t{0}), 0, kMaxAttempts));
}

StepRecord StepFromJson(const json& object) {
  StepRecord step;
  step.step = object.at("name").get<std::string>();
  step.uses = object.value("uses", "");
  step.config_hash = object.value("configHash", "");
  step.status = EnumAt(object, "status", StepStatusFromWord);
  // A newer version may know more reasons; they decide nothing.
  step.reason =
      StepReasonFromWord(object.value("reason", "")).value_or(v1::STEP_REASON_UNSPECIFIED);
  step.message = object.value("message", "");
  for (const json& application : ArrayAt(object, "applications")) {
    step.applications.push_back(
        {.name = NameAt(application),
         .attempts = {.earlier = CountAt(application, "earlierAttempts"),
                      .last = CountAt(application, "attempt"),
                      .unmade = CountAt(application, "unmadeAttempts"),
                      .done = application.value("done", false)},
         .desired_revisions =
             ArrayAt(application, "desiredRevisions").get<std::vector<std::string>>()});
  }
  SortByName(step.applications,
             [](const ApplicationRecord& application) { return application.name; });
  return step;
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

StageRecord Read(const json& spec) {
  StageRecord record;
  record.project = spec.value("project", "");
  record.stage = spec.value("stage", "");
  if (const auto promotion = spec.find("promotion"); promotion != spec.end()) {
    record.promotion = {.name = promotion->at("name").get<std::string>(),
                        .phase = EnumAt(*promotion, "phase", PromotionPhaseFromWord),
                        .message = promotion->value("message", ""),
                        .update_time = TimeAt(*promotion, "updateTime"),
                        .reported = promotion->value("reported", false)};
  }
  for (const json& step : ArrayAt(spec, "steps")) record.steps.push_back(StepFromJson(step));
  for (const json& check : ArrayAt(spec, "healthChecks")) {
    record.health_checks.push_back(
        {.application = NameAt(check),
         .promotion = check.value("promotion", ""),
         .desired_revisions = ArrayAt(check, "desiredRevisions").get<std::vector<std::string>>(),
         .resource_version = check.value("resourceVersion", "")});
    if (check.contains("finishedAt")) {
      record.health_checks.back().finished_at = TimeAt(check, "finishedAt");
    }
  }
  // The rules rely on the order, and on each name occurring once; others may have written it.
  SortByName(record.health_checks,
             [](const HealthCheckRecord& check) { return check.application; });
  for (const json& wait : ArrayAt(spec, "endedWaits")) {
    record.ended_waits.push_back(
        {.promotion = wait.at("promotion").get<std::string>(), .step = StepFromJson(wait)});
  }
  record.superseded_promotions =
      ArrayAt(spec, "supersededPromotions").get<std::vector<std::string>>();
  for (const json& indicator : ArrayAt(spec, "indicators")) {
    IndicatorRecord read{.name = indicator.at("name").get<std::string>(),
                         .state = EnumAt(indicator, "state", HealthStateFromWord),
                         .message = indicator.value("message", ""),
                         .report_time = TimeAt(indicator, "reportTime"),
                         .expire_time = std::nullopt};
    if (indicator.contains("expireTime")) read.expire_time = TimeAt(indicator, "expireTime");
    record.indicators.push_back(std::move(read));
  }
  SortByName(record.indicators, [](const IndicatorRecord& indicator) { return indicator.name; });
  // Without a name there is no promotion, whatever else is said of it.
  if (record.promotion.name.empty()) record.promotion = PromotionRecord();
  return record;
}

// RUNNING before FAILED before SUCCEEDED.
v1::PromotionPhase PhaseOf(const std::vector<StepRecord>& steps) {
  v1::PromotionPhase phase = v1::PROMOTION_PHASE_SUCCEEDED;
  for (const StepRecord& step : steps) {
    if (step.status == v1::STEP_STATUS_RUNNING) return v1::PROMOTION_PHASE_RUNNING;
    if (step.status == v1::STEP_STATUS_FAILED) phase = v1::PROMOTION_PHASE_FAILED;
  }
  return phase;
}

argocd::AttemptRecord StartAfter(int attempt) {
  argocd::AttemptRecord attempts;
  attempts.earlier = attempts.last = attempt;
  return attempts;
}

bool IsEndedWait(const StepRecord& step) {
  return step.uses == kArgocdWait &&
         (step.status == v1::STEP_STATUS_SUCCEEDED || step.status == v1::STEP_STATUS_FAILED);
}

void AddEndedWait(StageRecord& record, std::string promotion, StepRecord step) {
  auto& waits = record.ended_waits;
  std::erase_if(waits, [&](const EndedWaitRecord& wait) {
    return wait.promotion == promotion && wait.step.step == step.step;
  });
  waits.push_back({std::move(promotion), std::move(step)});
  std::size_t applications = 0;
  std::size_t kept = 0;
  while (kept < std::min(waits.size(), kMaxEndedWaits)) {
    applications += waits[waits.size() - 1 - kept].step.applications.size();
    // One that is too large by itself is kept while it is the latest.
    if (kept > 0 && applications > kMaxEndedWaitApplications) break;
    ++kept;
  }
  waits.erase(waits.begin(), waits.end() - static_cast<std::ptrdiff_t>(kept));
}

void DropChecksOfOlderPromotions(StageRecord& record) {
  const auto is_current = [&](const HealthCheckRecord& check) {
    return check.promotion == record.promotion.name;
  };
  if (std::any_of(record.health_checks.begin(), record.health_checks.end(), is_current)) {
    std::erase_if(record.health_checks, std::not_fn(is_current));
  }
}

// Where the indicator of that name is, or would have to be.
std::vector<IndicatorRecord>::iterator FindIndicator(StageRecord& record, std::string_view name) {
  return std::lower_bound(record.indicators.begin(), record.indicators.end(), name,
                          [](const IndicatorRecord& indicator, std::string_view wanted) {
                            return indicator.name < wanted;
                          });
}

}  // namespace

absl::StatusOr<StageRecord> RecordFromSpec(const json& spec) {
  if (!spec.is_object()) return absl::InvalidArgumentError("its spec is not an object");
  try {
    return Read(spec);
  } catch (const Malformed& malformed) {
    return absl::InvalidArgumentError(malformed.message);
  } catch (const json::exception& exception) {
    return absl::InvalidArgumentError(exception.what());
  }
}

void WriteRecordToSpec(const StageRecord& record, json& spec) {
  if (!spec.is_object()) spec = json::object();
  spec["project"] = record.project;
  spec["stage"] = record.stage;
  if (record.promotion.name.empty()) {
    spec.erase("promotion");
  } else {
    spec["promotion"] = {{"name", record.promotion.name},
                         {"phase", ToWord(record.promotion.phase)},
                         {"message", record.promotion.message},
                         {"updateTime", base::UtcTime(record.promotion.update_time)},
                         {"reported", record.promotion.reported}};
  }
  json& steps = spec["steps"] = json::array();
  for (const StepRecord& step : record.steps) steps.push_back(ToJson(step));
  json& checks = spec["healthChecks"] = json::array();
  for (const HealthCheckRecord& check : record.health_checks) {
    json written = {{"namespace", check.application.ns},
                    {"name", check.application.name},
                    {"promotion", check.promotion},
                    {"desiredRevisions", check.desired_revisions}};
    if (!check.resource_version.empty()) written["resourceVersion"] = check.resource_version;
    if (check.finished_at) written["finishedAt"] = base::UtcTime(*check.finished_at);
    checks.push_back(std::move(written));
  }
  spec["supersededPromotions"] = record.superseded_promotions;
  json& waits = spec["endedWaits"] = json::array();
  for (const EndedWaitRecord& wait : record.ended_waits) {
    json written = ToJson(wait.step);
    written["promotion"] = wait.promotion;
    json applications = json::array();
    for (const ApplicationRecord& application : wait.step.applications) {
      applications.push_back({{"namespace", application.name.ns},
                              {"name", application.name.name},
                              {"done", application.attempts.done}});
    }
    written["applications"] = std::move(applications);
    waits.push_back(std::move(written));
  }
  json& indicators = spec["indicators"] = json::array();
  for (const IndicatorRecord& indicator : record.indicators) {
    json written = {{"name", indicator.name},
                    {"state", ToWord(indicator.state)},
                    {"message", indicator.message}};
    // The epoch stands for a time that is not known.
    if (indicator.report_time != absl::UnixEpoch()) {
      written["reportTime"] = base::UtcTime(indicator.report_time);
    }
    if (indicator.expire_time) written["expireTime"] = base::UtcTime(*indicator.expire_time);
    indicators.push_back(std::move(written));
  }
}

std::string HashOf(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  // Cannot fail: SHA-256 is built in and the output fits.
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr);
  // 128 bits are enough that two names never meet.
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), 16));
}

bool IsSuperseded(const StageRecord& record, std::string_view promotion) {
  if (record.promotion.name == promotion) return false;
  const std::string hash = HashOf(promotion);
  return std::find(record.superseded_promotions.begin(), record.superseded_promotions.end(),
                   hash) != record.superseded_promotions.end();
}

void MakeCurrent(StageRecord& record, std::string_view promotion) {
  if (record.promotion.name == promotion) return;
  const std::string hash = HashOf(promotion);
  if (!record.promotion.name.empty()) {
    auto& superseded = record.superseded_promotions;
    superseded.push_back(HashOf(record.promotion.name));
    for (StepRecord& step : record.steps) {
      if (IsEndedWait(step)) AddEndedWait(record, superseded.back(), std::move(step));
    }
    if (superseded.size() > kMaxSupersededPromotions) superseded.erase(superseded.begin());
  }
  record.promotion = {.name = std::string(promotion),
                      .phase = v1::PROMOTION_PHASE_RUNNING,
                      .message = "",
                      .update_time = absl::UnixEpoch(),
                      .reported = false};
  record.steps.clear();
  // The waits that the promotion began with are its steps from now on.
  for (EndedWaitRecord& wait : record.ended_waits) {
    if (wait.promotion == hash) record.steps.push_back(std::move(wait.step));
  }
  std::erase_if(record.ended_waits,
                [&](const EndedWaitRecord& wait) { return wait.promotion == hash; });
}

const StepRecord* FindStep(const StageRecord& record, std::string_view promotion,
                           std::string_view step) {
  if (record.promotion.name != promotion) return nullptr;
  for (const StepRecord& candidate : record.steps) {
    if (candidate.step == step) return &candidate;
  }
  return nullptr;
}

const StepRecord* FindEndedWait(const StageRecord& record, std::string_view promotion,
                                std::string_view step) {
  if (record.ended_waits.empty()) return nullptr;
  const std::string hash = HashOf(promotion);
  for (const EndedWaitRecord& wait : record.ended_waits) {
    if (wait.promotion == hash && wait.step.step == step) return &wait.step;
  }
  return nullptr;
}

void RecordEndedWait(StageRecord& record, std::string_view promotion, StepRecord step) {
  AddEndedWait(record, HashOf(promotion), std::move(step));
}

StepRecord& EnsureStep(StageRecord& record, std::string_view step, std::string_view uses,
                       std::string_view config_hash) {
  for (StepRecord& found : record.steps) {
    if (found.step != step) continue;
    if (found.config_hash != config_hash) {
      found.config_hash = config_hash;
      found.uses = uses;
      found.status = v1::STEP_STATUS_UNSPECIFIED;
      found.reason = v1::STEP_REASON_UNSPECIFIED;
      found.message.clear();
      for (ApplicationRecord& application : found.applications) {
        application.attempts = StartAfter(application.attempts.last);
        application.desired_revisions.clear();
      }
    }
    return found;
  }
  StepRecord made;
  made.step = step;
  made.uses = uses;
  made.config_hash = config_hash;
  return record.steps.emplace_back(std::move(made));
}

const ApplicationRecord* FindApplication(const StepRecord& step,
                                         const argocd::ApplicationName& name) {
  for (const ApplicationRecord& application : step.applications) {
    if (application.name == name) return &application;
  }
  return nullptr;
}

ApplicationRecord& EnsureApplication(StepRecord& step, const argocd::ApplicationName& name) {
  const auto place =
      std::lower_bound(step.applications.begin(), step.applications.end(), name,
                       [](const ApplicationRecord& record, const argocd::ApplicationName& wanted) {
                         return record.name < wanted;
                       });
  if (place != step.applications.end() && place->name == name) return *place;
  ApplicationRecord made;
  made.name = name;
  return *step.applications.insert(place, std::move(made));
}

argocd::AttemptRecord AttemptsOf(const StageRecord& record, std::string_view promotion,
                                 std::string_view step, std::string_view config_hash,
                                 const argocd::ApplicationName& name) {
  argocd::AttemptRecord own;
  if (record.promotion.name != promotion) return own;
  int others = 0;
  for (const StepRecord& candidate : record.steps) {
    const ApplicationRecord* application = FindApplication(candidate, name);
    if (application == nullptr) continue;
    if (candidate.step == step) {
      own = candidate.config_hash == config_hash ? application->attempts
                                                 : StartAfter(application->attempts.last);
    } else {
      others = std::max(others, application->attempts.last);
    }
  }
  if (!own.done && own.last <= own.earlier) {
    own = StartAfter(std::max({own.last, own.earlier, others}));
  }
  own.others = others;
  return own;
}

void RecordAnswer(StageRecord& record, StepRecord& step, v1::StepStatus status,
                  v1::StepReason reason, std::string_view message, absl::Time now) {
  step.status = status;
  step.reason = reason;
  step.message = CutMessage(message);
  record.promotion.update_time = WholeSecond(now);
  const v1::PromotionPhase phase = PhaseOf(record.steps);
  if (record.promotion.reported) {
    const v1::PromotionPhase reported = record.promotion.phase;
    // What went wrong as a whole stays so until somebody reports something else; and what has
    // succeeded is not under way again because another step once was.
    if (reported == v1::PROMOTION_PHASE_SUCCEEDED && status == v1::STEP_STATUS_SUCCEEDED) {
      return DropChecksOfOlderPromotions(record);
    }
    if (reported != v1::PROMOTION_PHASE_RUNNING && reported != v1::PROMOTION_PHASE_SUCCEEDED) {
      return;
    }
  }
  if (phase != v1::PROMOTION_PHASE_SUCCEEDED || !record.promotion.reported) {
    record.promotion.phase = phase;
    record.promotion.message.clear();
  }
  if (phase == v1::PROMOTION_PHASE_FAILED) {
    for (const StepRecord& other : record.steps) {
      if (other.status == v1::STEP_STATUS_FAILED) record.promotion.message = other.message;
    }
  }
  // A step may register its checks after the report that the promotion has SUCCEEDED.
  if (record.promotion.phase == v1::PROMOTION_PHASE_SUCCEEDED) DropChecksOfOlderPromotions(record);
}

void RegisterHealthCheck(StageRecord& record, HealthCheckRecord check) {
  check.promotion = record.promotion.name;
  const auto place =
      std::lower_bound(record.health_checks.begin(), record.health_checks.end(), check.application,
                       [](const HealthCheckRecord& found, const argocd::ApplicationName& wanted) {
                         return found.application < wanted;
                       });
  if (place == record.health_checks.end() || place->application != check.application) {
    record.health_checks.insert(place, std::move(check));
    return;
  }
  std::vector<std::string>& revisions = check.desired_revisions;
  if (place->promotion == check.promotion && place->desired_revisions.size() == revisions.size()) {
    for (std::size_t i = 0; i < revisions.size(); ++i) {
      if (revisions[i].empty()) revisions[i] = place->desired_revisions[i];
    }
  }
  *place = std::move(check);
}

bool ReportPromotion(StageRecord& record, std::string_view promotion, v1::PromotionPhase phase,
                     std::string_view message, absl::Time now) {
  if (IsSuperseded(record, promotion)) return false;
  // The end of a promotion that nobody knew of must not disturb the one under way.
  if (record.promotion.name != promotion && phase != v1::PROMOTION_PHASE_RUNNING &&
      record.promotion.phase == v1::PROMOTION_PHASE_RUNNING) {
    return false;
  }
  MakeCurrent(record, promotion);
  record.promotion.phase = phase;
  record.promotion.message = CutMessage(message);
  record.promotion.update_time = WholeSecond(now);
  record.promotion.reported = true;
  if (phase == v1::PROMOTION_PHASE_SUCCEEDED) DropChecksOfOlderPromotions(record);
  return true;
}

bool ReportIndicator(StageRecord& record, std::string_view name, v1::HealthState state,
                     std::string_view message, std::optional<absl::Duration> ttl, absl::Time now) {
  IndicatorRecord made{.name = std::string(name),
                       .state = state,
                       .message = CutMessage(message),
                       .report_time = WholeSecond(now),
                       .expire_time = std::nullopt};
  if (ttl) {
    const absl::Time expire_time =
        std::min(now + std::max(*ttl, absl::ZeroDuration()), LatestTime());
    // Up, so that a report never counts for less than was asked.
    made.expire_time = WholeSecond(expire_time);
    if (*made.expire_time < expire_time) *made.expire_time += absl::Seconds(1);
  }
  const auto place = FindIndicator(record, name);
  if (place != record.indicators.end() && place->name == name) {
    // Said again, it is no news.
    const bool expired = place->expire_time && *place->expire_time <= now;
    if (place->state == state && !expired && place->report_time != absl::UnixEpoch()) {
      made.report_time = place->report_time;
    }
    *place = std::move(made);
    return true;
  }
  if (record.indicators.size() >= kMaxIndicators) return false;
  record.indicators.insert(place, std::move(made));
  return true;
}

bool RemoveIndicator(StageRecord& record, std::string_view name) {
  const auto place = FindIndicator(record, name);
  if (place == record.indicators.end() || place->name != name) return false;
  record.indicators.erase(place);
  return true;
}

std::string CutMessage(std::string_view text) { return base::CutToBytes(text, kMaxMessageBytes); }

}  // namespace gantry::stages
