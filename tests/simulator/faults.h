// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SIMULATOR_FAULTS_H_
#define GANTRY_TESTS_SIMULATOR_FAULTS_H_

#include <chrono>
#include <list>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "tests/simulator/rbac.h"

namespace gantry::simulator {

// Something that goes wrong with the next requests that match.
struct Fault {
  enum class Action {
    kDelay,       // `delay` before anything is done
    kDropBefore,  // the connection is closed, and nothing was done
    kDropAfter,   // the same, but what was asked for was done
    kError,       // answered with `code`; nothing was done
    kHalf,  // the connection is closed in the middle of an answer's body, or of a watch's line
  };
  // What a request has to be; empty matches any. `resource` is the plural.
  std::string verb;  // "get", "list", "watch", "create", "update", "patch", "delete"
  std::string resource;
  std::string ns;
  std::string name;

  Action action = Action::kError;
  int count = 1;
  std::chrono::milliseconds delay{0};
  int code = 500;
  int retry_after = 0;  // seconds; 0: none
  std::string message;

  // Of {"action": "error", "verb": ..., "count": 3, "delayMilliseconds": ..., "code": ...,
  // "retryAfterSeconds": ..., "message": ...}; the error says what is wrong.
  static absl::StatusOr<Fault> FromJson(const nlohmann::json& json);
};

// The faults that are to happen, and which watches stand still. Owned by the Simulator; any thread
// may call it.
class Faults {
 public:
  void Add(Fault fault) ABSL_LOCKS_EXCLUDED(mutex_);
  void Clear() ABSL_LOCKS_EXCLUDED(mutex_);
  // How many requests are still to go wrong.
  std::size_t size() const ABSL_LOCKS_EXCLUDED(mutex_);

  // The first fault that matches, which is used up by one. For a watch not kHalf: that happens to
  // its lines.
  std::optional<Fault> TakeForRequest(const Attributes& request) ABSL_LOCKS_EXCLUDED(mutex_);
  bool TakeHalfLine(const Attributes& watch) ABSL_LOCKS_EXCLUDED(mutex_);

  // Watches of the resource (empty: all) stay connected, and nothing comes.
  void Freeze(const std::string& resource) ABSL_LOCKS_EXCLUDED(mutex_);
  void Unfreeze() ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits at most until the deadline; false when it is still frozen.
  bool AwaitUnfrozen(const Attributes& watch, std::chrono::steady_clock::time_point deadline)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  std::optional<Fault> TakeLocked(const Attributes& request, bool half_line)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable base::Mutex mutex_;
  base::ConditionVariable changed_;
  std::list<Fault> faults_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> frozen_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gantry::simulator

#endif  // GANTRY_TESTS_SIMULATOR_FAULTS_H_
