// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_APP_CLUSTERS_H_
#define GANTRY_SERVER_APP_CLUSTERS_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/kubernetes/api/api_connection.h"
#include "server/kubernetes/api/client.h"
#include "server/observability/log.h"
#include "server/observability/metrics.h"
#include "server/options/options.h"

namespace gantry::app {

// The clusters that the program works on, and where it keeps its StageHealths. Made once at the
// start; the connections and clients may be used by any thread.
struct Clusters {
  std::shared_ptr<kubernetes::ApiConnection> stages_connection;
  std::shared_ptr<kubernetes::ApiConnection> argocd_connection;  // may be the same
  std::unique_ptr<kubernetes::Client> stages_client;
  std::unique_ptr<kubernetes::Client> argocd;
  // For what no caller waits for.
  std::unique_ptr<kubernetes::Client> stages_background;
  std::unique_ptr<kubernetes::Client> argocd_background;
  std::string stage_namespace;
};

// Reads the configuration of the clusters that the options name. Sends no request yet. `metrics`
// outlives the connections. An error is one sentence for whoever started the program.
absl::StatusOr<Clusters> Connect(const options::Options& options, observability::Metrics& metrics,
                                 const observability::Logger& log);

}  // namespace gantry::app

#endif  // GANTRY_SERVER_APP_CLUSTERS_H_
