// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_STEP_KIND_H_
#define GANTRY_SERVER_STEPS_STEP_KIND_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "server/argocd/application.h"
#include "server/argocd/application_reader.h"
#include "server/argocd/authorization.h"
#include "server/stages/attempt_record.h"
#include "server/steps/config/application_selection.h"
#include "server/steps/config/config_schema.h"
#include "server/steps/step_plan.h"

namespace gantry::steps {

// An Application that a step is about, and what is known of it beside itself.
struct Candidate {
  argocd::ApplicationPtr application;
  argocd::LiveParts live;  // of a live read; from the cache it is empty, and nothing may be written
  bool by_name = false;    // an entry of the configuration names it
  argocd::Authorization authorization;  // of the step's Stage
  stages::AttemptRecord attempts;       // what the Stage's record has of it for this step
};

// All that an evaluation is made from. Nothing else may go into it: no clock, no lock, no I/O.
struct StepInput {
  std::string_view project;
  std::string_view stage;
  std::string_view promotion;
  std::string_view step;
  std::string_view actor;              // who asked for a manual promotion; empty: automatic
  std::string_view default_initiator;  // of operations without an actor
  int max_attempts = 5;
  absl::Time now;
  const nlohmann::json& previous_output;  // of the step's previous call

  std::vector<Candidate> candidates;  // each Application once, in the order of the configuration
  // Per selection of the step, where its Applications are in `candidates`.
  std::vector<std::vector<std::size_t>> entries;
};

// One step as it is configured. Immutable; any thread.
class Step {
 public:
  virtual ~Step() = default;
  // Which Applications it is about, one for each entry of its configuration. Not empty.
  virtual const std::vector<ApplicationSelection>& selections() const = 0;
  // Pure: the same input gives the same plan.
  virtual StepPlan Evaluate(const StepInput& input) const = 0;
};

// A kind of step: its name, the configurations it takes, and the pure rules by which a step of it
// is evaluated. The engine (step_engine.h) does everything else, the same way for every kind. Owned
// by the StepKinds; many threads at once.
class StepKind {
 public:
  virtual ~StepKind() = default;
  virtual std::string_view uses() const = 0;
  // What it does, in a few sentences for a person.
  virtual std::string_view description() const = 0;
  // The JSON Schema of its configuration, as JSON text.
  virtual std::string_view config_schema() const = 0;
  // Whether its steps change Applications. Such a step makes its promotion the current one of the
  // Stage, writes only where an Application authorizes the Stage, and is ABORTED once its promotion
  // was superseded. Another kind takes nobody's place.
  virtual bool changes_applications() const = 0;
  // What distinguishes one configuration from another of the same step.
  virtual nlohmann::json Identity(const nlohmann::json& config) const {
    return {{"uses", uses()}, {"config", config}};
  }

  struct Parsed {
    std::vector<Violation> violations;  // all of them
    std::unique_ptr<const Step> step;   // null when there is any
  };
  virtual Parsed Parse(const nlohmann::json& config) const = 0;
};

// The kinds of step this server knows. Filled by the wiring before the server starts, constant
// afterwards; any thread may look up.
class StepKinds {
 public:
  void Add(std::unique_ptr<const StepKind> kind) { kinds_.push_back(std::move(kind)); }
  // Null when no kind is named so.
  const StepKind* Find(std::string_view uses) const {
    for (const auto& kind : kinds_) {
      if (kind->uses() == uses) return kind.get();
    }
    return nullptr;
  }
  // In the order they were added.
  std::vector<std::string_view> Names() const {
    std::vector<std::string_view> names;
    for (const auto& kind : kinds_) names.push_back(kind->uses());
    return names;
  }

 private:
  std::vector<std::unique_ptr<const StepKind>> kinds_;
};

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_STEP_KIND_H_
