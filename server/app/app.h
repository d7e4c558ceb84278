// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_APP_APP_H_
#define GANTRY_SERVER_APP_APP_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/worker_pool.h"
#include "server/app/components.h"
#include "server/observability/admin_server.h"
#include "server/observability/log.h"
#include "server/observability/metrics.h"
#include "server/observability/port_file.h"
#include "server/options/options.h"
#include "server/service/promotion_step_service.h"
#include "server/service/server.h"

namespace gantry::app {

// The running program but for the process around it: connects to the clusters, builds the parts,
// listens, and drains. The one place that knows how the parts are put together. Owned and used by
// one thread; its destructor ends everything at once.
class App {
 public:
  // Listens and serves when it returns. An error is one sentence for whoever started the program.
  static absl::StatusOr<std::unique_ptr<App>> Start(const options::Options& options,
                                                    const observability::Logger& log);
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  // Takes no further calls, and returns when those in progress have ended or, after
  // options.drain_timeout, were cancelled.
  void Drain();

 private:
  App(options::Options options, observability::Logger log);

  absl::Status StartAdminServer();
  absl::Status StartService();
  // Tells everybody that it serves.
  absl::Status Announce();

  const options::Options options_;
  const observability::Logger log_;
  observability::ServingState state_;
  observability::Metrics metrics_;
  std::unique_ptr<Components> components_;
  std::unique_ptr<observability::AdminServer> admin_;
  base::WorkerPool workers_;
  std::optional<service::PromotionStepServiceImpl> service_;
  std::unique_ptr<service::Server> server_;
  std::unique_ptr<observability::PortFile> port_file_;
};

}  // namespace gantry::app

#endif  // GANTRY_SERVER_APP_APP_H_
