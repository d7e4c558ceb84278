// SPDX-License-Identifier: Apache-2.0
// What is kept from one evaluation to the next never shows: after each of thousands of random
// changes every snapshot is, byte for byte, what the rules make of everything from the beginning.
#include "server/health/stage_evaluator.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "base/text.h"
#include "server/health/evidence.h"
#include "server/stages/stage_status.h"
#include "tests/server/health/health_fixture.h"
#include "tests/server/health/states.h"

namespace gantry::health {
namespace {

using nlohmann::json;

class RandomChanges : public HealthFixture, public ::testing::WithParamInterface<unsigned> {
 protected:
  static constexpr int kApplications = 90;  // of the largest Stage, in several groups

  int Roll(int sides) { return std::uniform_int_distribution<int>(0, sides - 1)(random_); }
  bool Chance(int percent) { return Roll(100) < percent; }
  template <typename... Choices>
  std::string Any(const Choices&... choices) {
    const std::vector<std::string> all{choices...};
    return all[static_cast<std::size_t>(Roll(static_cast<int>(all.size())))];
  }

  static std::string NameOf(int i) { return "app-" + std::to_string(100 + i); }
  static std::string NamespaceOf(int i) { return i % 3 == 0 ? "team-a" : "argocd"; }

  json RandomApplication(int i) {
    json application = Application(NameOf(i), NamespaceOf(i));
    // So that each is a change.
    application["metadata"]["labels"]["change"] = std::to_string(version_);
    if (Chance(50)) return application;
    json& status = application["status"];
    status["sync"]["status"] = Any("Synced", "Synced", "Synced", "Synced", "OutOfSync", "");
    status["sync"]["revision"] = Any("v2", "v2", "v2", "v1");
    status["health"]["status"] =
        Any("Healthy", "Healthy", "Healthy", "Progressing", "Degraded", "");
    if (Chance(10))
      status["health"]["message"] = std::string(static_cast<std::size_t>(Roll(300)), 'm');
    if (Chance(10)) status["conditions"] = {{{"type", "ComparisonError"}, {"message", "broken"}}};
    if (Chance(10)) status["reconciledAt"] = Time(absl::Seconds(-20));
    if (Chance(10)) application["operation"]["sync"] = json::object();
    if (Chance(5)) status.erase("operationState");
    if (Chance(5)) application["metadata"]["deletionTimestamp"] = Time();
    if (Chance(5)) status["sync"] = 1;  // can't be understood
    return application;
  }

  json RandomStage(const std::string& stage, int applications) {
    std::vector<std::string> names;
    for (int i = 0; i < applications; ++i) {
      if (!Chance(3)) names.push_back(NamespaceOf(i) + "/" + NameOf(i));
    }
    if (Chance(20)) names.push_back("elsewhere/unwatched");
    std::shuffle(names.begin(), names.end(), random_);
    json object = Stage("shop." + stage, names);
    json& spec = object["spec"];
    spec["promotion"]["phase"] =
        Any("Succeeded", "Succeeded", "Succeeded", "Succeeded", "Running", "Failed", "Aborted");
    spec["promotion"]["updateTime"] = Time();
    for (json& check : spec["healthChecks"]) {
      if (Chance(20)) check["desiredRevisions"] = json::array();
      if (!Chance(5)) continue;
      check["resourceVersion"] = std::to_string(version_ + Roll(100));
      check["finishedAt"] = Time(absl::Seconds(30));
    }
    for (const char* name : {"canary", "load"}) {
      if (!Chance(30)) continue;
      json& indicator = spec["indicators"].emplace_back();
      indicator = {{"name", name},
                   {"state", Any("Healthy", "Unhealthy", "Progressing")},
                   {"reportTime", Time()}};
      if (Chance(50)) indicator["expireTime"] = Time(absl::Seconds(Roll(60)));
    }
    if (Chance(5)) spec["steps"] = 7;  // can't be understood
    return object;
  }

  // Stores what the leader would.
  void StoreStatus(const std::string& stage) {
    const StageSnapshotPtr snapshot = health_.Find({"shop", stage});
    const auto found = stages_.find(stage);
    if (snapshot == nullptr || found == stages_.end()) return;
    const cache::CachedStagePtr cached = watches_.caches.stages.Find({"shop", stage});
    found->second["status"] =
        stages::WriteStatus(stages::NextStatus(snapshot->Health(), cached->status, clock_.Now()));
    if (json& stored = found->second["status"]["applications"]; Chance(10) && !stored.empty()) {
      stored.erase(0);
    }
    if (Chance(10)) found->second["status"].erase("transitionTime");
    if (Chance(10)) found->second["status"]["issues"].push_back("another");
    PutStage(found->second);
  }

  void ChangeSomething() {
    const int what = Roll(100);
    const auto& [stage, applications] = kStages[static_cast<std::size_t>(Roll(3))];
    if (what < 70) {
      const int i = Roll(kApplications);
      PutApplication(RandomApplication(i));
      existing_.insert(i);
    } else if (what < 77) {
      const int i = Roll(kApplications);
      if (existing_.erase(i) > 0) DeleteApplication(Application(NameOf(i), NamespaceOf(i)));
    } else if (what < 82) {
      PutStage(stages_[stage] = RandomStage(stage, applications));
    } else if (what < 83) {
      if (stages_.erase(stage) > 0) DeleteStage(Stage(std::string("shop.") + stage, {}));
    } else if (what < 92) {
      StoreStatus(stage);
    } else {
      Wait();
    }
  }
  void Wait() {
    clock_.Advance(absl::Seconds(Roll(25)));
    // A watch of which nothing is heard becomes stale in the end.
    if (Chance(70)) watches_.SinkOf("argocd").UpToDate(clock_.SinceBoot());
    if (Chance(70)) watches_.SinkOf("team-a").UpToDate(clock_.SinceBoot());
    if (Chance(80)) watches_.stage_sink().UpToDate(clock_.SinceBoot());
  }

