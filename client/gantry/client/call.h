// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_CALL_H_
#define GANTRY_CLIENT_CALL_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gantry/client/timing.h"

namespace gantry::client {

// An attempt that failed and will be followed by another.
struct FailedAttempt {
  absl::Duration elapsed;         // since the start
  absl::Status error;             // why it failed
  bool service_answered = false;  // the service was there, see ServiceAnswered in errors.h
  absl::Duration next_attempt;    // after which time the next one is made
};

// How long to repeat a call that fails because the service is away or cannot respond at present.
struct CallOptions {
  // When it is over, one last call is made if the time was just spent waiting; that may take a
  // second more.
  absl::Duration timeout = absl::Seconds(30);

  // How long to try when the service has never answered.
  absl::Duration unreachable_timeout = absl::Seconds(10);

  // How long one call may take.
  absl::Duration call_timeout = absl::Seconds(30);

  // Called on the caller's thread after every attempt that is followed by another. May be null.
  std::function<void(const FailedAttempt&)> on_failed_attempt;

  // Null: SystemTiming().
  Timing* timing = nullptr;
};

}  // namespace gantry::client

#endif  // GANTRY_CLIENT_CALL_H_
