// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/gantryctl/text.h"

namespace gantry::gantryctl {
namespace {

constexpr char kExamples[] = R"(
The step is written as in a Kargo Stage or Promotion, in YAML or JSON:

  uses: argocd-update
  as: deploy
  config:
    apps:
    - name: guestbook
      sources:
      - repoURL: https://github.com/example/guestbook.git
        desiredRevision: 5f3c9d2a

Examples:
  gantryctl run-step --project demo --stage prod --promotion p-17 step.yaml
  gantryctl run-step --project demo --stage prod --promotion p-17 --dry-run step.yaml
  generate-step | gantryctl run-step --project demo --stage prod --promotion p-17 -o json -

Exit codes:
    0  the step succeeded; or a dry run found nothing against it
    1  the step failed, errored or was aborted, or the service refused the call
    2  the flags or the step file are wrong, or the service says the request is
    3  the step was still running at the timeout
    4  no service answers
  130  interrupted; the step goes on in the cluster
)";

// Takes a flag's text. Returns what was expected when the text is not that.
using Setter = std::function<std::optional<std::string>(const std::string&, RunStepFlags&)>;

struct Flag {
  std::string spelling;  // as CLI11 takes it
  std::string name;      // as mistakes name it
  std::string value_name;
  std::string meaning;
  std::string default_value;  // set as if it had been given; empty: none
  std::string variable;       // empty: none
  bool required = false;
  Setter set;
};

std::string Quoted(const std::string& found) {
  return absl::StrCat("\"", CutTo(Printable(found), 100), "\"");
}

Setter SetText(std::string RunStepFlags::*member) {
  return [member](const std::string& text, RunStepFlags& flags) -> std::optional<std::string> {
    if (FirstInvalidUtf8(text)) return "text in UTF-8";
    flags.*member = text;
    return std::nullopt;
  };
}

// host:port, or a name with a scheme that gRPC resolves.
std::optional<std::string> SetServer(const std::string& text, RunStepFlags& flags) {
  const char* const expected =
      "the gRPC address of a gantry-server as host:port, such as 127.0.0.1:50051 or [::1]:50051 "
      "(dns:///host:port and unix:/path are taken too)";
  for (const unsigned char c : text) {
    if (c <= ' ' || c >= 0x7f) return expected;
  }
  const bool other_scheme = text.rfind("unix:", 0) == 0 || text.rfind("unix-abstract:", 0) == 0;
  if (!other_scheme) {
    std::string address = text;
    for (const std::string scheme : {"dns:", "ipv4:", "ipv6:"}) {
      if (address.rfind(scheme, 0) == 0) address = address.substr(scheme.size());
    }
    if (address.rfind("//", 0) == 0) address = address.substr(address.rfind('/') + 1);
    const std::size_t colon = address.rfind(':');
    int port = 0;
    if (colon == std::string::npos || colon == 0 || address.find('/') != std::string::npos ||
        !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 1 || port > 65535 ||
        (address.find(':') != colon && address[0] != '[')) {
      return expected;
    }
  }
  flags.server = text;
  return std::nullopt;
}

std::optional<std::string> SetTimeout(const std::string& text, RunStepFlags& flags) {
  const std::optional<absl::Duration> duration = ParseGoDuration(text);
  if (!duration || *duration <= absl::ZeroDuration() || *duration > absl::Hours(24 * 30)) {
    return "a duration above zero and up to 720h with its unit, such as 90s, 5m or 1h30m";
  }
  flags.timeout = *duration;
  return std::nullopt;
}

std::optional<std::string> SetOutput(const std::string& text, RunStepFlags& flags) {
  if (text == "table") {
    flags.output = OutputFormat::kTable;
  } else if (text == "json") {
    flags.output = OutputFormat::kJson;
  } else if (text == "yaml") {
    flags.output = OutputFormat::kYaml;
  } else {
    return "table, json or yaml";
  }
  return std::nullopt;
}

// In the order of the help.
const std::vector<Flag>& Flags() {
  static const auto& flags = *new std::vector<Flag>{
      {"--server", "--server", "ADDRESS", "Where the service is.", "127.0.0.1:50051",
       "GANTRY_SERVER", true, SetServer},
      {"--project", "--project", "NAME", "The project of the Stage.", "", "GANTRY_PROJECT", true,
       SetText(&RunStepFlags::project)},
      {"--stage", "--stage", "NAME", "The Stage that is promoted.", "", "GANTRY_STAGE", true,
       SetText(&RunStepFlags::stage)},
      {"--promotion", "--promotion", "NAME",
       "The promotion that the step is a part of. Run again with the same\nname to follow it; a "
       "new name is a new promotion.",
       "", "GANTRY_PROMOTION", true, SetText(&RunStepFlags::promotion)},
      {"--step", "--step", "ALIAS",
       "The name of the step in the promotion, in place of the file's `as`.\nWithout either it "
       "is the file's `uses`.",
       "", "GANTRY_STEP", false, SetText(&RunStepFlags::step)},
      {"--actor", "--actor", "NAME", "Who asks for it, when a person does.", "", "GANTRY_ACTOR",
       false, SetText(&RunStepFlags::actor)},
      {"--timeout", "--timeout", "DURATION",
       "How long to go on while the step is running, as 90s, 5m, 1h30m.", "5m", "GANTRY_TIMEOUT",
       true, SetTimeout},
      {"-o,--output", "--output", "FORMAT", "How to print the result: table, json or yaml.",
       "table", "GANTRY_OUTPUT", true, SetOutput},
      {"-f,--file", "--file", "FILE",
       "The file that holds the step; - for standard input. Can be given\nwithout the flag.", "",
       "", false, SetText(&RunStepFlags::file)},
  };
  return flags;
}

// Adds what `extras` says about words that no flag takes.
void TellExtras(const std::vector<std::string>& extras, const std::string& command,
                std::vector<std::string>& mistakes) {
  for (const std::string& extra : extras) {
    if (extra == "--") continue;
    const bool flag = extra.size() > 1 && extra[0] == '-';
    mistakes.push_back(absl::StrCat(flag ? "There is no flag " : "Nothing is expected at ",
                                    Quoted(flag ? extra.substr(0, extra.find('=')) : extra),
                                    "; see ", command, " --help."));
  }
}

RunStepFlags ReadFlags(const std::vector<std::pair<const Flag*, CLI::Option*>>& options,
                       const CLI::Option& position, const Environment& environment,
                       std::vector<std::string>& mistakes) {
  RunStepFlags flags;
  for (const auto& [flag, option] : options) {
    std::string where = flag->name;
    std::optional<std::string> found;
    if (option->count() > 0) {
      if (!option->results().empty()) found = option->results().back();
      if (!found || found->empty()) {
        mistakes.push_back(absl::StrCat(where, " has no value; expected ", flag->value_name,
                                        " after it, see gantryctl run-step --help."));
        continue;
      }
    } else if (const auto variable =
                   flag->variable.empty() ? std::nullopt : environment(flag->variable);
               variable && !variable->empty()) {
      where = flag->variable;
      found = *variable;
    } else if (!flag->default_value.empty()) {
      found = flag->default_value;
    }
    if (!found) {
      if (flag->required) {
        mistakes.push_back(absl::StrCat(flag->name, " is missing; expected ", flag->name, " ",
                                        flag->value_name, ", or the variable ", flag->variable,
                                        "."));
      }
      continue;
    }
    if (const std::optional<std::string> expected = flag->set(*found, flags)) {
      mistakes.push_back(
          absl::StrCat(where, " is ", Quoted(*found), "; expected ", *expected, "."));
    }
  }
  const std::string positional = position.results().empty() ? "" : position.results().back();
  if (!positional.empty() && !flags.file.empty()) {
    mistakes.push_back(absl::StrCat("The step file is given twice, as --file ", Quoted(flags.file),
                                    " and as ", Quoted(positional), "; expected one."));
  } else if (!positional.empty()) {
    flags.file = positional;
  } else if (flags.file.empty() && mistakes.empty()) {
    mistakes.push_back(
        "The step file is missing; expected its name, or - to read the step from standard input.");
  }
  return flags;
}

}  // namespace

