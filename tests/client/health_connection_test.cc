// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gantry/client/client.h"
#include "gantry/client/errors.h"
#include "gantry/client/health_watch.h"
#include "tests/client/answers.h"
#include "tests/client/fake_timing.h"
#include "tests/client/scripted_service.h"
#include "tests/client/unused_port.h"

// The health of Stages over real gRPC.
namespace gantry::client {
namespace {

using ::testing::ElementsAre;

TEST(HealthConnectionTest, OneStageIsAskedFor) {
  v1::GetStageHealthResponse answer;
  *answer.mutable_health() = Stage("shop", "prod", v1::HEALTH_STATE_UNKNOWN);
  ScriptedService service(HealthScript{{answer}, {}, {}});
  v1::GetStageHealthRequest request;
  request.set_stage("prod");
  const auto response = Client(Connect(service.address())).GetStageHealth(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->health().state(), v1::HEALTH_STATE_UNKNOWN);
  EXPECT_EQ(service.get_requests()[0].stage(), "prod");
}

TEST(HealthConnectionTest, PagesAreFollowed) {
  ScriptedService service(HealthScript{{},
                                       {Page({Stage("a", "1")}, "t1"),
                                        GrpcError(grpc::StatusCode::UNAVAILABLE, "filling",
                                                  {"CACHES_NOT_FILLED", absl::Seconds(5), {}}),
                                        Page({Stage("a", "2")})},
                                       {}});
  FakeTiming timing;
  CallOptions options;
  options.timing = &timing;
  ChannelOptions channel;
  channel.retries = false;
  const auto all = Client(Connect(service.address(), channel)).ListStageHealth({}, options);
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->stages_size(), 2);
  EXPECT_THAT(timing.sleeps, ElementsAre(absl::Seconds(5)));
  ASSERT_EQ(service.list_requests().size(), 3u);
  EXPECT_EQ(service.list_requests()[0].page_token(), "");
  EXPECT_EQ(service.list_requests()[1].page_token(), "t1");
  EXPECT_EQ(service.list_requests()[2].page_token(), "t1");
}

TEST(HealthConnectionTest, AWatchSurvivesABrokenStream) {
  const grpc::Status gone = GrpcError(grpc::StatusCode::UNAVAILABLE, "going away");
  ScriptedService service(HealthScript{
      {},
      {},
      {{{Updated(Stage("shop", "a")), Updated(Stage("shop", "b")), Synced()}, gone},
       {{Updated(Stage("shop", "b"))}, grpc::Status::OK},
       {{Updated(Stage("shop", "b")), Updated(Stage("shop", "c")), Synced()}, std::nullopt}}});
  FakeTiming timing;
  HealthWatchOptions options;
  options.timing = &timing;
  v1::WatchStageHealthRequest request;
  request.set_project("shop");
  HealthWatch watch(Connect(service.address()), request, options);
  std::vector<std::string> events;
  std::vector<absl::Status> breaks;
  const absl::Status end = watch.Run(
      [&](const v1::WatchStageHealthResponse& event) {
        events.push_back(InShort(event));
        if (events.size() == 6) watch.Stop();
      },
      [&](const FailedAttempt& failed) { breaks.push_back(failed.error); });
  EXPECT_TRUE(end.ok()) << end;
  EXPECT_THAT(events, ElementsAre("+shop/a HEALTHY", "+shop/b HEALTHY", "synced", "+shop/c HEALTHY",
                                  "-shop/a", "synced"));
  EXPECT_THAT(timing.sleeps, ElementsAre(absl::Milliseconds(500), absl::Seconds(1)));
  ASSERT_EQ(breaks.size(), 2u);
  EXPECT_EQ(breaks[0].message(), "going away");
  EXPECT_TRUE(absl::IsUnavailable(breaks[1])) << breaks[1];
  EXPECT_TRUE(ServiceAnswered(breaks[1]));
  ASSERT_EQ(service.watch_requests().size(), 3u);
  EXPECT_EQ(service.watch_requests()[2].project(), "shop");
}

TEST(HealthConnectionTest, DetailsOfARefusedWatchCrossTheWire) {
  ScriptedService service(
      HealthScript{{},
                   {},
                   {{{},
                     GrpcError(grpc::StatusCode::INVALID_ARGUMENT, "the stage is malformed",
                               {"INVALID_REQUEST", std::nullopt, {{"stage", "too long"}}})}}});
  HealthWatch watch(Connect(service.address()), {});
  const absl::Status end = watch.Run([](const v1::WatchStageHealthResponse&) { FAIL(); });
  EXPECT_TRUE(absl::IsInvalidArgument(end)) << end;
  ASSERT_TRUE(BadRequestOf(end));
  EXPECT_EQ(BadRequestOf(end)->field_violations(0).field(), "stage");
}

TEST(HealthConnectionTest, AnotherThreadStopsASilentStream) {
  ScriptedService service(HealthScript{{}, {}, {{{Synced()}, std::nullopt}}});
  HealthWatch watch(Connect(service.address()), {});
  absl::Notification synced;
  absl::Status end = absl::UnknownError("not ended");
  std::thread watching(
      [&] { end = watch.Run([&](const v1::WatchStageHealthResponse&) { synced.Notify(); }); });
  synced.WaitForNotification();
  watch.Stop();
  watching.join();
  EXPECT_TRUE(end.ok()) << end;
}

TEST(HealthConnectionTest, AnotherThreadEndsThePauseAfterABreak) {
  ScriptedService service(
      HealthScript{{},
                   {},
                   {{{Synced()},
                     GrpcError(grpc::StatusCode::UNAVAILABLE, "come back tomorrow",
                               {"RESTARTING", absl::Hours(24), {}})}}});
  HealthWatch watch(Connect(service.address()), {});
  absl::Notification broken;
  absl::Status end = absl::UnknownError("not ended");
  std::thread watching([&] {
    end = watch.Run([](const v1::WatchStageHealthResponse&) {},
                    [&](const FailedAttempt&) { broken.Notify(); });
  });
  broken.WaitForNotification();
  watch.Stop();
  watching.join();
  EXPECT_TRUE(end.ok()) << end;
}

TEST(HealthConnectionTest, AStreamEndsAtItsTimeout) {
  ScriptedService service(HealthScript{{}, {}, {{{Synced()}, std::nullopt}}});
  const auto stream = Connect(service.address())->WatchStageHealth({}, kAmple, absl::Seconds(2));
  ASSERT_TRUE(stream->Read().ok());
  const absl::Status end = stream->Read().status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(end)) << end;
  EXPECT_TRUE(ServiceAnswered(end));
}

