// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_HEALTH_STAGE_RULES_H_
#define GANTRY_SERVER_HEALTH_STAGE_RULES_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gantry/v1/health.pb.h"
#include "server/argocd/application.h"
#include "server/health/application_rules.h"
#include "server/stages/stage_record.h"

namespace gantry::health {

// The rules of the health of a Stage: pure functions from its record, and from evidence of its
// Applications, to an evaluation. As with an Application, nothing in an evaluation moves with the
// clock alone but the expiry of an indicator.

using FindEvidence = std::function<Evidence(const argocd::ApplicationName& name)>;

struct StageEvaluation {
  v1::StageHealth health;  // without transition_time
  // Applications that Argo CD is to be asked to refresh.
  std::vector<argocd::ApplicationName> wants_refresh;
  // When the next indicator expires; nothing when none will.
  std::optional<absl::Time> next_expiry;
};

// The health of a Stage: the most severe of its registered checks, its latest promotion and its
// indicators. `now` decides which indicators have expired.
StageEvaluation EvaluateStage(const stages::StageRecord& record, const FindEvidence& find,
                              absl::Time now);

// The health of a Stage by the checks that a caller brings, and by nothing else. `find` is
// expected to hide Applications that do not authorize the Stage.
v1::StageHealth EvaluateHealthChecks(
    const std::string& project, const std::string& stage,
    const google::protobuf::RepeatedPtrField<v1::HealthCheck>& checks,
    const std::string& default_namespace, const FindEvidence& find);

// The more severe one (HealthState's values stand in the order of severity).
v1::HealthState Merge(v1::HealthState a, v1::HealthState b);

// EvaluateStage is made of the following parts, for whoever keeps some of them from one evaluation
// to the next.

// What a Stage's health has besides its Applications.
struct StageFrame {
  // The names, the promotion, the indicators, and the state that follows from these; no issues.
  v1::StageHealth health;
  std::vector<std::string> promotion_issues;  // before those of the Applications
  std::vector<std::string> indicator_issues;  // behind those of the Applications
  std::optional<absl::Time> next_expiry;
};
StageFrame EvaluateFrame(const stages::StageRecord& record, absl::Time now);

// The registered checks in the order in which they are told, whatever their order on record.
std::vector<const stages::HealthCheckRecord*> ChecksInOrder(const stages::StageRecord& record);

// One registered check.
struct CheckEvaluation {
  v1::ApplicationHealth health;
  // What it makes of the Stage: a state to be merged, and the issues from this one on. While a
  // promotion is in progress the Stage says so once for all its Applications.
  v1::HealthState stage_state = v1::HEALTH_STATE_HEALTHY;
  int first_stage_issue = 0;
  bool wants_refresh = false;
  // The evidence is from before the success that was recorded, and what is told of it changes with
  // the Application's resourceVersion alone.
  bool lags = false;
};
// `check` is one of `record`.
CheckEvaluation EvaluateCheck(const stages::StageRecord& record,
                              const stages::HealthCheckRecord& check, const Evidence& evidence);

}  // namespace gantry::health

#endif  // GANTRY_SERVER_HEALTH_STAGE_RULES_H_
