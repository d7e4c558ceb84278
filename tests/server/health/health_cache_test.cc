// SPDX-License-Identifier: Apache-2.0
#include "server/health/health_cache.h"

#include <google/protobuf/util/json_util.h>

#include <thread>

#include "tests/server/health/health_fixture.h"
#include "tests/server/health/states.h"

namespace gantry::health {
namespace {

using nlohmann::json;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr auto kNoStage = v1::HEALTH_STATE_UNSPECIFIED;

class HealthCacheTest : public HealthFixture {
 protected:
  json Degraded(const std::string& name, const std::string& ns = "argocd") const {
    json application = Application(name, ns);
    application["status"]["health"]["status"] = "Degraded";
    return application;
  }
  std::vector<std::string> Listed(const std::optional<StageName>& after, const std::string& project,
                                  const std::set<v1::HealthState>& states, std::size_t limit,
                                  bool* more = nullptr) const {
    const HealthCache::Page page = health_.ListAfter(after, project, states, limit);
    std::vector<std::string> names;
    for (const auto& stage : page.stages)
      names.push_back(stage->name.project + "/" + stage->name.stage);
    if (more != nullptr) *more = page.more;
    return names;
  }
  static v1::HealthCheck Check(const std::string& name) {
    v1::HealthCheck check;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(
                    R"({"uses": "argocd-update", "input": {"apps": [{"name": ")" + name +
                        R"(", "desiredRevisions": ["v2"]}]}})",
                    &check)
                    .ok());
    return check;
  }
};

TEST_F(HealthCacheTest, NothingIsEvaluatedBeforeEverySourceIsSynced) {
  PutApplication(Application("web"));
  PutStage(Stage("shop.prod", {"web"}));
  watches_.UpToDate();
  EXPECT_EQ(health_.EvaluateDue(), absl::InfiniteDuration());
  watches_.SinkOf("argocd").EndList("");
  watches_.stage_sink().EndList("");
  EXPECT_THAT(Published(), IsEmpty());
  EXPECT_FALSE(health_.ready());
  EXPECT_EQ(State("prod"), kNoStage);
  watches_.SinkOf("team-a").EndList("");
  EXPECT_THAT(Published(), ElementsAre("shop/prod"));
  EXPECT_TRUE(health_.ready());
  EXPECT_EQ(State("prod"), kHealthy);
}

// Between the two reads are not answered yet.
TEST_F(HealthCacheTest, IsNotReadyWhenTheCachesAreFilledButWhenTheStagesAreEvaluated) {
  PutApplication(Application("web"));
  PutStage(Stage("shop.prod", {"web"}));
  watches_.Sync();
  EXPECT_EQ(watches_.caches.freshness.WhyNotSynced(), "");
  EXPECT_EQ(health_.Find({"shop", "prod"}), nullptr);
  EXPECT_FALSE(health_.ready());
  EXPECT_EQ(health_.WhyNotReady(), "the health of the Stages is not evaluated yet");
  health_.EvaluateDue();
  EXPECT_NE(health_.Find({"shop", "prod"}), nullptr);
  EXPECT_TRUE(health_.ready());
  EXPECT_EQ(health_.WhyNotReady(), "");
}

TEST_F(HealthCacheTest, WithoutAnyStageItIsReadyToo) {
  Sync();
  EXPECT_TRUE(health_.ready());
  EXPECT_THAT(Listed(std::nullopt, "", {}, 10), IsEmpty());
}

TEST_F(HealthCacheTest, PublishesTheStagesConcernedAndNoOthers) {
  for (const char* name : {"web", "api"}) PutApplication(Application(name));
  PutStage(Stage("shop.prod", {"web"}));
  PutStage(Stage("shop.test", {"web", "api"}));
  PutStage(Stage("shop.docs", {"api"}));
  PutStage(Stage("pay.prod", {}));
  Sync();
  PutApplication(Degraded("web"));
  EXPECT_THAT(Published(), ElementsAre("shop/prod", "shop/test"));
  EXPECT_EQ(State("prod"), kUnhealthy);
  EXPECT_EQ(State("test"), kUnhealthy);
  EXPECT_EQ(State("docs"), kHealthy);
  EXPECT_EQ(State("prod", "pay"), kHealthy);
  // The same name in another namespace is another Application.
  PutApplication(Degraded("api", "team-a"));
  EXPECT_THAT(Published(), IsEmpty());
  PutApplication(Application("stray"));
  EXPECT_THAT(Published(), IsEmpty());
}

