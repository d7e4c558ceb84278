// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_HEALTH_HEALTH_WATCH_H_
#define GANTRY_SERVER_HEALTH_HEALTH_WATCH_H_

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "server/health/health_cache.h"

namespace gantry::health {

// What one watch stream has still to be told: the state of every Stage it covers, then `synced`,
// then changes. Only the names of changed Stages are kept, and their state is looked up when it is
// their turn, so a slow reader gets the latest state of each Stage and never a growing queue.
//
// Shared by the stream that reads it and the HealthCache that tells it; any thread, but Next is
// called by one at a time.
class HealthWatch final : public HealthListener, public std::enable_shared_from_this<HealthWatch> {
 public:
  // Covers a project (empty: all) or one Stage of it. `on_news` is called after Next returned
  // nothing, once there is something again; on any thread, without a lock.
  HealthWatch(const HealthCache& cache, std::string project, std::string stage,
              std::function<void()> on_news)
      : cache_(cache),
        project_(std::move(project)),
        stage_(std::move(stage)),
        on_news_(std::move(on_news)) {}

  // Takes the Stages there are. After it was added to the cache as a listener, so that no change
  // falls in between.
  void Begin();

  struct Event {
    enum class Kind { kUpdated, kDeleted, kSynced };
    Kind kind = Kind::kSynced;
    StageName name;             // of kUpdated and kDeleted
    StageSnapshotPtr snapshot;  // of kUpdated
  };
  // Nothing: wait for on_news.
  std::optional<Event> Next();

  void OnPublished(const std::vector<StageName>& stages) override;

 private:
  bool Covers(const StageName& name) const {
    return (project_.empty() || name.project == project_) &&
           (stage_.empty() || name.stage == stage_);
  }

  const HealthCache& cache_;
  const std::string project_;
  const std::string stage_;
  const std::function<void()> on_news_;

  base::Mutex mutex_;
  std::set<StageName> initial_ ABSL_GUARDED_BY(mutex_);  // not sent yet, before `synced`
  std::set<StageName> changed_ ABSL_GUARDED_BY(mutex_);
  bool begun_ ABSL_GUARDED_BY(mutex_) = false;
  bool synced_ ABSL_GUARDED_BY(mutex_) = false;
  bool waiting_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace gantry::health

#endif  // GANTRY_SERVER_HEALTH_HEALTH_WATCH_H_
