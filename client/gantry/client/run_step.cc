// SPDX-License-Identifier: Apache-2.0
#include "gantry/client/run_step.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>

#include "absl/status/statusor.h"
#include "gantry/client/attempts.h"
#include "gantry/client/client.h"
#include "gantry/client/connection.h"
#include "gantry/client/errors.h"

namespace gantry::client {
namespace {

absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

// At least, from one held call to the next, if the service responds to the first before its time.
constexpr absl::Duration kBetweenHeldCalls = absl::Seconds(1);

void SetWait(v1::RunStepRequest& request, absl::Duration wait) {
  if (wait <= absl::ZeroDuration()) {
    request.clear_wait();
    return;
  }
  absl::Duration rest;
  request.mutable_wait()->set_seconds(absl::IDivDuration(wait, absl::Seconds(1), &rest));
  request.mutable_wait()->set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(rest)));
}

// Whether the one thing wrong with the request is how long it asks to be held.
bool RefusesWaitOnly(const absl::Status& error) {
  if (!absl::IsInvalidArgument(error)) return false;
  const std::optional<rpc::v1::BadRequest> request = BadRequestOf(error);
  return request && request->field_violations_size() == 1 &&
         request->field_violations(0).field() == "wait";
}

// Calls for one step until it is through. Lives for one loop, on its thread.
class StepLoop {
 public:
  StepLoop(Connection& connection, v1::RunStepRequest request, const RunStepOptions& options)
      : connection_(connection),
        request_(std::move(request)),
        options_(options),
        timing_(options.timing != nullptr ? *options.timing : SystemTiming()),
        start_(timing_.Now()),
        hold_(options.hold) {}

  RunStepResult Run(const std::function<void(const RunStepProgress&)>& on_progress) {
    for (;;) {
      const Call call = MakeCall();
      const std::optional<Ending> ending = call.error.ok() ? HearResponse(call) : HearError(call);
      if (ending) return Ended(*ending);
      if (again_at_once_) continue;
      if (call.ended >= Limit()) {
        return Ended(service_answered_ ? Ending::kTimedOut : Ending::kUnreachable);
      }
      pause_ = std::min(pause_, Limit() - call.ended);
      if (on_progress) on_progress(Progress(call.ended));
      timing_.Sleep(pause_);
    }
  }

 private:
  // One call, in time since the start of the loop.
  struct Call {
    absl::Duration wait;  // for which the service was asked to hold it
    absl::Duration begun;
    absl::Duration ended;
    absl::Status error;
  };

  absl::Duration Elapsed() const { return timing_.Now() - start_; }

  absl::Duration Limit() const {
    return answered_ ? options_.timeout : std::min(options_.timeout, options_.unreachable_timeout);
  }

  Call MakeCall() {
    Call call;
    call.begun = Elapsed();
    const absl::Duration remaining = std::max(Limit() - call.begun, absl::ZeroDuration());
    call.wait = holding_ ? std::min(hold_, remaining) : absl::ZeroDuration();
    SetWait(request_, call.wait);
    absl::StatusOr<v1::RunStepResponse> response = connection_.RunStep(
        request_, std::min(call.wait + options_.call_timeout, remaining + kGrace));
    call.ended = Elapsed();
    call.error = response.status();
    if (response.ok()) result_.response = *std::move(response);
    return call;
  }

  // The ending, unless the step is still running; then decides on the pause.
  std::optional<Ending> HearResponse(const Call& call) {
    answered_ = true;
    service_answered_ = true;
    again_at_once_ = false;
    result_.error = absl::OkStatus();
    const v1::RunStepResponse& response = *result_.response;
    if (!IsRunning(response.status()) || request_.dry_run()) return Ending::kVerdict;
    if (response.has_output()) *request_.mutable_previous_output() = response.output();
    failures_.Reset();
    const absl::Duration retry_after = ToDuration(response.retry_after());
    if (hold_ > absl::ZeroDuration()) {
      // The next call is held. Something may change again and again.
      const absl::Duration held = call.ended - call.begun;
      const bool early = call.wait > absl::ZeroDuration() && held < call.wait;
      pause_ =
          early ? std::max(kBetweenHeldCalls - held, absl::ZeroDuration()) : absl::ZeroDuration();
    } else if (retry_after > absl::ZeroDuration()) {
      pause_ = Spread(retry_after, timing_.Random());
    } else {
      pause_ = polls_.Next(timing_.Random());
    }
    holding_ = true;
    return std::nullopt;
  }

  // The ending, unless the error may pass; then decides on the pause.
  std::optional<Ending> HearError(const Call& call) {
    again_at_once_ = call.wait > absl::ZeroDuration() && RefusesWaitOnly(call.error);
    if (again_at_once_) {
      hold_ = absl::ZeroDuration();
      return std::nullopt;
    }
    result_.error = call.error;
    if (!IsPassing(call.error)) return Ending::kRefused;
    service_answered_ = ServiceAnswered(call.error);
    answered_ = answered_ || service_answered_;
    pause_ = PauseAfter(call.error, failures_, timing_);
    holding_ = false;
    return std::nullopt;
  }

  RunStepProgress Progress(absl::Duration elapsed) const {
    RunStepProgress progress;
    progress.elapsed = elapsed;
    progress.response = result_.response ? &*result_.response : nullptr;
    progress.error = result_.error.ok() ? nullptr : &result_.error;
    progress.service_answered = service_answered_;
    progress.next_call = pause_;
    return progress;
  }

  RunStepResult Ended(Ending ending) {
    result_.ending = ending;
    result_.elapsed = Elapsed();
    return std::move(result_);
  }

  Connection& connection_;
  v1::RunStepRequest request_;
  const RunStepOptions& options_;
  Timing& timing_;
  const absl::Duration start_;
  absl::Duration hold_;
  bool holding_ = false;           // the next call is to be held
  bool again_at_once_ = false;     // the next call is the same but for its wait
  bool answered_ = false;          // ever
  bool service_answered_ = false;  // in the latest call
  absl::Duration pause_;           // before the next call
  Backoff failures_;
  Backoff polls_;
  RunStepResult result_;
};

}  // namespace

bool IsRunning(v1::StepStatus status) {
  switch (status) {
    case v1::STEP_STATUS_SUCCEEDED:
    case v1::STEP_STATUS_FAILED:
    case v1::STEP_STATUS_ERRORED:
    case v1::STEP_STATUS_ABORTED:
      return false;
    default:
      return true;
  }
}

RunStepResult Client::RunStepUntilDone(
    v1::RunStepRequest request, const RunStepOptions& options,
    const std::function<void(const RunStepProgress&)>& on_progress) const {
  return StepLoop(*connection_, std::move(request), options).Run(on_progress);
}

}  // namespace gantry::client
