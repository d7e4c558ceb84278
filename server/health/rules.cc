// SPDX-License-Identifier: Apache-2.0
#include "server/health/rules.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "absl/strings/str_join.h"
#include "base/strings.h"
#include "base/text.h"
#include "server/argocd/annotations.h"
#include "server/argocd/decide.h"
#include "server/argocd/reached.h"
#include "server/kubernetes/api/resource_version.h"
#include "server/stages/enum_names.h"

namespace gantry::health {
namespace {

using argocd::ApplicationName;
using argocd::ObservedApplication;
using argocd::ObservedOperationState;
using argocd::ObservedSource;

constexpr std::string_view kArgocdUpdate = "argocd-update";

// `words` and the time, or nothing when the time is not known.
std::string At(std::string_view words, std::optional<absl::Time> time) {
  return time ? base::StrCat(words, base::UtcTime(*time)) : "";
}

// In a record the epoch stands for a time that is not known.
std::optional<absl::Time> Known(absl::Time time) {
  if (time == absl::UnixEpoch()) return std::nullopt;
  return time;
}

std::string Quote(std::string_view text) { return base::StrCat("\"", text, "\""); }

std::string Counted(std::size_t count, std::string_view what) {
  return base::StrCat(count, " ", what, count == 1 ? "" : "s");
}

// ": text", or nothing when there is none.
std::string Explanation(std::string_view text) {
  return text.empty() ? "" : base::StrCat(": ", text);
}

google::protobuf::Timestamp ToTimestamp(absl::Time time) {
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds(absl::ToUnixSeconds(time));
  return timestamp;
}

// What keeps the rules from being applied at all: each a sentence that begins with the Application.
std::optional<std::string> StaleIssue(const std::string& name, const Evidence& evidence) {
  if (!evidence.stale_since) return std::nullopt;
  return base::StrCat(name, ": nothing was heard of it since ",
                      base::UtcTime(*evidence.stale_since));
}

std::optional<std::string> AbsentIssue(const std::string& name, const Evidence& evidence) {
  if (evidence.application != nullptr) return std::nullopt;
  return base::StrCat("unable to find ", name, At(", UNKNOWN since ", evidence.unknown_since),
                      Explanation(evidence.why_absent));
}

std::optional<std::string> ProblemIssue(const std::string& name, const Evidence& evidence) {
  if (evidence.application == nullptr || evidence.application->problem.empty()) {
    return std::nullopt;
  }
  return base::StrCat(name, " could not be understood",
                      At(", UNKNOWN since ", evidence.unknown_since),
                      Explanation(evidence.application->problem));
}

// Argo CD's words, without a judgement.
v1::ApplicationHealth Words(const ApplicationName& name,
                            const std::vector<std::string>& desired_revisions,
                            const Evidence& evidence) {
  v1::ApplicationHealth health;
  health.set_namespace_(name.ns);
  health.set_name(name.name);
  for (const std::string& revision : desired_revisions) health.add_desired_revisions(revision);
  // Of an object that was not understood nothing but its name is to be relied on.
  if (evidence.application == nullptr || !evidence.application->problem.empty()) return health;
  const ObservedApplication& application = *evidence.application;
  health.set_health_status(application.health_status.str());
  health.set_health_message(application.health_message);
  health.set_sync_status(application.sync_status.str());
  if (application.operation_state) {
    health.set_operation_phase(application.operation_state->phase.str());
  }
  for (const auto& revision : application.sync_revisions) {
    health.add_observed_revisions(revision.str());
  }
  return health;
}

// The rules of one Application that is there, in their order.
class ApplicationRules {
 public:
  ApplicationRules(const ObservedApplication& application, const std::string& name,
                   const std::vector<std::string>& desired)
      : app_(application), name_(name), desired_(desired) {}

  void Judge(ApplicationJudgement& judgement) {
    const v1::HealthState state = State();
    judgement.health.set_state(state);
    for (std::string& issue : issues_) judgement.health.add_issues(std::move(issue));
    judgement.wants_refresh = wants_refresh_;
  }

 private:
  v1::HealthState State() {
    if (app_.deletion_requested_at) {
      return Unknown(" is being deleted since ", base::UtcTime(*app_.deletion_requested_at));
    }
    if (!IsReconciled()) return JudgeUnreconciled();
    if (HasErrorConditions()) return v1::HEALTH_STATE_UNHEALTHY;
    if (argocd::AnyDesired(desired_)) {
      if (const v1::HealthState state = JudgeRevisions(); state != v1::HEALTH_STATE_UNSPECIFIED) {
        return state;
      }
    }
    return JudgeHealth();
  }

