// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_CONFIG_KUBE_CONFIG_H_
#define GANTRY_SERVER_KUBERNETES_CONFIG_KUBE_CONFIG_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/kubernetes/config/tls_files.h"

namespace gantry::kubernetes {

// A program that prints credentials (client.authentication.k8s.io).
struct ExecPlugin {
  std::string api_version;  // "client.authentication.k8s.io/v1" or ".../v1beta1"
  std::string command;
  std::vector<std::string> arguments;
  std::vector<std::pair<std::string, std::string>> environment;
  std::string install_hint;
  // When the plugin asked for it: the cluster, as the JSON that it is told.
  bool provide_cluster_info = false;
  std::string cluster_extension_json;  // of the cluster's extension for exec plugins; may be empty
};

// Who to be after authentication.
struct Impersonation {
  std::string user;
  std::string uid;
  std::vector<std::string> groups;
  std::vector<std::pair<std::string, std::string>> extra;
};

// How to reach one cluster, and as whom: a plain value, with nothing left to look up but the
// files that it names, whose paths are absolute. Holds secrets: never to be logged.
struct ClusterConfig {
  std::string server;  // "https://host:port[/path]"
  TlsFiles tls;
  std::string proxy_url;  // resolved from the environment when the kubeconfig has none

  std::string token;
  std::string token_file;  // wins over `token`, which stands in while the file was never read
  std::string username;
  std::string password;
  std::optional<ExecPlugin> exec;
  Impersonation impersonation;

  std::string ns;      // the context's namespace, or the pod's; "default" when there is none
  std::string source;  // for messages: "context \"prod\" of /home/me/.kube/config"
};

// What the process stands in, injected for tests.
struct Environment {
  std::function<std::optional<std::string>(const std::string& name)> get_variable;
  std::string service_account_folder = "/var/run/secrets/kubernetes.io/serviceaccount";
};

// The process's own environment.
Environment ProcessEnvironment();

struct KubeConfigSelection {
  std::string path;     // --kubeconfig; empty: as the environment says
  std::string context;  // --context; empty: the current one
};

// Finds the configuration as kubectl does: the file given (missing is an error), else those in
// KUBECONFIG, else ~/.kube/config; when these give nothing, that of the pod. Errors are
// INVALID_ARGUMENT, FAILED_PRECONDITION or NOT_FOUND; they name the file and the entry in it,
// and say what to do.
absl::StatusOr<ClusterConfig> LoadClusterConfig(const KubeConfigSelection& selection,
                                                const Environment& environment);

// The namespace of the pod that this process runs in; empty outside of a pod.
std::string PodNamespace(const Environment& environment);

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_CONFIG_KUBE_CONFIG_H_
