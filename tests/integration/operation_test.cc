// SPDX-License-Identifier: Apache-2.0
//
// What a step makes of the operation it finds on an Application, from the first one it starts to
// its success or failure.
#include <google/protobuf/util/time_util.h>

#include "tests/integration/integration_test.h"

namespace gantry::integration {
namespace {

using google::protobuf::util::TimeUtil;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

class OperationTest : public IntegrationTest {
 protected:
  // The step waits, and leaves the Application as it was.
  StepResult ExpectWaiting(Replica& gantry, const std::string& app, v1::StepReason reason) {
    const json before = Application(app);
    StepResult result = gantry.RunStep(Request(UpdateTo(app)));
    EXPECT_TRUE(Is(result, v1::STEP_STATUS_RUNNING, reason));
    EXPECT_TRUE(result.response.has_retry_after());
    EXPECT_EQ(OutcomeOf(result, app).action(), v1::ApplicationOutcome::ACTION_WAITED);
    EXPECT_EQ(Application(app), before);
    return result;
  }

  StepResult ExpectErrored(const std::string& app, v1::StepReason reason) {
    const json before = Application(app);
    Replica gantry;
    StepResult result = gantry.RunStep(Request(UpdateTo(app)));
    EXPECT_TRUE(Is(result, v1::STEP_STATUS_ERRORED, reason));
    EXPECT_TRUE(result.response.has_retry_after());
    EXPECT_EQ(Application(app), before);
    EXPECT_FALSE(HasRecord());
    return result;
  }

