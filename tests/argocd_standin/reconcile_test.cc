// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd_standin/reconcile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/argocd_standin/json_access.h"
#include "tests/argocd_standin/merge_diff.h"
#include "tests/argocd_standin/played_application.h"
#include "tests/argocd_standin/revision.h"

namespace gantry::argocd_standin {
namespace {

using nlohmann::json;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class ReconcileTest : public PlayedApplication {};

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
  EXPECT_TRUE(step.on_live_read);
  Do(step);
  // The state is replaced whole, without a lock, as Argo CD does it here.
  ASSERT_THAT(writes_, SizeIs(Ge(1)));
  EXPECT_EQ(writes_.back(),
            json::array({{{"op", "add"}, {"path", "/status/operationState"}, {"value", State()}}}));
  EXPECT_TRUE(HasOperation());
  EXPECT_EQ(State(), json({{"phase", "Running"},
                           {"startedAt", Now()},
                           {"operation",
                            {{"sync", json::object()},
                             {"info", {{{"name", "Reason"}, {"value", "test"}}}},
                             {"initiatedBy", json::object()},
                             {"retry", json::object()}}}}));
}

TEST_F(ReconcileTest, TheOperationIsCopiedAsGoTypesWriteIt) {
  Settle();
  Request(
      {{"sync",
        {{"prune", false},
         {"dryRun", nullptr},
         {"syncOptions", json::array()},
         {"revision", ""},
         {"unknown", 1},
         {"source",
          {{"repoURL", "r"},
           {"path", ""},
           {"helm", {{"parameters", {{{"name", "a"}, {"value", "1"}, {"forceString", false}}}}}},
           {"kustomize", json::object()},
           {"directory", {{"jsonnet", json::object()}}}}}}},
       {"initiatedBy", {{"username", "ann"}, {"automated", false}}},
       {"info", {{{"name", "Reason"}}}},
       {"retry", {{"limit", 0}, {"backoff", {{"duration", "5s"}, {"factor", 2}}}}}});
  Do(Next());
  EXPECT_EQ(State()["operation"],
            json({{"sync",
                   {{"source",
                     {{"repoURL", "r"},
                      {"helm", {{"parameters", {{{"name", "a"}, {"value", "1"}}}}}},
                      {"kustomize", json::object()},
                      {"directory", json::object()}}}}},
                  {"initiatedBy", {{"username", "ann"}}},
                  {"info", {{{"name", "Reason"}, {"value", ""}}}},
                  {"retry", {{"backoff", {{"duration", "5s"}, {"factor", 2}}}}}}));
}

TEST_F(ReconcileTest, AnOperationWithoutASyncIsAnError) {
  Settle();
  Request({{"info", {{{"name", "a"}, {"value", "b"}}}}});
  Advance(absl::Minutes(1));
  const std::string before = ReconciledAt();
  Settle();
  EXPECT_FALSE(HasOperation());
  EXPECT_EQ(Phase(), "Error");
  EXPECT_EQ(Message(), "Invalid operation request: no operation specified");
  EXPECT_FALSE(State().contains("syncResult"));
  EXPECT_EQ(SettleAfter(absl::Minutes(1)), absl::InfiniteDuration());
  EXPECT_EQ(ReconciledAt(), before) << "nothing was done that would be compared";
}

TEST_F(ReconcileTest, AnOperationWaitsUntilThereIsAStatus) {
  Order("no-reconcile", "true");
  app_["operation"] = {{"sync", json::object()}};
  EXPECT_EQ(Settle(), absl::InfiniteDuration());
  EXPECT_THAT(steps_, IsEmpty());
  Countermand("no-reconcile");
  Settle();
  EXPECT_EQ(Phase(), "Running");
}

TEST_F(ReconcileTest, NothingOfAnEarlierStateSurvivesInTheNext) {
  Settle();
  Sync();
  const json before = State();
  Request({{"sync", {{"revision", kNew}}}});
  app_["status"]["operationState"] = before;
  Do(Next());
  EXPECT_EQ(State(), json({{"phase", "Running"},
                           {"startedAt", Now()},
                           {"operation",
                            {{"sync", {{"revision", kNew}}},
                             {"initiatedBy", json::object()},
                             {"retry", json::object()}}}}));
}

TEST_F(ReconcileTest, AJsonNullIsNoOperation) {
  Settle();
  app_["operation"] = nullptr;
  Forget();
  EXPECT_EQ(Settle(), absl::InfiniteDuration());
  EXPECT_THAT(steps_, IsEmpty());
}

TEST_F(ReconcileTest, AnOperationRunsForItsTimeAndSucceeds) {
  Settle();
  Request();
  const std::string started = Now();
  EXPECT_EQ(Settle(), absl::Seconds(3));
  EXPECT_EQ(Phase(), "Running");
  EXPECT_EQ(Message(), "waiting for healthy state of apps/Deployment/web");
  EXPECT_EQ(Health(), "Progressing");
  EXPECT_EQ(Sync("status"), "OutOfSync") << "of two waves the second is missing";
  json deployment = {{"group", "apps"},
                     {"version", "v1"},
                     {"kind", "Deployment"},
                     {"namespace", "shop"},
                     {"name", "web"},
                     {"status", "Synced"},
                     {"message", "deployment.apps/web created"},
                     {"hookPhase", "Running"},
                     {"syncPhase", "Sync"},
                     {"images", {"registry.example.com/web:1111111"}}};
  json result = {{"revision", kOld},
                 {"source", app_["spec"]["source"]},
                 {"resources", json::array({deployment})}};
  EXPECT_EQ(State()["syncResult"], result);

  EXPECT_EQ(SettleAfter(absl::Seconds(2)), absl::Seconds(1));
  EXPECT_TRUE(HasOperation());
  Forget();
  SettleAfter(absl::Seconds(1));
  // The history is written first; the state is completed and the request cleared in one write.
  ASSERT_THAT(moments_, SizeIs(2));
  EXPECT_TRUE(moments_[0]["operation"].is_object());
  EXPECT_EQ(moments_[0]["status"]["operationState"]["phase"], "Running");
  EXPECT_THAT(moments_[0]["status"]["history"], SizeIs(1));
  EXPECT_EQ(writes_[1][0],
            json({{"op", "add"}, {"path", "/status/operationState"}, {"value", State()}}));
  EXPECT_EQ(writes_[1][1], json({{"op", "add"}, {"path", "/operation"}, {"value", nullptr}}));
  EXPECT_FALSE(HasOperation());

  deployment["hookPhase"] = "Succeeded";
  const json service = {{"group", ""},
                        {"version", "v1"},
                        {"kind", "Service"},
                        {"namespace", "shop"},
                        {"name", "web"},
                        {"status", "Synced"},
                        {"message", "service/web created"},
                        {"hookPhase", "Running"},
                        {"syncPhase", "Sync"}};
  result["resources"] = {deployment, service};
  EXPECT_EQ(State(), json({{"phase", "Succeeded"},
                           {"message", "successfully synced (all tasks run)"},
                           {"startedAt", started},
                           {"finishedAt", Now()},
                           {"syncResult", result},
                           {"operation",
                            {{"sync", json::object()},
                             {"info", {{{"name", "Reason"}, {"value", "test"}}}},
                             {"initiatedBy", json::object()},
                             {"retry", json::object()}}}}));
  EXPECT_EQ(app_["status"]["history"], json::array({{{"id", 0},
                                                     {"revision", kOld},
                                                     {"source", app_["spec"]["source"]},
                                                     {"deployStartedAt", started},
                                                     {"deployedAt", Now()},
                                                     {"initiatedBy", json::object()}}}));
}

TEST_F(ReconcileTest, ASuccessfulOperationIsInTheHistoryWhichIsLimited) {
  Settle();
  for (int i = 0; i < 12; ++i) Sync();
  const json& history = app_["status"]["history"];
  ASSERT_THAT(history, SizeIs(10));
  EXPECT_EQ(history.front()["id"], 2);
  EXPECT_EQ(history.back()["id"], 11);
  EXPECT_EQ(history.back()["deployedAt"], State()["finishedAt"]);
  EXPECT_EQ(history.back()["deployStartedAt"], State()["startedAt"]);

  app_["spec"]["revisionHistoryLimit"] = 1;
  Sync();
  ASSERT_THAT(app_["status"]["history"], SizeIs(1));
  EXPECT_EQ(app_["status"]["history"][0]["id"], 12);

  // Without a history, an empty one is written, and it begins again.
  app_["spec"]["revisionHistoryLimit"] = 0;
  Sync();
  EXPECT_EQ(app_["status"]["history"], json::array());
  app_["spec"].erase("revisionHistoryLimit");
  Sync();
  EXPECT_EQ(app_["status"]["history"][0]["id"], 0);
}

TEST_F(ReconcileTest, TheHistorySaysWhoBeganIt) {
  Settle();
  Request({{"sync", json::object()}, {"initiatedBy", {{"username", "ann"}}}});
  Settle();
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(app_["status"]["history"][0]["initiatedBy"], json({{"username", "ann"}}));
}

TEST_F(ReconcileTest, WithoutAHistoryItIsKnownWhatIsDeployedAlsoAfterARestart) {
  app_["spec"]["revisionHistoryLimit"] = 0;
  Settle();
  Sync();
  memory_ = {};
  app_["metadata"]["annotations"][kRefresh] = "normal";
  Settle();
  EXPECT_EQ(Sync("status"), "Synced");
}

TEST_F(ReconcileTest, ADryRunDeploysNothingAndIsNotCompared) {
  Settle();
  const std::string reconciled = ReconciledAt();
  Request({{"sync", {{"dryRun", true}}}});
  Settle();
  EXPECT_EQ(Health(), "Missing");
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(SettleAfter(absl::Seconds(2)), absl::InfiniteDuration());
  EXPECT_EQ(Phase(), "Succeeded");
  EXPECT_EQ(Message(), "successfully synced (no more tasks)");
  EXPECT_EQ(TextAt(State(), {"syncResult", "revision"}), kOld);
  ASSERT_THAT(State()["syncResult"]["resources"], SizeIs(2));
  for (const json& resource : State()["syncResult"]["resources"]) {
    EXPECT_EQ(resource["hookPhase"], "Succeeded");
    EXPECT_EQ(resource["status"], "Synced");
    EXPECT_THAT(resource["message"].get<std::string>(), HasSubstr(" created (dry run)"));
  }
  EXPECT_FALSE(app_["status"].contains("history"));
  EXPECT_EQ(ReconciledAt(), reconciled);
  EXPECT_EQ(Health(), "Missing");
  app_["metadata"]["annotations"][kRefresh] = "normal";
  Settle();
  EXPECT_EQ(Sync("status"), "OutOfSync");
}

TEST_F(ReconcileTest, ADryRunCanFail) {
  Settle();
  Order("fail", "no quota");
  Request({{"sync", {{"dryRun", true}}}});
  Settle();
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(Phase(), "Failed");
  EXPECT_EQ(Message(), "one or more objects failed to apply (dry run)");
}

TEST_F(ReconcileTest, ASyncOfSomeResourcesIsNotInTheHistory) {
  Settle();
  Sync();
  app_["spec"]["source"]["targetRevision"] = kNew;
  Settle();
  const json history = app_["status"]["history"];
  Request(
      {{"sync", {{"resources", {{{"group", "apps"}, {"kind", "Deployment"}, {"name", "web"}}}}}}});
  EXPECT_EQ(Settle(), absl::Seconds(3));
  EXPECT_FALSE(State().contains("syncResult")) << "of one wave nothing is told before its end";
  SettleAfter(absl::Seconds(3));
  SettleAfter(absl::Seconds(2));
  EXPECT_EQ(Phase(), "Succeeded");
  EXPECT_EQ(TextAt(State(), {"syncResult", "revision"}), kNew);
  ASSERT_THAT(State()["syncResult"]["resources"], SizeIs(1));
  EXPECT_EQ(State()["syncResult"]["resources"][0]["kind"], "Deployment");
  EXPECT_EQ(State()["syncResult"]["resources"][0]["message"], "deployment.apps/web configured");
  EXPECT_EQ(app_["status"]["history"], history);
  EXPECT_EQ(Sync("status"), "OutOfSync");
  EXPECT_EQ(app_["status"]["resources"][0]["status"], "OutOfSync") << "the Service";
  EXPECT_EQ(app_["status"]["resources"][1]["status"], "Synced") << "the Deployment";
  EXPECT_EQ(TextAt(State(), {"finishedAt"}) <= ReconciledAt(), true);

  Request(
      {{"sync", {{"resources", {{{"kind", "Service"}, {"name", "web"}, {"namespace", "shop"}}}}}}});
  Settle();
  SettleAfter(absl::Seconds(3));
  SettleAfter(absl::Seconds(2));
  EXPECT_EQ(Sync("status"), "Synced") << "one after the other, all are deployed";
  EXPECT_EQ(app_["status"]["history"], history);
}

TEST_F(ReconcileTest, ASyncOfResourcesThatAreNoneOfItsSucceedsWithNothingDone) {
  Settle();
  Request({{"sync", {{"resources", {{{"kind", "Secret"}, {"name", "web"}}}}}}});
  Settle();
  EXPECT_EQ(Phase(), "Succeeded");
  EXPECT_EQ(Message(), "successfully synced (no more tasks)");
  EXPECT_FALSE(State()["syncResult"].contains("resources"));
  EXPECT_FALSE(app_["status"].contains("history"));
}

TEST_F(ReconcileTest, ManifestsThatCameWithTheOperationAreWhatIsDeployedAndCompared) {
  app_["spec"]["source"]["targetRevision"] = "main";
  Settle();
  Request({{"sync", {{"manifests", {"{}"}}, {"revision", kNew}}}});
  Settle();
  SettleAfter(absl::Seconds(3));
  SettleAfter(absl::Seconds(2));
  EXPECT_EQ(Phase(), "Succeeded");
  EXPECT_EQ(TextAt(State(), {"syncResult", "revision"}), kNew) << "as asked for, never looked up";
  EXPECT_EQ(app_["status"]["history"][0]["revision"], kNew);
  EXPECT_EQ(Sync("status"), "Synced") << "as long as this operation is the last";
  EXPECT_EQ(Sync("revision"), "main") << "nothing was looked up";
  Request({{"sync", {{"dryRun", true}}}});
  app_["metadata"]["annotations"][kRefresh] = "normal";
  Settle();
  EXPECT_EQ(Sync("status"), "OutOfSync");
}

TEST_F(ReconcileTest, ARollbackDeploysTheSourceOfTheHistory) {
  Settle();
  Sync();
  const json old_source = app_["spec"]["source"];
  app_["spec"]["source"]["targetRevision"] = kNew;
  app_["spec"]["source"]["kustomize"] = {{"images", {"a:2"}}};
  Settle();
  Sync();
  Request({{"sync",
            {{"revision", kOld},
             {"source", old_source},
             {"syncStrategy", {{"apply", json::object()}}}}},
           {"initiatedBy", {{"username", "ann"}}}});
  Settle();
  SettleAfter(absl::Seconds(3));
  SettleAfter(absl::Seconds(2));
  EXPECT_EQ(State()["syncResult"]["source"], old_source);
  EXPECT_EQ(TextAt(State(), {"syncResult", "revision"}), kOld);
  ASSERT_THAT(app_["status"]["history"], SizeIs(3));
  EXPECT_EQ(app_["status"]["history"][2]["source"], old_source);
  EXPECT_EQ(Sync("status"), "OutOfSync");
  EXPECT_EQ(Sync("revision"), kNew) << "compared with what the spec asks for";
}

TEST_F(ReconcileTest, WhatTheSpecAsksForMeanwhileIsNotSynced) {
  Settle();
  Request();
  Settle();
  const json before = app_["spec"]["source"];
  app_["spec"]["source"]["targetRevision"] = kNew;
  app_["spec"]["source"]["path"] = "elsewhere";
  Settle();
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(TextAt(State(), {"syncResult", "revision"}), kOld);
  EXPECT_EQ(State()["syncResult"]["source"], before);
  EXPECT_EQ(app_["status"]["history"][0]["source"], before);
  SettleAfter(absl::Seconds(2));
  EXPECT_EQ(Sync("revision"), kNew);
  EXPECT_EQ(Sync("status"), "OutOfSync");
}

TEST_F(ReconcileTest, TheSpecCountsThatThereIsWhenTheOperationIsFirstWorkedOn) {
  Settle();
  Request();
  Do(Next());
  ASSERT_EQ(Phase(), "Running");
  app_["spec"]["source"]["targetRevision"] = kNew;
  Settle();
  EXPECT_EQ(TextAt(State(), {"syncResult", "revision"}), kNew);
}

TEST_F(ReconcileTest, AnOperationWrittenOverAnotherIsLost) {
  Settle();
  Request();
  Settle();
  const json first = State()["operation"];
  app_["operation"] = {{"sync", {{"prune", true}}}};
  SettleAfter(absl::Seconds(3));
  EXPECT_FALSE(HasOperation());
  EXPECT_EQ(State()["operation"], first);
}

TEST_F(ReconcileTest, WhoeverRemovesTheStateAsWellBeginsAnotherOperation) {
  Settle();
  Request();
  Settle();
  Request({{"sync", {{"prune", true}}}});
  Settle();
  EXPECT_TRUE(HasOperation());
  EXPECT_EQ(At(State(), {"operation", "sync", "prune"}), true);
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
  app_["spec"]["sources"] = {{{"repoURL", "r"}, {"targetRevision", "main"}, {"path", "p"}},
                             {{"repoURL", "c"}, {"chart", "redis"}, {"targetRevision", "1.2.3"}},
                             {{"repoURL", "v"}, {"ref", "values"}, {"targetRevision", "v1"}}};
  const json sources = app_["spec"]["sources"];
  Settle();
  const json revisions = {ResolveRevision(sources[0]), "1.2.3", ResolveRevision(sources[2])};
  EXPECT_EQ(app_["status"]["sourceTypes"], json({"Directory", "Helm", ""}));
  EXPECT_FALSE(app_["status"].contains("sourceType"));
  Request();
  Settle();
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(State()["syncResult"]["revisions"], revisions);
  EXPECT_EQ(State()["syncResult"]["sources"], sources);
  EXPECT_EQ(State()["syncResult"]["revision"], "");
  EXPECT_EQ(State()["syncResult"]["source"], sources[0]) << "the first, when the spec names them";
  json entry = app_["status"]["history"][0];
  EXPECT_EQ(entry["sources"], sources);
  EXPECT_EQ(entry["revisions"], revisions);
  EXPECT_EQ(entry["source"], json({{"repoURL", ""}}));
  EXPECT_FALSE(entry.contains("revision"));
  SettleAfter(absl::Seconds(2));
  EXPECT_EQ(app_["status"]["sync"]["revisions"], revisions);
  EXPECT_FALSE(app_["status"]["sync"].contains("revision"));
  EXPECT_EQ(app_["status"]["sync"]["comparedTo"]["sources"], sources);
  EXPECT_FALSE(app_["status"]["sync"]["comparedTo"].contains("source"))
      << "an empty one is no change to an Application that was never compared";
  EXPECT_EQ(Sync("status"), "Synced");
}

TEST_F(ReconcileTest, OneSourceBecomesSeveral) {
  Settle();
  Sync();
  app_["spec"]["sources"] = json::array({app_["spec"]["source"]});
  Settle();
  EXPECT_EQ(app_["status"]["sync"]["comparedTo"]["source"], json({{"repoURL", ""}}));
  EXPECT_EQ(app_["status"]["sync"]["revisions"], json({kOld}));
  EXPECT_FALSE(app_["status"]["sync"].contains("revision"));
}

TEST_F(ReconcileTest, RevisionsThatAreAskedForCountIfThereIsOneForEachSource) {
  app_["spec"]["sources"] = {{{"repoURL", "r"}, {"targetRevision", "main"}},
                             {{"repoURL", "s"}, {"targetRevision", kOld}}};
  Settle();
  Request({{"sync", {{"revisions", {kNew, ""}}}}});
  Settle();
  EXPECT_EQ(State()["syncResult"]["revisions"], json({kNew, kOld}));
  Request({{"sync", {{"revisions", {kNew}}}}});
  Settle();
  EXPECT_EQ(State()["syncResult"]["revisions"],
            json({ResolveRevision(app_["spec"]["sources"][0]), kOld}));
}

TEST_F(ReconcileTest, AHydratorsSourceOverridesTheOthers) {
  app_["spec"]["sources"] = {{{"repoURL", "r"}, {"targetRevision", "main"}}};
  app_["spec"]["sourceHydrator"] = {
      {"drySource", {{"repoURL", "dry"}, {"path", "p"}, {"targetRevision", "main"}}},
      {"syncSource", {{"targetBranch", "env/prod"}, {"path", "hydrated"}}}};
  Settle();
  const json source = {{"repoURL", "dry"}, {"path", "hydrated"}, {"targetRevision", "env/prod"}};
  EXPECT_EQ(app_["status"]["sync"]["comparedTo"]["source"], source);
  EXPECT_EQ(Sync("revision"), ResolveRevision(source));
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
  Request({{"sync", json::object()}, {"retry", {{"limit", 5}}}});
  EXPECT_EQ(Settle(), absl::InfiniteDuration());
  json result = State()["syncResult"];
  app_["status"]["operationState"]["phase"] = "Terminating";
  Settle();
  EXPECT_EQ(Phase(), "Failed") << "and is not tried again";
  EXPECT_EQ(Message(), "Operation terminated");
  EXPECT_EQ(State()["syncResult"], result);
  EXPECT_EQ(TextAt(State(), {"finishedAt"}), Now());
  EXPECT_FALSE(HasOperation());
  EXPECT_FALSE(app_["status"].contains("history"));
}

TEST_F(ReconcileTest, ATerminatedHookIsSaidToBe) {
  Settle();
  Order("hang", "hook");
  Request();
  EXPECT_EQ(Settle(), absl::InfiniteDuration());
  EXPECT_EQ(Message(), "waiting for completion of hook batch/Job/web-presync");
  ASSERT_THAT(State()["syncResult"]["resources"], SizeIs(1));
  json hook = State()["syncResult"]["resources"][0];
  EXPECT_EQ(hook["hookType"], "PreSync");
  EXPECT_EQ(hook["hookPhase"], "Running");
  EXPECT_EQ(Health(), "Missing") << "nothing else was applied";
  EXPECT_EQ(app_["status"]["resources"][2], json({{"group", "batch"},
                                                  {"version", "v1"},
                                                  {"kind", "Job"},
                                                  {"namespace", "shop"},
                                                  {"name", "web-presync"},
                                                  {"hook", true},
                                                  {"requiresPruning", true}}));
  app_["status"]["operationState"]["phase"] = "Terminating";
  Settle();
  hook["hookPhase"] = "Failed";
  hook["message"] = "Terminated";
  EXPECT_EQ(State()["syncResult"]["resources"], json::array({hook}));
  EXPECT_EQ(Phase(), "Failed");

  Request();
  Settle();
  Countermand("hang");
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(Phase(), "Succeeded");
  ASSERT_THAT(State()["syncResult"]["resources"], SizeIs(3));
  EXPECT_EQ(State()["syncResult"]["resources"][0]["hookPhase"], "Succeeded");
}

TEST_F(ReconcileTest, AnOperationThatASyncWindowBlocksCanBeTerminated) {
  Settle();
  Order("sync-window", "true");
  Request();
  Settle();
  app_["status"]["operationState"]["phase"] = "Terminating";
  Settle();
  EXPECT_EQ(Phase(), "Failed");
  EXPECT_EQ(Message(), "Operation terminated");
  EXPECT_EQ(TextAt(State(), {"syncResult", "revision"}), kOld);
}

TEST_F(ReconcileTest, AnOperationThatAwaitsItsRetryCanBeTerminated) {
  Settle();
  Order("fail", "no quota");
  Request({{"sync", json::object()}, {"retry", {{"limit", 5}}}});
  Settle();
  SettleAfter(absl::Seconds(3));
  ASSERT_EQ(State()["retryCount"], 1);
  app_["status"]["operationState"]["phase"] = "Terminating";
  Advance(absl::Seconds(1));
  Settle();
  EXPECT_EQ(Phase(), "Failed");
  EXPECT_EQ(Message(), "Operation terminated (retried 1 times).");
  EXPECT_EQ(TextAt(State(), {"finishedAt"}), Now());
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
  EXPECT_EQ(ReconciledAt(), Now());
  EXPECT_EQ(Sync("status"), "OutOfSync");
  EXPECT_EQ(Health(), "Healthy") << "what is missing does not count beside what is there";

  Countermand(GetParam().order);
  Sync();
}

INSTANTIATE_TEST_SUITE_P(
    All, EndTest,
    ::testing::Values(EndCase{"Failed", "fail", "no quota", "Failed",
                              "one or more objects failed to apply, reason: no quota"},
                      EndCase{"FailedWithoutMessage", "fail", "", "Failed",
                              "one or more objects failed to apply, reason: the object "
                              "was refused"},
                      EndCase{"Error", "error", "no manifests", "Error", "no manifests"}),
    [](const ::testing::TestParamInfo<EndCase>& instance) { return instance.param.name; });

TEST_F(ReconcileTest, AFailureIsOneOfTheLastResource) {
  Settle();
  Order("fail", "no quota");
  Request();
  Settle();
  SettleAfter(absl::Seconds(3));
  const json& resources = State()["syncResult"]["resources"];
  ASSERT_THAT(resources, SizeIs(2));
  EXPECT_EQ(resources[0]["status"], "Synced");
  EXPECT_EQ(resources[0]["hookPhase"], "Succeeded");
  EXPECT_EQ(resources[1]["status"], "SyncFailed");
  EXPECT_EQ(resources[1]["hookPhase"], "Failed");
  EXPECT_EQ(resources[1]["message"], "no quota");
}

TEST_F(ReconcileTest, AFailureIsRetriedAsTheOperationSays) {
  Settle();
  Order("fail", "no quota");
  Request({{"sync", json::object()},
           {"retry",
            {{"limit", 2},
             {"backoff", {{"duration", "10s"}, {"factor", 2}, {"maxDuration", "30s"}}}}}});
  Settle();
  // What is announced is the time without a retry before it; what is waited for, that with this
  // one.
  EXPECT_EQ(SettleAfter(absl::Seconds(3)), absl::Seconds(20));
  EXPECT_EQ(Phase(), "Running");
  EXPECT_EQ(TextAt(State(), {"finishedAt"}), Now());
  EXPECT_EQ(State()["retryCount"], 1);
  EXPECT_EQ(Message(),
            "one or more objects failed to apply, reason: no quota. "
            "Retrying attempt #1 at "
            "2023-11-14T22:13:33Z.");
  EXPECT_TRUE(HasOperation());
  EXPECT_TRUE(State().contains("syncResult"));
  EXPECT_FALSE(app_["status"].contains("history"));
  EXPECT_EQ(SettleAfter(absl::Seconds(19)), absl::Seconds(1));

  Advance(absl::Seconds(1));
  Do(Next());
  EXPECT_FALSE(State().contains("finishedAt"));
  EXPECT_FALSE(State().contains("syncResult"));
  EXPECT_EQ(Message(), "Retrying operation. Attempt #1");
  EXPECT_EQ(State()["retryCount"], 1);
  EXPECT_EQ(Settle(), absl::Seconds(3));
  EXPECT_EQ(SettleAfter(absl::Seconds(3)), absl::Seconds(30)) << "at most maxDuration";
  EXPECT_EQ(State()["retryCount"], 2);

  SettleAfter(absl::Seconds(30));
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(Phase(), "Failed");
  EXPECT_EQ(Message(),
            "one or more objects failed to apply, reason: no quota (retried "
            "2 times).");
  EXPECT_FALSE(HasOperation());
}

TEST_F(ReconcileTest, ARetryTakesTheSpecAsItIsThen) {
  Settle();
  Order("fail", "no quota");
  Request({{"sync", {{"revision", kOld}}}, {"retry", {{"limit", 2}, {"refresh", true}}}});
  Settle();
  SettleAfter(absl::Seconds(3));
  app_["spec"]["source"]["targetRevision"] = kNew;
  Settle();
  Advance(absl::Seconds(10));
  Do(Next());
  EXPECT_EQ(Message(), "Retrying operation with latest revisions. Attempt #1");
  Settle();
  EXPECT_EQ(TextAt(State(), {"syncResult", "revision"}), kNew);
  EXPECT_EQ(State()["operation"]["sync"], json::object());
}

TEST_F(ReconcileTest, ARetryPolicyThatIsNotUnderstoodIsAnError) {
  Settle();
  Order("fail", "no quota");
  Request({{"sync", json::object()}, {"retry", {{"limit", 1}, {"backoff", {{"duration", "x"}}}}}});
  Settle();
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(Phase(), "Error");
  EXPECT_EQ(Message(),
            "one or more objects failed to apply, reason: no quota (failed "
            "to retry: unable to "
            "parse x as a duration)");
}

TEST_F(ReconcileTest, ARetrySucceedsOnceTheFailureIsGone) {
  Settle();
  Order("fail", "no quota");
  Request({{"sync", json::object()}, {"retry", {{"limit", -1}}}});
  Settle();
  SettleAfter(absl::Seconds(3));
  Countermand("fail");
  EXPECT_EQ(SettleAfter(absl::Seconds(9)), absl::Seconds(1)) << "twice Argo CD's default";
  EXPECT_EQ(SettleAfter(absl::Seconds(1)), absl::Seconds(3));
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(Phase(), "Succeeded");
  EXPECT_EQ(State()["retryCount"], 1);
  EXPECT_THAT(app_["status"]["history"], SizeIs(1));
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
  app_["spec"]["source"]["targetRevision"] = "main";
  Settle();
  Order("sync-window", "true");
  Request({{"sync", {{"revision", "v1"}}}});
  EXPECT_EQ(Settle(), absl::InfiniteDuration());
  SettleAfter(absl::Hours(1));
  EXPECT_EQ(Phase(), "Running");
  EXPECT_EQ(Message(), "Sync operation blocked by sync window");
  EXPECT_EQ(State()["syncResult"], json({{"revision", "v1"}, {"source", app_["spec"]["source"]}}))
      << "what is asked for: nothing was looked up yet";
  EXPECT_TRUE(HasOperation());
  // The source is the one of when it was blocked.
  const json source = app_["spec"]["source"];
  app_["spec"]["source"]["path"] = "elsewhere";
  Countermand("sync-window");
  EXPECT_EQ(Settle(), absl::Seconds(3)) << "it begins now";
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(Phase(), "Succeeded");
  EXPECT_EQ(State()["syncResult"]["source"], source);
  EXPECT_EQ(TextAt(State(), {"syncResult", "revision"}).size(), 40u);
}

TEST_F(ReconcileTest, ASyncWindowThatClosesStopsASyncThatHasBegun) {
  Settle();
  Request();
  Settle();
  Order("sync-window", "true");
  EXPECT_EQ(SettleAfter(absl::Hours(1)), absl::InfiniteDuration());
  EXPECT_EQ(Phase(), "Running");
  EXPECT_EQ(Message(), "Sync operation blocked by sync window");
  Countermand("sync-window");
  Settle();
  EXPECT_EQ(Phase(), "Succeeded");
}

TEST_F(ReconcileTest, NothingIsSyncedAutomaticallyInASyncWindow) {
  app_["spec"]["syncPolicy"] = {{"automated", json::object()}};
  Order("sync-window", "true");
  Settle();
  EXPECT_EQ(Sync("status"), "OutOfSync");
  EXPECT_FALSE(HasOperation());
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
  const std::string reconciled = ReconciledAt();
  EXPECT_EQ(SettleAfter(absl::Seconds(8)), absl::InfiniteDuration());
  EXPECT_EQ(Health(), "Healthy");
  EXPECT_EQ(TextAt(app_, {"status", "health", "lastTransitionTime"}), Now());
  EXPECT_EQ(ReconciledAt(), reconciled) << "a change in the cluster is no reconciliation";
}

TEST_F(ReconcileTest, AComparisonThatBeginsInTheSecondOfTheEndHasItsTime) {
  settings_.refresh_delay = absl::Milliseconds(100);
  Settle();
  Request();
  Settle();
  SettleAfter(absl::Seconds(3));
  SettleAfter(absl::Milliseconds(100));
  EXPECT_EQ(ReconciledAt(), TextAt(State(), {"finishedAt"}));
  EXPECT_EQ(Sync("status"), "Synced");
}

TEST_F(ReconcileTest, WhatAComparisonWrites) {
  app_["spec"]["ignoreDifferences"] = {
      {{"kind", "Deployment"}, {"jsonPointers", {"/spec/replicas"}}}};
  Settle();
  const json compared_to = {{"source", app_["spec"]["source"]},
                            {"destination", app_["spec"]["destination"]},
                            {"ignoreDifferences", app_["spec"]["ignoreDifferences"]}};
  const json resources = {{{"version", "v1"},
                           {"kind", "Service"},
                           {"namespace", "shop"},
                           {"name", "web"},
                           {"status", "OutOfSync"},
                           {"syncWave", 1}},
                          {{"group", "apps"},
                           {"version", "v1"},
                           {"kind", "Deployment"},
                           {"namespace", "shop"},
                           {"name", "web"},
                           {"status", "OutOfSync"}}};
  EXPECT_EQ(
      app_["status"],
      json({{"sync", {{"status", "OutOfSync"}, {"revision", kOld}, {"comparedTo", compared_to}}},
            {"health", {{"status", "Missing"}, {"lastTransitionTime", Now()}}},
            {"reconciledAt", Now()},
            {"resources", resources},
            {"resourceHealthSource", "appTree"},
            {"sourceType", "Directory"},
            {"controllerNamespace", "argocd"}}));
  Sync();
  EXPECT_EQ(app_["status"]["summary"], json({{"images", {"registry.example.com/web:1111111"}}}));
  EXPECT_FALSE(app_["status"]["resources"][1].contains("health"));
}

TEST_F(ReconcileTest, AComparisonWritesTheSpecAsItIsUnderstood) {
  app_["spec"]["source"]["helm"] = {{"parameters", json::array()}};
  app_["spec"]["source"]["directory"] = {{"jsonnet", json::object()}};
  app_["spec"]["syncPolicy"] = {{"syncOptions", json::array()}};
  app_["spec"].erase("project");
  Settle();
  EXPECT_EQ(app_["spec"]["source"],
            json({{"repoURL", "r"}, {"path", "p"}, {"targetRevision", kOld}}));
  EXPECT_FALSE(app_["spec"].contains("syncPolicy"));
  EXPECT_EQ(app_["spec"]["project"], "default");
  EXPECT_EQ(app_["status"]["sync"]["comparedTo"]["source"], app_["spec"]["source"]);
}

TEST_F(ReconcileTest, WhatIsComparedIsWrittenAsGoTypesDo) {
  app_["spec"]["source"]["helm"] = {
      {"parameters",
       {{{"name", "tag"}, {"value", "1"}, {"forceString", false}},
        {{"name", "flag"}, {"value", "true"}, {"forceString", true}}}},
      {"values", ""}};
  Settle();
  EXPECT_EQ(app_["status"]["sync"]["comparedTo"]["source"]["helm"],
            json({{"parameters",
                   {{{"name", "tag"}, {"value", "1"}},
                    {{"name", "flag"}, {"value", "true"}, {"forceString", true}}}}}));
  EXPECT_EQ(app_["status"]["sourceType"], "Helm");
  Forget();
  Settle();
  EXPECT_THAT(steps_, IsEmpty());
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

TEST_F(ReconcileTest, ARefreshIsDoneAtOnceAndItsAnnotationGoesAfterIt) {
  Settle();
  Sync();
  for (const char* kind : {"normal", "hard", "anything"}) {
    Advance(absl::Minutes(1));
    app_["metadata"]["annotations"][kRefresh] = kind;
    Forget();
    Settle();
    ASSERT_THAT(moments_, SizeIs(2)) << kind;
    EXPECT_EQ(moments_[0]["status"]["reconciledAt"], Now());
    EXPECT_TRUE(moments_[0]["metadata"]["annotations"].contains(kRefresh));
    EXPECT_FALSE(HasRefresh());
    EXPECT_EQ(writes_[1],
              json::array({{{"op", "remove"},
                            {"path", "/metadata/annotations/argocd.argoproj.io~1refresh"}}}));
  }
}

TEST_F(ReconcileTest, ARefreshWithATimestampIsRemovedIfItIsStillThatOne) {
  Settle();
  app_["metadata"]["annotations"][kRefresh] = "normal";
  app_["metadata"]["annotations"]["argocd.argoproj.io/refresh-timestamp"] = "t1";
  Forget();
  Settle();
  ASSERT_THAT(writes_, SizeIs(Ge(1)));
  EXPECT_EQ(writes_.back()[0],
            json({{"op", "test"},
                  {"path", "/metadata/annotations/argocd.argoproj.io~1refresh-timestamp"},
                  {"value", "t1"}}));
  EXPECT_EQ(app_["metadata"]["annotations"], json::object());
}

TEST_F(ReconcileTest, ARefreshWithinTheSecondOfTheLastComparisonIsNotToBeSeen) {
  Settle();
  Sync();
  app_["metadata"]["annotations"][kRefresh] = "normal";
  Settle();
  const json before = app_;
  app_["metadata"]["annotations"][kRefresh] = "normal";
  Settle();
  EXPECT_EQ(app_, before) << "but for the annotation, which is gone again";
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
  const std::string reconciled = ReconciledAt();
  Advance(absl::Minutes(1));
  Order("degrade", "");
  Settle();
  EXPECT_EQ(app_["status"]["health"], json({{"status", "Degraded"},
                                            {"message", "Caused by apps/Deployment:shop/web"},
                                            {"lastTransitionTime", Now()}}));
  EXPECT_EQ(ReconciledAt(), reconciled);
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
  EXPECT_EQ(app_["status"]["resources"][0]["status"], "Synced");
  EXPECT_EQ(app_["status"]["resources"][1]["status"], "OutOfSync");
  Countermand("drift");
  Settle();
  EXPECT_EQ(Sync("status"), "Synced");
}

TEST_F(ReconcileTest, DriftOfAnyOtherNameIsPutRightByTheNextSync) {
  Settle();
  Sync();
  for (const char* name : {"a", "b"}) {
    Order("drift", name);
    Settle();
    EXPECT_EQ(Sync("status"), "OutOfSync");
    Sync();
  }
}

TEST_F(ReconcileTest, AComparisonErrorIsReconciledAndLeavesSyncUnknown) {
  app_["spec"]["source"]["targetRevision"] = "main";
  Settle();
  Sync();
  Advance(absl::Minutes(1));
  Order("condition", "ComparisonError=no such branch");
  Settle();
  EXPECT_EQ(Sync("status"), "Unknown");
  EXPECT_EQ(Sync("revision"), "main") << "as it was asked for: it was not resolved";
  EXPECT_EQ(Health(), "Healthy");
  EXPECT_EQ(app_["status"]["resources"][0]["status"], "Unknown");
  EXPECT_EQ(app_["status"]["resources"][0]["requiresPruning"], true);
  EXPECT_FALSE(app_["status"].contains("sourceType"));
  EXPECT_EQ(ReconciledAt(), Now());
  EXPECT_EQ(app_["status"]["conditions"], json::array({{{"type", "ComparisonError"},
                                                        {"message", "no such branch"},
                                                        {"lastTransitionTime", Now()}}}));
  Countermand("condition");
  Settle();
  EXPECT_FALSE(app_["status"].contains("conditions"));
  EXPECT_EQ(Sync("status"), "Synced");
  EXPECT_EQ(Sync("revision").size(), 40u);
}

TEST_F(ReconcileTest, OfWhatCannotBeComparedNothingIsMissing) {
  Order("condition", "ComparisonError=no such branch");
  Settle();
  EXPECT_EQ(Sync("status"), "Unknown");
  EXPECT_EQ(Health(), "Healthy");
  EXPECT_FALSE(app_["status"].contains("resources"));
}

TEST_F(ReconcileTest, AnInvalidSpecIsNeverReconciledButRefreshesAreAnswered) {
  Settle();
  Sync();
  const std::string before = ReconciledAt();
  Advance(absl::Minutes(1));
  Order("condition", "InvalidSpecError=no such project");
  app_["spec"]["source"]["targetRevision"] = kNew;
  EXPECT_EQ(Settle(), absl::InfiniteDuration());
  EXPECT_EQ(Health(), "Unknown");
  EXPECT_EQ(Sync("status"), "Unknown");
  EXPECT_EQ(Sync("revision"), kOld) << "what was compared last stays";
  EXPECT_EQ(TextAt(app_, {"status", "sync", "comparedTo", "source", "targetRevision"}), kOld);
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
  app_["spec"]["source"]["targetRevision"] = "main";
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
    // An invalid spec is no reason not to look the revision up.
    const bool compared = std::string(condition) == "InvalidSpecError";
    EXPECT_EQ(State()["syncResult"],
              json({{"revision", compared ? ResolveRevision(app_["spec"]["source"]) : ""},
                    {"source", app_["spec"]["source"]}}));
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
  const json result = State()["syncResult"];
  Order("condition", "ComparisonError=no such branch");
  Settle();
  EXPECT_EQ(Phase(), "Error");
  EXPECT_EQ(Message(), "ComparisonError: no such branch");
  EXPECT_EQ(State()["syncResult"], result);
  EXPECT_FALSE(app_["status"].contains("history"));
}

TEST_F(ReconcileTest, AnOperationWhoseComparisonFailsIsTriedAgainAsItAsks) {
  Settle();
  Order("condition", "ComparisonError=no such branch");
  Request({{"sync", json::object()}, {"retry", {{"limit", 1}}}});
  EXPECT_EQ(Settle(), absl::Seconds(10));
  EXPECT_EQ(Phase(), "Running");
  EXPECT_THAT(Message(), HasSubstr("ComparisonError: no such branch. Retrying attempt #1"));
  Countermand("condition");
  SettleAfter(absl::Seconds(10));
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

TEST_F(ReconcileTest, ABranchThatMovedIsNoticedByTheNextComparisonOfRevisions) {
  app_["spec"]["source"]["targetRevision"] = "main";
  Settle();
  Sync();
  const std::string before = Sync("revision");
  Order("revision", kNew);
  EXPECT_EQ(Settle(), absl::InfiniteDuration());
  Order("degrade", "");
  Settle();
  EXPECT_EQ(Sync("revision"), before) << "for a change in the cluster nothing is looked up";
  EXPECT_EQ(Sync("status"), "Synced");
  Countermand("degrade");
  app_["metadata"]["annotations"][kRefresh] = "normal";
  Settle();
  EXPECT_EQ(Sync("revision"), kNew);
  EXPECT_EQ(Sync("status"), "OutOfSync");
}

TEST_F(ReconcileTest, ANameThatIsNotThereCannotBeCompared) {
  const std::string problem =
      "Failed to load target state: failed to generate manifest for source 1 of 1: rpc error: code "
      "= Unknown desc = unable to resolve 'nosuch' to a commit SHA: revision not found";
  app_["spec"]["source"]["targetRevision"] = "main";
  Order("revision", std::string("main=") + kOld + ",v2=" + kNew);
  Settle();
  Sync();
  EXPECT_EQ(Sync("revision"), kOld);
  Advance(absl::Minutes(1));
  app_["spec"]["source"]["targetRevision"] = "v2";
  Settle();
  EXPECT_EQ(Sync("revision"), kNew);

  // An operation that asks for it fails, and nothing else.
  Request({{"sync", {{"revision", "nosuch"}}}});
  Settle();
  SettleAfter(absl::Seconds(2));
  EXPECT_EQ(Phase(), "Error");
  EXPECT_EQ(Message(), "ComparisonError: " + problem);
  EXPECT_EQ(TextAt(State(), {"syncResult", "revision"}), "nosuch");
  EXPECT_EQ(Sync("status"), "OutOfSync");
  EXPECT_FALSE(app_["status"].contains("conditions"));

  Advance(absl::Minutes(1));
  app_["spec"]["source"]["targetRevision"] = "nosuch";
  Settle();
  EXPECT_EQ(Sync("status"), "Unknown");
  EXPECT_EQ(Sync("revision"), "nosuch");
  EXPECT_EQ(app_["status"]["conditions"][0]["message"], problem);
  EXPECT_EQ(ReconciledAt(), Now());
  Forget();
  EXPECT_EQ(SettleAfter(absl::Minutes(1)), absl::InfiniteDuration());
  EXPECT_THAT(steps_, IsEmpty());
}

TEST_F(ReconcileTest, AnOperationLooksUpWhatTheBranchIsThen) {
  app_["spec"]["source"]["targetRevision"] = "main";
  Settle();
  Sync();
  Order("revision", kNew);
  Request();
  Settle();
  EXPECT_EQ(TextAt(State(), {"syncResult", "revision"}), kNew);
  Order("revision", kOld);
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(app_["status"]["history"][1]["revision"], kNew) << "once resolved, it stays";
}

TEST_F(ReconcileTest, ChangedMetadataOfAManagedNamespaceIsOutOfSync) {
  app_["spec"]["syncPolicy"] = {{"managedNamespaceMetadata", {{"labels", {{"a", "b"}}}}}};
  Settle();
  Sync();
  EXPECT_EQ(State()["syncResult"]["managedNamespaceMetadata"], json({{"labels", {{"a", "b"}}}}));
  app_["spec"]["syncPolicy"]["managedNamespaceMetadata"]["labels"]["a"] = "c";
  Settle();
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

TEST_F(ReconcileTest, OneSelfHealFollowsAnotherOperationIfOrdered) {
  Settle();
  Order("self-heal", "true");
  Request();
  Settle();
  SettleAfter(absl::Seconds(3));
  Forget();
  const json history = app_["status"]["history"];
  SettleAfter(absl::Seconds(2));
  EXPECT_THAT(steps_, Contains("compared the Application: OutOfSync, Progressing; began an "
                               "automated sync"));
  // As Argo CD does it: refused when somebody else wrote, and before the comparison is written.
  EXPECT_EQ(writes_[0][0],
            json({{"op", "replace"}, {"path", "/metadata/resourceVersion"}, {"value", "7"}}));
  EXPECT_LT(moments_[0]["status"]["reconciledAt"], Now());
  EXPECT_FALSE(moments_[0]["status"].contains("operationState"));
  EXPECT_EQ(moments_[1]["status"]["reconciledAt"], Now());
  EXPECT_EQ(
      State()["operation"],
      json({{"initiatedBy", {{"automated", true}}},
            {"retry", {{"limit", 5}}},
            {"sync",
             {{"autoHealAttemptsCount", 1},
              {"revision", kOld},
              {"source", app_["spec"]["source"]},
              {"resources", {{{"group", "apps"}, {"kind", "Deployment"}, {"name", "web"}}}}}}}));
  SettleAfter(absl::Seconds(3));
  SettleAfter(absl::Seconds(2));
  EXPECT_EQ(Phase(), "Succeeded");
  EXPECT_EQ(Sync("status"), "Synced");
  EXPECT_EQ(app_["status"]["history"], history) << "it healed some resources alone";
  Forget();
  SettleAfter(absl::Hours(1));
  EXPECT_FALSE(HasOperation());
}

TEST_F(ReconcileTest, AnOperationOfOursThatCountsAsAutomatedIsFollowedByOneToo) {
  Settle();
  Order("self-heal", "true");
  Request({{"sync", json::object()},
           {"initiatedBy", {{"automated", true}}},
           {"info", {{{"name", "Reason"}, {"value", "test"}}}}});
  Settle();
  SettleAfter(absl::Seconds(3));
  SettleAfter(absl::Seconds(2));
  EXPECT_EQ(At(State(), {"operation", "sync", "autoHealAttemptsCount"}), 1);
}

TEST_F(ReconcileTest, AnAutomatedApplicationIsSyncedWhenItsRevisionChanges) {
  app_["spec"]["syncPolicy"] = {{"automated", {{"prune", true}}}, {"syncOptions", {"A=b"}}};
  Settle();
  EXPECT_EQ(Phase(), "Running");
  const json operation = {{"initiatedBy", {{"automated", true}}},
                          {"retry", {{"limit", 5}}},
                          {"sync",
                           {{"revision", kOld},
                            {"source", app_["spec"]["source"]},
                            {"prune", true},
                            {"syncOptions", {"A=b"}}}}};
  EXPECT_EQ(app_["operation"], operation);
  SettleAfter(absl::Seconds(3));
  SettleAfter(absl::Seconds(2));
  SettleAfter(absl::Seconds(10));
  EXPECT_EQ(Health(), "Healthy");
  EXPECT_EQ(app_["status"]["history"][0]["initiatedBy"], json({{"automated", true}}));
  // It writes the whole Application, and what is empty with it.
  EXPECT_EQ(app_["status"]["sourceHydrator"], json::object());
  app_["spec"]["source"]["targetRevision"] = kNew;
  Settle();
  EXPECT_EQ(TextAt(app_, {"operation", "sync", "revision"}), kNew);
  EXPECT_FALSE(app_["operation"]["sync"].contains("autoHealAttemptsCount"));
}

TEST_F(ReconcileTest, AnAutomatedSyncOfSeveralSourcesNamesThemAll) {
  app_["spec"]["syncPolicy"] = {{"automated", json::object()}};
  app_["spec"]["sources"] = {{{"repoURL", "r"}, {"targetRevision", kOld}},
                             {{"repoURL", "c"}, {"chart", "redis"}, {"targetRevision", "1.2.3"}}};
  Settle();
  EXPECT_EQ(app_["operation"]["sync"],
            json({{"sources", app_["spec"]["sources"]}, {"revisions", {kOld, "1.2.3"}}}));
  EXPECT_EQ(State()["syncResult"]["source"], json({{"repoURL", ""}}));
  EXPECT_EQ(State()["syncResult"]["revisions"], json({kOld, "1.2.3"}));
}

// The same commit by another name is another source, and is synced whole.
TEST_F(ReconcileTest, AnAutomatedApplicationIsSyncedWhenItsSourceChanges) {
  app_["spec"]["syncPolicy"] = {{"automated", {{"selfHeal", true}}}};
  app_["spec"]["source"]["targetRevision"] = "main";
  Order("revision", kNew);
  Settle();
  SettleAfter(absl::Seconds(3));
  SettleAfter(absl::Seconds(2));
  app_["spec"]["source"]["path"] = "elsewhere";
  app_["spec"]["source"]["targetRevision"] = kNew;
  Settle();
  EXPECT_EQ(app_["operation"]["sync"],
            json({{"revision", kNew}, {"source", app_["spec"]["source"]}}));
}

TEST_F(ReconcileTest, AnAutomatedSyncThatFailedIsNotRepeatedForTheSameRevision) {
  app_["spec"]["syncPolicy"] = {{"automated", {{"selfHeal", true}}}, {"retry", {{"limit", 0}}}};
  Order("fail", "no quota");
  Settle();
  SettleAfter(absl::Seconds(3));
  SettleAfter(absl::Seconds(2));
  EXPECT_EQ(Phase(), "Failed");
  EXPECT_EQ(
      app_["status"]["conditions"],
      json::array({{{"type", "SyncError"},
                    {"message", std::string("Failed last sync attempt to [") + kOld +
                                    "]: one or more objects failed to apply, reason: no quota"},
                    {"lastTransitionTime", Now()}}}));
  Forget();
  EXPECT_EQ(SettleAfter(absl::Hours(1)), absl::InfiniteDuration());
  EXPECT_THAT(steps_, IsEmpty());
  // The condition goes with the reason for it.
  Countermand("fail");
  Sync();
  EXPECT_FALSE(app_["status"].contains("conditions"));
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

  settings_.refresh_delay = absl::ZeroDuration();
  app_["spec"]["syncPolicy"]["automated"]["selfHeal"] = true;
  Settle();
  EXPECT_EQ(app_["operation"]["sync"]["autoHealAttemptsCount"], 1) << "the first at once";
  SettleAfter(absl::Seconds(3));
  EXPECT_FALSE(HasOperation());
  SettleAfter(absl::Seconds(1));
  EXPECT_FALSE(HasOperation());
  SettleAfter(absl::Seconds(1));
  EXPECT_EQ(app_["operation"]["sync"]["autoHealAttemptsCount"], 2) << "the second after 2 s";
  SettleAfter(absl::Seconds(3));
  SettleAfter(absl::Seconds(5));
  EXPECT_FALSE(HasOperation());
  SettleAfter(absl::Seconds(1));
  EXPECT_EQ(app_["operation"]["sync"]["autoHealAttemptsCount"], 3) << "three times that";
  EXPECT_THAT(app_["status"]["history"], SizeIs(1));
}

TEST_F(ReconcileTest, AutomationThatIsNotEnabledDoesNothing) {
  app_["spec"]["syncPolicy"] = {{"automated", {{"enabled", false}}}};
  Settle();
  EXPECT_FALSE(HasOperation());
}

// ---- What is left alone ----

TEST_F(ReconcileTest, AnApplicationThatIsToBeSkippedIsLeftAlone) {
  for (const char* yes : {"true", "True", "1"}) {
    app_["metadata"]["annotations"]["argocd.argoproj.io/skip-reconcile"] = yes;
    app_["metadata"]["annotations"][kRefresh] = "hard";
    Request();
    EXPECT_EQ(Settle(), absl::InfiniteDuration());
    EXPECT_THAT(steps_, IsEmpty());
  }
  app_["metadata"]["annotations"]["argocd.argoproj.io/skip-reconcile"] = "yes";
  Settle();
  EXPECT_EQ(Phase(), "Running");
}

TEST_F(ReconcileTest, AnOperationInProgressGoesOnThoughTheApplicationIsToBeSkipped) {
  Settle();
  Request();
  Settle();
  app_["metadata"]["annotations"]["argocd.argoproj.io/skip-reconcile"] = "true";
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(Phase(), "Succeeded");
  SettleAfter(absl::Seconds(2));
  EXPECT_EQ(ReconciledAt(), Now());
  Order("degrade", "");
  EXPECT_EQ(SettleAfter(absl::Hours(1)), absl::InfiniteDuration());
  EXPECT_NE(Health(), "Degraded");
}

TEST_F(ReconcileTest, AnApplicationThatIsBeingDeletedIsLetGo) {
  app_["metadata"]["deletionTimestamp"] = Now();
  app_["metadata"]["finalizers"] = {"resources-finalizer.argocd.argoproj.io/background", "other"};
  Settle();
  EXPECT_THAT(writes_, ElementsAre(json({{"metadata", {{"finalizers", {"other"}}}}})));
}

TEST_F(ReconcileTest, AnOperationIsCarriedOutBeforeTheApplicationIsLetGo) {
  Settle();
  Request();
  app_["metadata"]["deletionTimestamp"] = Now();
  app_["metadata"]["finalizers"] = {"resources-finalizer.argocd.argoproj.io"};
  Settle();
  EXPECT_EQ(Phase(), "Running");
  EXPECT_THAT(app_["metadata"]["finalizers"], SizeIs(1));
  SettleAfter(absl::Seconds(3));
  EXPECT_EQ(Phase(), "Succeeded");
  EXPECT_THAT(app_["metadata"]["finalizers"], IsEmpty());
}

TEST_F(ReconcileTest, BadInputIsNeverWorse) {
  const std::vector<json> odd = {
      nullptr, 7, "text", json::array({1}), json::object(), -1e300, 9'223'372'036'854'775'807};
  const std::vector<std::string> places = {"",
                                           "/metadata",
                                           "/metadata/annotations",
                                           "/metadata/finalizers",
                                           "/metadata/name",
                                           "/metadata/annotations/argocd.argoproj.io~1refresh",
                                           "/operation",
                                           "/operation/sync",
                                           "/operation/retry",
                                           "/operation/retry/limit",
                                           "/operation/retry/backoff",
                                           "/operation/info",
                                           "/spec",
                                           "/spec/source",
                                           "/spec/sources",
                                           "/spec/sourceHydrator",
                                           "/spec/syncPolicy",
                                           "/spec/syncPolicy/automated",
                                           "/spec/revisionHistoryLimit",
                                           "/status",
                                           "/status/conditions",
                                           "/status/health",
                                           "/status/history",
                                           "/status/history/0",
                                           "/status/history/0/id",
                                           "/status/history/0/source",
                                           "/status/history/0/revisions",
                                           "/status/operationState",
                                           "/status/operationState/retryCount",
                                           "/status/operationState/syncResult",
                                           "/status/operationState/operation",
                                           "/status/sync",
                                           "/status/reconciledAt"};
  app_["spec"]["syncPolicy"] = {{"automated", json::object()}};
  Settle();
  Sync();
  Order("fail", "no quota");
  Request();
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
        for (const Write& write : step.writes) {
          ASSERT_EQ(write.kind == Write::Kind::kMergePatch, write.body.is_object()) << place;
          Store(write);
        }
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
