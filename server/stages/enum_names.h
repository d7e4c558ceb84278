// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STAGES_ENUM_NAMES_H_
#define GANTRY_SERVER_STAGES_ENUM_NAMES_H_

#include <optional>
#include <string>
#include <string_view>

#include "gantry/v1/health.pb.h"
#include "gantry/v1/step.pb.h"

namespace gantry::stages {

// The contract's enum values as Kubernetes objects spell such words: STEP_STATUS_RUNNING is
// "Running", STEP_REASON_OPERATION_FAILED is "OperationFailed"; UNSPECIFIED is "". A word that is
// not known reads as nothing.

std::string ToWord(v1::StepStatus value);
std::string ToWord(v1::StepReason value);
std::string ToWord(v1::PromotionPhase value);
std::string ToWord(v1::HealthState value);

std::optional<v1::StepStatus> StepStatusFromWord(std::string_view word);
std::optional<v1::StepReason> StepReasonFromWord(std::string_view word);
std::optional<v1::PromotionPhase> PromotionPhaseFromWord(std::string_view word);
std::optional<v1::HealthState> HealthStateFromWord(std::string_view word);

}  // namespace gantry::stages

#endif  // GANTRY_SERVER_STAGES_ENUM_NAMES_H_
