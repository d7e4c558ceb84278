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
#include "server/steps/parked_calls.h"
#include "server/steps/step_runner.h"

namespace gantry::service {

// How a call of RunStep ended, for metrics.
struct StepEnd {
  const v1::RunStepRequest& request;
  const v1::RunStepResponse* answer;  // null: an error
  absl::Status error;
  absl::Duration duration;
};
using StepEndListener = std::function<void(const StepEnd& end)>;

// One RunStep from its admission on. A worker carries it out; where the step is RUNNING and the
// caller would rather wait, it is parked, and a worker carries it out again when something has
// changed, until there is another answer or the wait is over. While it is parked it holds no
// thread.
//
// At any time one of three owns it: the worker that runs it, ParkedCalls, or gRPC after Finish.
// gRPC deletes it by OnDone, which comes after Finish and after OnCancel has returned, so nobody
// meets a deleted call as long as parking and finishing are the last things the owner does to it.
class RunStepCall final : public grpc::ServerUnaryReactor {
 public:
  struct Environment {
    steps::StepRunner& runner;
    base::WorkerPool& workers;
    steps::ParkedCalls& parked;
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
  using TimePoint = steps::ParkedCalls::TimePoint;

  absl::StatusOr<v1::RunStepResponse> RunStep();
  // When to look again if nothing is heard before; nothing: the answer is not to be waited for.
  std::optional<TimePoint> ParkUntil() const;
  void Park(TimePoint due, steps::ParkedCalls::Seen seen);
  // On a worker thread, after the call was parked.
  void Resume(steps::ParkedCalls::Reason reason);
  void Answer();

  void OnCancel() override;
  void OnDone() override;

  v1::RunStepRequest request_;
  const Environment environment_;
  const CallLog call_;
  const absl::Duration default_deadline_;  // infinite when the caller gave one
  base::Context context_;
  const TimePoint wait_until_;
  grpc::ByteBuffer* const response_;
  v1::RunStepResponse answer_;  // the latest
  const steps::ParkedCalls::Id parking_id_;
};

}  // namespace gantry::service

#endif  // GANTRY_SERVER_SERVICE_RUN_STEP_CALL_H_
