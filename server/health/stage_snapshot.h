// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_HEALTH_STAGE_SNAPSHOT_H_
#define GANTRY_SERVER_HEALTH_STAGE_SNAPSHOT_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "gantry/v1/health.pb.h"
#include "server/argocd/application.h"
#include "server/cache/freshness.h"
#include "server/cache/stage_cache.h"

namespace gantry::health {

using cache::StageName;
// Immutable, so that they are shared without being copied.
using SharedBytes = std::shared_ptr<const std::string>;
using SharedNames = std::shared_ptr<const std::vector<argocd::ApplicationName>>;

// The health of one Stage as it was last evaluated: what every response, stream and metric is made
// from. Immutable; any thread.
struct StageSnapshot {
  StageName name;
  v1::HealthState state = v1::HEALTH_STATE_UNSPECIFIED;
  // Together, the v1::StageHealth as field 1 of a message: GetStageHealthResponse.health,
  // ListStageHealthResponse.stages and WatchStageHealthResponse.updated alike. One piece where the
  // Stage has few Applications; where it has many, several, of which those that have not changed
  // are shared with the snapshot before.
  std::vector<SharedBytes> pieces;
  std::size_t size = 0;  // of all pieces
  // The watches that its evidence comes from.
  std::vector<cache::Freshness::Source> sources;
  // The evidence was stale when this was evaluated.
  bool evaluated_stale = false;
  // The stored status is not what this snapshot says. False when the evidence was stale, because
  // that is not stored.
  bool status_differs = false;
  SharedNames wants_refresh;  // ordered by name; never null

  // Parses the pieces.
  v1::StageHealth Health() const;
};
using StageSnapshotPtr = std::shared_ptr<const StageSnapshot>;

// Whether callers are told the same by both.
bool SameBytes(const StageSnapshot& a, const StageSnapshot& b);
// Whether there is no difference at all.
bool SaySame(const StageSnapshot& a, const StageSnapshot& b);

// The head of a message of `size` bytes as field 1 of another.
std::string FieldHeader(std::size_t size);

}  // namespace gantry::health

#endif  // GANTRY_SERVER_HEALTH_STAGE_SNAPSHOT_H_
