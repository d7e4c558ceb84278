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

constexpr char kRunStepExamples[] = R"(
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

constexpr char kHealthExamples[] = R"(
Several Stages are shown in a table: SINCE is when the state last changed, in
UTC, and of several issues the first is shown. One Stage is shown with its
Applications, where the revision that is wanted stands next to one that differs,
its indicators and all issues. The state of a Stage does not change the exit
code; -o json is there for scripts that act on it.

With --watch the table comes first, then a row for each Stage that changes or is
deleted; with -o json each event is a document on a line of its own, with
-o yaml a document after ---. A stream that breaks is opened again, and what has
changed meanwhile is shown. Ctrl-C ends it.

Examples:
  gantryctl health
  gantryctl health shop
  gantryctl health shop/prod
  gantryctl health shop/prod -o yaml
  gantryctl health shop --watch
  gantryctl health --watch -o json | jq -c 'select(.updated.state == "HEALTH_STATE_UNHEALTHY")'

Exit codes:
    0  the service told the health; or the watch was ended, by Ctrl-C or at its timeout
    1  the service refused the call or could not tell, or knows no such Stage
    2  the flags are wrong, or the service says the request is
    4  no service answers
  130  interrupted, without --watch
)";

// Takes a flag's text. Returns what was expected when the text is not that.
template <typename Flags>
using Setter = std::function<std::optional<std::string>(const std::string&, Flags&)>;

template <typename Flags>
struct Flag {
  std::string spelling;  // as CLI11 takes it
  std::string name;      // as mistakes name it
  std::string value_name;
  std::string meaning;
  std::string default_value;  // set as if it had been given; empty: none
  std::string variable;       // empty: none
  bool required = false;
  Setter<Flags> set;
};

std::string Quoted(const std::string& found) {
  return absl::StrCat("\"", CutTo(Printable(found), 100), "\"");
}

Setter<RunStepFlags> SetText(std::string RunStepFlags::*member) {
  return [member](const std::string& text, RunStepFlags& flags) -> std::optional<std::string> {
    if (FirstInvalidUtf8(text)) return "text in UTF-8";
    flags.*member = text;
    return std::nullopt;
  };
}

