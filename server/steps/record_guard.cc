// SPDX-License-Identifier: Apache-2.0
#include "server/steps/record_guard.h"

#include <utility>

#include "server/kubernetes/api/resource_version.h"

namespace gantry::steps {

using WriteKind = WriteResult::Kind;

WriteResult RecordGuard::Check(const SentWrite& write, base::Context& context) {
  // What was not sent was certainly not made.
  if (absl::Status ended = context.Check(); !ended.ok()) {
    return {.kind = WriteKind::kFailed, .status = std::move(ended)};
  }
  const absl::Duration now = clock_.SinceBoot();
  const cache::CachedStagePtr known = caches_.stages.Find(cache::StageName{id_.project, id_.stage});
  // What was saved is in the cache: where it is not, it was deleted meanwhile.
  if (known == nullptr || now - absl::Nanoseconds(looked_at_.load()) > kTrust) {
    const absl::StatusOr<stages::StoredStage> stage = stages_.Load(id_.project, id_.stage, context);
    if (!stage.ok()) return {.kind = WriteKind::kFailed, .status = stage.status()};
    looked_at_.store(absl::ToInt64Nanoseconds(now));
    return CheckBy(stage->record, write);
  }
  const bool newer = known->problem.empty() &&
                     kubernetes::IsOlder(saved_.resource_version, known->resource_version);
  return newer ? CheckBy(known->record, write) : WriteResult{.kind = WriteKind::kWritten};
}

WriteResult RecordGuard::CheckBy(const stages::StageRecord& record, const SentWrite& write) const {
  if (stages::IsSuperseded(record, id_.promotion)) {
    return {.kind = WriteKind::kSuperseded, .newer_promotion = record.promotion.name};
  }
  if (!IsStillReserved(record, id_, write.application->name, write.write.attempt)) {
    return {.kind = WriteKind::kConflict,
            .status = absl::AbortedError("the Stage's record was changed meanwhile")};
  }
  return {.kind = WriteKind::kWritten};
}

}  // namespace gantry::steps
