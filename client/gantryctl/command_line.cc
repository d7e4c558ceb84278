// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/text.h"
#include "client/gantryctl/flag_checks.h"
#include "client/gantryctl/flags.h"
#include "client/gantryctl/help_text.h"

namespace gantry::gantryctl {
namespace {

std::string Quoted(const std::string& found) { return base::Quote(found, 100); }

// Adds what `extras` says about words that no flag takes.
void TellExtras(const std::vector<std::string>& extras, const std::string& command,
                UsageErrors& usage_errors) {
  for (const std::string& extra : extras) {
    if (extra == "--") continue;
    const bool flag = extra.size() > 1 && extra[0] == '-';
    usage_errors.push_back(absl::StrCat(flag ? "There is no flag " : "Nothing is expected at ",
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
      // A missing value is told by ReadFlags, with the other usage errors.
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
                const Environment& environment, Given& given, UsageErrors& usage_errors) {
  using Kind = typename Flag<Flags>::Kind;
  Flags flags;
  for (const auto& [flag, option] : options) {
    std::string where = flag.name;
    std::optional<std::string> found;
    if (option->count() > 0) {
      if (!option->results().empty()) found = option->results().back();
      if ((!found || found->empty()) && flag.kind != Kind::kPosition) {
        usage_errors.push_back(absl::StrCat(where, " has no value; expected ", flag.value_name,
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
        usage_errors.push_back(
            absl::StrCat(flag.name, " is missing; expected ", flag.name, " ", flag.value_name,
                         flag.variable.empty() ? "" : ", or the variable ", flag.variable, "."));
      }
      continue;
    }
    if (const std::optional<std::string> expected = flag.set(*found, flags)) {
      // A token that is mistyped is still a secret.
      const std::string shown = flag.name == "--token" ? "no token" : Quoted(*found);
      usage_errors.push_back(absl::StrCat(where, " is ", shown, "; expected ", *expected, "."));
    }
  }
  return flags;
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
      result.usage_errors.push_back(absl::StrCat(error.what(), "; see gantryctl --help."));
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
      Flags read = ReadFlags(options, name, environment_, given, line.usage_errors);
      CheckService(read, given, line.usage_errors);
      CheckFlags(read, line.usage_errors);
      if (line.usage_errors.empty()) line.*result = std::move(read);
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
      TellCommands(named, result.usage_errors);
      return;
    }
    for (const auto& command : commands_) {
      if (command->app != named.app) {
        TellExtras(command->app->remaining(), command->name, result.usage_errors);
      }
    }
    TellExtras(named.app->remaining(), named.app == print_version_ ? "gantryctl" : named.name,
               result.usage_errors);
    if (version_ || named.app == print_version_) {
      if (result.usage_errors.empty()) result.text = "gantryctl " GANTRY_VERSION "\n";
    } else if (named.app == completion_) {
      ReadCompletion(result);
    } else {
      named.read(result);
    }
  }

  // What could have been meant where a command is expected.
  static void TellCommands(const Command& command, UsageErrors& usage_errors) {
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
      usage_errors.push_back(absl::StrCat(
          "There is no command ", Quoted(extra), "; ",
          near.empty() ? "" : absl::StrCat("did you mean ", absl::StrJoin(near, " or "), "? "),
          near.empty() ? "expected " : "Expected ", expected));
      return;
    }
    if (extras.empty()) {
      usage_errors.push_back(absl::StrCat("A command is missing; expected ", expected));
    } else {
      TellExtras(extras, command.name, usage_errors);
    }
  }

  void ReadCompletion(CommandLine& result) const {
    const std::string shell = shell_->results().empty() ? "" : shell_->results().back();
    const std::optional<std::string> script = CompletionScript(shell);
    if (script && result.usage_errors.empty()) {
      result.text = *script;
    } else if (shell_->count() == 0) {
      result.usage_errors.emplace_back("The shell is missing; expected bash, zsh or fish.");
    } else if (!script) {
      result.usage_errors.push_back(
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
    const Options<CompleteFlags> options = AddOptions(FlagsOfCompletion(), app);
    if (!words.empty()) words.pop_back();
    try {
      app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
    } catch (const std::exception&) {
      return flags;
    }
    Given given;
    UsageErrors usage_errors;
    CompleteFlags read = ReadFlags(options, "gantryctl", environment_, given, usage_errors);
    CheckService(read, given, usage_errors);
    if (!usage_errors.empty()) return flags;
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