  template <typename... Pieces>
  v1::HealthState Unknown(const Pieces&... pieces) {
    Say(pieces...);
    return v1::HEALTH_STATE_UNKNOWN;
  }

  template <typename... Pieces>
  void Say(const Pieces&... pieces) {
    issues_.push_back(base::StrCat(name_, pieces...));
  }

  // `reconciledAt` is when the comparison began, in whole seconds. One that began in the second in
  // which the operation finished may have looked before or after. Synced it can only have seen
  // after, unless the Application was so before; then the refresh that comes with each operation
  // still waits for the comparison that will tell.
  bool IsReconciled() const {
    if (!app_.operation_state || !app_.operation_state->finished_at) return true;
    const absl::Time finished_at = *app_.operation_state->finished_at;
    if (!app_.reconciled_at || *app_.reconciled_at < finished_at) return false;
    if (*app_.reconciled_at > finished_at) return true;
    return app_.sync_status == "Synced" && !app_.refresh;
  }

  v1::HealthState JudgeUnreconciled() {
    const std::string since = base::UtcTime(*app_.operation_state->finished_at);
    if (app_.skip_reconcile) {
      return Unknown(" has not been reconciled since its operation finished at ", since,
                     ", because the annotation ", argocd::kSkipReconcileAnnotation,
                     ": \"true\" tells Argo CD to skip it; remove that");
    }
    wants_refresh_ = true;
    return Unknown(" has not been reconciled since its operation finished at ", since,
                   "; waiting for Argo CD to refresh it");
  }

  bool HasErrorConditions() {
    for (const argocd::ObservedCondition& condition : app_.conditions) {
      if (condition.type != "ComparisonError" && condition.type != "InvalidSpecError") continue;
      Say(" has the condition ", condition.type.view(), Explanation(condition.message));
    }
    std::sort(issues_.begin(), issues_.end());
    return !issues_.empty();
  }

  // UNSPECIFIED when the desired revisions are there.
  v1::HealthState JudgeRevisions() {
    if (IsBeingSynced()) return v1::HEALTH_STATE_UNKNOWN;
    const ObservedOperationState& state = *app_.operation_state;
    if (app_.sources.size() != desired_.size() || app_.sync_revisions.size() != desired_.size()) {
      return Unknown(" has ", Counted(app_.sources.size(), "source"), " and ",
                     Counted(app_.sync_revisions.size(), "observed revision"),
                     " since its operation finished at ", base::UtcTime(*state.finished_at),
                     ", but ", Counted(desired_.size(), "desired revision"),
                     " to compare them with");
    }
    for (std::size_t i = 0; i < desired_.size(); ++i) {
      if (desired_[i].empty() || IsObserved(i)) continue;
      Say(": source ", SourceText(i), " is at revision ", Quote(app_.sync_revisions[i].view()),
          ", expected ", Quote(desired_[i]));
    }
    if (issues_.empty() && app_.sync_status != "Synced") JudgeDeployed(state);
    return issues_.empty() ? v1::HEALTH_STATE_UNSPECIFIED : v1::HEALTH_STATE_UNHEALTHY;
  }

  bool IsBeingSynced() {
    const bool pending = app_.operation && app_.operation->has_sync;
    const bool finished = app_.operation_state && app_.operation_state->finished_at;
    if (!pending && finished) return false;
    if (!app_.operation_state) {
      if (pending) {
        Say(" is being synced: its operation has not begun yet", CreatedAt());
      } else {
        Say(" has not been synced yet: there is no operation on record", CreatedAt());
      }
      return true;
    }
    const ObservedOperationState& state = *app_.operation_state;
    if (finished && argocd::IsCompleted(state.phase.view())) {
      Say(" is being synced: an operation is pending, the one before it finished at ",
          base::UtcTime(*state.finished_at));
    } else {
      Say(" is being synced", At(" since ", state.started_at), ": its operation is not complete");
    }
    return true;
  }

  std::string CreatedAt() const { return At("; the Application was created at ", app_.created_at); }

  bool IsObserved(std::size_t i) const {
    return argocd::NamesRevision(app_.sync_revisions, desired_.size(), i, desired_[i]) ||
           argocd::NamesRevision(app_.compared_target_revisions, desired_.size(), i, desired_[i]);
  }

