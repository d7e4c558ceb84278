// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_RESPONSE_H_
#define GANTRY_SERVER_STEPS_RESPONSE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gantry/v1/promotion_step_service.pb.h"
#include "server/cache/caches.h"
#include "server/stages/stage_record.h"
#include "server/steps/config/config_schema.h"
#include "server/steps/recording.h"
#include "server/steps/step_plan.h"

namespace gantry::steps {

// The responses of RunStep, made from plans and records. Pure.

// With `retry_after` where the contract wants it: when a RUNNING step is due, else after 5 s, since
// an operation takes seconds at least; and 30 s for an ERRORED one, whose cause is somebody else's
// to remove.
v1::RunStepResponse MakeResponse(v1::StepStatus status, v1::StepReason reason, std::string message);
void SetRetryAfter(absl::Duration delay, v1::RunStepResponse& response);

// `violations` is not empty.
v1::RunStepResponse InvalidConfig(const std::vector<Violation>& violations);

v1::RunStepResponse Superseded(std::string_view promotion, std::string_view newer);

// The outcomes of a plan, and the output. `written` are the patches that the call has sent.
void AddOutcomes(const StepPlan& plan,
                 const std::map<argocd::ApplicationName, std::string>& written, bool dry_run,
                 v1::RunStepResponse& response);

// What a SUCCEEDED step registers for its Stage.
v1::HealthCheck HealthCheckOf(std::string_view uses, const stages::StepRecord& step);

// The response that a step which has ended gave then. `caches` tell what it does not remember.
v1::RunStepResponse RecordedResponse(const stages::StepRecord& step, const StepIdentity& identity,
                                     const cache::Caches& caches);

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_RESPONSE_H_
