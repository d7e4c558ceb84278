// SPDX-License-Identifier: Apache-2.0
#include "server/service/steps.h"

#include <utility>

#include "server/service/validation.h"

namespace gantry::service {

grpc::ServerUnaryReactor* Steps::Run(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer& bytes, grpc::ByteBuffer* response) {
  const Environment& env = environment_;
  auto call = admission_.Admit<v1::RunStepRequest>(context, bytes, "RunStep",
                                                   [&env](v1::RunStepRequest& request) {
                                                     if (request.step().empty()) {
                                                       request.set_step(request.uses());
                                                     }
                                                     return ValidateRunStep(
                                                         request, env.kinds.Names(), env.max_wait);
                                                   },
                                                   {.counted = true});
  if (!call.status.ok()) return Refuse(context, call.status);
  CallLog log = admission_.LogOf(call);
  // The wait is valid, hence in range.
  const google::protobuf::Duration& wait = call.request.wait();
  const absl::Duration deadline =
      env.default_deadline + absl::Seconds(wait.seconds()) + absl::Nanoseconds(wait.nanos());
  const steps::StepKind& kind = *env.kinds.Find(call.request.uses());
  return Submit(env.workers,
                new RunStepCall(std::move(call.request),
                                {env.runner, kind, env.workers, env.pending, env.clock,
                                 admission_.calls(), env.on_step_end},
                                std::move(log), TimeLeft(*context), deadline, response),
                "steps");
}

}  // namespace gantry::service
