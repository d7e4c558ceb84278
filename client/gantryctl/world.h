// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_WORLD_H_
#define GANTRY_CLIENT_GANTRYCTL_WORLD_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/gantryctl/command_line.h"
#include "client/gantryctl/probe.h"
#include "client/gantryctl/progress.h"
#include "client/gantryctl/render.h"
#include "client/gantryctl/transport.h"
#include "gantry/client/client.h"
#include "gantry/client/connection.h"

namespace gantry::gantryctl {

// What the program does outside of itself, so that the whole of it can be tested inside a process.
struct World {
  Environment environment;
  ReadFile read;

  // Writes the result; false when it could not be written.
  std::function<bool(const std::string&)> write_out;
  // Writes what people are told while and why. Called by one thread at a time.
  Write write_err;

  bool out_is_terminal = false;
  bool err_is_terminal = false;
  std::function<std::size_t()> terminal_width;

  // Fails when the flags name files that do not hold what they should.
  std::function<absl::StatusOr<std::shared_ptr<client::Connection>>(const ServiceFlags&)> connect;
  // Looks who is at the address. Null: nobody looks.
  std::function<Finding(const ServiceFlags&)> probe;
  // The time of day. Null: the machine's.
  std::function<absl::Time()> now;

  // Called once, before the first call for a step is sent.
  std::function<void(bool dry_run)> on_calling;
  // Called once, before the first call of a command that only looks, or reports.
  std::function<void()> on_asking;
  // Called once, before a watch begins, with what ends it: from any thread, any number of times,
  // also when it is over.
  std::function<void(std::function<void()> stop)> on_watching;
  client::Timing* timing = nullptr;  // null: the machine's
};

client::Timing& TimingOf(const World& world);

// Tells people something that ends in a newline.
void Tell(const World& world, const std::string& text);

// Prints a result; false, and tells why, if it cannot.
bool Print(const absl::StatusOr<std::string>& text, const World& world);

// Colors are for terminals that know them, and not for people who set NO_COLOR.
Look LookOf(OutputFormat output, const World& world);
bool IsDumb(const World& world);

// Null when there is no connection to be had; then people have been told why.
std::shared_ptr<client::Connection> ConnectOrTell(const ServiceFlags& flags, const World& world);

// What is waited for after a failure, on one line.
std::string WaitingLine(const client::FailedAttempt& failed, const std::string& address);

// What a caller can do about the error that the message does not tell: looks who is at the address
// when no service answered, and at the token when it was not accepted. The caller's connection has
// to be gone by then: some peers serve one at a time. Sentences that end in a newline, or nothing.
std::string Advice(const absl::Status& error, const ServiceFlags& flags, const World& world);

// Makes a connection and one call, which is repeated as CallOptions says, and tells people what is
// waited for and how it failed; `doing` as in RenderCallFailure. Returns the exit code.
using OneCall =
    std::function<absl::Status(const client::Client& client, const client::CallOptions& options)>;
ExitCode CallService(const ServiceFlags& flags, absl::Duration timeout, const std::string& doing,
                     const World& world, const OneCall& call);

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_WORLD_H_
