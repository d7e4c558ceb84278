// SPDX-License-Identifier: Apache-2.0
#include "server/app/components.h"

#include <limits.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/random.h"
#include "base/strings.h"
#include "server/health/health_metrics.h"
#include "server/steps/argocd_update/argocd_update.h"
#include "server/steps/argocd_wait/argocd_wait.h"

namespace gantry::app {
namespace {

using observability::Logger;

// Of the Lease by which replicas agree on a leader.
constexpr const char* kLeaseName = "gantry";

// One name for each process, so that two replicas on one host are told apart.
std::string Identity() {
  char host[HOST_NAME_MAX + 1] = {};
  gethostname(host, sizeof host - 1);
  return base::StrCat(host, "_",
                      absl::Hex(static_cast<std::uint32_t>(base::SystemRandom().Uniform() * 0x1p32),
                                absl::kZeroPad8));
}

kubernetes::LeaderElectorOptions ElectorOptions(const std::string& ns, const Logger& log) {
  kubernetes::LeaderElectorOptions options;
  options.ns = ns;
  options.name = kLeaseName;
  options.identity = Identity();
  options.on_message = [log](std::string_view message) { log.Info(message); };
  return options;
}

cache::Watchers::Observers CountWatches(observability::Metrics& metrics) {
  cache::Watchers::Observers observers;
  observers.on_event = [&metrics](std::string_view resource, std::string_view type) {
    metrics.watch_events().Increment(
        {{"resource", std::string(resource)}, {"type", std::string(type)}});
  };
  observers.on_restart = [&metrics](std::string_view resource, std::string_view reason) {
    metrics.watch_restarts().Increment(
        {{"resource", std::string(resource)}, {"reason", std::string(reason)}});
  };
  return observers;
}

}  // namespace

Components::Components(const options::Options& options, Clusters clusters,
                       observability::Metrics& metrics, const Logger& log)
    : clusters_(std::move(clusters)),
      caches_(options.watch_namespaces, options.staleness_limit, base::SystemClock()),
      applications_(*clusters_.argocd, caches_.applications, base::SystemClock(), log),
      stages_(*clusters_.stages_client, clusters_.stage_namespace),
      background_applications_(*clusters_.argocd_background, caches_.applications,
                               base::SystemClock(), log),
      background_stages_(*clusters_.stages_background, clusters_.stage_namespace),
      events_(*clusters_.argocd_background, "gantry", base::SystemClock(), log),
      helpers_(static_cast<std::size_t>(options.step_workers),
               static_cast<std::size_t>(options.step_workers)),
      health_({caches_, base::SystemClock(),
               [&metrics](absl::Duration took) { metrics.propagation().Observe(took); }}),
      pending_(caches_),
      engine_({.argocd_namespace = options.argocd_namespace,
               .watch_namespaces = options.watch_namespaces,
               .max_sync_attempts = options.max_sync_attempts,
               .operation_initiator = options.operation_initiator},
              {applications_, stages_, events_, helpers_, caches_, base::SystemClock(),
               base::SystemRandom(), base::SystemSleeper()}),
      leader_work_(
          {health_, caches_, background_stages_, background_applications_, base::SystemClock()},
          log),
      elector_(*clusters_.stages_client, ElectorOptions(clusters_.stage_namespace, log)) {
  AddListeners();
  AddSteps();
  AddMetrics(metrics);
  Start(metrics, log);
}

void Components::AddListeners() {
  caches_.applications.SetListener([this](const argocd::ApplicationName& name) {
    health_.ApplicationChanged(name);
    pending_.ApplicationChanged(name);
  });
  caches_.stages.SetListener([this](const cache::StageName& name) {
    health_.StageChanged(name);
    pending_.StageChanged(name);
  });
  caches_.freshness.SetListener([this] { health_.FreshnessChanged(); });
  stages_.SetListener(
      [this](const stages::StoredStage& stage) { cache::PutOwnWrite(caches_.stages, stage); });
  background_stages_.SetStatusListener(
      [this](const stages::SavedStatus& status) { cache::PutOwnWrite(caches_.stages, status); });
}

// The kinds of step this server carries out. This is the place to add one.
void Components::AddSteps() {
  kinds_.Add(std::make_unique<steps::ArgocdUpdate>());
  kinds_.Add(std::make_unique<steps::ArgocdWait>());
}

void Components::AddMetrics(observability::Metrics& metrics) {
  metrics.AddCollector([this] { return health::CollectHealthMetrics(health_, caches_); });
  metrics.AddCollector([this] {
    return std::vector<prometheus::MetricFamily>{
        {"gantry_steps_pending",
         "Calls of RunStep that wait for a change.",
         prometheus::MetricType::Gauge,
         {observability::GaugeValue({}, static_cast<double>(pending_.size()))}},
        {"leader_election_master_status",
         "1 while this process does what one replica does for all, else 0.",
         prometheus::MetricType::Gauge,
         {observability::GaugeValue({{"name", kLeaseName}}, elector_.IsLeader() ? 1 : 0)}}};
  });
}

void Components::Start(observability::Metrics& metrics, const Logger& log) {
  background_.push_back(
      std::make_unique<Background>([this](base::Context& context) { health_.Run(context); }));
  background_.push_back(
      std::make_unique<Background>([this](base::Context& context) { pending_.Run(context); }));
  background_.push_back(std::make_unique<Background>([this](base::Context& context) {
    elector_.Run([this](base::Context& term) { leader_work_.Lead(term); }, context);
  }));
  watchers_ = std::make_unique<cache::Watchers>(
      caches_, clusters_.stages_connection, clusters_.stage_namespace, clusters_.argocd_connection,
      CountWatches(metrics), log);
}

}  // namespace gantry::app
