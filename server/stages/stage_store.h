// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STAGES_STAGE_STORE_H_
#define GANTRY_SERVER_STAGES_STAGE_STORE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/context.h"
#include "base/random.h"
#include "server/kubernetes/api/client.h"
#include "server/stages/stage_object.h"
#include "server/stages/stage_record.h"
#include "server/stages/stage_status.h"

namespace gantry::stages {

inline constexpr kubernetes::Resource kStageHealths = {"gantry.dev", "v1alpha1", "stagehealths"};

// `<project>.<stage>`: a project has no dots, so the first dot splits it again.
std::string StageHealthName(std::string_view project, std::string_view stage);

// A record and the version of the resource that it was read from, or saved to. Saving it succeeds
// only if the resource is still of that version.
struct StoredStage {
  StageRecord record;
  std::string resource_version;  // empty: there is no resource yet
  std::string uid;
  // The resource's count of what the record was; zero when the API server does not tell.
  std::int64_t generation = 0;
};

// What saving a record came to when it did not fail.
enum class SaveOutcome {
  kSaved,
  kConflict,  // the resource has changed, appeared or gone since: load and decide again
};

// A status that was stored, with the version of the resource before and after.
struct SavedStatus {
  std::string_view project;
  std::string_view stage;
  std::string_view uid;
  std::string_view old_resource_version;
  std::string_view new_resource_version;
  const StageStatus& status;
};

// Reads and writes StageHealth resources: the one place where a Stage's record meets the
// Kubernetes API. Owned by the wiring; any thread may call it. Errors are kubernetes/error.h's,
// or INVALID_ARGUMENT for a resource that can't be understood.
class StageStore {
 public:
  // `ns` is where StageHealths live. `client` outlives the store.
  StageStore(kubernetes::Client& client, std::string ns) : client_(client), ns_(std::move(ns)) {}

  // Told of each record and of each status that was saved, as it is stored now, on the saving
  // thread. Set before the first call.
  void SetListener(std::function<void(const StoredStage& stage)> listener) {
    listener_ = std::move(listener);
  }
  void SetStatusListener(std::function<void(const SavedStatus& status)> listener) {
    status_listener_ = std::move(listener);
  }

  // A live read. A Stage that has no resource yet is an empty record.
  absl::StatusOr<StoredStage> Load(std::string_view project, std::string_view stage,
                                   base::Context& context);

  // Creates the resource, or patches its spec under the resourceVersion that was read, so that
  // fields of newer versions stay. What was saved is not read again: on kSaved `stage` is what is
  // stored now, and can be changed and saved again.
  absl::StatusOr<SaveOutcome> Save(StoredStage& stage, base::Context& context);

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
  // The response to a write of this resource tells its new version.
  absl::StatusOr<StageObject> ReadResponse(const kubernetes::JsonText& response,
                                           std::string_view name) const;
  absl::Status Conflict(std::string_view name) const;

  kubernetes::Client& client_;
  const std::string ns_;
  std::function<void(const StoredStage& stage)> listener_;
  std::function<void(const SavedStatus& status)> status_listener_;
};

}  // namespace gantry::stages

#endif  // GANTRY_SERVER_STAGES_STAGE_STORE_H_
