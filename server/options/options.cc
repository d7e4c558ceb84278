// SPDX-License-Identifier: Apache-2.0
#include "server/options/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/text.h"
#include "server/options/flags.h"

namespace gantry::options {
namespace {

using observability::LogFormat;

// For the help's right column.
std::string Wrapped(const std::string& text) {
  constexpr std::size_t kWidth = 70;
  std::string wrapped;
  std::size_t column = 0;
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    if (column > 0 && column + 1 + word.size() > kWidth) {
      wrapped += '\n';
      column = 0;
    } else if (column > 0) {
      wrapped += ' ';
      ++column;
    }
    absl::StrAppend(&wrapped, word);
    column += word.size();
  }
  return wrapped;
}

std::string UnknownArgument(const std::string& argument) {
  if (argument.empty() || argument[0] != '-') {
    return absl::StrCat(base::Quote(argument), " is not a flag; expected flags only. See --help.");
  }
  const std::string option = argument.substr(0, argument.find('='));
  std::vector<std::string> flags;
  for (const Flag& flag : Flags()) flags.push_back(flag.Option());
  const std::vector<std::string> near = base::NearNames(option, flags);
  return absl::StrCat(
      "There is no flag ", base::Quote(option),
      near.empty() ? "; see --help." : absl::StrCat("; did you mean ", near[0], "?"));
}

// Adds the flags to `app`, in the order of Flags().
std::vector<CLI::Option*> AddFlags(CLI::App& app) {
  std::vector<CLI::Option*> options;
  for (const Flag& flag : Flags()) {
    const std::string default_words =
        flag.default_value.empty() ? flag.default_words : flag.default_value;
    CLI::Option* option = app.add_option(flag.Option());
    // A missing value is found by ReadFlag, with the other usage errors.
    option
        ->description(absl::StrCat(Wrapped(flag.meaning), "\n[", flag.Variable(),
                                   "; default: ", default_words, "]"))
        ->type_name(flag.value_name)
        ->expected(0, 1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    options.push_back(option);
  }
  return options;
}

void ReadFlag(const Flag& flag, const CLI::Option& option, const Environment& environment,
              Options& options, std::vector<std::string>& usage_errors) {
  std::string where = flag.Option();
  std::optional<std::string> found;
  if (option.count() > 0 || !option.empty()) {
    if (!option.results().empty()) found = option.results().back();
    if (!found || found->empty()) {
      usage_errors.push_back(absl::StrCat(where, " has no value; expected ", flag.value_name,
                                          " after it, see --help."));
      return;
    }
  } else if (const auto variable = environment(flag.Variable()); variable && !variable->empty()) {
    where = flag.Variable();
    found = *variable;
  } else if (!flag.default_value.empty()) {
    found = flag.default_value;
  }
  if (!found) return;
  if (const std::optional<std::string> expected = flag.set(*found, options)) {
    usage_errors.push_back(
        absl::StrCat(where, " is ", base::Quote(*found, 100), "; expected ", *expected, "."));
  }
}

}  // namespace

std::string Address::ToString() const {
  const bool ipv6 = host.find(':') != std::string::npos;
  return ipv6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

std::optional<Address> ParseAddress(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string host(text.substr(0, colon));
  const std::string port(text.substr(colon + 1));

  Address address;
  if (port.empty() || port.size() > 5 ||
      !std::all_of(port.begin(), port.end(),
                   [](unsigned char c) { return absl::ascii_isdigit(c); }) ||
      !absl::SimpleAtoi(port, &address.port) || address.port > 65535) {
    return std::nullopt;
  }

  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  address.host = brackets ? host.substr(1, host.size() - 2) : host;
  const auto allowed = [brackets](unsigned char c) {
    if (brackets) return absl::ascii_isxdigit(c) || c == ':' || c == '.';
    return absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_';
  };
  if (address.host.empty() || address.host.size() > 253 ||
      !std::all_of(address.host.begin(), address.host.end(), allowed) ||
      brackets != (address.host.find(':') != std::string::npos)) {
    return std::nullopt;
  }
  return address;
}

ParseResult Parse(const std::vector<std::string>& arguments, const Environment& environment,
                  bool log_to_terminal) {
  CLI::App app(
      "Carries out promotion steps on Argo CD Applications and tells the health of Stages.\n"
      "Every flag can be given as an environment variable too; a flag wins. Durations are written\n"
      "as Go writes them: 90s, 2m, 1h30m.",
      "gantry-server");
  app.set_help_flag();
  app.allow_extras();
  bool help = false;
  bool version = false;
  const std::vector<CLI::Option*> options = AddFlags(app);
  app.add_flag("--version", version, "Print the version and exit.");
  app.add_flag("-h,--help", help, "Print this and exit.");

  ParseResult result;
  try {
    // CLI11 takes its arguments from the end.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::Error& error) {
    result.usage_errors.push_back(absl::StrCat(error.what(), "; see --help."));
    return result;
  }
  if (help || version) {
    result.text = help ? app.help() : "gantry-server " GANTRY_VERSION "\n";
    return result;
  }
  for (const std::string& argument : app.remaining()) {
    if (argument == "--") {
      result.usage_errors.emplace_back(
          "\"--\" and what follows are not taken; expected flags only.");
      break;
    }
    result.usage_errors.push_back(UnknownArgument(argument));
  }

  Options parsed;
  parsed.log_format = log_to_terminal ? LogFormat::kText : LogFormat::kJson;
  for (std::size_t i = 0; i < options.size(); ++i) {
    ReadFlag(Flags()[i], *options[i], environment, parsed, result.usage_errors);
  }
  if (!result.usage_errors.empty()) return result;
  if (!parsed.watch_all_namespaces && parsed.watch_namespaces.empty()) {
    parsed.watch_namespaces = {parsed.argocd_namespace};
  }
  result.options = std::move(parsed);
  return result;
}

}  // namespace gantry::options