  // What the rules make of the Stage, and what is told of a record that is no good.
  StageEvaluation EvaluateAnew(const cache::CachedStage& stage, const Readings& readings) const {
    std::vector<cache::CachedApplicationPtr> kept;
    StageEvaluation evaluation = EvaluateStage(
        stage.record,
        [&](const argocd::ApplicationName& name) {
          FoundEvidence found = FindEvidenceOf(name, watches_.caches, readings, stage.status);
          kept.push_back(found.application);
          return found.evidence;
        },
        clock_.Now());
    std::vector<std::string> first;
    const auto stale_since = StaleSince(readings, watches_.caches.stage_source());
    if (stale_since) {
      first.push_back("nothing was heard of the record of the Stage since " +
                      base::UtcTime(*stale_since));
    }
    if (!stage.problem.empty()) {
      const bool stored = stage.status.state == kUnknown && stage.status.transition_time;
      first.push_back(
          "the record of the Stage can't be understood, UNKNOWN since " +
          base::UtcTime(stored
                            ? *stage.status.transition_time
                            : watches_.caches.freshness.SyncedAt(watches_.caches.stage_source())) +
          ": " + stage.problem + "; correct the StageHealth, or delete it to forget the Stage");
    }
    v1::StageHealth& health = evaluation.health;
    if (!first.empty()) health.set_state(Merge(health.state(), kUnknown));
    first.insert(first.end(), health.issues().begin(), health.issues().end());
    health.mutable_issues()->Assign(first.begin(), first.end());
    if (stage.status.transition_time && stage.status.state == health.state()) {
      health.mutable_transition_time()->set_seconds(
          absl::ToUnixSeconds(*stage.status.transition_time));
    }
    return evaluation;
  }

  static std::string BytesOf(const StageSnapshot& snapshot) {
    std::string bytes;
    for (const SharedBytes& piece : snapshot.pieces) bytes += *piece;
    return bytes;
  }

  void ExpectAsFromTheBeginning(const std::string& stage) {
    const StageSnapshotPtr snapshot = health_.Find({"shop", stage});
    const cache::CachedStagePtr cached = watches_.caches.stages.Find({"shop", stage});
    ASSERT_EQ(snapshot == nullptr, cached == nullptr) << stage;
    if (snapshot == nullptr) return;
    const Readings readings = watches_.caches.freshness.ReadEach();
    StageEvaluation anew = EvaluateAnew(*cached, readings);
    const bool stale = cache::Freshness::Oldest(readings, snapshot->sources).stale;
    ASSERT_EQ(snapshot->evaluated_stale, stale) << stage;
    ASSERT_EQ(
        snapshot->status_differs,
        !stale && stages::NextStatus(anew.health, cached->status, clock_.Now()) != cached->status)
        << stage;
    ASSERT_EQ(*snapshot->wants_refresh,
              stale ? std::vector<argocd::ApplicationName>() : anew.wants_refresh)
        << stage;
    ASSERT_EQ(snapshot->state, anew.health.state()) << stage;
    v1::GetStageHealthResponse response;
    response.mutable_health()->Swap(&anew.health);
    ASSERT_EQ(BytesOf(*snapshot), response.SerializeAsString())
        << snapshot->Health().DebugString() << "\nexpected\n"
        << response.health().DebugString();
    ASSERT_EQ(snapshot->size, response.ByteSizeLong()) << stage;
    states_.insert(snapshot->state);
    pieces_ = std::max(pieces_, snapshot->pieces.size());
    if (!snapshot->status_differs && !stale) ++stored_;
    if (!snapshot->wants_refresh->empty()) ++refreshes_;
  }

  static constexpr std::pair<const char*, int> kStages[] = {
      {"large", kApplications}, {"middle", 12}, {"small", 2}};
  std::mt19937 random_{GetParam()};
  std::map<std::string, json> stages_;
  std::set<int> existing_;
  // What was seen, so that the test is known to have tried it.
  std::set<v1::HealthState> states_;
  std::size_t pieces_ = 0;
  int stored_ = 0;
  int refreshes_ = 0;
};

TEST_P(RandomChanges, LeaveWhatAnEvaluationFromTheBeginningGives) {
  std::vector<std::string> names;
  for (int i = 0; i < kApplications; ++i) {
    PutApplication(Application(NameOf(i), NamespaceOf(i)));
    existing_.insert(i);
    names.push_back(NamespaceOf(i) + "/" + NameOf(i));
  }
  for (const auto& [stage, applications] : kStages) {
    names.resize(static_cast<std::size_t>(applications));
    PutStage(stages_[stage] = Stage(std::string("shop.") + stage, names));
  }
  Sync();
  for (const auto& [stage, applications] : kStages) {
    ASSERT_NO_FATAL_FAILURE(ExpectAsFromTheBeginning(stage));
  }
  for (int round = 0; round < 1000; ++round) {
    for (int i = Roll(3); i >= 0; --i) ChangeSomething();
    health_.EvaluateDue();
    for (const auto& [stage, applications] : kStages) {
      ASSERT_NO_FATAL_FAILURE(ExpectAsFromTheBeginning(stage)) << "round " << round;
    }
  }
  EXPECT_THAT(states_, ::testing::IsSupersetOf({kHealthy, kUnknown, kUnhealthy}));
  EXPECT_GT(pieces_, 3u);
  EXPECT_GT(stored_, 100);
  EXPECT_GT(refreshes_, 100);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomChanges, ::testing::Values(1u, 2u, 3u));

}  // namespace
}  // namespace gantry::health
