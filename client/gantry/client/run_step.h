// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_RUN_STEP_H_
#define GANTRY_CLIENT_RUN_STEP_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gantry/client/timing.h"
#include "gantry/v1/promotion_step_service.pb.h"

namespace gantry::client {

// How long to go on with a step. All times are from the start of the loop.
struct RunStepOptions {
  // How long to repeat the call while the step is RUNNING or the service cannot evaluate it. When
  // it is over, one last call is made if the loop was just waiting; that may take a second more.
  absl::Duration timeout = absl::Minutes(5);

  // How long to try when the service has never answered: an address that is wrong should not take
  // the whole timeout to show. Once it has answered, only `timeout` counts.
  absl::Duration unreachable_timeout = absl::Seconds(10);

  // How long one call may take, beyond the time it asked to be held.
  absl::Duration call_timeout = absl::Seconds(30);

  // How long the service is asked to hold a call while the step is RUNNING (RunStepRequest.wait),
  // so that a change is heard of at once. The first call and one after an error are never held.
  // With a service that does not allow as much, calls are not held at all. Zero: never hold.
  absl::Duration hold = absl::Seconds(30);

  // Null: SystemTiming().
  Timing* timing = nullptr;
};

// What the loop knows after a call that was not the last one.
struct RunStepProgress {
  absl::Duration elapsed;                         // since the start of the loop
  const v1::RunStepResponse* response = nullptr;  // the latest; null: none so far
  const absl::Status* error = nullptr;            // of the latest call; null: it was answered
  bool service_answered = false;                  // the service was there in the latest call
  absl::Duration next_call;                       // after which time the next call is made
};

// How the loop ended.
enum class Ending {
  kVerdict,      // the step has left RUNNING, or it was a dry run: see `response`
  kTimedOut,     // the timeout is over; the service is there, see `response` and `error`
  kUnreachable,  // nothing answers, as far as the latest call shows: see `error`
  kRefused,      // the service will not do it, and repeating the call would not help: see `error`
};

struct RunStepResult {
  Ending ending = Ending::kRefused;
  // The latest response there was. Set with kVerdict; with the others it is what was last known.
  std::optional<v1::RunStepResponse> response;
  // The error of the latest call; OK when that was answered.
  absl::Status error;
  absl::Duration elapsed;
};

// Whether a step with this status should be called for again. True for RUNNING, and for a status
// that is newer than this library.
bool IsRunning(v1::StepStatus status);

}  // namespace gantry::client

#endif  // GANTRY_CLIENT_RUN_STEP_H_
