// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/render.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "base/durations.h"
#include "client/gantryctl/text.h"
#include "client/gantryctl/yaml_scalars.h"
#include "gantry/client/errors.h"

namespace gantry::gantryctl {
namespace {

using OrderedJson = nlohmann::ordered_json;

// Beyond this JSON is not taken apart: the library's functions call themselves for each level.
constexpr int kMaxJsonDepth = 500;

std::string Word(v1::StepStatus status) {
  return gantryctl::Word(v1::StepStatus_Name(status), "STEP_STATUS_", status);
}
std::string Word(v1::StepReason reason) {
  return gantryctl::Word(v1::StepReason_Name(reason), "STEP_REASON_", reason);
}
std::string Word(v1::ApplicationOutcome::Action action) {
  return gantryctl::Word(v1::ApplicationOutcome::Action_Name(action), "ACTION_", action);
}

constexpr char kGreen[] = "\033[32m";
constexpr char kYellow[] = "\033[33m";
constexpr char kRed[] = "\033[31m";

const char* ColorOf(v1::StepStatus status) {
  return status == v1::STEP_STATUS_SUCCEEDED ? kGreen : client::IsRunning(status) ? kYellow : kRed;
}

const char* ColorOfState(const std::string& word) {
  if (word == "HEALTHY") return kGreen;
  if (word == "UNHEALTHY") return kRed;
  return word == "PROGRESSING" || word == "UNKNOWN" ? kYellow : nullptr;
}

// A text of one or more lines behind a label of the given width.
std::string Labelled(const std::string& label, const std::string& text) {
  constexpr std::size_t kWidth = 13;
  std::string shown = Printable(text, true);
  while (!shown.empty() && shown.back() == '\n') shown.pop_back();
  return absl::StrCat(label, std::string(kWidth - label.size(), ' '),
                      absl::StrReplaceAll(shown, {{"\n", "\n" + std::string(kWidth, ' ')}}), "\n");
}

std::optional<OrderedJson> ParseJson(const std::string& text) {
  int depth = 0;
  bool too_deep = false;
  // A first pass that builds nothing: every value but the outermost is left out.
  const OrderedJson::parser_callback_t measure = [&](int level, OrderedJson::parse_event_t,
                                                     OrderedJson&) {
    depth = std::max(depth, level);
    too_deep = depth > kMaxJsonDepth;
    return false;
  };
  const OrderedJson ignored = OrderedJson::parse(text, measure, false);
  if (too_deep) return std::nullopt;
  OrderedJson json = OrderedJson::parse(text, nullptr, false);
  if (json.is_discarded()) return std::nullopt;
  return json;
}

std::string Dump(const OrderedJson& json, int indent) {
  return json.dump(indent, ' ', false, OrderedJson::error_handler_t::replace);
}

std::string PrettyPatch(const std::string& patch) {
  const std::optional<OrderedJson> json = ParseJson(patch);
  return Printable(json ? Dump(*json, 2) : patch, true);
}

std::string YamlString(const std::string& text) {
  const auto plain = [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.' || c == '/' || c == ' ' ||
           c == '(' || c == ')' || c == ',' || c == ';';
  };
  const bool safe = !text.empty() && absl::ascii_isalnum(static_cast<unsigned char>(text[0])) &&
                    text.back() != ' ' && std::all_of(text.begin(), text.end(), plain) &&
                    !NeedsQuotes(text);
  // Readers of YAML 1.1 take these for booleans.
  static const auto& booleans = *new std::vector<std::string>{"y", "n", "yes", "no", "on", "off"};
  const bool boolean =
      std::find(booleans.begin(), booleans.end(), absl::AsciiStrToLower(text)) != booleans.end();
  // YAML knows the escapes that Printable writes.
  return safe && !boolean ? text : Printable(Dump(OrderedJson(text), -1));
}

// Anything but a list or an object that has entries.
std::string YamlScalar(const OrderedJson& json) {
  return json.is_string() ? YamlString(json.get_ref<const std::string&>()) : Dump(json, -1);
}

void AppendYaml(const OrderedJson& json, std::size_t indent, std::string& yaml) {
  const std::string blanks(indent, ' ');
  // What follows "key:" or "-".
  const auto append_value = [&](const OrderedJson& value, bool in_list) {
    if (value.is_structured() && !value.empty()) {
      std::string inner;
      AppendYaml(value, indent + 2, inner);
      if (in_list) {
        yaml += " " + inner.substr(indent + 2);
      } else {
        yaml += "\n" + inner;
      }
    } else {
      absl::StrAppend(&yaml, " ", YamlScalar(value), "\n");
    }
  };
  if (json.is_object() && !json.empty()) {
    for (const auto& [key, value] : json.items()) {
      absl::StrAppend(&yaml, blanks, YamlString(key), ":");
      append_value(value, false);
    }
  } else if (json.is_array() && !json.empty()) {
    for (const OrderedJson& value : json) {
      absl::StrAppend(&yaml, blanks, "-");
      append_value(value, true);
    }
  } else {
    absl::StrAppend(&yaml, YamlScalar(json), "\n");
  }
}

// JSON on one line.
std::string InShort(const google::protobuf::Message& message) {
  const absl::StatusOr<std::string> json = RenderJson(message, /*one_line=*/true);
  return json.ok() ? *json : std::string(json.status().message());
}

std::string LastKnown(const client::RunStepResult& result) {
  if (!result.response) return "";
  return absl::StrCat("\nThe step was last ", VerdictLine(*result.response));
}

}  // namespace

std::string Word(const std::string& name, const char* prefix, int number) {
  if (name.empty()) return absl::StrCat(number);
  const std::string begin = prefix;
  return name.rfind(begin, 0) == 0 ? name.substr(begin.size()) : name;
}

Painter StatePainter(const Look& look) {
  if (!look.color) return nullptr;
  return [](const std::string& column, const std::string& cell) {
    return column == "STATE" ? ColorOfState(cell) : nullptr;
  };
}

std::string RenderTable(const v1::RunStepResponse& response, bool dry_run, const Look& look) {
  std::string text = absl::StrCat(
      "Verdict:     ",
      Painted(Word(response.status()), look.color ? ColorOf(response.status()) : nullptr),
      dry_run ? " (dry run: nothing was written)" : "", "\n");
  if (response.reason() != v1::STEP_REASON_UNSPECIFIED) {
    text += Labelled("Reason:", Word(response.reason()));
  }
  if (!response.message().empty()) text += Labelled("Message:", response.message());
  if (response.has_retry_after() && !dry_run) {
    text += Labelled("Retry after:",
                     base::FormatGoDuration(absl::Seconds(response.retry_after().seconds()) +
                                            absl::Nanoseconds(response.retry_after().nanos())));
  }

  if (look.wide) {
    if (response.has_output()) text += Labelled("Output:", InShort(response.output()));
    if (response.has_health_check()) {
      text += Labelled("Health:", absl::StrCat(response.health_check().uses(), " ",
                                               InShort(response.health_check().input())));
    }
  }

  if (!response.violations().empty()) {
    std::vector<std::vector<std::string>> rows;
    for (const v1::ConfigViolation& violation : response.violations()) {
      rows.push_back({violation.field(), violation.description()});
    }
    text += "\n" + Table({"FIELD", "VIOLATION"}, rows);
  }

  if (!response.applications().empty()) {
    std::vector<std::vector<std::string>> rows;
    for (const v1::ApplicationOutcome& application : response.applications()) {
      const std::string revisions = absl::StrJoin(
          application.desired_revisions(), ", ", [](std::string* out, const std::string& revision) {
            absl::StrAppend(out, revision.empty() ? "-" : revision);
          });
      const bool no_action = application.action() == v1::ApplicationOutcome::ACTION_UNSPECIFIED;
      rows.push_back({application.namespace_(), application.name(),
                      no_action ? "" : Word(application.action()), application.operation_phase(),
                      revisions, application.message()});
    }
    text += "\n" +
            Table({"NAMESPACE", "NAME", "ACTION", "PHASE", "DESIRED REVISIONS", "MESSAGE"}, rows);
  }

  if (dry_run || look.wide) {
    bool any = false;
    for (const v1::ApplicationOutcome& application : response.applications()) {
      if (application.patch().empty()) continue;
      any = true;
      absl::StrAppend(&text, "\nPatch for ", OneLine(application.namespace_()), "/",
                      OneLine(application.name()), ":\n", PrettyPatch(application.patch()), "\n");
    }
    if (!any && dry_run) text += "\nNo Application would be written.\n";
  }
  return text;
}

absl::StatusOr<std::string> RenderJson(const google::protobuf::Message& message, bool one_line) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = !one_line;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  if (!status.ok()) {
    return absl::InternalError(
        absl::StrCat("the response cannot be written as JSON: ", status.ToString()));
  }
  if (json.empty() || json.back() != '\n') json += '\n';
  return json;
}

