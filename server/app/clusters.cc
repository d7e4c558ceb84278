// SPDX-License-Identifier: Apache-2.0
#include "server/app/clusters.h"

#include <string_view>
#include <utility>

#include "absl/time/time.h"
#include "server/kubernetes/api/rest_client.h"
#include "server/kubernetes/config/kube_config.h"

namespace gantry::app {
namespace {

using observability::Logger;

constexpr int kHttpConflict = 409;

absl::StatusOr<std::shared_ptr<kubernetes::ApiConnection>> ConnectTo(
    const options::Options& options, const kubernetes::ClusterConfig& config,
    observability::Metrics& metrics, const Logger& log) {
  kubernetes::ClientOptions client;
  client.user_agent = "gantry-server/" GANTRY_VERSION;
  client.qps = options.kube_qps;
  client.burst = options.kube_burst;
  client.on_warning = [log](std::string_view message) { log.Warning(message); };
  client.on_attempt = [&metrics](const kubernetes::ApiTarget& /*target*/, int http_status,
                                 kubernetes::ErrorKind /*kind*/, absl::Duration /*duration*/) {
    if (http_status == kHttpConflict) metrics.conflicts().Increment({});
  };
  log.Info("using a cluster", {{"server", config.server}, {"configuration", config.source}});
  return kubernetes::MakeApiConnection(config, client);
}

}  // namespace

absl::StatusOr<Clusters> Connect(const options::Options& options, observability::Metrics& metrics,
                                 const Logger& log) {
  const kubernetes::Environment environment = kubernetes::ProcessEnvironment();
  const auto config =
      kubernetes::LoadClusterConfig({options.kubeconfig, options.context}, environment);
  if (!config.ok()) return config.status();
  Clusters clusters;
  auto connection = ConnectTo(options, *config, metrics, log);
  if (!connection.ok()) return connection.status();
  clusters.stages_connection = clusters.argocd_connection = *std::move(connection);
  if (!options.argocd_kubeconfig.empty() || !options.argocd_context.empty()) {
    const auto argocd_config = kubernetes::LoadClusterConfig(
        {options.argocd_kubeconfig.empty() ? options.kubeconfig : options.argocd_kubeconfig,
         options.argocd_context},
        environment);
    if (!argocd_config.ok()) return argocd_config.status();
    connection = ConnectTo(options, *argocd_config, metrics, log);
    if (!connection.ok()) return connection.status();
    clusters.argocd_connection = *std::move(connection);
  }
  clusters.stages_client = std::make_unique<kubernetes::RestClient>(clusters.stages_connection);
  clusters.argocd = std::make_unique<kubernetes::RestClient>(clusters.argocd_connection);
  clusters.stages_background = std::make_unique<kubernetes::RestClient>(
      clusters.stages_connection, kubernetes::Traffic::kBackground);
  clusters.argocd_background = std::make_unique<kubernetes::RestClient>(
      clusters.argocd_connection, kubernetes::Traffic::kBackground);

  clusters.stage_namespace = options.stage_namespace;
  if (clusters.stage_namespace.empty()) {
    clusters.stage_namespace = kubernetes::PodNamespace(environment);
  }
  if (clusters.stage_namespace.empty()) clusters.stage_namespace = config->ns;
  log.Info("keeping StageHealths", {{"namespace", clusters.stage_namespace}});
  return clusters;
}

}  // namespace gantry::app
