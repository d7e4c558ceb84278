// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_APPLICATION_WRITER_H_
#define GANTRY_SERVER_STEPS_APPLICATION_WRITER_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/context.h"
#include "base/worker_pool.h"
#include "server/cache/application_client.h"
#include "server/kubernetes/api/event_recorder.h"
#include "server/observability/log.h"
#include "server/steps/attempt_ledger.h"

namespace gantry::steps {

// What became of one write; the later kinds decide over the earlier ones.
struct WriteResult {
  enum class Kind { kNotBegun, kWritten, kConflict, kFailed, kRefused, kSuperseded };
  Kind kind = Kind::kNotBegun;
  absl::Status status = absl::OkStatus();
  bool certainly_not_written = true;
  std::string newer_promotion = {};  // with kSuperseded
};

// Writes the patches of one plan, several at a time, each under the resourceVersion that was
// decided on, and tells of them: the Application's owner by an Event, the auditors by a line in the
// log. Lives as long as the call; the writes are made by several threads, everything else by one.
class ApplicationWriter {
 public:
  // Who asked for the writes, for the audit.
  struct Origin {
    std::string caller;  // as authenticated
    std::string actor;   // as the caller says
  };

  // All outlive it.
  ApplicationWriter(cache::ApplicationClient& applications, kubernetes::EventRecorder& events,
                    base::WorkerPool& helpers, const observability::Logger& log, Origin origin)
      : applications_(applications),
        events_(events),
        helpers_(helpers),
        log_(log),
        origin_(std::move(origin)) {}

  // Before each write `check` is asked whether the write may still be made: kWritten, if so. After
  // a write that was not made no further one is begun. Results are in the order of `writes`.
  using Check = std::function<WriteResult(const SentWrite& write)>;
  std::vector<WriteResult> Write(const std::vector<SentWrite>& writes, const Check& check,
                                 base::Context& context);

  // Tells of a write that turned out to have happened.
  void TellWritten(const SentWrite& write) const;
  // Tells the auditors alone of a write that may have happened.
  void TellUnknown(const SentWrite& write) const;

 private:
  WriteResult WriteOne(const SentWrite& write, base::Context& context);
  void Audit(const SentWrite& write, std::string_view outcome) const;

  cache::ApplicationClient& applications_;
  kubernetes::EventRecorder& events_;
  base::WorkerPool& helpers_;
  const observability::Logger& log_;
  const Origin origin_;
};

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_APPLICATION_WRITER_H_
