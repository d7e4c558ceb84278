// SPDX-License-Identifier: Apache-2.0
#include "server/health/leader_work.h"

#include "server/kubernetes/api/error.h"
#include "tests/fakes/fake_kubernetes.h"
#include "tests/server/health/health_fixture.h"

namespace gantry::health {
namespace {

using gantry::testing::FakeKubernetes;
using kubernetes::ErrorKind;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr absl::Duration kTick = absl::Milliseconds(1);

class LeaderWorkTest : public HealthFixture {
 protected:
  LeaderWorkTest() {
    stages_.SetListener([this](const stages::StoredStage& stage) {
      cache::PutOwnWrite(watches_.caches.stages, stage);
    });
    stages_.SetStatusListener([this](const stages::SavedStatus& status) {
      cache::PutOwnWrite(watches_.caches.stages, status);
    });
  }

  // On the API server and, from there, in the caches.
  void Store(const char* plural, const json& object) {
    kubernetes_.Put(plural, object);
    Watch(plural, object.at("metadata").at("namespace"), object.at("metadata").at("name"));
  }
  void Watch(const std::string& plural, const std::string& ns, const std::string& name) {
    const json stored = kubernetes_.Read(plural, ns, name);
    if (plural == "applications") {
      watches_.PutApplication(stored);
    } else {
      watches_.PutStage(stored);
    }
    health_.EvaluateDue();
  }
  void StoreStage(const json& stage) {
    json object = stage;
    const json known = Stored(stage.at("metadata").at("name"));
    if (known.is_object() && known.contains("status")) object["status"] = known["status"];
    Store("stagehealths", object);
  }
  json Stored(const std::string& name) {
    return kubernetes_.Read("stagehealths", "gantry-system", name);
  }
  json Status(const std::string& name) {
    const json stored = Stored(name);
    return stored.is_object() && stored.contains("status") ? stored["status"] : json();
  }
  // Its last operation finished now, and Argo CD did not reconcile it since.
  json Unreconciled(const std::string& name) const {
    json application = Application(name);
    application["status"]["operationState"]["finishedAt"] = Time();
    application["status"]["reconciledAt"] = Time(absl::Seconds(-1));
    return application;
  }

  // Time passes with the watches alive, and what is due is done after it.
  absl::Duration After(absl::Duration duration) {
    clock_.Advance(duration);
    watches_.UpToDate();
    health_.EvaluateDue();
    const absl::Duration next = work_.DoDue(term_);
    health_.EvaluateDue();
    return next;
  }
  std::size_t StatusWrites() { return kubernetes_.Count("patch", "stagehealths/status"); }
  std::size_t Refreshes() { return kubernetes_.Count("patch", "applications"); }

