// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_RECORD_GUARD_H_
#define GANTRY_SERVER_STEPS_RECORD_GUARD_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/context.h"
#include "server/cache/caches.h"
#include "server/stages/stage_store.h"
#include "server/steps/application_writer.h"
#include "server/steps/recording.h"

namespace gantry::steps {

// Keeps a promotion that was stalled between recording and writing from writing behind a newer
// one's back. The save of the record proves that the promotion was the current one then; for a
// moment after it that is enough, because what a newer promotion writes meanwhile is another
// resourceVersion of the Application. A process that was stopped for longer looks at the record
// again before it writes, and so does a batch that takes long. What the watch has brought of the
// record is looked at before each write, which costs nothing.
//
// Lives as long as one batch of writes; all of their threads.
class RecordGuard {
 public:
  // How long a save or a look is enough.
  static constexpr absl::Duration kTrust = absl::Seconds(1);

  // `saved` is the record as it was saved, and `saved_at` when that was begun, since boot. All
  // outlive the guard.
  RecordGuard(stages::StageStore& stages, const cache::Caches& caches, const base::Clock& clock,
              const StepIdentity& identity, const stages::StoredStage& saved,
              absl::Duration saved_at)
      : stages_(stages),
        caches_(caches),
        clock_(clock),
        id_(identity),
        saved_(saved),
        looked_at_(absl::ToInt64Nanoseconds(saved_at)) {}

  // kWritten: the write may be made. Else why not.
  WriteResult Check(const SentWrite& write, base::Context& context);

 private:
  WriteResult CheckBy(const stages::StageRecord& record, const SentWrite& write) const;

  stages::StageStore& stages_;
  const cache::Caches& caches_;
  const base::Clock& clock_;
  const StepIdentity& id_;
  const stages::StoredStage& saved_;
  std::atomic<std::int64_t> looked_at_;  // in nanoseconds since boot
};

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_RECORD_GUARD_H_
