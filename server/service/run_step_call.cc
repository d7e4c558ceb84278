// SPDX-License-Identifier: Apache-2.0
#include "server/service/run_step_call.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "absl/strings/strip.h"
#include "server/service/status.h"
#include "server/steps/answer.h"

namespace gantry::service {
namespace {

using steps::ParkedCalls;

// Between two looks at a step that nothing has changed for.
constexpr absl::Duration kShortestPause = absl::Milliseconds(100);

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
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

}  // namespace

RunStepCall::RunStepCall(v1::RunStepRequest request, const Environment& environment, CallLog call,
                         absl::Duration time_left, absl::Duration default_deadline,
                         grpc::ByteBuffer* response)
    : request_(std::move(request)),
      environment_(environment),
      call_(std::move(call)),
      default_deadline_(time_left == absl::InfiniteDuration() ? default_deadline
                                                              : absl::InfiniteDuration()),
      context_(std::min(time_left, default_deadline_)),
      // The wait is valid, hence in range.
      wait_until_(std::chrono::steady_clock::now() +
                  absl::ToChronoNanoseconds(FromProto(request_.wait()))),
      response_(response),
      parking_id_(environment.parked.NewId()) {}

void RunStepCall::Run() {
  // A call that ended while it was queued is not begun.
  if (absl::Status ended = context_.Check(); !ended.ok()) {
    return End(Attribute(std::move(ended), context_));
  }
  const ParkedCalls::Seen seen = environment_.parked.Now();
  absl::StatusOr<v1::RunStepResponse> result = RunStep();
  if (!result.ok()) return End(Attribute(result.status(), context_));
  answer_ = *std::move(result);
  if (const std::optional<TimePoint> due = ParkUntil()) return Park(*due, seen);
  Answer();
}

absl::StatusOr<v1::RunStepResponse> RunStepCall::RunStep() {
  try {
    return environment_.runner.Run({request_, "anonymous", call_.log}, context_);
  } catch (const std::exception& exception) {
    // Nothing of ours throws; a library, or the end of memory, must not end the process.
    call_.log.Error("a step runner threw", {{"exception", exception.what()}});
    return absl::InternalError("the step could not be judged because of an internal error");
  }
}

std::optional<RunStepCall::TimePoint> RunStepCall::ParkUntil() const {
  const TimePoint now = std::chrono::steady_clock::now();
  if (answer_.status() != v1::STEP_STATUS_RUNNING || request_.dry_run() || now >= wait_until_) {
    return std::nullopt;
  }
  // An attempt that becomes due, or a failure that is likely to have passed: no change tells.
  const absl::Duration retry = std::max(FromProto(answer_.retry_after()), kShortestPause);
  const bool by_time =
      answer_.reason() == v1::STEP_REASON_AWAITING_RETRY || retry != steps::kRunningRetry;
  return by_time ? std::min(wait_until_, now + absl::ToChronoNanoseconds(retry)) : wait_until_;
}

void RunStepCall::Park(TimePoint due, ParkedCalls::Seen seen) {
  ParkedCalls::Interest interest;
  interest.stage = {request_.project(), request_.stage()};
  for (const v1::ApplicationOutcome& outcome : answer_.applications()) {
    if (outcome.action() == v1::ApplicationOutcome::ACTION_SKIPPED) continue;
    interest.applications.push_back({outcome.namespace_(), outcome.name()});
  }
  interest.seen = seen;
  interest.due = due;
  environment_.parked.Park(parking_id_, interest, context_, [this](ParkedCalls::Reason reason) {
    if (!environment_.workers.SubmitAdmitted([this, reason] { Resume(reason); })) {
      Resume(ParkedCalls::Reason::kStopping);
    }
  });
}

void RunStepCall::Resume(ParkedCalls::Reason reason) {
  const bool waited = std::chrono::steady_clock::now() >= wait_until_;
  if (absl::Status ended = context_.Check(); !ended.ok()) {
    return End(Attribute(std::move(ended), context_));
  }
  if (reason == ParkedCalls::Reason::kStopping || (reason == ParkedCalls::Reason::kDue && waited)) {
    return Answer();
  }
  // As if the caller had called again with what it was told.
  *request_.mutable_previous_output() = answer_.output();
  Run();
}

void RunStepCall::Answer() {
  SerializeTo(answer_, response_);
  LogVerdict(call_, environment_.clock, answer_);
  if (environment_.on_end) {
    environment_.on_end(
        {request_, &answer_, absl::OkStatus(), environment_.clock.SinceBoot() - call_.begun});
  }
  Finish(grpc::Status::OK);
}

void RunStepCall::End(absl::Status status) {
  status = ExplainDefaultDeadline(std::move(status), default_deadline_);
  LogError(call_, environment_.clock, status);
  if (environment_.on_end) {
    environment_.on_end({request_, nullptr, status, environment_.clock.SinceBoot() - call_.begun});
  }
  Finish(ToGrpcStatus(status));
}

void RunStepCall::OnCancel() {
  context_.Cancel();
  if (environment_.parked.Unpark(parking_id_)) End(Attribute(context_.Check(), context_));
}

void RunStepCall::OnDone() {
  CallTracker& calls = environment_.calls;
  delete this;
  calls.End();
}

}  // namespace gantry::service