  // What was compared is what is desired, but the two differ: so it counts what was deployed.
  void JudgeDeployed(const ObservedOperationState& state) {
    const std::string sync = app_.sync_status.empty()
                                 ? " is not compared with its sources"
                                 : base::StrCat(" has sync status ", app_.sync_status.view());
    if (!argocd::IsCompleted(state.phase.view()) || !state.sync_result) {
      Say(sync, ", and its last operation ",
          argocd::IsCompleted(state.phase.view())
              ? base::StrCat("(", state.phase.view(), ") deployed no revision")
              : "was given up before it was complete",
          ", expected ",
          absl::StrJoin(desired_, ", ", [](std::string* out, const std::string& revision) {
            base::StrAppend(out, Quote(revision));
          }));
      return;
    }
    for (std::size_t i = 0; i < desired_.size(); ++i) {
      if (argocd::IsReached(desired_, i, state.phase.view(), *state.sync_result)) continue;
      const auto& deployed = state.sync_result->revisions;
      Say(sync, ", and its last operation (", state.phase.view(), ") deployed ",
          deployed.size() == desired_.size()
              ? base::StrCat("revision ", Quote(deployed[i].view()))
              : base::StrCat(Counted(deployed.size(), "revision"), " instead of ", desired_.size()),
          " of source ", SourceText(i), ", expected ", Quote(desired_[i]));
    }
  }

  // Two sources may have the same repository.
  std::string SourceText(std::size_t i) const {
    const ObservedSource& source = app_.sources[i];
    return base::StrCat(app_.sources.size() > 1 ? base::StrCat(i + 1, " ") : "",
                        source.repo_url.view(),
                        source.chart.empty() ? "" : base::StrCat(" chart ", source.chart.view()));
  }

  v1::HealthState JudgeHealth() {
    if (app_.health_status == "Healthy") return v1::HEALTH_STATE_HEALTHY;
    if (app_.health_status.empty()) {
      Say(" is progressing: Argo CD has not assessed its health yet");
      return v1::HEALTH_STATE_PROGRESSING;
    }
    Say(" has health status ", app_.health_status.view(), Explanation(app_.health_message));
    const bool on_its_way =
        app_.health_status == "Progressing" || app_.health_status == "Suspended";
    return on_its_way ? v1::HEALTH_STATE_PROGRESSING : v1::HEALTH_STATE_UNHEALTHY;
  }

  const ObservedApplication& app_;
  const std::string& name_;
  const std::vector<std::string>& desired_;
  std::vector<std::string> issues_;
  bool wants_refresh_ = false;
};

// Adds Applications, in order, to a Stage's health.
void AddApplication(v1::ApplicationHealth application, v1::StageHealth& health) {
  health.set_state(Merge(health.state(), application.state()));
  for (const std::string& issue : application.issues()) health.add_issues(issue);
  *health.add_applications() = std::move(application);
}

void AddIssue(v1::HealthState state, std::string issue, v1::StageHealth& health) {
  health.set_state(Merge(health.state(), state));
  health.add_issues(std::move(issue));
}

// In order whatever the order of those on record.
template <typename Record, typename Less>
std::vector<const Record*> Sorted(const std::vector<Record>& records, Less less) {
  std::vector<const Record*> sorted;
  sorted.reserve(records.size());
  for (const Record& record : records) sorted.push_back(&record);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const Record* a, const Record* b) { return less(*a, *b); });
  return sorted;
}

// The evidence shows the Application before the operation whose success was recorded: the watch
// that it is from lags behind what another watch, or a step's own read, has brought. Both are
// asked, since resourceVersions begin anew when an API server is restored from a backup, and a
// change that matters to nobody else does not have it judged again.
bool IsFromBefore(const stages::HealthCheckRecord& check, const Evidence& evidence) {
  if (evidence.stale_since || evidence.application == nullptr || !check.finished_at) return false;
  const ObservedApplication& seen = *evidence.application;
  if (!kubernetes::IsOlder(seen.resource_version, check.resource_version)) return false;
  return !seen.operation_state || !seen.operation_state->finished_at ||
         *seen.operation_state->finished_at < *check.finished_at;
}

