// SPDX-License-Identifier: Apache-2.0
// gantry-server: wires the parts together and waits for a signal to stop.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/base/clock.h"
#include "server/base/random.h"
#include "server/base/strings.h"
#include "server/base/worker_pool.h"
#include "server/kubernetes/event_recorder.h"
#include "server/kubernetes/kube_config.h"
#include "server/kubernetes/rest_client.h"
#include "server/observability/admin_server.h"
#include "server/observability/library_logs.h"
#include "server/observability/log.h"
#include "server/observability/port_file.h"
#include "server/options/options.h"
#include "server/service/promotion_step_service.h"
#include "server/service/server.h"
#include "server/stages/stage_store.h"
#include "server/steps/argocd_update.h"
#include "server/steps/step_runner.h"

namespace gantry {
namespace {

using observability::Logger;
using observability::ServingState;

constexpr int kExitFailed = 1;
constexpr int kExitBadOptions = 2;

// Calls that may wait for each worker before further ones are refused.
constexpr std::size_t kQueuedPerWorker = 16;

// Hears SIGTERM and SIGINT: the first asks the program to stop, the second ends it at once. Made
// before any other thread, so that all of them inherit the blocked signals; lives as long as the
// process.
class StopSignal {
 public:
  StopSignal() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::thread([signals, stop = std::move(stop_)]() mutable {
      int number = 0;
      sigwait(&signals, &number);
      stop.set_value(number);
      sigwait(&signals, &number);
      _exit(kExitFailed);
    }).detach();
  }

  // The number of the signal.
  int Wait() { return stopped_.get(); }

 private:
  std::promise<int> stop_;
  std::future<int> stopped_ = stop_.get_future();
};

// What steps are carried out with: the clusters and what is kept in them.
struct Clusters {
  std::unique_ptr<kubernetes::Client> stages_client;
  std::unique_ptr<kubernetes::Client> argocd_client;  // null: the same cluster
  std::unique_ptr<stages::StageStore> stages;
  std::unique_ptr<kubernetes::BackgroundEventRecorder> events;
  std::unique_ptr<base::WorkerPool> helpers;

