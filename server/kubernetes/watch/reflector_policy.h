// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_WATCH_REFLECTOR_POLICY_H_
#define GANTRY_SERVER_KUBERNETES_WATCH_REFLECTOR_POLICY_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/random.h"
#include "server/kubernetes/watch/reflector.h"

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

// After a pause of more than this, what comes first may be a backlog.
inline constexpr absl::Duration kBacklogPause = absl::Seconds(10);
// A watch that brings events for longer than this, without such a pause, has caught up.
inline constexpr absl::Duration kCatchUpTime = absl::Seconds(10);

// Tells up to when everything has come of what a watch follows. What comes first, at the watch's
// beginning or after a pause (of the API server, of the network, or of this process), may be old:
// until the watch has settled, by a silence or by time, an event says nothing of those behind it.
// All times are since boot, and none may be before the one given last. Owned by a Reflector; one
// thread.
class CatchUp {
 public:
  // The watch's request is sent now, or its initial events have ended now.
  void Begin(absl::Duration now);
  // An event or a bookmark was received. Returns up to when everything has come: nothing while the
  // watch has not settled.
  std::optional<absl::Duration> Event(absl::Duration received);
  // Nothing more is on its way. Returns up to when everything has come: nothing if that is known.
  std::optional<absl::Duration> Quiet();

 private:
  // The last event or, before the first, the beginning.
  absl::Duration last_sign_;
  std::optional<absl::Duration> unsettled_since_;
};

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_WATCH_REFLECTOR_POLICY_H_
