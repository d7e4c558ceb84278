// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_SERVICE_PROMOTION_STEP_SERVICE_H_
#define GANTRY_SERVER_SERVICE_PROMOTION_STEP_SERVICE_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gantry/v1/promotion_step_service.grpc.pb.h"
#include "server/base/clock.h"
#include "server/base/random.h"
#include "server/base/worker_pool.h"
#include "server/observability/log.h"
#include "server/service/call_tracker.h"
#include "server/steps/step_runner.h"

namespace gantry::service {

struct ServiceLimits {
  absl::Duration max_wait = absl::Minutes(10);
  // How long a call without a deadline of its own may take, its `wait` not counted.
  absl::Duration default_deadline = absl::Minutes(2);
};

// What a call says about itself in the log, from its beginning to its end.
struct CallLog {
  observability::Logger log;
  absl::Duration begun;  // since boot
};

// RunStep and GetStageHealth are served raw: bytes that are no message would otherwise be answered
// UNIMPLEMENTED, without a word, before any code of ours runs. No method is left synchronous, so
// that no call holds a thread.
using PromotionStepServiceMethods = v1::PromotionStepService::WithRawCallbackMethod_RunStep<
    v1::PromotionStepService::WithRawCallbackMethod_GetStageHealth<
        v1::PromotionStepService::WithCallbackMethod_ListStageHealth<
            v1::PromotionStepService::WithCallbackMethod_WatchStageHealth<
                v1::PromotionStepService::WithCallbackMethod_ReportPromotion<
                    v1::PromotionStepService::WithCallbackMethod_ReportIndicator<
                        v1::PromotionStepService::WithCallbackMethod_ListStepKinds<
                            v1::PromotionStepService::Service>>>>>>>;

// The gRPC edge: turns bytes into checked requests, admits them, lends each a context that ends
// with the call, hands it to its step runner on a worker thread, and turns what comes back into an
// answer and one line of the log. Decides nothing about steps. Owned by the wiring, together with
// everything it is given, all of which outlives it; the gRPC server that it is registered with is
// shut down before it is destroyed. gRPC calls it on many threads at once.
class PromotionStepServiceImpl final : public PromotionStepServiceMethods {
 public:
  PromotionStepServiceImpl(const steps::StepRegistry& registry, base::WorkerPool& workers,
                           const ServiceLimits& limits, const base::Clock& clock,
                           base::Random& random, observability::Logger log);

  CallTracker& calls() { return calls_; }

  using PromotionStepServiceMethods::GetStageHealth;
  using PromotionStepServiceMethods::ListStageHealth;
  using PromotionStepServiceMethods::ListStepKinds;
  using PromotionStepServiceMethods::ReportIndicator;
  using PromotionStepServiceMethods::ReportPromotion;
  using PromotionStepServiceMethods::RunStep;
  using PromotionStepServiceMethods::WatchStageHealth;

  grpc::ServerUnaryReactor* RunStep(grpc::CallbackServerContext* context,
                                    const grpc::ByteBuffer* bytes,
                                    grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetStageHealth(grpc::CallbackServerContext* context,
                                           const grpc::ByteBuffer* bytes,
                                           grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ListStageHealth(grpc::CallbackServerContext* context,
                                            const v1::ListStageHealthRequest* request,
                                            v1::ListStageHealthResponse* response) override;
  grpc::ServerWriteReactor<v1::WatchStageHealthResponse>* WatchStageHealth(
      grpc::CallbackServerContext* context, const v1::WatchStageHealthRequest* request) override;
  grpc::ServerUnaryReactor* ReportPromotion(grpc::CallbackServerContext* context,
                                            const v1::ReportPromotionRequest* request,
                                            v1::ReportPromotionResponse* response) override;
  grpc::ServerUnaryReactor* ReportIndicator(grpc::CallbackServerContext* context,
                                            const v1::ReportIndicatorRequest* request,
                                            v1::ReportIndicatorResponse* response) override;
  grpc::ServerUnaryReactor* ListStepKinds(grpc::CallbackServerContext* context,
                                          const v1::ListStepKindsRequest* request,
                                          v1::ListStepKindsResponse* response) override;

 private:
  // Gives the call its request id, which is sent back with the answer.
  CallLog BeginCall(grpc::CallbackServerContext* context, const std::string& method);
  grpc::ServerUnaryReactor* Refuse(grpc::CallbackServerContext* context, const CallLog& call,
                                   const absl::Status& status) const;
  grpc::ServerUnaryReactor* NotServed(grpc::CallbackServerContext* context,
                                      const std::string& method);

  const steps::StepRegistry& registry_;
  base::WorkerPool& workers_;
  const ServiceLimits limits_;
  const base::Clock& clock_;
  base::Random& random_;
  const observability::Logger log_;
  CallTracker calls_;
};

}  // namespace gantry::service

#endif  // GANTRY_SERVER_SERVICE_PROMOTION_STEP_SERVICE_H_
