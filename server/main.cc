// SPDX-License-Identifier: Apache-2.0
// gantry-server: wires the parts together and waits for a signal to stop.
#include <limits.h>
#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/random.h"
#include "base/strings.h"
#include "base/worker_pool.h"
#include "server/cache/caches.h"
#include "server/cache/watchers.h"
#include "server/health/health_cache.h"
#include "server/health/health_metrics.h"
#include "server/health/leader_work.h"
#include "server/kubernetes/api/api_connection.h"
#include "server/kubernetes/api/event_recorder.h"
#include "server/kubernetes/api/rest_client.h"
#include "server/kubernetes/config/kube_config.h"
#include "server/kubernetes/lease/leader_elector.h"
#include "server/observability/admin_server.h"
#include "server/observability/library_logs.h"
#include "server/observability/log.h"
#include "server/observability/metrics.h"
#include "server/observability/port_file.h"
#include "server/options/options.h"
#include "server/service/promotion_step_service.h"
#include "server/service/server.h"
#include "server/stages/stage_store.h"
#include "server/steps/argocd_update.h"
#include "server/steps/argocd_wait.h"
#include "server/steps/parked_calls.h"
#include "server/steps/step_runner.h"

namespace gantry {
namespace {

using observability::Logger;
using observability::ServingState;

constexpr int kExitFailed = 1;
constexpr int kExitBadOptions = 2;

// Calls that may wait for each worker before further ones are refused.
constexpr std::size_t kQueuedPerWorker = 16;
// Of the Lease by which replicas agree on a leader.
constexpr const char* kLeaseName = "gantry";
constexpr int kHttpConflict = 409;

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

// The clusters, and what is kept in them.
struct Clusters {
  std::shared_ptr<kubernetes::ApiConnection> stages_connection;
  std::shared_ptr<kubernetes::ApiConnection> argocd_connection;  // may be the same
  std::unique_ptr<kubernetes::Client> stages_client;
  std::unique_ptr<kubernetes::Client> argocd;
  std::string stage_namespace;
};

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

  clusters.stage_namespace = options.stage_namespace;
  if (clusters.stage_namespace.empty()) {
    clusters.stage_namespace = kubernetes::PodNamespace(environment);
  }
  if (clusters.stage_namespace.empty()) clusters.stage_namespace = config->ns;
  log.Info("keeping StageHealths", {{"namespace", clusters.stage_namespace}});
  return clusters;
}

// A thread that works within a context and is told to end by it.
class Background {
 public:
  explicit Background(std::function<void(base::Context& context)> work)
      : thread_([this, work = std::move(work)] { work(context_); }) {}
  ~Background() {
    context_.Cancel();
    thread_.join();
  }
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

 private:
  base::Context context_;
  std::thread thread_;
};

// One name for each process, so that two replicas on one host are told apart.
std::string Identity() {
  char host[HOST_NAME_MAX + 1] = {};
  gethostname(host, sizeof host - 1);
  return base::StrCat(host, "_",
                      absl::Hex(static_cast<std::uint32_t>(base::SystemRandom().Uniform() * 0x1p32),
                                absl::kZeroPad8));
}

// Everything but the listeners, in the order in which one part is built on another.
class Parts {
 public:
  Parts(const options::Options& options, Clusters clusters, observability::Metrics& metrics,
        const Logger& log)
      : clusters_(std::move(clusters)),
        caches_(options.watch_namespaces, options.staleness_limit, base::SystemClock()),
        stages_(*clusters_.stages_client, clusters_.stage_namespace),
        events_(*clusters_.argocd, "gantry", base::SystemClock(), log),
        helpers_(static_cast<std::size_t>(options.step_workers),
                 static_cast<std::size_t>(options.step_workers)),
        health_({caches_, base::SystemClock(),
                 [&metrics](absl::Duration took) { metrics.propagation().Observe(took); }}),
        parked_(caches_),
        leader_work_({health_, caches_, stages_, *clusters_.argocd, caches_.applications,
                      base::SystemClock()},
                     log),
        elector_(*clusters_.stages_client, ElectorOptions(clusters_.stage_namespace, log)) {
    caches_.applications.SetListener([this](const argocd::ApplicationName& name) {
      health_.ApplicationChanged(name);
      parked_.ApplicationChanged(name);
    });
    caches_.stages.SetListener([this](const cache::StageName& name) {
      health_.StageChanged(name);
      parked_.StageChanged(name);
    });
    caches_.freshness.SetListener([this] { health_.FreshnessChanged(); });
    stages_.SetListener(
        [this](const stages::StoredStage& stage) { cache::PutOwnWrite(caches_.stages, stage); });
    AddSteps(options);
    AddMetrics(metrics);
    Start(metrics, log);
  }

  const steps::StepRegistry& registry() const { return registry_; }
  stages::StageStore& stages() { return stages_; }
  health::HealthCache& health() { return health_; }
  steps::ParkedCalls& parked() { return parked_; }
  const cache::Caches& caches() const { return caches_; }

 private:
  static kubernetes::LeaderElectorOptions ElectorOptions(const std::string& ns, const Logger& log) {
    kubernetes::LeaderElectorOptions options;
    options.ns = ns;
    options.name = kLeaseName;
    options.identity = Identity();
    options.on_message = [log](std::string_view message) { log.Info(message); };
    return options;
  }

