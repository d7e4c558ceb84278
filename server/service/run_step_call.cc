// SPDX-License-Identifier: Apache-2.0
#include "server/service/run_step_call.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "absl/strings/strip.h"
#include "server/service/status.h"
#include "server/steps/config/struct_json.h"

namespace gantry::service {
namespace {

using steps::PendingCalls;

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
  call.log.Info("step evaluated",
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
      pending_id_(environment.pending.NewId()) {}

void RunStepCall::Run() {
  // A call that ended while it was queued is not begun.
  if (absl::Status ended = context_.Check(); !ended.ok()) {
    return End(Attribute(std::move(ended), context_));
  }
  const PendingCalls::Seen seen = environment_.pending.Now();
  absl::StatusOr<steps::StepResult> result = RunStep();
  if (!result.ok()) return End(Attribute(result.status(), context_));
  result_ = *std::move(result);
  if (const std::optional<TimePoint> due = WaitUntil()) return BecomePending(*due, seen);
  Respond();
}

absl::StatusOr<steps::StepResult> RunStepCall::RunStep() {
  try {
    if (!step_) {
      steps::BegunStep begun =
          environment_.runner.Begin(environment_.kind, request_, "anonymous", call_.log);
      if (begun.invalid) return steps::StepResult{*std::move(begun.invalid), {}};
      step_ = std::move(begun.call);
    }
    return environment_.runner.Run(*step_, context_);
  } catch (const std::exception& exception) {
    // Nothing of ours throws; a library, or the end of memory, must not end the process.
    call_.log.Error("a step threw", {{"exception", exception.what()}});
    return absl::InternalError("the step could not be evaluated because of an internal error");
  }
}

std::optional<RunStepCall::TimePoint> RunStepCall::WaitUntil() const {
  const TimePoint now = std::chrono::steady_clock::now();
  if (result_.response.status() != v1::STEP_STATUS_RUNNING || request_.dry_run() ||
      now >= wait_until_) {
    return std::nullopt;
  }
  if (!result_.wake_on.due) return wait_until_;
  const absl::Duration due = std::max(*result_.wake_on.due, kShortestPause);
  return std::min(wait_until_, now + absl::ToChronoNanoseconds(due));
}

void RunStepCall::BecomePending(TimePoint due, PendingCalls::Seen seen) {
  PendingCalls::Interest interest;
  interest.stage = {request_.project(), request_.stage()};
  interest.applications = result_.wake_on.applications;
  interest.selectors = result_.wake_on.selectors;
  interest.seen = seen;
  interest.due = due;
  environment_.pending.Add(pending_id_, interest, context_, [this](PendingCalls::Reason reason) {
    if (!environment_.workers.SubmitAdmitted([this, reason] { Resume(reason); })) {
      Resume(PendingCalls::Reason::kStopping);
    }
  });
}

void RunStepCall::Resume(PendingCalls::Reason reason) {
  const bool waited = std::chrono::steady_clock::now() >= wait_until_;
  if (absl::Status ended = context_.Check(); !ended.ok()) {
    return End(Attribute(std::move(ended), context_));
  }
  if (reason == PendingCalls::Reason::kStopping ||
      (reason == PendingCalls::Reason::kDue && waited)) {
    return Respond();
  }
  // As if the caller had called again with what it was told.
  step_->previous_output = steps::ToJson(result_.response.output());
  Run();
}

void RunStepCall::Respond() {
  SerializeTo(result_.response, response_);
  LogVerdict(call_, environment_.clock, result_.response);
  if (environment_.on_end) {
    environment_.on_end({request_, &result_.response, absl::OkStatus(),
                         environment_.clock.SinceBoot() - call_.begun});
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
  if (environment_.pending.Withdraw(pending_id_)) End(Attribute(context_.Check(), context_));
}

void RunStepCall::OnDone() {
  CallTracker& calls = environment_.calls;
  delete this;
  calls.End();
}

}  // namespace gantry::service
