// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_CONFIG_PROCESS_H_
#define GANTRY_SERVER_KUBERNETES_CONFIG_PROCESS_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/context.h"

namespace gantry::kubernetes {

struct ProcessResult {
  int exit_code = 0;  // 128 + the signal, when one ended it
  std::string output;
};

struct ProcessOptions {
  std::string command;  // looked up in PATH when it has no '/'
  std::vector<std::string> arguments;
  // Added to this process's environment, or replacing what is there.
  std::vector<std::pair<std::string, std::string>> environment;
  std::size_t max_output_bytes = std::size_t{1} << 20;
};

// Runs a program in a process group of its own, with nothing to read, its output collected and
// its diagnostics going to this process's own. Returns when the program has ended and its output
// is complete. When the context ends first, or the output is too long, the whole group is killed.
// Errors name the command: NOT_FOUND or FAILED_PRECONDITION when it cannot be started,
// DEADLINE_EXCEEDED, CANCELLED, RESOURCE_EXHAUSTED. Any thread.
absl::StatusOr<ProcessResult> RunProcess(const ProcessOptions& options, base::Context& context);

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_CONFIG_PROCESS_H_
