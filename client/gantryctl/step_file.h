// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_STEP_FILE_H_
#define GANTRY_CLIENT_GANTRYCTL_STEP_FILE_H_

#include <google/protobuf/struct.pb.h>

#include <optional>
#include <string>
#include <vector>

#include "client/gantryctl/yaml.h"

// One step of a promotion, as Kargo's users write it. Pure; any thread.
namespace gantry::gantryctl {

struct Step {
  std::string uses;
  std::string alias;  // `as`; may be empty
  google::protobuf::Struct config;
};

struct StepFile {
  std::optional<Step> step;      // not set when there are errors
  std::vector<Remark> warnings;  // what has no effect
  std::vector<Remark> errors;    // all that can be told, the first ten
};

// Reads one step from YAML or JSON. Its keys:
//
//   uses             required
//   as               the step's name in the promotion
//   config           a mapping; default: empty
//   vars, retry,     taken with a warning: they change nothing about the step itself, only what an
//   continueOnError  orchestrator does around it
//   if, task         refused: without an orchestrator it is not known whether, or which, step to
//   run
//
// A key with the value null counts as not given. Everything else is an error, and so are several
// steps, and expressions (${{ ... }}): only Kargo can evaluate them. Whether `config` fits the step
// is for the service to check.
StepFile ParseStepFile(const std::string& text);

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_STEP_FILE_H_
