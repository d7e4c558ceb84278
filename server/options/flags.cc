// SPDX-License-Identifier: Apache-2.0
#include "server/options/flags.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/durations.h"
#include "base/names.h"
#include "base/text.h"

namespace gantry::options {
namespace {

using observability::LogFormat;
using observability::LogLevel;

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
    const std::optional<absl::Duration> duration = base::ParseGoDuration(text);
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
          "namespaces separated by commas, or *; ", base::Quote(name),
          " is none: 1 to 63 lower-case letters, digits and '-', with a letter or digit at both "
          "ends");
    }
    std::vector<std::string>& names = options.watch_namespaces;
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return std::nullopt;
}

}  // namespace

std::string Flag::Option() const { return "--" + name; }

std::string Flag::Variable() const {
  return "GANTRY_" + absl::AsciiStrToUpper(absl::StrReplaceAll(name, {{"-", "_"}}));
}

// Longer than 60 lines because it is the table of all flags, which has no branch.
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

}  // namespace gantry::options
