// SPDX-License-Identifier: Apache-2.0
#include "gantry/client/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "gantry/client/client.h"
#include "gantry/client/errors.h"
#include "tests/client/answers.h"
#include "tests/client/fake_timing.h"
#include "tests/client/scripted_service.h"
#include "tests/client/unused_port.h"

// The client over real gRPC.
namespace gantry::client {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

constexpr absl::Duration kAmple = absl::Seconds(60);

TEST(ConnectionTest, AStepIsFollowedToItsEnd) {
  ScriptedService service({Running(absl::Seconds(2)), Running(absl::Seconds(3)),
                           Answer(v1::STEP_STATUS_SUCCEEDED, "done")});
  FakeTiming timing;
  RunStepOptions options;
  options.timing = &timing;
  v1::RunStepRequest request;
  request.set_project("demo");

  const RunStepResult result =
      Client(Connect(service.address())).RunStepUntilDone(request, options);

  EXPECT_EQ(result.ending, Ending::kVerdict);
  EXPECT_EQ(result.response->message(), "done");
  EXPECT_THAT(timing.sleeps, ElementsAre(absl::Seconds(2), absl::Seconds(3)));
  ASSERT_EQ(service.requests().size(), 3u);
  EXPECT_EQ(service.requests()[0].project(), "demo");
  EXPECT_EQ(service.requests()[1].wait().seconds(), 5);
}

TEST(ConnectionTest, RetryInfoCrossesTheWire) {
  ScriptedService service({GrpcError(grpc::StatusCode::UNAVAILABLE, "caches are being filled",
                                     {"CACHES_NOT_FILLED", absl::Milliseconds(7500), {}}),
                           Answer(v1::STEP_STATUS_SUCCEEDED)});
  FakeTiming timing;
  RunStepOptions options;
  options.timing = &timing;
  EXPECT_EQ(Client(Connect(service.address())).RunStepUntilDone({}, options).ending,
            Ending::kVerdict);
  EXPECT_THAT(timing.sleeps, ElementsAre(absl::Milliseconds(7500)));
}

TEST(ConnectionTest, DetailsCrossTheWire) {
  ScriptedService service({GrpcError(grpc::StatusCode::INVALID_ARGUMENT, "the stage is malformed",
                                     {"INVALID_REQUEST", std::nullopt, {{"stage", "too long"}}})});
  const absl::Status error = Connect(service.address())->RunStep({}, kAmple).status();
  EXPECT_EQ(error.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(error.message(), "the stage is malformed");
  ASSERT_TRUE(ErrorInfoOf(error));
  EXPECT_EQ(ErrorInfoOf(error)->reason(), "INVALID_REQUEST");
  ASSERT_TRUE(BadRequestOf(error));
  EXPECT_EQ(BadRequestOf(error)->field_violations(0).field(), "stage");
}

TEST(ConnectionTest, ARefusedConnectionIsNoAnswer) {
  const UnusedPort port;
  ASSERT_TRUE(port.ok());
  const absl::Status error = Connect(port.address())->RunStep({}, kAmple).status();
  EXPECT_TRUE(absl::IsUnavailable(error)) << error;
  EXPECT_FALSE(ServiceAnswered(error));
}

TEST(ConnectionTest, AnUnknownHostIsNoAnswer) {
  // Where no name server answers it is the deadline that ends the call.
  const absl::Status error =
      Connect("gantry.invalid:50051")->RunStep({}, absl::Seconds(5)).status();
  EXPECT_FALSE(error.ok());
  EXPECT_FALSE(ServiceAnswered(error));
}

TEST(ConnectionTest, ASilentPeerIsNoAnswer) {
  const UnusedPort port(/*listening=*/true);
  ASSERT_TRUE(port.ok());
  const absl::Status error = Connect(port.address())->RunStep({}, absl::Milliseconds(100)).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(error)) << error;
  EXPECT_FALSE(ServiceAnswered(error));
}

TEST(ConnectionTest, ASlowServiceHasAnswered) {
  ScriptedService service({Running()});
  const auto connection = Connect(service.address());
  ASSERT_TRUE(connection->RunStep({}, kAmple).ok());
  service.SwallowCalls();
  const absl::Status error = connection->RunStep({}, absl::Milliseconds(100)).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(error)) << error;
  EXPECT_TRUE(ServiceAnswered(error));
}

TEST(ConnectionTest, AServiceThatEndsInTheMiddleIsNoAnswer) {
  ScriptedService service({Running()});
  const auto connection = Connect(service.address());
  ASSERT_TRUE(connection->RunStep({}, kAmple).ok());
  service.Stop();
  const absl::Status error = connection->RunStep({}, kAmple).status();
  EXPECT_TRUE(absl::IsUnavailable(error)) << error;
  EXPECT_FALSE(ServiceAnswered(error));
}

TEST(ConnectionTest, AServiceOnThisMachineIsNotSoughtBehindAProxy) {
  const UnusedPort proxy;
  ASSERT_TRUE(proxy.ok());
  ScriptedService service({Running()});
  ASSERT_EQ(setenv("http_proxy", ("http://" + proxy.address()).c_str(), 1), 0);
  const absl::Status status = Connect(service.address())->RunStep({}, kAmple).status();
  unsetenv("http_proxy");
  EXPECT_TRUE(status.ok()) << status;
}

TEST(ConnectionTest, AnAnswerOfManyMegabytesIsTaken) {
  v1::RunStepResponse large = Answer(v1::STEP_STATUS_RUNNING);
  large.add_applications()->set_patch(std::string(20 << 20, 'x'));
  ScriptedService service({large});
  const absl::StatusOr<v1::RunStepResponse> response =
      Connect(service.address())->RunStep({}, kAmple);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->applications(0).patch().size(), std::size_t{20} << 20);
}

TEST(ConnectionTest, TheUserAgentNamesTheProgram) {
  ScriptedService service({Running()});
  ChannelOptions options;
  options.user_agent = "orchestrator/1.2";
  ASSERT_TRUE(Connect(service.address(), options)->RunStep({}, kAmple).ok());
  EXPECT_THAT(service.user_agent(), StartsWith("orchestrator/1.2 "));
}

TEST(ConnectionTest, CallCredentialsAreNotSentInPlainText) {
  ScriptedService service({Running()});
  ChannelOptions options;
  options.call_credentials = grpc::AccessTokenCredentials("secret");
  const absl::Status error = Connect(service.address(), options)->RunStep({}, kAmple).status();
  EXPECT_TRUE(absl::IsUnauthenticated(error)) << error;
  EXPECT_TRUE(service.requests().empty());
}

}  // namespace
}  // namespace gantry::client
