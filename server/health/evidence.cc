// SPDX-License-Identifier: Apache-2.0
#include "server/health/evidence.h"

#include <algorithm>
#include <string>

#include "base/strings.h"
#include "server/argocd/authorization.h"

namespace gantry::health {
namespace {

using cache::Freshness;

// Each replica learned at a moment of its own that the Application is gone, and one that was
// started later never did. So what is stored counts; until it is, this server's own time: that of
// the deletion, or since when it looks.
absl::Time UnknownSince(const argocd::ApplicationName& name, const stages::StageStatus& stored,
                        std::optional<absl::Time> deleted, absl::Time looking) {
  const auto found = std::lower_bound(
      stored.applications.begin(), stored.applications.end(), name,
      [](const auto& application, const auto& wanted) { return application.name < wanted; });
  if (found != stored.applications.end() && found->name == name &&
      found->state == v1::HEALTH_STATE_UNKNOWN && found->since) {
    return *found->since;
  }
  return deleted.value_or(looking);
}

// What does not depend on who asks. `looking` is set to the time since when this server looks for
// the Application, and `deleted` to that of its deletion, as far as known.
FoundEvidence Find(const argocd::ApplicationName& name, const cache::Caches& caches,
                   const Readings& readings, absl::Time& looking,
                   std::optional<absl::Time>& deleted) {
  FoundEvidence found;
  const std::optional<Freshness::Source> source = caches.SourceOf(name.ns);
  looking = caches.freshness.SyncedAt(source.value_or(caches.stage_source()));
  if (!source) {
    found.evidence.why_absent =
        base::StrCat("namespace ", name.ns, " is not watched by this server (--watch-namespaces)");
    return found;
  }
  found.evidence.stale_since = StaleSince(readings, *source);
  auto looked = caches.applications.Look(name);
  deleted = looked.absent_since;
  found.application = std::move(looked.object);
  found.evidence.application = found.application.get();
  return found;
}

}  // namespace

std::optional<absl::Time> StaleSince(const Readings& readings, Freshness::Source source) {
  if (!readings[source].stale) return std::nullopt;
  return readings[source].observed_time;
}

FoundEvidence FindEvidenceOf(const argocd::ApplicationName& name, const cache::Caches& caches,
                             const Readings& readings, const stages::StageStatus& stored) {
  absl::Time looking;
  std::optional<absl::Time> deleted;
  FoundEvidence found = Find(name, caches, readings, looking, deleted);
  const bool tells_itself = found.application != nullptr && found.application->problem.empty();
  if (!tells_itself) {
    found.evidence.unknown_since = UnknownSince(name, stored, deleted, looking);
  }
  // A check on a record that is stale itself is no better than that.
  const auto records_stale_since = StaleSince(readings, caches.stage_source());
  if (records_stale_since && caches.SourceOf(name.ns)) {
    found.evidence.stale_since =
        std::min(*records_stale_since, found.evidence.stale_since.value_or(*records_stale_since));
  }
  return found;
}

FoundEvidence FindAuthorizedEvidenceOf(const argocd::ApplicationName& name,
                                       const cache::Caches& caches, const Readings& readings,
                                       const cache::StageName& stage) {
  absl::Time looking;
  std::optional<absl::Time> deleted;
  FoundEvidence found = Find(name, caches, readings, looking, deleted);
  found.evidence.unknown_since = looking;
  if (found.application != nullptr &&
      !argocd::Authorizes(*found.application, stage.project, stage.stage).authorized) {
    found.evidence.application = nullptr;
    found.application = nullptr;
  }
  return found;
}

}  // namespace gantry::health
