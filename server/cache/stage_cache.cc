// SPDX-License-Identifier: Apache-2.0
#include "server/cache/stage_cache.h"

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "base/names.h"
#include "base/strings.h"

namespace gantry::cache {
namespace {

using nlohmann::json;

std::string Text(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// An error when not even the metadata can be read. Null for a name that no Stage has.
absl::StatusOr<std::shared_ptr<CachedStage>> FromObject(const json& object,
                                                        std::string& resource_version) {
  const auto metadata = object.is_object() ? object.find("metadata") : object.end();
  if (!object.is_object() || metadata == object.end() || !metadata->is_object() ||
      Text(*metadata, "name").empty() || Text(*metadata, "resourceVersion").empty()) {
    return absl::InvalidArgumentError(
        "a StageHealth without metadata.name or metadata.resourceVersion");
  }
  resource_version = Text(*metadata, "resourceVersion");
  const std::string name = Text(*metadata, "name");
  const std::size_t dot = name.find('.');
  if (dot == std::string::npos || !base::IsDns1123Label(name.substr(0, dot)) ||
      !base::IsDns1123Subdomain(name.substr(dot + 1))) {
    return nullptr;
  }

  auto stage = std::make_shared<CachedStage>();
  stage->uid = Text(*metadata, "uid");
  stage->resource_version = resource_version;
  const auto spec = object.find("spec");
  auto record = stages::RecordFromSpec(spec == object.end() ? json::object() : *spec);
  if (record.ok()) {
    stage->record = *std::move(record);
  } else {
    stage->problem = std::string(record.status().message());
  }
  // The resource's name tells whose it is, whatever its content claims.
  stage->record.project = name.substr(0, dot);
  stage->record.stage = name.substr(dot + 1);
  const auto status = object.find("status");
  if (status != object.end()) stage->status = stages::StatusFromJson(*status);
  return stage;
}

}  // namespace

void PutOwnWrite(StageCache& cache, const stages::StoredStage& stage) {
  std::string resource_version;
  auto read = FromObject(stage.object, resource_version);
  if (read.ok() && *read != nullptr) cache.PutOwnWrite(*std::move(read), /*creates=*/true);
}

absl::StatusOr<std::string> StageSink::Put(kubernetes::EventType /*type*/,
                                           simdjson::padded_string_view text) {
  std::string resource_version;
  auto stage = FromObject(json::parse(text.begin(), text.end(), nullptr, false), resource_version);
  if (!stage.ok()) return stage.status();
  if (*stage == nullptr) return resource_version;
  if (on_problem_ && !(*stage)->problem.empty()) {
    on_problem_(base::StrCat(
        "the StageHealth of ", (*stage)->record.project, "/", (*stage)->record.stage,
        " can't be understood: ", (*stage)->problem,
        "; its Stage is UNKNOWN until it is corrected, or deleted to forget the Stage"));
  }
  cache_.Put(*std::move(stage), list_);
  return resource_version;
}

absl::StatusOr<std::string> StageSink::Delete(simdjson::padded_string_view text) {
  std::string resource_version;
  auto stage = FromObject(json::parse(text.begin(), text.end(), nullptr, false), resource_version);
  if (!stage.ok()) return stage.status();
  if (*stage != nullptr) cache_.Delete((*stage)->key(), (*stage)->uid);
  return resource_version;
}

void StageSink::EndList(std::string_view resource_version) {
  cache_.EndList(list_, resource_version, [](const StageName&) { return true; });
  freshness_.SetSynced(source_);
}

}  // namespace gantry::cache
