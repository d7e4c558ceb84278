// SPDX-License-Identifier: Apache-2.0
//
// The process: how it begins and how it ends.
#include "tests/integration/integration_test.h"

namespace gantry::integration {
namespace {

using nlohmann::json;

class ProcessTest : public IntegrationTest {};

TEST_F(ProcessTest, AfterSigtermACallThatIsInProgressIsFinished) {
  const std::string app = CreateApplication();
  Replica gantry;
  const auto hold = gantry.proxy.HoldBefore(WriteOf(app));
  const auto call = gantry.StartStep(Request(UpdateTo(app)));
  hold->AwaitHeld();

  gantry.server->BeginTermination();
  hold->Release();

  EXPECT_TRUE(Is(call->Result(), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  gantry.server->Terminate();
  EXPECT_TRUE(HasOperation(Application(app), "p1", 1));
  // The Event that was still to be written was not dropped.
  EXPECT_EQ(Events(gantry, app, 1).size(), 1u);
}

TEST_F(ProcessTest, AfterTheDrainTimeoutACallIsCancelled) {
  const std::string app = CreateApplication();
  const json before = Application(app);
  Replica gantry({"--drain-timeout=100ms"});
  const auto hold = gantry.proxy.HoldBefore(WriteOf(app));
  const auto call = gantry.StartStep(Request(UpdateTo(app)));
  hold->AwaitHeld();
  gantry.server->Terminate();
  EXPECT_FALSE(call->Result().status.ok());
  EXPECT_EQ(Application(app), before);
}

TEST_F(ProcessTest, AnIdleServerEndsWell) {
  Replica gantry;
  gantry.server->Terminate();
}

TEST_F(ProcessTest, AStepGoesOnUnderANewServer) {
  const std::string app = CreateApplication();
  const v1::RunStepRequest request = Request(UpdateTo(app));
  Replica first;
  EXPECT_TRUE(
      Is(first.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  first.server->Terminate();
  ArgoCd(api_, app).Work();
  Replica second;
  EXPECT_TRUE(Is(second.RunStep(request), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(second.ApplicationWritesTried(), 0u);
  EXPECT_EQ(Record().at("spec").at("promotion").at("phase"), "Succeeded");
}

TEST_F(ProcessTest, AClientCertificateServesAsWellAsAToken) {
  const std::string app = CreateApplication();
  GantryServer gantry(ControlPlaneFile("gantry-cert.kubeconfig"));
  EXPECT_TRUE(Is(gantry.RunStep(Request(UpdateTo(app))), v1::STEP_STATUS_RUNNING,
                 v1::STEP_REASON_OPERATION_RUNNING));
  EXPECT_TRUE(HasOperation(Application(app), "p1", 1));
}

}  // namespace
}  // namespace gantry::integration
