// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd_standin/reconcile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/argocd_standin/json_access.h"
#include "tests/argocd_standin/revision.h"

namespace gantry::argocd_standin {
namespace {

using nlohmann::json;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kOld[] = "1111111111111111111111111111111111111111";
constexpr char kNew[] = "2222222222222222222222222222222222222222";
constexpr char kRefresh[] = "argocd.argoproj.io/refresh";

// One Application, the controller's memory of it, and the time; steps are stored as they come.
class ReconcileTest : public ::testing::Test {
 protected:
  ReconcileTest() {
    settings_.sync_duration = absl::Seconds(3);
    settings_.refresh_delay = absl::Seconds(2);
    settings_.health_duration = absl::Seconds(10);
    settings_.resync = absl::ZeroDuration();
  }

  Step Next() const { return NextStep(app_, memory_, now_, settings_); }

  // Carries out every step that is due now; returns what they were, and when to look again.
  absl::Duration Settle() {
    for (int i = 0; i < 20; ++i) {
      const Step step = Next();
      memory_ = step.memory;
      if (!step.patch) return step.look_again;
      steps_.push_back(step.what);
      patches_.push_back(*step.patch);
      json patch = *step.patch;
      if (patch.contains("metadata")) patch["metadata"].erase("resourceVersion");
      app_.merge_patch(patch);
    }
    ADD_FAILURE() << "it does not settle: " << app_.dump(2);
    return absl::InfiniteDuration();
  }

  void Advance(absl::Duration duration) { now_ += duration; }
  absl::Duration SettleAfter(absl::Duration duration) {
    Advance(duration);
    return Settle();
  }

  void Order(const std::string& name, const std::string& value) {
    app_["metadata"]["annotations"]["standin.gantry.dev/" + name] = value;
  }
  void Countermand(const std::string& name) {
    app_["metadata"]["annotations"].erase("standin.gantry.dev/" + name);
  }
  // As whoever asks for an operation does: nothing is left of the last one.
  void Request(json operation = {{"sync", json::object()},
                                 {"info", {{{"name", "Reason"}, {"value", "test"}}}}}) {
    app_["operation"] = std::move(operation);
    app_.merge_patch({{"status", {{"operationState", nullptr}}}});
  }
  // A complete sync with all that follows.
  void Sync() {
    Request();
    Settle();
    SettleAfter(settings_.sync_duration);
    SettleAfter(settings_.refresh_delay);
    SettleAfter(settings_.health_duration);
    ASSERT_EQ(Sync("status"), "Synced");
    ASSERT_EQ(Health(), "Healthy");
    steps_.clear();
    patches_.clear();
  }

  const json& State() const { return At(app_, {"status", "operationState"}); }
  std::string Phase() const { return TextAt(State(), {"phase"}); }
  std::string Message() const { return TextAt(State(), {"message"}); }
  std::string Health() const { return TextAt(app_, {"status", "health", "status"}); }
  std::string Sync(const char* key) const { return TextAt(app_, {"status", "sync", key}); }
  std::string ReconciledAt() const { return TextAt(app_, {"status", "reconciledAt"}); }
  bool HasOperation() const { return app_.contains("operation"); }
  bool HasRefresh() const { return app_["metadata"]["annotations"].contains(kRefresh); }
  std::string Now() const {
    return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", now_, absl::UTCTimeZone());
  }

