// SPDX-License-Identifier: Apache-2.0
#include "server/service/promotion_step_service.h"

#include <grpc/support/time.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/proto_buffer_writer.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "server/base/context.h"
#include "server/base/error_info.h"
#include "server/base/strings.h"
#include "server/service/malformed.h"
#include "server/service/status.h"
#include "server/service/text.h"
#include "server/service/validation.h"

namespace gantry::service {
namespace {

using observability::Logger;

constexpr const char* kRequestIdKey = "x-request-id";
constexpr std::size_t kMaxRequestIdLength = 128;
// Names are at most this long; in a log line of a request that was refused they may be anything.
constexpr std::size_t kMaxLoggedNameBytes = 253;
constexpr std::size_t kMaxLoggedMessageBytes = 1024;

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

std::string Milliseconds(absl::Duration duration) {
  return absl::StrFormat("%.3f", absl::ToDoubleMilliseconds(duration));
}

// The one line about a call that ended with an error.
void LogError(const CallLog& call, const base::Clock& clock, const absl::Status& status) {
  const base::ErrorInfo info = base::ErrorInfoOf(status).value_or(base::ErrorInfo{});
  call.log.Warning("call failed",
                   {{"code", absl::StatusCodeToString(status.code())},
                    {"reason", info.reason},
                    {"error", Presentable(base::ToStd(status.message()), kMaxLoggedMessageBytes)},
                    {"duration_ms", Milliseconds(clock.SinceBoot() - call.begun)}});
}

// The one line about a call that ended with a verdict.
void LogVerdict(const CallLog& call, const base::Clock& clock,
                const v1::RunStepResponse& response) {
  const auto without = [](const std::string& name, const char* prefix) {
    return std::string(absl::StripPrefix(name, prefix));
  };
  call.log.Info("step judged",
                {{"code", "OK"},
                 {"status", without(v1::StepStatus_Name(response.status()), "STEP_STATUS_")},
                 {"reason", without(v1::StepReason_Name(response.reason()), "STEP_REASON_")},
                 {"duration_ms", Milliseconds(clock.SinceBoot() - call.begun)}});
}

absl::Status Parse(const grpc::ByteBuffer& bytes, google::protobuf::Message& message) {
  // The reader takes the buffer apart, and copies are cheap.
  grpc::ByteBuffer to_parse = bytes;
  {
    grpc::ProtoBufferReader reader(&to_parse);
    if (reader.status().ok() && message.ParseFromZeroCopyStream(&reader)) return absl::OkStatus();
  }
  grpc::Slice whole;
  if (!bytes.DumpToSingleSlice(&whole).ok()) {
    return InvalidRequest({{"", "the bytes cannot be decompressed"}});
  }
  return InvalidRequest(DescribeMalformed(
      std::string_view(reinterpret_cast<const char*>(whole.begin()), whole.size()), message));
}

// The caller's deadline as time left; infinite when it gave none. The context's own accessor
// overflows for a deadline in the far future.
absl::Duration TimeLeft(const grpc::CallbackServerContext& context) {
  const gpr_timespec deadline = context.raw_deadline();
  if (deadline.tv_sec == gpr_inf_future(deadline.clock_type).tv_sec) {
    return absl::InfiniteDuration();
  }
  const gpr_timespec left = gpr_time_sub(deadline, gpr_now(deadline.clock_type));
  return absl::Seconds(left.tv_sec) + absl::Nanoseconds(left.tv_nsec);
}

// One RunStep from its admission on. gRPC deletes it by OnDone, which comes after Finish and after
// the handler has returned, whatever happens to the connection; so the worker, whose last act is
// Finish, never meets a deleted call, and neither does OnCancel.
class RunStepCall final : public grpc::ServerUnaryReactor {
 public:
  RunStepCall(v1::RunStepRequest request, steps::StepRunner& runner, CallLog call,
              absl::Duration time_left, absl::Duration default_deadline, const base::Clock& clock,
              CallTracker& calls, grpc::ByteBuffer* response)
      : request_(std::move(request)),
        runner_(runner),
        call_(std::move(call)),
        default_deadline_(time_left == absl::InfiniteDuration() ? default_deadline
                                                                : absl::InfiniteDuration()),
        context_(std::min(time_left, default_deadline_)),
        clock_(clock),
        calls_(calls),
        response_(response) {}

