// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SERVER_STEPS_STEP_DRIVER_H_
#define GANTRY_TESTS_SERVER_STEPS_STEP_DRIVER_H_

#include <memory>
#include <utility>

#include "server/steps/step_engine.h"

namespace gantry::steps {

// One kind of step on an engine of its own, called as the service does.
class StepDriver {
 public:
  struct Parts {
    kubernetes::Client& kubernetes;
    stages::StageStore& stages;
    kubernetes::EventRecorder& events;
    base::WorkerPool& helpers;
    cache::Caches& caches;
    const base::Clock& clock;
    base::Random& random;
    base::Sleeper& sleeper;
  };

  StepDriver(std::unique_ptr<const StepKind> kind, StepEngine::Options options, const Parts& parts)
      : kind_(std::move(kind)),
        applications_(parts.kubernetes, parts.caches.applications, parts.clock, {}),
        engine_(std::move(options), {applications_, parts.stages, parts.events, parts.helpers,
                                     parts.caches, parts.clock, parts.random, parts.sleeper}) {}

  absl::StatusOr<StepResult> TryRun(const v1::RunStepRequest& request, base::Context& context,
                                    const observability::Logger& log = {}) {
    BegunStep begun = engine_.Begin(*kind_, request, "anonymous", log);
    if (begun.invalid) return StepResult{*std::move(begun.invalid), {}};
    return engine_.Run(begun.call, context);
  }
  absl::StatusOr<v1::RunStepResponse> Run(const v1::RunStepRequest& request, base::Context& context,
                                          const observability::Logger& log = {}) {
    absl::StatusOr<StepResult> result = TryRun(request, context, log);
    if (!result.ok()) return result.status();
    return std::move(result->response);
  }

 private:
  const std::unique_ptr<const StepKind> kind_;
  cache::ApplicationClient applications_;
  StepEngine engine_;
};

}  // namespace gantry::steps

#endif  // GANTRY_TESTS_SERVER_STEPS_STEP_DRIVER_H_
