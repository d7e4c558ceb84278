// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_ARGOCD_UPDATE_H_
#define GANTRY_SERVER_STEPS_ARGOCD_UPDATE_H_

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/context.h"
#include "base/random.h"
#include "base/worker_pool.h"
#include "server/cache/caches.h"
#include "server/kubernetes/api/client.h"
#include "server/kubernetes/api/event_recorder.h"
#include "server/stages/stage_store.h"
#include "server/steps/step_runner.h"

namespace gantry::steps {

// The step kind `argocd-update`: changes the sources of Argo CD Applications and syncs them, once
// per promotion, step and Application, on behalf of the Stage that they authorize.
//
// One pass reads the Stage's record, resolves, authorizes, matches and decides on live reads,
// records the attempts about to be made under the record's resourceVersion, and writes each
// Application under the resourceVersion that was decided on. Whatever has changed in between makes
// one of these writes fail, and then the whole pass is made again. So two replicas, a crash or an
// older promotion that was stalled anywhere can't start an operation twice or behind a newer
// promotion's back.
//
// Owned by the StepRegistry; many threads at once.
class ArgocdUpdate final : public StepRunner {
 public:
  struct Options {
    std::string argocd_namespace = "argocd";    // where an entry without a namespace looks
    std::vector<std::string> watch_namespaces;  // namespaces served; empty: all
    int max_sync_attempts = 5;
    std::string operation_initiator = "gantry";  // `initiatedBy` of automatic promotions
  };

  // All outlive the runner.
  struct Dependencies {
    kubernetes::Client& argocd;  // the cluster that holds Applications
    stages::StageStore& stages;
    kubernetes::EventRecorder& events;
    base::WorkerPool& helpers;  // reads and writes several Applications at a time
    cache::Caches& caches;
    const base::Clock& clock;
    base::Random& random;
    base::Sleeper& sleeper;
  };

  ArgocdUpdate(Options options, const Dependencies& dependencies)
      : options_(std::move(options)), dependencies_(dependencies) {}

  std::string_view uses() const override { return "argocd-update"; }
  std::string_view description() const override;
  std::string_view config_schema() const override;
  absl::StatusOr<v1::RunStepResponse> Run(const StepCall& call, base::Context& context) override;

 private:
  const Options options_;
  const Dependencies dependencies_;
};

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_ARGOCD_UPDATE_H_
