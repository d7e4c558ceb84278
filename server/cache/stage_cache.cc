// SPDX-License-Identifier: Apache-2.0
#include "server/cache/stage_cache.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "base/names.h"
#include "base/strings.h"
#include "server/stages/stage_object.h"
#include "server/stages/stage_record_json.h"

namespace gantry::cache {
namespace {

absl::StatusOr<stages::StageObject> Read(simdjson::padded_string_view json) {
  absl::StatusOr<stages::StageObject> object = stages::ReadStageObject(json);
  if (object.ok()) return object;
  return absl::InvalidArgumentError(
      base::StrCat("a StageHealth can't be read: ", object.status().message()));
}

// Whose it is, whatever its content claims. Nothing for a name that no Stage has.
std::optional<StageName> NameOf(const stages::StageObject& object) {
  const std::size_t dot = object.name.find('.');
  if (dot == std::string::npos || !base::IsDns1123Label(object.name.substr(0, dot)) ||
      !base::IsDns1123Subdomain(object.name.substr(dot + 1))) {
    return std::nullopt;
  }
  return StageName{object.name.substr(0, dot), object.name.substr(dot + 1)};
}

bool HasRecordOf(const stages::StageObject& object, const CachedStage& known) {
  return object.generation != 0 && object.generation == known.generation && object.uid == known.uid;
}

void ReadRecord(const stages::StageObject& object, const StageName& name, CachedStage& stage) {
  if (!object.spec.empty()) {
    auto record = stages::ReadRecord(object.spec);
    if (record.ok()) {
      stage.record = *std::move(record);
    } else {
      stage.problem = std::string(record.status().message());
    }
  }
  stage.record.project = name.project;
  stage.record.stage = name.stage;
}

}  // namespace

void PutOwnWrite(StageCache& cache, const stages::StoredStage& stage) {
  auto cached = std::make_shared<CachedStage>();
  cached->uid = stage.uid;
  cached->resource_version = stage.resource_version;
  cached->generation = stage.generation;
  cached->record = stage.record;
  // Saving a record leaves the status as it is.
  const CachedStagePtr known = cache.Find(cached->key());
  if (known != nullptr && known->uid == stage.uid) cached->status = known->status;
  cache.PutOwnWrite(std::move(cached), /*creates=*/true);
}

void PutOwnWrite(StageCache& cache, const stages::SavedStatus& status) {
  const CachedStagePtr known = cache.Find({std::string(status.project), std::string(status.stage)});
  // What was written meanwhile the watch will bring, with this status.
  if (known == nullptr || known->uid != status.uid ||
      known->resource_version != status.old_resource_version) {
    return;
  }
  auto cached = std::make_shared<CachedStage>(*known);
  cached->resource_version = status.new_resource_version;
  cached->status = status.status;
  cache.PutOwnWrite(std::move(cached), /*creates=*/false);
}

absl::StatusOr<std::string> StageSink::Put(kubernetes::EventType /*type*/,
                                           simdjson::padded_string_view json) {
  const absl::StatusOr<stages::StageObject> object = Read(json);
  if (!object.ok()) return object.status();
  const std::optional<StageName> name = NameOf(*object);
  if (!name) return object->resource_version;

  auto stage = std::make_shared<CachedStage>();
  const CachedStagePtr known = cache_.Find(*name);
  if (known != nullptr && HasRecordOf(*object, *known)) {
    stage->record = known->record;
    stage->problem = known->problem;
  } else {
    ReadRecord(*object, *name, *stage);
    if (on_problem_ && !stage->problem.empty()) {
      on_problem_(base::StrCat(
          "the StageHealth of ", name->project, "/", name->stage,
          " can't be understood: ", stage->problem,
          "; its Stage is UNKNOWN until it is corrected, or deleted to forget the Stage"));
    }
  }
  stage->uid = object->uid;
  stage->resource_version = object->resource_version;
  stage->generation = object->generation;
  if (!object->status.empty()) stage->status = stages::ReadStatus(object->status);
  cache_.Put(std::move(stage), list_);
  return object->resource_version;
}

absl::StatusOr<std::string> StageSink::Delete(simdjson::padded_string_view json) {
  const absl::StatusOr<stages::StageObject> object = Read(json);
  if (!object.ok()) return object.status();
  if (const auto name = NameOf(*object)) cache_.Delete(*name, object->uid);
  return object->resource_version;
}

void StageSink::EndList(std::string_view resource_version) {
  cache_.EndList(list_, resource_version, [](const StageName&) { return true; });
  freshness_.SetSynced(source_);
}

}  // namespace gantry::cache
