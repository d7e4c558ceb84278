// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STAGES_STAGE_STATUS_H_
#define GANTRY_SERVER_STAGES_STAGE_STATUS_H_

#include <simdjson.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gantry/v1/health.pb.h"
#include "server/argocd/application.h"

namespace gantry::stages {

inline constexpr std::size_t kMaxStatusIssues = 20;

// The `status` of a StageHealth resource: what its health is, for kubectl and for whoever watches
// it. Written by one replica, read by all for `transition_time`.
struct StageStatus {
  struct Application {
    argocd::ApplicationName name;
    v1::HealthState state = v1::HEALTH_STATE_UNSPECIFIED;
    std::optional<absl::Time> since;  // when `state` last changed
    bool operator==(const Application&) const = default;
  };

  v1::HealthState state = v1::HEALTH_STATE_UNSPECIFIED;
  std::vector<std::string> issues;  // at most kMaxStatusIssues, each cut as messages are
  std::vector<Application> applications;
  std::optional<absl::Time> transition_time;  // when `state` last changed
  bool operator==(const StageStatus&) const = default;
};

// What is not as this program writes it counts as absent: it is written anew.
StageStatus ReadStatus(simdjson::padded_string_view text);
nlohmann::json WriteStatus(const StageStatus& status);

// What is to be stored of `health` where `stored` is; the times move when the states they belong to
// are others.
StageStatus NextStatus(const v1::StageHealth& health, const StageStatus& stored, absl::Time now);

}  // namespace gantry::stages

#endif  // GANTRY_SERVER_STAGES_STAGE_STATUS_H_
