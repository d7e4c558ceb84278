// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_SERVICE_PROMOTION_STEP_SERVICE_H_
#define GANTRY_SERVER_SERVICE_PROMOTION_STEP_SERVICE_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <string>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/random.h"
#include "base/worker_pool.h"
#include "gantry/v1/promotion_step_service.grpc.pb.h"
#include "server/health/health_cache.h"
#include "server/observability/log.h"
#include "server/service/admission.h"
#include "server/service/call_tracker.h"
#include "server/service/health_reads.h"
#include "server/service/reports.h"
#include "server/service/run_step_call.h"
#include "server/service/step_kind_reads.h"
#include "server/service/steps.h"
#include "server/service/watches.h"
#include "server/stages/stage_store.h"
#include "server/steps/pending_calls.h"
#include "server/steps/step_engine.h"

namespace gantry::service {

struct ServiceLimits {
  absl::Duration max_wait = absl::Minutes(10);
  // How long a call without a deadline of its own may take, its `wait` not counted.
  absl::Duration default_deadline = absl::Minutes(2);
  // Where an Application of a health check without a namespace is.
  std::string argocd_namespace = "argocd";
};

// All methods are served raw: bytes that are no message would otherwise be refused as
// UNIMPLEMENTED, without a word, before any code of ours runs, and responses are made of prebuilt
// bytes. No method is left synchronous, so that no call holds a thread.
using PromotionStepServiceMethods = v1::PromotionStepService::WithRawCallbackMethod_RunStep<
    v1::PromotionStepService::WithRawCallbackMethod_GetStageHealth<
        v1::PromotionStepService::WithRawCallbackMethod_ListStageHealth<
            v1::PromotionStepService::WithRawCallbackMethod_WatchStageHealth<
                v1::PromotionStepService::WithRawCallbackMethod_ReportPromotion<
                    v1::PromotionStepService::WithRawCallbackMethod_ReportIndicator<
                        v1::PromotionStepService::WithRawCallbackMethod_ListStepKinds<
                            v1::PromotionStepService::Service>>>>>>>;

// The gRPC edge: the table of the methods, each of which is in the file of its family. All of them
// turn bytes into checked requests, admit them, and turn what comes back into a response and one
// line of the log. Steps and reports are handed to a worker thread with a context that ends with
// the call; the health of Stages is told at once from the cache. Decides nothing about either.
// Owned by the wiring, together with everything it is given, all of which outlives it; the gRPC
// server that it is registered with is shut down before it is destroyed. gRPC calls it on many
// threads at once.
class PromotionStepServiceImpl final : public PromotionStepServiceMethods {
 public:
  struct Dependencies {
    const steps::StepKinds& kinds;
    steps::StepRunner& runner;
    base::WorkerPool& workers;
    steps::PendingCalls& pending;
    stages::StageStore& stages;
    health::HealthCache& health;
    const base::Clock& clock;
    base::Random& random;
    base::Sleeper& sleeper;
    StepEndListener on_step_end;  // may be empty
  };

  PromotionStepServiceImpl(Dependencies dependencies, ServiceLimits limits,
                           observability::Logger log);

  CallTracker& calls() { return admission_.calls(); }
  // Takes no further calls, responds to those that are pending, and ends the streams.
  void StartDraining();

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
                                            const grpc::ByteBuffer* bytes,
                                            grpc::ByteBuffer* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* WatchStageHealth(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* bytes) override;
  grpc::ServerUnaryReactor* ReportPromotion(grpc::CallbackServerContext* context,
                                            const grpc::ByteBuffer* bytes,
                                            grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ReportIndicator(grpc::CallbackServerContext* context,
                                            const grpc::ByteBuffer* bytes,
                                            grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ListStepKinds(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* bytes,
                                          grpc::ByteBuffer* response) override;

 private:
  const Dependencies deps_;
  Admission admission_;
  Steps steps_;
  HealthReads health_reads_;
  Watches watches_;
  Reports reports_;
  StepKindReads step_kind_reads_;
};

}  // namespace gantry::service

#endif  // GANTRY_SERVER_SERVICE_PROMOTION_STEP_SERVICE_H_
