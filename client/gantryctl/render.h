// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_RENDER_H_
#define GANTRY_CLIENT_GANTRYCTL_RENDER_H_

#include <google/protobuf/message.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/gantryctl/text.h"
#include "gantry/client/run_step.h"
#include "gantry/v1/promotion_step_service.pb.h"

// What is said about a step, and about calls in general. Pure; any thread. Texts end in a newline,
// and what came from elsewhere cannot steer the terminal.
namespace gantry::gantryctl {

// How tables for people look.
struct Look {
  bool color = false;
  bool wide = false;  // more columns, and nothing cut
};

// Shows what stands under STATE in green, yellow or red; null without color.
Painter StatePainter(const Look& look);

// For people: verdict, reason, message, the Applications and the violations as tables, and with
// `dry_run` the patches. Wide: also the output, the health check, and the patches that were sent.
std::string RenderTable(const v1::RunStepResponse& response, bool dry_run, const Look& look);

// Protobuf's JSON form of a message (lowerCamelCase, enums by name, defaults left out), indented or
// on one line.
absl::StatusOr<std::string> RenderJson(const google::protobuf::Message& message,
                                       bool one_line = false);

// The same as YAML.
absl::StatusOr<std::string> RenderYaml(const google::protobuf::Message& message);

// JSON text as block-style YAML. Strings that YAML would read as something else are quoted.
absl::StatusOr<std::string> JsonToYaml(const std::string& json);

// The name of an enum value without `prefix`, which all values of the enum begin with; the number
// of a value that is newer than this program, whose name is empty.
std::string Word(const std::string& name, const char* prefix, int number);

// "RUNNING (OPERATION_RUNNING): the message", on one line.
std::string VerdictLine(const v1::RunStepResponse& response);

// "UNAVAILABLE (REASON): the message", on one line; the reason is that of the service, if any.
std::string ErrorLine(const absl::Status& error);

// What the service refused, with every field that is wrong and what to do about it.
std::string RenderRefusal(const absl::Status& error, const std::string& address);

// That nothing ever answered.
std::string RenderUnreachable(const absl::Status& error, const std::string& address,
                              absl::Duration elapsed);

// Why a call that is repeated came to nothing, and what to do next. `doing` is what was asked for,
// as "tell the health"; `told` is whether the service has answered before.
std::string RenderCallFailure(const absl::Status& error, const std::string& address,
                              absl::Duration elapsed, const std::string& doing, bool told = false);

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
ExitCode ExitCodeForError(const absl::Status& error);

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_RENDER_H_
