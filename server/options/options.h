// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_OPTIONS_OPTIONS_H_
#define GANTRY_SERVER_OPTIONS_OPTIONS_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "server/observability/log.h"

namespace gantry::options {

// Where to listen.
struct Address {
  std::string host;  // a name or an IP address, without brackets
  int port = 0;      // 0: one that the system chooses

  // host:port, an IPv6 address in brackets.
  std::string ToString() const;
  bool operator==(const Address&) const = default;
};

// host:port with an IPv6 address in brackets; nothing for anything else.
std::optional<Address> ParseAddress(std::string_view text);

// How the server is to run: what the command line and the environment said, checked, with the
// defaults filled in. A value; the flags' help texts (Parse with --help) describe each.
struct Options {
  Address listen;
  Address admin_listen;

  // Empty where nothing was said: the client's own rules apply.
  std::string kubeconfig;
  std::string context;
  std::string argocd_kubeconfig;
  std::string argocd_context;

  std::string argocd_namespace;
  bool watch_all_namespaces = false;
  std::vector<std::string> watch_namespaces;  // in the order given, each once; empty when all are
  std::string stage_namespace;                // empty: the pod's, else the context's

  absl::Duration staleness_limit;
  int max_sync_attempts = 0;
  std::string operation_initiator;
  absl::Duration max_wait;
  int step_workers = 0;
  int kube_qps = 0;
  int kube_burst = 0;
  absl::Duration drain_timeout;

  observability::LogLevel log_level = observability::LogLevel::kInfo;
  observability::LogFormat log_format = observability::LogFormat::kJson;
  std::string port_file;  // empty: none is written
};

// Exactly one of the three is set.
struct ParseResult {
  std::optional<Options> options;
  std::string text;                       // what --help or --version print
  std::vector<std::string> usage_errors;  // every one there is, a sentence each
};

// The value of an environment variable; nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// Reads the command line, without the program's name. Every flag has an environment variable,
// GANTRY_ and its name in upper case with underscores; a flag wins over it, and an empty variable
// counts as not set. `log_to_terminal` tells what --log-format is by default. Never throws.
ParseResult Parse(const std::vector<std::string>& arguments, const Environment& environment,
                  bool log_to_terminal);

}  // namespace gantry::options

#endif  // GANTRY_SERVER_OPTIONS_OPTIONS_H_