  // On a worker thread, once.
  void Run() {
    // A call that ended while it was queued is not begun.
    const absl::Status ended = context_.Check();
    const absl::StatusOr<v1::RunStepResponse> result = ended.ok() ? RunStep() : ended;
    if (!result.ok()) return End(Attribute(result.status(), context_));

    bool own_buffer = false;
    const grpc::Status serialized =
        grpc::SerializationTraits<v1::RunStepResponse>::Serialize(*result, response_, &own_buffer);
    if (!serialized.ok()) {
      return End(absl::InternalError("the answer could not be serialized"));
    }
    LogVerdict(call_, clock_, *result);
    Finish(grpc::Status::OK);
  }

  void End(absl::Status status) {
    if (absl::IsDeadlineExceeded(status) && default_deadline_ != absl::InfiniteDuration()) {
      status = absl::DeadlineExceededError(
          absl::StrCat("the call gave no deadline and took longer than the ",
                       absl::FormatDuration(default_deadline_), " it was given; set one"));
    }
    LogError(call_, clock_, status);
    Finish(ToGrpcStatus(status));
  }

 private:
  absl::StatusOr<v1::RunStepResponse> RunStep() {
    try {
      return runner_.Run({request_, "anonymous", call_.log}, context_);
    } catch (const std::exception& exception) {
      // Nothing of ours throws; a library, or the end of memory, must not end the process.
      call_.log.Error("a step runner threw", {{"exception", exception.what()}});
      return absl::InternalError("the step could not be judged because of an internal error");
    }
  }

  void OnCancel() override { context_.Cancel(); }

  void OnDone() override {
    CallTracker& calls = calls_;
    delete this;
    calls.End();
  }

  const v1::RunStepRequest request_;
  steps::StepRunner& runner_;
  const CallLog call_;
  const absl::Duration default_deadline_;  // infinite when the caller gave one
  base::Context context_;
  const base::Clock& clock_;
  CallTracker& calls_;
  grpc::ByteBuffer* const response_;
};

// A stream that ends before it begins.
class RefusedStream final : public grpc::ServerWriteReactor<v1::WatchStageHealthResponse> {
 public:
  explicit RefusedStream(const grpc::Status& status) { Finish(status); }

