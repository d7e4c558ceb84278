// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "server/steps/argocd_update/argocd_update.h"
#include "tests/server/steps/step_fixture.h"

namespace gantry::steps {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

// What argocd-update answers from the watches alone.
class ArgocdUpdateCacheTest : public StepFixture {
 protected:
  static constexpr const char* kOneApplication = R"({"apps": [{"name": "web", "sources": [
      {"repoURL": "https://git.example/web.git", "desiredRevision": "v2",
       "updateTargetRevision": true}]}]})";
  static constexpr const char* kSelector =
      R"({"apps": [{"selector": {"matchLabels": {"team": "shop"}}}]})";

  ArgocdUpdateCacheTest() {
    request_.set_uses("argocd-update");
    Configure(kOneApplication);
  }

  static json Application(const std::string& name) {
    return {{"metadata",
             {{"namespace", "argocd"},
              {"name", name},
              {"labels", {{"team", "shop"}}},
              {"annotations", {{"kargo.akuity.io/authorized-stage", "shop:prod"}}}}},
            {"spec",
             {{"source",
               {{"repoURL", "https://git.example/" + name + ".git"}, {"targetRevision", "v1"}}}}}};
  }

  // Argo CD carries out the operation; nothing is told to the caches.
  void Complete(const std::string& name, const std::string& phase = "Succeeded") {
    json application = Read(name);
    application["status"]["operationState"] = {{"phase", phase},
                                               {"operation", application["operation"]},
                                               {"finishedAt", Time()},
                                               {"syncResult", {{"revision", "v2"}}}};
    application.erase("operation");
    Put(application);
  }

  // A step that is under way, as the watches know it.
  void BeginStep() {
    Put(Application("web"));
    EXPECT_ANSWER(Run(step_), RUNNING, OPERATION_RUNNING);
    Watch();
  }

  StepDriver step_{
      std::make_unique<ArgocdUpdate>(),
      {.watch_namespaces = {"argocd"}},
      {kubernetes_, stages_, events_, helpers_, watches_.caches, clock_, random_, sleeper_}};
};

TEST_F(ArgocdUpdateCacheTest, APollOfARunningStepMakesNoCall) {
  BeginStep();
  const v1::RunStepResponse live = [&] {
    // Not synced: as it is told from live reads.
    gantry::testing::WatchedCaches none({"argocd"}, clock_);
    StepDriver step(
        std::make_unique<ArgocdUpdate>(), {.watch_namespaces = {"argocd"}},
        {kubernetes_, stages_, events_, helpers_, none.caches, clock_, random_, sleeper_});
    return Run(step);
  }();
  for (int i = 0; i < 3; ++i) {
    v1::RunStepResponse response;
    EXPECT_EQ(CallsOf(step_, &response), 0U);
    EXPECT_EQ(response.ShortDebugString(), live.ShortDebugString());
    EXPECT_ANSWER(response, RUNNING, OPERATION_RUNNING);
    EXPECT_EQ(response.applications(0).action(), v1::ApplicationOutcome::ACTION_WAITED);
  }
}

TEST_F(ArgocdUpdateCacheTest, AStepWithASelectorWaitsForMoreThatMatch) {
  Configure(kSelector);
  Put(Application("web"));
  base::Context context;
  const absl::StatusOr<StepResult> result = step_.TryRun(request_, context, log_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_ANSWER(result->response, RUNNING, OPERATION_RUNNING);
  ASSERT_EQ(result->wake_on.applications.size(), 1U);
  EXPECT_EQ(ToString(result->wake_on.applications[0]), "argocd/web");
  ASSERT_EQ(result->wake_on.selectors.size(), 1U);
  EXPECT_EQ(result->wake_on.selectors[0].ns, "argocd");
  EXPECT_EQ(result->wake_on.selectors[0].label_selector, "team=shop");
  EXPECT_FALSE(result->wake_on.due.has_value());
}

TEST_F(ArgocdUpdateCacheTest, OurOwnWriteIsKnownBeforeTheWatchBringsIt) {
  Put(Application("web"));
  Watch();
  const kubernetes::JsonText before = watches_.Text(Read("web"));
  EXPECT_ANSWER(Run(step_), RUNNING, OPERATION_RUNNING);
  const auto known = watches_.caches.applications.Find({"argocd", "web"});
  ASSERT_NE(known, nullptr);
  EXPECT_EQ(known->resource_version, Read("web")["metadata"]["resourceVersion"]);
  EXPECT_TRUE(known->operation.has_value());
  EXPECT_EQ(CallsOf(step_), 0U);

  // What the watch brings from before the write does not undo it.
  ASSERT_TRUE(
      watches_.SinkOf("argocd").Put(kubernetes::EventType::kModified, before.padded()).ok());
  EXPECT_EQ(watches_.caches.applications.Find({"argocd", "web"}), known);
  v1::RunStepResponse response;
  EXPECT_EQ(CallsOf(step_, &response), 0U);
  EXPECT_ANSWER(response, RUNNING, OPERATION_RUNNING);
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), 1U);
}

