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
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/left_right.h"
#include "base/mutex.h"
#include "gantry/v1/promotion_step_service.pb.h"
#include "server/cache/caches.h"
#include "server/health/stage_evaluator.h"
#include "server/health/stage_snapshot.h"

namespace gantry::health {

// Hears of Stages whose snapshot has changed, appeared or gone. Called on the thread that
// evaluates, without a lock; must not block.
class HealthListener {
 public:
  virtual ~HealthListener() = default;
  // Callers are told something else of these Stages than before.
  virtual void OnPublished(const std::vector<StageName>& stages) = 0;
  // Callers are told the same of these Stages as before, but something else in their snapshots has
  // changed: whether the status has to be stored, what wants a refresh, or what they depend on.
  virtual void OnNoted(const std::vector<StageName>& /*stages*/) {}
};

// Knows the health of every Stage at every moment. When an Application or a Stage's record changes,
// when an indicator expires, when evidence becomes stale or fresh again, only what that concerns is
// evaluated again, and published if the outcome differs: that is the one place where the messages
// are built that callers see. Until all caches were filled once nothing is evaluated.
//
// Owned by the wiring, like everything it is given, all of which outlives it. One thread runs Run
// (or calls EvaluateDue); everything else may be called by any thread, and Find and ListAfter take
// no lock.
class HealthCache {
 public:
  struct Dependencies {
    const cache::Caches& caches;
    const base::Clock& clock;
    // How long a change took from its arrival to its publication, for metrics; may be empty.
    std::function<void(absl::Duration)> on_propagated;
  };

  explicit HealthCache(Dependencies dependencies);

  // Something changed: what depends on it is evaluated again.
  void ApplicationChanged(const argocd::ApplicationName& name);
  void StageChanged(const StageName& name);
  // A cache was filled, or is heard of again.
  void FreshnessChanged();

  // Evaluates all that is due, and returns how long nothing will be due unless something changes.
  absl::Duration EvaluateDue();
  // Does so until the context ends.
  void Run(base::Context& context);

  // All caches were filled once, and all Stages evaluated: from now on reads are answered.
  bool ready() const { return ready_.load(std::memory_order_acquire); }
  // Why it is not ready, in words; empty when it is.
  std::string WhyNotReady() const;

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
  // another one in the moment between the end of the evidence's freshness and the next evaluation.
  struct Shown {
    StageSnapshotPtr snapshot;
    absl::Time observed_time;
    bool stale = false;
  };
  Shown Show(StageSnapshotPtr snapshot) const;
  // The same for whoever shows many: `readings` are those of one moment for all.
  Shown Show(StageSnapshotPtr snapshot, const Readings& readings) const;

  const cache::Freshness& freshness() const { return deps_.caches.freshness; }

  // The health of a Stage by checks that a caller brings, on the evidence there is now.
  struct CheckedHealth {
    v1::StageHealth health;
    absl::Time observed_time;
    bool stale = false;
  };
  CheckedHealth EvaluateChecks(const StageName& name,
                               const google::protobuf::RepeatedPtrField<v1::HealthCheck>& checks,
                               const std::string& default_namespace) const;

  void AddListener(std::shared_ptr<HealthListener> listener);
  void RemoveListener(const HealthListener* listener);

 private:
  using Snapshots = std::map<StageName, StageSnapshotPtr>;
  using Listeners = std::vector<std::shared_ptr<HealthListener>>;
  struct Pending {
    // With the time of the first change that is not evaluated yet.
    std::map<argocd::ApplicationName, absl::Duration> applications;
    std::map<StageName, absl::Duration> stages;
  };
  // What is due for one Stage.
  struct Due {
    absl::Duration received;      // the first change
    bool stage_changed = false;   // the Stage is another, or new, or gone
    bool other_evidence = false;  // for all its Applications
    std::vector<std::size_t>
        applications;  // those that have changed, as StageEvaluator numbers them
  };
  using AllDue = std::map<StageName, Due>;
  // A Stage that depends on an Application, and the number that the Application has there.
  struct Dependent {
    StageEvaluator* evaluator;
    std::size_t application;
  };
  struct HashName {
    std::size_t operator()(const argocd::ApplicationName& name) const {
      return absl::HashOf(name.ns, name.name);
    }
  };

  // All that is due, by what has changed and by the clock.
  AllDue FindDue(const Pending& pending, const Moment& moment);
  // Null: the Stage is gone, or never was.
  StageSnapshotPtr EvaluateStage(const StageName& name, const Due& due, const Moment& moment);
  // Notes which Applications the Stage depends on with `record`, instead of those that `evaluator`
  // has; null: on none.
  void Index(StageEvaluator& evaluator, const stages::StageRecord* record);
  void Publish(const std::vector<std::pair<StageName, StageSnapshotPtr>>& changes,
               const std::vector<StageName>& published, const std::vector<StageName>& noted);
  absl::Duration UntilNextDue() const;
  Shown Show(StageSnapshotPtr snapshot, const cache::Freshness::Reading& reading) const;

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

  // Of the evaluating thread alone.
  std::map<StageName, StageEvaluator> evaluators_;
  std::unordered_map<argocd::ApplicationName, std::vector<Dependent>, HashName> stages_of_;
  std::set<std::pair<absl::Time, StageName>> expiries_;
  std::vector<std::optional<absl::Time>> stale_since_;  // each source, as of the last evaluation
};

}  // namespace gantry::health

#endif  // GANTRY_SERVER_HEALTH_HEALTH_CACHE_H_