std::string WhyFromBefore(const stages::HealthCheckRecord& check, const ObservedApplication& seen,
                          const stages::StageRecord& record) {
  return base::StrCat("Application ", argocd::ToString(check.application),
                      " was last heard of before promotion ", check.promotion, " succeeded",
                      At(", UNKNOWN since ", Known(record.promotion.update_time)),
                      ": waiting for the watch to bring resourceVersion ", check.resource_version,
                      ", it is at ", seen.resource_version);
}

void AddPromotion(const stages::PromotionRecord& promotion, v1::StageHealth& health) {
  if (promotion.name.empty()) return;
  const std::optional<absl::Time> update_time = Known(promotion.update_time);
  v1::Promotion& told = *health.mutable_promotion();
  told.set_name(promotion.name);
  told.set_phase(promotion.phase);
  told.set_message(promotion.message);
  if (update_time) *told.mutable_update_time() = ToTimestamp(*update_time);

  const std::string heard = At(", last heard of at ", update_time);
  const std::string explanation = Explanation(promotion.message);
  switch (promotion.phase) {
    case v1::PROMOTION_PHASE_RUNNING:
      AddIssue(v1::HEALTH_STATE_UNKNOWN,
               base::StrCat("the Stage cannot be assessed while promotion ", promotion.name,
                            " is in progress", heard),
               health);
      break;
    case v1::PROMOTION_PHASE_SUCCEEDED:
      break;
    case v1::PROMOTION_PHASE_FAILED:
      AddIssue(v1::HEALTH_STATE_UNHEALTHY,
               base::StrCat("promotion ", promotion.name, " failed", explanation), health);
      break;
    case v1::PROMOTION_PHASE_ERRORED:
      AddIssue(v1::HEALTH_STATE_UNHEALTHY,
               base::StrCat("promotion ", promotion.name, " ended in an error", explanation),
               health);
      break;
    case v1::PROMOTION_PHASE_ABORTED:
      AddIssue(v1::HEALTH_STATE_UNKNOWN,
               base::StrCat("promotion ", promotion.name, " was aborted", heard, explanation),
               health);
      break;
    default:
      AddIssue(v1::HEALTH_STATE_UNKNOWN,
               base::StrCat("the phase of promotion ", promotion.name, " is not known", heard),
               health);
  }
}

void AddIndicator(const stages::IndicatorRecord& indicator, absl::Time now,
                  StageJudgement& judgement) {
  v1::StageHealth& health = judgement.health;
  // The report counts until that moment, not at it.
  const bool expired = indicator.expire_time && *indicator.expire_time <= now;
  const bool known = indicator.state != v1::HEALTH_STATE_UNSPECIFIED;
  v1::HealthIndicator& told = *health.add_indicators();
  told.set_name(indicator.name);
  told.set_state(expired || !known ? v1::HEALTH_STATE_UNKNOWN : indicator.state);
  told.set_message(indicator.message);
  if (indicator.expire_time) {
    *told.mutable_expire_time() = ToTimestamp(*indicator.expire_time);
    if (!expired) {
      judgement.next_expiry = judgement.next_expiry
                                  ? std::min(*judgement.next_expiry, *indicator.expire_time)
                                  : *indicator.expire_time;
    }
  }
  if (told.state() == v1::HEALTH_STATE_HEALTHY) return;
  const std::string reported = At(", reported since ", Known(indicator.report_time));
  const std::string was = known ? stages::ToWord(indicator.state) : "in no known state";
  AddIssue(told.state(),
           expired ? base::StrCat("indicator ", indicator.name, " expired at ",
                                  base::UtcTime(*indicator.expire_time), "; it was ", was, reported,
                                  Explanation(indicator.message))
                   : base::StrCat("indicator ", indicator.name, " is ", was, reported,
                                  Explanation(indicator.message)),
           health);
}

// The Applications that a caller's checks name, and what is wrong with the checks.
class HealthChecks {
 public:
  explicit HealthChecks(const std::string& default_namespace)
      : default_namespace_(default_namespace) {}

  void Read(int index, const v1::HealthCheck& check) {
    const std::string path = base::StrCat("health_checks[", index, "]");
    if (check.uses() != kArgocdUpdate) {
      Refuse(base::StrCat(path, ".uses"),
             base::StrCat("is ", Quote(check.uses()), ", expected ", kArgocdUpdate));
      return;
    }
    const std::string input = base::StrCat(path, ".input");
    RefuseOtherFields(input, check.input(), {"apps"});
    const Value* apps = Find(check.input(), "apps");
    const std::string apps_path = base::StrCat(input, ".apps");
    if (apps == nullptr) return Refuse(apps_path, "is missing, expected a list of Applications");
    if (!apps->has_list_value()) return Refuse(apps_path, "is not a list");
    if (apps->list_value().values().empty()) {
      return Refuse(apps_path, "is empty, expected at least one Application");
    }
    for (int i = 0; i < apps->list_value().values_size(); ++i) {
      ReadApplication(base::StrCat(apps_path, "[", i, "]"), apps->list_value().values(i));
    }
  }