  // Starts the step's operation.
  void ExpectStarted(Replica& gantry, const v1::RunStepRequest& request, const std::string& app,
                     int attempt) {
    const StepResult result = gantry.RunStep(request);
    EXPECT_TRUE(Is(result, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
    EXPECT_EQ(OutcomeOf(result, app).action(), v1::ApplicationOutcome::ACTION_SYNC_STARTED);
    EXPECT_TRUE(HasOperation(Application(app), request.promotion(), attempt));
  }
};

TEST_F(OperationTest, AnOperationIsFollowedToSuccess) {
  const std::string app = CreateApplication();
  Replica gantry;
  ArgoCd argocd(api_, app);
  ExpectStarted(gantry, Request(UpdateTo(app)), app, 1);

  // Not taken up yet.
  ExpectWaiting(gantry, app, v1::STEP_REASON_OPERATION_RUNNING);

  argocd.TakeUp("waiting for a sync window");
  const StepResult running = ExpectWaiting(gantry, app, v1::STEP_REASON_OPERATION_RUNNING);
  EXPECT_THAT(running.response.message(), HasSubstr("waiting for a sync window"));
  EXPECT_EQ(OutcomeOf(running, app).operation_phase(), "Running");

  argocd.Complete();
  const json completed = Application(app);
  const StepResult done = gantry.RunStep(Request(UpdateTo(app)));
  EXPECT_TRUE(Is(done, v1::STEP_STATUS_SUCCEEDED));
  EXPECT_FALSE(done.response.has_retry_after());
  EXPECT_EQ(OutcomeOf(done, app).action(), v1::ApplicationOutcome::ACTION_NONE);
  EXPECT_EQ(OutcomeOf(done, app).operation_phase(), "Succeeded");
  EXPECT_EQ(Application(app), completed);
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
}

TEST_F(OperationTest, AnOperationThatSomebodyElseRequestedIsWaitedFor) {
  const std::string app = CreateApplication();
  api_.MergePatch(
      ApplicationPath(app),
      {{"operation", {{"initiatedBy", {{"username", "mallory"}}}, {"sync", json::object()}}}});
  Replica gantry;

  const StepResult queued = ExpectWaiting(gantry, app, v1::STEP_REASON_OTHER_OPERATION_RUNNING);
  EXPECT_THAT(queued.response.message(), HasSubstr("mallory"));

  ArgoCd(api_, app).TakeUp();
  ExpectWaiting(gantry, app, v1::STEP_REASON_OTHER_OPERATION_RUNNING);

  ArgoCd(api_, app).Complete();
  ExpectStarted(gantry, Request(UpdateTo(app)), app, 1);
}

TEST_F(OperationTest, AnOperationOfAnotherPromotionIsWaitedForAndNamed) {
  const std::string app = CreateApplication();
  Replica gantry;
  ExpectStarted(gantry, Request(UpdateTo(app, kOtherRevision), "p0"), app, 1);
  const StepResult result = ExpectWaiting(gantry, app, v1::STEP_REASON_OTHER_OPERATION_RUNNING);
  EXPECT_THAT(result.response.message(), HasSubstr("p0"));
}

// Argo CD clears `.operation` in the write that completes the state: without it, a running state is
// one that nobody works on.
TEST_F(OperationTest, AnAbandonedOperationIsReplaced) {
  const std::string app = CreateApplication();
  api_.MergePatch(ApplicationPath(app), {{"status",
                                          {{"operationState",
                                            {{"phase", "Running"},
                                             {"startedAt", SecondsAgo(kHour)},
                                             {"operation", {{"sync", json::object()}}}}}}}});
  Replica gantry;
  ExpectStarted(gantry, Request(UpdateTo(app)), app, 1);
  EXPECT_FALSE(Application(app).at("status").contains("operationState"));
}

TEST_F(OperationTest, AnApplicationThatIsBeingDeletedIsLeftAlone) {
  const std::string app =
      CreateApplication({{"metadata", {{"finalizers", {"gantry.dev/kept-by-a-test"}}}}});
  api_.Delete(ApplicationPath(app));
  ExpectErrored(app, v1::STEP_REASON_APPLICATION_DELETING);
  api_.MergePatch(ApplicationPath(app), {{"metadata", {{"finalizers", nullptr}}}});
}

TEST_F(OperationTest, AnApplicationThatArgoCdSkipsIsNotWritten) {
  const std::string app = CreateApplication(
      {{"metadata", {{"annotations", {{"argocd.argoproj.io/skip-reconcile", "true"}}}}}});
  const StepResult result = ExpectErrored(app, v1::STEP_REASON_RECONCILE_DISABLED);
  EXPECT_THAT(result.response.message(), HasSubstr("argocd.argoproj.io/skip-reconcile"));
}

TEST_F(OperationTest, AFailedOperationFailsTheStepForGood) {
  const std::string app = CreateApplication();
  Replica gantry;
  const v1::RunStepRequest request = Request(UpdateTo(app));
  ExpectStarted(gantry, request, app, 1);
  ArgoCd(api_, app).Work({.phase = "Failed", .message = "one or more objects failed to apply"});

  for (const char* call : {"the first", "a later"}) {
    const json before = Application(app);
    const StepResult result = gantry.RunStep(request);
    EXPECT_TRUE(Is(result, v1::STEP_STATUS_FAILED, v1::STEP_REASON_OPERATION_FAILED)) << call;
    EXPECT_THAT(result.response.message(), HasSubstr("one or more objects failed to apply"))
        << call;
    EXPECT_FALSE(result.response.has_retry_after()) << call;
    EXPECT_EQ(Application(app), before) << call;
    // The verdict stays even when the Application gets well.
    ArgoCd(api_, app).SelfHeal();
  }
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
  EXPECT_EQ(Record().at("spec").at("steps").at(0).at("status"), "Failed");

  // Only a new promotion helps.
  ExpectStarted(gantry, Request(UpdateTo(app), "p2"), app, 1);
}

TEST_F(OperationTest, WithoutASyncResultTheOperationIsStartedAgain) {
  const std::string app = CreateApplication();
  Replica gantry;
  ExpectStarted(gantry, Request(UpdateTo(app)), app, 1);
  ArgoCd(api_, app).Work(
      {.phase = "Error", .finished_at = SecondsAgo(kHour), .has_sync_result = false});
  ExpectStarted(gantry, Request(UpdateTo(app)), app, 2);
}

TEST_F(OperationTest, TheNextAttemptIsAwaitedBeforeItIsMade) {
  const std::string app = CreateApplication();
  Replica gantry;
  ExpectStarted(gantry, Request(UpdateTo(app)), app, 1);
  ArgoCd(api_, app).Work({.phase = "Failed", .revisions = {kOtherRevision}});

  const StepResult waiting = ExpectWaiting(gantry, app, v1::STEP_REASON_AWAITING_RETRY);
  EXPECT_GT(TimeUtil::DurationToMilliseconds(waiting.response.retry_after()), 0);
  EXPECT_LE(TimeUtil::DurationToSeconds(waiting.response.retry_after()), 10);
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
}

TEST_F(OperationTest, WhenAllAttemptsFailTheStepFailsWithArgoCdsMessage) {
  const std::string app = CreateApplication();
  Replica gantry({"--max-sync-attempts=3"});
  for (int attempt = 1; attempt <= 3; ++attempt) {
    ExpectStarted(gantry, Request(UpdateTo(app)), app, attempt);
    ArgoCd(api_, app).Work({.phase = "Failed",
                            .message = "hook failed",
                            .revisions = {kOtherRevision},
                            .finished_at = SecondsAgo(kHour)});
  }

  const StepResult result = gantry.RunStep(Request(UpdateTo(app)));

  EXPECT_TRUE(Is(result, v1::STEP_STATUS_FAILED, v1::STEP_REASON_OPERATION_FAILED));
  EXPECT_THAT(result.response.message(), HasSubstr("hook failed"));
  EXPECT_TRUE(HasNoOperation(Application(app)));
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 3u);
}

TEST_F(OperationTest, WhenNoAttemptReachesTheRevisionTheStepFailsSayingWhatWasObserved) {
  const std::string app = CreateApplication();
  Replica gantry({"--max-sync-attempts=2"});
  for (int attempt = 1; attempt <= 2; ++attempt) {
    ExpectStarted(gantry, Request(SyncTo(app)), app, attempt);
    ArgoCd(api_, app).Work({.revisions = {kOtherRevision}, .finished_at = SecondsAgo(kHour)});
  }

  for (const char* call : {"the first", "a later"}) {
    const StepResult result = gantry.RunStep(Request(SyncTo(app)));
    EXPECT_TRUE(Is(result, v1::STEP_STATUS_FAILED, v1::STEP_REASON_REVISION_NOT_REACHED)) << call;
    EXPECT_THAT(result.response.message(),
                AllOf(HasSubstr(kNewRevision), HasSubstr(kOtherRevision)))
        << call;
  }
  EXPECT_TRUE(HasNoOperation(Application(app)));
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 2u);
}

TEST_F(OperationTest, ATagIsReachedWhenTheSyncedSourceNamesIt) {
  const std::string app = CreateApplication();
  Replica gantry;
  ExpectStarted(gantry, Request(UpdateTo(app, "v2")), app, 1);
  ArgoCd(api_, app).Work({.revisions = {kOtherRevision}});
  EXPECT_TRUE(Is(gantry.RunStep(Request(UpdateTo(app, "v2"))), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
}

TEST_F(OperationTest, OfSeveralSourcesEachMustReachItsRevision) {
  const std::string app = CreateApplicationWithSources(
      {{{"repoURL", kRepository}, {"targetRevision", "main"}, {"path", "a"}},
       {{"repoURL", "https://github.com/example/other"}, {"targetRevision", "v1"}, {"path", "b"}}});
  Replica gantry;
  ExpectStarted(gantry, Request(SyncTo(app)), app, 1);
  ArgoCd(api_, app).Work(
      {.revisions = {kOtherRevision, kNewRevision}, .finished_at = SecondsAgo(kHour)});
  ExpectStarted(gantry, Request(SyncTo(app)), app, 2);
  ArgoCd(api_, app).Work({.revisions = {kNewRevision, kOtherRevision}});
  const StepResult result = gantry.RunStep(Request(SyncTo(app)));
  EXPECT_TRUE(Is(result, v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(HealthCheckInputOf(result).at("apps").at(0).at("desiredRevisions"),
            (json{kNewRevision, ""}));
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 2u);
}

// Argo CD's self-heal may follow our operation so closely that nobody sees it completed. That it
// deployed what is desired is enough; an operation of ours against it would begin a duel.
TEST_F(OperationTest, ASelfHealThatDeployedWhatIsDesiredCompletesTheStep) {
  const std::string app = CreateApplication();
  Replica gantry;
  ExpectStarted(gantry, Request(UpdateTo(app)), app, 1);
  ArgoCd argocd(api_, app);
  argocd.Work();
  argocd.SelfHeal();
  const json healed = Application(app);

  EXPECT_TRUE(Is(gantry.RunStep(Request(UpdateTo(app))), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(Application(app), healed);
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
}

TEST_F(OperationTest, ASelfHealThatDeployedSomethingElseCountsAsAnAttempt) {
  const std::string app = CreateApplication();
  Replica gantry;
  ArgoCd argocd(api_, app);
  ExpectStarted(gantry, Request(SyncTo(app)), app, 1);
  argocd.Work({.revisions = {kNewRevision}});
  argocd.SelfHeal({.revisions = {kOtherRevision}});

  const json before = Application(app);
  const StepResult waiting = gantry.RunStep(Request(SyncTo(app)));
  EXPECT_TRUE(Is(waiting, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_AWAITING_RETRY));
  EXPECT_GT(TimeUtil::DurationToMilliseconds(waiting.response.retry_after()), 0);
  EXPECT_EQ(Application(app), before);

  argocd.SelfHeal({.revisions = {kOtherRevision}, .finished_at = SecondsAgo(kHour)});
  ExpectStarted(gantry, Request(SyncTo(app)), app, 2);
}

TEST_F(OperationTest, ATargetRevisionThatItsOwnerPutsBackFailsTheStepAtOnce) {
  const std::string app =
      CreateApplication({{"metadata",
                          {{"ownerReferences",
                            {{{"apiVersion", "argoproj.io/v1alpha1"},
                              {"kind", "ApplicationSet"},
                              {"name", "all-shops"},
                              {"controller", true},
                              {"uid", "2c8d8b5e-0000-4000-8000-000000000001"}}}}}}});
  Replica gantry;
  ExpectStarted(gantry, Request(UpdateTo(app)), app, 1);
  api_.MergePatch(ApplicationPath(app), {{"spec", {{"source", {{"targetRevision", "main"}}}}}});
  ArgoCd(api_, app).Work({.revisions = {kOtherRevision}});

  const json before = Application(app);
  const StepResult result = gantry.RunStep(Request(UpdateTo(app)));

  EXPECT_TRUE(Is(result, v1::STEP_STATUS_FAILED, v1::STEP_REASON_REVISION_NOT_REACHED));
  EXPECT_THAT(result.response.message(),
              AllOf(HasSubstr("ApplicationSet"), HasSubstr("all-shops")));
  EXPECT_EQ(Application(app), before);
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
}

TEST_F(OperationTest, WhatSucceededStaysSoWhateverArgoCdDoesLater) {
  const std::string app = CreateApplication();
  Replica gantry;
  ArgoCd argocd(api_, app);
  ExpectStarted(gantry, Request(UpdateTo(app)), app, 1);
  argocd.Work();
  const StepResult first = gantry.RunStep(Request(UpdateTo(app)));
  ASSERT_TRUE(Is(first, v1::STEP_STATUS_SUCCEEDED));

  argocd.SelfHeal({.phase = "Failed", .revisions = {kOtherRevision}});
  const json before = Application(app);
  const StepResult again = gantry.RunStep(Request(UpdateTo(app)));

  EXPECT_TRUE(Is(again, v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(HealthCheckInputOf(again), HealthCheckInputOf(first));
  EXPECT_EQ(OutputOf(again), OutputOf(first));
  EXPECT_EQ(Application(app), before);

  api_.Delete(ApplicationPath(app));
  EXPECT_TRUE(Is(gantry.RunStep(Request(UpdateTo(app))), v1::STEP_STATUS_SUCCEEDED));
}

// The order of a promotion's steps is its own affair: a second one that wants something else of the
// same Application does not take the first one's operation for its own.
TEST_F(OperationTest, ASecondStepOfThePromotionGetsAnOperationOfItsOwn) {
  const std::string app = CreateApplication();
  Replica gantry;
  ExpectStarted(gantry, Request(UpdateTo(app, kOtherRevision), "p1", "first"), app, 1);
  ArgoCd(api_, app).Work();
  EXPECT_TRUE(Is(gantry.RunStep(Request(UpdateTo(app, kOtherRevision), "p1", "first")),
                 v1::STEP_STATUS_SUCCEEDED));

  ExpectStarted(gantry, Request(UpdateTo(app), "p1", "second"), app, 2);
  ArgoCd(api_, app).Work();
  EXPECT_TRUE(
      Is(gantry.RunStep(Request(UpdateTo(app), "p1", "second")), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_TRUE(Is(gantry.RunStep(Request(UpdateTo(app, kOtherRevision), "p1", "first")),
                 v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 2u);
}

// What was asked for before is no measure for what is asked for now.
TEST_F(OperationTest, AStepWithAnotherConfigurationStartsAnew) {
  const std::string app = CreateApplication();
  Replica gantry;
  ExpectStarted(gantry, Request(UpdateTo(app, kOtherRevision)), app, 1);
  ArgoCd(api_, app).Work({.finished_at = SecondsAgo(kHour)});
  EXPECT_TRUE(
      Is(gantry.RunStep(Request(UpdateTo(app, kOtherRevision))), v1::STEP_STATUS_SUCCEEDED));

  ExpectStarted(gantry, Request(UpdateTo(app)), app, 2);
  ArgoCd(api_, app).Work();
  EXPECT_TRUE(Is(gantry.RunStep(Request(UpdateTo(app))), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 2u);
}

TEST_F(OperationTest, OneApplicationThatIsDoneIsNotWrittenAgainWhileAnotherIsRetried) {
  const std::string fast = CreateApplication();
  const std::string slow = CreateApplication();
  json config = UpdateTo(fast);
  config["apps"].push_back(UpdateTo(slow).at("apps").at(0));
  Replica gantry;
  EXPECT_TRUE(Is(gantry.RunStep(Request(config)), v1::STEP_STATUS_RUNNING,
                 v1::STEP_REASON_OPERATION_RUNNING));
  ArgoCd(api_, fast).Work();
  const StepResult half = gantry.RunStep(Request(config));
  EXPECT_TRUE(Is(half, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  EXPECT_EQ(OutcomeOf(half, fast).action(), v1::ApplicationOutcome::ACTION_NONE);
  EXPECT_EQ(OutcomeOf(half, slow).action(), v1::ApplicationOutcome::ACTION_WAITED);

  // What was seen done stays done.
  ArgoCd(api_, fast).SelfHeal({.phase = "Failed", .revisions = {kOtherRevision}});
  ArgoCd(api_, slow)
      .Work({.phase = "Failed", .revisions = {kOtherRevision}, .finished_at = SecondsAgo(kHour)});
  EXPECT_TRUE(Is(gantry.RunStep(Request(config)), v1::STEP_STATUS_RUNNING,
                 v1::STEP_REASON_OPERATION_RUNNING));
  ArgoCd(api_, slow).Work();
  EXPECT_TRUE(Is(gantry.RunStep(Request(config)), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(gantry.OperationsWritten(fast).size(), 1u);
  EXPECT_EQ(gantry.OperationsWritten(slow).size(), 2u);
}

}  // namespace
}  // namespace gantry::integration
