// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/config/kube_config.h"

#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <filesystem>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/strings.h"
#include "server/kubernetes/config/file.h"
#include "server/kubernetes/config/kube_config_entries.h"
#include "server/kubernetes/config/kube_config_user.h"
#include "server/kubernetes/config/proxy.h"
#include "server/kubernetes/config/server_url.h"

namespace gantry::kubernetes {
namespace {

absl::Status NoSuchEntry(const std::string& reference, const std::string& kind,
                         const std::string& name, const Entries& entries,
                         const std::vector<std::string>& files) {
  return absl::NotFoundError(base::StrCat(reference, " names the ", kind, " ", Quoted(name),
                                          ", which is not in ", absl::StrJoin(files, ", "),
                                          "; there are: ", Names(entries)));
}

absl::Status ReadCluster(const Entry& entry, const Environment& environment,
                         ClusterConfig& config) {
  FieldReader fields(entry, entry.node);
  const std::string server = fields.Text("server");
  config.tls.ca = {fields.Base64("certificate-authority-data"),
                   fields.Path("certificate-authority")};
  config.tls.server_name = fields.Text("tls-server-name");
  config.tls.insecure_skip_verify = fields.Bool("insecure-skip-tls-verify");
  const std::string proxy = fields.Text("proxy-url");
  if (!config.tls.ca.data.empty() && !config.tls.ca.file.empty()) {
    fields.Fail("has both certificate-authority and certificate-authority-data; remove one");
  }
  if (config.tls.insecure_skip_verify && !config.tls.ca.empty()) {
    fields.Fail(
        "has insecure-skip-tls-verify and a certificate authority, which contradict each other; "
        "remove insecure-skip-tls-verify");
  }
  if (server.empty()) fields.Fail("has no server; set it to the API server's URL");
  if (!fields.status().ok()) return fields.status();

  const absl::StatusOr<ServerUrl> url = ParseServerUrl(server);
  if (!url.ok()) {
    return absl::InvalidArgumentError(base::StrCat(entry.Describe(), ": ", url.status().message()));
  }
  config.server = base::StrCat(url->Origin(), url->path);
  absl::StatusOr<std::string> checked =
      proxy.empty() ? ProxyFromEnvironment(*url, environment)
                    : CheckProxyUrl(proxy, base::StrCat("proxy-url of ", entry.Describe()));
  if (!checked.ok()) return checked.status();
  config.proxy_url = *std::move(checked);
  return absl::OkStatus();
}

// Files that cannot be used are told at once, not with the first call.
absl::Status CheckTls(const std::string& where, const ClusterConfig& config) {
  const absl::StatusOr<TlsMaterial> material = ReadTlsFiles(config.tls);
  if (material.ok()) return absl::OkStatus();
  return absl::Status(material.status().code(),
                      base::StrCat(where, ": ", material.status().message()));
}

absl::StatusOr<ClusterConfig> Select(const Merged& merged, const std::string& wanted,
                                     const Environment& environment) {
  const std::string files = absl::StrJoin(merged.files, ", ");
  const std::string& name = wanted.empty() ? merged.current_context : wanted;
  if (name.empty()) {
    return absl::InvalidArgumentError(
        base::StrCat(files,
                     " has no current-context; choose one with --context, or with "
                     "\"kubectl config use-context\"; there are: ",
                     Names(merged.contexts)));
  }
  const auto context = merged.contexts.find(name);
  if (context == merged.contexts.end()) {
    const std::string reference =
        wanted.empty() ? base::StrCat("current-context of ", merged.current_context_file)
                       : std::string("--context");
    return NoSuchEntry(reference, "context", name, merged.contexts, merged.files);
  }
  const Entry& entry = context->second;
  FieldReader fields(entry, entry.node);
  const std::string cluster_name = fields.Text("cluster");
  const std::string user_name = fields.Text("user");
  ClusterConfig config;
  config.ns = fields.Text("namespace");
  if (config.ns.empty()) config.ns = "default";
  config.source = base::StrCat("context ", Quoted(name), " of ", entry.file);
  if (cluster_name.empty()) fields.Fail("has no cluster; set it");
  if (!fields.status().ok()) return fields.status();

  const auto cluster = merged.clusters.find(cluster_name);
  if (cluster == merged.clusters.end()) {
    return NoSuchEntry(entry.Describe(), "cluster", cluster_name, merged.clusters, merged.files);
  }
  if (absl::Status status = ReadCluster(cluster->second, environment, config); !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckTls(cluster->second.Describe(), config); !status.ok()) {
    return status;
  }
  // Without a user the server is asked anonymously, as kubectl does.
  if (user_name.empty()) return config;
  const auto user = merged.users.find(user_name);
  if (user == merged.users.end()) {
    return NoSuchEntry(entry.Describe(), "user", user_name, merged.users, merged.files);
  }
  if (absl::Status status = ReadUser(user->second, cluster->second, config); !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckTls(user->second.Describe(), config); !status.ok()) return status;
  return config;
}

absl::StatusOr<ClusterConfig> LoadInCluster(const std::string& host, const std::string& port,
                                            const Environment& environment) {
  const std::string& folder = environment.service_account_folder;
  ClusterConfig config;
  config.source = base::StrCat("the pod's service account in ", folder);
  const bool is_v6 = host.find(':') != std::string::npos && host.front() != '[';
  const std::string server =
      base::StrCat("https://", is_v6 ? base::StrCat("[", host, "]") : host, ":", port);
  const absl::StatusOr<ServerUrl> url = ParseServerUrl(server);
  if (!url.ok()) {
    return absl::InvalidArgumentError(base::StrCat(
        "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT: ", url.status().message()));
  }
  config.server = url->Origin();
  config.tls.ca.file = base::StrCat(folder, "/ca.crt");
  config.token_file = base::StrCat(folder, "/token");
  if (absl::StatusOr<std::string> token = ReadFile(config.token_file); !token.ok()) {
    return absl::FailedPreconditionError(
        base::StrCat("this pod has no service account token: ", token.status().message(),
                     "; set automountServiceAccountToken, or give --kubeconfig"));
  }
  if (absl::Status status = CheckTls(config.source, config); !status.ok()) return status;
  config.ns = PodNamespace(environment);
  if (config.ns.empty()) config.ns = "default";
  absl::StatusOr<std::string> proxy = ProxyFromEnvironment(*url, environment);
  if (!proxy.ok()) return proxy.status();
  config.proxy_url = *std::move(proxy);
  return config;
}

std::string VariableOr(const Environment& environment, const std::string& name) {
  return environment.get_variable(name).value_or("");
}

// The kubeconfig files to look for, in the order in which they count.
std::vector<std::string> Candidates(const KubeConfigSelection& selection,
                                    const Environment& environment) {
  if (!selection.path.empty()) return {selection.path};
  if (const std::string listed = VariableOr(environment, "KUBECONFIG"); !listed.empty()) {
    return absl::StrSplit(listed, ':', absl::SkipEmpty());
  }
  const std::string home = VariableOr(environment, "HOME");
  if (home.empty()) return {};
  return {base::StrCat(home, "/.kube/config")};
}

absl::StatusOr<Merged> ReadFiles(const std::vector<std::string>& candidates, bool given) {
  Merged merged;
  for (const std::string& candidate : candidates) {
    std::error_code ignored;
    const std::string file = std::filesystem::absolute(candidate, ignored).string();
    const absl::StatusOr<std::string> content = ReadFile(file);
    if (!content.ok()) {
      if (absl::IsNotFound(content.status()) && !given) continue;
      return absl::Status(content.status().code(),
                          base::StrCat(given ? "the kubeconfig given with --kubeconfig: "
                                             : "the kubeconfig of the environment: ",
                                       content.status().message()));
    }
    absl::Status status;
    try {
      status = AddFile(file, *content, merged);
    } catch (const YAML::Exception&) {
      status = absl::InvalidArgumentError(base::StrCat(file, " is not a kubeconfig"));
    }
    if (!status.ok()) return status;
  }
  return merged;
}

}  // namespace

Environment ProcessEnvironment() {
  Environment environment;
  environment.get_variable = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
  return environment;
}

absl::StatusOr<ClusterConfig> LoadClusterConfig(const KubeConfigSelection& selection,
                                                const Environment& environment) {
  const std::vector<std::string> candidates = Candidates(selection, environment);
  const absl::StatusOr<Merged> read = ReadFiles(candidates, !selection.path.empty());
  if (!read.ok()) return read.status();
  const Merged& merged = *read;
  if (!merged.empty()) {
    try {
      return Select(merged, selection.context, environment);
    } catch (const YAML::Exception&) {
      return absl::InvalidArgumentError(
          base::StrCat(absl::StrJoin(merged.files, ", "), " is not a kubeconfig"));
    }
  }
  const std::string searched = candidates.empty() ? "neither KUBECONFIG nor HOME is set"
                                                  : base::StrCat("nothing is configured in ",
                                                                 absl::StrJoin(candidates, ", "));
  if (!selection.path.empty()) {
    return absl::InvalidArgumentError(
        base::StrCat(selection.path, " is an empty kubeconfig: it has no clusters and contexts"));
  }
  if (!selection.context.empty()) {
    return absl::NotFoundError(base::StrCat("there is no context ", Quoted(selection.context), ": ",
                                            searched, "; give --kubeconfig"));
  }
  const std::string host = VariableOr(environment, "KUBERNETES_SERVICE_HOST");
  const std::string port = VariableOr(environment, "KUBERNETES_SERVICE_PORT");
  if (host.empty() || port.empty()) {
    return absl::NotFoundError(
        base::StrCat("no Kubernetes cluster is configured: ", searched,
                     ", and this is not a pod (KUBERNETES_SERVICE_HOST is not set); give "
                     "--kubeconfig"));
  }
  return LoadInCluster(host, port, environment);
}

std::string PodNamespace(const Environment& environment) {
  const absl::StatusOr<std::string> text =
      ReadFile(base::StrCat(environment.service_account_folder, "/namespace"));
  return text.ok() ? std::string(absl::StripAsciiWhitespace(*text)) : "";
}

}  // namespace gantry::kubernetes