TEST(HealthConnectionTest, AStreamThatIsNotReadToItsEndIsLeftBehind) {
  ScriptedService service(HealthScript{{}, {}, {{{Synced(), Synced()}, std::nullopt}}});
  const auto connection = Connect(service.address());
  EXPECT_TRUE(connection->WatchStageHealth({}, kAmple, kAmple)->Read().ok());
  EXPECT_TRUE(connection->WatchStageHealth({}, kAmple, kAmple)->Read().ok());
}

TEST(HealthConnectionTest, AStreamThatWasCancelledIsNotOpened) {
  ScriptedService service(HealthScript{{}, {}, {{{Synced()}, std::nullopt}}});
  const auto stream = Connect(service.address())->WatchStageHealth({}, kAmple, kAmple);
  stream->Cancel();
  EXPECT_TRUE(absl::IsCancelled(stream->Read().status()));
  EXPECT_TRUE(service.watch_requests().empty());
}

TEST(HealthConnectionTest, ARefusedConnectionIsNoAnswer) {
  const UnusedPort port;
  ASSERT_TRUE(port.ok());
  const absl::Status error =
      Connect(port.address())->WatchStageHealth({}, kAmple, kAmple)->Read().status();
  EXPECT_TRUE(absl::IsUnavailable(error)) << error;
  EXPECT_FALSE(ServiceAnswered(error));
}

TEST(HealthConnectionTest, ASilentPeerIsNoAnswer) {
  const UnusedPort port(/*listening=*/true);
  ASSERT_TRUE(port.ok());
  const absl::Status error = Connect(port.address())
                                 ->WatchStageHealth({}, absl::Milliseconds(100), kAmple)
                                 ->Read()
                                 .status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(error)) << error;
  EXPECT_FALSE(ServiceAnswered(error));
}

}  // namespace
}  // namespace gantry::client
