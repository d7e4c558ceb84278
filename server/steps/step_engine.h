// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_STEP_ENGINE_H_
#define GANTRY_SERVER_STEPS_STEP_ENGINE_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/random.h"
#include "base/worker_pool.h"
#include "gantry/v1/promotion_step_service.pb.h"
#include "server/cache/application_client.h"
#include "server/cache/caches.h"
#include "server/kubernetes/api/event_recorder.h"
#include "server/observability/log.h"
#include "server/stages/stage_store.h"
#include "server/steps/resolve.h"
#include "server/steps/step_call.h"
#include "server/steps/step_kind.h"
#include "server/steps/step_plan.h"

namespace gantry::steps {

// How often a pass is made again after a conflict before the caller is asked to call again.
inline constexpr int kMaxConflicts = 5;
inline constexpr absl::Duration kConflictBackoff = absl::Milliseconds(50);

struct StepResult {
  v1::RunStepResponse response;
  WakeOn wake_on;  // of a RUNNING step
};

// Runs steps for the service. Many threads at once.
class StepRunner {
 public:
  virtual ~StepRunner() = default;

  // `kind` is that of `request.uses`, and `request.step` is not empty. Both outlive the call.
  virtual BegunStep Begin(const StepKind& kind, const v1::RunStepRequest& request,
                          std::string caller, observability::Logger log) const = 0;

  // A verdict on the step is a response. An error means that no verdict could be reached, and that
  // the same call may be made again; it carries a base::ErrorInfo.
  virtual absl::StatusOr<StepResult> Run(const StepCall& call, base::Context& context) = 0;
};

// Carries out steps of every kind: loads the Stage's record, resolves the Applications, authorizes,
// has the step's kind evaluate them, records the attempts about to be made, writes, and answers.
//
// One pass does all of that on live reads. The attempts are recorded under the record's
// resourceVersion, and each Application is written under the one that was decided on; whatever has
// changed in between makes one of these writes fail, and then the whole pass is made again. So two
// replicas, a crash or an older promotion that was stalled anywhere cannot start an operation twice
// or behind a newer promotion's back.
//
// Owned by the wiring; many threads at once.
class StepEngine final : public StepRunner {
 public:
  struct Options {
    std::string argocd_namespace = "argocd";    // where an entry without a namespace looks
    std::vector<std::string> watch_namespaces;  // namespaces served; empty: all
    int max_sync_attempts = 5;
    std::string operation_initiator = "gantry";  // `initiatedBy` of automatic promotions
  };

  // All outlive the engine.
  struct Dependencies {
    cache::ApplicationClient& applications;
    stages::StageStore& stages;
    kubernetes::EventRecorder& events;
    base::WorkerPool& helpers;  // reads and writes several Applications at a time
    cache::Caches& caches;
    const base::Clock& clock;
    base::Random& random;
    base::Sleeper& sleeper;
  };

  StepEngine(Options options, const Dependencies& dependencies)
      : options_(std::move(options)),
        scope_{options_.argocd_namespace, options_.watch_namespaces},
        deps_(dependencies) {}

  BegunStep Begin(const StepKind& kind, const v1::RunStepRequest& request, std::string caller,
                  observability::Logger log) const override {
    return BeginStep(kind, request, std::move(caller), scope_, std::move(log));
  }
  absl::StatusOr<StepResult> Run(const StepCall& call, base::Context& context) override;

 private:
  class Execution;

  const Options options_;
  const Scope scope_;
  const Dependencies deps_;
};

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_STEP_ENGINE_H_
