// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_RUN_H_
#define GANTRY_CLIENT_GANTRYCTL_RUN_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/gantryctl/command_line.h"
#include "client/gantryctl/progress.h"
#include "gantry/client/connection.h"

namespace gantry::gantryctl {

// What the program does outside of itself, so that the whole of it can be tested inside a process.
struct World {
  Environment environment;

  // The bytes of a file, "-" being standard input: all of it, or a few more than `limit`.
  std::function<absl::StatusOr<std::string>(const std::string& file, std::size_t limit)> read;

  // Writes the result; false when it could not be written.
  std::function<bool(const std::string&)> write_out;
  // Writes what people are told while and why. Called by one thread at a time.
  Write write_err;

  bool out_is_terminal = false;
  bool err_is_terminal = false;
  std::function<std::size_t()> terminal_width;

  std::function<std::shared_ptr<client::Connection>(const std::string& address)> connect;

  // Called once, before the first call for a step is sent.
  std::function<void(bool dry_run)> on_calling;
  // Called once, before the first call of a command that only looks.
  std::function<void()> on_asking;
  // Called once, before a watch begins, with what ends it: from any thread, any number of times,
  // also when it is over.
  std::function<void(std::function<void()> stop)> on_watching;
  client::Timing* timing = nullptr;  // null: the machine's
};

// Carries out a command line, given without the program's name. Returns the exit code.
int Run(const std::vector<std::string>& arguments, const World& world);

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_RUN_H_
