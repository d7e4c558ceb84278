// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_CONFIG_KUBE_CONFIG_USER_H_
#define GANTRY_SERVER_KUBERNETES_CONFIG_KUBE_CONFIG_USER_H_

#include "absl/status/status.h"
#include "server/kubernetes/config/kube_config.h"
#include "server/kubernetes/config/kube_config_entries.h"

namespace gantry::kubernetes {

// Puts what a kubeconfig's user says into `config`: credentials, impersonation, and the plugin that
// prints credentials, which may want to know of the cluster.
absl::Status ReadUser(const Entry& entry, const Entry& cluster, ClusterConfig& config);

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_CONFIG_KUBE_CONFIG_USER_H_