absl::StatusOr<std::string> RenderYaml(const google::protobuf::Message& message) {
  const absl::StatusOr<std::string> json = RenderJson(message);
  if (!json.ok()) return json.status();
  return JsonToYaml(*json);
}

absl::StatusOr<std::string> JsonToYaml(const std::string& json) {
  const std::optional<OrderedJson> parsed = ParseJson(json);
  if (!parsed) return absl::InternalError("the response's JSON cannot be read back");
  std::string yaml;
  AppendYaml(*parsed, 0, yaml);
  return yaml;
}

std::string VerdictLine(const v1::RunStepResponse& response) {
  std::string line = Word(response.status());
  if (response.reason() != v1::STEP_REASON_UNSPECIFIED) {
    absl::StrAppend(&line, " (", Word(response.reason()), ")");
  }
  if (!response.message().empty()) absl::StrAppend(&line, ": ", OneLine(response.message()));
  return line;
}

std::string ErrorLine(const absl::Status& error) {
  std::string line = absl::StatusCodeToString(error.code());
  const std::optional<rpc::v1::ErrorInfo> info = client::ErrorInfoOf(error);
  if (info && !info->reason().empty()) absl::StrAppend(&line, " (", OneLine(info->reason()), ")");
  if (!error.message().empty()) absl::StrAppend(&line, ": ", OneLine(std::string(error.message())));
  return line;
}

