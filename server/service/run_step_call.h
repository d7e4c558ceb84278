// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_SERVICE_RUN_STEP_CALL_H_
#define GANTRY_SERVER_SERVICE_RUN_STEP_CALL_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/mutex.h"
#include "base/worker_pool.h"
#include "gantry/v1/promotion_step_service.pb.h"
#include "server/service/call.h"
#include "server/service/call_tracker.h"
#include "server/steps/pending_calls.h"
#include "server/steps/step_engine.h"
#include "server/steps/step_kind.h"

namespace gantry::service {

// How a call of RunStep ended, for metrics.
struct StepEnd {
  const v1::RunStepRequest& request;
  const v1::RunStepResponse* response;  // null: an error
  absl::Status error;
  absl::Duration duration;
};
using StepEndListener = std::function<void(const StepEnd& end)>;

// One RunStep from its admission on. A worker carries it out; where the step is RUNNING and the
// caller would rather wait, it becomes pending, and a worker carries it out again when something
// has changed, until there is another response or the wait is over. While it is pending it holds no
// thread.
//
// At any time one of three owns it: the worker that runs it, PendingCalls, or gRPC after Finish.
// gRPC deletes it by OnDone, which comes after Finish and after OnCancel has returned, so nobody
// meets a deleted call as long as becoming pending and finishing are the last things the owner does
// to it.
class RunStepCall final : public grpc::ServerUnaryReactor {
 public:
  struct Environment {
    steps::StepRunner& runner;
    const steps::StepKind& kind;
    base::WorkerPool& workers;
    steps::PendingCalls& pending;
    const base::Clock& clock;
    CallTracker& calls;
    const StepEndListener& on_end;  // may be empty
  };

  RunStepCall(v1::RunStepRequest request, const Environment& environment, CallLog call,
              absl::Duration time_left, absl::Duration default_deadline,
              grpc::ByteBuffer* response);

  // On a worker thread.
  void Run();
  // Ends the call with an error.
  void End(absl::Status status);

 private:
  using TimePoint = steps::PendingCalls::TimePoint;

  absl::StatusOr<steps::StepResult> RunStep();
  // When to evaluate again if nothing is heard before; nothing: there is nothing to wait for.
  std::optional<TimePoint> WaitUntil() const;
  void BecomePending(TimePoint due, steps::PendingCalls::Seen seen);
  // On a worker thread, after the call was pending.
  void Resume(steps::PendingCalls::Reason reason);
  void Respond();

  void OnCancel() override;
  void OnDone() override;

  v1::RunStepRequest request_;
  const Environment environment_;
  const CallLog call_;
  const absl::Duration default_deadline_;  // infinite when the caller gave one
  base::Context context_;
  const TimePoint wait_until_;
  grpc::ByteBuffer* const response_;
  std::optional<steps::StepCall> step_;  // since its first run
  steps::StepResult result_;             // the latest
  const steps::PendingCalls::Id pending_id_;
};

}  // namespace gantry::service

#endif  // GANTRY_SERVER_SERVICE_RUN_STEP_CALL_H_
