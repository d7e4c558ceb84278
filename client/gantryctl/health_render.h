// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_HEALTH_RENDER_H_
#define GANTRY_CLIENT_GANTRYCTL_HEALTH_RENDER_H_

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/gantryctl/command_line.h"
#include "client/gantryctl/render.h"
#include "client/gantryctl/text.h"
#include "gantry/v1/promotion_step_service.pb.h"

// What is said about the health of Stages. Pure; any thread. Texts end in a newline, and what came
// from elsewhere cannot steer the terminal.
namespace gantry::gantryctl {

// For people: a row for each Stage.
std::string RenderStages(const v1::ListStageHealthResponse& response, const Look& look = {});

// For people: the row of one Stage, its Applications, its indicators, and all issues.
std::string RenderStage(const v1::StageHealth& health, const Look& look = {});

// An object with `stages`, `observedTime` and `stale`, of which the first and the last are there
// even when they are empty or false; otherwise as RenderJson.
absl::StatusOr<std::string> RenderStagesJson(const v1::ListStageHealthResponse& response);
absl::StatusOr<std::string> RenderStagesYaml(const v1::ListStageHealthResponse& response);

// "the evidence is stale: observed at T".
std::string RenderStale(const google::protobuf::Timestamp& observed_time);

// That there is no such Stage, and which others, or which project, may have been meant; or else
// which Stages its project has, if they are few. `all` has every Stage there is, as project/stage.
std::string RenderUnknownStage(const std::string& project, const std::string& stage,
                               const std::vector<std::string>& all);

// "shop/prod is HEALTHY, not UNHEALTHY, after 1s": what a Stage was last known to be, if it was,
// when the time to wait for another state was over.
std::string RenderNotReached(const HealthFlags& flags, std::optional<v1::HealthState> last,
                             absl::Duration elapsed);

// That the service knows no Stage at all of the project that was asked for, or none whatever, and
// which project may have been meant. `all` as above.
std::string RenderNoStages(const HealthFlags& flags, const std::vector<std::string>& all);

// Prints the events of a watch one after the other. As a table: what there is at the first
// `synced`, then a row for each event. As JSON: a line for each event. As YAML: a document for each
// event. Owned by the command that watches, used on one thread.
class WatchPrinter {
 public:
  explicit WatchPrinter(OutputFormat format, const Look& look = {});

  // What to print for the event, which may be nothing.
  absl::StatusOr<std::string> Print(const v1::WatchStageHealthResponse& event);

 private:
  using Row = std::vector<std::string>;
  std::string PrintRows(const v1::WatchStageHealthResponse& event);

  const OutputFormat format_;
  const Look look_;
  GrowingTable table_;
  bool synced_ = false;
  std::map<std::pair<std::string, std::string>, Row> first_;  // until then, by project, Stage
};

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_HEALTH_RENDER_H_
