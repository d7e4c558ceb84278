// SPDX-License-Identifier: Apache-2.0
#include "server/options/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/names.h"

namespace gantry::options {
namespace {

using observability::LogFormat;
using observability::LogLevel;

// Takes a flag's text into the options. Returns what was expected when the text is not that.
using Setter = std::function<std::optional<std::string>(const std::string&, Options&)>;

struct Flag {
  std::string name;  // without the dashes
  std::string value_name;
  std::string meaning;
  std::string default_value;  // set as if it had been given; empty: none
  std::string default_words;  // for the help, where there is no default value
  Setter set;

  std::string Option() const { return "--" + name; }
  std::string Variable() const {
    return "GANTRY_" + absl::AsciiStrToUpper(absl::StrReplaceAll(name, {{"-", "_"}}));
  }
};

Setter SetAddress(Address Options::*member) {
  return [member](const std::string& text, Options& options) -> std::optional<std::string> {
    const std::optional<Address> address = ParseAddress(text);
    if (!address) {
      return "host:port with an IPv6 address in brackets, such as 127.0.0.1:50051, 0.0.0.0:50051 "
             "or [::1]:50051";
    }
    options.*member = *address;
    return std::nullopt;
  };
}

Setter SetText(std::string Options::*member) {
  return [member](const std::string& text, Options& options) -> std::optional<std::string> {
    if (text.empty()) return "a value that is not empty";
    options.*member = text;
    return std::nullopt;
  };
}

Setter SetNamespace(std::string Options::*member) {
  return [member](const std::string& text, Options& options) -> std::optional<std::string> {
    if (!base::IsDns1123Label(text)) {
      return "a namespace: 1 to 63 lower-case letters, digits and '-', with a letter or digit at "
             "both ends";
    }
    options.*member = text;
    return std::nullopt;
  };
}

Setter SetDuration(absl::Duration Options::*member, absl::Duration least, absl::Duration most) {
  return [=](const std::string& text, Options& options) -> std::optional<std::string> {
    const std::optional<absl::Duration> duration = ParseDuration(text);
    if (!duration || *duration < least || *duration > most) {
      return absl::StrCat("a duration from ", absl::FormatDuration(least), " to ",
                          absl::FormatDuration(most), " with its unit, such as 90s, 2m or 1h30m");
    }
    options.*member = *duration;
    return std::nullopt;
  };
}

Setter SetNumber(int Options::*member, int least, int most) {
  return [=](const std::string& text, Options& options) -> std::optional<std::string> {
    int number = 0;
    const bool digits = !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
      return absl::ascii_isdigit(c);
    });
    if (!digits || !absl::SimpleAtoi(text, &number) || number < least || number > most) {
      return absl::StrCat("a whole number from ", least, " to ", most);
    }
    options.*member = number;
    return std::nullopt;
  };
}

template <typename T>
Setter SetChoice(T Options::*member, std::vector<std::pair<std::string, T>> choices) {
  return [member, choices = std::move(choices)](const std::string& text,
                                                Options& options) -> std::optional<std::string> {
    for (const auto& [word, value] : choices) {
      if (text == word) {
        options.*member = value;
        return std::nullopt;
      }
    }
    return "one of " + absl::StrJoin(choices, ", ", [](std::string* out, const auto& choice) {
             out->append(choice.first);
           });
  };
}

std::optional<std::string> SetInitiator(const std::string& text, Options& options) {
  if (text.empty() || text.size() > 253 ||
      !std::all_of(text.begin(), text.end(),
                   [](unsigned char c) { return absl::ascii_isprint(c); })) {
    return "1 to 253 printable ASCII characters";
  }
  options.operation_initiator = text;
  return std::nullopt;
}

std::optional<std::string> SetWatchNamespaces(const std::string& text, Options& options) {
  options.watch_all_namespaces = false;
  options.watch_namespaces.clear();
  if (absl::StripAsciiWhitespace(text) == "*") {
    options.watch_all_namespaces = true;
    return std::nullopt;
  }
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::string name(absl::StripAsciiWhitespace(part));
    if (name == "*") return "namespaces, or * alone for all of them";
    if (!base::IsDns1123Label(name)) {
      return absl::StrCat(
          "namespaces separated by commas, or *; \"", absl::CHexEscape(name),
          "\" is none: 1 to 63 lower-case letters, digits and '-', with a letter or digit at both "
          "ends");
    }
    std::vector<std::string>& names = options.watch_namespaces;
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return std::nullopt;
}

