// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_ATTEMPTS_H_
#define GANTRY_CLIENT_ATTEMPTS_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gantry/client/timing.h"

// What the loops that repeat calls have in common. Not meant for users of the library.
namespace gantry::client {

// What a call made at the very end of the time may take.
constexpr absl::Duration kGrace = absl::Seconds(1);

// The pauses between repetitions: the upper half of a ceiling that doubles from 1 s to 10 s. A
// value for one thread.
class Backoff {
 public:
  // `random` is from 0 to 1.
  absl::Duration Next(double random);
  void Reset() { ceiling_ = absl::Seconds(1); }

 private:
  absl::Duration ceiling_ = absl::Seconds(1);
};

// `told` or up to a quarter more: callers that were told the same time should not come back at the
// same moment, and none too early.
absl::Duration Spread(absl::Duration told, double random);

// The pause after `error`: the next of `backoff`, and not before the service's RetryInfo.
absl::Duration PauseAfter(const absl::Status& error, Backoff& backoff, Timing& timing);

// Whether the same call may succeed later.
bool IsPassing(const absl::Status& error);

// Tells a loop how much time it has, and how long to wait after a failure. Owned by the loop and
// used on its thread; time starts with the construction.
class Attempts {
 public:
  Attempts(absl::Duration timeout, absl::Duration unreachable_timeout, Timing& timing)
      : timeout_(timeout),
        unreachable_timeout_(unreachable_timeout),
        timing_(timing),
        start_(timing.Now()) {}

  absl::Duration Elapsed() const { return timing_.Now() - start_; }
  // What is left until the loop should give up; never negative.
  absl::Duration Remaining() const;
  // The service is there: from now on the whole timeout counts.
  void Answered() { answered_ = true; }
  void ResetBackoff() { backoff_.Reset(); }
  // How long to wait after `error`; nothing when the time is over.
  std::optional<absl::Duration> Pause(const absl::Status& error);

 private:
  absl::Duration Limit() const;

  const absl::Duration timeout_;
  const absl::Duration unreachable_timeout_;
  Timing& timing_;
  const absl::Duration start_;
  bool answered_ = false;
  Backoff backoff_;
};

}  // namespace gantry::client

#endif  // GANTRY_CLIENT_ATTEMPTS_H_
