// SPDX-License-Identifier: Apache-2.0
//
// Promotions from end to end, beside the real Argo CD and the stand-in.
#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "tests/argocd/argocd_test.h"

namespace gantry::integration {
namespace {

using nlohmann::json;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class PromotionTest : public ArgoCdTest {};

// ---- what is desired ---------------------------------------------------------------

TEST_F(PromotionTest, ACommitIsDeployedOnceAndTheStageIsHealthy) {
  const std::string app = NewApp();
  const std::string commit = backend_->Commit(app, Content::kGood);
  Replica gantry;
  const auto stream = WatchHealth(gantry);
  EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(Updating(app, commit))), v1::STEP_STATUS_SUCCEEDED));
  const v1::StageHealth healthy = stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  EXPECT_THAT(healthy.issues(), IsEmpty());
  ASSERT_THAT(healthy.applications(), SizeIs(1));
  EXPECT_THAT(healthy.applications(0).observed_revisions(), ElementsAre(commit));
  EXPECT_EQ(Application(app).at("spec").at("source").at("targetRevision"), commit);
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
  ExpectOperations(app, 1);
}

TEST_F(PromotionTest, ATagIsReachedByTheCommitThatItNames) {
  const std::string app = NewApp();
  const std::string commit = backend_->Commit(app, Content::kGood);
  backend_->Tag(app, "v2");
  Replica gantry;
  const auto stream = WatchHealth(gantry);
  EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(Updating(app, "v2"))), v1::STEP_STATUS_SUCCEEDED));
  const v1::StageHealth healthy = stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  EXPECT_THAT(healthy.applications(0).observed_revisions(), ElementsAre(commit));
  EXPECT_EQ(Application(app).at("spec").at("source").at("targetRevision"), "v2");
  ExpectOperations(app, 1);
}

TEST_F(PromotionTest, ABranchIsReachedByItsHead) {
  const std::string app = NewApp();
  const std::string commit = backend_->Commit(app, Content::kGood);
  Replica gantry;
  const auto stream = WatchHealth(gantry);
  EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(Updating(app, "main"))), v1::STEP_STATUS_SUCCEEDED));
  const v1::StageHealth healthy = stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  EXPECT_THAT(healthy.applications(0).observed_revisions(), ElementsAre(commit));
  ExpectOperations(app, 1);
}

TEST_F(PromotionTest, ACommitThatTheBranchIsAtIsReachedWithoutAChangeOfTheSource) {
  const std::string app = NewApp();
  const std::string commit = backend_->Commit(app, Content::kGood);
  Replica gantry;
  const auto stream = WatchHealth(gantry);
  EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(Syncing(app, commit))), v1::STEP_STATUS_SUCCEEDED));
  stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  EXPECT_EQ(Application(app).at("spec").at("source").at("targetRevision"), "main");
  ExpectOperations(app, 1);
}

TEST_F(PromotionTest, ACommitThatTheBranchHasLeftIsNotReached) {
  const std::string app = NewApp();
  const std::string old = backend_->Commit(app, Content::kGood);
  const std::string head = backend_->Commit(app, Content::kGood);
  Replica gantry({"--max-sync-attempts=1"});
  const StepResult result = RunToItsEnd(gantry, Request(Syncing(app, old)));
  EXPECT_TRUE(Is(result, v1::STEP_STATUS_FAILED, v1::STEP_REASON_REVISION_NOT_REACHED));
  EXPECT_THAT(result.response.message(), HasSubstr(old));
  EXPECT_THAT(result.response.message(), HasSubstr(head));
  ExpectOperations(app, 1);
}

TEST_F(PromotionTest, NothingDesiredIsOneSync) {
  const std::string app = NewApp();
  Replica gantry;
  const auto stream = WatchHealth(gantry);
  const json config = {{"apps", json::array({{{"name", app}}})}};
  EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(config)), v1::STEP_STATUS_SUCCEEDED));
  stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  ExpectOperations(app, 1);
}