// host:port, or a name with a scheme that gRPC resolves.
template <typename Flags>
std::optional<std::string> SetServer(const std::string& text, Flags& flags) {
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

template <typename Flags>
std::optional<std::string> SetTimeout(const std::string& text, Flags& flags) {
  const std::optional<absl::Duration> duration = ParseGoDuration(text);
  if (!duration || *duration <= absl::ZeroDuration() || *duration > absl::Hours(24 * 30)) {
    return "a duration above zero and up to 720h with its unit, such as 90s, 5m or 1h30m";
  }
  flags.timeout = *duration;
  return std::nullopt;
}

template <typename Flags>
std::optional<std::string> SetOutput(const std::string& text, Flags& flags) {
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
const std::vector<Flag<RunStepFlags>>& FlagsOfRunStep() {
  static const auto& flags = *new std::vector<Flag<RunStepFlags>>{
      {"--server", "--server", "ADDRESS", "Where the service is.", "127.0.0.1:50051",
       "GANTRY_SERVER", true, SetServer<RunStepFlags>},
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
       true, SetTimeout<RunStepFlags>},
      {"-o,--output", "--output", "FORMAT", "How to print the result: table, json or yaml.",
       "table", "GANTRY_OUTPUT", true, SetOutput<RunStepFlags>},
      {"-f,--file", "--file", "FILE",
       "The file that holds the step; - for standard input. Can be given\nwithout the flag.", "",
       "", false, SetText(&RunStepFlags::file)},
  };
  return flags;
}

const std::vector<Flag<HealthFlags>>& FlagsOfHealth() {
  static const auto& flags = *new std::vector<Flag<HealthFlags>>{
      {"--server", "--server", "ADDRESS", "Where the service is.", "127.0.0.1:50051",
       "GANTRY_SERVER", true, SetServer<HealthFlags>},
      {"--timeout", "--timeout", "DURATION",
       "How long to try while the service cannot answer, 30s by default. With\n--watch how long to "
       "watch, without end by default.",
       "", "GANTRY_TIMEOUT", false, SetTimeout<HealthFlags>},
      {"-o,--output", "--output", "FORMAT", "How to print the health: table, json or yaml.",
       "table", "GANTRY_OUTPUT", true, SetOutput<HealthFlags>},
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

template <typename Flags>
using Options = std::vector<std::pair<const Flag<Flags>*, CLI::Option*>>;

// Makes CLI11 take these flags.
template <typename Flags>
Options<Flags> AddOptions(const std::vector<Flag<Flags>>& flags, CLI::App& command) {
  Options<Flags> options;
  for (const Flag<Flags>& flag : flags) {
    std::string notes;
    if (!flag.variable.empty()) notes = flag.variable;
    if (!flag.default_value.empty()) {
      absl::StrAppend(&notes, notes.empty() ? "" : "; ", "default: ", flag.default_value);
    } else if (flag.required) {
      absl::StrAppend(&notes, notes.empty() ? "" : "; ", "required");
    }
    CLI::Option* option = command.add_option(flag.spelling);
    // A missing value is told by ReadFlags, with the other mistakes.
    option
        ->description(notes.empty() ? flag.meaning : absl::StrCat(flag.meaning, "\n[", notes, "]"))
        ->type_name(flag.value_name)
        ->expected(0, 1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    options.emplace_back(&flag, option);
  }
  return options;
}

template <typename Flags>
Flags ReadFlags(const Options<Flags>& options, const std::string& command,
                const Environment& environment, std::vector<std::string>& mistakes) {
  Flags flags;
  for (const auto& [flag, option] : options) {
    std::string where = flag->name;
    std::optional<std::string> found;
    if (option->count() > 0) {
      if (!option->results().empty()) found = option->results().back();
      if (!found || found->empty()) {
        mistakes.push_back(absl::StrCat(where, " has no value; expected ", flag->value_name,
                                        " after it, see ", command, " --help."));
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
  return flags;
}

void SetFile(const CLI::Option& position, RunStepFlags& flags, std::vector<std::string>& mistakes) {
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
}

// PROJECT or PROJECT/STAGE.
void SetStage(const CLI::Option& position, HealthFlags& flags, std::vector<std::string>& mistakes) {
  if (position.count() == 0) return;
  const std::string text = position.results().empty() ? "" : position.results().back();
  const std::size_t slash = text.find('/');
  flags.project = text.substr(0, slash);
  if (slash != std::string::npos) flags.stage = text.substr(slash + 1);
  if (flags.project.empty() || (slash != std::string::npos && flags.stage.empty()) ||
      flags.stage.find('/') != std::string::npos || FirstInvalidUtf8(text)) {
    mistakes.push_back(absl::StrCat("The Stage is ", Quoted(text),
                                    "; expected a project, such as shop, or a project and a "
                                    "Stage, such as shop/prod."));
  }
}

}  // namespace

CommandLine ParseCommandLine(const std::vector<std::string>& arguments,
                             const Environment& environment) {
  CLI::App app("Runs promotion steps with a Gantry service, and tells how healthy Stages are.",
               "gantryctl");
  app.set_help_flag();
  app.allow_extras();
  bool help = false;
  bool version = false;
  app.add_flag("-h,--help", help, "Print this and exit.");
  app.add_flag("--version", version, "Print the version and exit.");
  app.footer(
      "\nExamples:\n"
      "  gantryctl run-step --project demo --stage prod --promotion p-17 step.yaml\n"
      "  gantryctl health demo/prod\n\n"
      "gantryctl run-step --help tells what a step file looks like.");

  CLI::App* run_step =
      app.add_subcommand("run-step", "Run one step of a promotion, and wait until it is through.");
  run_step->set_help_flag();
  run_step->allow_extras();
  run_step->footer(kRunStepExamples);
  CLI::App* health =
      app.add_subcommand("health", "Tell how healthy Stages are, once or as it changes.");
  health->set_help_flag();
  health->allow_extras();
  health->footer(kHealthExamples);
  CLI::App* print_version = app.add_subcommand("version", "Print the version.");
  print_version->set_help_flag();
  print_version->allow_extras();

  bool run_step_help = false;
  bool dry_run = false;
  const Options<RunStepFlags> run_step_options = AddOptions(FlagsOfRunStep(), *run_step);
  run_step->add_flag("--dry-run", dry_run,
                     "Show what the step would write, and write nothing. One answer, no waiting.");
  run_step->add_flag("-h,--help", run_step_help, "Print this and exit.");
  CLI::Option* file = run_step->add_option("FILE");
  file->description("The file that holds the step; - for standard input.")->type_name("");

  bool health_help = false;
  bool watch = false;
  const Options<HealthFlags> health_options = AddOptions(FlagsOfHealth(), *health);
  health->add_flag("-w,--watch", watch, "Go on, and show what changes.");
  health->add_flag("-h,--help", health_help, "Print this and exit.");
  CLI::Option* stage = health->add_option("PROJECT[/STAGE]");
  stage->description("The project whose Stages to show, or the one Stage. Default: all.")
      ->type_name("");

  CommandLine result;
  try {
    // CLI11 takes its arguments from the end.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    if (help || run_step_help || health_help) {
      result.text = run_step->parsed() ? run_step->help("gantryctl")
                    : health->parsed() ? health->help("gantryctl")
                                       : app.help();
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
    RunStepFlags flags =
        ReadFlags(run_step_options, "gantryctl run-step", environment, result.mistakes);
    SetFile(*file, flags, result.mistakes);
    flags.dry_run = dry_run;
    if (result.mistakes.empty()) result.run_step = std::move(flags);
  } else if (health->parsed()) {
    TellExtras(extras, "gantryctl", result.mistakes);
    TellExtras(health->remaining(), "gantryctl health", result.mistakes);
    HealthFlags flags = ReadFlags(health_options, "gantryctl health", environment, result.mistakes);
    SetStage(*stage, flags, result.mistakes);
    flags.watch = watch;
    if (result.mistakes.empty()) result.health = std::move(flags);
  } else if (extras.empty()) {
    result.mistakes.push_back(
        "A command is missing; expected run-step, health or version, see gantryctl --help.");
  } else {
    for (const std::string& extra : extras) {
      if (extra.empty() || extra[0] != '-') {
        result.mistakes.push_back(
            absl::StrCat("There is no command ", Quoted(extra),
                         "; expected run-step, health or version, see gantryctl "
                         "--help."));
        return result;
      }
    }
    TellExtras(extras, "gantryctl", result.mistakes);
  }
  return result;
}

}  // namespace gantry::gantryctl
