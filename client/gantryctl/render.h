// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_RENDER_H_
#define GANTRY_CLIENT_GANTRYCTL_RENDER_H_

#include <string>

#include "absl/status/statusor.h"
#include "gantry/client/run_step.h"
#include "gantry/v1/promotion_step_service.pb.h"

// What is said about a step. Pure; any thread. Texts end in a newline, and what came from elsewhere
// cannot steer the terminal.
namespace gantry::gantryctl {

// For people: verdict, reason, message, the Applications and the violations as tables, and with
// `dry_run` the patches.
std::string RenderTable(const v1::RunStepResponse& response, bool dry_run, bool color);

// Protobuf's JSON form of the response (lowerCamelCase, enums by name, defaults left out),
// indented.
absl::StatusOr<std::string> RenderJson(const v1::RunStepResponse& response);

// The same as YAML.
absl::StatusOr<std::string> RenderYaml(const v1::RunStepResponse& response);

// JSON text as block-style YAML. Strings that YAML would read as something else are quoted.
absl::StatusOr<std::string> JsonToYaml(const std::string& json);

// "RUNNING (OPERATION_RUNNING): the message", on one line.
std::string VerdictLine(const v1::RunStepResponse& response);

// "UNAVAILABLE (REASON): the message", on one line; the reason is that of the service, if any.
std::string ErrorLine(const absl::Status& error);

// Why there is no verdict, and what to do next. Empty when there is one. `address` is what was
// called.
std::string RenderFailure(const client::RunStepResult& result, const std::string& address);

// What gantryctl exits with.
enum ExitCode {
  kExitSucceeded = 0,
  kExitFailed = 1,        // failed, errored, aborted; or the call was refused
  kExitUsage = 2,         // flags or step file; or the service calls the request malformed
  kExitStillRunning = 3,  // at the timeout
  kExitUnreachable = 4,   // nothing answers
  kExitInterrupted = 130,
};
ExitCode ExitCodeFor(const client::RunStepResult& result);

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_RENDER_H_
