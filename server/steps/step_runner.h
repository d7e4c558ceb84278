// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_STEP_RUNNER_H_
#define GANTRY_SERVER_STEPS_STEP_RUNNER_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/context.h"
#include "gantry/v1/promotion_step_service.pb.h"
#include "server/observability/log.h"

namespace gantry::steps {

// How often a pass is made again after a conflict before the caller is asked to come again.
inline constexpr int kMaxConflicts = 5;
inline constexpr absl::Duration kConflictBackoff = absl::Milliseconds(50);

// One call of RunStep, after the service has checked names and limits. `request.step` is never
// empty here.
struct StepCall {
  const v1::RunStepRequest& request;
  std::string caller;  // who called, as authenticated; "anonymous" when nobody was
  const observability::Logger& log;
};

// Carries out one kind of step. Owned by the StepRegistry; called by many worker threads at once.
// A verdict on the step is a response. An error means that no verdict could be reached, and the
// same call may be made again; it carries a base::ErrorInfo.
class StepRunner {
 public:
  virtual ~StepRunner() = default;
  virtual std::string_view uses() const = 0;
  // What it does, in a few sentences for a person.
  virtual std::string_view description() const = 0;
  // The JSON Schema of its configuration, as JSON text.
  virtual std::string_view config_schema() const = 0;
  virtual absl::StatusOr<v1::RunStepResponse> Run(const StepCall& call, base::Context& context) = 0;
};

// The kinds of step this server knows. Filled by the wiring before the server starts, constant
// afterwards; any thread may look up.
class StepRegistry {
 public:
  void Add(std::unique_ptr<StepRunner> runner) { runners_.push_back(std::move(runner)); }
  // Null when no kind is named so.
  StepRunner* Find(std::string_view uses) const {
    for (const auto& runner : runners_) {
      if (runner->uses() == uses) return runner.get();
    }
    return nullptr;
  }
  // In the order they were added.
  std::vector<std::string_view> Names() const {
    std::vector<std::string_view> names;
    for (const auto& runner : runners_) names.push_back(runner->uses());
    return names;
  }

 private:
  std::vector<std::unique_ptr<StepRunner>> runners_;
};

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_STEP_RUNNER_H_
