// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_SERVICE_REPORTS_H_
#define GANTRY_SERVER_SERVICE_REPORTS_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/random.h"
#include "base/worker_pool.h"
#include "server/service/admission.h"
#include "server/stages/stage_store.h"

namespace gantry::service {

// ReportPromotion and ReportIndicator: a worker changes the Stage's record. Owned by the service,
// which also owns or was given all that it refers to; any thread.
class Reports {
 public:
  struct Environment {
    stages::StageStore& stages;
    base::WorkerPool& workers;
    const base::Clock& clock;
    base::Random& random;
    base::Sleeper& sleeper;
    absl::Duration default_deadline;
  };

  Reports(const Environment& environment, Admission& admission)
      : environment_(environment), admission_(admission) {}

  grpc::ServerUnaryReactor* Promotion(grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer& bytes, grpc::ByteBuffer* response);
  grpc::ServerUnaryReactor* Indicator(grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer& bytes, grpc::ByteBuffer* response);

 private:
  // False: nothing changes. An error refuses the report.
  using Change = std::function<absl::StatusOr<bool>(stages::StageRecord& record)>;

  grpc::ServerUnaryReactor* Submit(grpc::CallbackServerContext* context, CallLog log,
                                   const std::string& project, const std::string& stage,
                                   Change change);
  absl::Status Update(const std::string& project, const std::string& stage, const Change& change,
                      base::Context& context) const;

  const Environment environment_;
  Admission& admission_;
};

}  // namespace gantry::service

#endif  // GANTRY_SERVER_SERVICE_REPORTS_H_