  // The kinds of step this server carries out. This is the place to add one.
  void AddSteps(const options::Options& options) {
    registry_.Add(std::make_unique<steps::ArgocdUpdate>(
        steps::ArgocdUpdate::Options{.argocd_namespace = options.argocd_namespace,
                                     .watch_namespaces = options.watch_namespaces,
                                     .max_sync_attempts = options.max_sync_attempts,
                                     .operation_initiator = options.operation_initiator},
        steps::ArgocdUpdate::Dependencies{*clusters_.argocd, stages_, events_, helpers_, caches_,
                                          base::SystemClock(), base::SystemRandom(),
                                          base::SystemSleeper()}));
    registry_.Add(std::make_unique<steps::ArgocdWait>(
        steps::ArgocdWait::Options{.argocd_namespace = options.argocd_namespace,
                                   .watch_namespaces = options.watch_namespaces},
        steps::ArgocdWait::Dependencies{*clusters_.argocd, stages_, helpers_, caches_,
                                        base::SystemClock(), base::SystemRandom(),
                                        base::SystemSleeper()}));
  }

  void AddMetrics(observability::Metrics& metrics) {
    metrics.AddCollector([this] { return health::CollectHealthMetrics(health_, caches_); });
    metrics.AddCollector([this] {
      return std::vector<prometheus::MetricFamily>{
          {"gantry_steps_parked",
           "Calls of RunStep that wait for a change.",
           prometheus::MetricType::Gauge,
           {observability::GaugeValue({}, static_cast<double>(parked_.size()))}},
          {"leader_election_master_status",
           "1 while this process does what one replica does for all, else 0.",
           prometheus::MetricType::Gauge,
           {observability::GaugeValue({{"name", kLeaseName}}, elector_.IsLeader() ? 1 : 0)}}};
    });
  }

  void Start(observability::Metrics& metrics, const Logger& log) {
    background_.push_back(
        std::make_unique<Background>([this](base::Context& context) { health_.Run(context); }));
    background_.push_back(
        std::make_unique<Background>([this](base::Context& context) { parked_.Run(context); }));
    background_.push_back(std::make_unique<Background>([this](base::Context& context) {
      elector_.Run([this](base::Context& term) { leader_work_.Lead(term); }, context);
    }));
    cache::Watchers::Observers observers;
    observers.on_event = [&metrics](std::string_view resource, std::string_view type) {
      metrics.watch_events().Increment(
          {{"resource", std::string(resource)}, {"type", std::string(type)}});
    };
    observers.on_restart = [&metrics](std::string_view resource, std::string_view reason) {
      metrics.watch_restarts().Increment(
          {{"resource", std::string(resource)}, {"reason", std::string(reason)}});
    };
    watchers_ = std::make_unique<cache::Watchers>(caches_, clusters_.stages_connection,
                                                  clusters_.stage_namespace,
                                                  clusters_.argocd_connection, observers, log);
  }

  const Clusters clusters_;
  cache::Caches caches_;
  stages::StageStore stages_;
  kubernetes::BackgroundEventRecorder events_;
  base::WorkerPool helpers_;
  health::HealthCache health_;
  steps::ParkedCalls parked_;
  health::LeaderWork leader_work_;
  kubernetes::LeaderElector elector_;
  steps::StepRegistry registry_;
  std::vector<std::unique_ptr<Background>> background_;
  std::unique_ptr<cache::Watchers> watchers_;
};

void CountStep(const service::StepEnd& end, observability::Metrics& metrics) {
  // Named as the contract does, without the prefix.
  const std::string status =
      end.answer == nullptr
          ? absl::StatusCodeToString(end.error.code())
          : v1::StepStatus_Name(end.answer->status()).substr(sizeof "STEP_STATUS");
  const std::string reason =
      end.answer == nullptr || end.answer->reason() == v1::STEP_REASON_UNSPECIFIED
          ? ""
          : v1::StepReason_Name(end.answer->reason()).substr(sizeof "STEP_REASON");
  metrics.step_runs().Increment(
      {{"uses", end.request.uses()}, {"status", status}, {"reason", reason}});
  metrics.ObserveStep(end.request.uses(), end.duration);
}

int Fail(const Logger& log, const absl::Status& status) {
  log.Error("cannot start", {{"error", base::ToStd(status.message())}});
  return kExitFailed;
}

int Serve(const options::Options& options, const Logger& log, StopSignal& stop) {
  ServingState state;
  observability::Metrics metrics(GANTRY_VERSION, base::SystemClock().Now());
  auto clusters = Connect(options, metrics, log);
  if (!clusters.ok()) return Fail(log, clusters.status());
  Parts parts(options, *std::move(clusters), metrics, log);
  const cache::Freshness& freshness = parts.caches().freshness;
  auto admin = observability::AdminServer::Start(
      options.admin_listen.host, options.admin_listen.port,
      {{"serving", [&state] { return state.WhyNot(); }},
       {"caches-synced", [&freshness] { return freshness.WhyNotSynced(); }},
       {"stages-evaluated", [&parts] { return parts.health().WhyNotReady(); }},
       {"caches-fresh", [&freshness] { return freshness.WhyNotFresh(); }}},
      [&metrics] { return metrics.Serialize(); });
  if (!admin.ok()) return Fail(log, admin.status());

  const auto step_workers = static_cast<std::size_t>(options.step_workers);
  base::WorkerPool workers(step_workers, step_workers * kQueuedPerWorker);
  service::ServiceLimits limits;
  limits.max_wait = options.max_wait;
  limits.argocd_namespace = options.argocd_namespace;
  service::PromotionStepServiceImpl service(
      {parts.registry(), workers, parts.parked(), parts.stages(), parts.health(),
       base::SystemClock(), base::SystemRandom(), base::SystemSleeper(),
       [&metrics](const service::StepEnd& end) { CountStep(end, metrics); }},
      limits, log);
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
           {{"signal", sigdescr_np(signal)},
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

// NOLINTNEXTLINE(bugprone-exception-escape): what gets here may end the process.
int main(int argc, char** argv) {
  return gantry::Main(std::vector<std::string>(argv + 1, argv + argc));
}