  const std::map<ApplicationName, std::vector<std::string>>& desired() const { return desired_; }
  const std::vector<std::string>& issues() const { return issues_; }

 private:
  using Struct = google::protobuf::Struct;
  using Value = google::protobuf::Value;

  void Refuse(const std::string& path, std::string_view what) {
    issues_.push_back(base::StrCat(path, " ", what));
  }

  // A null counts as absent.
  static const Value* Find(const Struct& object, const char* key) {
    const auto found = object.fields().find(key);
    if (found == object.fields().end()) return nullptr;
    const auto kind = found->second.kind_case();
    return kind == Value::kNullValue || kind == Value::KIND_NOT_SET ? nullptr : &found->second;
  }

  // A field that is not known may be what makes the difference, or a known one misspelled.
  void RefuseOtherFields(const std::string& path, const Struct& object,
                         const std::vector<std::string_view>& known) {
    std::vector<std::string> others;
    for (const auto& [key, value] : object.fields()) {
      if (std::find(known.begin(), known.end(), key) == known.end()) others.push_back(key);
    }
    // The map's order changes from run to run.
    std::sort(others.begin(), others.end());
    for (const std::string& key : others) {
      Refuse(base::StrCat(path, ".", key), "is not a field of a health check");
    }
  }

  // Nothing when it was refused.
  std::optional<std::string> ReadText(const std::string& path, const Value* value) {
    if (value == nullptr) {
      Refuse(path, "is missing, expected a text");
    } else if (!value->has_string_value()) {
      Refuse(path, "is not a text");
    } else if (value->string_value().empty()) {
      Refuse(path, "is empty");
    } else {
      return value->string_value();
    }
    return std::nullopt;
  }

  std::optional<std::vector<std::string>> ReadRevisions(const std::string& path,
                                                        const Value* value) {
    std::vector<std::string> revisions;
    if (value == nullptr) return revisions;
    if (!value->has_list_value()) {
      Refuse(path, "is not a list");
      return std::nullopt;
    }
    for (const Value& revision : value->list_value().values()) {
      if (!revision.has_string_value()) {
        Refuse(base::StrCat(path, "[", revisions.size(), "]"), "is not a text");
        return std::nullopt;
      }
      revisions.push_back(revision.string_value());
    }
    return revisions;
  }

  void ReadApplication(const std::string& path, const Value& value) {
    if (!value.has_struct_value()) return Refuse(path, "is not an object");
    const Struct& object = value.struct_value();
    RefuseOtherFields(path, object, {"name", "namespace", "desiredRevisions"});
    const auto name = ReadText(base::StrCat(path, ".name"), Find(object, "name"));
    const Value* ns_value = Find(object, "namespace");
    const auto ns = ns_value == nullptr ? default_namespace_
                                        : ReadText(base::StrCat(path, ".namespace"), ns_value);
    auto revisions =
        ReadRevisions(base::StrCat(path, ".desiredRevisions"), Find(object, "desiredRevisions"));
    if (!name || !ns || !revisions) return;
    Add({*ns, *name}, std::move(*revisions));
  }

  void Add(ApplicationName name, std::vector<std::string> revisions) {
    const auto [place, added] = desired_.try_emplace(std::move(name), revisions);
    // One that wants nothing takes nothing back of what another wants.
    if (added || !argocd::AnyDesired(revisions)) return;
    // Other sources than before: what was wanted of those is not comparable.
    if (place->second.size() == revisions.size()) {
      for (std::size_t i = 0; i < revisions.size(); ++i) {
        if (revisions[i].empty()) revisions[i] = place->second[i];
      }
    }
    place->second = std::move(revisions);
  }

  const std::optional<std::string> default_namespace_;
  std::map<ApplicationName, std::vector<std::string>> desired_;
  std::vector<std::string> issues_;
};

}  // namespace

v1::HealthState Merge(v1::HealthState a, v1::HealthState b) { return std::max(a, b); }

