// SPDX-License-Identifier: Apache-2.0
//
// The health of Stages, as dashboards see it, and waiting for Applications.
#include <chrono>
#include <regex>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/integration/integration_test.h"

namespace gantry::integration {
namespace {

using nlohmann::json;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

v1::StageHealth Health(const v1::WatchStageHealthResponse& event) { return event.updated(); }

class HealthTest : public IntegrationTest {
 protected:
  // Argo CD compares the Application with its sources, and finds them as they are.
  void Reconcile(const std::string& app, const std::string& health = "Healthy",
                 const std::string& sync = "Synced", const std::string& revision = kNewRevision) {
    json source = Application(app).at("spec").at("source");
    source["targetRevision"] = revision;
    api_.MergePatch(
        ApplicationPath(app),
        {{"metadata", {{"annotations", {{"argocd.argoproj.io/refresh", nullptr}}}}},
         {"status",
          {{"reconciledAt", SecondsAgo(-60)},
           {"health", {{"status", health}}},
           {"sync",
            {{"status", sync}, {"revision", revision}, {"comparedTo", {{"source", source}}}}}}}});
  }

  void Promote(Replica& gantry, const std::string& app, const std::string& promotion = "p1") {
    const v1::RunStepRequest request = Request(UpdateTo(app), promotion);
    ASSERT_TRUE(
        Is(gantry.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
    ArgoCd(api_, app).Work();
    ASSERT_TRUE(Is(gantry.RunStep(request), v1::STEP_STATUS_SUCCEEDED));
  }

  v1::GetStageHealthResponse Get(Replica& gantry) {
    v1::GetStageHealthRequest request;
    request.set_project(kProject);
    request.set_stage(stage_);
    v1::GetStageHealthResponse response;
    const grpc::Status status = gantry.server->GetStageHealth(request, response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  // Once all caches are filled: before, streams are refused.
  std::unique_ptr<HealthStream> Watch(Replica& gantry) {
    AwaitReady(gantry);
    return gantry.server->Watch(kProject, stage_);
  }

  void AwaitReady(Replica& gantry) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    v1::ListStageHealthRequest request;
    while (std::chrono::steady_clock::now() < deadline) {
      grpc::ClientContext context;
      v1::ListStageHealthResponse response;
      if (gantry.server->stub().ListStageHealth(&context, request, &response).ok()) return;
    }
    GiveUp("the server's caches are not filled");
  }

  void Indicate(Replica& gantry, v1::HealthState state, std::optional<int> ttl_seconds = {}) {
    v1::ReportIndicatorRequest request;
    request.set_project(kProject);
    request.set_stage(stage_);
    request.set_name("smoke");
    request.set_state(state);
    request.set_message("3 of 40 tests failed");
    if (ttl_seconds) request.mutable_ttl()->set_seconds(*ttl_seconds);
    grpc::ClientContext context;
    v1::ReportIndicatorResponse response;
    const grpc::Status status = gantry.server->stub().ReportIndicator(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }

  void Report(Replica& gantry, const std::string& promotion, v1::PromotionPhase phase) {
    v1::ReportPromotionRequest request;
    request.set_project(kProject);
    request.set_stage(stage_);
    request.set_promotion(promotion);
    request.set_phase(phase);
    request.set_message("as the orchestrator says");
    grpc::ClientContext context;
    v1::ReportPromotionResponse response;
    const grpc::Status status = gantry.server->stub().ReportPromotion(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }

  json StatusOfRecord() { return Record().value("status", json::object()); }
};

TEST_F(HealthTest, AStageIsUnknownDuringAPromotionAndHealthyAfterIt) {
  const std::string app = CreateApplication();
  Replica gantry;
  const auto stream = Watch(gantry);
  stream->Await([](const auto& event) { return event.has_synced(); });

  const v1::RunStepRequest request = Request(UpdateTo(app));
  EXPECT_TRUE(
      Is(gantry.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  const v1::StageHealth during = stream->AwaitState(v1::HEALTH_STATE_UNKNOWN);
  EXPECT_THAT(during.issues(0), HasSubstr("while promotion p1 is in progress"));
  EXPECT_EQ(during.promotion().phase(), v1::PROMOTION_PHASE_RUNNING);

  ArgoCd(api_, app).Work();
  EXPECT_TRUE(Is(gantry.RunStep(request), v1::STEP_STATUS_SUCCEEDED));
  // Argo CD has deployed, and not looked at what came of it yet.
  const v1::StageHealth deployed = Health(stream->Await([](const auto& event) {
    return event.updated().promotion().phase() == v1::PROMOTION_PHASE_SUCCEEDED;
  }));
  EXPECT_EQ(deployed.state(), v1::HEALTH_STATE_UNKNOWN);
  ASSERT_THAT(deployed.applications(), SizeIs(1));
  EXPECT_THAT(deployed.applications(0).issues(0), HasSubstr("reconcile"));
  Reconcile(app);
  const v1::StageHealth healthy = stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  EXPECT_THAT(healthy.issues(), IsEmpty());
  EXPECT_THAT(healthy.applications(0).observed_revisions(), ElementsAre(kNewRevision));

  const v1::GetStageHealthResponse answer = Get(gantry);
  EXPECT_EQ(answer.health().state(), v1::HEALTH_STATE_HEALTHY);
  EXPECT_FALSE(answer.stale());
  EXPECT_TRUE(answer.has_observed_time());
}

TEST_F(HealthTest, TheHealthFollowsTheApplication) {
  const std::string app = CreateApplication();
  Replica gantry;
  Promote(gantry, app);
  Reconcile(app);
  const auto stream = Watch(gantry);
  stream->AwaitState(v1::HEALTH_STATE_HEALTHY);

  Reconcile(app, "Degraded");
  EXPECT_THAT(stream->AwaitState(v1::HEALTH_STATE_UNHEALTHY).issues(0), HasSubstr("Degraded"));
  Reconcile(app, "Progressing");
  stream->AwaitState(v1::HEALTH_STATE_PROGRESSING);
  Reconcile(app, "Healthy", "OutOfSync", kOtherRevision);
  EXPECT_THAT(stream->AwaitState(v1::HEALTH_STATE_UNHEALTHY).issues(0), HasSubstr(kNewRevision));

  json object = Application(app);
  api_.Delete(ApplicationPath(app));
  EXPECT_THAT(stream->AwaitState(v1::HEALTH_STATE_UNKNOWN).issues(0), HasSubstr("unable to find"));
  for (const char* field :
       {"resourceVersion", "uid", "creationTimestamp", "generation", "managedFields", "selfLink"}) {
    object["metadata"].erase(field);
  }
  api_.Create(ApplicationsPath(), object);
  Reconcile(app);
  stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
}

TEST_F(HealthTest, AStageThatIsDeletedIsForgotten) {
  const std::string app = CreateApplication();
  Replica gantry;
  Promote(gantry, app);
  const auto stream = Watch(gantry);
  stream->Await([](const auto& event) { return event.has_synced(); });
  api_.Delete(StageHealthPath(record_name()));
  const auto event = stream->Await([](const auto& next) { return next.has_deleted(); });
  EXPECT_EQ(event.deleted().stage(), stage_);

  v1::GetStageHealthRequest request;
  request.set_project(kProject);
  request.set_stage(stage_);
  v1::GetStageHealthResponse response;
  EXPECT_EQ(gantry.server->GetStageHealth(request, response).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(gantry.server->Admin("/metrics").second, Not(HasSubstr(stage_)));
}

TEST_F(HealthTest, AnIndicatorCountsUntilItExpires) {
  Replica gantry;
  const auto stream = Watch(gantry);
  Indicate(gantry, v1::HEALTH_STATE_UNHEALTHY);
  EXPECT_THAT(stream->AwaitState(v1::HEALTH_STATE_UNHEALTHY).issues(0),
              HasSubstr("3 of 40 tests failed"));
  Indicate(gantry, v1::HEALTH_STATE_HEALTHY, 1);
  stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  // Nobody asks: it comes by itself.
  EXPECT_THAT(stream->AwaitState(v1::HEALTH_STATE_UNKNOWN).issues(0), HasSubstr("expired"));
  Indicate(gantry, v1::HEALTH_STATE_UNSPECIFIED);
  stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
}

TEST_F(HealthTest, AReportOverridesWhatFollowsFromTheSteps) {
  const std::string app = CreateApplication();
  Replica gantry;
  const auto stream = Watch(gantry);
  Report(gantry, "p1", v1::PROMOTION_PHASE_RUNNING);
  stream->AwaitState(v1::HEALTH_STATE_UNKNOWN);
  Promote(gantry, app);
  Reconcile(app);
  // Its only step has succeeded, but the orchestrator has not said that it is all.
  EXPECT_EQ(Record().at("spec").at("promotion").at("phase"), "Running");
  Report(gantry, "p1", v1::PROMOTION_PHASE_FAILED);
  EXPECT_THAT(stream->AwaitState(v1::HEALTH_STATE_UNHEALTHY).issues(0),
              HasSubstr("as the orchestrator says"));
  Report(gantry, "p1", v1::PROMOTION_PHASE_SUCCEEDED);
  stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
}

TEST_F(HealthTest, OldEvidenceIsNotVouchedForAndHealsByItself) {
  const std::string app = CreateApplication();
  Replica gantry({"--staleness-limit=2s"});
  Promote(gantry, app);
  Reconcile(app);
  const auto stream = Watch(gantry);
  stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  EXPECT_EQ(gantry.server->Admin("/readyz").first, 200);

  gantry.proxy.DropBefore({.method = "GET", .target = "/applications\\?", .count = kAlways});
  gantry.proxy.CutConnections();
  const v1::StageHealth old = stream->AwaitState(v1::HEALTH_STATE_UNKNOWN);
  EXPECT_TRUE(std::regex_search(old.issues(0), std::regex("since [0-9T:Z.-]+"))) << old.issues(0);
  const v1::GetStageHealthResponse answer = Get(gantry);
  EXPECT_TRUE(answer.stale());
  EXPECT_EQ(answer.health().state(), v1::HEALTH_STATE_UNKNOWN);
  const auto [status, why] = gantry.server->Admin("/readyz?verbose");
  EXPECT_EQ(status, 503);
  EXPECT_THAT(why, HasSubstr("[-]caches-fresh failed: nothing was heard of applications"));
  EXPECT_EQ(gantry.server->Admin("/livez").first, 200);
  // Not stored: an outage is no news about the Stage.
  EXPECT_NE(StatusOfRecord().value("state", ""), "Unknown");

  // It got worse meanwhile, and was never seen healthy again.
  Reconcile(app, "Degraded");
  gantry.proxy.ClearRules();
  stream->Await(
      [](const auto& event) { return event.updated().state() == v1::HEALTH_STATE_UNHEALTHY; },
      [](const auto& event) { EXPECT_NE(event.updated().state(), v1::HEALTH_STATE_HEALTHY); });
  EXPECT_FALSE(Get(gantry).stale());
  EXPECT_EQ(gantry.server->Admin("/readyz").first, 200);
}

TEST_F(HealthTest, AKilledServerLosesNoCheckAndTwoReplicasAgree) {
  const std::string app = CreateApplication();
  const std::string other = CreateApplication();
  Replica first;
  Promote(first, app);
  ASSERT_TRUE(Is(first.RunStep(Request(UpdateTo(other), "p1", "second")), v1::STEP_STATUS_RUNNING,
                 v1::STEP_REASON_OPERATION_RUNNING));
  ArgoCd(api_, other).Work();
  ASSERT_TRUE(
      Is(first.RunStep(Request(UpdateTo(other), "p1", "second")), v1::STEP_STATUS_SUCCEEDED));
  first.server->Kill9();
  Reconcile(app);
  Reconcile(other, "Degraded");

  Replica second;
  Replica third;
  const auto of_second = Watch(second);
  const auto of_third = Watch(third);
  of_second->AwaitState(v1::HEALTH_STATE_UNHEALTHY);
  of_third->AwaitState(v1::HEALTH_STATE_UNHEALTHY);
  v1::StageHealth one = Get(second).health();
  v1::StageHealth two = Get(third).health();
  EXPECT_THAT(one.applications(), SizeIs(2));
  // When the state was stored may be on its way.
  one.clear_transition_time();
  two.clear_transition_time();
  EXPECT_EQ(one.DebugString(), two.DebugString());
}

TEST_F(HealthTest, TheLeaderStoresTheStatusAndAnotherTakesOver) {
  const std::string app = CreateApplication();
  auto first = std::make_unique<Replica>();
  Replica second;
  Promote(*first, app);
  Reconcile(app);
  const auto stream = Watch(second);
  const auto stored = [](const std::string& state) {
    return [state](const v1::WatchStageHealthResponse& event) {
      return v1::HealthState_Name(event.updated().state()) == state &&
             event.updated().has_transition_time();
    };
  };
  const v1::StageHealth healthy = Health(stream->Await(stored("HEALTH_STATE_HEALTHY")));
  // What is said is what is stored.
  const json status = StatusOfRecord();
  EXPECT_EQ(status.at("state"), "Healthy");
  EXPECT_EQ(status.at("applications").at(0).at("name"), app);
  const RequestPattern writes = {.method = "PATCH", .target = stage_ + "/status"};
  const auto count = [&] {
    return first->proxy.Exchanges(writes).size() + second.proxy.Exchanges(writes).size();
  };
  EXPECT_GT(count(), 0u);
  EXPECT_TRUE(first->proxy.Exchanges(writes).empty() || second.proxy.Exchanges(writes).empty());

  // Whoever does not lead takes over when the other is gone.
  first.reset();
  Reconcile(app, "Degraded");
  const v1::StageHealth degraded =
      Health(stream->Await([&](const v1::WatchStageHealthResponse& event) {
        return stored("HEALTH_STATE_UNHEALTHY")(event) &&
               event.updated().transition_time().seconds() != healthy.transition_time().seconds();
      }));
  EXPECT_EQ(StatusOfRecord().at("state"), "Unhealthy");
}

TEST_F(HealthTest, ArgoCdIsAskedForARefreshWhereItDoesNotComeByItself) {
  const std::string app = CreateApplication();
  Replica gantry;
  const v1::RunStepRequest request = Request(UpdateTo(app));
  ASSERT_TRUE(
      Is(gantry.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  ArgoCd(api_, app).Work({.finished_at = SecondsAgo(60)});
  ASSERT_TRUE(Is(gantry.RunStep(request), v1::STEP_STATUS_SUCCEEDED));
  gantry.proxy.AwaitAnswers(WriteOf(app), 2);
  EXPECT_EQ(Application(app).at("metadata").at("annotations").at("argocd.argoproj.io/refresh"),
            "normal");
}

TEST_F(HealthTest, ARunningPollCostsNoKubernetesCall) {
  const std::string app = CreateApplication();
  Replica gantry;
  const v1::RunStepRequest request = Request(UpdateTo(app));
  const auto stream = Watch(gantry);
  ASSERT_TRUE(
      Is(gantry.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  stream->AwaitState(v1::HEALTH_STATE_UNKNOWN);
  ArgoCd(api_, app).TakeUp("waiting for healthy state of apps/Deployment/web");
  gantry.AwaitSeen(request);
  const std::size_t before = gantry.StepRequests().size();
  for (int i = 0; i < 10; ++i) {
    const StepResult result = gantry.server->RunStep(request);
    EXPECT_TRUE(Is(result, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
    EXPECT_THAT(result.response.message(), HasSubstr("waiting for healthy state"));
  }
  // The Event of the write may still come.
  EXPECT_LE(gantry.StepRequests().size(), before + 1);
}

TEST_F(HealthTest, ACallThatWaitsEndsWithTheOperation) {
  const std::string app = CreateApplication();
  Replica gantry;
  v1::RunStepRequest request = Request(UpdateTo(app));
  request.mutable_wait()->set_seconds(60);
  const auto stream = Watch(gantry);
  const auto call = gantry.server->StartStep(request, std::chrono::seconds(90));
  stream->AwaitState(v1::HEALTH_STATE_UNKNOWN);
  gantry.proxy.AwaitAnswers(WriteOf(app), 1);
  ArgoCd(api_, app).Work();
  EXPECT_TRUE(Is(call->Result(), v1::STEP_STATUS_SUCCEEDED));
}

TEST_F(HealthTest, ACallThatWaitsHearsOfANewerPromotion) {
  const std::string app = CreateApplication();
  const std::string other = CreateApplication();
  Replica gantry;
  v1::RunStepRequest request = Request(UpdateTo(app), "p1");
  request.mutable_wait()->set_seconds(60);
  const auto call = gantry.server->StartStep(request, std::chrono::seconds(90));
  gantry.proxy.AwaitAnswers(WriteOf(app), 1);
  ASSERT_TRUE(Is(gantry.RunStep(Request(UpdateTo(other), "p2")), v1::STEP_STATUS_RUNNING,
                 v1::STEP_REASON_OPERATION_RUNNING));
  EXPECT_TRUE(Is(call->Result(), v1::STEP_STATUS_ABORTED, v1::STEP_REASON_PROMOTION_SUPERSEDED));
}

// ---- argocd-wait -------------------------------------------------------------------

class WaitTest : public HealthTest {
 protected:
  v1::RunStepRequest WaitRequest(const std::string& app, const std::string& step = "wait") {
    v1::RunStepRequest request = Request({{"apps", json::array({{{"name", app}}})}}, "p1", step);
    request.set_uses("argocd-wait");
    return request;
  }
};

TEST_F(WaitTest, SucceedsOnceTheApplicationIsReady) {
  const std::string app = CreateApplication({{"metadata", {{"annotations", nullptr}}}});
  Replica gantry;
  Reconcile(app, "Progressing");
  EXPECT_TRUE(
      Is(gantry.RunStep(WaitRequest(app)), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_NOT_READY));
  v1::RunStepRequest request = WaitRequest(app);
  request.mutable_wait()->set_seconds(60);
  const auto call = gantry.server->StartStep(request, std::chrono::seconds(90));
  Reconcile(app, "Healthy");
  EXPECT_TRUE(Is(call->Result(), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(OutputOf(call->Result()).at("healthStatus").at("argocd/" + app), "Healthy");
  EXPECT_FALSE(call->Result().response.has_health_check());
  EXPECT_EQ(gantry.ApplicationWritesTried(), 0u);
}

TEST_F(WaitTest, FailsWhenTheHealthGetsWorseWhileItWaits) {
  const std::string app = CreateApplication();
  Replica gantry;
  Reconcile(app, "Progressing");
  v1::RunStepRequest request = WaitRequest(app);
  request.mutable_wait()->set_seconds(60);
  const auto call = gantry.server->StartStep(request, std::chrono::seconds(90));
  // Its first look is recorded, and it waits.
  gantry.proxy.AwaitAnswers(CreationOfRecord(), 1);
  Reconcile(app, "Degraded");
  EXPECT_TRUE(Is(call->Result(), v1::STEP_STATUS_FAILED, v1::STEP_REASON_HEALTH_REGRESSED));
}

TEST_F(WaitTest, DoesNotTakeTheCurrentPromotionsPlace) {
  const std::string app = CreateApplication();
  Replica gantry;
  Promote(gantry, app, "p2");
  const json before = Record().at("spec");
  Reconcile(app, "Progressing");
  EXPECT_TRUE(
      Is(gantry.RunStep(WaitRequest(app)), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_NOT_READY));
  EXPECT_EQ(Record().at("spec"), before);
}

TEST_F(WaitTest, AsksForARefreshOfAnApplicationThatAuthorizesTheStage) {
  const std::string app = CreateApplication();
  Replica gantry;
  api_.MergePatch(ApplicationPath(app), {{"status",
                                          {{"operationState",
                                            {{"phase", "Succeeded"},
                                             {"operation", {{"sync", json::object()}}},
                                             {"startedAt", SecondsAgo(kHour)},
                                             {"finishedAt", SecondsAgo(kHour)}}}}}});
  EXPECT_TRUE(
      Is(gantry.RunStep(WaitRequest(app)), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_NOT_READY));
  EXPECT_EQ(Application(app).at("metadata").at("annotations").at("argocd.argoproj.io/refresh"),
            "normal");
}

TEST_F(WaitTest, TheStepKindsAreListedWithTheirSchemas) {
  Replica gantry;
  grpc::ClientContext context;
  v1::ListStepKindsResponse response;
  ASSERT_TRUE(gantry.server->stub().ListStepKinds(&context, {}, &response).ok());
  ASSERT_THAT(response.kinds(), SizeIs(2));
  EXPECT_EQ(response.kinds(0).uses(), "argocd-update");
  EXPECT_EQ(response.kinds(1).uses(), "argocd-wait");
  for (const v1::StepKind& kind : response.kinds()) {
    EXPECT_EQ(kind.config_schema().fields().at("type").string_value(), "object");
    EXPECT_EQ(kind.default_timeout().seconds(), 300);
  }
}

}  // namespace
}  // namespace gantry::integration
