// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_SERVICE_STEP_KIND_READS_H_
#define GANTRY_SERVER_SERVICE_STEP_KIND_READS_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "server/service/admission.h"
#include "server/steps/step_kind.h"

namespace gantry::service {

// ListStepKinds. The kinds never change, so the response is built once. Owned by the service; any
// thread.
class StepKindReads {
 public:
  // `registry` has all kinds already.
  StepKindReads(const steps::StepKinds& kinds, Admission& admission);

  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context,
                                 const grpc::ByteBuffer& bytes, grpc::ByteBuffer* response);

 private:
  Admission& admission_;
  grpc::ByteBuffer kinds_;
};

}  // namespace gantry::service

#endif  // GANTRY_SERVER_SERVICE_STEP_KIND_READS_H_
