// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_HEALTH_STAGE_EVALUATOR_H_
#define GANTRY_SERVER_HEALTH_STAGE_EVALUATOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "server/cache/caches.h"
#include "server/health/evidence.h"
#include "server/health/stage_rules.h"
#include "server/health/stage_snapshot.h"

namespace gantry::health {

// When something is evaluated, and how fresh the evidence was then.
struct Moment {
  absl::Time now;
  Readings readings;
};

// Makes the snapshots of one Stage, and keeps what each of its Applications adds to them: so when
// one Application changes, that one is evaluated, however many the Stage has. The snapshot is byte
// for byte the message that EvaluateStage makes.
//
// The serialized Applications are kept in groups of neighbours. A change replaces the bytes of one
// group, and snapshots share the other groups.
//
// Belongs to the HealthCache, which calls it on its own thread alone; or to whoever makes one for a
// single evaluation.
class StageEvaluator {
 public:
  // `caches` outlives it.
  explicit StageEvaluator(const cache::Caches& caches) : caches_(caches) {}

  // Takes the Stage as it is on record now. Before anything else, and whenever it has changed.
  void SetStage(cache::CachedStagePtr stage);
  const cache::CachedStagePtr& stage() const { return stage_; }

  // Has the next Evaluate look at each Application again.
  void ExpectOtherEvidence() { all_due_ = true; }

  // Evaluates again the Applications of `changed`, by their numbers in ChecksInOrder, and whatever
  // else is due. Returns the snapshot before when nothing is different, and never null.
  StageSnapshotPtr Evaluate(const std::vector<std::size_t>& changed, const Moment& moment);

  // When the next indicator expires, as of the last Evaluate.
  std::optional<absl::Time> next_expiry() const { return next_expiry_; }

 private:
  // One registered check, and what its Application adds to the Stage.
  struct Entry {
    const stages::HealthCheckRecord* check = nullptr;  // of `stage_`
    std::vector<std::string> issues;                   // those that the Stage tells
    std::uint32_t size = 0;                            // of its bytes, in its group's
    v1::HealthState application_state = v1::HEALTH_STATE_UNSPECIFIED;
    v1::HealthState stage_state = v1::HEALTH_STATE_HEALTHY;
    bool wants_refresh = false;
    bool lags = false;
    bool is_stored = false;  // the stored status says the same of it
  };
  // Neighbours among the entries. The bytes are parts of a serialized StageHealth.
  struct Group {
    SharedBytes owner;              // of `applications`; perhaps a whole snapshot's bytes
    std::string_view applications;  // field 5, one for each entry
    SharedBytes issues;             // field 4; null: none
    v1::HealthState state = v1::HEALTH_STATE_HEALTHY;
  };
  // What a Stage's health has besides its Applications.
  struct Frame;
  // Entries by their numbers, in order.
  using Due = std::vector<std::size_t>;

  Due TakeDue(const std::vector<std::size_t>& changed);
  // Evaluates the entries from `first` to `last`, which are all in `group`. False when nothing is
  // different.
  bool EvaluateGroup(std::size_t group, Due::const_iterator first, Due::const_iterator last,
                     const Moment& moment);
  // Sets all of the entry at `i` but its size. `issues_changed` is set when it has other issues.
  std::string EvaluateEntry(std::size_t i, const Moment& moment, bool& news, bool& issues_changed);
  void ReplaceBytes(std::size_t group, Due::const_iterator due,
                    const std::vector<std::string>& bytes);
  void ReplaceIssues(std::size_t group);
  std::size_t EndOf(std::size_t group) const;

  bool IsStored(std::size_t i) const;
  bool StatusDiffers(v1::HealthState state, const Frame& frame) const;

  Frame MakeFrame(const Moment& moment);
  void Assemble(const Frame& frame, v1::HealthState state, StageSnapshot& snapshot);
  StageSnapshotPtr MakeSnapshot(const Moment& moment);

  const cache::Caches& caches_;
  cache::CachedStagePtr stage_;
  std::vector<Entry> entries_;  // ordered by Application
  std::vector<Group> groups_;
  std::vector<cache::Freshness::Source> sources_;
  SharedNames wants_refresh_;  // null: to be made anew
  std::size_t lagging_ = 0;    // entries that lag
  std::size_t stored_ = 0;     // entries of which the stored status says the same

  StageSnapshotPtr snapshot_;
  std::optional<absl::Time> next_expiry_;
  bool all_due_ = true;
  bool unknown_due_ = false;  // entries that are UNKNOWN: since when is told by the stored status
  bool frame_due_ = true;     // what is not of the Applications
};

}  // namespace gantry::health

#endif  // GANTRY_SERVER_HEALTH_STAGE_EVALUATOR_H_