 private:
  void OnDone() override { delete this; }
};

absl::Status NotServedStatus(const std::string& method) {
  return absl::UnimplementedError(method + " is not served by this version of the server");
}

}  // namespace

PromotionStepServiceImpl::PromotionStepServiceImpl(const steps::StepRegistry& registry,
                                                   base::WorkerPool& workers,
                                                   const ServiceLimits& limits,
                                                   const base::Clock& clock, base::Random& random,
                                                   Logger log)
    : registry_(registry),
      workers_(workers),
      limits_(limits),
      clock_(clock),
      random_(random),
      log_(std::move(log)) {}

CallLog PromotionStepServiceImpl::BeginCall(grpc::CallbackServerContext* context,
                                            const std::string& method) {
  const std::string request_id = RequestId(*context, random_);
  context->AddInitialMetadata(kRequestIdKey, request_id);
  return {log_.With({{"request_id", request_id}, {"method", method}}), clock_.SinceBoot()};
}

grpc::ServerUnaryReactor* PromotionStepServiceImpl::Refuse(grpc::CallbackServerContext* context,
                                                           const CallLog& call,
                                                           const absl::Status& status) const {
  LogError(call, clock_, status);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

grpc::ServerUnaryReactor* PromotionStepServiceImpl::NotServed(grpc::CallbackServerContext* context,
                                                              const std::string& method) {
  return Refuse(context, BeginCall(context, method), NotServedStatus(method));
}

grpc::ServerUnaryReactor* PromotionStepServiceImpl::RunStep(grpc::CallbackServerContext* context,
                                                            const grpc::ByteBuffer* bytes,
                                                            grpc::ByteBuffer* response) {
  CallLog call = BeginCall(context, "RunStep");
  v1::RunStepRequest request;
  if (const absl::Status parsed = Parse(*bytes, request); !parsed.ok()) {
    return Refuse(context, call, parsed);
  }
  if (request.step().empty()) request.set_step(request.uses());
  call.log = call.log.With({{"project", Presentable(request.project(), kMaxLoggedNameBytes)},
                            {"stage", Presentable(request.stage(), kMaxLoggedNameBytes)},
                            {"promotion", Presentable(request.promotion(), kMaxLoggedNameBytes)},
                            {"step", Presentable(request.step(), kMaxLoggedNameBytes)}});
  std::vector<base::ErrorInfo::FieldViolation> violations =
      ValidateRunStep(request, registry_.Names(), limits_.max_wait);
  if (!violations.empty()) return Refuse(context, call, InvalidRequest(std::move(violations)));

  if (!calls_.Begin()) {
    base::ErrorInfo info;
    info.reason = "SERVER_DRAINING";
    return Refuse(context, call,
                  base::WithErrorInfo(
                      absl::UnavailableError("this server is shutting down; ask another"), info));
  }
  steps::StepRunner& runner = *registry_.Find(request.uses());
  // The wait is valid, hence in range.
  const absl::Duration wait =
      absl::Seconds(request.wait().seconds()) + absl::Nanoseconds(request.wait().nanos());
  auto* reactor = new RunStepCall(std::move(request), runner, std::move(call), TimeLeft(*context),
                                  limits_.default_deadline + wait, clock_, calls_, response);
  if (!workers_.TrySubmit([reactor] { reactor->Run(); })) {
    base::ErrorInfo info;
    info.reason = "TOO_MANY_STEPS";
    info.metadata = {{"step_workers", std::to_string(workers_.threads())}};
    reactor->End(base::WithErrorInfo(
        absl::ResourceExhaustedError(
            absl::StrCat("too many steps at once: all ", workers_.threads(),
                         " step workers are busy and their queue is full; call again later")),
        info));
  }
  return reactor;
}

grpc::ServerUnaryReactor* PromotionStepServiceImpl::GetStageHealth(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* /*bytes*/,
    grpc::ByteBuffer* /*response*/) {
  return NotServed(context, "GetStageHealth");
}

grpc::ServerUnaryReactor* PromotionStepServiceImpl::ListStageHealth(
    grpc::CallbackServerContext* context, const v1::ListStageHealthRequest* /*request*/,
    v1::ListStageHealthResponse* /*response*/) {
  return NotServed(context, "ListStageHealth");
}

grpc::ServerWriteReactor<v1::WatchStageHealthResponse>* PromotionStepServiceImpl::WatchStageHealth(
    grpc::CallbackServerContext* context, const v1::WatchStageHealthRequest* /*request*/) {
  const CallLog call = BeginCall(context, "WatchStageHealth");
  const absl::Status status = NotServedStatus("WatchStageHealth");
  LogError(call, clock_, status);
  return new RefusedStream(ToGrpcStatus(status));
}

grpc::ServerUnaryReactor* PromotionStepServiceImpl::ReportPromotion(
    grpc::CallbackServerContext* context, const v1::ReportPromotionRequest* /*request*/,
    v1::ReportPromotionResponse* /*response*/) {
  return NotServed(context, "ReportPromotion");
}

grpc::ServerUnaryReactor* PromotionStepServiceImpl::ReportIndicator(
    grpc::CallbackServerContext* context, const v1::ReportIndicatorRequest* /*request*/,
    v1::ReportIndicatorResponse* /*response*/) {
  return NotServed(context, "ReportIndicator");
}

grpc::ServerUnaryReactor* PromotionStepServiceImpl::ListStepKinds(
    grpc::CallbackServerContext* context, const v1::ListStepKindsRequest* /*request*/,
    v1::ListStepKindsResponse* /*response*/) {
  return NotServed(context, "ListStepKinds");
}

}  // namespace gantry::service
