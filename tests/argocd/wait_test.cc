// SPDX-License-Identifier: Apache-2.0
//
// argocd-wait and the health of Stages, beside the real Argo CD and the stand-in.
#include <gmock/gmock.h>

#include "tests/argocd/argocd_test.h"

namespace gantry::integration {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class WaitTest : public ArgoCdTest {
 protected:
  // An Application that is deployed, Synced and Healthy.
  std::string Deployed(Replica& gantry) {
    const std::string app = NewApp();
    EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(Updating(app, "main"))), v1::STEP_STATUS_SUCCEEDED));
    AwaitApplication(app, [](const json& application) {
      return Text(application, "/status/sync/status") == "Synced" &&
             Text(application, "/status/health/status") == "Healthy";
    });
    return app;
  }

  void SetHealth(const std::string& app, const std::string& health) {
    backend_->SetHealth(app, health, "the test says so");
    AwaitApplication(app, [&](const json& application) {
      return Text(application, "/status/health/status") == health;
    });
  }

  // Whatever is waited for of `app`, the step is not ready; then `change` happens, and it is.
  void ExpectReadyAfter(Replica& gantry, const std::string& app, const json& wait_for,
                        const std::function<void()>& change) {
    const v1::RunStepRequest request = WaitRequest(app, wait_for);
    EXPECT_TRUE(Is(gantry.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_NOT_READY));
    const auto call = gantry.server->StartStep(Held(request), kArgoCdPatience);
    change();
    EXPECT_TRUE(Is(call->Result(), v1::STEP_STATUS_SUCCEEDED));
  }
};

TEST_F(WaitTest, ForEverythingRightAfterAnUpdate) {
  const std::string app = NewApp();
  Replica gantry;
  EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(Updating(app, "main"))), v1::STEP_STATUS_SUCCEEDED));
  const StepResult result = RunToItsEnd(gantry, WaitRequest(app));
  EXPECT_TRUE(Is(result, v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(OutputOf(result).at("healthStatus").at("argocd/" + app), "Healthy");
  const json application = Application(app);
  EXPECT_EQ(Text(application, "/status/sync/status"), "Synced");
  EXPECT_EQ(Text(application, "/status/health/status"), "Healthy");
}

TEST_F(WaitTest, ForAnOperation) {
  Replica gantry;
  const std::string app = NewApp();
  const std::string commit = backend_->Commit(app, Content::kWithHook);
  EXPECT_TRUE(Is(gantry.RunStep(Request(Updating(app, commit))), v1::STEP_STATUS_RUNNING,
                 v1::STEP_REASON_OPERATION_RUNNING));
  AwaitHook(app);
  ExpectReadyAfter(gantry, app, {"operation"}, [&] { EndHook(app); });
}

TEST_F(WaitTest, ForHealth) {
  Replica gantry;
  const std::string app = Deployed(gantry);
  SetHealth(app, "Progressing");
  ExpectReadyAfter(gantry, app, {"health"}, [&] { SetHealth(app, "Healthy"); });
}

TEST_F(WaitTest, ForTheEndOfASuspension) {
  Replica gantry;
  const std::string app = Deployed(gantry);
  SetHealth(app, "Suspended");
  ExpectReadyAfter(gantry, app, {"health"}, [&] { SetHealth(app, "Healthy"); });
}

TEST_F(WaitTest, ForASuspension) {
  Replica gantry;
  const std::string app = Deployed(gantry);
  ExpectReadyAfter(gantry, app, {"suspended"}, [&] { SetHealth(app, "Suspended"); });
}

TEST_F(WaitTest, ForDegradation) {
  Replica gantry;
  const std::string app = Deployed(gantry);
  ExpectReadyAfter(gantry, app, {"degraded"}, [&] { SetHealth(app, "Degraded"); });
}

TEST_F(WaitTest, ForSync) {
  Replica gantry;
  const std::string app = Deployed(gantry);
  backend_->Commit(app, Content::kGood);
  Refresh(app);
  AwaitApplication(app, [](const json& application) {
    return Text(application, "/status/sync/status") == "OutOfSync";
  });
  ExpectReadyAfter(gantry, app, {"sync"}, [&] {
    Operate(app, {{"initiatedBy", {{"username", "admin"}}}, {"sync", json::object()}});
  });
}

TEST_F(WaitTest, HealthThatTurnsDegradedFailsTheStep) {
  Replica gantry;
  const std::string app = Deployed(gantry);
  SetHealth(app, "Progressing");
  v1::RunStepRequest request = WaitRequest(app, {"health"});
  const StepResult before = gantry.RunStep(request);
  EXPECT_TRUE(Is(before, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_NOT_READY));
  *request.mutable_previous_output() = before.response.output();
  const auto call = gantry.server->StartStep(Held(request), kArgoCdPatience);
  SetHealth(app, "Degraded");
  EXPECT_TRUE(Is(call->Result(), v1::STEP_STATUS_FAILED, v1::STEP_REASON_HEALTH_REGRESSED));
}

// ---- the health of Stages ----------------------------------------------------------

TEST_F(WaitTest, TheStageIsWhatItsApplicationIs) {
  Replica gantry;
  const auto stream = WatchHealth(gantry);
  const std::string app = Deployed(gantry);
  stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  // What follows is seen at once when a comparison is clearly later than the operation.
  RefreshAndAwait(app);

  const std::pair<const char*, v1::HealthState> states[] = {
      {"Degraded", v1::HEALTH_STATE_UNHEALTHY}, {"Progressing", v1::HEALTH_STATE_PROGRESSING},
      {"Healthy", v1::HEALTH_STATE_HEALTHY},    {"Suspended", v1::HEALTH_STATE_PROGRESSING},
      {"Missing", v1::HEALTH_STATE_UNHEALTHY},
  };
  for (const auto& [health, state] : states) {
    backend_->SetHealth(app, health, "the test says so");
    const v1::StageHealth seen = stream->AwaitState(state);
    if (state == v1::HEALTH_STATE_HEALTHY) continue;
    ASSERT_THAT(seen.issues(), SizeIs(1)) << health;
    EXPECT_THAT(seen.issues(0), HasSubstr(health));
    EXPECT_THAT(seen.issues(0), HasSubstr(app));
  }
}

TEST_F(WaitTest, AReplicaThatCameLaterSaysTheSame) {
  Replica gantry;
  const std::string app = Deployed(gantry);
  const auto stream = WatchHealth(gantry);
  stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  SetHealth(app, "Degraded");
  Replica later;
  WatchHealth(later)->AwaitState(v1::HEALTH_STATE_UNHEALTHY);
  stream->AwaitState(v1::HEALTH_STATE_UNHEALTHY);
}

}  // namespace
}  // namespace gantry::integration
