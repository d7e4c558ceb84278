// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_HEALTH_LEADER_WORK_H_
#define GANTRY_SERVER_HEALTH_LEADER_WORK_H_

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/mutex.h"
#include "server/cache/application_client.h"
#include "server/cache/caches.h"
#include "server/health/health_cache.h"
#include "server/observability/log.h"
#include "server/stages/stage_store.h"

namespace gantry::health {

// A Stage's status is written so long after it has changed, so that a burst of changes is one
// write, and does not get in the way of the steps that write the same resource.
inline constexpr absl::Duration kStatusDelay = absl::Seconds(1);
inline constexpr absl::Duration kStatusRetry = absl::Seconds(30);
// Argo CD comes by itself soon after an operation has finished; where it does not, it is asked, and
// again each minute.
inline constexpr absl::Duration kRefreshDelay = absl::Seconds(10);
inline constexpr absl::Duration kRefreshPeriod = absl::Minutes(1);

// What one replica does for all: stores the health of Stages in their `status`, on change alone and
// never on stale evidence; and asks Argo CD for a refresh of Applications that were not reconciled
// since their last operation, where they authorize the Stage that depends on them.
//
// Owned by the wiring. Lead is called by one thread at a time, whenever this replica is the leader.
class LeaderWork {
 public:
  // All outlive it.
  struct Dependencies {
    HealthCache& health;
    const cache::Caches& caches;
    stages::StageStore& stages;
    cache::ApplicationClient& applications;
    const base::Clock& clock;
  };

  LeaderWork(const Dependencies& dependencies, observability::Logger log);
  ~LeaderWork();

  // Works until the context ends.
  void Lead(base::Context& term);

  // The pieces of Lead. Takes up everything anew: another replica may have led before.
  void Begin();
  // Does what is due, and returns how long nothing will be unless something changes.
  absl::Duration DoDue(base::Context& term);

 private:
  class Changes;

  void TakeChanges();
  void FindRefreshesDue(absl::Time now);
  void WriteStatus(const StageName& name, base::Context& term);
  void RequestRefresh(const argocd::ApplicationName& name, base::Context& term);
  // Whether a Stage that depends on the Application may ask for its refresh.
  bool IsAuthorized(const cache::CachedApplication& application) const;

  const Dependencies deps_;
  const observability::Logger log_;
  const std::shared_ptr<Changes> changes_;

  // Of Lead's thread alone.
  std::map<StageName, absl::Time> status_due_;
  std::map<StageName, SharedNames> unreconciled_;
  std::map<argocd::ApplicationName, absl::Time> refresh_due_;
};

}  // namespace gantry::health

#endif  // GANTRY_SERVER_HEALTH_LEADER_WORK_H_
