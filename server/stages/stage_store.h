// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STAGES_STAGE_STORE_H_
#define GANTRY_SERVER_STAGES_STAGE_STORE_H_

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/context.h"
#include "base/random.h"
#include "server/kubernetes/api/client.h"
#include "server/stages/stage_record.h"
#include "server/stages/stage_status.h"

namespace gantry::stages {

inline constexpr kubernetes::Resource kStageHealths = {"gantry.dev", "v1alpha1", "stagehealths"};

// `<project>.<stage>`: a project has no dots, so the first dot splits it again.
std::string StageHealthName(std::string_view project, std::string_view stage);

// A record as it was read. Saving it succeeds only if the resource is still as it was then.
struct StoredStage {
  StageRecord record;
  nlohmann::json object;  // the whole resource; null when there is none yet
};

// Reads and writes StageHealth resources: the one place where a Stage's record meets the
// Kubernetes API. Owned by the wiring; any thread may call it. Errors are kubernetes/error.h's,
// or INVALID_ARGUMENT for a resource that can't be understood.
class StageStore {
 public:
  // `ns` is where StageHealths live. `client` outlives the store.
  StageStore(kubernetes::Client& client, std::string ns) : client_(client), ns_(std::move(ns)) {}

  // Told of each stage that was saved, as it is stored now, on the saving thread. Set before the
  // first call.
  void SetListener(std::function<void(const StoredStage& stage)> listener) {
    listener_ = std::move(listener);
  }

  // A live read. A Stage that has no resource yet is an empty record.
  absl::StatusOr<StoredStage> Load(std::string_view project, std::string_view stage,
                                   base::Context& context);

  // Creates or replaces the resource under the resourceVersion that was read; on success `stage`
  // holds what is stored now. ABORTED when the resource has changed, appeared or gone since: load
  // and decide again.
  absl::Status Save(StoredStage& stage, base::Context& context);

  // Loads, changes and saves, again when somebody else was faster, a few times with jittered
  // backoff; then ABORTED. `change` returns false when there is nothing to save.
  absl::Status Update(std::string_view project, std::string_view stage,
                      absl::FunctionRef<bool(StageRecord& record)> change, base::Random& random,
                      base::Sleeper& sleeper, base::Context& context);

  // Stores the status of a resource that is known by its resourceVersion; ABORTED when it is not
  // the current one any more.
  absl::Status SaveStatus(std::string_view project, std::string_view stage,
                          std::string_view resource_version, const StageStatus& status,
                          base::Context& context);

 private:
  kubernetes::Client& client_;
  const std::string ns_;
  std::function<void(const StoredStage& stage)> listener_;
};

}  // namespace gantry::stages

#endif  // GANTRY_SERVER_STAGES_STAGE_STORE_H_
