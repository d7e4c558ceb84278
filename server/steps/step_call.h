// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_STEP_CALL_H_
#define GANTRY_SERVER_STEPS_STEP_CALL_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "gantry/v1/promotion_step_service.pb.h"
#include "server/observability/log.h"
#include "server/steps/recording.h"
#include "server/steps/resolve.h"
#include "server/steps/step_kind.h"

namespace gantry::steps {

// One RunStep, its configuration parsed: made once, and run again whenever a call that waits has
// been woken. Owned by the call; one thread at a time.
// NOLINTNEXTLINE(bugprone-exception-escape): only moving JSON is thought to throw.
struct StepCall {
  const v1::RunStepRequest* request = nullptr;  // outlives it
  StepIdentity identity;
  std::string caller;  // as authenticated; "anonymous" when nobody was
  std::shared_ptr<const Step> step;
  std::vector<ApplicationSelection> selections;  // of the step, with their namespaces
  nlohmann::json previous_output;                // of the step's previous run
  observability::Logger log;
};

// With `invalid` the configuration is not valid: that is the response, and nothing may be run.
// NOLINTNEXTLINE(bugprone-exception-escape)
struct BegunStep {
  StepCall call;
  std::optional<v1::RunStepResponse> invalid;
};

// Parses the configuration. `kind` is that of `request.uses`, and `request.step` is not empty; both
// outlive the call.
BegunStep BeginStep(const StepKind& kind, const v1::RunStepRequest& request, std::string caller,
                    const Scope& scope, observability::Logger log);

// What a step is evaluated from, but for the Applications.
StepInput MakeInput(const StepCall& call, std::string_view default_initiator, int max_attempts,
                    absl::Time now);

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_STEP_CALL_H_
