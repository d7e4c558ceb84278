// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_HEALTH_EVIDENCE_H_
#define GANTRY_SERVER_HEALTH_EVIDENCE_H_

#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "server/cache/caches.h"
#include "server/health/application_rules.h"

namespace gantry::health {

// How fresh each watch is at one moment, so that all that is evaluated together has the same
// answer, and the clock is read once.
using Readings = std::vector<cache::Freshness::Reading>;

// What the caches have on one Application. The object is kept for as long as the evidence that
// points to it.
struct FoundEvidence {
  Evidence evidence;
  cache::CachedApplicationPtr application;
};

// The evidence of one Application of a registered check. `stored` is the Stage's status as it is
// stored: what that says of since when an Application is UNKNOWN all replicas see.
FoundEvidence FindEvidenceOf(const argocd::ApplicationName& name, const cache::Caches& caches,
                             const Readings& readings, const stages::StageStatus& stored);

// The same for the check that a caller brings for a Stage: an Application that does not authorize
// the Stage is hidden, and a deletion is not told, because the Application that is gone may be one
// that was hidden.
FoundEvidence FindAuthorizedEvidenceOf(const argocd::ApplicationName& name,
                                       const cache::Caches& caches, const Readings& readings,
                                       const cache::StageName& stage);

// When the watch was last fresh, if what it has brought is stale.
std::optional<absl::Time> StaleSince(const Readings& readings, cache::Freshness::Source source);

}  // namespace gantry::health

#endif  // GANTRY_SERVER_HEALTH_EVIDENCE_H_
