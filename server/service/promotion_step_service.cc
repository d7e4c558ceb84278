// SPDX-License-Identifier: Apache-2.0
#include "server/service/promotion_step_service.h"

#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/time_util.h>
#include <grpcpp/server_context.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "base/error_info.h"
#include "base/strings.h"
#include "server/service/health_response.h"
#include "server/service/page_token.h"
#include "server/service/run_step_call.h"
#include "server/service/status.h"
#include "server/service/text.h"
#include "server/service/validation.h"
#include "server/service/watch_call.h"
#include "server/steps/kubernetes_failure.h"

namespace gantry::service {
namespace {

using observability::Logger;

constexpr const char* kRequestIdKey = "x-request-id";
constexpr std::size_t kMaxRequestIdLength = 128;
constexpr std::size_t kDefaultPageSize = 100;
constexpr std::size_t kMaxPageSize = 1000;
// A client takes 4 MiB at a time unless it was told otherwise.
constexpr std::size_t kMaxPageBytes = 3 << 20;
constexpr absl::Duration kStepTimeout = absl::Minutes(5);

std::string RandomId(base::Random& random) {
  std::string id;
  for (int i = 0; i < 4; ++i) {
    absl::StrAppendFormat(&id, "%08x", static_cast<std::uint32_t>(random.Uniform() * 0x1p32));
  }
  return id;
}

std::string RequestId(const grpc::CallbackServerContext& context, base::Random& random) {
  const auto found = context.client_metadata().find(kRequestIdKey);
  if (found == context.client_metadata().end()) return RandomId(random);
  const std::string given(found->second.data(), found->second.size());
  const bool good = !given.empty() && given.size() <= kMaxRequestIdLength &&
                    std::all_of(given.begin(), given.end(),
                                [](unsigned char c) { return absl::ascii_isprint(c); });
  return good ? given : RandomId(random);
}

absl::Status Draining() {
  base::ErrorInfo info;
  info.reason = "SERVER_DRAINING";
  return base::WithErrorInfo(absl::UnavailableError("this server is shutting down; ask another"),
                             info);
}

absl::Status TooManyCalls(const base::WorkerPool& workers, const char* what) {
  base::ErrorInfo info;
  info.reason = "TOO_MANY_STEPS";
  info.metadata = {{"step_workers", std::to_string(workers.threads())}};
  return base::WithErrorInfo(
      absl::ResourceExhaustedError(
          absl::StrCat("too many ", what, " at once: all ", workers.threads(),
                       " step workers are busy and their queue is full; call again later")),
      info);
}

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

Logger WithStage(const Logger& log, const std::string& project, const std::string& stage) {
  return log.With({{"project", Presentable(project, kMaxLoggedNameBytes)},
                   {"stage", Presentable(stage, kMaxLoggedNameBytes)}});
}

grpc::ServerUnaryReactor* Done(grpc::CallbackServerContext* context) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

}  // namespace

PromotionStepServiceImpl::PromotionStepServiceImpl(Dependencies dependencies, ServiceLimits limits,
                                                   Logger log)
    : deps_(std::move(dependencies)), limits_(std::move(limits)), log_(std::move(log)) {}

void PromotionStepServiceImpl::StartDraining() {
  calls_.StartDraining();
  deps_.parked.Stop();
  std::vector<std::shared_ptr<WatchCall>> streams;
  {
    base::MutexLock lock(mutex_);
    for (const auto& [key, stream] : streams_) {
      if (auto going = stream.lock()) streams.push_back(std::move(going));
    }
  }
  for (const auto& stream : streams) stream->End(Draining());
}

CallLog PromotionStepServiceImpl::BeginCall(grpc::CallbackServerContext* context,
                                            const std::string& method) {
  const std::string request_id = RequestId(*context, deps_.random);
  context->AddInitialMetadata(kRequestIdKey, request_id);
  return {log_.With({{"request_id", request_id}, {"method", method}}), deps_.clock.SinceBoot()};
}

grpc::ServerUnaryReactor* PromotionStepServiceImpl::Refuse(grpc::CallbackServerContext* context,
                                                           const CallLog& call,
                                                           const absl::Status& status) const {
  LogError(call, deps_.clock, status);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

grpc::ServerUnaryReactor* PromotionStepServiceImpl::RunStep(grpc::CallbackServerContext* context,
                                                            const grpc::ByteBuffer* bytes,
                                                            grpc::ByteBuffer* response) {
  CallLog call = BeginCall(context, "RunStep");
  v1::RunStepRequest request;
  if (const absl::Status parsed = ParseRequest(*bytes, request); !parsed.ok()) {
    return Refuse(context, call, parsed);
  }
  if (request.step().empty()) request.set_step(request.uses());
  call.log = WithStage(call.log, request.project(), request.stage())
                 .With({{"promotion", Presentable(request.promotion(), kMaxLoggedNameBytes)},
                        {"step", Presentable(request.step(), kMaxLoggedNameBytes)}});
  std::vector<base::ErrorInfo::FieldViolation> violations =
      ValidateRunStep(request, deps_.registry.Names(), limits_.max_wait);
  if (!violations.empty()) return Refuse(context, call, InvalidRequest(std::move(violations)));

  if (!calls_.Begin()) return Refuse(context, call, Draining());
  steps::StepRunner& runner = *deps_.registry.Find(request.uses());
  // The wait is valid, hence in range.
  const absl::Duration wait =
      absl::Seconds(request.wait().seconds()) + absl::Nanoseconds(request.wait().nanos());
  auto* reactor = new RunStepCall(
      std::move(request),
      {runner, deps_.workers, deps_.parked, deps_.clock, calls_, deps_.on_step_end},
      std::move(call), TimeLeft(*context), limits_.default_deadline + wait, response);
  if (!deps_.workers.TrySubmit([reactor] { reactor->Run(); })) {
    reactor->End(TooManyCalls(deps_.workers, "steps"));
  }
  return reactor;
}

absl::Status PromotionStepServiceImpl::CheckReady() const {
  if (deps_.health.ready()) return absl::OkStatus();
  base::ErrorInfo info;
  info.reason = "CACHES_NOT_FILLED";
  return base::WithErrorInfo(
      absl::UnavailableError("this server has not read all Applications and Stages yet since its "
                             "start; ask another, or again soon"),
      info);
}

grpc::ServerUnaryReactor* PromotionStepServiceImpl::GetStageHealth(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* bytes,
    grpc::ByteBuffer* response) {
  CallLog call = BeginCall(context, "GetStageHealth");
  v1::GetStageHealthRequest request;
  if (const absl::Status parsed = ParseRequest(*bytes, request); !parsed.ok()) {
    return Refuse(context, call, parsed);
  }
  call.log = WithStage(call.log, request.project(), request.stage());
  std::vector<base::ErrorInfo::FieldViolation> violations = ValidateGetStageHealth(request);
  if (!violations.empty()) return Refuse(context, call, InvalidRequest(std::move(violations)));
  if (const absl::Status ready = CheckReady(); !ready.ok()) return Refuse(context, call, ready);

  const health::StageName name{request.project(), request.stage()};
  if (!request.health_checks().empty()) {
    *response = GetResponse(
        deps_.health.EvaluateChecks(name, request.health_checks(), limits_.argocd_namespace));
    return Done(context);
  }
  health::StageSnapshotPtr snapshot = deps_.health.Find(name);
  if (snapshot == nullptr) {
    base::ErrorInfo info;
    info.reason = "STAGE_NOT_FOUND";
    info.metadata = {{"project", name.project}, {"stage", name.stage}};
    return Refuse(
        context, call,
        base::WithErrorInfo(absl::NotFoundError(absl::StrCat(
                                "Stage ", name.project, "/", name.stage,
                                " is not known: no promotion step ever ran for it and nothing was "
                                "reported, or its StageHealth was deleted")),
                            info));
  }
  *response = GetResponse(deps_.health.Show(std::move(snapshot)));
  return Done(context);
}

grpc::ServerUnaryReactor* PromotionStepServiceImpl::ListStageHealth(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* bytes,
    grpc::ByteBuffer* response) {
  const CallLog call = BeginCall(context, "ListStageHealth");
  v1::ListStageHealthRequest request;
  if (const absl::Status parsed = ParseRequest(*bytes, request); !parsed.ok()) {
    return Refuse(context, call, parsed);
  }
  std::vector<base::ErrorInfo::FieldViolation> violations = ValidateListStageHealth(request);
  if (!violations.empty()) return Refuse(context, call, InvalidRequest(std::move(violations)));
  if (const absl::Status ready = CheckReady(); !ready.ok()) return Refuse(context, call, ready);

  std::optional<health::StageName> after;
  if (!request.page_token().empty()) after = ReadPageToken(request.page_token());
  std::set<v1::HealthState> states;
  for (const int state : request.states()) states.insert(static_cast<v1::HealthState>(state));
  const std::size_t limit = request.page_size() == 0
                                ? kDefaultPageSize
                                : std::min<std::size_t>(request.page_size(), kMaxPageSize);
  *response = ListResponse(
      deps_.health, deps_.health.ListAfter(after, request.project(), states, limit), kMaxPageBytes);
  return Done(context);
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* PromotionStepServiceImpl::WatchStageHealth(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* bytes) {
  CallLog call = BeginCall(context, "WatchStageHealth");
  v1::WatchStageHealthRequest request;
  absl::Status status = ParseRequest(*bytes, request);
  if (status.ok()) {
    std::vector<base::ErrorInfo::FieldViolation> violations = ValidateWatchStageHealth(request);
    if (!violations.empty()) status = InvalidRequest(std::move(violations));
  }
  if (status.ok()) status = CheckReady();
  if (!status.ok()) {
    LogError(call, deps_.clock, status);
    return new RefusedStream(ToGrpcStatus(status));
  }
  call.log = WithStage(call.log, request.project(), request.stage());
  const auto stream =
      std::make_shared<WatchCall>(deps_.health, call, deps_.clock, [this](const WatchCall* ended) {
        {
          base::MutexLock lock(mutex_);
          streams_.erase(ended);
        }
        calls_.End();
      });
  bool admitted = false;
  {
    // Together, so that StartDraining finds every stream that was admitted.
    base::MutexLock lock(mutex_);
    admitted = calls_.Begin();
    if (admitted) streams_.emplace(stream.get(), stream);
  }
  if (!admitted) {
    LogError(call, deps_.clock, Draining());
    return new RefusedStream(ToGrpcStatus(Draining()));
  }
  stream->Start(request.project(), request.stage());
  return stream.get();
}

grpc::ServerUnaryReactor* PromotionStepServiceImpl::Report(
    grpc::CallbackServerContext* context, const CallLog& call, const std::string& project,
    const std::string& stage,
    std::function<absl::StatusOr<bool>(stages::StageRecord& record)> change) {
  if (!calls_.Begin()) return Refuse(context, call, Draining());
  const auto work = [this, project, stage, change = std::move(change)](base::Context& working) {
    absl::Status refused;
    const auto change_or_refuse = [&](stages::StageRecord& record) {
      const absl::StatusOr<bool> changed = change(record);
      refused = changed.status();
      return changed.ok() && *changed;
    };
    absl::Status updated =
        deps_.stages.Update(project, stage, change_or_refuse, deps_.random, deps_.sleeper, working);
    if (!refused.ok()) return refused;
    if (updated.ok()) return updated;
    if (!absl::IsAborted(updated)) return steps::KubernetesFailure(updated, working);
    base::ErrorInfo info;
    info.reason = "STAGE_RECORD_CONTENDED";
    return base::WithErrorInfo(
        absl::UnavailableError(absl::StrCat("the report could not be recorded: ", updated.message(),
                                            ", again and again; call again")),
        info);
  };
  auto* reactor = new BlockingCall(work, call, TimeLeft(*context), limits_.default_deadline,
                                   deps_.clock, calls_);
  if (!deps_.workers.TrySubmit([reactor] { reactor->Run(); })) {
    reactor->End(TooManyCalls(deps_.workers, "calls"));
  }
  return reactor;
}

grpc::ServerUnaryReactor* PromotionStepServiceImpl::ReportPromotion(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* bytes,
    grpc::ByteBuffer* response) {
  CallLog call = BeginCall(context, "ReportPromotion");
  v1::ReportPromotionRequest request;
  if (const absl::Status parsed = ParseRequest(*bytes, request); !parsed.ok()) {
    return Refuse(context, call, parsed);
  }
  call.log = WithStage(call.log, request.project(), request.stage())
                 .With({{"promotion", Presentable(request.promotion(), kMaxLoggedNameBytes)}});
  std::vector<base::ErrorInfo::FieldViolation> violations = ValidateReportPromotion(request);
  if (!violations.empty()) return Refuse(context, call, InvalidRequest(std::move(violations)));
  SerializeTo(v1::ReportPromotionResponse(), response);
  const std::string project = request.project();
  const std::string stage = request.stage();
  return Report(context, call, project, stage,
                [this, log = call.log, request = std::move(request)](stages::StageRecord& record) {
                  const bool heard =
                      stages::ReportPromotion(record, request.promotion(), request.phase(),
                                              request.message(), deps_.clock.Now());
                  if (!heard) {
                    log.Info("the report concerns a promotion that is not the current one");
                  }
                  return heard;
                });
}

grpc::ServerUnaryReactor* PromotionStepServiceImpl::ReportIndicator(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* bytes,
    grpc::ByteBuffer* response) {
  CallLog call = BeginCall(context, "ReportIndicator");
  v1::ReportIndicatorRequest request;
  if (const absl::Status parsed = ParseRequest(*bytes, request); !parsed.ok()) {
    return Refuse(context, call, parsed);
  }
  call.log = WithStage(call.log, request.project(), request.stage())
                 .With({{"indicator", Presentable(request.name(), kMaxLoggedNameBytes)}});
  std::vector<base::ErrorInfo::FieldViolation> violations = ValidateReportIndicator(request);
  if (!violations.empty()) return Refuse(context, call, InvalidRequest(std::move(violations)));
  SerializeTo(v1::ReportIndicatorResponse(), response);
  const std::string project = request.project();
  const std::string stage = request.stage();
  return Report(
      context, call, project, stage,
      [this, request = std::move(request)](stages::StageRecord& record) -> absl::StatusOr<bool> {
        if (request.state() == v1::HEALTH_STATE_UNSPECIFIED) {
          return stages::RemoveIndicator(record, request.name());
        }
        std::optional<absl::Duration> ttl;
        if (request.has_ttl()) {
          ttl = absl::Seconds(request.ttl().seconds()) + absl::Nanoseconds(request.ttl().nanos());
        }
        if (!stages::ReportIndicator(record, request.name(), request.state(), request.message(),
                                     ttl, deps_.clock.Now())) {
          return TooManyIndicators(request);
        }
        return true;
      });
}

grpc::ServerUnaryReactor* PromotionStepServiceImpl::ListStepKinds(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* bytes,
    grpc::ByteBuffer* response) {
  const CallLog call = BeginCall(context, "ListStepKinds");
  v1::ListStepKindsRequest request;
  if (const absl::Status parsed = ParseRequest(*bytes, request); !parsed.ok()) {
    return Refuse(context, call, parsed);
  }
  v1::ListStepKindsResponse answer;
  for (const std::string_view uses : deps_.registry.Names()) {
    const steps::StepRunner& runner = *deps_.registry.Find(uses);
    v1::StepKind& kind = *answer.add_kinds();
    kind.set_uses(std::string(uses));
    kind.set_description(std::string(runner.description()));
    // The schema is part of this program and valid JSON.
    [[maybe_unused]] const auto parsed_schema = google::protobuf::util::JsonStringToMessage(
        std::string(runner.config_schema()), kind.mutable_config_schema());
    *kind.mutable_default_timeout() =
        google::protobuf::util::TimeUtil::SecondsToDuration(absl::ToInt64Seconds(kStepTimeout));
  }
  SerializeTo(answer, response);
  return Done(context);
}

}  // namespace gantry::service
