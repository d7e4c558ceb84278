// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_REFLECTOR_POLICY_H_
#define GANTRY_SERVER_KUBERNETES_REFLECTOR_POLICY_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/random.h"
#include "server/kubernetes/reflector.h"

namespace gantry::kubernetes {

// How a Reflector reacts to each kind of ending, as pure functions.

// What a watch came to.
struct WatchEnd {
  absl::Status error;  // OK: the server ended it, or it was silent for too long
  bool silent = false;
  bool had_event = false;  // or a bookmark
  absl::Duration lasted;
};

RestartReason ReasonOf(const WatchEnd& end);
// Of a list that failed.
RestartReason ReasonOf(const absl::Status& error);

enum class Reaction { kWatchAtOnce, kWatchAfterBackoff, kListAtOnce, kListAfterBackoff };

// To a watch that ended.
Reaction ReactionTo(RestartReason reason);
// To a list that failed; `had_resource_version`: it was asked for with one, which is then given up.
Reaction ReactionToFailedList(RestartReason reason, bool had_resource_version);

inline constexpr absl::Duration kFirstReflectorBackoff = absl::Milliseconds(800);
inline constexpr absl::Duration kMaxReflectorBackoff = absl::Seconds(30);
inline constexpr absl::Duration kGoodTime = absl::Minutes(2);

// How long to wait before trying again: doubles with each failure, and begins anew after two good
// minutes, which are counted from the first sign that things work again. A connection alone is no
// such sign: a server may accept it and fail. Owned by a Reflector; one thread.
class ReflectorBackoff {
 public:
  // Both outlive it.
  ReflectorBackoff(const base::Clock& clock, base::Random& random)
      : clock_(clock), random_(random) {}

  // An event, a bookmark, or a completed list.
  void Good();
  // Something failed. Returns how long to wait: from half of the backoff up to all of it.
  absl::Duration Next();

 private:
  const base::Clock& clock_;
  base::Random& random_;
  absl::Duration next_ = kFirstReflectorBackoff;
  std::optional<absl::Duration> good_since_;
};

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_REFLECTOR_POLICY_H_