  Settings settings_;
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000) + absl::Milliseconds(700);
  Memory memory_;
  json app_ = {{"metadata",
                {{"name", "web"},
                 {"namespace", "argocd"},
                 {"resourceVersion", "7"},
                 {"annotations", json::object()}}},
               {"spec",
                {{"source", {{"repoURL", "r"}, {"path", "p"}, {"targetRevision", kOld}}},
                 {"destination", {{"server", "here"}, {"namespace", "shop"}}}}}};
  std::vector<std::string> steps_;
  std::vector<json> patches_;
};

// ---- Operations ----

TEST_F(ReconcileTest, ANewApplicationIsComparedAndIsMissing) {
  EXPECT_EQ(Settle(), absl::InfiniteDuration());
  EXPECT_THAT(steps_, ElementsAre("compared the Application: OutOfSync, Missing"));
  EXPECT_EQ(ReconciledAt(), Now());
  EXPECT_EQ(Sync("revision"), kOld);
  EXPECT_EQ(At(app_, {"status", "sync", "comparedTo", "source"}), app_["spec"]["source"]);
  EXPECT_EQ(At(app_, {"status", "sync", "comparedTo", "destination"}), app_["spec"]["destination"]);
}

TEST_F(ReconcileTest, AnOperationIsTakenUpAndStaysRequested) {
  Settle();
  Request();
  const Step step = Next();
  ASSERT_TRUE(step.patch);
  EXPECT_TRUE(step.on_live_read);
  app_.merge_patch(*step.patch);
  EXPECT_TRUE(HasOperation());
  EXPECT_EQ(Phase(), "Running");
  EXPECT_EQ(TextAt(State(), {"startedAt"}), Now());
  EXPECT_EQ(State()["operation"], app_["operation"]);
  EXPECT_FALSE(State().contains("syncResult"));
  // No lock, as Argo CD has none here.
  EXPECT_FALSE(step.patch->contains("metadata"));
}

TEST_F(ReconcileTest, NothingOfAnEarlierStateSurvivesInTheNext) {
  Settle();
  Sync();
  const json before = State();
  Request({{"sync", {{"revision", kNew}}}});
  app_["status"]["operationState"] = before;
  app_.merge_patch(*Next().patch);
  EXPECT_EQ(State(), json({{"phase", "Running"},
                           {"startedAt", Now()},
                           {"operation", {{"sync", {{"revision", kNew}}}}}}));
}

TEST_F(ReconcileTest, AnOperationRunsForItsTimeAndSucceedsInOneWrite) {
  Settle();
  Request();
  EXPECT_EQ(Settle(), absl::Seconds(3));
  EXPECT_EQ(Phase(), "Running");
  EXPECT_EQ(Message(), "waiting for healthy state of apps/Deployment/web");
  EXPECT_EQ(Health(), "Progressing");
  EXPECT_EQ(SettleAfter(absl::Seconds(2)), absl::Seconds(1));
  EXPECT_TRUE(HasOperation());
  patches_.clear();
  SettleAfter(absl::Seconds(1));
  ASSERT_THAT(patches_, SizeIs(1));
  EXPECT_TRUE(patches_[0].contains("operation") && patches_[0]["operation"].is_null());
  EXPECT_FALSE(HasOperation());
  EXPECT_EQ(Phase(), "Succeeded");
  EXPECT_EQ(Message(), "successfully synced (all tasks run)");
  EXPECT_EQ(TextAt(State(), {"finishedAt"}), Now());
  EXPECT_EQ(TextAt(State(), {"syncResult", "revision"}), kOld);
  EXPECT_EQ(At(State(), {"syncResult", "source"}), app_["spec"]["source"]);
  EXPECT_THAT(At(State(), {"syncResult", "resources"}), SizeIs(2));
}

TEST_F(ReconcileTest, ASuccessfulOperationIsInTheHistoryWhichIsLimited) {
  Settle();
  for (int i = 0; i < 12; ++i) Sync();
  const json& history = app_["status"]["history"];
  ASSERT_THAT(history, SizeIs(10));
  EXPECT_EQ(history.front()["id"], 2);
  EXPECT_EQ(history.back()["id"], 11);
  EXPECT_EQ(history.back()["revision"], kOld);
  EXPECT_EQ(history.back()["source"], app_["spec"]["source"]);
  EXPECT_EQ(history.back()["deployedAt"], State()["finishedAt"]);
}

TEST_F(ReconcileTest, ADryRunDeploysNothing) {
  Settle();
  Request({{"sync", {{"dryRun", true}}}});
  Settle();
  SettleAfter(absl::Seconds(3));
  SettleAfter(absl::Seconds(2));
  EXPECT_EQ(Phase(), "Succeeded");
  EXPECT_FALSE(app_["status"].contains("history"));
}

TEST_F(ReconcileTest, WhatTheSpecAsksForMeanwhileIsNotSynced) {
  Settle();
  Request();
  Settle();
  app_["spec"]["source"]["targetRevision"] = kNew;
  Settle();
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(TextAt(State(), {"syncResult", "revision"}), kOld);
  SettleAfter(absl::Seconds(2));
  EXPECT_EQ(Sync("revision"), kNew);
  EXPECT_EQ(Sync("status"), "OutOfSync");
}

TEST_F(ReconcileTest, AnOperationWrittenOverAnotherIsLost) {
  Settle();
  Request();
  Settle();
  const json first = app_["operation"];
  app_["operation"] = {{"sync", {{"prune", true}}}};
  SettleAfter(absl::Seconds(3));
  EXPECT_FALSE(HasOperation());
  EXPECT_EQ(State()["operation"], first);
}

TEST_F(ReconcileTest, AnOperationMayNameAnotherRevision) {
  Settle();
  Request({{"sync", {{"revision", kNew}}}});
  Settle();
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(TextAt(State(), {"syncResult", "revision"}), kNew);
  EXPECT_EQ(TextAt(State(), {"syncResult", "source", "targetRevision"}), kOld);
}

TEST_F(ReconcileTest, SeveralSourcesOverrideTheOneAndHaveSeveralRevisions) {
  app_["spec"]["sources"] = {{{"repoURL", "r"}, {"targetRevision", "main"}},
                             {{"repoURL", "c"}, {"chart", "redis"}, {"targetRevision", "1.2.3"}}};
  Settle();
  const json revisions = {ResolveRevision(app_["spec"]["sources"][0]), "1.2.3"};
  Request();
  Settle();
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(State()["syncResult"]["revisions"], revisions);
  EXPECT_EQ(State()["syncResult"]["sources"], app_["spec"]["sources"]);
  // What Argo CD writes of a single source even then.
  EXPECT_EQ(State()["syncResult"]["revision"], "");
  SettleAfter(absl::Seconds(2));
  EXPECT_EQ(app_["status"]["sync"]["revisions"], revisions);
  EXPECT_FALSE(app_["status"]["sync"].contains("revision"));
  EXPECT_EQ(app_["status"]["sync"]["comparedTo"]["sources"], app_["spec"]["sources"]);
  EXPECT_EQ(Sync("status"), "Synced");
}

TEST_F(ReconcileTest, ASourceWithANullSettlesThoughMergePatchesDropIt) {
  app_["spec"]["source"]["helm"] = {{"valuesObject", {{"resources", nullptr}}}};
  Settle();
  Sync();
  EXPECT_EQ(Settle(), absl::InfiniteDuration());
  memory_ = {};
  steps_.clear();
  Settle();
  EXPECT_THAT(steps_, IsEmpty());
}

TEST_F(ReconcileTest, ATerminatedOperationFails) {
  Settle();
  Order("hang", "true");
  Request();
  EXPECT_EQ(Settle(), absl::InfiniteDuration());
  app_["status"]["operationState"]["phase"] = "Terminating";
  Settle();
  EXPECT_EQ(Phase(), "Failed");
  EXPECT_EQ(Message(), "Operation terminated");
  EXPECT_FALSE(HasOperation());
}

TEST_F(ReconcileTest, AnAbandonedStateIsLeftAlone) {
  Settle();
  app_["status"]["operationState"] = {{"phase", "Running"}, {"startedAt", Now()}};
  steps_.clear();
  SettleAfter(absl::Hours(1));
  EXPECT_EQ(Phase(), "Running");
  EXPECT_THAT(steps_, IsEmpty());
}

TEST_F(ReconcileTest, AfterARestartAnOperationIsCompletedByTheTimesWritten) {
  Settle();
  Request();
  Settle();
  memory_ = {};
  // To the second, which was begun 0.7 s earlier.
  EXPECT_EQ(Settle(), absl::Seconds(3) - absl::Milliseconds(700));
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(Phase(), "Succeeded");
}

// ---- Ends ----

struct EndCase {
  const char* name;
  const char* order;
  const char* value;
  const char* phase;
  const char* message;
};
class EndTest : public ReconcileTest, public ::testing::WithParamInterface<EndCase> {};

TEST_P(EndTest, AnOperationEndsAsOrdered) {
  Settle();
  Order(GetParam().order, GetParam().value);
  Request();
  Settle();
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(Phase(), GetParam().phase);
  EXPECT_EQ(Message(), GetParam().message);
  EXPECT_FALSE(HasOperation());
  EXPECT_EQ(TextAt(State(), {"syncResult", "revision"}), kOld);
  EXPECT_FALSE(app_["status"].contains("history"));
  SettleAfter(absl::Seconds(2));
  EXPECT_EQ(Sync("status"), "OutOfSync");
  EXPECT_EQ(Health(), "Missing");

  Countermand(GetParam().order);
  Sync();
}

INSTANTIATE_TEST_SUITE_P(
    All, EndTest,
    ::testing::Values(EndCase{"Failed", "fail", "no quota", "Failed", "no quota"},
                      EndCase{"FailedWithoutMessage", "fail", "", "Failed",
                              "one or more objects failed to apply"},
                      EndCase{"Error", "error", "no manifests", "Error", "no manifests"}),
    [](const ::testing::TestParamInfo<EndCase>& instance) { return instance.param.name; });

TEST_F(ReconcileTest, AFailureIsRetriedAsTheOperationSays) {
  Settle();
  Order("fail", "no quota");
  Request({{"sync", json::object()},
           {"retry",
            {{"limit", 2},
             {"backoff", {{"duration", "10s"}, {"factor", 3}, {"maxDuration", "20s"}}}}}});
  Settle();
  EXPECT_EQ(SettleAfter(absl::Seconds(3)), absl::Seconds(10));
  EXPECT_EQ(Phase(), "Running");
  EXPECT_EQ(TextAt(State(), {"finishedAt"}), Now());
  EXPECT_EQ(State()["retryCount"], 1);
  EXPECT_EQ(Message(), "no quota. Retrying attempt #1 at 10:13PM.");
  EXPECT_TRUE(HasOperation());
  EXPECT_EQ(SettleAfter(absl::Seconds(9)), absl::Seconds(1));

  EXPECT_EQ(SettleAfter(absl::Seconds(1)), absl::Seconds(3));
  EXPECT_FALSE(State().contains("finishedAt"));
  EXPECT_EQ(SettleAfter(absl::Seconds(3)), absl::Seconds(20)) << "at most maxDuration";
  EXPECT_EQ(State()["retryCount"], 2);

  SettleAfter(absl::Seconds(20));
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(Phase(), "Failed");
  EXPECT_EQ(Message(), "no quota (retried 2 times).");
  EXPECT_FALSE(HasOperation());
}

TEST_F(ReconcileTest, ARetrySucceedsOnceTheFailureIsGone) {
  Settle();
  Order("fail", "no quota");
  Request({{"sync", json::object()}, {"retry", {{"limit", -1}}}});
  Settle();
  EXPECT_EQ(SettleAfter(absl::Seconds(3)), absl::Seconds(5)) << "Argo CD's default";
  Countermand("fail");
  EXPECT_EQ(SettleAfter(absl::Seconds(5)), absl::Seconds(3));
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(Phase(), "Succeeded");
}

TEST_F(ReconcileTest, AHangingOperationRunsUntilItIsToldNotTo) {
  Settle();
  Order("hang", "true");
  Request();
  EXPECT_EQ(Settle(), absl::InfiniteDuration());
  EXPECT_EQ(SettleAfter(absl::Hours(1)), absl::InfiniteDuration());
  EXPECT_EQ(Phase(), "Running");
  Countermand("hang");
  Settle();
  EXPECT_EQ(Phase(), "Succeeded");
}

TEST_F(ReconcileTest, ASyncWindowKeepsAnOperationFromBeginning) {
  Settle();
  Order("sync-window", "true");
  Request();
  EXPECT_EQ(Settle(), absl::InfiniteDuration());
  SettleAfter(absl::Hours(1));
  EXPECT_EQ(Phase(), "Running");
  EXPECT_EQ(Message(), "Sync operation blocked by sync window");
  EXPECT_TRUE(HasOperation());
  Countermand("sync-window");
  EXPECT_EQ(Settle(), absl::Seconds(3)) << "it begins now";
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(Phase(), "Succeeded");
}

TEST_F(ReconcileTest, AnApplicationMayHaveASyncDurationOfItsOwn) {
  Settle();
  Order("sync-duration", "1m");
  Request();
  EXPECT_EQ(Settle(), absl::Minutes(1));
}

TEST_F(ReconcileTest, ASyncResultCanBeLost) {
  Settle();
  Order("lose-sync-result", "true");
  Request();
  Settle();
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(Phase(), "Succeeded");
  EXPECT_FALSE(State().contains("syncResult"));
}

// ---- Comparisons ----

TEST_F(ReconcileTest, AnOperationIsFollowedByAComparisonAndHealthTakesItsTime) {
  Settle();
  Request();
  Settle();
  EXPECT_EQ(SettleAfter(absl::Seconds(3)), absl::Seconds(2));
  EXPECT_LT(ReconciledAt(), TextAt(State(), {"finishedAt"}));
  EXPECT_EQ(SettleAfter(absl::Seconds(2)), absl::Seconds(8));
  EXPECT_EQ(ReconciledAt(), Now());
  EXPECT_EQ(Sync("status"), "Synced");
  EXPECT_EQ(Health(), "Progressing");
  EXPECT_EQ(SettleAfter(absl::Seconds(8)), absl::InfiniteDuration());
  EXPECT_EQ(Health(), "Healthy");
  EXPECT_EQ(TextAt(app_, {"status", "health", "lastTransitionTime"}), Now());
}

TEST_F(ReconcileTest, AFailedOperationIsFollowedByAComparisonThoughNothingElseChanged) {
  Settle();
  Sync();
  Advance(absl::Minutes(1));
  Order("fail", "no quota");
  Request();
  Settle();
  SettleAfter(absl::Seconds(3));
  SettleAfter(absl::Seconds(2));
  EXPECT_EQ(ReconciledAt(), Now());
}

TEST_F(ReconcileTest, ARefreshIsDoneAtOnceAndItsAnnotationGoesInTheSameWrite) {
  Settle();
  Sync();
  for (const char* kind : {"normal", "hard", "anything"}) {
    Advance(absl::Minutes(1));
    app_["metadata"]["annotations"][kRefresh] = kind;
    patches_.clear();
    Settle();
    ASSERT_THAT(patches_, SizeIs(1)) << kind;
    EXPECT_FALSE(HasRefresh());
    EXPECT_EQ(ReconciledAt(), Now());
    EXPECT_EQ(patches_[0]["metadata"]["annotations"], json({{kRefresh, nullptr}}));
  }
}

TEST_F(ReconcileTest, HealthKeepsItsTimeWhileItIsTheSame) {
  Settle();
  Sync();
  const std::string since = TextAt(app_, {"status", "health", "lastTransitionTime"});
  Advance(absl::Minutes(1));
  app_["metadata"]["annotations"][kRefresh] = "normal";
  Settle();
  EXPECT_EQ(TextAt(app_, {"status", "health", "lastTransitionTime"}), since);
}

TEST_F(ReconcileTest, AChangeOfTheSpecIsCompared) {
  Settle();
  Sync();
  app_["spec"]["source"]["targetRevision"] = kNew;
  Settle();
  EXPECT_EQ(Sync("status"), "OutOfSync");
  EXPECT_EQ(Sync("revision"), kNew);
  app_["spec"]["source"]["targetRevision"] = kOld;
  Settle();
  EXPECT_EQ(Sync("status"), "Synced");
  // Another source at the same revision is another deployment.
  app_["spec"]["source"]["kustomize"] = {{"images", {"a:1"}}};
  Settle();
  EXPECT_EQ(Sync("status"), "OutOfSync");
}

TEST_F(ReconcileTest, AnIdleApplicationIsComparedOnceInAWhileIfAskedFor) {
  settings_.resync = absl::Minutes(3);
  Settle();
  Sync();
  const absl::Duration left = Settle();
  EXPECT_GT(left, absl::Minutes(2));
  EXPECT_LE(left, absl::Minutes(3));
  SettleAfter(left);
  EXPECT_EQ(ReconciledAt(), Now());
}

TEST_F(ReconcileTest, WhatSomebodyElseWroteIntoTheStatusIsOverwrittenByTheNextComparisonOnly) {
  Settle();
  Sync();
  app_["status"]["health"]["status"] = "Degraded";
  Settle();
  EXPECT_EQ(Health(), "Degraded");
  app_["metadata"]["annotations"][kRefresh] = "normal";
  Settle();
  EXPECT_EQ(Health(), "Healthy");
}

TEST_F(ReconcileTest, AfterARestartNothingIsDoneAgain) {
  Settle();
  Sync();
  memory_ = {};
  Settle();
  EXPECT_THAT(steps_, IsEmpty());
}

TEST_F(ReconcileTest, DegradedUntilToldOtherwise) {
  Settle();
  Sync();
  Order("degrade", "crash loop");
  Settle();
  EXPECT_EQ(Health(), "Degraded");
  EXPECT_EQ(TextAt(app_, {"status", "health", "message"}), "crash loop");
  Countermand("degrade");
  Settle();
  EXPECT_EQ(Health(), "Healthy");
  EXPECT_FALSE(app_["status"]["health"].contains("message"));
}

TEST_F(ReconcileTest, AnyHealthCanBeOrdered) {
  Settle();
  Order("health", "Suspended");
  Settle();
  EXPECT_EQ(Health(), "Suspended");
}

TEST_F(ReconcileTest, DriftIsOutOfSyncUntilToldOtherwise) {
  Settle();
  Sync();
  Order("drift", "true");
  Settle();
  EXPECT_EQ(Sync("status"), "OutOfSync");
  Countermand("drift");
  Settle();
  EXPECT_EQ(Sync("status"), "Synced");
}

TEST_F(ReconcileTest, AComparisonErrorIsReconciledAndLeavesSyncUnknown) {
  Settle();
  Sync();
  Advance(absl::Minutes(1));
  Order("condition", "ComparisonError=no such branch");
  Settle();
  EXPECT_EQ(Sync("status"), "Unknown");
  EXPECT_EQ(ReconciledAt(), Now());
  EXPECT_EQ(app_["status"]["conditions"], json::array({{{"type", "ComparisonError"},
                                                        {"message", "no such branch"},
                                                        {"lastTransitionTime", Now()}}}));
  Countermand("condition");
  Settle();
  EXPECT_FALSE(app_["status"].contains("conditions"));
  EXPECT_EQ(Sync("status"), "Synced");
}

TEST_F(ReconcileTest, AnInvalidSpecIsNeverReconciledButRefreshesAreAnswered) {
  Settle();
  Sync();
  const std::string before = ReconciledAt();
  Advance(absl::Minutes(1));
  Order("condition", "InvalidSpecError=no such project");
  EXPECT_EQ(Settle(), absl::InfiniteDuration());
  EXPECT_EQ(Health(), "Unknown");
  Request();
  Settle();
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(SettleAfter(absl::Minutes(1)), absl::InfiniteDuration());
  app_["metadata"]["annotations"][kRefresh] = "hard";
  Settle();
  EXPECT_FALSE(HasRefresh());
  EXPECT_EQ(ReconciledAt(), before);
}

TEST_F(ReconcileTest, AnEmptyRefreshAnnotationIsARequestToo) {
  Settle();
  const std::string before = ReconciledAt();
  Advance(absl::Minutes(1));
  app_["metadata"]["annotations"][kRefresh] = "";
  Settle();
  EXPECT_FALSE(HasRefresh());
  EXPECT_NE(ReconciledAt(), before);
  EXPECT_EQ(ReconciledAt(), Now());
}

TEST_F(ReconcileTest, AnOperationWhoseComparisonFailsEndsWithItsCondition) {
  for (const char* condition : {"ComparisonError", "InvalidSpecError"}) {
    SCOPED_TRACE(condition);
    Settle();
    Sync();
    const json history = app_["status"]["history"];
    Order("condition", std::string(condition) + "=no such branch");
    Request();
    Settle();
    EXPECT_FALSE(HasOperation());
    EXPECT_EQ(Phase(), "Error");
    EXPECT_EQ(Message(), std::string(condition) + ": no such branch");
    EXPECT_FALSE(State().contains("syncResult"));
    EXPECT_EQ(app_["status"]["history"], history);
    Countermand("condition");
    SettleAfter(absl::Minutes(1));
  }
}

TEST_F(ReconcileTest, AComparisonThatFailsEndsASyncThatHasBegun) {
  Settle();
  Order("hang", "true");
  Request();
  Settle();
  ASSERT_EQ(Phase(), "Running");
  Order("condition", "ComparisonError=no such branch");
  Settle();
  EXPECT_EQ(Phase(), "Error");
  EXPECT_EQ(Message(), "ComparisonError: no such branch");
  EXPECT_FALSE(At(State(), {"syncResult"}).contains("resources"));
  EXPECT_FALSE(app_["status"].contains("history"));
}

TEST_F(ReconcileTest, AnOperationWhoseComparisonFailsIsTriedAgainAsItAsks) {
  Settle();
  Order("condition", "ComparisonError=no such branch");
  Request({{"sync", json::object()}, {"retry", {{"limit", 1}}}});
  EXPECT_EQ(Settle(), absl::Seconds(5));
  EXPECT_EQ(Phase(), "Running");
  EXPECT_THAT(Message(), HasSubstr("ComparisonError: no such branch. Retrying attempt #1"));
  EXPECT_FALSE(State().contains("syncResult"));
  Countermand("condition");
  SettleAfter(absl::Seconds(5));
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(Phase(), "Succeeded");
  EXPECT_THAT(app_["status"]["history"], SizeIs(1));
}

TEST_F(ReconcileTest, AnotherConditionIsNoReasonNotToSync) {
  Settle();
  Order("condition", "OrphanedResourceWarning=one more than known");
  Request();
  Settle();
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(Phase(), "Succeeded");
}

TEST_F(ReconcileTest, WithoutReconcilingNothingIsComparedAndRefreshesWait) {
  Settle();
  const std::string before = ReconciledAt();
  Order("no-reconcile", "true");
  app_["metadata"]["annotations"][kRefresh] = "hard";
  Request();
  Settle();
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(Phase(), "Succeeded");
  EXPECT_EQ(SettleAfter(absl::Minutes(1)), absl::InfiniteDuration());
  EXPECT_EQ(ReconciledAt(), before);
  EXPECT_TRUE(HasRefresh());
  Countermand("no-reconcile");
  Settle();
  EXPECT_EQ(ReconciledAt(), Now());
  EXPECT_FALSE(HasRefresh());
}

TEST_F(ReconcileTest, BranchesResolveToWhatTheyAreTold) {
  app_["spec"]["source"]["targetRevision"] = "main";
  Settle();
  Sync();
  Order("revision", kNew);
  Settle();
  EXPECT_EQ(Sync("revision"), kNew);
  EXPECT_EQ(Sync("status"), "OutOfSync");
}

TEST_F(ReconcileTest, ANewApplicationCanCountAsDeployed) {
  Order("deployed", "true");
  Order("self-heal", "true");
  EXPECT_EQ(Settle(), absl::InfiniteDuration());
  EXPECT_THAT(steps_, ElementsAre("counted the Application as deployed",
                                  "compared the Application: Synced, Healthy"));
  EXPECT_EQ(Phase(), "Succeeded");
  EXPECT_EQ(TextAt(State(), {"syncResult", "revision"}), kOld);
  EXPECT_LT(TextAt(State(), {"finishedAt"}), ReconciledAt());
  app_["spec"]["source"]["targetRevision"] = kNew;
  Settle();
  EXPECT_EQ(Sync("status"), "OutOfSync");
}

TEST_F(ReconcileTest, OnlyAnApplicationWithoutAnyOperationCountsAsDeployed) {
  Order("deployed", "true");
  Order("fail", "no quota");
  Request();
  Settle();
  SettleAfter(absl::Seconds(3));
  SettleAfter(absl::Seconds(2));
  EXPECT_EQ(Phase(), "Failed");
  EXPECT_EQ(Sync("status"), "OutOfSync");
}

// ---- Automated syncs ----

TEST_F(ReconcileTest, OneAutomatedSyncFollowsAnotherOperationIfOrdered) {
  Settle();
  Order("self-heal", "true");
  Request();
  Settle();
  Advance(absl::Seconds(3));
  steps_.clear();
  patches_.clear();
  Settle();
  EXPECT_THAT(steps_, Contains("ended an operation as Succeeded"));
  EXPECT_THAT(steps_, Contains("began an automated sync"));
  // As Argo CD does it: refused when somebody else wrote.
  EXPECT_EQ(patches_[1]["metadata"]["resourceVersion"], "7");
  EXPECT_EQ(At(State(), {"operation", "initiatedBy", "automated"}), true);
  EXPECT_FALSE(State()["operation"].contains("info"));
  SettleAfter(absl::Seconds(3));
  SettleAfter(absl::Seconds(2));
  EXPECT_EQ(Phase(), "Succeeded");
  steps_.clear();
  SettleAfter(absl::Hours(1));
  EXPECT_THAT(steps_, Not(Contains("began an automated sync")));
}

TEST_F(ReconcileTest, AnOperationOfOursThatCountsAsAutomatedIsFollowedByOneToo) {
  Settle();
  Order("self-heal", "true");
  Request({{"sync", json::object()},
           {"initiatedBy", {{"automated", true}}},
           {"info", {{{"name", "Reason"}, {"value", "test"}}}}});
  Settle();
  SettleAfter(absl::Seconds(3));
  EXPECT_THAT(steps_, Contains("began an automated sync"));
}

TEST_F(ReconcileTest, AnAutomatedApplicationIsSyncedWhenItsRevisionChanges) {
  app_["spec"]["syncPolicy"] = {{"automated", {{"prune", true}}}, {"syncOptions", {"A=b"}}};
  Settle();
  EXPECT_EQ(Phase(), "Running");
  const json operation = {
      {"initiatedBy", {{"automated", true}}},
      {"retry", {{"limit", 5}}},
      {"sync", {{"revision", kOld}, {"prune", true}, {"syncOptions", {"A=b"}}}}};
  EXPECT_EQ(app_["operation"], operation);
  SettleAfter(absl::Seconds(3));
  SettleAfter(absl::Seconds(2));
  SettleAfter(absl::Seconds(10));
  EXPECT_EQ(Health(), "Healthy");
  app_["spec"]["source"]["targetRevision"] = kNew;
  Settle();
  EXPECT_EQ(TextAt(app_, {"operation", "sync", "revision"}), kNew);
}

TEST_F(ReconcileTest, AnAutomatedSyncThatFailedIsNotRepeatedForTheSameRevision) {
  app_["spec"]["syncPolicy"] = {{"automated", {{"selfHeal", true}}}, {"retry", {{"limit", 0}}}};
  Order("fail", "no quota");
  Settle();
  SettleAfter(absl::Seconds(3));
  SettleAfter(absl::Seconds(2));
  EXPECT_EQ(Phase(), "Failed");
  steps_.clear();
  EXPECT_EQ(SettleAfter(absl::Hours(1)), absl::InfiniteDuration());
  EXPECT_THAT(steps_, IsEmpty());
}

TEST_F(ReconcileTest, DriftIsHealedOnlyWithSelfHealAndEverMoreSlowly) {
  app_["spec"]["syncPolicy"] = {{"automated", json::object()}};
  Settle();
  SettleAfter(absl::Seconds(3));
  SettleAfter(absl::Seconds(2));
  SettleAfter(absl::Seconds(10));
  Order("drift", "true");
  EXPECT_EQ(Settle(), absl::InfiniteDuration());
  EXPECT_FALSE(HasOperation());

  app_["spec"]["syncPolicy"]["automated"]["selfHeal"] = true;
  Settle();
  EXPECT_EQ(app_["operation"]["sync"]["selfHealAttemptsCount"], 1);
  SettleAfter(absl::Seconds(3));
  // Two seconds, and three times that after the first.
  SettleAfter(absl::Seconds(5));
  EXPECT_FALSE(HasOperation());
  SettleAfter(absl::Seconds(1));
  EXPECT_EQ(app_["operation"]["sync"]["selfHealAttemptsCount"], 2);
}

TEST_F(ReconcileTest, AutomationThatIsNotEnabledDoesNothing) {
  app_["spec"]["syncPolicy"] = {{"automated", {{"enabled", false}}}};
  Settle();
  EXPECT_FALSE(HasOperation());
}

// ---- What is left alone ----

TEST_F(ReconcileTest, AnApplicationThatIsToBeSkippedIsLeftAlone) {
  app_["metadata"]["annotations"]["argocd.argoproj.io/skip-reconcile"] = "true";
  app_["metadata"]["annotations"][kRefresh] = "hard";
  Request();
  EXPECT_EQ(Settle(), absl::InfiniteDuration());
  EXPECT_THAT(steps_, IsEmpty());
}

TEST_F(ReconcileTest, AnApplicationThatIsBeingDeletedIsLetGo) {
  app_["metadata"]["deletionTimestamp"] = Now();
  app_["metadata"]["finalizers"] = {"resources-finalizer.argocd.argoproj.io/background", "other"};
  Request();
  Settle();
  EXPECT_THAT(patches_, ElementsAre(json({{"metadata", {{"finalizers", {"other"}}}}})));
}

TEST_F(ReconcileTest, BadInputIsNeverWorse) {
  const std::vector<json> odd = {
      nullptr, 7, "text", json::array({1}), json::object(), -1e300, 9'223'372'036'854'775'807};
  const std::vector<std::string> places = {"",
                                           "/metadata",
                                           "/metadata/annotations",
                                           "/metadata/finalizers",
                                           "/metadata/name",
                                           "/operation",
                                           "/operation/sync",
                                           "/operation/retry",
                                           "/operation/retry/limit",
                                           "/operation/retry/backoff",
                                           "/operation/info",
                                           "/spec",
                                           "/spec/source",
                                           "/spec/sources",
                                           "/spec/syncPolicy",
                                           "/spec/syncPolicy/automated",
                                           "/spec/revisionHistoryLimit",
                                           "/status",
                                           "/status/conditions",
                                           "/status/health",
                                           "/status/history",
                                           "/status/operationState",
                                           "/status/operationState/retryCount",
                                           "/status/operationState/syncResult",
                                           "/status/operationState/operation",
                                           "/status/sync",
                                           "/status/reconciledAt"};
  app_["spec"]["syncPolicy"] = {{"automated", json::object()}};
  Settle();
  Order("fail", "no quota");
  const json normal = app_;
  for (const std::string& place : places) {
    for (const json& value : odd) {
      app_ = normal;
      app_[json::json_pointer(place)] = value;
      memory_ = {};
      // Whatever is done, it ends, and is JSON.
      for (int i = 0; i < 10; ++i) {
        const Step step = Next();
        memory_ = step.memory;
        Advance(absl::Seconds(4));
        if (!step.patch) continue;
        EXPECT_TRUE(step.patch->is_object()) << place;
        app_.merge_patch(*step.patch);
      }
    }
  }
}

// ---- MergeDiff ----

TEST(MergeDiffTest, IsTheSmallestPatch) {
  const json from = {{"same", {{"a", 1}}},
                     {"changed", {{"a", 1}, {"b", 2}}},
                     {"gone", 1},
                     {"list", {1, 2}},
                     {"was null", nullptr}};
  json to = from;
  to["changed"]["b"] = 3;
  to["new"] = {{"x", nullptr}, {"y", 1}};
  to["new null"] = nullptr;
  to["list"] = {1};
  to.erase("gone");
  const json patch = MergeDiff(from, to);
  EXPECT_EQ(patch, json({{"changed", {{"b", 3}}},
                         {"new", {{"x", nullptr}, {"y", 1}}},
                         {"list", {1}},
                         {"gone", nullptr}}));
  EXPECT_EQ(MergeDiff(from, from), json::object());
}

}  // namespace
}  // namespace gantry::argocd_standin