// In the order of the help.
const std::vector<Flag>& Flags() {
  static const auto& flags = *new std::vector<Flag>{
      {"listen", "ADDRESS", "Where the gRPC service listens; port 0 takes any free one.",
       "127.0.0.1:50051", "", SetAddress(&Options::listen)},
      {"admin-listen", "ADDRESS", "Where the HTTP endpoints for operators listen.",
       "127.0.0.1:8080", "", SetAddress(&Options::admin_listen)},
      {"kubeconfig", "FILE",
       "The kubeconfig of the cluster that holds StageHealths and, unless said otherwise below, "
       "the Applications.",
       "", "KUBECONFIG, ~/.kube/config, else in-cluster", SetText(&Options::kubeconfig)},
      {"context", "NAME", "The context of that kubeconfig.", "", "its current context",
       SetText(&Options::context)},
      {"argocd-kubeconfig", "FILE",
       "The kubeconfig of Argo CD's cluster, when that is another one.", "", "as --kubeconfig",
       SetText(&Options::argocd_kubeconfig)},
      {"argocd-context", "NAME", "The context of Argo CD's cluster.", "",
       "the current one of the kubeconfig above", SetText(&Options::argocd_context)},
      {"argocd-namespace", "NAMESPACE", "The namespace of Applications that name none.", "argocd",
       "", SetNamespace(&Options::argocd_namespace)},
      {"watch-namespaces", "NAMESPACES",
       "The namespaces Applications are looked for in, separated by commas; * for all.", "",
       "the value of --argocd-namespace", SetWatchNamespaces},
      {"stage-namespace", "NAMESPACE", "Where StageHealths are kept.", "",
       "the pod's namespace, else the context's", SetNamespace(&Options::stage_namespace)},
      {"staleness-limit", "DURATION",
       "How old the evidence may be that a Stage is called healthy on.", "2m", "",
       SetDuration(&Options::staleness_limit, absl::Seconds(1), absl::Hours(24))},
      {"max-sync-attempts", "NUMBER",
       "How many syncs of an Application one step starts before it fails.", "5", "",
       SetNumber(&Options::max_sync_attempts, 1, 100)},
      {"operation-initiator", "NAME",
       "Who an operation is said to be initiated by when the call names no actor.", "gantry", "",
       SetInitiator},
      {"max-wait", "DURATION", "The longest `wait` that a call may ask for.", "10m", "",
       SetDuration(&Options::max_wait, absl::ZeroDuration(), absl::Hours(24))},
      {"step-workers", "NUMBER", "How many steps and Applications are worked on at once.", "16", "",
       SetNumber(&Options::step_workers, 1, 1024)},
      {"kube-qps", "NUMBER",
       "Requests per second to each Kubernetes API server, on the average, for the calls of users, "
       "and as many again for the background; 0: no limit but the API server's own.",
       "500", "", SetNumber(&Options::kube_qps, 0, 100'000)},
      {"kube-burst", "NUMBER", "Requests to the Kubernetes API that may exceed that at once.",
       "1000", "", SetNumber(&Options::kube_burst, 1, 100'000)},
      {"drain-timeout", "DURATION",
       "How long calls may go on after a signal to stop. Keep it below the pod's termination grace "
       "period, 30s unless set.",
       "25s", "", SetDuration(&Options::drain_timeout, absl::ZeroDuration(), absl::Hours(1))},
      {"log-level", "LEVEL", "The least severe lines to log: debug, info, warn or error.", "info",
       "",
       SetChoice<LogLevel>(&Options::log_level, {{"debug", LogLevel::kDebug},
                                                 {"info", LogLevel::kInfo},
                                                 {"warn", LogLevel::kWarning},
                                                 {"error", LogLevel::kError}})},
      {"log-format", "FORMAT", "How lines are logged: json or text.", "",
       "text on a terminal, else json",
       SetChoice<LogFormat>(&Options::log_format,
                            {{"json", LogFormat::kJson}, {"text", LogFormat::kText}})},
      {"port-file", "FILE",
       "Where to write the addresses really bound, as {\"listen\": \"...\", \"admin\": \"...\"}, "
       "once serving. Removed at exit.",
       "", "none is written", SetText(&Options::port_file)},
  };
  return flags;
}

// How many characters to insert, remove or replace to turn `a` into `b`.
std::size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0U);
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

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

// What was typed, fit for a sentence.
std::string Quoted(const std::string& found) {
  constexpr std::size_t kLongest = 100;
  const bool cut = found.size() > kLongest;
  return absl::StrCat("\"", absl::CHexEscape(found.substr(0, kLongest)), cut ? "..." : "", "\"");
}

std::string UnknownArgument(const std::string& argument) {
  if (argument.empty() || argument[0] != '-') {
    return absl::StrCat(Quoted(argument), " is not a flag; expected flags only. See --help.");
  }
  const std::string option = argument.substr(0, argument.find('='));
  std::string nearest;
  std::size_t distance = 4;  // anything farther is another word
  for (const Flag& flag : Flags()) {
    const std::size_t d = EditDistance(option, flag.Option());
    if (d < distance) {
      distance = d;
      nearest = flag.Option();
    }
  }
  return absl::StrCat(
      "There is no flag ", Quoted(option),
      nearest.empty() ? "; see --help." : absl::StrCat("; did you mean ", nearest, "?"));
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

std::optional<absl::Duration> ParseDuration(std::string_view text) {
  // absl::ParseDuration also takes signs, "inf" and a bare 0.
  if (text.empty() ||
      (!absl::ascii_isdigit(static_cast<unsigned char>(text[0])) && text[0] != '.')) {
    return std::nullopt;
  }
  if (absl::ascii_isdigit(static_cast<unsigned char>(text.back()))) return std::nullopt;
  absl::Duration duration;
  if (!absl::ParseDuration(absl::string_view(text.data(), text.size()), &duration)) {
    return std::nullopt;
  }
  return duration;
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
  std::vector<std::pair<const Flag*, CLI::Option*>> options;
  for (const Flag& flag : Flags()) {
    const std::string default_words =
        flag.default_value.empty() ? flag.default_words : flag.default_value;
    CLI::Option* option = app.add_option(flag.Option());
    // A missing value is found below, with the other mistakes.
    option
        ->description(absl::StrCat(Wrapped(flag.meaning), "\n[", flag.Variable(),
                                   "; default: ", default_words, "]"))
        ->type_name(flag.value_name)
        ->expected(0, 1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    options.emplace_back(&flag, option);
  }
  app.add_flag("--version", version, "Print the version and exit.");
  app.add_flag("-h,--help", help, "Print this and exit.");

  ParseResult result;
  try {
    // CLI11 takes its arguments from the end.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::Error& error) {
    result.mistakes.push_back(absl::StrCat(error.what(), "; see --help."));
    return result;
  }
  if (help) {
    result.text = app.help();
    return result;
  }
  if (version) {
    result.text = "gantry-server " GANTRY_VERSION "\n";
    return result;
  }
  for (const std::string& argument : app.remaining()) {
    if (argument == "--") {
      result.mistakes.emplace_back("\"--\" and what follows are not taken; expected flags only.");
      break;
    }
    result.mistakes.push_back(UnknownArgument(argument));
  }

  Options parsed;
  parsed.log_format = log_to_terminal ? LogFormat::kText : LogFormat::kJson;
  for (const auto& [flag, option] : options) {
    std::string where = flag->Option();
    std::optional<std::string> found;
    if (option->count() > 0 || !option->empty()) {
      if (!option->results().empty()) found = option->results().back();
      if (!found || found->empty()) {
        result.mistakes.push_back(absl::StrCat(where, " has no value; expected ", flag->value_name,
                                               " after it, see --help."));
        continue;
      }
    } else if (const auto variable = environment(flag->Variable());
               variable && !variable->empty()) {
      where = flag->Variable();
      found = *variable;
    } else if (!flag->default_value.empty()) {
      found = flag->default_value;
    }
    if (!found) continue;
    if (const std::optional<std::string> expected = flag->set(*found, parsed)) {
      result.mistakes.push_back(
          absl::StrCat(where, " is ", Quoted(*found), "; expected ", *expected, "."));
    }
  }
  if (!result.mistakes.empty()) return result;
  if (!parsed.watch_all_namespaces && parsed.watch_namespaces.empty()) {
    parsed.watch_namespaces = {parsed.argocd_namespace};
  }
  result.options = std::move(parsed);
  return result;
}

}  // namespace gantry::options
