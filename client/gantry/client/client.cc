// SPDX-License-Identifier: Apache-2.0
#include "gantry/client/client.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "gantry/client/errors.h"

namespace gantry::client {
namespace {

// What a call made at the very end of the time may take.
constexpr absl::Duration kGrace = absl::Seconds(1);

// The pauses between repetitions: the upper half of a ceiling that doubles from 1 s to 10 s.
class Backoff {
 public:
  // `random` is from 0 to 1.
  absl::Duration Next(double random) {
    const absl::Duration ceiling = ceiling_;
    ceiling_ = std::min(ceiling_ * 2, absl::Seconds(10));
    return ceiling * (0.5 + random / 2);
  }
  void Reset() { ceiling_ = absl::Seconds(1); }

 private:
  absl::Duration ceiling_ = absl::Seconds(1);
};

// Callers that were told the same time should not come back at the same moment, and none too early.
absl::Duration Spread(absl::Duration told, double random) { return told * (1 + random / 4); }

absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

void SetWait(v1::RunStepRequest& request, absl::Duration wait) {
  if (wait <= absl::ZeroDuration()) {
    request.clear_wait();
    return;
  }
  absl::Duration rest;
  request.mutable_wait()->set_seconds(absl::IDivDuration(wait, absl::Seconds(1), &rest));
  request.mutable_wait()->set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(rest)));
}

bool IsPassing(const absl::Status& error) {
  return absl::IsUnavailable(error) || absl::IsResourceExhausted(error) ||
         absl::IsDeadlineExceeded(error);
}

// Whether the one thing wrong with the request is how long it asks to be held.
bool RefusesWaitOnly(const absl::Status& error) {
  if (!absl::IsInvalidArgument(error)) return false;
  const std::optional<rpc::v1::BadRequest> request = BadRequestOf(error);
  return request && request->field_violations_size() == 1 &&
         request->field_violations(0).field() == "wait";
}

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

Client::Client(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}

absl::StatusOr<v1::RunStepResponse> Client::RunStep(const v1::RunStepRequest& request,
                                                    absl::Duration timeout) const {
  return connection_->RunStep(request, timeout);
}

RunStepResult Client::RunStepUntilDone(
    v1::RunStepRequest request, const RunStepOptions& options,
    const std::function<void(const RunStepProgress&)>& on_progress) const {
  Timing& timing = options.timing != nullptr ? *options.timing : SystemTiming();
  const absl::Duration start = timing.Now();
  absl::Duration hold = options.hold;
  bool holding = false;
  bool answered = false;  // ever
  Backoff failures;
  Backoff polls;
  RunStepResult result;

  const auto ended = [&](Ending ending) {
    result.ending = ending;
    result.elapsed = timing.Now() - start;
    return std::move(result);
  };
  const auto limit = [&] {
    return answered ? options.timeout : std::min(options.timeout, options.unreachable_timeout);
  };

  for (;;) {
    const absl::Duration called = timing.Now() - start;
    const absl::Duration remaining = std::max(limit() - called, absl::ZeroDuration());
    const absl::Duration wait = holding ? std::min(hold, remaining) : absl::ZeroDuration();
    SetWait(request, wait);
    absl::StatusOr<v1::RunStepResponse> response =
        connection_->RunStep(request, std::min(wait + options.call_timeout, remaining + kGrace));
    const absl::Duration elapsed = timing.Now() - start;

    absl::Duration pause;
    bool here = true;
    if (response.ok()) {
      answered = true;
      result.error = absl::OkStatus();
      result.response = *std::move(response);
      if (!IsRunning(result.response->status()) || request.dry_run()) {
        return ended(Ending::kVerdict);
      }
      if (result.response->has_output()) {
        *request.mutable_previous_output() = result.response->output();
      }
      failures.Reset();
      const absl::Duration retry_after = ToDuration(result.response->retry_after());
      if (wait > absl::ZeroDuration() && elapsed - called >= wait) {
        pause = absl::ZeroDuration();
      } else if (retry_after > absl::ZeroDuration()) {
        pause = Spread(retry_after, timing.Random());
      } else {
        pause = polls.Next(timing.Random());
      }
      holding = true;
    } else {
      if (wait > absl::ZeroDuration() && RefusesWaitOnly(response.status())) {
        hold = absl::ZeroDuration();
        continue;
      }
      result.error = response.status();
      if (!IsPassing(result.error)) return ended(Ending::kRefused);
      here = ServiceAnswered(result.error);
      answered = answered || here;
      const double random = timing.Random();
      pause = failures.Next(random);
      if (const std::optional<absl::Duration> told = RetryDelayOf(result.error)) {
        pause = std::max(pause, Spread(*told, random));
      }
      holding = false;
    }

    if (elapsed >= limit()) return ended(here ? Ending::kTimedOut : Ending::kUnreachable);
    pause = std::min(pause, limit() - elapsed);
    if (on_progress) {
      RunStepProgress progress;
      progress.elapsed = elapsed;
      progress.response = result.response ? &*result.response : nullptr;
      progress.error = result.error.ok() ? nullptr : &result.error;
      progress.service_answered = here;
      progress.next_call = pause;
      on_progress(progress);
    }
    timing.Sleep(pause);
  }
}

}  // namespace gantry::client