  kubernetes::Client& argocd() const { return argocd_client ? *argocd_client : *stages_client; }
};

absl::StatusOr<std::unique_ptr<kubernetes::Client>> MakeClient(
    const options::Options& options, const kubernetes::ClusterConfig& config, const Logger& log) {
  kubernetes::ClientOptions client;
  client.user_agent = "gantry-server/" GANTRY_VERSION;
  client.qps = options.kube_qps;
  client.burst = options.kube_burst;
  client.on_warning = [log](std::string_view message) { log.Warning(message); };
  log.Info("using a cluster", {{"server", config.server}, {"configuration", config.source}});
  return kubernetes::MakeClient(config, client);
}

absl::StatusOr<Clusters> Connect(const options::Options& options, const Logger& log) {
  const kubernetes::Environment environment = kubernetes::ProcessEnvironment();
  const auto config =
      kubernetes::LoadClusterConfig({options.kubeconfig, options.context}, environment);
  if (!config.ok()) return config.status();
  Clusters clusters;
  auto client = MakeClient(options, *config, log);
  if (!client.ok()) return client.status();
  clusters.stages_client = *std::move(client);
  if (!options.argocd_kubeconfig.empty() || !options.argocd_context.empty()) {
    const auto argocd_config = kubernetes::LoadClusterConfig(
        {options.argocd_kubeconfig.empty() ? options.kubeconfig : options.argocd_kubeconfig,
         options.argocd_context},
        environment);
    if (!argocd_config.ok()) return argocd_config.status();
    client = MakeClient(options, *argocd_config, log);
    if (!client.ok()) return client.status();
    clusters.argocd_client = *std::move(client);
  }

  std::string stage_namespace = options.stage_namespace;
  if (stage_namespace.empty()) stage_namespace = kubernetes::PodNamespace(environment);
  if (stage_namespace.empty()) stage_namespace = config->ns;
  log.Info("keeping StageHealths", {{"namespace", stage_namespace}});
  clusters.stages = std::make_unique<stages::StageStore>(*clusters.stages_client, stage_namespace);
  clusters.events = std::make_unique<kubernetes::BackgroundEventRecorder>(
      clusters.argocd(), "gantry", base::SystemClock(), log);
  const auto step_workers = static_cast<std::size_t>(options.step_workers);
  clusters.helpers = std::make_unique<base::WorkerPool>(step_workers, step_workers);
  return clusters;
}

// The kinds of step this server carries out. This is the place to add one.
steps::StepRegistry BuildStepRegistry(const options::Options& options, const Clusters& clusters) {
  steps::StepRegistry registry;
  registry.Add(std::make_unique<steps::ArgocdUpdate>(
      steps::ArgocdUpdate::Options{.argocd_namespace = options.argocd_namespace,
                                   .watch_namespaces = options.watch_namespaces,
                                   .max_sync_attempts = options.max_sync_attempts,
                                   .operation_initiator = options.operation_initiator},
      steps::ArgocdUpdate::Dependencies{clusters.argocd(), *clusters.stages, *clusters.events,
                                        *clusters.helpers, base::SystemClock(),
                                        base::SystemRandom(), base::SystemSleeper()}));
  return registry;
}

int Fail(const Logger& log, const absl::Status& status) {
  log.Error("cannot start", {{"error", base::ToStd(status.message())}});
  return kExitFailed;
}

int Serve(const options::Options& options, const Logger& log, StopSignal& stop) {
  ServingState state;
  auto admin =
      observability::AdminServer::Start(options.admin_listen.host, options.admin_listen.port,
                                        {{"serving", [&state] { return state.WhyNot(); }}});
  if (!admin.ok()) return Fail(log, admin.status());

  const absl::StatusOr<Clusters> clusters = Connect(options, log);
  if (!clusters.ok()) return Fail(log, clusters.status());
  const steps::StepRegistry registry = BuildStepRegistry(options, *clusters);
  const auto step_workers = static_cast<std::size_t>(options.step_workers);
  base::WorkerPool workers(step_workers, step_workers * kQueuedPerWorker);
  service::ServiceLimits limits;
  limits.max_wait = options.max_wait;
  service::PromotionStepServiceImpl service(registry, workers, limits, base::SystemClock(),
                                            base::SystemRandom(), log);
  service::ServerOptions server_options;
  server_options.host = options.listen.host;
  server_options.port = options.listen.port;
  auto server = service::Server::Start(server_options, service);
  if (!server.ok()) return Fail(log, server.status());

  const std::string listen = options::Address{options.listen.host, (*server)->port()}.ToString();
  const std::string admin_listen =
      options::Address{options.admin_listen.host, (*admin)->port()}.ToString();
  (*server)->SetServing(true);
  state.Set(ServingState::Phase::kServing);
  std::unique_ptr<observability::PortFile> port_file;
  if (!options.port_file.empty()) {
    auto written = observability::PortFile::Write(options.port_file, listen, admin_listen);
    if (!written.ok()) return Fail(log, written.status());
    port_file = *std::move(written);
  }
  log.Info("serving", {{"listen", listen}, {"admin", admin_listen}});

  const int signal = stop.Wait();
  log.Info("stopping: calls in progress may finish",
           {{"signal", strsignal(signal)},
            {"drain_timeout", absl::FormatDuration(options.drain_timeout)}});
  state.Set(ServingState::Phase::kDraining);
  (*server)->Shutdown(options.drain_timeout);
  log.Info("stopped");
  return EXIT_SUCCESS;
}

std::optional<std::string> FromEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

int Main(const std::vector<std::string>& arguments) {
  signal(SIGPIPE, SIG_IGN);
  StopSignal stop;

  const options::ParseResult parsed =
      options::Parse(arguments, FromEnvironment, isatty(STDERR_FILENO) == 1);
  if (!parsed.options) {
    std::fputs(parsed.text.c_str(), stdout);
    for (const std::string& mistake : parsed.mistakes) {
      std::fprintf(stderr, "gantry-server: %s\n", mistake.c_str());
    }
    return parsed.mistakes.empty() ? EXIT_SUCCESS : kExitBadOptions;
  }
  const Logger log =
      observability::MakeLogger(parsed.options->log_format, parsed.options->log_level);
  observability::RedirectLibraryLogs(log);
  return Serve(*parsed.options, log, stop);
}

}  // namespace
}  // namespace gantry

int main(int argc, char** argv) {
  return gantry::Main(std::vector<std::string>(argv + 1, argv + argc));
}
