// SPDX-License-Identifier: Apache-2.0
#include "gantry/client/client.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gantry/client/attempts.h"
#include "gantry/client/errors.h"

namespace gantry::client {
namespace {

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
      return absl::InternalError(
          absl::StrCat("the response to a page of Stages has the token of that same page, after ",
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

}  // namespace gantry::client
