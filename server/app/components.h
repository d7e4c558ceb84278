// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_APP_COMPONENTS_H_
#define GANTRY_SERVER_APP_COMPONENTS_H_

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/context.h"
#include "base/worker_pool.h"
#include "server/app/clusters.h"
#include "server/cache/application_client.h"
#include "server/cache/caches.h"
#include "server/cache/watchers.h"
#include "server/health/health_cache.h"
#include "server/health/leader_work.h"
#include "server/kubernetes/api/event_recorder.h"
#include "server/kubernetes/lease/leader_elector.h"
#include "server/observability/log.h"
#include "server/observability/metrics.h"
#include "server/options/options.h"
#include "server/stages/stage_store.h"
#include "server/steps/pending_calls.h"
#include "server/steps/step_engine.h"
#include "server/steps/step_kind.h"

namespace gantry::app {

// A thread that works within a context and is told to end by it. Its owner's destructor waits for
// the end of the work.
class Background {
 public:
  explicit Background(std::function<void(base::Context& context)> work)
      : thread_([this, work = std::move(work)] { work(context_); }) {}
  ~Background() {
    context_.Cancel();
    thread_.join();
  }
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

 private:
  base::Context context_;
  std::thread thread_;
};

// Everything of the program but its listeners, each part built on those before it: what it knows of
// the clusters, the kinds of step, health, and what the leader does. Its threads run from the
// constructor to the destructor. Owned by the App; what it hands out is for any thread.
class Components {
 public:
  // `metrics` outlives it.
  Components(const options::Options& options, Clusters clusters, observability::Metrics& metrics,
             const observability::Logger& log);

  const steps::StepKinds& kinds() const { return kinds_; }
  steps::StepRunner& steps() { return engine_; }
  stages::StageStore& stages() { return stages_; }
  health::HealthCache& health() { return health_; }
  steps::PendingCalls& pending() { return pending_; }
  const cache::Caches& caches() const { return caches_; }

 private:
  void AddListeners();
  void AddSteps();
  void AddMetrics(observability::Metrics& metrics);
  void Start(observability::Metrics& metrics, const observability::Logger& log);

  const Clusters clusters_;
  cache::Caches caches_;
  cache::ApplicationClient applications_;
  stages::StageStore stages_;
  // The leader's, whose requests no caller waits for.
  cache::ApplicationClient background_applications_;
  stages::StageStore background_stages_;
  kubernetes::BackgroundEventRecorder events_;
  base::WorkerPool helpers_;
  health::HealthCache health_;
  steps::PendingCalls pending_;
  steps::StepEngine engine_;
  health::LeaderWork leader_work_;
  kubernetes::LeaderElector elector_;
  steps::StepKinds kinds_;
  std::vector<std::unique_ptr<Background>> background_;
  std::unique_ptr<cache::Watchers> watchers_;
};

}  // namespace gantry::app

#endif  // GANTRY_SERVER_APP_COMPONENTS_H_
