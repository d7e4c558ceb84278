// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_COMMAND_LINE_H_
#define GANTRY_CLIENT_GANTRYCTL_COMMAND_LINE_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace gantry::gantryctl {

enum class OutputFormat { kTable, kJson, kYaml };

// What `gantryctl run-step` is to do.
struct RunStepFlags {
  std::string server;
  std::string project;
  std::string stage;
  std::string promotion;
  std::string step;  // empty: as the file says
  std::string actor;
  std::string file;  // "-": standard input
  bool dry_run = false;
  absl::Duration timeout;
  OutputFormat output = OutputFormat::kTable;
};

// What `gantryctl health` is to do.
struct HealthFlags {
  std::string server;
  std::string project;  // empty: all
  std::string stage;    // empty: all of the project; never without a project
  bool watch = false;
  std::optional<absl::Duration> timeout;  // unset: the default of a call; to watch without end
  OutputFormat output = OutputFormat::kTable;
};

// Exactly one of the four is set.
struct CommandLine {
  std::optional<RunStepFlags> run_step;
  std::optional<HealthFlags> health;
  std::string text;                   // what to print: help, version
  std::vector<std::string> mistakes;  // all of them, a sentence each
};

// The value of an environment variable; nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// Reads the command line, without the program's name. A flag wins over its environment variable,
// and an empty variable counts as not set. Pure, never throws.
CommandLine ParseCommandLine(const std::vector<std::string>& arguments,
                             const Environment& environment);

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_COMMAND_LINE_H_
