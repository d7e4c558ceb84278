// SPDX-License-Identifier: Apache-2.0
#include "gantry/client/client.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gantry/client/attempts.h"
#include "gantry/client/errors.h"

namespace gantry::client {
namespace {

absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

// At least, from one held call to the next, if the service answers the first before its time.
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

Timing& TimingOf(const CallOptions& options) {
  return options.timing != nullptr ? *options.timing : SystemTiming();
}

// Repeats a call until it has succeeded, or failed in a way that does not pass, or the time is
// over.
template <typename Request, typename Response>
absl::StatusOr<Response> Repeat(Connection& connection,
                                absl::StatusOr<Response> (Connection::*call)(const Request&,
                                                                             absl::Duration),
                                const Request& request, const CallOptions& options,
                                Attempts& attempts) {
  attempts.ResetBackoff();
  for (;;) {
    absl::StatusOr<Response> response =
        (connection.*call)(request, std::min(options.call_timeout, attempts.Remaining() + kGrace));
    if (response.ok()) {
      attempts.Answered();
      return response;
    }
    const absl::Status& error = response.status();
    if (!IsPassing(error)) return error;
    const std::optional<absl::Duration> pause = attempts.Pause(error);
    if (!pause) return error;
    if (options.on_failed_attempt) {
      FailedAttempt failed;
      failed.elapsed = attempts.Elapsed();
      failed.error = error;
      failed.service_answered = ServiceAnswered(error);
      failed.next_attempt = *pause;
      options.on_failed_attempt(failed);
    }
    TimingOf(options).Sleep(*pause);
  }
}

bool IsEarlier(const google::protobuf::Timestamp& left, const google::protobuf::Timestamp& right) {
  return left.seconds() != right.seconds() ? left.seconds() < right.seconds()
                                           : left.nanos() < right.nanos();
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

absl::StatusOr<v1::GetStageHealthResponse> Client::GetStageHealth(
    const v1::GetStageHealthRequest& request, const CallOptions& options) const {
  Attempts attempts(options.timeout, options.unreachable_timeout, TimingOf(options));
  return Repeat(*connection_, &Connection::GetStageHealth, request, options, attempts);
}

absl::StatusOr<v1::ListStageHealthResponse> Client::ListStageHealth(
    v1::ListStageHealthRequest request, const CallOptions& options) const {
  Attempts attempts(options.timeout, options.unreachable_timeout, TimingOf(options));
  v1::ListStageHealthResponse all;
  for (;;) {
    absl::StatusOr<v1::ListStageHealthResponse> page =
        Repeat(*connection_, &Connection::ListStageHealth, request, options, attempts);
    if (!page.ok()) return page.status();
    all.mutable_stages()->Reserve(all.stages_size() + page->stages_size());
    for (v1::StageHealth& stage : *page->mutable_stages()) *all.add_stages() = std::move(stage);
    all.set_stale(all.stale() || page->stale());
    if (page->has_observed_time() &&
        (!all.has_observed_time() || IsEarlier(page->observed_time(), all.observed_time()))) {
      *all.mutable_observed_time() = page->observed_time();
    }
    if (page->next_page_token().empty()) return all;
    if (page->next_page_token() == request.page_token()) {
      return absl::InternalError(absl::StrCat(
          "the service answers a page of Stages with the token of that same page, after ",
          all.stages_size(), " Stages; expected the token of the next page, or none"));
    }
    request.set_page_token(page->next_page_token());
  }
}

absl::Status Client::ReportPromotion(const v1::ReportPromotionRequest& request,
                                     const CallOptions& options) const {
  Attempts attempts(options.timeout, options.unreachable_timeout, TimingOf(options));
  return Repeat(*connection_, &Connection::ReportPromotion, request, options, attempts).status();
}

absl::Status Client::ReportIndicator(const v1::ReportIndicatorRequest& request,
                                     const CallOptions& options) const {
  Attempts attempts(options.timeout, options.unreachable_timeout, TimingOf(options));
  return Repeat(*connection_, &Connection::ReportIndicator, request, options, attempts).status();
}

absl::StatusOr<v1::ListStepKindsResponse> Client::ListStepKinds(const CallOptions& options) const {
  Attempts attempts(options.timeout, options.unreachable_timeout, TimingOf(options));
  return Repeat(*connection_, &Connection::ListStepKinds, v1::ListStepKindsRequest(), options,
                attempts);
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
      if (hold > absl::ZeroDuration()) {
        // The next call is held. Something may change again and again.
        const bool early = wait > absl::ZeroDuration() && elapsed - called < wait;
        pause = early ? std::max(kBetweenHeldCalls - (elapsed - called), absl::ZeroDuration())
                      : absl::ZeroDuration();
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
      pause = PauseAfter(result.error, failures, timing);
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
