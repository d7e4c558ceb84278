// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_ARGOCD_WAIT_H_
#define GANTRY_SERVER_STEPS_ARGOCD_WAIT_H_

#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/worker_pool.h"
#include "server/cache/caches.h"
#include "server/kubernetes/api/client.h"
#include "server/stages/stage_store.h"
#include "server/steps/step_runner.h"

namespace gantry::steps {

// When an Application's refresh was last asked for. Argo CD may take the request away without
// having reconciled, and each of the two writes wakes the calls that wait. Any thread.
class RefreshTimes {
 public:
  bool IsDue(const argocd::ApplicationName& name, absl::Duration now) const;
  void Note(const argocd::ApplicationName& name, absl::Duration now);

 private:
  mutable base::Mutex mutex_;
  std::map<argocd::ApplicationName, absl::Duration> asked_ ABSL_GUARDED_BY(mutex_);
};

// The step kind `argocd-wait`: succeeds when Argo CD Applications are as awaited. It only looks,
// except that it asks Argo CD for a refresh where an Application that authorizes the Stage was not
// reconciled since its last operation. That it is still waiting may be told from what the watches
// brought; anything else is judged on a live read.
//
// It never makes its promotion the current one in place of another; where it is the current one
// already, or there is none, the step's answers are recorded with it.
//
// Owned by the StepRegistry; many threads at once.
class ArgocdWait final : public StepRunner {
 public:
  struct Options {
    std::string argocd_namespace = "argocd";    // where an entry without a namespace looks
    std::vector<std::string> watch_namespaces;  // namespaces served; empty: all
  };

  // All outlive the runner.
  struct Dependencies {
    kubernetes::Client& argocd;  // the cluster that holds Applications
    stages::StageStore& stages;
    base::WorkerPool& helpers;  // reads several Applications at a time
    cache::Caches& caches;
    const base::Clock& clock;
    base::Random& random;
    base::Sleeper& sleeper;
  };

  ArgocdWait(Options options, const Dependencies& dependencies)
      : options_(std::move(options)), dependencies_(dependencies) {}

  std::string_view uses() const override { return "argocd-wait"; }
  std::string_view description() const override;
  std::string_view config_schema() const override;
  absl::StatusOr<v1::RunStepResponse> Run(const StepCall& call, base::Context& context) override;

 private:
  const Options options_;
  const Dependencies dependencies_;
  RefreshTimes refreshes_;
};

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_ARGOCD_WAIT_H_
