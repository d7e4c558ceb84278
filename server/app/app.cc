// SPDX-License-Identifier: Apache-2.0
#include "server/app/app.h"

#include <utility>

#include "base/clock.h"
#include "base/context.h"
#include "base/random.h"
#include "server/app/clusters.h"
#include "server/app/step_metrics.h"

namespace gantry::app {
namespace {

using observability::ServingState;

// Calls that may wait for each worker before further ones are refused.
constexpr std::size_t kQueuedPerWorker = 16;

}  // namespace

App::App(options::Options options, observability::Logger log)
    : options_(std::move(options)),
      log_(std::move(log)),
      metrics_(GANTRY_VERSION, base::SystemClock().Now()),
      workers_(static_cast<std::size_t>(options_.step_workers),
               static_cast<std::size_t>(options_.step_workers) * kQueuedPerWorker) {}

absl::StatusOr<std::unique_ptr<App>> App::Start(const options::Options& options,
                                                const observability::Logger& log) {
  std::unique_ptr<App> app(new App(options, log));
  auto clusters = Connect(options, app->metrics_, log);
  if (!clusters.ok()) return clusters.status();
  app->components_ =
      std::make_unique<Components>(options, *std::move(clusters), app->metrics_, log);
  if (absl::Status status = app->StartAdminServer(); !status.ok()) return status;
  if (absl::Status status = app->StartService(); !status.ok()) return status;
  if (absl::Status status = app->Announce(); !status.ok()) return status;
  return app;
}

absl::Status App::StartAdminServer() {
  const cache::Freshness& freshness = components_->caches().freshness;
  auto admin = observability::AdminServer::Start(
      options_.admin_listen.host, options_.admin_listen.port,
      {{"serving", [this] { return state_.WhyNot(); }},
       {"caches-synced", [&freshness] { return freshness.WhyNotSynced(); }},
       {"stages-evaluated", [this] { return components_->health().WhyNotReady(); }},
       {"caches-fresh", [&freshness] { return freshness.WhyNotFresh(); }}},
      [this] { return metrics_.Serialize(); });
  if (!admin.ok()) return admin.status();
  admin_ = *std::move(admin);
  return absl::OkStatus();
}

absl::Status App::StartService() {
  service::ServiceLimits limits;
  limits.max_wait = options_.max_wait;
  limits.argocd_namespace = options_.argocd_namespace;
  service_.emplace(
      service::PromotionStepServiceImpl::Dependencies{
          components_->kinds(), components_->steps(), workers_, components_->pending(),
          components_->stages(), components_->health(), base::SystemClock(), base::SystemRandom(),
          base::SystemSleeper(), [this](const service::StepEnd& end) { CountStep(end, metrics_); }},
      limits, log_);
  service::ServerOptions server_options;
  server_options.host = options_.listen.host;
  server_options.port = options_.listen.port;
  auto server = service::Server::Start(server_options, *service_);
  if (!server.ok()) return server.status();
  server_ = *std::move(server);
  return absl::OkStatus();
}

absl::Status App::Announce() {
  const std::string listen = options::Address{options_.listen.host, server_->port()}.ToString();
  const std::string admin_listen =
      options::Address{options_.admin_listen.host, admin_->port()}.ToString();
  server_->SetServing(true);
  state_.Set(ServingState::Phase::kServing);
  if (!options_.port_file.empty()) {
    auto written = observability::PortFile::Write(options_.port_file, listen, admin_listen);
    if (!written.ok()) return written.status();
    port_file_ = *std::move(written);
  }
  log_.Info("serving", {{"listen", listen}, {"admin", admin_listen}});
  return absl::OkStatus();
}

void App::Drain() {
  state_.Set(ServingState::Phase::kDraining);
  server_->Shutdown(options_.drain_timeout);
}

}  // namespace gantry::app