ApplicationJudgement JudgeApplication(const ApplicationName& name,
                                      const std::vector<std::string>& desired_revisions,
                                      const Evidence& evidence) {
  ApplicationJudgement judgement;
  judgement.health = Words(name, desired_revisions, evidence);
  const std::string named = base::StrCat("Application ", argocd::ToString(name));
  std::optional<std::string> unusable = StaleIssue(named, evidence);
  if (!unusable) unusable = AbsentIssue(named, evidence);
  if (!unusable) unusable = ProblemIssue(named, evidence);
  if (unusable) {
    judgement.health.set_state(v1::HEALTH_STATE_UNKNOWN);
    judgement.health.add_issues(*std::move(unusable));
    return judgement;
  }
  ApplicationRules(*evidence.application, named, desired_revisions).Judge(judgement);
  return judgement;
}

v1::ApplicationHealth DescribeApplication(const ApplicationName& name,
                                          const std::vector<std::string>& desired_revisions,
                                          const std::string& why_not_judged,
                                          const Evidence& evidence) {
  v1::ApplicationHealth health = Words(name, desired_revisions, evidence);
  health.set_state(v1::HEALTH_STATE_UNKNOWN);
  health.add_issues(why_not_judged);
  const std::string named = base::StrCat("Application ", argocd::ToString(name));
  for (std::optional<std::string>& issue :
       std::vector{StaleIssue(named, evidence), AbsentIssue(named, evidence),
                   ProblemIssue(named, evidence)}) {
    if (issue) health.add_issues(*std::move(issue));
  }
  return health;
}

StageJudgement JudgeStage(const stages::StageRecord& record, const FindEvidence& find,
                          absl::Time now) {
  StageJudgement judgement;
  v1::StageHealth& health = judgement.health;
  health.set_project(record.project);
  health.set_stage(record.stage);
  health.set_state(v1::HEALTH_STATE_HEALTHY);

  AddPromotion(record.promotion, health);

  const bool promoting = record.promotion.phase == v1::PROMOTION_PHASE_RUNNING;
  for (const stages::HealthCheckRecord* check :
       Sorted(record.health_checks,
              [](const auto&a, const auto&b) { return a.application < b.application; })) {
    const Evidence evidence = find(check->application);
    if (promoting) {
      const std::string why =
          base::StrCat("Application ", argocd::ToString(check->application),
                       " is not judged while promotion ", record.promotion.name, " is in progress",
                       At(", last heard of at ", Known(record.promotion.update_time)));
      v1::ApplicationHealth described =
          DescribeApplication(check->application, check->desired_revisions, why, evidence);
      // Of the Stage the promotion's issue says so already, once for all Applications.
      for (int i = 1; i < described.issues_size(); ++i) health.add_issues(described.issues(i));
      *health.add_applications() = std::move(described);
      continue;
    }
    if (IsFromBefore(*check, evidence)) {
      AddApplication(
          DescribeApplication(check->application, check->desired_revisions,
                              WhyFromBefore(*check, *evidence.application, record), evidence),
          health);
      continue;
    }
    ApplicationJudgement judged =
        JudgeApplication(check->application, check->desired_revisions, evidence);
    if (judged.wants_refresh) judgement.wants_refresh.push_back(check->application);
    AddApplication(std::move(judged.health), health);
  }

  for (const stages::IndicatorRecord* indicator :
       Sorted(record.indicators, [](const auto&a, const auto&b) { return a.name < b.name; })) {
    AddIndicator(*indicator, now, judgement);
  }
  return judgement;
}

v1::StageHealth JudgeHealthChecks(const std::string& project, const std::string& stage,
                                  const google::protobuf::RepeatedPtrField<v1::HealthCheck>& checks,
                                  const std::string& default_namespace, const FindEvidence& find) {
  HealthChecks read(default_namespace);
  for (int i = 0; i < checks.size(); ++i) read.Read(i, checks[i]);

  v1::StageHealth health;
  health.set_project(project);
  health.set_stage(stage);
  health.set_state(v1::HEALTH_STATE_HEALTHY);
  for (const std::string& issue : read.issues()) {
    AddIssue(v1::HEALTH_STATE_UNKNOWN, issue, health);
  }
  for (const auto& [name, desired_revisions] : read.desired()) {
    AddApplication(JudgeApplication(name, desired_revisions, find(name)).health, health);
  }
  return health;
}

}  // namespace gantry::health