TEST_F(ArgocdUpdateCacheTest, SomebodyElsesOperationIsWaitedForWithoutACall) {
  BeginStep();
  json web = Read("web");
  web["operation"] = {{"initiatedBy", {{"username", "ann"}}}, {"sync", json::object()}};
  Put(web);
  Watch();
  v1::RunStepResponse response;
  EXPECT_EQ(CallsOf(step_, &response), 0U);
  EXPECT_ANSWER(response, RUNNING, OTHER_OPERATION_RUNNING);
  EXPECT_THAT(response.message(), HasSubstr("ann"));
}

TEST_F(ArgocdUpdateCacheTest, ARetryIsAwaitedWithoutACallUntilItsTime) {
  BeginStep();
  Complete("web", "Failed");
  json web = Read("web");
  web["status"]["operationState"]["syncResult"]["revision"] = "v1";
  Put(web);
  Watch();
  v1::RunStepResponse response;
  EXPECT_EQ(CallsOf(step_, &response), 0U);
  EXPECT_ANSWER(response, RUNNING, AWAITING_RETRY);
  clock_.Advance(absl::Seconds(10));
  EXPECT_GT(CallsOf(step_, &response), 0U);
  EXPECT_ANSWER(response, RUNNING, OPERATION_RUNNING);
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), 2U);
}

TEST_F(ArgocdUpdateCacheTest, AStaleCacheStillSaysNothing) {
  BeginStep();
  Complete("web");  // which the watch never tells
  clock_.Advance(watches_.kLimit);
  EXPECT_ANSWER(Run(step_), RUNNING, OPERATION_RUNNING);  // as old as it may be
  clock_.Advance(absl::Milliseconds(1));
  EXPECT_ANSWER(Run(step_), SUCCEEDED, UNSPECIFIED);
}

TEST_F(ArgocdUpdateCacheTest, GoesLiveWhenNotAllThatItNeedsIsSynced) {
  Put(Application("web"));
  EXPECT_ANSWER(Run(step_), RUNNING, OPERATION_RUNNING);
  watches_.PutApplication(Read("web"));
  watches_.PutStage(StageObject());
  watches_.UpToDate();
  EXPECT_GT(CallsOf(step_), 0U);
  watches_.stage_sink().EndList("");
  EXPECT_GT(CallsOf(step_), 0U);
  watches_.SinkOf("argocd").EndList("");
  EXPECT_EQ(CallsOf(step_), 0U);
}

TEST_F(ArgocdUpdateCacheTest, GoesLiveWhenTheStagesAloneAreStale) {
  BeginStep();
  clock_.Advance(watches_.kLimit + absl::Seconds(1));
  watches_.SinkOf("argocd").UpToDate(clock_.SinceBoot());
  EXPECT_GT(CallsOf(step_), 0U);
  watches_.stage_sink().UpToDate(clock_.SinceBoot());
  EXPECT_EQ(CallsOf(step_), 0U);
}

TEST_F(ArgocdUpdateCacheTest, GoesLiveWhenTheOperationHasCompleted) {
  for (const char* phase : {"Succeeded", "Failed", "Error"}) {
    request_.set_promotion(std::string("p-") + phase);
    kubernetes_.Remove("applications", "argocd", "web");
    BeginStep();
    Complete("web", phase);
    Watch();
    v1::RunStepResponse response;
    EXPECT_GT(CallsOf(step_, &response), 0U) << phase;
    EXPECT_EQ(response.status(), std::string(phase) == "Succeeded" ? v1::STEP_STATUS_SUCCEEDED
                                                                   : v1::STEP_STATUS_FAILED)
        << response.ShortDebugString();
  }
}

TEST_F(ArgocdUpdateCacheTest, GoesLiveToRecordThatOneOfTwoIsDone) {
  Configure(R"({"apps": [{"name": "web"}, {"name": "api"}]})");
  Put(Application("api"));
  Put(Application("web"));
  Run(step_);
  Complete("web");
  Watch({"web", "api"});
  v1::RunStepResponse response;
  EXPECT_GT(CallsOf(step_, &response), 0U);
  EXPECT_ANSWER(response, RUNNING, OPERATION_RUNNING);
  EXPECT_EQ(StageSpec()["steps"][0]["applications"][1]["done"], true);
  // Now that it is on record, there is nothing left to write.
  EXPECT_EQ(CallsOf(step_, &response), 0U);
  EXPECT_ANSWER(response, RUNNING, OPERATION_RUNNING);
}

TEST_F(ArgocdUpdateCacheTest, GoesLiveWhenTheOperationIsGone) {
  BeginStep();
  json web = Read("web");
  web.erase("operation");  // abandoned
  Put(web);
  Watch();
  EXPECT_GT(CallsOf(step_), 0U);
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), 2U);
}

TEST_F(ArgocdUpdateCacheTest, GoesLiveWhenAnApplicationMatchesNewly) {
  Configure(kSelector);
  BeginStep();
  EXPECT_EQ(CallsOf(step_), 0U);
  Put(Application("api"));
  Watch({"web", "api"});
  v1::RunStepResponse response;
  EXPECT_GT(CallsOf(step_, &response), 0U);
  EXPECT_EQ(response.applications_size(), 2);
  EXPECT_TRUE(Read("api").contains("operation"));
}

