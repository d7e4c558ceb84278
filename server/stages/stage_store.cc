// SPDX-License-Identifier: Apache-2.0
#include "server/stages/stage_store.h"

#include <utility>

#include "base/strings.h"
#include "server/kubernetes/api/error.h"

namespace gantry::stages {
namespace {

using kubernetes::ErrorKind;
using nlohmann::json;

constexpr std::size_t kMaxLabelBytes = 63;
constexpr int kMaxUpdates = 8;
constexpr absl::Duration kUpdateBackoff = absl::Milliseconds(20);

absl::Status NotUnderstood(std::string_view ns, std::string_view name, std::string_view why) {
  return absl::InvalidArgumentError(base::StrCat("StageHealth ", ns, "/", name,
                                                 " can't be understood: ", why,
                                                 "; correct it, or delete it to forget the Stage"));
}

absl::StatusOr<StoredStage> Parse(const kubernetes::JsonText& body, std::string_view ns,
                                  std::string_view name) {
  StoredStage stored;
  stored.object = json::parse(body.text(), nullptr, false);
  if (!stored.object.is_object() || !stored.object.contains("metadata")) {
    return kubernetes::WhyUnreadable(body.padded(),
                                     NotUnderstood(ns, name, "it is not an object with metadata"));
  }
  const auto spec = stored.object.find("spec");
  absl::StatusOr<StageRecord> record =
      RecordFromSpec(spec == stored.object.end() ? json::object() : *spec);
  if (!record.ok()) return NotUnderstood(ns, name, base::ToStd(record.status().message()));
  stored.record = *std::move(record);
  return stored;
}

json NewObject(const std::string& ns, const std::string& name, const StageRecord& record) {
  json labels = {{"gantry.dev/project", record.project}};
  if (record.stage.size() <= kMaxLabelBytes) labels["gantry.dev/stage"] = record.stage;
  return {{"apiVersion", "gantry.dev/v1alpha1"},
          {"kind", "StageHealth"},
          {"metadata", {{"name", name}, {"namespace", ns}, {"labels", std::move(labels)}}}};
}

}  // namespace

std::string StageHealthName(std::string_view project, std::string_view stage) {
  return base::StrCat(project, ".", stage);
}

absl::StatusOr<StoredStage> StageStore::Load(std::string_view project, std::string_view stage,
                                             base::Context& context) {
  const std::string name = StageHealthName(project, stage);
  absl::StatusOr<kubernetes::JsonText> body = client_.Get(kStageHealths, ns_, name, context);
  StoredStage stored;
  if (body.ok()) {
    absl::StatusOr<StoredStage> parsed = Parse(*body, ns_, name);
    if (!parsed.ok()) return parsed.status();
    stored = *std::move(parsed);
  } else if (kubernetes::KindOf(body.status()) != ErrorKind::kNotFound) {
    return body.status();
  }
  stored.record.project = project;
  stored.record.stage = stage;
  return stored;
}

absl::Status StageStore::Save(StoredStage& stage, base::Context& context) {
  const std::string name = StageHealthName(stage.record.project, stage.record.stage);
  const bool exists = stage.object.is_object();
  json object = exists ? stage.object : NewObject(ns_, name, stage.record);
  WriteRecordToSpec(stage.record, object["spec"]);
  // Messages quote what others wrote; whatever is not UTF-8 in them must not throw.
  const std::string body = object.dump(-1, ' ', false, json::error_handler_t::replace);
  absl::StatusOr<kubernetes::JsonText> answer =
      exists ? client_.Replace(kStageHealths, ns_, name, body, context)
             : client_.Create(kStageHealths, ns_, name, body, context);
  if (!answer.ok()) {
    const ErrorKind kind = kubernetes::KindOf(answer.status());
    const bool changed = kind == ErrorKind::kConflict || kind == ErrorKind::kAlreadyExists ||
                         (exists && kind == ErrorKind::kNotFound);
    return changed ? absl::AbortedError(base::StrCat("StageHealth ", ns_, "/", name,
                                                     " was changed by somebody else meanwhile"))
                   : answer.status();
  }
  absl::StatusOr<StoredStage> parsed = Parse(*answer, ns_, name);
  if (!parsed.ok()) return parsed.status();
  stage = *std::move(parsed);
  if (listener_) listener_(stage);
  return absl::OkStatus();
}

absl::Status StageStore::Update(std::string_view project, std::string_view stage,
                                absl::FunctionRef<bool(StageRecord& record)> change,
                                base::Random& random, base::Sleeper& sleeper,
                                base::Context& context) {
  for (int attempt = 1;; ++attempt) {
    absl::StatusOr<StoredStage> stored = Load(project, stage, context);
    if (!stored.ok()) return stored.status();
    if (!change(stored->record)) return absl::OkStatus();
    absl::Status saved = Save(*stored, context);
    if (!absl::IsAborted(saved) || attempt == kMaxUpdates) return saved;
    const absl::Duration delay = kUpdateBackoff * (1 << (attempt - 1)) * (0.5 + random.Uniform());
    if (absl::Status slept = sleeper.Sleep(delay, context); !slept.ok()) return slept;
  }
}

absl::Status StageStore::SaveStatus(std::string_view project, std::string_view stage,
                                    std::string_view resource_version, const StageStatus& status,
                                    base::Context& context) {
  const std::string name = StageHealthName(project, stage);
  const json patch = {{"metadata", {{"resourceVersion", resource_version}}},
                      {"status", ToJson(status)}};
  const absl::StatusOr<kubernetes::JsonText> answer =
      client_.MergePatch(kStageHealths, ns_, name, "status",
                         patch.dump(-1, ' ', false, json::error_handler_t::replace), context);
  if (!answer.ok()) {
    const ErrorKind kind = kubernetes::KindOf(answer.status());
    return kind == ErrorKind::kConflict || kind == ErrorKind::kNotFound
               ? absl::AbortedError(answer.status().message())
               : answer.status();
  }
  // A record that can't be understood has a status as well.
  const absl::StatusOr<StoredStage> stored = Parse(*answer, ns_, name);
  if (stored.ok() && listener_) listener_(*stored);
  return absl::OkStatus();
}

}  // namespace gantry::stages
