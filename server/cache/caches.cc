// SPDX-License-Identifier: Apache-2.0
#include "server/cache/caches.h"

#include "base/strings.h"

namespace gantry::cache {

Caches::Caches(const std::vector<std::string>& namespaces, absl::Duration staleness_limit,
               const base::Clock& clock)
    : applications(clock),
      stages(clock),
      freshness(staleness_limit, clock),
      stage_source_(freshness.AddSource("stagehealths", "the namespace of the StageHealths")) {
  for (const std::string& ns : namespaces) {
    application_sources_.emplace_back(
        ns, freshness.AddSource("applications", base::StrCat("namespace ", ns)));
  }
  if (namespaces.empty()) {
    application_sources_.emplace_back("", freshness.AddSource("applications", "all namespaces"));
  }
}

std::optional<Freshness::Source> Caches::SourceOf(const std::string& ns) const {
  for (const auto& [watched, source] : application_sources_) {
    if (watched.empty() || watched == ns) return source;
  }
  return std::nullopt;
}

bool Caches::IsFresh(const std::string& ns) const {
  const std::optional<Freshness::Source> source = SourceOf(ns);
  return source && IsFresh(*source);
}

CachedStagePtr Caches::FindFresh(const StageName& name) const {
  return IsFresh(stage_source_) ? stages.Find(name) : nullptr;
}

CachedApplicationPtr Caches::FindFresh(const argocd::ApplicationName& name) const {
  return IsFresh(name.ns) ? applications.Find(name) : nullptr;
}

std::optional<stages::StoredStage> Caches::FindRecord(const StageName& name) const {
  if (!IsFresh(stage_source_)) return std::nullopt;
  const CachedStagePtr known = stages.Find(name);
  if (known == nullptr) {
    stages::StoredStage none;
    none.record.project = name.project;
    none.record.stage = name.stage;
    return none;
  }
  if (!known->problem.empty()) return std::nullopt;
  return stages::StoredStage{known->record, known->resource_version, known->uid, known->generation};
}

}  // namespace gantry::cache
