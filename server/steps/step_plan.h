// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_STEP_PLAN_H_
#define GANTRY_SERVER_STEPS_STEP_PLAN_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "gantry/v1/step.pb.h"
#include "server/argocd/application.h"
#include "server/stages/attempt_record.h"
#include "server/steps/config/application_selection.h"

namespace gantry::steps {

// What a kind of step makes of the Applications it was given: pure values. The engine carries a
// plan out, records it and answers with it.

enum class Verdict {
  kUndecided,  // the step was refused before it came to this Application
  kSkipped,    // matched by a selector, and does not authorize the Stage
  kDone,       // as the step wants it
  kWaits,      // for an operation, a condition or a point in time
  kWrites,     // to be changed and synced
  kErrors,     // not now: something outside has to change
  kFails,      // never, for this promotion
};

// One Application in a plan.
struct ApplicationPlan {
  argocd::ApplicationPtr application;
  bool by_name = false;  // an entry of the configuration names it
  Verdict verdict = Verdict::kUndecided;
  v1::StepReason reason = v1::STEP_REASON_UNSPECIFIED;  // why the step as a whole is not done
  std::string message;                                  // one sentence that names the Application
  std::vector<std::string> desired_revisions;           // one per source
  // What is to be recorded of its attempts if nothing is written.
  stages::AttemptRecord attempts;
  // With kWaits: when the step has to be evaluated again although nothing has changed.
  std::optional<absl::Time> due;
  // Argo CD is to be asked to compare it with its sources.
  bool wants_refresh = false;

  // With kWrites, and a live read.
  struct Write {
    int attempt = 0;      // its number, to be reserved before the write
    std::string patch;    // the JSON Patch, whole
    std::string changed;  // the paths that it changes in the spec, for the audit
    std::string event;    // the words of the Event
  };
  std::optional<Write> write;
};

// Why a step cannot go on, as a verdict. UNSPECIFIED: it can.
struct Refusal {
  v1::StepReason reason = v1::STEP_REASON_UNSPECIFIED;
  std::string message;
  explicit operator bool() const { return reason != v1::STEP_REASON_UNSPECIFIED; }
};

struct StepPlan {
  Refusal refusal;                            // the step is ERRORED by it, and nothing is written
  std::vector<ApplicationPlan> applications;  // in the order in which outcomes are told
  std::string success;  // "all Applications are synced": how a SUCCEEDED step begins to say so
  nlohmann::json output = nlohmann::json::object();  // added to the response's output

  // The first Application of a verdict; null when there is none.
  const ApplicationPlan* First(Verdict verdict) const;
  bool Any(Verdict verdict) const { return First(verdict) != nullptr; }
  // The names of those that are not skipped.
  std::vector<argocd::ApplicationName> Names() const;
};

// What a RUNNING step waits for: it is to be evaluated again when one of these Applications
// changes, when another begins to match one of these selectors, when its Stage's record changes, or
// when it is due.
struct WakeOn {
  std::vector<argocd::ApplicationName> applications;
  std::vector<ApplicationSelection> selectors;  // with their namespaces
  std::optional<absl::Duration> due;            // from the evaluation on
};

// The step as a whole: any that fails makes it FAILED, else any that errors ERRORED, else any that
// is not done RUNNING, else it SUCCEEDED. The message speaks of the first three Applications that
// decide it.
struct Conclusion {
  v1::StepStatus status = v1::STEP_STATUS_UNSPECIFIED;
  v1::StepReason reason = v1::STEP_REASON_UNSPECIFIED;
  std::string message = {};
  std::optional<absl::Time> due = std::nullopt;  // the earliest, of a RUNNING step
};
Conclusion Conclude(const StepPlan& plan);

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_STEP_PLAN_H_