CommandLine ParseCommandLine(const std::vector<std::string>& arguments,
                             const Environment& environment) {
  CLI::App app("Runs promotion steps with a Gantry service.", "gantryctl");
  app.set_help_flag();
  app.allow_extras();
  bool help = false;
  bool version = false;
  app.add_flag("-h,--help", help, "Print this and exit.");
  app.add_flag("--version", version, "Print the version and exit.");
  app.footer(
      "\nExample:\n"
      "  gantryctl run-step --project demo --stage prod --promotion p-17 step.yaml\n\n"
      "gantryctl run-step --help tells what a step file looks like.");

  CLI::App* run_step =
      app.add_subcommand("run-step", "Run one step of a promotion, and wait until it is through.");
  run_step->set_help_flag();
  run_step->allow_extras();
  run_step->footer(kExamples);
  CLI::App* print_version = app.add_subcommand("version", "Print the version.");
  print_version->set_help_flag();
  print_version->allow_extras();

  bool run_step_help = false;
  bool dry_run = false;
  std::vector<std::pair<const Flag*, CLI::Option*>> options;
  for (const Flag& flag : Flags()) {
    std::string notes;
    if (!flag.variable.empty()) notes = flag.variable;
    if (!flag.default_value.empty()) {
      absl::StrAppend(&notes, notes.empty() ? "" : "; ", "default: ", flag.default_value);
    } else if (flag.required) {
      absl::StrAppend(&notes, notes.empty() ? "" : "; ", "required");
    }
    CLI::Option* option = run_step->add_option(flag.spelling);
    // A missing value is told below, with the other mistakes.
    option
        ->description(notes.empty() ? flag.meaning : absl::StrCat(flag.meaning, "\n[", notes, "]"))
        ->type_name(flag.value_name)
        ->expected(0, 1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    options.emplace_back(&flag, option);
  }
  run_step->add_flag("--dry-run", dry_run,
                     "Show what the step would write, and write nothing. One answer, no waiting.");
  run_step->add_flag("-h,--help", run_step_help, "Print this and exit.");
  CLI::Option* position = run_step->add_option("FILE");
  position->description("The file that holds the step; - for standard input.")->type_name("");

  CommandLine result;
  try {
    // CLI11 takes its arguments from the end.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    if (help || run_step_help) {
      result.text = run_step->parsed() ? run_step->help("gantryctl") : app.help();
      return result;
    }
  } catch (const std::exception& error) {
    result.mistakes.push_back(absl::StrCat(error.what(), "; see gantryctl --help."));
    return result;
  }

  const std::vector<std::string> extras = app.remaining();
  if (version || print_version->parsed()) {
    TellExtras(print_version->remaining(), "gantryctl", result.mistakes);
    TellExtras(extras, "gantryctl", result.mistakes);
    if (result.mistakes.empty()) result.text = "gantryctl " GANTRY_VERSION "\n";
  } else if (run_step->parsed()) {
    TellExtras(extras, "gantryctl", result.mistakes);
    TellExtras(run_step->remaining(), "gantryctl run-step", result.mistakes);
    RunStepFlags flags = ReadFlags(options, *position, environment, result.mistakes);
    flags.dry_run = dry_run;
    if (result.mistakes.empty()) result.run_step = std::move(flags);
  } else if (extras.empty()) {
    result.mistakes.push_back(
        "A command is missing; expected run-step or version, see gantryctl --help.");
  } else {
    for (const std::string& extra : extras) {
      if (extra.empty() || extra[0] != '-') {
        result.mistakes.push_back(absl::StrCat("There is no command ", Quoted(extra),
                                               "; expected run-step or version, see gantryctl "
                                               "--help."));
        return result;
      }
    }
    TellExtras(extras, "gantryctl", result.mistakes);
  }
  return result;
}

}  // namespace gantry::gantryctl
