// SPDX-License-Identifier: Apache-2.0
#include "gantry/client/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>
#include <string>

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

TEST(ConnectionTest, AStepIsFollowedToItsEnd) {
  ScriptedService service({Running(absl::Seconds(2)), Running(absl::Seconds(3)),
                           Answer(v1::STEP_STATUS_SUCCEEDED, "done")});
  FakeTiming timing;
  RunStepOptions options;
  options.timing = &timing;
  options.hold = absl::Seconds(5);
  v1::RunStepRequest request;
  request.set_project("demo");

  const RunStepResult result =
      Client(Connect(service.address())).RunStepUntilDone(request, options);

  EXPECT_EQ(result.ending, Ending::kVerdict);
  EXPECT_EQ(result.response->message(), "done");
  // The second call is held at once, and its early answer waited out for a second.
  EXPECT_THAT(timing.sleeps, ElementsAre(absl::ZeroDuration(), absl::Seconds(1)));
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
  ChannelOptions channel;
  channel.retries = false;
  EXPECT_EQ(Client(Connect(service.address(), channel)).RunStepUntilDone({}, options).ending,
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

grpc::Status Away() { return GrpcError(grpc::StatusCode::UNAVAILABLE, "away for a moment"); }

TEST(ConnectionTest, AnUnavailableServiceIsCalledThreeTimes) {
  ScriptedService service({Away(), Away(), Answer(v1::STEP_STATUS_SUCCEEDED, "done")});
  const absl::StatusOr<v1::RunStepResponse> response =
      Connect(service.address())->RunStep({}, kAmple);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->message(), "done");

  ScriptedService away({Away()});
  EXPECT_TRUE(absl::IsUnavailable(Connect(away.address())->RunStep({}, kAmple).status()));
  EXPECT_EQ(away.requests().size(), 3u);
}

TEST(ConnectionTest, OtherErrorsAreNotRepeated) {
  for (const grpc::StatusCode code :
       {grpc::StatusCode::RESOURCE_EXHAUSTED, grpc::StatusCode::PERMISSION_DENIED,
        grpc::StatusCode::NOT_FOUND, grpc::StatusCode::INTERNAL}) {
    ScriptedService service({GrpcError(code, "no"), Answer(v1::STEP_STATUS_SUCCEEDED)});
    EXPECT_FALSE(Connect(service.address())->RunStep({}, kAmple).ok());
    EXPECT_EQ(service.requests().size(), 1u) << code;
  }
}

TEST(ConnectionTest, WithoutRetriesEveryFailureIsTold) {
  ScriptedService service({Away(), Answer(v1::STEP_STATUS_SUCCEEDED)});
  ChannelOptions options;
  options.retries = false;
  EXPECT_TRUE(
      absl::IsUnavailable(Connect(service.address(), options)->RunStep({}, kAmple).status()));
  EXPECT_EQ(service.requests().size(), 1u);
}

TEST(ConnectionTest, AServiceThatWantsNoRetriesIsObeyed) {
  ScriptedService service({Away(), Answer(v1::STEP_STATUS_SUCCEEDED)});
  service.PushBack("-1");
  EXPECT_TRUE(absl::IsUnavailable(Connect(service.address())->RunStep({}, kAmple).status()));
  EXPECT_EQ(service.requests().size(), 1u);
}

TEST(ConnectionTest, LoopbackAddresses) {
  const struct {
    const char* address;
    bool loopback;
  } cases[] = {
      {"127.0.0.1:50051", true},
      {"127.8.9.10:1", true},
      {"localhost:50051", true},
      {"LocalHost:50051", true},
      {"[::1]:50051", true},
      {"[0:0:0:0:0:0:0:1]:1", true},
      {"dns:///localhost:1", true},
      {"dns:127.0.0.1:1", true},
      {"ipv4:127.0.0.1:1", true},
      {"ipv6:[::1]:1", true},
      {"unix:/run/gantry.sock", true},
      {"unix-abstract:gantry", true},
      {"gantry.example:443", false},
      {"10.0.0.1:50051", false},
      {"[2001:db8::1]:1", false},
      {"0.0.0.0:1", false},
      {"127.0.0.1.example.com:1", false},
      {"127.example.com:1", false},
      {"localhost.example.com:1", false},
      {"dns://203.0.113.1/localhost:1", false},
      {"ipv4:127.0.0.1:1,203.0.113.1:1", false},
      {"ipv6:[::1]:1,[2001:db8::1]:1", false},
      {"[::1:1", false},
      {"", false},
  };
  for (const auto& test : cases) {
    EXPECT_EQ(IsLoopback(test.address), test.loopback) << test.address;
  }
}

TEST(ConnectionTest, ATokenIsAskedForBeforeEachCall) {
  ScriptedService service({Running()});
  int calls = 0;
  ChannelOptions options;
  options.token = [&calls]() -> absl::StatusOr<std::string> {
    return absl::StrCat("token-", ++calls);
  };
  const auto connection = Connect(service.address(), options);
  ASSERT_TRUE(connection->RunStep({}, kAmple).ok());
  ASSERT_TRUE(connection->RunStep({}, kAmple).ok());
  EXPECT_THAT(service.authorizations(), ElementsAre("Bearer token-1", "Bearer token-2"));
}

TEST(ConnectionTest, WithoutATokenNothingIsSent) {
  ScriptedService service({Running()}, "127.0.0.1:0",
                          HealthScript{{}, {}, {{{Synced()}, std::nullopt}}});
  for (const std::string token : {"", "two words", "line\nend", "\xc3\xa4"}) {
    ChannelOptions options;
    options.token = [token]() -> absl::StatusOr<std::string> {
      if (token.empty()) return absl::InvalidArgumentError("no such file");
      return token;
    };
    const auto connection = Connect(service.address(), options);
    const absl::Status error = connection->RunStep({}, kAmple).status();
    EXPECT_TRUE(NotSent(error)) << error;
    const absl::Status of_stream =
        connection->WatchStageHealth({}, kAmple, kAmple)->Read().status();
    EXPECT_TRUE(NotSent(of_stream)) << of_stream;
  }
  EXPECT_TRUE(service.requests().empty());
  EXPECT_TRUE(service.watch_requests().empty());
}

TEST(ConnectionTest, ATokenIsNotSentElsewhereInPlainText) {
  ChannelOptions options;
  options.token = []() -> absl::StatusOr<std::string> { return std::string("secret"); };
  const absl::Status error = Connect("203.0.113.1:1", options)->RunStep({}, kAmple).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(error)) << error;
  EXPECT_TRUE(NotSent(error));
}

}  // namespace
}  // namespace gantry::client
