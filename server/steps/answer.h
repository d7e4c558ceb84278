// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_ANSWER_H_
#define GANTRY_SERVER_STEPS_ANSWER_H_

#include <google/protobuf/duration.pb.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gantry/v1/promotion_step_service.pb.h"
#include "server/argocd/application.h"
#include "server/steps/config_schema.h"

namespace gantry::steps {

// What the answers of all kinds of step have in common.

// When to call again: an operation takes seconds at least; what an ERRORED step waits for is
// somebody else's to do.
inline constexpr absl::Duration kRunningRetry = absl::Seconds(5);
inline constexpr absl::Duration kErroredRetry = absl::Seconds(30);

google::protobuf::Duration ToProto(absl::Duration duration);

// With retry_after where the contract wants it.
v1::RunStepResponse Answer(v1::StepStatus status, v1::StepReason reason, std::string message);

// `violations` is not empty.
v1::RunStepResponse InvalidConfig(const std::vector<Violation>& violations);

// {"apps": [{"name", "namespace"}, ...]}, in one order, so that an answer from the record is the
// same.
nlohmann::json AppsOutput(std::vector<argocd::ApplicationName> names);

// Tells whether a step is called with the same configuration again.
std::string HashOfConfig(const nlohmann::json& config);

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_ANSWER_H_