TEST_F(ArgocdUpdateCacheTest, AnApplicationThatDoesNotMatchOrIsElsewhereChangesNothing) {
  Configure(kSelector);
  BeginStep();
  json other = Application("other");
  other["metadata"]["labels"]["team"] = "pay";
  Put(other);
  Watch({"web", "other"});
  EXPECT_EQ(CallsOf(step_), 0U);
}

TEST_F(ArgocdUpdateCacheTest, GoesLiveWhenAuthorizationIsGone) {
  BeginStep();
  json web = Read("web");
  web["metadata"]["annotations"]["kargo.akuity.io/authorized-stage"] = "shop:test";
  Put(web);
  Watch();
  v1::RunStepResponse response;
  EXPECT_GT(CallsOf(step_, &response), 0U);
  EXPECT_ANSWER(response, ERRORED, NOT_AUTHORIZED);
}

TEST_F(ArgocdUpdateCacheTest, GoesLiveWhenTheApplicationIsGone) {
  BeginStep();
  watches_.DeleteApplication(Read("web"));
  kubernetes_.Remove("applications", "argocd", "web");
  v1::RunStepResponse response;
  EXPECT_GT(CallsOf(step_, &response), 0U);
  EXPECT_ANSWER(response, ERRORED, APPLICATION_NOT_FOUND);
}

TEST_F(ArgocdUpdateCacheTest, GoesLiveWhenTheApplicationIsBeingDeleted) {
  BeginStep();
  json web = Read("web");
  web["metadata"]["deletionTimestamp"] = Time();
  Put(web);
  Watch();
  v1::RunStepResponse response;
  EXPECT_GT(CallsOf(step_, &response), 0U);
  EXPECT_ANSWER(response, ERRORED, APPLICATION_DELETING);
}

TEST_F(ArgocdUpdateCacheTest, GoesLiveWhenTheApplicationIsNotUnderstood) {
  BeginStep();
  json web = Read("web");
  web["spec"]["source"] = 7;
  Put(web);
  Watch();
  const std::size_t before = CallCount();
  EXPECT_FALSE(TryRun(step_).ok());
  EXPECT_GT(CallCount(), before);
}

TEST_F(ArgocdUpdateCacheTest, GoesLiveWhenTheRecordIsNotUnderstood) {
  BeginStep();
  json stage = StageObject();
  stage["spec"]["steps"] = 7;
  kubernetes_.Put("stagehealths", stage);
  Watch();
  const std::size_t before = CallCount();
  EXPECT_FALSE(TryRun(step_).ok());
  EXPECT_GT(CallCount(), before);
}

TEST_F(ArgocdUpdateCacheTest, GoesLiveWithAnotherConfiguration) {
  BeginStep();
  Configure(R"({"apps": [{"name": "web"}]})");
  EXPECT_GT(CallsOf(step_), 0U);
}

TEST_F(ArgocdUpdateCacheTest, GoesLiveForAnotherStepOrPromotionOrADryRun) {
  BeginStep();
  request_.set_dry_run(true);
  EXPECT_GT(CallsOf(step_), 0U);
  request_.set_dry_run(false);
  request_.set_step("other");
  EXPECT_GT(CallsOf(step_), 0U);
  request_.set_step("step");
  EXPECT_EQ(CallsOf(step_), 0U);
  request_.set_promotion("p2");
  EXPECT_GT(CallsOf(step_), 0U);
}

TEST_F(ArgocdUpdateCacheTest, ASupersededPromotionIsToldSoFromALiveRead) {
  BeginStep();
  Complete("web");
  request_.set_promotion("p2");
  EXPECT_ANSWER(Run(step_), RUNNING, OPERATION_RUNNING);
  request_.set_promotion("p1");
  v1::RunStepResponse response;
  EXPECT_GT(CallsOf(step_, &response), 0U);
  EXPECT_ANSWER(response, ABORTED, PROMOTION_SUPERSEDED);
}

TEST_F(ArgocdUpdateCacheTest, AStepThatHasEndedIsAnsweredFromALiveRecord) {
  BeginStep();
  Complete("web");
  EXPECT_ANSWER(Run(step_), RUNNING, OPERATION_RUNNING);  // the watch is behind
  Watch();
  EXPECT_ANSWER(Run(step_), SUCCEEDED, UNSPECIFIED);
  // SUCCEEDED is in the cache by our own write, and yet read live.
  v1::RunStepResponse response;
  EXPECT_EQ(CallsOf(step_, &response), 1U);
  EXPECT_ANSWER(response, SUCCEEDED, UNSPECIFIED);
}

TEST_F(ArgocdUpdateCacheTest, ADeletedRecordIsNoticed) {
  BeginStep();
  watches_.DeleteStage(StageObject());
  kubernetes_.Remove("stagehealths", "gantry-system", "shop.prod");
  EXPECT_GT(CallsOf(step_), 0U);
}

}  // namespace
}  // namespace gantry::steps
