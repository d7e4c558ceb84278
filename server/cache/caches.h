// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_CACHE_CACHES_H_
#define GANTRY_SERVER_CACHE_CACHES_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"
#include "server/cache/application_cache.h"
#include "server/cache/freshness.h"
#include "server/cache/stage_cache.h"
#include "server/stages/stage_store.h"

namespace gantry::cache {

// All that the watches bring: Applications, StageHealths, and how recent each part is. Owned by the
// wiring; any thread.
class Caches {
 public:
  // `namespaces` are those whose Applications are watched; empty: all.
  Caches(const std::vector<std::string>& namespaces, absl::Duration staleness_limit,
         const base::Clock& clock);

  // Each is used by itself.
  // NOLINTBEGIN(misc-non-private-member-variables-in-classes)
  ApplicationCache applications;
  StageCache stages;
  Freshness freshness;
  // NOLINTEND(misc-non-private-member-variables-in-classes)

  Freshness::Source stage_source() const { return stage_source_; }
  // Of the Applications in `ns`; nothing when they are not watched.
  std::optional<Freshness::Source> SourceOf(const std::string& ns) const;
  // One for each watch on Applications; the namespace is empty for that of all.
  const std::vector<std::pair<std::string, Freshness::Source>>& application_sources() const {
    return application_sources_;
  }

  // What is known, if it is complete and not stale; else null, and the API server has to be asked.
  CachedStagePtr FindFresh(const StageName& name) const;
  CachedApplicationPtr FindFresh(const argocd::ApplicationName& name) const;
  bool IsFresh(const std::string& ns) const;
  // The record of a Stage as it may be changed and saved under its version: a Stage that is not in
  // a fresh cache has an empty one. Nothing when the cache is not fresh, or the record can't be
  // understood.
  std::optional<stages::StoredStage> FindRecord(const StageName& name) const;

 private:
  bool IsFresh(Freshness::Source source) const {
    return freshness.IsSynced(source) && !freshness.Read(source).stale;
  }

  Freshness::Source stage_source_;
  std::vector<std::pair<std::string, Freshness::Source>> application_sources_;
};

}  // namespace gantry::cache

#endif  // GANTRY_SERVER_CACHE_CACHES_H_
