// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SERVER_HEALTH_HEALTH_FIXTURE_H_
#define GANTRY_TESTS_SERVER_HEALTH_HEALTH_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/health/health_cache.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/watched_caches.h"

namespace gantry::health {

// A HealthCache on caches that a test fills as watches would. Namespaces argocd and team-a are
// watched. Versions count upwards by themselves.
class HealthFixture : public ::testing::Test {
 protected:
  using json = nlohmann::json;
  using WatchedCaches = gantry::testing::WatchedCaches;

  class Listener final : public HealthListener {
   public:
    void OnPublished(const std::vector<StageName>& stages) override {
      for (const StageName& stage : stages) heard.push_back(stage.project + "/" + stage.stage);
    }
    std::vector<std::string> heard;
  };

  HealthFixture() {
    watches_.caches.applications.SetListener(
        [this](const argocd::ApplicationName& name) { health_.ApplicationChanged(name); });
    watches_.caches.stages.SetListener(
        [this](const StageName& name) { health_.StageChanged(name); });
    watches_.caches.freshness.SetListener([this] { health_.FreshnessChanged(); });
    health_.AddListener(listener_);
  }
  ~HealthFixture() override { health_.RemoveListener(listener_.get()); }

  std::string Time(absl::Duration from_now = absl::ZeroDuration()) const {
    return absl::FormatTime(absl::RFC3339_sec, clock_.Now() + from_now, absl::UTCTimeZone());
  }

  // Healthy, synced to v2, authorizes shop:prod.
  json Application(const std::string& name, const std::string& ns = "argocd") const {
    return {{"metadata",
             {{"namespace", ns},
              {"name", name},
              {"uid", "uid-" + name},
              {"annotations", {{"kargo.akuity.io/authorized-stage", "shop:prod"}}}}},
            {"spec", {{"source", {{"repoURL", "https://git.example/" + name}}}}},
            {"status",
             {{"sync", {{"status", "Synced"}, {"revision", "v2"}}},
              {"health", {{"status", "Healthy"}}},
              {"reconciledAt", Time()},
              {"operationState",
               {{"phase", "Succeeded"},
                {"startedAt", Time(absl::Seconds(-20))},
                {"finishedAt", Time(absl::Seconds(-10))},
                {"syncResult", {{"revision", "v2"}}}}}}}};
  }
  // A Stage whose registered checks are about the Applications named "name" or "ns/name".
  static json Stage(const std::string& name, const std::vector<std::string>& applications) {
    json checks = json::array();
    for (const std::string& application : applications) {
      const std::size_t slash = application.find('/');
      checks.push_back(
          {{"namespace", slash == std::string::npos ? "argocd" : application.substr(0, slash)},
           {"name", slash == std::string::npos ? application : application.substr(slash + 1)},
           {"promotion", "p1"},
           {"desiredRevisions", {"v2"}}});
    }
    return {{"metadata", {{"name", name}, {"namespace", "gantry-system"}, {"uid", "uid-" + name}}},
            {"spec",
             {{"promotion", {{"name", "p1"}, {"phase", "Succeeded"}}}, {"healthChecks", checks}}}};
  }

  json Versioned(json object) {
    object["metadata"]["resourceVersion"] = std::to_string(++version_);
    return object;
  }
  void PutApplication(json object) { watches_.PutApplication(Versioned(std::move(object))); }
  void PutStage(json object) { watches_.PutStage(Versioned(std::move(object))); }
  void DeleteApplication(json object) { watches_.DeleteApplication(Versioned(std::move(object))); }
  void DeleteStage(json object) { watches_.DeleteStage(Versioned(std::move(object))); }

  // Evaluates what is due and returns which Stages were published.
  std::vector<std::string> Published() {
    health_.EvaluateDue();
    return std::exchange(listener_->heard, {});
  }
  void Sync() {
    watches_.Sync();
    Published();
  }
  v1::StageHealth Health(const std::string& stage, const std::string& project = "shop") const {
    const StageSnapshotPtr snapshot = health_.Find({project, stage});
    return snapshot == nullptr ? v1::StageHealth() : snapshot->Health();
  }
  v1::HealthState State(const std::string& stage, const std::string& project = "shop") const {
    const StageSnapshotPtr snapshot = health_.Find({project, stage});
    if (snapshot == nullptr) return v1::HEALTH_STATE_UNSPECIFIED;
    EXPECT_EQ(snapshot->state, snapshot->Health().state());
    return snapshot->state;
  }

  gantry::testing::FakeClock clock_;
  WatchedCaches watches_{{"argocd", "team-a"}, clock_};
  HealthCache health_{{watches_.caches, clock_, {}}};
  std::shared_ptr<Listener> listener_ = std::make_shared<Listener>();
  int version_ = 0;
};

}  // namespace gantry::health

#endif  // GANTRY_TESTS_SERVER_HEALTH_HEALTH_FIXTURE_H_