TEST_F(PromotionTest, ASelectorUpdatesThoseThatAuthorizeTheStage) {
  const json labelled = {{"metadata", {{"labels", {{"part-of", stage_}}}}}};
  json foreign = labelled;
  foreign["metadata"]["annotations"]["kargo.akuity.io/authorized-stage"] = "other:stage";
  const std::string first = NewApp(labelled);
  const std::string second = NewApp(labelled);
  const std::string third = NewApp(foreign);
  Replica gantry;
  const auto stream = WatchHealth(gantry);
  const json config = {
      {"apps", json::array({{{"selector", {{"matchLabels", {{"part-of", stage_}}}}}}})}};
  const StepResult result = RunToItsEnd(gantry, Request(config));
  EXPECT_TRUE(Is(result, v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(OutcomeOf(result, third).action(), v1::ApplicationOutcome::ACTION_SKIPPED);
  const v1::StageHealth healthy = stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  EXPECT_THAT(healthy.applications(), SizeIs(2));
  ExpectOperations(first, 1);
  ExpectOperations(second, 1);
  ExpectOperations(third, 0);
}

// ---- operations that do not just succeed -------------------------------------------

TEST_F(PromotionTest, AFailingSyncFailsTheStepWithArgoCdsWords) {
  const std::string app = NewApp();
  const std::string commit = backend_->Commit(app, Content::kInvalid);
  Replica gantry;
  const StepResult result = RunToItsEnd(gantry, Request(Updating(app, commit)));
  EXPECT_TRUE(Is(result, v1::STEP_STATUS_FAILED, v1::STEP_REASON_OPERATION_FAILED));
  const json state = AwaitSettled(app).at("status").at("operationState");
  EXPECT_EQ(state.at("phase"), "Failed");
  EXPECT_THAT(result.response.message(), HasSubstr(state.at("message").get<std::string>()));
  EXPECT_EQ(Health(gantry).state(), v1::HEALTH_STATE_UNHEALTHY);
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
  ExpectOperations(app, 0, 1);
}

TEST_F(PromotionTest, RetriesOfArgoCdsOwnAreWaitedFor) {
  const std::string app =
      NewApp({{"spec",
               {{"syncPolicy",
                 {{"retry",
                   {{"limit", 1},
                    {"backoff", {{"duration", "1s"}, {"factor", 1}, {"maxDuration", "1s"}}}}}}}}}});
  const std::string commit = backend_->Commit(app, Content::kInvalid);
  Replica gantry;
  const v1::RunStepRequest request = Request(Updating(app, commit));
  EXPECT_TRUE(
      Is(gantry.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  const StepResult result = RunToItsEnd(gantry, request);
  EXPECT_TRUE(Is(result, v1::STEP_STATUS_FAILED, v1::STEP_REASON_OPERATION_FAILED));
  EXPECT_THAT(result.response.message(), HasSubstr("(retried 1 times)"));
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
}

TEST_F(PromotionTest, ASyncWindowIsWaitedForAndNamed) {
  const std::string app = NewApp();
  backend_->CloseWindow(app);
  const std::string commit = backend_->Commit(app, Content::kGood);
  Replica gantry;
  const v1::RunStepRequest request = Request(Updating(app, commit));
  AwaitMessage(gantry, request, "Sync operation blocked by sync window");
  EXPECT_EQ(Text(Application(app), "/status/operationState/phase"), "Running");
  backend_->OpenWindow(app);
  EXPECT_TRUE(Is(RunToItsEnd(gantry, request), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
}

TEST_F(PromotionTest, AHookThatHangsIsWaitedForUntilItEnds) {
  const std::string app = NewApp();
  const std::string commit = backend_->Commit(app, Content::kWithHook);
  Replica gantry;
  const v1::RunStepRequest request = Request(Updating(app, commit));
  const auto call = gantry.server->StartStep(Held(request), kArgoCdPatience);
  AwaitHook(app);
  EXPECT_TRUE(
      Is(gantry.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  EXPECT_EQ(Health(gantry).state(), v1::HEALTH_STATE_UNKNOWN);
  EndHook(app);
  EXPECT_TRUE(Is(call->Result(), v1::STEP_STATUS_SUCCEEDED));
  ExpectOperations(app, 1);
}

TEST_F(PromotionTest, ABranchThatMovesDuringTheSyncIsReachedWhereItWas) {
  const std::string app = NewApp();
  const std::string commit = backend_->Commit(app, Content::kWithHook);
  Replica gantry;
  const auto call = gantry.server->StartStep(Held(Request(Updating(app, "main"))), kArgoCdPatience);
  AwaitHook(app);
  const std::string head = backend_->Commit(app, Content::kGood);
  EndHook(app);
  EXPECT_TRUE(Is(call->Result(), v1::STEP_STATUS_SUCCEEDED));
  ExpectOperations(app, 1);
  // What the branch has now is another promotion's business: it is not synced, and seen.
  Refresh(app);
  const json application = AwaitApplication(
      app, [&](const json& found) { return Text(found, "/status/sync/revision") == head; });
  EXPECT_EQ(Text(application, "/status/sync/status"), "OutOfSync");
  EXPECT_EQ(application.at("status").at("history").back().at("revision"), commit);
}

TEST_F(PromotionTest, ARepositoryThatMovesOnAfterAPinnedCommitChangesNothing) {
  const std::string app = NewApp();
  const std::string commit = backend_->Commit(app, Content::kGood);
  Replica gantry;
  const auto stream = WatchHealth(gantry);
  const v1::RunStepRequest request = Request(Updating(app, commit));
  EXPECT_TRUE(Is(RunToItsEnd(gantry, request), v1::STEP_STATUS_SUCCEEDED));
  stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  backend_->Commit(app, Content::kGood);
  RefreshAndAwait(app);
  EXPECT_TRUE(Is(gantry.RunStep(request), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(Health(gantry).state(), v1::HEALTH_STATE_HEALTHY);
  ExpectOperations(app, 1);
}

// ---- more than one who asks --------------------------------------------------------

TEST_F(PromotionTest, ANewerPromotionWaitsForTheOperationOfTheOlderAndTheOlderIsAborted) {
  const std::string app = NewApp();
  const std::string first = backend_->Commit(app, Content::kWithHook);
  Replica gantry;
  const v1::RunStepRequest older = Request(Updating(app, first), "p1");
  EXPECT_TRUE(
      Is(gantry.RunStep(older), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  AwaitHook(app);
  const std::string second = backend_->Commit(app, Content::kGood);
  const v1::RunStepRequest newer = Request(Updating(app, second), "p2");
  const auto call = gantry.StartStep(Held(newer));
  AwaitMessage(gantry, newer, "p1");
  EndHook(app);
  EXPECT_TRUE(Is(RunToItsEnd(gantry, newer), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_TRUE(
      Is(gantry.RunStep(older), v1::STEP_STATUS_ABORTED, v1::STEP_REASON_PROMOTION_SUPERSEDED));
  EXPECT_EQ(Application(app).at("status").at("history").back().at("revision"), second);
  ExpectOperations(app, 2);
}

TEST_F(PromotionTest, OfTwoPromotionsThatRaceTheOneOnRecordIsDeployed) {
  const std::string app = NewApp();
  const std::map<std::string, std::string> commits = {
      {"p1", backend_->Commit(app, Content::kGood)}, {"p2", backend_->Commit(app, Content::kGood)}};
  Replica one;
  Replica two;
  const auto first =
      one.server->StartStep(Held(Request(Updating(app, commits.at("p1")), "p1")), kArgoCdPatience);
  const auto second =
      two.server->StartStep(Held(Request(Updating(app, commits.at("p2")), "p2")), kArgoCdPatience);
  const std::map<std::string, StepResult> results = {{"p1", first->Result()},
                                                     {"p2", second->Result()}};
  const std::string winner = Text(Record(), "/spec/promotion/name");
  ASSERT_TRUE(commits.contains(winner)) << Record().dump(2);
  const std::string loser = winner == "p1" ? "p2" : "p1";
  EXPECT_TRUE(Is(results.at(winner), v1::STEP_STATUS_SUCCEEDED));
  // It came first and was through, or it is superseded.
  EXPECT_THAT(results.at(loser).response.status(),
              AnyOf(v1::STEP_STATUS_SUCCEEDED, v1::STEP_STATUS_ABORTED));
  EXPECT_EQ(Application(app).at("status").at("history").back().at("revision"), commits.at(winner));
  EXPECT_LE(one.OperationsWritten(app).size() + two.OperationsWritten(app).size(), 2u);
}

TEST_F(PromotionTest, TheSameStepThroughTwoReplicasIsOneOperation) {
  const std::string app = NewApp();
  const std::string commit = backend_->Commit(app, Content::kGood);
  Replica one;
  Replica two;
  const v1::RunStepRequest request = Held(Request(Updating(app, commit)));
  const auto first = one.server->StartStep(request, kArgoCdPatience);
  const auto second = two.server->StartStep(request, kArgoCdPatience);
  EXPECT_TRUE(Is(first->Result(), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_TRUE(Is(second->Result(), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(one.OperationsWritten(app).size() + two.OperationsWritten(app).size(), 1u);
  ExpectOperations(app, 1);
}

// ---- a controller that is not there ------------------------------------------------

TEST_F(PromotionTest, AControllerThatStandsStillIsWaitedFor) {
  const std::string app = NewApp();
  const std::string commit = backend_->Commit(app, Content::kGood);
  Replica gantry;
  backend_->Pause();
  const v1::RunStepRequest request = Request(Updating(app, commit));
  EXPECT_TRUE(
      Is(gantry.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  EXPECT_TRUE(HasOperation(Application(app), "p1", 1));
  backend_->Resume();
  EXPECT_TRUE(Is(RunToItsEnd(gantry, request), v1::STEP_STATUS_SUCCEEDED));
  ExpectOperations(app, 1);
}

TEST_F(PromotionTest, AControllerKilledInTheMiddleOfAnOperationTakesItUpAgain) {
  const std::string app = NewApp();
  const std::string commit = backend_->Commit(app, Content::kWithHook);
  Replica gantry;
  const auto call = gantry.server->StartStep(Held(Request(Updating(app, commit))), kArgoCdPatience);
  AwaitHook(app);
  backend_->Kill();
  backend_->Start();
  // A controller that comes back looks at an operation when something happens to the Application.
  Refresh(app);
  EndHook(app);
  EXPECT_TRUE(Is(call->Result(), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
  ExpectOperations(app, 1);
}

// ---- deletion ----------------------------------------------------------------------

TEST_F(PromotionTest, AnApplicationDeletedMidWayIsNotFound) {
  const std::string app = NewApp();
  const std::string commit = backend_->Commit(app, Content::kWithHook);
  Replica gantry;
  const v1::RunStepRequest request = Request(Updating(app, commit));
  const auto call = gantry.server->StartStep(Held(request), kArgoCdPatience);
  AwaitHook(app);
  api_.Delete(ApplicationPath(app));
  EXPECT_TRUE(Is(call->Result(), v1::STEP_STATUS_ERRORED, v1::STEP_REASON_APPLICATION_NOT_FOUND));
}

TEST_F(PromotionTest, AnApplicationThatIsBeingDeletedIsNotSynced) {
  const std::string app = NewApp({{"metadata", {{"finalizers", {"test.gantry.dev/keep"}}}}});
  const std::string commit = backend_->Commit(app, Content::kWithHook);
  Replica gantry;
  const v1::RunStepRequest request = Request(Updating(app, commit));
  const auto call = gantry.server->StartStep(Held(request), kArgoCdPatience);
  AwaitHook(app);
  api_.Delete(ApplicationPath(app));
  EXPECT_TRUE(Is(call->Result(), v1::STEP_STATUS_ERRORED, v1::STEP_REASON_APPLICATION_DELETING));
  api_.MergePatch(ApplicationPath(app), {{"metadata", {{"finalizers", nullptr}}}});
}

}  // namespace
}  // namespace gantry::integration
