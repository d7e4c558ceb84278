// SPDX-License-Identifier: Apache-2.0
#include "server/service/reports.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error_info.h"
#include "gantry/v1/promotion_step_service.pb.h"
#include "server/service/validation.h"
#include "server/stages/stage_record.h"
#include "server/steps/kubernetes_failure.h"

namespace gantry::service {
namespace {

absl::Status TooManyIndicators(const v1::ReportIndicatorRequest& request) {
  base::ErrorInfo info;
  info.reason = "TOO_MANY_INDICATORS";
  info.metadata = {{"limit", std::to_string(stages::kMaxIndicators)}};
  return base::WithErrorInfo(
      absl::ResourceExhaustedError(absl::StrCat(
          "Stage ", request.project(), "/", request.stage(), " has ", stages::kMaxIndicators,
          " indicators, as many as one may have; remove one of them (report it with "
          "HEALTH_STATE_UNSPECIFIED) before \"",
          request.name(), "\" is added")),
      info);
}

absl::StatusOr<bool> ChangeIndicator(stages::StageRecord& record,
                                     const v1::ReportIndicatorRequest& request, absl::Time now) {
  if (request.state() == v1::HEALTH_STATE_UNSPECIFIED) {
    return stages::RemoveIndicator(record, request.name());
  }
  std::optional<absl::Duration> ttl;
  if (request.has_ttl()) {
    ttl = absl::Seconds(request.ttl().seconds()) + absl::Nanoseconds(request.ttl().nanos());
  }
  if (!stages::ReportIndicator(record, request.name(), request.state(), request.message(), ttl,
                               now)) {
    return TooManyIndicators(request);
  }
  return true;
}

}  // namespace

grpc::ServerUnaryReactor* Reports::Promotion(grpc::CallbackServerContext* context,
                                             const grpc::ByteBuffer& bytes,
                                             grpc::ByteBuffer* response) {
  auto call = admission_.Admit<v1::ReportPromotionRequest>(
      context, bytes, "ReportPromotion", ValidateReportPromotion, {.counted = true});
  if (!call.status.ok()) return Refuse(context, call.status);
  SerializeTo(v1::ReportPromotionResponse(), response);
  const CallLog log = admission_.LogOf(call);
  const std::string project = call.request.project();
  const std::string stage = call.request.stage();
  return Submit(context, log, project, stage,
                [this, log = log.log, request = std::move(call.request)](
                    stages::StageRecord& record) -> absl::StatusOr<bool> {
                  const bool heard =
                      stages::ReportPromotion(record, request.promotion(), request.phase(),
                                              request.message(), environment_.clock.Now());
                  if (!heard) {
                    log.Info("the report concerns a promotion that is not the current one");
                  }
                  return heard;
                });
}

grpc::ServerUnaryReactor* Reports::Indicator(grpc::CallbackServerContext* context,
                                             const grpc::ByteBuffer& bytes,
                                             grpc::ByteBuffer* response) {
  auto call = admission_.Admit<v1::ReportIndicatorRequest>(
      context, bytes, "ReportIndicator", ValidateReportIndicator, {.counted = true});
  if (!call.status.ok()) return Refuse(context, call.status);
  SerializeTo(v1::ReportIndicatorResponse(), response);
  CallLog log = admission_.LogOf(call);
  const std::string project = call.request.project();
  const std::string stage = call.request.stage();
  return Submit(context, std::move(log), project, stage,
                [this, request = std::move(call.request)](stages::StageRecord& record) {
                  return ChangeIndicator(record, request, environment_.clock.Now());
                });
}

grpc::ServerUnaryReactor* Reports::Submit(grpc::CallbackServerContext* context, CallLog log,
                                          const std::string& project, const std::string& stage,
                                          Change change) {
  auto work = [this, project, stage, change = std::move(change)](base::Context& working) {
    return Update(project, stage, change, working);
  };
  return service::Submit(
      environment_.workers,
      new BlockingCall(std::move(work), std::move(log), TimeLeft(*context),
                       environment_.default_deadline, environment_.clock, admission_.calls()),
      "calls");
}

absl::Status Reports::Update(const std::string& project, const std::string& stage,
                             const Change& change, base::Context& context) const {
  absl::Status refused;
  const auto change_or_refuse = [&](stages::StageRecord& record) {
    const absl::StatusOr<bool> changed = change(record);
    refused = changed.status();
    return changed.ok() && *changed;
  };
  absl::Status updated = environment_.stages.Update(
      project, stage, change_or_refuse, environment_.random, environment_.sleeper, context);
  if (!refused.ok()) return refused;
  if (updated.ok()) return updated;
  if (!absl::IsAborted(updated)) return steps::KubernetesFailure(updated, context);
  base::ErrorInfo info;
  info.reason = "STAGE_RECORD_CONTENDED";
  return base::WithErrorInfo(
      absl::UnavailableError(absl::StrCat("the report could not be recorded: ", updated.message(),
                                          ", again and again; call again")),
      info);
}

}  // namespace gantry::service
