// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_HEALTH_RULES_H_
#define GANTRY_SERVER_HEALTH_RULES_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gantry/v1/health.pb.h"
#include "server/argocd/application.h"
#include "server/argocd/observed_application.h"
#include "server/stages/stage_record.h"

namespace gantry::health {

// The rules of health: pure functions from evidence to a judgement. Nothing in a judgement moves
// with the clock alone, so that equal judgements mean that there is no news.

// What is known of one Application at the moment of judging.
struct Evidence {
  const argocd::ObservedApplication* application = nullptr;  // null: there is none
  // Since when it counts as UNKNOWN where the Application itself cannot tell: it is not there, or
  // cannot be understood.
  std::optional<absl::Time> unknown_since;
  // The evidence is older than the staleness limit; this is when it was last fresh.
  std::optional<absl::Time> stale_since;
  // Why none can be there, such as a namespace that is not watched; empty: it just is not.
  std::string why_absent;
};

struct ApplicationJudgement {
  v1::ApplicationHealth health;
  // It is not reconciled since its last operation: Argo CD is to be asked to refresh it.
  bool wants_refresh = false;
};

// The health of one Application for a Stage that desires `desired_revisions` (one per source,
// empty where none is asked for).
ApplicationJudgement JudgeApplication(const argocd::ApplicationName& name,
                                      const std::vector<std::string>& desired_revisions,
                                      const Evidence& evidence);

// Argo CD's own words alone, where the rules are not applied: UNKNOWN, with `why_not_judged` as the
// issue. Evidence that is stale or absent is told in further issues.
v1::ApplicationHealth DescribeApplication(const argocd::ApplicationName& name,
                                          const std::vector<std::string>& desired_revisions,
                                          const std::string& why_not_judged,
                                          const Evidence& evidence);

using FindEvidence = std::function<Evidence(const argocd::ApplicationName& name)>;

struct StageJudgement {
  v1::StageHealth health;  // without transition_time
  // Applications that Argo CD is to be asked to refresh.
  std::vector<argocd::ApplicationName> wants_refresh;
  // When the next indicator expires; nothing when none will.
  std::optional<absl::Time> next_expiry;
};

// The health of a Stage: the most severe of its registered checks, its latest promotion and its
// indicators. `now` decides which indicators have expired.
StageJudgement JudgeStage(const stages::StageRecord& record, const FindEvidence& find,
                          absl::Time now);

// The health of a Stage by the checks that a caller brings, and by nothing else. `find` is
// expected to hide Applications that do not authorize the Stage.
v1::StageHealth JudgeHealthChecks(const std::string& project, const std::string& stage,
                                  const google::protobuf::RepeatedPtrField<v1::HealthCheck>& checks,
                                  const std::string& default_namespace, const FindEvidence& find);

// The more severe one (HealthState's values stand in the order of severity).
v1::HealthState Merge(v1::HealthState a, v1::HealthState b);

}  // namespace gantry::health

#endif  // GANTRY_SERVER_HEALTH_RULES_H_
