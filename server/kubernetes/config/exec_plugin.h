// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_CONFIG_EXEC_PLUGIN_H_
#define GANTRY_SERVER_KUBERNETES_CONFIG_EXEC_PLUGIN_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/context.h"
#include "server/kubernetes/config/kube_config.h"
#include "server/kubernetes/config/tls_files.h"

namespace gantry::kubernetes {

// What an exec plugin printed.
struct ExecCredential {
  std::string token;                             // may be empty
  std::optional<ClientCertificate> certificate;  // one of the two is there
  std::optional<absl::Time> expiration;
};

// Runs the plugin of `config` (which has one), and ends it after `timeout`. Errors name the plugin
// and where it is configured, and never quote what it printed.
absl::StatusOr<ExecCredential> RunExecPlugin(const ClusterConfig& config, absl::Duration timeout,
                                             base::Context& context);

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_CONFIG_EXEC_PLUGIN_H_
