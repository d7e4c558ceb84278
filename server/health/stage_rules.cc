// SPDX-License-Identifier: Apache-2.0
#include "server/health/stage_rules.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "base/text.h"
#include "server/health/health_check_input.h"
#include "server/health/words.h"
#include "server/kubernetes/api/resource_version.h"
#include "server/stages/enum_names.h"

namespace gantry::health {
namespace {

using argocd::Application;

// In a record the epoch stands for a time that is not known.
std::optional<absl::Time> Known(absl::Time time) {
  if (time == absl::UnixEpoch()) return std::nullopt;
  return time;
}

google::protobuf::Timestamp ToTimestamp(absl::Time time) {
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds(absl::ToUnixSeconds(time));
  return timestamp;
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
// change that matters to nobody else does not have it evaluated again.
bool IsFromBefore(const stages::HealthCheckRecord& check, const Evidence& evidence) {
  if (evidence.stale_since || evidence.application == nullptr || !check.finished_at) return false;
  const Application& seen = *evidence.application;
  if (!kubernetes::IsOlder(seen.resource_version, check.resource_version)) return false;
  return !seen.operation_state || !seen.operation_state->finished_at ||
         *seen.operation_state->finished_at < *check.finished_at;
}

std::string WhyFromBefore(const stages::HealthCheckRecord& check, const Application& seen,
                          const stages::StageRecord& record) {
  return base::StrCat("Application ", argocd::ToString(check.application),
                      " was last heard of before promotion ", check.promotion, " succeeded",
                      At(", UNKNOWN since ", Known(record.promotion.update_time)),
                      ": waiting for the watch to bring resourceVersion ", check.resource_version,
                      ", it is at ", seen.resource_version);
}

void AddIssue(v1::HealthState state, std::string issue, v1::StageHealth& health,
              std::vector<std::string>& issues) {
  health.set_state(Merge(health.state(), state));
  issues.push_back(std::move(issue));
}

void AddPromotion(const stages::PromotionRecord& promotion, StageFrame& frame) {
  if (promotion.name.empty()) return;
  const std::optional<absl::Time> update_time = Known(promotion.update_time);
  v1::StageHealth& health = frame.health;
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
               health, frame.promotion_issues);
      break;
    case v1::PROMOTION_PHASE_SUCCEEDED:
      break;
    case v1::PROMOTION_PHASE_FAILED:
      AddIssue(v1::HEALTH_STATE_UNHEALTHY,
               base::StrCat("promotion ", promotion.name, " failed", explanation), health,
               frame.promotion_issues);
      break;
    case v1::PROMOTION_PHASE_ERRORED:
      AddIssue(v1::HEALTH_STATE_UNHEALTHY,
               base::StrCat("promotion ", promotion.name, " ended in an error", explanation),
               health, frame.promotion_issues);
      break;
    case v1::PROMOTION_PHASE_ABORTED:
      AddIssue(v1::HEALTH_STATE_UNKNOWN,
               base::StrCat("promotion ", promotion.name, " was aborted", heard, explanation),
               health, frame.promotion_issues);
      break;
    default:
      AddIssue(v1::HEALTH_STATE_UNKNOWN,
               base::StrCat("the phase of promotion ", promotion.name, " is not known", heard),
               health, frame.promotion_issues);
  }
}

void AddIndicator(const stages::IndicatorRecord& indicator, absl::Time now, StageFrame& frame) {
  v1::StageHealth& health = frame.health;
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
      frame.next_expiry = frame.next_expiry ? std::min(*frame.next_expiry, *indicator.expire_time)
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
           health, frame.indicator_issues);
}

void AddIssues(std::vector<std::string> issues, v1::StageHealth& health) {
  for (std::string& issue : issues) health.add_issues(std::move(issue));
}

// Adds Applications, in order, to a Stage's health.
void AddApplication(CheckEvaluation check, v1::StageHealth& health) {
  health.set_state(Merge(health.state(), check.stage_state));
  for (int i = check.first_stage_issue; i < check.health.issues_size(); ++i) {
    health.add_issues(check.health.issues(i));
  }
  *health.add_applications() = std::move(check.health);
}

}  // namespace

