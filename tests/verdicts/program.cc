// SPDX-License-Identifier: Apache-2.0
#include "tests/verdicts/program.h"

#include <utility>

#include "base/strings.h"
#include "server/health/health_cache.h"
#include "server/stages/stage_store.h"
#include "server/steps/argocd_update/argocd_update.h"
#include "server/steps/argocd_wait/argocd_wait.h"
#include "server/steps/step_engine.h"
#include "tests/fakes/watched_caches.h"

namespace gantry::verdicts {
namespace {

class FixedRandom final : public base::Random {
 public:
  double Uniform() override { return 0.5; }
};

class NoSleep final : public base::Sleeper {
 public:
  absl::Status Sleep(absl::Duration, base::Context& context) override { return context.Check(); }
};

class KeptEvents final : public kubernetes::EventRecorder {
 public:
  void Record(const kubernetes::ObjectReference& object, const std::string& reason,
              const std::string& message) override {
    events.push_back(base::StrCat(object.ns, "/", object.name, ": ", reason, ": ", message));
  }
  std::vector<std::string> events;
};

}  // namespace

struct Program::Parts {
  Parts(int max_sync_attempts, testing::FakeKubernetes& kubernetes, const base::Clock& clock)
      : stages(kubernetes, "gantry-system"),
        watches({"argocd", "team-a"}, clock),
        health({watches.caches, clock, {}}),
        applications(kubernetes, watches.caches.applications, clock, log),
        engine({.watch_namespaces = {"argocd", "team-a"}, .max_sync_attempts = max_sync_attempts},
               {applications, stages, events, helpers, watches.caches, clock, random, sleeper}) {
    cache::Caches& caches = watches.caches;
    caches.applications.SetListener(
        [this](const argocd::ApplicationName& name) { health.ApplicationChanged(name); });
    caches.stages.SetListener([this](const cache::StageName& name) { health.StageChanged(name); });
    caches.freshness.SetListener([this] { health.FreshnessChanged(); });
    stages.SetListener([this](const stages::StoredStage& stage) {
      cache::PutOwnWrite(watches.caches.stages, stage);
    });
    kinds.Add(std::make_unique<steps::ArgocdUpdate>());
    kinds.Add(std::make_unique<steps::ArgocdWait>());
  }

  FixedRandom random;
  NoSleep sleeper;
  KeptEvents events;
  observability::Logger log;
  stages::StageStore stages;
  base::WorkerPool helpers{0, 0};
  testing::WatchedCaches watches;
  health::HealthCache health;
  cache::ApplicationClient applications;
  steps::StepEngine engine;
  steps::StepKinds kinds;
};

Program::Program(int max_sync_attempts, testing::FakeKubernetes& kubernetes,
                 const base::Clock& clock)
    : parts_(std::make_unique<Parts>(max_sync_attempts, kubernetes, clock)) {}

Program::~Program() = default;

absl::StatusOr<v1::RunStepResponse> Program::RunStep(const v1::RunStepRequest& request) {
  base::Context context;
  const steps::StepKind* kind = parts_->kinds.Find(request.uses());
  if (kind == nullptr) return absl::InvalidArgumentError("no such kind of step");
  steps::BegunStep begun = parts_->engine.Begin(*kind, request, "anonymous", parts_->log);
  if (begun.invalid) return *std::move(begun.invalid);
  absl::StatusOr<steps::StepResult> result = parts_->engine.Run(begun.call, context);
  if (!result.ok()) return result.status();
  return std::move(result->response);
}

void Program::ApplicationChanged(const nlohmann::json& application) {
  parts_->watches.PutApplication(application);
}
void Program::ApplicationDeleted(const nlohmann::json& application) {
  parts_->watches.DeleteApplication(application);
}
void Program::StageChanged(const nlohmann::json& stage_health) {
  parts_->watches.PutStage(stage_health);
}
void Program::StageDeleted(const nlohmann::json& stage_health) {
  parts_->watches.DeleteStage(stage_health);
}
void Program::UpToDate() { parts_->watches.Sync(); }

std::optional<v1::StageHealth> Program::StageHealth(const std::string& project,
                                                    const std::string& stage) {
  parts_->health.EvaluateDue();
  const health::StageSnapshotPtr snapshot = parts_->health.Find({project, stage});
  if (snapshot == nullptr) return std::nullopt;
  return parts_->health.Show(snapshot).snapshot->Health();
}

v1::StageHealth Program::StageHealthBy(const std::string& project, const std::string& stage,
                                       const std::vector<v1::HealthCheck>& checks) {
  const google::protobuf::RepeatedPtrField<v1::HealthCheck> given(checks.begin(), checks.end());
  return parts_->health.EvaluateChecks({project, stage}, given, "argocd").health;
}

std::string Program::HashOfPromotion(const std::string& promotion) {
  return stages::HashOf(promotion);
}

std::vector<std::string> Program::TakeEvents() { return std::exchange(parts_->events.events, {}); }

}  // namespace gantry::verdicts
