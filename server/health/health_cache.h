// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_HEALTH_HEALTH_CACHE_H_
#define GANTRY_SERVER_HEALTH_HEALTH_CACHE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/left_right.h"
#include "base/mutex.h"
#include "gantry/v1/promotion_step_service.pb.h"
#include "server/cache/caches.h"
#include "server/health/rules.h"

namespace gantry::health {

using cache::StageName;

// The health of one Stage as it was last judged: what every answer, stream and metric is made
// from. Immutable.
struct StageSnapshot {
  StageName name;
  v1::HealthState state = v1::HEALTH_STATE_UNSPECIFIED;
  // The v1::StageHealth as field 1 of a message: GetStageHealthResponse.health,
  // ListStageHealthResponse.stages and WatchStageHealthResponse.updated alike.
  std::string field;
  // The watches that its evidence comes from.
  std::vector<cache::Freshness::Source> sources;
  // The evidence was stale when this was judged.
  bool judged_stale = false;
  // The stored status is not what this snapshot says; false when judged on stale evidence.
  bool status_differs = false;
  std::vector<argocd::ApplicationName> wants_refresh;

  v1::StageHealth Health() const;
};
using StageSnapshotPtr = std::shared_ptr<const StageSnapshot>;

// Hears of Stages whose snapshot has changed, appeared or gone. Called on the judge's thread,
// without a lock; must not block.
class HealthListener {
 public:
  virtual ~HealthListener() = default;
  // What callers are told has changed.
  virtual void OnPublished(const std::vector<StageName>& stages) = 0;
  // Only what else a snapshot knows has.
  virtual void OnNoted(const std::vector<StageName>& /*stages*/) {}
};

// Knows the health of every Stage at every moment. When an Application or a Stage's record
// changes, when an indicator expires, when evidence becomes stale or fresh again, only the Stages
// concerned are judged again, and published if the judgement differs: that is the one place where
// the messages are built that callers see. Until all caches were filled once nothing is judged.
//
// Owned by the wiring, like everything it is given, all of which outlives it. One thread runs Run
// (or calls JudgeDue); everything else may be called by any thread, and Find and Page take no lock.
class HealthCache {
 public:
  struct Dependencies {
    const cache::Caches& caches;
    const base::Clock& clock;
    // How long a change took from its arrival to its publication, for metrics; may be empty.
    std::function<void(absl::Duration)> on_propagated;
  };

  explicit HealthCache(Dependencies dependencies);

  // Something changed: judge again what depends on it.
  void ApplicationChanged(const argocd::ApplicationName& name);
  void StageChanged(const StageName& name);
  // A cache was filled, or is heard of again.
  void FreshnessChanged();

  // Judges all that is due, and returns how long nothing will be due unless something changes.
  absl::Duration JudgeDue();
  // Does so until the context ends.
  void Run(base::Context& context);

  // All caches were filled once, and all Stages judged.
  bool ready() const { return ready_.load(std::memory_order_acquire); }

  // Null: the Stage is not known.
  StageSnapshotPtr Find(const StageName& name) const;
  // Up to `limit` Stages that come after `after`, in order; with an empty `project` of every one,
  // and with empty `states` in any state.
  struct Page {
    std::vector<StageSnapshotPtr> stages;
    bool more = false;
  };
  Page ListAfter(const std::optional<StageName>& after, const std::string& project,
                 const std::set<v1::HealthState>& states, std::size_t limit) const;

  // How fresh the evidence of a snapshot is now; and the snapshot as it may be shown now, which is
  // another one in the moment between the end of the evidence's freshness and its being judged
  // again.
  struct Shown {
    StageSnapshotPtr snapshot;
    absl::Time observed_time;
    bool stale = false;
  };
  Shown Show(StageSnapshotPtr snapshot) const;

  // Of everything that is watched.
  absl::Time ObservedTime() const { return deps_.caches.freshness.ReadAll().observed_time; }
  bool IsStale() const { return deps_.caches.freshness.ReadAll().stale; }

  // The health of a Stage by checks that a caller brings, on the evidence there is now.
  struct Judged {
    v1::StageHealth health;
    absl::Time observed_time;
    bool stale = false;
  };
  Judged Judge(const StageName& name,
               const google::protobuf::RepeatedPtrField<v1::HealthCheck>& checks,
               const std::string& default_namespace) const;

  void AddListener(std::shared_ptr<HealthListener> listener);
  void RemoveListener(const HealthListener* listener);

 private:
  using Snapshots = std::map<StageName, StageSnapshotPtr>;
  using Listeners = std::vector<std::shared_ptr<HealthListener>>;
  struct Pending {
    // With the time of the first change not yet judged.
    std::map<argocd::ApplicationName, absl::Duration> applications;
    std::map<StageName, absl::Duration> stages;
  };
  // What the judge remembers of a Stage between two judgements.
  struct Watched {
    std::vector<argocd::ApplicationName> applications;
    std::optional<absl::Time> next_expiry;
  };

  StageSnapshotPtr JudgeOne(const cache::CachedStage& stage,
                            std::optional<absl::Time>* next_expiry) const;
  // Adds what is due by the clock to what has changed.
  void AddDue(absl::Time now, Pending& pending);
  void Index(const StageName& name, const std::vector<argocd::ApplicationName>& applications);
  absl::Duration UntilNextDue() const;

  const Dependencies deps_;
  std::atomic<bool> ready_{false};

  base::Mutex mutex_;
  base::ConditionVariable wake_;
  Pending pending_ ABSL_GUARDED_BY(mutex_);
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;

  base::LeftRight<Snapshots> snapshots_;

  mutable base::Mutex listeners_mutex_;
  std::shared_ptr<const Listeners> listeners_ ABSL_GUARDED_BY(listeners_mutex_) =
      std::make_shared<const Listeners>();

  // Of the judge's thread alone.
  std::map<argocd::ApplicationName, std::set<StageName>> stages_of_;
  std::map<StageName, Watched> watched_;
  std::set<std::pair<absl::Time, StageName>> expiries_;
  std::vector<bool> stale_sources_;
};

}  // namespace gantry::health

#endif  // GANTRY_SERVER_HEALTH_HEALTH_CACHE_H_
