// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/durations.h"
#include "base/text.h"
#include "client/gantryctl/help_text.h"
#include "client/gantryctl/text.h"
#include "gantry/client/connection.h"

namespace gantry::gantryctl {
namespace {

// Takes a flag's text. Returns what was expected when the text is not that.
template <typename Flags>
using Setter = std::function<std::optional<std::string>(const std::string&, Flags&)>;

template <typename Flags>
struct Flag {
  enum class Kind { kValue, kSwitch, kPosition };

  std::string spelling;  // as CLI11 takes it
  std::string name;      // as mistakes name it
  std::string value_name;
  std::string meaning;
  std::string default_value;  // set as if it had been given; empty: none
  std::string variable;       // empty: none
  bool required = false;
  Setter<Flags> set;
  Kind kind = Kind::kValue;
};

template <typename Flags>
using FlagList = std::vector<Flag<Flags>>;

// What was given, by the flags' names: how it was, as "--token" or "GANTRY_TOKEN".
using Given = std::map<std::string, std::string>;
using Mistakes = std::vector<std::string>;

std::string Quoted(const std::string& found) { return base::Quote(found, 100); }

template <typename Flags>
Setter<Flags> SetText(std::string Flags::*member) {
  return [member](const std::string& text, Flags& flags) -> std::optional<std::string> {
    if (FirstInvalidUtf8(text)) return "text in UTF-8";
    flags.*member = text;
    return std::nullopt;
  };
}

template <typename Flags>
Setter<Flags> SetSwitch(bool Flags::*member) {
  return [member](const std::string& text, Flags& flags) -> std::optional<std::string> {
    if (text != "true" && text != "false") return "true or false";
    flags.*member = text == "true";
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
std::optional<std::string> SetToken(const std::string& text, Flags& flags) {
  for (const unsigned char c : text) {
    if (c <= ' ' || c >= 0x7f) return "a bearer token, which is printable ASCII without blanks";
  }
  flags.token = text;
  return std::nullopt;
}

template <typename Flags>
std::optional<std::string> SetTimeout(const std::string& text, Flags& flags) {
  const std::optional<absl::Duration> duration = base::ParseGoDuration(text);
  if (!duration || *duration <= absl::ZeroDuration() || *duration > absl::Hours(24 * 30)) {
    return "a duration above zero and up to 720h with its unit, such as 90s, 5m or 1h30m";
  }
  flags.timeout = *duration;
  return std::nullopt;
}

std::optional<std::string> SetTtl(const std::string& text, ReportIndicatorFlags& flags) {
  const std::optional<absl::Duration> duration = base::ParseGoDuration(text);
  if (!duration || *duration <= absl::ZeroDuration() || *duration > absl::Hours(24 * 3650)) {
    return "a duration above zero and up to 87600h with its unit, such as 90s, 10m or 24h";
  }
  flags.ttl = *duration;
  return std::nullopt;
}

constexpr char kOutputs[] = "table|wide|json|yaml";

template <typename Flags>
std::optional<std::string> SetOutput(const std::string& text, Flags& flags) {
  if (text == "table") {
    flags.output = OutputFormat::kTable;
  } else if (text == "wide") {
    flags.output = OutputFormat::kWide;
  } else if (text == "json") {
    flags.output = OutputFormat::kJson;
  } else if (text == "yaml") {
    flags.output = OutputFormat::kYaml;
  } else {
    return "table, wide, json or yaml";
  }
  return std::nullopt;
}

constexpr char kPhases[] = "running|succeeded|failed|errored|aborted";

std::optional<std::string> SetPhase(const std::string& text, ReportPromotionFlags& flags) {
  v1::PromotionPhase phase = v1::PROMOTION_PHASE_UNSPECIFIED;
  if (!v1::PromotionPhase_Parse(absl::StrCat("PROMOTION_PHASE_", absl::AsciiStrToUpper(text)),
                                &phase) ||
      phase == v1::PROMOTION_PHASE_UNSPECIFIED) {
    return "running, succeeded, failed, errored or aborted";
  }
  flags.phase = phase;
  return std::nullopt;
}

constexpr char kStates[] = "healthy|not-applicable|progressing|unknown|unhealthy";

template <typename Flags>
Setter<Flags> SetState(v1::HealthState Flags::*member) {
  return [member](const std::string& text, Flags& flags) -> std::optional<std::string> {
    std::string name = absl::AsciiStrToUpper(text);
    std::replace(name.begin(), name.end(), '-', '_');
    v1::HealthState state = v1::HEALTH_STATE_UNSPECIFIED;
    if (!v1::HealthState_Parse(absl::StrCat("HEALTH_STATE_", name), &state) ||
        state == v1::HEALTH_STATE_UNSPECIFIED) {
      return "healthy, not-applicable, progressing, unknown or unhealthy";
    }
    flags.*member = state;
    return std::nullopt;
  };
}

// PROJECT or PROJECT/STAGE.
std::optional<std::string> SetStage(const std::string& text, HealthFlags& flags) {
  const std::size_t slash = text.find('/');
  flags.project = text.substr(0, slash);
  if (slash != std::string::npos) flags.stage = text.substr(slash + 1);
  if (flags.project.empty() || (slash != std::string::npos && flags.stage.empty()) ||
      flags.stage.find('/') != std::string::npos || FirstInvalidUtf8(text)) {
    return "a project, such as shop, or a project and a Stage, such as shop/prod";
  }
  return std::nullopt;
}

// `flags`, and those of every command that calls the service, in the order of the help.
template <typename Flags>
FlagList<Flags> WithServiceFlags(FlagList<Flags> flags) {
  using Kind = typename Flag<Flags>::Kind;
  FlagList<Flags> all = {
      {"--server", "--server", "ADDRESS", "Where the service is.", "127.0.0.1:50051",
       "GANTRY_SERVER", true, SetServer<Flags>},
  };
  FlagList<Flags> security = {
      {"--token", "--token", "TOKEN",
       "The bearer token that tells who calls. Others on this machine can see\nit in the list of "
       "processes; better use the variable, or a file.",
       "", "GANTRY_TOKEN", false, SetToken<Flags>},
      {"--token-file", "--token-file", "FILE",
       "A file that holds the token; read again for each call.", "", "GANTRY_TOKEN_FILE", false,
       SetText<Flags>(&Flags::token_file)},
      {"--ca-file", "--ca-file", "FILE",
       "The certificate authorities that the service's certificate may be\nfrom, PEM; default: "
       "the system's.",
       "", "GANTRY_CA_FILE", false, SetText<Flags>(&Flags::ca_file)},
      {"--cert-file", "--cert-file", "FILE",
       "The certificate that tells who calls, PEM, with its chain.", "", "GANTRY_CERT_FILE", false,
       SetText<Flags>(&Flags::cert_file)},
      {"--key-file", "--key-file", "FILE", "The private key of that certificate, PEM.", "",
       "GANTRY_KEY_FILE", false, SetText<Flags>(&Flags::key_file)},
      {"--plaintext", "--plaintext", "",
       "Do not secure the connection; --plaintext=false: do. See Connection\nbelow.", "",
       "GANTRY_PLAINTEXT", false, SetSwitch<Flags>(&Flags::plaintext), Kind::kSwitch},
  };
  // Positions come last.
  const auto position = std::find_if(flags.begin(), flags.end(), [](const Flag<Flags>& flag) {
    return flag.kind == Kind::kPosition;
  });
  all.insert(all.end(), flags.begin(), position);
  all.insert(all.end(), security.begin(), security.end());
  all.insert(all.end(), position, flags.end());
  return all;
}

template <typename Flags>
Flag<Flags> OutputFlag(const std::string& what) {
  return {"-o,--output", "--output",      kOutputs, absl::StrCat("How to print ", what, "."),
          "table",       "GANTRY_OUTPUT", true,     SetOutput<Flags>};
}

// What every --timeout has in common.
constexpr char kUnreachableHelp[] = "Where nothing answers at all it ends after 10s.";

template <typename Flags>
Flag<Flags> TimeoutFlag() {
  return {"--timeout",
          "--timeout",
          "DURATION",
          absl::StrCat("How long to try while the service cannot answer.\n", kUnreachableHelp),
          "30s",
          "GANTRY_TIMEOUT",
          true,
          SetTimeout<Flags>};
}

FlagList<RunStepFlags> FlagsOfRunStep() {
  using F = RunStepFlags;
  using Kind = Flag<F>::Kind;
  return WithServiceFlags<F>({
      {"--project", "--project", "PROJECT", "The project of the Stage.", "", "GANTRY_PROJECT", true,
       SetText(&F::project)},
      {"--stage", "--stage", "STAGE", "The Stage that is promoted.", "", "GANTRY_STAGE", true,
       SetText(&F::stage)},
      {"--promotion", "--promotion", "NAME",
       "The promotion that the step is a part of. Run again with the same\nname to follow it; a "
       "new name is a new promotion.",
       "", "GANTRY_PROMOTION", true, SetText(&F::promotion)},
      {"--step", "--step", "ALIAS",
       "The name of the step in the promotion, in place of the file's `as`.\nWithout either it "
       "is the file's `uses`.",
       "", "GANTRY_STEP", false, SetText(&F::step)},
      {"--actor", "--actor", "NAME", "Who asks for it, when a person does.", "", "GANTRY_ACTOR",
       false, SetText(&F::actor)},
      {"--timeout", "--timeout", "DURATION",
       absl::StrCat("How long to go on while the step is running, as 90s, 5m, 1h30m.\n",
                    kUnreachableHelp),
       "5m", "GANTRY_TIMEOUT", true, SetTimeout<F>},
      OutputFlag<F>("the result"),
      {"-f,--file", "--file", "FILE",
       "The file that holds the step; - for standard input. Can be given\nwithout the flag.", "",
       "", false, SetText(&F::file)},
      {"--dry-run", "--dry-run", "",
       "Show what the step would write, and write nothing. One answer, no waiting.", "", "", false,
       SetSwitch(&F::dry_run), Kind::kSwitch},
      {"FILE", "The step file", "FILE", "The file that holds the step; - for standard input.", "",
       "", false,
       [](const std::string& text, F& flags) -> std::optional<std::string> {
         if (!flags.file.empty()) {
           return absl::StrCat("nothing, since it is given as --file ", Quoted(flags.file),
                               " already");
         }
         if (text.empty()) return "the name of a file, or - for standard input";
         return SetText(&F::file)(text, flags);
       },
       Kind::kPosition},
  });
}

FlagList<HealthFlags> FlagsOfHealth() {
  using F = HealthFlags;
  using Kind = Flag<F>::Kind;
  return WithServiceFlags<F>({
      {"--timeout", "--timeout", "DURATION",
       "How long to try while the service cannot answer, 30s by default. With\n--watch how long to "
       "watch, without end by default; with --wait-for how\nlong to wait, 5m by default. " +
           std::string(kUnreachableHelp),
       "", "GANTRY_TIMEOUT", false, SetTimeout<F>},
      OutputFlag<F>("the health"),
      {"-w,--watch", "--watch", "", "Go on, and show what changes.", "", "", false,
       SetSwitch(&F::watch), Kind::kSwitch},
      {"--wait-for", "--wait-for", kStates, "Show how the Stage changes until it is in this state.",
       "", "", false, SetState(&F::wait_for)},
      {"PROJECT[/STAGE]", "The Stage", "PROJECT[/STAGE]",
       "The project whose Stages to show, or the one Stage. Default: all.", "", "", false, SetStage,
       Kind::kPosition},
  });
}

FlagList<StepsFlags> FlagsOfSteps() {
  using F = StepsFlags;
  return WithServiceFlags<F>({
      TimeoutFlag<F>(),
      OutputFlag<F>("the kinds"),
      {"KIND", "The kind", "KIND", "The kind whose configuration to show, such as argocd-update.",
       "", "", false, SetText(&F::kind), Flag<F>::Kind::kPosition},
  });
}

FlagList<ReportPromotionFlags> FlagsOfReportPromotion() {
  using F = ReportPromotionFlags;
  return WithServiceFlags<F>({
      {"--project", "--project", "PROJECT", "The project of the Stage.", "", "GANTRY_PROJECT", true,
       SetText(&F::project)},
      {"--stage", "--stage", "STAGE", "The Stage that is promoted.", "", "GANTRY_STAGE", true,
       SetText(&F::stage)},
      {"--promotion", "--promotion", "NAME", "The promotion.", "", "GANTRY_PROMOTION", true,
       SetText(&F::promotion)},
      {"--phase", "--phase", kPhases, "Where the promotion is.", "", "", true, SetPhase},
      {"--message", "--message", "TEXT", "Why it is there, for people.", "", "", false,
       SetText(&F::message)},
      TimeoutFlag<F>(),
      OutputFlag<F>("that it is recorded"),
  });
}

FlagList<ReportIndicatorFlags> FlagsOfReportIndicator() {
  using F = ReportIndicatorFlags;
  return WithServiceFlags<F>({
      {"--project", "--project", "PROJECT", "The project of the Stage.", "", "GANTRY_PROJECT", true,
       SetText(&F::project)},
      {"--stage", "--stage", "STAGE", "The Stage that is judged.", "", "GANTRY_STAGE", true,
       SetText(&F::stage)},
      {"--name", "--name", "NAME", "The name of the indicator, unique in its Stage.", "", "", true,
       SetText(&F::name)},
      {"--state", "--state", kStates, "What it says.", "", "", false, SetState(&F::state)},
      {"--message", "--message", "TEXT", "Why, for people.", "", "", false, SetText(&F::message)},
      {"--ttl", "--ttl", "DURATION",
       "How long the report counts, as 90s, 10m, 24h; without it for ever.", "", "", false, SetTtl},
      {"--remove", "--remove", "", "Remove the indicator.", "", "", false, SetSwitch(&F::remove),
       Flag<F>::Kind::kSwitch},
      TimeoutFlag<F>(),
      OutputFlag<F>("that it is recorded"),
  });
}

// Adds what `extras` says about words that no flag takes.
void TellExtras(const std::vector<std::string>& extras, const std::string& command,
                Mistakes& mistakes) {
  for (const std::string& extra : extras) {
    if (extra == "--") continue;
    const bool flag = extra.size() > 1 && extra[0] == '-';
    mistakes.push_back(absl::StrCat(flag ? "There is no flag " : "Nothing is expected at ",
                                    Quoted(flag ? extra.substr(0, extra.find('=')) : extra),
                                    "; see ", command, " --help."));
  }
}

template <typename Flags>
using Options = std::vector<std::pair<Flag<Flags>, CLI::Option*>>;

// Makes CLI11 take these flags.
template <typename Flags>
Options<Flags> AddOptions(const FlagList<Flags>& flags, CLI::App& command) {
  using Kind = typename Flag<Flags>::Kind;
  Options<Flags> options;
  for (const Flag<Flags>& flag : flags) {
    std::string notes;
    if (!flag.variable.empty()) notes = flag.variable;
    if (!flag.default_value.empty()) {
      absl::StrAppend(&notes, notes.empty() ? "" : "; ", "default: ", flag.default_value);
    } else if (flag.required) {
      absl::StrAppend(&notes, notes.empty() ? "" : "; ", "required");
    }
    const std::string description =
        notes.empty() ? flag.meaning : absl::StrCat(flag.meaning, "\n[", notes, "]");
    if (flag.kind == Kind::kSwitch) {
      options.emplace_back(flag, command.add_flag(flag.spelling, description));
      continue;
    }
    CLI::Option* option = command.add_option(flag.spelling);
    option->description(description);
    if (flag.kind == Kind::kPosition) {
      option->type_name("");
    } else {
      // A missing value is told by ReadFlags, with the other mistakes.
      option->type_name(flag.value_name)
          ->expected(0, 1)
          ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    }
    options.emplace_back(flag, option);
  }
  return options;
}

template <typename Flags>
Flags ReadFlags(const Options<Flags>& options, const std::string& command,
                const Environment& environment, Given& given, Mistakes& mistakes) {
  using Kind = typename Flag<Flags>::Kind;
  Flags flags;
  for (const auto& [flag, option] : options) {
    std::string where = flag.name;
    std::optional<std::string> found;
    if (option->count() > 0) {
      if (!option->results().empty()) found = option->results().back();
      if ((!found || found->empty()) && flag.kind != Kind::kPosition) {
        mistakes.push_back(absl::StrCat(where, " has no value; expected ", flag.value_name,
                                        " after it, see ", command, " --help."));
        continue;
      }
      if (!found) found = "";
    } else if (const auto variable =
                   flag.variable.empty() ? std::nullopt : environment(flag.variable);
               variable && !variable->empty()) {
      where = flag.variable;
      found = *variable;
    }
    if (found) {
      given[flag.name] = where;
    } else if (!flag.default_value.empty()) {
      found = flag.default_value;
    }
    if (!found) {
      if (flag.required) {
        mistakes.push_back(
            absl::StrCat(flag.name, " is missing; expected ", flag.name, " ", flag.value_name,
                         flag.variable.empty() ? "" : ", or the variable ", flag.variable, "."));
      }
      continue;
    }
    if (const std::optional<std::string> expected = flag.set(*found, flags)) {
      // A token that is mistyped is still a secret.
      const std::string shown = flag.name == "--token" ? "no token" : Quoted(*found);
      mistakes.push_back(absl::StrCat(where, " is ", shown, "; expected ", *expected, "."));
    }
  }
  return flags;
}

// Decides how the connection is secured, and tells what contradicts what.
void CheckService(ServiceFlags& flags, const Given& given, Mistakes& mistakes) {
  flags.sources = given;
  const auto where = [&given](const std::string& name) -> std::string {
    const auto found = given.find(name);
    return found == given.end() ? "" : found->second;
  };
  const auto by_flag = [&](const std::string& name) { return where(name) == name; };
  const auto is_given = [&](const std::string& name) { return !where(name).empty(); };

  if (is_given("--token") && is_given("--token-file")) {
    if (by_flag("--token") == by_flag("--token-file")) {
      mistakes.push_back(absl::StrCat(where("--token"), " and ", where("--token-file"),
                                      " are both given; expected one of them."));
    } else if (by_flag("--token")) {
      flags.token_file.clear();
    } else {
      flags.token.clear();
    }
  }
  if (is_given("--cert-file") != is_given("--key-file")) {
    const bool certificate = is_given("--cert-file");
    mistakes.push_back(absl::StrCat(
        where(certificate ? "--cert-file" : "--key-file"), " is given without ",
        certificate ? "--key-file" : "--cert-file",
        "; expected both, the certificate that tells who calls and its private key, or neither."));
  }

  bool asked_for_plaintext = is_given("--plaintext") && flags.plaintext;
  const bool asked_for_tls = is_given("--plaintext") && !flags.plaintext;
  for (const auto& [name, file] : {std::make_pair("--ca-file", &flags.ca_file),
                                   std::make_pair("--cert-file", &flags.cert_file),
                                   std::make_pair("--key-file", &flags.key_file)}) {
    if (!is_given(name) || !asked_for_plaintext) continue;
    if (by_flag(name) == by_flag("--plaintext")) {
      mistakes.push_back(absl::StrCat(where(name), " is for TLS, and ", where("--plaintext"),
                                      " asks for none; expected one of the two."));
    } else if (by_flag(name)) {
      asked_for_plaintext = false;
    } else {
      file->clear();
    }
  }

  const bool has_token = !flags.token.empty() || !flags.token_file.empty();
  const bool is_local = client::IsLoopback(flags.server);
  const bool has_tls =
      has_token || !flags.ca_file.empty() || !flags.cert_file.empty() || !flags.key_file.empty();
  flags.plaintext = asked_for_plaintext || (is_local && !has_tls && !asked_for_tls);
  if (flags.plaintext && has_token && !is_local && !flags.server.empty()) {
    mistakes.push_back(
        absl::StrCat("A token is not sent to ", flags.server,
                     " in plain text, where others could read it; remove ", where("--plaintext"),
                     " or ", flags.token.empty() ? where("--token-file") : where("--token"),
                     ", or name an address on this machine, such as 127.0.0.1:50051."));
  }
}

void CheckFlags(const RunStepFlags& flags, Mistakes& mistakes) {
  if (flags.file.empty() && mistakes.empty()) {
    mistakes.push_back(
        "The step file is missing; expected its name, or - to read the step from standard input.");
  }
}
void CheckFlags(const HealthFlags& flags, Mistakes& mistakes) {
  if (flags.wait_for != v1::HEALTH_STATE_UNSPECIFIED && flags.stage.empty() && mistakes.empty()) {
    mistakes.push_back(
        "--wait-for is about one Stage, and none is given; expected PROJECT/STAGE, such as "
        "shop/prod.");
  }
}
void CheckFlags(const StepsFlags&, Mistakes&) {}
void CheckFlags(const ReportPromotionFlags&, Mistakes&) {}
void CheckFlags(const ReportIndicatorFlags& flags, Mistakes& mistakes) {
  const bool says = flags.state != v1::HEALTH_STATE_UNSPECIFIED;
  if (flags.remove && (says || !flags.message.empty() || flags.ttl)) {
    mistakes.push_back(
        "--remove is given together with --state, --message or --ttl; expected either what the "
        "indicator says, or --remove.");
  } else if (!flags.remove && !says && mistakes.empty()) {
    mistakes.push_back(absl::StrCat("--state is missing; expected --state ", kStates,
                                    ", or --remove to remove the indicator."));
  }
}

// The commands, as CLI11 knows them, and what came of the words. Lives for one command line, on one
// thread.
class Parser {
 public:
  explicit Parser(const Environment& environment)
      : environment_(environment),
        app_("Runs promotion steps with a Gantry service, and tells how healthy Stages are.",
             "gantryctl") {
    // Once a command is named, the name of another is an ordinary word.
    app_.require_subcommand(0, 1);
    AddApp(app_, "gantryctl", kMainHelp);
    app_.add_flag("--version", version_, "Print the version and exit.");

    Add(app_, "run-step", "Run one step of a promotion, and wait until it is through.",
        kRunStepHelp, FlagsOfRunStep(), &CommandLine::run_step);
    Add(app_, "health", "Tell how healthy Stages are, once or as it changes.", kHealthHelp,
        FlagsOfHealth(), &CommandLine::health);
    Add(app_, "steps", "List the kinds of steps, or tell how one is configured.", kStepsHelp,
        FlagsOfSteps(), &CommandLine::steps);
    CLI::App& report =
        *app_.add_subcommand("report", "Tell the service what it cannot know by itself.");
    AddApp(report, "gantryctl report", kReportHelp);
    Add(report, "promotion", "Report where a promotion is.", kReportPromotionHelp,
        FlagsOfReportPromotion(), &CommandLine::report_promotion);
    Add(report, "indicator", "Report what an indicator says about a Stage.", kReportIndicatorHelp,
        FlagsOfReportIndicator(), &CommandLine::report_indicator);

    completion_ =
        app_.add_subcommand("completion", "Print the script that completes commands in a shell.");
    AddApp(*completion_, "gantryctl completion", kCompletionHelp);
    shell_ = completion_->add_option("bash|zsh|fish");
    shell_->description("The shell.")->type_name("");
    print_version_ = app_.add_subcommand("version", "Print the version.");
    AddApp(*print_version_, "gantryctl version", kVersionHelp);
  }

  CommandLine Parse(const std::vector<std::string>& arguments) {
    CommandLine result;
    if (!arguments.empty() && arguments[0] == "__complete") {
      result.complete = ReadComplete({arguments.begin() + 1, arguments.end()});
      return result;
    }
    try {
      // CLI11 takes its arguments from the end.
      app_.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const std::exception& error) {
      result.mistakes.push_back(absl::StrCat(error.what(), "; see gantryctl --help."));
      return result;
    }
    Read(result);
    return result;
  }

 private:
  struct Command {
    CLI::App* app = nullptr;
    std::string name;  // "gantryctl report promotion"
    bool help = false;
    std::function<void(CommandLine&)> read;  // null: it only has commands of its own
  };

  Command& AddApp(CLI::App& app, const std::string& name, const std::string& footer) {
    commands_.push_back(std::make_unique<Command>());
    Command& command = *commands_.back();
    command.app = &app;
    command.name = name;
    app.set_help_flag();
    app.allow_extras();
    app.footer(footer);
    app.add_flag("-h,--help", command.help, "Print this and exit.");
    return command;
  }

  template <typename Flags>
  void Add(CLI::App& parent, const std::string& name, const std::string& description,
           const std::string& footer, const FlagList<Flags>& flags,
           std::optional<Flags> CommandLine::*result) {
    CLI::App& app = *parent.add_subcommand(name, description);
    const std::string parents = &parent == &app_ ? "" : parent.get_name() + " ";
    Command& command = AddApp(app, absl::StrCat("gantryctl ", parents, name),
                              absl::StrCat(footer, kConnectionHelp));
    command.read = [this, options = AddOptions(flags, app), result,
                    name = command.name](CommandLine& line) {
      Given given;
      Flags read = ReadFlags(options, name, environment_, given, line.mistakes);
      CheckService(read, given, line.mistakes);
      CheckFlags(read, line.mistakes);
      if (line.mistakes.empty()) line.*result = std::move(read);
    };
  }

  // The command that the words name.
  const Command& Named() const {
    const Command* named = commands_.front().get();
    for (const auto& command : commands_) {
      if (command->app->parsed() && command->app != &app_) named = command.get();
    }
    return *named;
  }

  void Read(CommandLine& result) {
    const Command& named = Named();
    if (std::any_of(commands_.begin(), commands_.end(),
                    [](const auto& command) { return command->help; })) {
      const std::string parent = named.name.substr(0, named.name.rfind(' '));
      result.text = named.app == &app_ ? app_.help() : named.app->help(parent);
      return;
    }
    if (named.read == nullptr && named.app != completion_ && named.app != print_version_ &&
        !version_) {
      TellCommands(named, result.mistakes);
      return;
    }
    for (const auto& command : commands_) {
      if (command->app != named.app) {
        TellExtras(command->app->remaining(), command->name, result.mistakes);
      }
    }
    TellExtras(named.app->remaining(), named.app == print_version_ ? "gantryctl" : named.name,
               result.mistakes);
    if (version_ || named.app == print_version_) {
      if (result.mistakes.empty()) result.text = "gantryctl " GANTRY_VERSION "\n";
    } else if (named.app == completion_) {
      ReadCompletion(result);
    } else {
      named.read(result);
    }
  }

  // What could have been meant where a command is expected.
  static void TellCommands(const Command& command, Mistakes& mistakes) {
    std::vector<std::string> names;
    for (const CLI::App* app : command.app->get_subcommands([](const CLI::App*) { return true; })) {
      names.push_back(app->get_name());
    }
    const std::string expected =
        absl::StrCat(absl::StrJoin(names.begin(), names.end() - 1, ", "), " or ", names.back(),
                     ", see ", command.name, " --help.");
    const std::vector<std::string> extras = command.app->remaining();
    for (const std::string& extra : extras) {
      if (!extra.empty() && extra[0] == '-') continue;
      const std::vector<std::string> near = base::NearNames(extra, names);
      mistakes.push_back(absl::StrCat(
          "There is no command ", Quoted(extra), "; ",
          near.empty() ? "" : absl::StrCat("did you mean ", absl::StrJoin(near, " or "), "? "),
          near.empty() ? "expected " : "Expected ", expected));
      return;
    }
    if (extras.empty()) {
      mistakes.push_back(absl::StrCat("A command is missing; expected ", expected));
    } else {
      TellExtras(extras, command.name, mistakes);
    }
  }

  void ReadCompletion(CommandLine& result) const {
    const std::string shell = shell_->results().empty() ? "" : shell_->results().back();
    const std::optional<std::string> script = CompletionScript(shell);
    if (script && result.mistakes.empty()) {
      result.text = *script;
    } else if (shell_->count() == 0) {
      result.mistakes.emplace_back("The shell is missing; expected bash, zsh or fish.");
    } else if (!script) {
      result.mistakes.push_back(
          absl::StrCat("The shell is ", Quoted(shell), "; expected bash, zsh or fish."));
    }
  }

  CompleteFlags ReadComplete(std::vector<std::string> words) const {
    if (!words.empty() && words[0] == "--") words.erase(words.begin());
    CompleteFlags flags;
    flags.completion = Complete(app_, words);
    if (flags.completion.names == Completion::Names::kNone) return flags;

    // The words so far are not complete, so only what they say about the service is looked at.
    CLI::App app;
    app.set_help_flag();
    app.allow_extras();
    const Options<CompleteFlags> options = AddOptions(WithServiceFlags<CompleteFlags>({}), app);
    if (!words.empty()) words.pop_back();
    try {
      app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
    } catch (const std::exception&) {
      return flags;
    }
    Given given;
    Mistakes mistakes;
    CompleteFlags read = ReadFlags(options, "gantryctl", environment_, given, mistakes);
    CheckService(read, given, mistakes);
    if (!mistakes.empty()) return flags;
    read.completion = flags.completion;
    read.service_known = true;
    return read;
  }

  const Environment& environment_;
  CLI::App app_;
  std::vector<std::unique_ptr<Command>> commands_;  // gantryctl itself first, parents before
  CLI::App* completion_ = nullptr;
  CLI::App* print_version_ = nullptr;
  CLI::Option* shell_ = nullptr;
  bool version_ = false;
};

}  // namespace

CommandLine ParseCommandLine(const std::vector<std::string>& arguments,
                             const Environment& environment) {
  return Parser(environment).Parse(arguments);
}

}  // namespace gantry::gantryctl
