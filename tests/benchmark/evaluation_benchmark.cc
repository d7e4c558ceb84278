// SPDX-License-Identifier: Apache-2.0
// What one event of one Application costs in the health cache, from the cache of Applications to
// the snapshot that is published, with as many Applications in the Stage as the argument says.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"
#include "server/cache/caches.h"
#include "server/health/health_cache.h"

namespace gantry::health {
namespace {

using base::InternedString;

constexpr const char* kNamespace = "argocd";

std::shared_ptr<cache::CachedApplication> MakeApplication(const std::string& name,
                                                          const char* health_status) {
  auto application = std::make_shared<cache::CachedApplication>();
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  application->name = {kNamespace, name};
  application->uid = "uid-" + name;
  application->resource_version = "100";
  application->created_at = now;
  argocd::Source source;
  source.repo_url = InternedString("https://git.example/" + name);
  source.target_revision = InternedString("main");
  application->sources = argocd::Sources({source});
  application->sync_status = InternedString("Synced");
  application->sync_revisions = {InternedString("0123456789abcdef0123456789abcdef01234567")};
  application->compared_sources = application->sources;
  application->health_status = InternedString(health_status);
  application->reconciled_at = now + absl::Minutes(1);
  auto& state = application->operation_state.emplace();
  state.phase = InternedString("Succeeded");
  state.started_at = now - absl::Minutes(1);
  state.finished_at = now;
  state.sync_result.emplace().revisions = application->sync_revisions;
  return application;
}

// One Stage of so many Applications, all of them healthy, and everything that is watched fresh.
class OneStage {
 public:
  explicit OneStage(int applications) {
    auto stage = std::make_shared<cache::CachedStage>();
    stage->uid = "uid";
    stage->resource_version = "1";
    stage->record.project = "shop";
    stage->record.stage = "prod";
    stage->record.promotion.name = "p1";
    stage->record.promotion.phase = v1::PROMOTION_PHASE_SUCCEEDED;
    stage->status.state = v1::HEALTH_STATE_HEALTHY;
    stage->status.transition_time = absl::FromUnixSeconds(1'700'000'000);
    for (int i = 0; i < applications; ++i) {
      const std::string name = "application-" + std::to_string(10'000 + i);
      healthy_.push_back(MakeApplication(name, "Healthy"));
      caches_.applications.Put(healthy_.back(), 0);
      auto& check = stage->record.health_checks.emplace_back();
      check.application = {kNamespace, name};
      check.promotion = "p1";
      check.desired_revisions = {"0123456789abcdef0123456789abcdef01234567"};
      stage->status.applications.push_back(
          {check.application, v1::HEALTH_STATE_HEALTHY, stage->status.transition_time});
    }
    caches_.stages.Put(std::move(stage), 0);
    caches_.applications.SetListener(
        [this](const argocd::ApplicationName& name) { health_.ApplicationChanged(name); });
    for (const cache::Freshness::Source source : caches_.freshness.all()) {
      caches_.freshness.SetSynced(source);
      caches_.freshness.UpToDate(source, base::SystemClock().SinceBoot());
    }
    health_.EvaluateDue();
  }

  const cache::CachedApplicationPtr& application(std::size_t i) const { return healthy_[i]; }
  void Put(const cache::CachedApplicationPtr& application) {
    caches_.applications.Put(application, 0);
    health_.EvaluateDue();
  }

 private:
  cache::Caches caches_{{}, absl::Hours(24), base::SystemClock()};
  HealthCache health_{{caches_, base::SystemClock(), {}}};
  std::vector<cache::CachedApplicationPtr> healthy_;
};

// An Application becomes degraded, and healthy again.
void HealthChanges(benchmark::State& state) {
  const auto applications = static_cast<std::size_t>(state.range(0));
  OneStage stage(static_cast<int>(applications));
  std::vector<cache::CachedApplicationPtr> degraded;
  for (std::size_t i = 0; i < applications; ++i) {
    degraded.push_back(MakeApplication(stage.application(i)->name.name, "Degraded"));
  }
  std::size_t i = 0;
  bool healthy = true;
  for (auto _ : state) {
    stage.Put(healthy ? degraded[i] : stage.application(i));
    healthy = !healthy;
    // So that they are not always the first ones of the Stage, nor neighbours.
    if (healthy) i = (i + 7) % applications;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(HealthChanges)->Arg(10)->Arg(100)->Arg(1000)->Arg(10'000);

// Argo CD writes something that the Stage's health is not made from: a label.
void NothingShownChanges(benchmark::State& state) {
  const auto applications = static_cast<std::size_t>(state.range(0));
  OneStage stage(static_cast<int>(applications));
  std::vector<cache::CachedApplicationPtr> labelled;
  for (std::size_t i = 0; i < applications; ++i) {
    auto application = MakeApplication(stage.application(i)->name.name, "Healthy");
    application->labels.emplace_back(InternedString("a"), InternedString("b"));
    labelled.push_back(std::move(application));
  }
  std::size_t i = 0;
  bool plain = true;
  for (auto _ : state) {
    stage.Put(plain ? labelled[i] : stage.application(i));
    plain = !plain;
    if (plain) i = (i + 7) % applications;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(NothingShownChanges)->Arg(10)->Arg(100)->Arg(1000)->Arg(10'000);

}  // namespace
}  // namespace gantry::health

BENCHMARK_MAIN();
