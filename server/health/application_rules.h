// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_HEALTH_APPLICATION_RULES_H_
#define GANTRY_SERVER_HEALTH_APPLICATION_RULES_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gantry/v1/health.pb.h"
#include "server/argocd/application.h"

namespace gantry::health {

// The rules of the health of one Application: pure functions from evidence to an evaluation.
// Nothing in an evaluation moves with the clock alone, so that equal evaluations mean that there is
// no news.

// What is known of one Application at the moment of its evaluation.
struct Evidence {
  const argocd::Application* application = nullptr;  // null: there is none
  // Since when it counts as UNKNOWN where the Application itself cannot tell: it is not there, or
  // cannot be understood.
  std::optional<absl::Time> unknown_since;
  // The evidence is older than the staleness limit; this is when it was last fresh.
  std::optional<absl::Time> stale_since;
  // Why none can be there, such as a namespace that is not watched. Empty where there is no such
  // reason.
  std::string why_absent;
};

struct ApplicationEvaluation {
  v1::ApplicationHealth health;
  // It is not reconciled since its last operation: Argo CD is to be asked to refresh it.
  bool wants_refresh = false;
};

// The health of one Application for a Stage that desires `desired_revisions` (one per source,
// empty where none is asked for).
ApplicationEvaluation EvaluateApplication(const argocd::ApplicationName& name,
                                          const std::vector<std::string>& desired_revisions,
                                          const Evidence& evidence);

// Argo CD's own words alone, where the rules are not applied: UNKNOWN, with `why_not_evaluated` as
// the first issue. Evidence that is stale or absent is told in further issues.
v1::ApplicationHealth DescribeApplication(const argocd::ApplicationName& name,
                                          const std::vector<std::string>& desired_revisions,
                                          const std::string& why_not_evaluated,
                                          const Evidence& evidence);

}  // namespace gantry::health

#endif  // GANTRY_SERVER_HEALTH_APPLICATION_RULES_H_
