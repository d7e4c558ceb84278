// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_COMMAND_LINE_H_
#define GANTRY_CLIENT_GANTRYCTL_COMMAND_LINE_H_

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/gantryctl/completion.h"
#include "gantry/v1/promotion_step_service.pb.h"

namespace gantry::gantryctl {

enum class OutputFormat { kTable, kWide, kJson, kYaml };

// Where the service is, how the connection to it is secured, and who calls.
struct ServiceFlags {
  std::string server;
  std::string token;       // at most one of the two
  std::string token_file;  // read again for each call
  std::string ca_file;     // empty: the system's certificate authorities
  std::string cert_file;   // both or none
  std::string key_file;
  bool plaintext = true;  // decided from all of these; false: TLS
  // How those that are not by default were given, by their flags: "--ca-file" or "GANTRY_CA_FILE".
  std::map<std::string, std::string> sources;
};

// What `gantryctl run-step` is to do.
struct RunStepFlags : ServiceFlags {
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
struct HealthFlags : ServiceFlags {
  std::string project;  // empty: all
  std::string stage;    // empty: all of the project; never without a project
  bool watch = false;
  // Watch the Stage until it is in this state; unspecified: no such one.
  v1::HealthState wait_for = v1::HEALTH_STATE_UNSPECIFIED;
  std::optional<absl::Duration> timeout;  // unset: the default of a call; to watch without end
  OutputFormat output = OutputFormat::kTable;
};

// What `gantryctl steps` is to do.
struct StepsFlags : ServiceFlags {
  std::string kind;  // empty: list all
  absl::Duration timeout;
  OutputFormat output = OutputFormat::kTable;
};

// What `gantryctl report promotion` is to do.
struct ReportPromotionFlags : ServiceFlags {
  std::string project;
  std::string stage;
  std::string promotion;
  v1::PromotionPhase phase = v1::PROMOTION_PHASE_UNSPECIFIED;
  std::string message;
  absl::Duration timeout;
  OutputFormat output = OutputFormat::kTable;
};

// What `gantryctl report indicator` is to do.
struct ReportIndicatorFlags : ServiceFlags {
  std::string project;
  std::string stage;
  std::string name;
  v1::HealthState state = v1::HEALTH_STATE_UNSPECIFIED;  // unspecified: remove it
  std::string message;
  std::optional<absl::Duration> ttl;  // unset: it never expires
  bool remove = false;
  absl::Duration timeout;
  OutputFormat output = OutputFormat::kTable;
};

// What a shell asks for with `gantryctl __complete`.
struct CompleteFlags : ServiceFlags {
  Completion completion;
  // What the words so far say about the service; false if they are wrong about it.
  bool service_known = false;
};

// Exactly one of these is set.
struct CommandLine {
  std::optional<RunStepFlags> run_step;
  std::optional<HealthFlags> health;
  std::optional<StepsFlags> steps;
  std::optional<ReportPromotionFlags> report_promotion;
  std::optional<ReportIndicatorFlags> report_indicator;
  std::optional<CompleteFlags> complete;
  std::string text;                       // what to print: help, version, a completion script
  std::vector<std::string> usage_errors;  // all of them, a sentence each
};

// The value of an environment variable; nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// Reads the command line, without the program's name. A flag wins over its environment variable,
// and over variables that contradict it; an empty variable counts as not set. Pure, never throws.
CommandLine ParseCommandLine(const std::vector<std::string>& arguments,
                             const Environment& environment);

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_COMMAND_LINE_H_