TEST_F(HealthCacheTest, EveryUnknownSaysSinceWhen) {
  json odd = Application("odd");
  odd["status"]["sync"] = 1;
  PutApplication(odd);
  PutStage(Stage("shop.absent", {"gone"}));
  PutStage(Stage("shop.elsewhere", {"unwatched/web"}));
  PutStage(Stage("shop.odd", {"odd"}));
  json broken = Stage("shop.broken", {});
  broken["spec"]["promotion"]["phase"] = "Nonsense";
  PutStage(broken);
  Sync();
  health_.EvaluateDue();
  for (const char* stage : {"absent", "elsewhere", "odd", "broken"}) {
    ASSERT_EQ(State(stage), kUnknown) << stage;
    EXPECT_THAT(health_.Find({"shop", stage})->Health().issues(),
                Contains(HasSubstr("UNKNOWN since 2023-11-14T22:13:20Z")))
        << stage;
  }
}

TEST_F(HealthCacheTest, AStageThatNamesAnApplicationTwiceIsLikeOneThatNamesItOnce) {
  PutApplication(Application("web"));
  PutStage(Stage("shop.prod", {"web", "web"}));
  Sync();
  EXPECT_EQ(State("prod"), kHealthy);
  EXPECT_EQ(health_.Find({"shop", "prod"})->Health().applications_size(), 1);
  PutStage(Stage("shop.prod", {}));
  health_.EvaluateDue();
  DeleteStage(Stage("shop.prod", {"web", "web"}));
  health_.EvaluateDue();
  EXPECT_EQ(State("prod"), kNoStage);
}

TEST_F(HealthCacheTest, FollowsTheChecksOfAStage) {
  for (const char* name : {"web", "api"}) PutApplication(Application(name));
  PutStage(Stage("shop.prod", {"web"}));
  Sync();
  PutStage(Stage("shop.prod", {"api"}));
  EXPECT_THAT(Published(), ElementsAre("shop/prod"));
  PutApplication(Degraded("web"));
  EXPECT_THAT(Published(), IsEmpty());
  PutApplication(Degraded("api"));
  EXPECT_THAT(Published(), ElementsAre("shop/prod"));
}

TEST_F(HealthCacheTest, ApplicationsAppearDisappearAndComeBack) {
  PutStage(Stage("shop.prod", {"web"}));
  Sync();
  EXPECT_EQ(State("prod"), kUnknown);
  EXPECT_THAT(Health("prod").issues(), ElementsAre(HasSubstr("unable to find")));
  PutApplication(Application("web"));
  EXPECT_THAT(Published(), ElementsAre("shop/prod"));
  EXPECT_EQ(State("prod"), kHealthy);
  DeleteApplication(Application("web"));
  EXPECT_THAT(Published(), ElementsAre("shop/prod"));
  EXPECT_EQ(State("prod"), kUnknown);
  json again = Application("web");
  again["metadata"]["uid"] = "another";
  PutApplication(again);
  EXPECT_THAT(Published(), ElementsAre("shop/prod"));
  EXPECT_EQ(State("prod"), kHealthy);
}

TEST_F(HealthCacheTest, AStageThatComesAndGoesIsTold) {
  Sync();
  PutStage(Stage("shop.prod", {"web"}));
  EXPECT_THAT(Published(), ElementsAre("shop/prod"));
  DeleteStage(Stage("shop.prod", {}));
  EXPECT_THAT(Published(), ElementsAre("shop/prod"));
  EXPECT_EQ(health_.Find({"shop", "prod"}), nullptr);
  // Its Applications are nobody's concern any more.
  PutApplication(Degraded("web"));
  EXPECT_THAT(Published(), IsEmpty());
  PutStage(Stage("shop.prod", {"web"}));
  EXPECT_THAT(Published(), ElementsAre("shop/prod"));
  EXPECT_EQ(State("prod"), kUnhealthy);
  // What came and went between two looks was never there.
  PutStage(Stage("shop.brief", {}));
  DeleteStage(Stage("shop.brief", {}));
  EXPECT_THAT(Published(), IsEmpty());
}

