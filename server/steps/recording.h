// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_RECORDING_H_
#define GANTRY_SERVER_STEPS_RECORDING_H_

#include <string>

#include "absl/time/time.h"
#include "server/stages/stage_record.h"
#include "server/steps/step_plan.h"

namespace gantry::steps {

// What of a step goes on the record of its Stage, and what of it is known there: pure functions.

// Which step it is.
struct StepIdentity {
  std::string project;
  std::string stage;
  std::string promotion;
  std::string step;
  std::string uses;
  std::string config_hash;
  bool changes_applications = false;  // as its StepKind has it
};

// The step as it was recorded with the same configuration; null when it was not.
const stages::StepRecord* FindRecorded(const stages::StageRecord& record,
                                       const StepIdentity& identity);
// The same, once it has ended: what was SUCCEEDED or FAILED stays so.
const stages::StepRecord* FindEnded(const stages::StageRecord& record,
                                    const StepIdentity& identity);

// Puts what is to be remembered of `plan` into `record`. False, and nothing has changed: there is
// nothing to remember. A step that changes Applications makes its promotion the current one only
// when it writes, has seen something done, or has ended; another one never does in another's place.
bool RecordPlan(const StepPlan& plan, const Conclusion& conclusion, const StepIdentity& identity,
                absl::Time now, stages::StageRecord& record);

// True when an attempt that was reserved is still the step's to make: no other replica has
// ended the step or given the attempt back meanwhile.
bool IsStillReserved(const stages::StageRecord& record, const StepIdentity& identity,
                     const argocd::ApplicationName& name, int attempt);

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_RECORDING_H_