std::string RenderRefusal(const absl::Status& error, const std::string& address) {
  if (client::NotSent(error)) {
    return absl::StrCat("nothing was sent to the service at ", address, ": ",
                        OneLine(std::string(error.message())), "\n");
  }
  std::string text =
      absl::StrCat("the service at ", address, " refused the call: ", ErrorLine(error), "\n");
  if (const std::optional<rpc::v1::BadRequest> request = client::BadRequestOf(error)) {
    const std::string message(error.message());
    for (const auto& violation : request->field_violations()) {
      // The message may be the only one's.
      if (request->field_violations_size() == 1 && absl::StrContains(message, violation.field()) &&
          absl::StrContains(message, violation.description())) {
        continue;
      }
      absl::StrAppend(&text, "  ", OneLine(violation.field()), ": ",
                      OneLine(violation.description()), "\n");
    }
  }
  if (absl::IsUnimplemented(error)) {
    text +=
        "What answers there does not know this call; check that --server names the gRPC "
        "address of a gantry-server (its --listen) of this version.\n";
  }
  return text;
}

std::string RenderUnreachable(const absl::Status& error, const std::string& address,
                              absl::Duration elapsed) {
  return absl::StrCat("no Gantry service answers at ", address, ", tried for ",
                      base::FormatGoDuration(elapsed), ": ", ErrorLine(error), "\n");
}

std::string RenderCallFailure(const absl::Status& error, const std::string& address,
                              absl::Duration elapsed, const std::string& doing, bool told) {
  if (!client::ServiceAnswered(error)) {
    if (!told) return RenderUnreachable(error, address, elapsed);
    return absl::StrCat("the service at ", address, " does not answer any more: ", ErrorLine(error),
                        "\n");
  }
  if (absl::IsUnavailable(error) || absl::IsResourceExhausted(error) ||
      absl::IsDeadlineExceeded(error)) {
    return absl::StrCat("the service at ", address, " could not ", doing, " within ",
                        base::FormatGoDuration(elapsed), ": ", ErrorLine(error),
                        "\nTry again, or with a longer --timeout.\n");
  }
  return RenderRefusal(error, address);
}

std::string RenderFailure(const client::RunStepResult& result, const std::string& address) {
  const std::string elapsed = base::FormatGoDuration(result.elapsed);
  switch (result.ending) {
    case client::Ending::kVerdict:
      return "";

    case client::Ending::kRefused:
      return RenderRefusal(result.error, address);

    case client::Ending::kTimedOut:
      if (!result.error.ok()) {
        return absl::StrCat("the service could not evaluate the step within ", elapsed, ": ",
                            ErrorLine(result.error), LastKnown(result),
                            "\nWhat has begun goes on in the cluster. Run the same command again "
                            "to learn how it ends.\n");
      }
      return absl::StrCat("the step is still running after ", elapsed,
                          " and goes on in the cluster. Run the same command again to follow it, "
                          "or with a longer --timeout.\n");

    case client::Ending::kUnreachable:
      if (result.response) {
        return absl::StrCat("the service at ", address,
                            " does not answer any more: ", ErrorLine(result.error),
                            LastKnown(result),
                            "\nIt goes on in the cluster. Run the same command again once the "
                            "service is back.\n");
      }
      return RenderUnreachable(result.error, address, result.elapsed);
  }
  return "";
}

ExitCode ExitCodeFor(const client::RunStepResult& result) {
  switch (result.ending) {
    case client::Ending::kVerdict: {
      // RUNNING is the end of a dry run only.
      const bool fine =
          result.response && (result.response->status() == v1::STEP_STATUS_SUCCEEDED ||
                              client::IsRunning(result.response->status()));
      return fine ? kExitSucceeded : kExitFailed;
    }
    case client::Ending::kTimedOut:
      return kExitStillRunning;
    case client::Ending::kUnreachable:
      return kExitUnreachable;
    case client::Ending::kRefused:
      return absl::IsInvalidArgument(result.error) ? kExitUsage : kExitFailed;
  }
  return kExitFailed;
}

ExitCode ExitCodeForError(const absl::Status& error) {
  if (error.ok()) return kExitSucceeded;
  if (absl::IsInvalidArgument(error)) return kExitUsage;
  return client::ServiceAnswered(error) ? kExitFailed : kExitUnreachable;
}

}  // namespace gantry::gantryctl
