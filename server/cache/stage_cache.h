// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_CACHE_STAGE_CACHE_H_
#define GANTRY_SERVER_CACHE_STAGE_CACHE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "server/cache/freshness.h"
#include "server/cache/object_cache.h"
#include "server/kubernetes/watch/reflector.h"
#include "server/stages/stage_record.h"
#include "server/stages/stage_status.h"
#include "server/stages/stage_store.h"

namespace gantry::cache {

// A Stage as it is kept: the StageHealth resource. Compared by project, then Stage.
struct StageName {
  std::string project;
  std::string stage;
  auto operator<=>(const StageName&) const = default;
};

struct CachedStage {
  std::string uid;
  std::string resource_version;
  // Of the same uid and generation, another version has the same record. Zero: not known.
  std::int64_t generation = 0;
  stages::StageRecord record;
  stages::StageStatus status;
  // Why the record can't be understood, in words; then `record` has nothing but the names.
  std::string problem;

  StageName key() const { return {record.project, record.stage}; }
  bool SaysTheSame(const CachedStage& other) const {
    return uid == other.uid && record == other.record && status == other.status &&
           problem == other.problem;
  }
};

using StageCache = ObjectCache<StageName, CachedStage>;
using CachedStagePtr = StageCache::Ptr;

// Puts what was just saved into the cache: a record, or a status.
void PutOwnWrite(StageCache& cache, const stages::StoredStage& stage);
void PutOwnWrite(StageCache& cache, const stages::SavedStatus& status);

// What the reflector of StageHealths fills. Belongs to that reflector's thread.
class StageSink final : public kubernetes::ObjectSink {
 public:
  // All outlive it. `on_problem` is told, once per change, of resources that can't be understood.
  StageSink(StageCache& cache, Freshness& freshness, Freshness::Source source,
            std::function<void(std::string_view message)> on_problem)
      : cache_(cache), freshness_(freshness), source_(source), on_problem_(std::move(on_problem)) {}

  void BeginList() override { list_ = cache_.BeginList(); }
  absl::StatusOr<std::string> Put(kubernetes::EventType type,
                                  simdjson::padded_string_view json) override;
  absl::StatusOr<std::string> Delete(simdjson::padded_string_view json) override;
  void EndList(std::string_view resource_version) override;
  void UpToDate(absl::Duration time) override { freshness_.UpToDate(source_, time); }

 private:
  StageCache& cache_;
  Freshness& freshness_;
  const Freshness::Source source_;
  const std::function<void(std::string_view message)> on_problem_;
  std::uint64_t list_ = 0;
};

}  // namespace gantry::cache

#endif  // GANTRY_SERVER_CACHE_STAGE_CACHE_H_
