// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_ARGOCD_STANDIN_STEP_H_
#define GANTRY_TESTS_ARGOCD_STANDIN_STEP_H_

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace gantry::argocd_standin {

// How long things take.
struct Settings {
  absl::Duration sync_duration = absl::Seconds(3);
  // From the end of an operation until the comparison that follows it.
  absl::Duration refresh_delay = absl::Seconds(1);
  // From the end of a successful operation until the Application is Healthy.
  absl::Duration health_duration = absl::Seconds(2);
  // The longest time between comparisons; zero: no limit.
  absl::Duration resync = absl::Minutes(3);
};

// What the controller knows of an Application beyond what is written in it. Without it, as after
// a start, everything goes on as far as the Application tells.
struct Memory {
  // When the present attempt to sync began, and when the last one ended: Applications have seconds
  // alone.
  std::optional<absl::Time> attempt_began;
  std::optional<absl::Time> ended;
  // When it compares without being asked: after an operation, and for the next self-heal.
  std::optional<absl::Time> refresh_at;
  // What each resource was applied from, by kind; null: it is as the Application says.
  nlohmann::json applied;
  // What the last comparison saw of the cluster; null: nothing is known of it.
  nlohmann::json seen;
  // The drift that a sync has put right since it was ordered.
  std::string healed_drift;
  // Whether the Application was synced automatically, and healed, when it was looked at last.
  std::optional<std::pair<bool, bool>> automation;
};

// One request to the API server.
struct Write {
  enum class Kind { kMergePatch, kJsonPatch };
  Kind kind = Kind::kMergePatch;
  nlohmann::json body;
};

// What to do next with an Application.
struct Step {
  void MergePatch(nlohmann::json body) {
    writes.push_back({Write::Kind::kMergePatch, std::move(body)});
  }
  void JsonPatch(nlohmann::json body) {
    writes.push_back({Write::Kind::kJsonPatch, std::move(body)});
  }
  void LookAgainAfter(absl::Duration time) {
    look_again = std::min(look_again, std::max(time, absl::ZeroDuration()));
  }

  // In this order, each once the one before it was stored; none: nothing to do now. They lock
  // where Argo CD's do: before an operation of its own.
  std::vector<Write> writes;
  // It is to be decided again on what the API server has now, as Argo CD reads an Application each
  // time that it works on its operation.
  bool on_live_read = false;
  // For the log: "took up an operation".
  std::string what;
  // The memory once everything is stored; at once when there is nothing to write.
  Memory memory;
  // When to look again if nothing changes before; infinite: never. Without a meaning beside
  // writes.
  absl::Duration look_again = absl::InfiniteDuration();
};

}  // namespace gantry::argocd_standin

#endif  // GANTRY_TESTS_ARGOCD_STANDIN_STEP_H_
