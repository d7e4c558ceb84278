// SPDX-License-Identifier: Apache-2.0
#include "server/stages/stage_store.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/retry.h"
#include "base/strings.h"
#include "server/kubernetes/api/error.h"
#include "server/stages/stage_record_json.h"

namespace gantry::stages {
namespace {

using kubernetes::ErrorKind;
using nlohmann::json;

constexpr std::size_t kMaxLabelBytes = 63;
absl::Status NotUnderstood(std::string_view ns, std::string_view name, std::string_view why) {
  return absl::InvalidArgumentError(base::StrCat("StageHealth ", ns, "/", name,
                                                 " can't be understood: ", why,
                                                 "; correct it, or delete it to forget the Stage"));
}

// Messages quote what others wrote; whatever is not UTF-8 in them must not throw.
std::string Text(const json& body) {
  return body.dump(-1, ' ', false, json::error_handler_t::replace);
}

json NewObject(const std::string& ns, const std::string& name, const StageRecord& record) {
  json labels = {{"gantry.dev/project", record.project}};
  if (record.stage.size() <= kMaxLabelBytes) labels["gantry.dev/stage"] = record.stage;
  return {{"apiVersion", "gantry.dev/v1alpha1"},
          {"kind", "StageHealth"},
          {"metadata", {{"name", name}, {"namespace", ns}, {"labels", std::move(labels)}}},
          {"spec", WriteRecord(record)}};
}

json PatchOf(const StoredStage& stage) {
  json spec = WriteRecord(stage.record);
  // What is not in a merge patch stays; null is how it removes.
  if (!spec.contains("promotion")) spec["promotion"] = nullptr;
  return {{"metadata", {{"resourceVersion", stage.resource_version}}}, {"spec", std::move(spec)}};
}

}  // namespace

std::string StageHealthName(std::string_view project, std::string_view stage) {
  return base::StrCat(project, ".", stage);
}

absl::Status StageStore::Conflict(std::string_view name) const {
  return absl::AbortedError(
      base::StrCat("StageHealth ", ns_, "/", name, " was changed by somebody else meanwhile"));
}

absl::StatusOr<StageObject> StageStore::ReadResponse(const kubernetes::JsonText& response,
                                                     std::string_view name) const {
  absl::StatusOr<StageObject> object = ReadStageObject(response.padded());
  if (object.ok()) return object;
  return kubernetes::WhyUnreadable(
      response.padded(), NotUnderstood(ns_, name, base::ToStd(object.status().message())));
}

absl::StatusOr<StoredStage> StageStore::Load(std::string_view project, std::string_view stage,
                                             base::Context& context) {
  const std::string name = StageHealthName(project, stage);
  const absl::StatusOr<kubernetes::JsonText> body = client_.Get(kStageHealths, ns_, name, context);
  StoredStage stored;
  if (body.ok()) {
    absl::StatusOr<StageObject> object = ReadResponse(*body, name);
    if (!object.ok()) return object.status();
    if (!object->spec.empty()) {
      absl::StatusOr<StageRecord> record = ReadRecord(object->spec);
      if (!record.ok()) {
        return kubernetes::WhyUnreadable(
            body->padded(), NotUnderstood(ns_, name, base::ToStd(record.status().message())));
      }
      stored.record = *std::move(record);
    }
    stored.resource_version = std::move(object->resource_version);
    stored.uid = std::move(object->uid);
    stored.generation = object->generation;
  } else if (kubernetes::KindOf(body.status()) != ErrorKind::kNotFound) {
    return body.status();
  }
  stored.record.project = project;
  stored.record.stage = stage;
  return stored;
}

absl::StatusOr<SaveOutcome> StageStore::Save(StoredStage& stage, base::Context& context) {
  const std::string name = StageHealthName(stage.record.project, stage.record.stage);
  const bool exists = !stage.resource_version.empty();
  KeepWhatIsStored(stage.record);
  const absl::StatusOr<kubernetes::JsonText> response =
      exists ? client_.MergePatch(kStageHealths, ns_, name, "", Text(PatchOf(stage)), context)
             : client_.Create(kStageHealths, ns_, name, Text(NewObject(ns_, name, stage.record)),
                              context);
  if (!response.ok()) {
    const ErrorKind kind = kubernetes::KindOf(response.status());
    const bool changed = kind == ErrorKind::kConflict || kind == ErrorKind::kAlreadyExists ||
                         (exists && kind == ErrorKind::kNotFound);
    if (changed) return SaveOutcome::kConflict;
    return response.status();
  }
  absl::StatusOr<StageObject> object = ReadResponse(*response, name);
  if (!object.ok()) return object.status();
  stage.resource_version = std::move(object->resource_version);
  stage.uid = std::move(object->uid);
  stage.generation = object->generation;
  if (listener_) listener_(stage);
  return SaveOutcome::kSaved;
}

absl::Status StageStore::Update(std::string_view project, std::string_view stage,
                                absl::FunctionRef<bool(StageRecord& record)> change,
                                base::Random& random, base::Sleeper& sleeper,
                                base::Context& context) {
  const auto attempt = [&]() -> absl::StatusOr<base::AttemptOutcome> {
    absl::StatusOr<StoredStage> stored = Load(project, stage, context);
    if (!stored.ok()) return stored.status();
    if (!change(stored->record)) return base::AttemptOutcome::kDone;
    const absl::StatusOr<SaveOutcome> saved = Save(*stored, context);
    if (!saved.ok()) return saved.status();
    return *saved == SaveOutcome::kSaved ? base::AttemptOutcome::kDone
                                         : base::AttemptOutcome::kConflict;
  };
  const absl::StatusOr<base::AttemptOutcome> outcome =
      base::RetryOnConflict({}, random, sleeper, context, attempt);
  if (!outcome.ok()) return outcome.status();
  return *outcome == base::AttemptOutcome::kDone ? absl::OkStatus()
                                                 : Conflict(StageHealthName(project, stage));
}

absl::Status StageStore::SaveStatus(std::string_view project, std::string_view stage,
                                    std::string_view resource_version, const StageStatus& status,
                                    base::Context& context) {
  const std::string name = StageHealthName(project, stage);
  const json patch = {{"metadata", {{"resourceVersion", resource_version}}},
                      {"status", WriteStatus(status)}};
  const absl::StatusOr<kubernetes::JsonText> response =
      client_.MergePatch(kStageHealths, ns_, name, "status", Text(patch), context);
  if (!response.ok()) {
    const ErrorKind kind = kubernetes::KindOf(response.status());
    const bool changed = kind == ErrorKind::kConflict || kind == ErrorKind::kNotFound;
    return changed ? Conflict(name) : response.status();
  }
  const absl::StatusOr<StageObject> object = ReadResponse(*response, name);
  if (!object.ok()) return object.status();
  if (status_listener_) {
    status_listener_({.project = project,
                      .stage = stage,
                      .uid = object->uid,
                      .old_resource_version = resource_version,
                      .new_resource_version = object->resource_version,
                      .status = status});
  }
  return absl::OkStatus();
}

}  // namespace gantry::stages