  FakeKubernetes kubernetes_;
  stages::StageStore stages_{kubernetes_, "gantry-system"};
  cache::ApplicationClient applications_{kubernetes_, watches_.caches.applications, clock_,
                                         observability::Logger()};
  LeaderWork work_{{health_, watches_.caches, stages_, applications_, clock_},
                   observability::Logger()};
  base::Context term_;
};

TEST_F(LeaderWorkTest, WritesTheStatusOnceAfterTheDelay) {
  Store("applications", Application("web"));
  StoreStage(Stage("shop.prod", {"web"}));
  Sync();
  work_.Begin();
  EXPECT_EQ(work_.DoDue(term_), kStatusDelay);
  EXPECT_EQ(After(kStatusDelay - kTick), kTick);
  EXPECT_EQ(StatusWrites(), 0U);
  EXPECT_EQ(After(kTick), absl::InfiniteDuration());
  EXPECT_EQ(StatusWrites(), 1U);
  EXPECT_EQ(Status("shop.prod")["state"], "Healthy");
  EXPECT_EQ(Status("shop.prod")["transitionTime"], Time().substr(0, 19) + "Z");
  EXPECT_EQ(Stored("shop.prod")["spec"]["healthChecks"][0]["name"], "web");

  // It is known at once, and the watch's own event changes nothing.
  EXPECT_FALSE(health_.Find({"shop", "prod"})->status_differs);
  EXPECT_GT(Health("prod").transition_time().seconds(), 0);
  Watch("stagehealths", "gantry-system", "shop.prod");
  After(absl::Minutes(5));
  After(absl::Minutes(5));
  EXPECT_EQ(StatusWrites(), 1U);
}

TEST_F(LeaderWorkTest, ABurstOfChangesIsOneWriteOfTheLast) {
  Store("applications", Application("web"));
  StoreStage(Stage("shop.prod", {"web"}));
  Sync();
  work_.Begin();
  work_.DoDue(term_);
  json degraded = Application("web");
  for (const char* health : {"Degraded", "Progressing", "Missing", "Degraded"}) {
    degraded["status"]["health"]["status"] = health;
    Store("applications", degraded);
    After(absl::Milliseconds(200));
  }
  After(absl::Milliseconds(200));  // a second after the first one
  EXPECT_EQ(StatusWrites(), 1U);
  EXPECT_EQ(Status("shop.prod")["state"], "Unhealthy");
}

TEST_F(LeaderWorkTest, WhatChangesBackBeforeItIsDueIsNotWritten) {
  Store("applications", Application("web"));
  StoreStage(Stage("shop.prod", {"web"}));
  Sync();
  work_.Begin();
  After(absl::ZeroDuration());
  After(kStatusDelay);
  ASSERT_EQ(StatusWrites(), 1U);
  json degraded = Application("web");
  degraded["status"]["health"]["status"] = "Degraded";
  Store("applications", degraded);
  EXPECT_EQ(After(absl::ZeroDuration()), kStatusDelay);
  Store("applications", Application("web"));
  After(absl::ZeroDuration());
  After(kStatusDelay);
  EXPECT_EQ(StatusWrites(), 1U);
}

TEST_F(LeaderWorkTest, TheTransitionMovesWithTheStateAlone) {
  json degraded = Application("web");
  degraded["status"]["health"]["status"] = "Degraded";
  Store("applications", degraded);
  StoreStage(Stage("shop.prod", {"web"}));
  Sync();
  work_.Begin();
  After(absl::ZeroDuration());
  After(kStatusDelay);
  const std::string first = Status("shop.prod")["transitionTime"];
  degraded["status"]["health"]["status"] = "Missing";  // UNHEALTHY for another reason
  Store("applications", degraded);
  After(absl::Seconds(5));
  After(kStatusDelay);
  EXPECT_EQ(StatusWrites(), 2U);
  EXPECT_EQ(Status("shop.prod")["transitionTime"], first);
  Store("applications", Application("web"));
  After(absl::Seconds(5));
  After(kStatusDelay);
  EXPECT_EQ(StatusWrites(), 3U);
  EXPECT_NE(Status("shop.prod")["transitionTime"], first);
}

TEST_F(LeaderWorkTest, StalenessIsNotWritten) {
  Store("applications", Application("web"));
  StoreStage(Stage("shop.prod", {"web"}));
  Sync();
  work_.Begin();
  After(absl::ZeroDuration());
  After(kStatusDelay);
  const json before = Status("shop.prod");
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(WatchedCaches::kLimit + absl::Seconds(1));
    health_.EvaluateDue();
    work_.DoDue(term_);
  }
  EXPECT_EQ(State("prod"), v1::HEALTH_STATE_UNKNOWN);
  After(absl::Seconds(1));
  After(kStatusDelay);
  EXPECT_EQ(StatusWrites(), 1U);
  EXPECT_EQ(Status("shop.prod"), before);
}

TEST_F(LeaderWorkTest, AStatusThatWasDueInAnOutageIsWrittenAfterIt) {
  Store("applications", Application("web"));
  StoreStage(Stage("shop.prod", {"web"}));
  Sync();
  work_.Begin();
  work_.DoDue(term_);
  // The process was stopped, and this thread is the first to run again: nothing is evaluated
  // while the evidence is stale.
  clock_.Advance(WatchedCaches::kLimit + absl::Seconds(1));
  work_.DoDue(term_);
  EXPECT_EQ(StatusWrites(), 0U);
  After(absl::ZeroDuration());
  After(kStatusRetry);
  EXPECT_EQ(StatusWrites(), 1U);
}

TEST_F(LeaderWorkTest, AConflictIsTriedAgainOnWhatIsThereThen) {
  Store("applications", Application("web"));
  StoreStage(Stage("shop.prod", {"web"}));
  Sync();
  work_.Begin();
  After(absl::ZeroDuration());
  kubernetes_.Put("stagehealths", Stored("shop.prod"));  // the watch has not brought it yet
  EXPECT_EQ(After(kStatusDelay), kStatusDelay);
  EXPECT_TRUE(Status("shop.prod").is_null());
  Watch("stagehealths", "gantry-system", "shop.prod");
  After(kStatusDelay);
  EXPECT_EQ(StatusWrites(), 2U);
  EXPECT_EQ(Status("shop.prod")["state"], "Healthy");
}

TEST_F(LeaderWorkTest, AFailureIsTriedAgainLater) {
  StoreStage(Stage("shop.prod", {}));
  Sync();
  kubernetes_.before = [](const FakeKubernetes::Call& call) {
    return call.verb == "patch"
               ? kubernetes::MakeError({.kind = ErrorKind::kForbidden, .http_status = 403}, "no")
               : absl::OkStatus();
  };
  work_.Begin();
  After(absl::ZeroDuration());
  EXPECT_EQ(After(kStatusDelay), kStatusRetry);
  kubernetes_.before = [](const FakeKubernetes::Call&) { return absl::OkStatus(); };
  EXPECT_EQ(After(kStatusRetry - kTick), kTick);
  EXPECT_EQ(StatusWrites(), 1U);
  After(kTick);
  EXPECT_EQ(StatusWrites(), 2U);
  EXPECT_EQ(Status("shop.prod")["state"], "Healthy");
}

TEST_F(LeaderWorkTest, ADeletedStageIsNotWritten) {
  StoreStage(Stage("shop.prod", {}));
  Sync();
  work_.Begin();
  work_.DoDue(term_);
  watches_.DeleteStage(Stored("shop.prod"));
  kubernetes_.Remove("stagehealths", "gantry-system", "shop.prod");
  health_.EvaluateDue();
  EXPECT_EQ(After(kStatusDelay), absl::InfiniteDuration());
  EXPECT_EQ(StatusWrites(), 0U);
}

TEST_F(LeaderWorkTest, AStageWhoseRecordIsNotUnderstoodHasAStatus) {
  json stage = Stage("shop.prod", {});
  stage["spec"]["steps"] = 7;
  StoreStage(stage);
  Sync();
  work_.Begin();
  After(absl::ZeroDuration());
  After(kStatusDelay);
  EXPECT_EQ(Status("shop.prod")["state"], "Unknown");
  EXPECT_EQ(Stored("shop.prod")["spec"]["steps"], 7);
}

TEST_F(LeaderWorkTest, ANewTermTakesUpWhatIsOpen) {
  StoreStage(Stage("shop.prod", {}));
  Sync();
  // Another replica leads; what changes meanwhile is not this one's work.
  StoreStage(Stage("shop.test", {}));
  work_.Begin();
  After(absl::ZeroDuration());
  After(kStatusDelay);
  EXPECT_EQ(Status("shop.prod")["state"], "Healthy");
  EXPECT_EQ(Status("shop.test")["state"], "Healthy");
  work_.Begin();
  After(absl::ZeroDuration());
  After(kStatusDelay);
  EXPECT_EQ(StatusWrites(), 2U);
}

TEST_F(LeaderWorkTest, NothingIsWrittenAfterTheTerm) {
  for (const char* name : {"shop.a", "shop.b"}) StoreStage(Stage(name, {}));
  Store("applications", Unreconciled("web"));
  StoreStage(Stage("shop.prod", {"web"}));
  Sync();
  work_.Begin();
  work_.DoDue(term_);
  clock_.Advance(absl::Seconds(20));
  watches_.UpToDate();
  kubernetes_.before = [this](const FakeKubernetes::Call&) {
    term_.Cancel();  // during the first write
    return absl::OkStatus();
  };
  work_.DoDue(term_);
  work_.DoDue(term_);
  EXPECT_EQ(kubernetes_.calls().size(), 1U);
  work_.Lead(term_);
  EXPECT_EQ(kubernetes_.calls().size(), 1U);
}

TEST_F(LeaderWorkTest, AsksForARefreshTenSecondsAfterTheOperationAndEachMinute) {
  Store("applications", Unreconciled("web"));
  StoreStage(Stage("shop.prod", {"web"}));
  Sync();
  work_.Begin();
  work_.DoDue(term_);
  After(kRefreshDelay - kTick);
  EXPECT_EQ(Refreshes(), 0U);
  After(kTick);
  ASSERT_EQ(Refreshes(), 1U);
  const json web = kubernetes_.Read("applications", "argocd", "web");
  EXPECT_EQ(web["metadata"]["annotations"]["argocd.argoproj.io/refresh"], "normal");
  for (const FakeKubernetes::Call& call : kubernetes_.calls()) {
    if (call.plural != "applications") continue;
    EXPECT_EQ(json::parse(call.body)[0]["path"], "/metadata/resourceVersion");
  }
  // Pending: it is not asked for again.
  After(kRefreshPeriod);
  After(kRefreshPeriod);
  EXPECT_EQ(Refreshes(), 1U);
  // Argo CD has taken it up and did not reconcile.
  json taken = web;
  taken["metadata"]["annotations"].erase("argocd.argoproj.io/refresh");
  Store("applications", taken);
  After(kRefreshPeriod);
  EXPECT_EQ(Refreshes(), 2U);
  Store("applications", taken);
  After(kRefreshPeriod - kTick);
  EXPECT_EQ(Refreshes(), 2U);
  After(kTick);
  EXPECT_EQ(Refreshes(), 3U);
  // Reconciled at last.
  Store("applications", Application("web"));
  After(kRefreshPeriod);
  After(kRefreshPeriod);
  EXPECT_EQ(Refreshes(), 3U);
}

TEST_F(LeaderWorkTest, EachOperationHasItsTenSeconds) {
  Store("applications", Unreconciled("web"));
  StoreStage(Stage("shop.prod", {"web"}));
  Sync();
  work_.Begin();
  work_.DoDue(term_);
  After(kRefreshDelay - absl::Seconds(1));
  // Another operation began and finished before anybody looked.
  Store("applications", Unreconciled("web"));
  After(absl::Seconds(1));
  EXPECT_EQ(Refreshes(), 0U);
  After(kRefreshDelay - absl::Seconds(2));
  EXPECT_EQ(Refreshes(), 0U);
  After(absl::Seconds(1));
  EXPECT_EQ(Refreshes(), 1U);
}

TEST_F(LeaderWorkTest, AsksOnlyForWhatAuthorizesTheStageThatDependsOnIt) {
  struct Case {
    const char* name;
    json annotation;
    std::size_t refreshes;
  };
  int number = 0;
  for (const Case& c :
       {Case{"the Stage", "shop:prod", 1}, Case{"one of several", "a:b, shop:prod", 1},
        Case{"another Stage", "shop:test", 0}, Case{"nobody", nullptr, 0},
        Case{"everybody", "shop:*", 0}}) {
    const std::string name = "web" + std::to_string(++number);
    json application = Unreconciled(name);
    application["metadata"]["annotations"] = {{"kargo.akuity.io/authorized-stage", c.annotation}};
    Store("applications", application);
    StoreStage(Stage("shop.prod", {name}));
    Sync();
    work_.Begin();
    work_.DoDue(term_);
    const std::size_t before = Refreshes();
    After(kRefreshDelay);
    EXPECT_EQ(Refreshes() - before, c.refreshes) << c.name;
  }
}

TEST_F(LeaderWorkTest, ARefreshThatMetAConflictIsAskedForAgainSoon) {
  Store("applications", Unreconciled("web"));
  StoreStage(Stage("shop.prod", {"web"}));
  Sync();
  work_.Begin();
  work_.DoDue(term_);
  kubernetes_.Put("applications", kubernetes_.Read("applications", "argocd", "web"));
  After(kRefreshDelay);
  EXPECT_EQ(Refreshes(), 1U);
  Watch("applications", "argocd", "web");
  After(kStatusDelay);
  EXPECT_EQ(Refreshes(), 2U);
  EXPECT_TRUE(watches_.caches.applications.Find({"argocd", "web"})->refresh.has_value());
}

TEST_F(LeaderWorkTest, ARefreshIsNotAskedForOnStaleEvidence) {
  Store("applications", Unreconciled("web"));
  StoreStage(Stage("shop.prod", {"web"}));
  Sync();
  work_.Begin();
  work_.DoDue(term_);
  clock_.Advance(absl::Minutes(5));
  work_.DoDue(term_);
  EXPECT_EQ(Refreshes(), 0U);
}

}  // namespace
}  // namespace gantry::health
