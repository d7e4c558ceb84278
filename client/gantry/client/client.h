// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_CLIENT_H_
#define GANTRY_CLIENT_CLIENT_H_

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gantry/client/call.h"
#include "gantry/client/connection.h"
#include "gantry/client/run_step.h"
#include "gantry/v1/promotion_step_service.pb.h"

namespace gantry::client {

// Calls a Gantry service:
//
//   gantry::client::Client client(gantry::client::Connect("127.0.0.1:50051"));
//   auto response = client.RunStep(request, absl::Seconds(30));
//
// Spares the caller the knowledge of when to call again, how long to wait, and what an error means.
// Cheap to copy: copies share the connection. Any thread may use it; the methods block.
class Client {
 public:
  explicit Client(std::shared_ptr<Connection> connection);

  // Sends one call. Fails with DEADLINE_EXCEEDED when there is no response within `timeout`. The
  // details of an error are read with the functions in errors.h. A verdict on the step, good or
  // bad, is no error.
  absl::StatusOr<v1::RunStepResponse> RunStep(const v1::RunStepRequest& request,
                                              absl::Duration timeout) const;

  // Calls until the step has left RUNNING, handing each response's output to the next call.
  //
  // After RUNNING the next call comes at once, and is held by the service until something changes
  // (RunStepOptions::hold); it comes no more often than once a second. Without holding it comes
  // after `retry_after` (up to a quarter more, so that callers spread out), and without a
  // `retry_after` after a backoff.
  // UNAVAILABLE, RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED and CANCELLED (by a service that ends while
  // it holds the call) are retried after a backoff, and not before the service's RetryInfo (gRPC
  // itself may have repeated it a moment after the first, see ChannelOptions::retries). The backoff
  // is drawn from the upper half of 1 s, 2 s, 4 s, 8 s, then 10 s. Any other error ends it:
  // repeating such a call would not help.
  //
  // A dry run ends with its first response. `request.wait` is not used, see RunStepOptions::hold.
  // `on_progress`, if any, is called on this thread after every call but the last.
  RunStepResult RunStepUntilDone(
      v1::RunStepRequest request, const RunStepOptions& options = {},
      const std::function<void(const RunStepProgress&)>& on_progress = nullptr) const;

  // The health of one Stage. UNAVAILABLE, RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED and CANCELLED are
  // retried, as
  // with RunStepUntilDone, until the options' time is over; any other error is returned at once,
  // NOT_FOUND for a Stage that the service does not know.
  absl::StatusOr<v1::GetStageHealthResponse> GetStageHealth(
      const v1::GetStageHealthRequest& request, const CallOptions& options = {}) const;

  // The health of many Stages: the page that `request` asks for and all that follow, in one
  // response, whose `observed_time` is the earliest of them, and which is stale if one of them is.
  // Each call is retried as with GetStageHealth; the options' time is for all of them. A Stage that
  // changes meanwhile is shown as it was when its page was made.
  absl::StatusOr<v1::ListStageHealthResponse> ListStageHealth(
      v1::ListStageHealthRequest request, const CallOptions& options = {}) const;

  // Reports where a promotion is, or what somebody says about a Stage. Retried as with
  // GetStageHealth: a report that arrives twice says the same.
  absl::Status ReportPromotion(const v1::ReportPromotionRequest& request,
                               const CallOptions& options = {}) const;
  absl::Status ReportIndicator(const v1::ReportIndicatorRequest& request,
                               const CallOptions& options = {}) const;

  // The kinds of step that the service can carry out. Retried as with GetStageHealth.
  absl::StatusOr<v1::ListStepKindsResponse> ListStepKinds(const CallOptions& options = {}) const;

 private:
  std::shared_ptr<Connection> connection_;
};

}  // namespace gantry::client

#endif  // GANTRY_CLIENT_CLIENT_H_
