// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_SERVICE_STEPS_H_
#define GANTRY_SERVER_SERVICE_STEPS_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/worker_pool.h"
#include "server/service/admission.h"
#include "server/service/run_step_call.h"
#include "server/steps/pending_calls.h"
#include "server/steps/step_engine.h"

namespace gantry::service {

// RunStep: hands each step that is admitted over to a worker. Owned by the service, which also owns
// or was given all that it refers to; any thread.
class Steps {
 public:
  struct Environment {
    const steps::StepKinds& kinds;
    steps::StepRunner& runner;
    base::WorkerPool& workers;
    steps::PendingCalls& pending;
    const base::Clock& clock;
    const StepEndListener& on_step_end;  // may be empty
    absl::Duration max_wait;
    absl::Duration default_deadline;
  };

  Steps(const Environment& environment, Admission& admission)
      : environment_(environment), admission_(admission) {}

  grpc::ServerUnaryReactor* Run(grpc::CallbackServerContext* context, const grpc::ByteBuffer& bytes,
                                grpc::ByteBuffer* response);

 private:
  const Environment environment_;
  Admission& admission_;
};

}  // namespace gantry::service

#endif  // GANTRY_SERVER_SERVICE_STEPS_H_
