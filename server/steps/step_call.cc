// SPDX-License-Identifier: Apache-2.0
#include "server/steps/step_call.h"

#include <utility>

#include "server/steps/config/struct_json.h"
#include "server/steps/response.h"

namespace gantry::steps {
namespace {

// Tells whether a step is called with the same configuration again.
std::string HashOfConfig(const nlohmann::json& config) {
  // Keys are sorted, so equal configurations have equal text.
  return stages::HashOf(config.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace

BegunStep BeginStep(const StepKind& kind, const v1::RunStepRequest& request, std::string caller,
                    const Scope& scope, observability::Logger log) {
  BegunStep begun;
  const nlohmann::json config = ToJson(request.config());
  StepKind::Parsed parsed = kind.Parse(config);
  if (!parsed.violations.empty()) {
    begun.invalid = InvalidConfig(parsed.violations);
    return begun;
  }
  StepCall& call = begun.call;
  call.request = &request;
  call.identity = {.project = request.project(),
                   .stage = request.stage(),
                   .promotion = request.promotion(),
                   .step = request.step(),
                   .uses = request.uses(),
                   .config_hash = HashOfConfig(kind.Identity(config)),
                   .changes_applications = kind.changes_applications()};
  call.caller = std::move(caller);
  call.step = std::move(parsed.step);
  call.selections = WithNamespaces(call.step->selections(), scope);
  call.previous_output = ToJson(request.previous_output());
  call.log = std::move(log);
  return begun;
}

StepInput MakeInput(const StepCall& call, std::string_view default_initiator, int max_attempts,
                    absl::Time now) {
  return {.project = call.identity.project,
          .stage = call.identity.stage,
          .promotion = call.identity.promotion,
          .step = call.identity.step,
          .actor = call.request->actor(),
          .default_initiator = default_initiator,
          .max_attempts = max_attempts,
          .now = now,
          .previous_output = call.previous_output,
          .candidates = {},
          .entries = {}};
}

}  // namespace gantry::steps