v1::HealthState Merge(v1::HealthState a, v1::HealthState b) { return std::max(a, b); }

StageFrame EvaluateFrame(const stages::StageRecord& record, absl::Time now) {
  StageFrame frame;
  frame.health.set_project(record.project);
  frame.health.set_stage(record.stage);
  frame.health.set_state(v1::HEALTH_STATE_HEALTHY);
  AddPromotion(record.promotion, frame);
  for (const stages::IndicatorRecord* indicator :
       Sorted(record.indicators, [](const auto&a, const auto&b) { return a.name < b.name; })) {
    AddIndicator(*indicator, now, frame);
  }
  return frame;
}

std::vector<const stages::HealthCheckRecord*> ChecksInOrder(const stages::StageRecord& record) {
  return Sorted(record.health_checks,
                [](const auto& a, const auto& b) { return a.application < b.application; });
}

CheckEvaluation EvaluateCheck(const stages::StageRecord& record,
                              const stages::HealthCheckRecord& check, const Evidence& evidence) {
  CheckEvaluation evaluation;
  if (record.promotion.phase == v1::PROMOTION_PHASE_RUNNING) {
    evaluation.health = DescribeApplication(
        check.application, check.desired_revisions,
        base::StrCat("Application ", argocd::ToString(check.application),
                     " is not evaluated while promotion ", record.promotion.name, " is in progress",
                     At(", last heard of at ", Known(record.promotion.update_time))),
        evidence);
    evaluation.first_stage_issue = 1;
    return evaluation;
  }
  if (IsFromBefore(check, evidence)) {
    evaluation.health =
        DescribeApplication(check.application, check.desired_revisions,
                            WhyFromBefore(check, *evidence.application, record), evidence);
    evaluation.lags = true;
  } else {
    ApplicationEvaluation application =
        EvaluateApplication(check.application, check.desired_revisions, evidence);
    evaluation.health = std::move(application.health);
    evaluation.wants_refresh = application.wants_refresh;
  }
  evaluation.stage_state = evaluation.health.state();
  return evaluation;
}

StageEvaluation EvaluateStage(const stages::StageRecord& record, const FindEvidence& find,
                              absl::Time now) {
  StageFrame frame = EvaluateFrame(record, now);
  StageEvaluation evaluation;
  evaluation.next_expiry = frame.next_expiry;
  evaluation.health = std::move(frame.health);
  AddIssues(std::move(frame.promotion_issues), evaluation.health);
  for (const stages::HealthCheckRecord* check : ChecksInOrder(record)) {
    CheckEvaluation evaluated = EvaluateCheck(record, *check, find(check->application));
    if (evaluated.wants_refresh) evaluation.wants_refresh.push_back(check->application);
    AddApplication(std::move(evaluated), evaluation.health);
  }
  AddIssues(std::move(frame.indicator_issues), evaluation.health);
  return evaluation;
}

v1::StageHealth EvaluateHealthChecks(
    const std::string& project, const std::string& stage,
    const google::protobuf::RepeatedPtrField<v1::HealthCheck>& checks,
    const std::string& default_namespace, const FindEvidence& find) {
  HealthChecks read = ReadHealthChecks(checks, default_namespace);
  v1::StageHealth health;
  health.set_project(project);
  health.set_stage(stage);
  health.set_state(read.issues.empty() ? v1::HEALTH_STATE_HEALTHY : v1::HEALTH_STATE_UNKNOWN);
  AddIssues(std::move(read.issues), health);
  for (const auto& [name, desired_revisions] : read.desired_revisions) {
    CheckEvaluation check;
    check.health = EvaluateApplication(name, desired_revisions, find(name)).health;
    check.stage_state = check.health.state();
    AddApplication(std::move(check), health);
  }
  return health;
}

}  // namespace gantry::health