TEST_F(HealthCacheTest, TheSameEvaluationIsNotPublishedAgain) {
  PutApplication(Application("web"));
  PutStage(Stage("shop.prod", {"web"}));
  Sync();
  const StageSnapshotPtr before = health_.Find({"shop", "prod"});
  json application = Application("web");
  application["metadata"]["labels"] = {{"a", "b"}};  // a change that the evaluation ignores
  PutApplication(application);
  json stage = Stage("shop.prod", {"web"});
  stage["spec"]["supersededPromotions"] = {"0123456789abcdef"};
  PutStage(stage);
  EXPECT_THAT(Published(), IsEmpty());
  EXPECT_EQ(health_.Find({"shop", "prod"}), before);
}

TEST_F(HealthCacheTest, TimestampsThatTickAreNoNews) {
  PutApplication(Application("web"));
  PutStage(Stage("shop.prod", {"web"}));
  Sync();
  const json operation_state = Application("web")["status"]["operationState"];
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(absl::Seconds(50));
    watches_.UpToDate();
    json application = Application("web");  // reconciledAt is now
    application["status"]["operationState"] = operation_state;
    PutApplication(application);
    EXPECT_THAT(Published(), IsEmpty());
  }
}

TEST_F(HealthCacheTest, AnIndicatorExpiresByItself) {
  json stage = Stage("shop.prod", {});
  stage["spec"]["indicators"] = json::array();
  for (const auto& [name, minutes] : {std::pair{"smoke", 10}, std::pair{"load", 20}}) {
    stage["spec"]["indicators"].push_back({{"name", name},
                                           {"state", "Healthy"},
                                           {"reportTime", Time()},
                                           {"expireTime", Time(absl::Minutes(minutes))}});
  }
  PutStage(stage);
  Sync();
  EXPECT_EQ(State("prod"), kHealthy);
  const auto until_due = [&] {
    watches_.UpToDate();
    return health_.EvaluateDue();
  };
  clock_.Advance(absl::Minutes(9) + absl::Seconds(30));
  EXPECT_EQ(until_due(), absl::Seconds(30));
  clock_.Advance(absl::Milliseconds(29'999));
  EXPECT_EQ(until_due(), absl::Milliseconds(1));
  EXPECT_EQ(State("prod"), kHealthy);
  Published();
  clock_.Advance(absl::Milliseconds(1));
  // In the moment of its end it has expired, and nothing more is due at once.
  EXPECT_GT(until_due(), absl::ZeroDuration());
  EXPECT_THAT(Published(), ElementsAre("shop/prod"));
  EXPECT_EQ(State("prod"), kUnknown);
  EXPECT_THAT(Published(), IsEmpty());
  // The other one's turn comes too.
  clock_.Advance(absl::Minutes(10));
  watches_.UpToDate();
  EXPECT_THAT(Published(), ElementsAre("shop/prod"));
}

TEST_F(HealthCacheTest, AnIndicatorThatIsReportedAgainDoesNotExpire) {
  json stage = Stage("shop.prod", {});
  stage["spec"]["indicators"] = {{{"name", "smoke"},
                                  {"state", "Healthy"},
                                  {"reportTime", Time()},
                                  {"expireTime", Time(absl::Seconds(20))}}};
  PutStage(stage);
  Sync();
  stage["spec"]["indicators"][0]["expireTime"] = Time(absl::Seconds(50));
  PutStage(stage);
  Published();
  clock_.Advance(absl::Seconds(30));
  EXPECT_THAT(Published(), IsEmpty());
  EXPECT_EQ(State("prod"), kHealthy);
  DeleteStage(stage);
  Published();
  clock_.Advance(absl::Seconds(25));
  EXPECT_THAT(Published(), IsEmpty());
}

TEST_F(HealthCacheTest, StaleEvidenceIsUnknownAndHeals) {
  PutApplication(Application("web"));
  PutStage(Stage("shop.prod", {"web"}));
  watches_.Sync();
  EXPECT_EQ(health_.EvaluateDue(), WatchedCaches::kLimit + absl::Milliseconds(1));
  Published();
  const std::string heard = Time();
  clock_.Advance(WatchedCaches::kLimit);
  EXPECT_THAT(Published(), IsEmpty());
  clock_.Advance(absl::Milliseconds(1));
  EXPECT_THAT(Published(), ElementsAre("shop/prod"));
  EXPECT_EQ(State("prod"), kUnknown);
  const StageSnapshotPtr stale = health_.Find({"shop", "prod"});
  EXPECT_TRUE(stale->evaluated_stale);
  EXPECT_FALSE(stale->status_differs);
  EXPECT_TRUE(health_.Show(stale).stale);
  EXPECT_THAT(Health("prod").issues(), Contains(HasSubstr(heard.substr(0, 19))));
  EXPECT_TRUE(health_.freshness().ReadAll().stale);
  // For as long as it stays so, there is no news.
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(health_.EvaluateDue(), absl::InfiniteDuration());
  EXPECT_THAT(Published(), IsEmpty());

  watches_.UpToDate();
  EXPECT_THAT(Published(), ElementsAre("shop/prod"));
  EXPECT_EQ(State("prod"), kHealthy);
  EXPECT_FALSE(health_.Show(health_.Find({"shop", "prod"})).stale);
}

TEST_F(HealthCacheTest, ASnapshotNotEvaluatedAgainYetIsNotShownHealthyWhenItIsStale) {
  PutApplication(Application("web"));
  PutStage(Stage("shop.prod", {"web"}));
  PutStage(Stage("shop.empty", {}));
  Sync();
  const absl::Time heard = clock_.Now();
  clock_.Advance(absl::Minutes(5));  // the process was stopped
  for (const char* stage : {"prod", "empty"}) {
    const StageSnapshotPtr snapshot = health_.Find({"shop", stage});
    ASSERT_EQ(snapshot->state, kHealthy);
    const HealthCache::Shown shown = health_.Show(snapshot);
    EXPECT_EQ(shown.snapshot->state, kUnknown) << stage;
    EXPECT_EQ(shown.snapshot->Health().state(), kUnknown) << stage;
    EXPECT_TRUE(shown.stale);
    EXPECT_EQ(shown.observed_time, heard);
  }
  EXPECT_THAT(listener_->heard, IsEmpty());
}

TEST_F(HealthCacheTest, ASnapshotEvaluatedStaleSaysSoUntilItIsEvaluatedAgain) {
  PutStage(Stage("shop.prod", {}));
  Sync();
  clock_.Advance(absl::Minutes(5));
  Published();
  watches_.UpToDate();
  const HealthCache::Shown shown = health_.Show(health_.Find({"shop", "prod"}));
  EXPECT_EQ(shown.snapshot->state, kUnknown);
  EXPECT_TRUE(shown.stale);
}

TEST_F(HealthCacheTest, AStaleNamespaceDoesNotMakeTheStagesOfAnotherStale) {
  PutApplication(Application("web"));
  PutApplication(Application("api", "team-a"));
  PutStage(Stage("shop.prod", {"web"}));
  PutStage(Stage("shop.test", {"team-a/api"}));
  PutStage(Stage("shop.both", {"web", "team-a/api"}));
  PutStage(Stage("shop.none", {}));
  Sync();
  clock_.Advance(WatchedCaches::kLimit + absl::Seconds(1));
  watches_.SinkOf("argocd").UpToDate(clock_.SinceBoot());
  watches_.stage_sink().UpToDate(clock_.SinceBoot());
  EXPECT_THAT(Published(), ElementsAre("shop/both", "shop/test"));
  EXPECT_EQ(State("prod"), kHealthy);
  EXPECT_EQ(State("none"), kHealthy);
  EXPECT_EQ(State("test"), kUnknown);
  EXPECT_EQ(State("both"), kUnknown);
  EXPECT_FALSE(health_.Show(health_.Find({"shop", "prod"})).stale);
  EXPECT_EQ(health_.Show(health_.Find({"shop", "prod"})).observed_time, clock_.Now());
  EXPECT_TRUE(health_.Show(health_.Find({"shop", "both"})).stale);
}

TEST_F(HealthCacheTest, StaleRecordsMakeEveryStageUnknown) {
  PutApplication(Application("web"));
  PutStage(Stage("shop.prod", {"web"}));
  PutStage(Stage("shop.none", {}));
  Sync();
  clock_.Advance(WatchedCaches::kLimit + absl::Seconds(1));
  watches_.SinkOf("argocd").UpToDate(clock_.SinceBoot());
  watches_.SinkOf("team-a").UpToDate(clock_.SinceBoot());
  EXPECT_THAT(Published(), ElementsAre("shop/none", "shop/prod"));
  EXPECT_EQ(State("prod"), kUnknown);
  EXPECT_EQ(State("none"), kUnknown);
}

TEST_F(HealthCacheTest, ARecordThatIsNotUnderstoodIsUnknown) {
  json stage = Stage("shop.prod", {"web"});
  stage["spec"]["steps"] = 7;
  PutStage(stage);
  Sync();
  EXPECT_EQ(State("prod"), kUnknown);
  EXPECT_THAT(Health("prod").issues(0), HasSubstr("can't be understood"));
}

TEST_F(HealthCacheTest, AnApplicationThatIsNotWatchedIsUnknownAndSaysWhy) {
  PutStage(Stage("shop.prod", {"elsewhere/web"}));
  Sync();
  EXPECT_EQ(State("prod"), kUnknown);
  EXPECT_THAT(Health("prod").issues(), Contains(HasSubstr("--watch-namespaces")));
}

TEST_F(HealthCacheTest, ShowsTheStoredTransitionTime) {
  json stage = Stage("shop.prod", {});
  stage["status"] = {{"state", "Healthy"}, {"transitionTime", "2023-01-02T03:04:05Z"}};
  PutStage(stage);
  Sync();
  EXPECT_EQ(Health("prod").transition_time().seconds(), 1672628645);
  EXPECT_FALSE(health_.Find({"shop", "prod"})->status_differs);
}

TEST_F(HealthCacheTest, TheStoredTransitionTimeOfAnotherStateIsNotShown) {
  json stage = Stage("shop.prod", {"gone"});
  stage["status"] = {{"state", "Healthy"}, {"transitionTime", "2023-01-02T03:04:05Z"}};
  PutStage(stage);
  Sync();
  EXPECT_EQ(State("prod"), kUnknown);
  EXPECT_FALSE(Health("prod").has_transition_time());
}

TEST_F(HealthCacheTest, ListsPagesWhileStagesComeAndGo) {
  for (const char* name : {"pay.prod", "shop.a", "shop.b", "shop.c", "shopping.a"}) {
    PutStage(Stage(name, {}));
  }
  PutStage(Stage("shop.sick", {"missing"}));
  Sync();
  bool more = false;
  EXPECT_THAT(Listed(std::nullopt, "shop", {}, 2, &more), ElementsAre("shop/a", "shop/b"));
  EXPECT_TRUE(more);
  DeleteStage(Stage("shop.b", {}));  // the last of the page
  PutStage(Stage("shop.aa", {}));    // behind the reader
  PutStage(Stage("shop.bb", {}));
  Published();
  EXPECT_THAT(Listed(StageName{"shop", "b"}, "shop", {}, 10, &more),
              ElementsAre("shop/bb", "shop/c", "shop/sick"));
  EXPECT_FALSE(more);
  EXPECT_THAT(Listed(StageName{"shop", "sick"}, "shop", {}, 10, &more), IsEmpty());

  EXPECT_THAT(
      Listed(std::nullopt, "", {}, 10, &more),
      ElementsAre("pay/prod", "shop/a", "shop/aa", "shop/bb", "shop/c", "shop/sick", "shopping/a"));
  EXPECT_FALSE(more);
  EXPECT_THAT(Listed(std::nullopt, "", {kUnknown}, 10), ElementsAre("shop/sick"));
  EXPECT_THAT(Listed(std::nullopt, "shop", {kHealthy}, 4, &more),
              ElementsAre("shop/a", "shop/aa", "shop/bb", "shop/c"));
  EXPECT_FALSE(more);  // what is left has another state
  EXPECT_THAT(Listed(std::nullopt, "shop", {kHealthy, kUnknown}, 4, &more),
              ElementsAre("shop/a", "shop/aa", "shop/bb", "shop/c"));
  EXPECT_TRUE(more);
  EXPECT_THAT(Listed(std::nullopt, "nobody", {}, 10), IsEmpty());
  // A place in another project than the one that is listed.
  EXPECT_THAT(Listed(StageName{"pay", "prod"}, "shop", {}, 1), ElementsAre("shop/a"));
  EXPECT_THAT(Listed(StageName{"shopping", "a"}, "shop", {}, 1), IsEmpty());
}

TEST_F(HealthCacheTest, EvaluatesTheChecksOfACallerAndHidesWhatIsNotItsOwn) {
  PutApplication(Application("web"));
  json foreign = Degraded("pay");
  foreign["metadata"]["annotations"]["kargo.akuity.io/authorized-stage"] = "pay:prod";
  PutApplication(foreign);
  json bare = Degraded("bare");
  bare["metadata"].erase("annotations");
  PutApplication(bare);
  Sync();
  google::protobuf::RepeatedPtrField<v1::HealthCheck> checks;
  *checks.Add() = Check("web");
  HealthCache::CheckedHealth checked = health_.EvaluateChecks({"shop", "prod"}, checks, "argocd");
  EXPECT_EQ(checked.health.state(), kHealthy) << checked.health.ShortDebugString();
  EXPECT_FALSE(checked.stale);
  EXPECT_EQ(checked.observed_time, clock_.Now());

  std::vector<std::string> answers;
  for (const char* name : {"pay", "bare", "gone"}) {
    checks.Clear();
    *checks.Add() = Check(name);
    checked = health_.EvaluateChecks({"shop", "prod"}, checks, "argocd");
    EXPECT_EQ(checked.health.state(), kUnknown) << name;
    std::string answer = checked.health.ShortDebugString();
    for (std::size_t at; (at = answer.find(name)) != std::string::npos;) {
      answer.replace(at, std::string(name).size(), "X");
    }
    answers.push_back(answer);
  }
  // There, but another's; there, but nobody's; not there: nobody can tell the difference.
  EXPECT_EQ(answers[0], answers[2]);
  EXPECT_EQ(answers[1], answers[2]);
  // One that was there and went looks no different either.
  DeleteApplication(foreign);
  checks.Clear();
  *checks.Add() = Check("pay");
  checked = health_.EvaluateChecks({"shop", "prod"}, checks, "argocd");
  std::string answer = checked.health.ShortDebugString();
  for (std::size_t at; (at = answer.find("pay")) != std::string::npos;) answer.replace(at, 3, "X");
  EXPECT_EQ(answer, answers[2]);

  clock_.Advance(WatchedCaches::kLimit + absl::Seconds(1));
  checks.Clear();
  *checks.Add() = Check("web");
  checked = health_.EvaluateChecks({"shop", "prod"}, checks, "argocd");
  EXPECT_EQ(checked.health.state(), kUnknown);
  EXPECT_TRUE(checked.stale);
}

TEST_F(HealthCacheTest, AListenerThatWasRemovedHearsNothing) {
  Sync();
  const auto other = std::make_shared<Listener>();
  health_.AddListener(other);
  health_.RemoveListener(listener_.get());
  PutStage(Stage("shop.prod", {}));
  EXPECT_THAT(Published(), IsEmpty());
  EXPECT_THAT(other->heard, ElementsAre("shop/prod"));
  health_.RemoveListener(other.get());
}

TEST_F(HealthCacheTest, TellsHowLongAChangeTook) {
  std::vector<absl::Duration> took;
  HealthCache health({watches_.caches, clock_, [&](absl::Duration time) { took.push_back(time); }});
  PutStage(Stage("shop.prod", {"web"}));
  watches_.Sync();
  health.EvaluateDue();
  took.clear();
  PutApplication(Application("web"));
  health.ApplicationChanged({"argocd", "web"});
  clock_.Advance(absl::Seconds(2));
  health.ApplicationChanged({"argocd", "web"});
  health.ApplicationChanged({"argocd", "stray"});
  clock_.Advance(absl::Seconds(1));
  health.EvaluateDue();
  EXPECT_THAT(took, ElementsAre(absl::Seconds(3)));
  health.ApplicationChanged({"argocd", "web"});
  health.EvaluateDue();
  EXPECT_THAT(took, SizeIs(1));  // nothing was published
}

TEST_F(HealthCacheTest, ReadersAndTheEvaluationGoOnAtOnce) {
  for (int i = 0; i < 5; ++i) PutStage(Stage("shop.s" + std::to_string(i), {"web"}));
  Sync();
  base::Context context;
  std::thread evaluation([&] { health_.Run(context); });
  std::vector<std::thread> readers;
  for (int t = 0; t < 2; ++t) {
    readers.emplace_back([&] {
      for (int i = 0; i < 300; ++i) {
        const StageSnapshotPtr snapshot = health_.Find({"shop", "s1"});
        if (snapshot != nullptr) health_.Show(snapshot);
        health_.ListAfter(std::nullopt, "shop", {}, 3);
        EXPECT_FALSE(health_.freshness().ReadAll().stale);
      }
    });
  }
  for (int i = 0; i < 50; ++i) PutApplication(i % 2 == 0 ? Application("web") : Degraded("web"));
  for (std::thread& reader : readers) reader.join();
  context.Cancel();
  health_.FreshnessChanged();
  evaluation.join();
  health_.EvaluateDue();
  EXPECT_EQ(State("s1"), kUnhealthy);
}

}  // namespace
}  // namespace gantry::health
