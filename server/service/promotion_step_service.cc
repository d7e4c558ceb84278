// SPDX-License-Identifier: Apache-2.0
#include "server/service/promotion_step_service.h"

#include <utility>

namespace gantry::service {

PromotionStepServiceImpl::PromotionStepServiceImpl(Dependencies dependencies, ServiceLimits limits,
                                                   observability::Logger log)
    : deps_(std::move(dependencies)),
      admission_(deps_.health, deps_.clock, deps_.random, std::move(log)),
      steps_({deps_.kinds, deps_.runner, deps_.workers, deps_.pending, deps_.clock,
              deps_.on_step_end, limits.max_wait, limits.default_deadline},
             admission_),
      health_reads_(deps_.health, std::move(limits.argocd_namespace), admission_),
      watches_(deps_.health, deps_.clock, admission_),
      reports_({deps_.stages, deps_.workers, deps_.clock, deps_.random, deps_.sleeper,
                limits.default_deadline},
               admission_),
      step_kind_reads_(deps_.kinds, admission_) {}

void PromotionStepServiceImpl::StartDraining() {
  admission_.calls().StartDraining();
  deps_.pending.Stop();
  watches_.StartDraining();
}

grpc::ServerUnaryReactor* PromotionStepServiceImpl::RunStep(grpc::CallbackServerContext* context,
                                                            const grpc::ByteBuffer* bytes,
                                                            grpc::ByteBuffer* response) {
  return steps_.Run(context, *bytes, response);
}

grpc::ServerUnaryReactor* PromotionStepServiceImpl::GetStageHealth(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* bytes,
    grpc::ByteBuffer* response) {
  return health_reads_.Get(context, *bytes, response);
}

grpc::ServerUnaryReactor* PromotionStepServiceImpl::ListStageHealth(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* bytes,
    grpc::ByteBuffer* response) {
  return health_reads_.List(context, *bytes, response);
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* PromotionStepServiceImpl::WatchStageHealth(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* bytes) {
  return watches_.Watch(context, *bytes);
}

grpc::ServerUnaryReactor* PromotionStepServiceImpl::ReportPromotion(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* bytes,
    grpc::ByteBuffer* response) {
  return reports_.Promotion(context, *bytes, response);
}

grpc::ServerUnaryReactor* PromotionStepServiceImpl::ReportIndicator(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* bytes,
    grpc::ByteBuffer* response) {
  return reports_.Indicator(context, *bytes, response);
}

grpc::ServerUnaryReactor* PromotionStepServiceImpl::ListStepKinds(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* bytes,
    grpc::ByteBuffer* response) {
  return step_kind_reads_.List(context, *bytes, response);
}

}  // namespace gantry::service
