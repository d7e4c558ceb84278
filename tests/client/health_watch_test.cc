// SPDX-License-Identifier: Apache-2.0
#include "gantry/client/health_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "gantry/client/errors.h"
#include "tests/client/answers.h"
#include "tests/client/scripted_connection.h"

namespace gantry::client {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// What a watch over a script did.
struct Watched {
  explicit Watched(std::vector<ScriptedStream> streams) {
    connection->streams = std::move(streams);
    options.timing = &timing;
  }
  absl::Status Run() {
    v1::WatchStageHealthRequest request;
    request.set_project("shop");
    watch = std::make_unique<HealthWatch>(connection, request, options);
    return watch->Run(
        [this](const v1::WatchStageHealthResponse& event) {
          events.push_back(InShort(event));
          times.push_back(event.observed_time().seconds());
          if (events.size() == stop_after) watch->Stop();
        },
        [this](const FailedAttempt& failed) { breaks.push_back(failed); });
  }

  FakeTiming timing;
  std::shared_ptr<ScriptedConnection> connection =
      std::make_shared<ScriptedConnection>(std::vector<ScriptedAnswer>{}, timing);
  HealthWatchOptions options;
  std::unique_ptr<HealthWatch> watch;
  std::size_t stop_after = 1000;
  std::vector<std::string> events;
  std::vector<std::int64_t> times;
  std::vector<FailedAttempt> breaks;
};

struct EventsCase {
  std::string name;
  std::vector<ScriptedStream> streams;  // the last one is silent until the timeout
  std::vector<std::string> events;
};

std::vector<EventsCase> EventsCases() {
  const auto a = [](v1::HealthState state = v1::HEALTH_STATE_HEALTHY) {
    return Updated(Stage("shop", "a", state));
  };
  const v1::WatchStageHealthResponse b = Updated(Stage("shop", "b"));
  const v1::HealthState bad = v1::HEALTH_STATE_UNHEALTHY;
  const absl::Status broken = Refused();
  v1::StageHealth explained = Stage("shop", "a");
  explained.add_issues("new");
  return {
      {"InitialStateAndChanges",
       {{{a(), b, Synced(), a(bad), Deleted("shop", "b"), b}, {}}},
       {"+shop/a HEALTHY", "+shop/b HEALTHY", "synced", "+shop/a UNHEALTHY", "-shop/b",
        "+shop/b HEALTHY"}},
      {"NoStages", {{{Synced()}, {}}}, {"synced"}},
      {"WhatIsKnownIsNotToldAgain",
       {{{a(), a(), Synced(), a()}, broken}, {{a(), Synced()}, {}}},
       {"+shop/a HEALTHY", "synced", "synced"}},
      {"AnyDifferenceIsNews",
       {{{a(), Synced(), Updated(explained)}, {}}},
       {"+shop/a HEALTHY", "synced", "+shop/a HEALTHY"}},
      {"WhatChangedDuringABreak",
       {{{a(), Synced()}, broken}, {{a(bad), b, Synced()}, {}}},
       {"+shop/a HEALTHY", "synced", "+shop/a UNHEALTHY", "+shop/b HEALTHY", "synced"}},
      {"WhatWasDeletedDuringABreak",
       {{{a(), b, Synced()}, broken}, {{b, Synced()}, {}}},
       {"+shop/a HEALTHY", "+shop/b HEALTHY", "synced", "-shop/a", "synced"}},
      {"NothingIsDeletedBeforeSynced",
       {{{a(), b, Synced()}, broken}, {{b}, broken}, {{}, broken}, {{b, a(), Synced()}, {}}},
       {"+shop/a HEALTHY", "+shop/b HEALTHY", "synced", "synced"}},
      {"ABreakBeforeTheFirstSynced",
       {{{a()}, broken}, {{b, Synced()}, {}}},
       {"+shop/a HEALTHY", "+shop/b HEALTHY", "-shop/a", "synced"}},
      {"DeletedTwiceOverABreak",
       {{{a(), Synced(), Deleted("shop", "a")}, broken}, {{Synced()}, {}}},
       {"+shop/a HEALTHY", "synced", "-shop/a", "synced"}},
      {"AStageThatWasNeverSentIsNotDeleted", {{{Synced(), Deleted("shop", "a")}, {}}}, {"synced"}},
      {"KindsFromTheFutureAreSkipped",
       {{{v1::WatchStageHealthResponse(), a(), Synced(), v1::WatchStageHealthResponse()}, {}}},
       {"+shop/a HEALTHY", "synced"}},
      {"SyncedTwiceInAStream", {{{a(), Synced(), Synced()}, {}}}, {"+shop/a HEALTHY", "synced"}},
      {"OneNameInTwoProjects",
       {{{a(), Updated(Stage("other", "a")), Synced()}, broken}, {{a(), Synced()}, {}}},
       {"+shop/a HEALTHY", "+other/a HEALTHY", "synced", "-other/a", "synced"}},
  };
}

class EventsTest : public ::testing::TestWithParam<EventsCase> {};

TEST_P(EventsTest, AreExactlyThese) {
  Watched watched(GetParam().streams);
  watched.options.timeout = absl::Minutes(5);
  const absl::Status end = watched.Run();
  EXPECT_TRUE(end.ok()) << end;
  EXPECT_EQ(watched.events, GetParam().events);
  EXPECT_EQ(watched.connection->watch_requests.size(), GetParam().streams.size());
}

INSTANTIATE_TEST_SUITE_P(Cases, EventsTest, ::testing::ValuesIn(EventsCases()),
                         [](const auto& test) { return test.param.name; });

TEST(HealthWatchTest, ADeletionThatWasMissedHasTheTimeOfSynced) {
  Watched watched({{{Updated(Stage("shop", "a")), Synced(7)}, Refused()}, {{Synced(9)}, {}}});
  watched.options.timeout = absl::Minutes(5);
  EXPECT_TRUE(watched.Run().ok());
  EXPECT_THAT(watched.events, ElementsAre("+shop/a HEALTHY", "synced", "-shop/a", "synced"));
  EXPECT_THAT(watched.times, ElementsAre(0, 7, 9, 9));
}

struct EndCase {
  std::string name;
  std::vector<ScriptedStream> streams;
  std::vector<absl::Duration> sleeps;  // exactly these
  absl::StatusCode code;
  absl::Duration timeout = absl::Minutes(5);
};

std::vector<EndCase> EndCases() {
  const absl::Status denied = Error(grpc::StatusCode::PERMISSION_DENIED, "no");
  const absl::Status reset = Error(grpc::StatusCode::INTERNAL, "RST_STREAM");
  const auto code = [](const absl::Status& status) { return status.code(); };
  return {
      {"ARefusalIsTheEnd", {{{}, denied}}, {}, code(denied)},
      {"ARefusalAfterABreak", {{{Synced()}, Refused()}, {{}, denied}}, {kSecond / 2}, code(denied)},
      {"WhateverCutsAStreamIsABreak",
       {{{Synced()}, reset}, {{Synced()}, denied}, {{}, denied}},
       {kSecond / 2, kSecond / 2},
       code(denied)},
      {"WhatPassesIsRetried",
       {{{}, KubernetesDown()},
        {{}, Error(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many streams")},
        {{}, KubernetesDown(7 * kSecond)},
        {{}, denied}},
       {kSecond / 2, kSecond, 7 * kSecond},
       code(denied)},
      {"OnlySyncedResetsTheBackoff",
       {{{Updated(Stage("shop", "a"))}, Refused()},
        {{Updated(Stage("shop", "a"))}, Refused()},
        {{Synced()}, Refused()},
        {{}, denied}},
       {kSecond / 2, kSecond, kSecond / 2},
       code(denied)},
      {"AServiceThatNeverAnsweredIsGivenUpAfterTenSeconds",
       {{{}, Refused()}},
       {kSecond / 2, kSecond, 2 * kSecond, 4 * kSecond, absl::Milliseconds(2500)},
       absl::StatusCode::kUnavailable},
      {"AnOutageIsWaitedOutUntilTheTimeout",
       {{{Synced()}, Refused()}, {{}, Refused()}},
       {kSecond / 2, kSecond, 2 * kSecond, 4 * kSecond, 5 * kSecond, 5 * kSecond,
        absl::Milliseconds(2500)},
       absl::StatusCode::kUnavailable,
       20 * kSecond},
      {"TheTimeoutOfAStreamThatIsFollowedIsNoError", {{{Synced()}, {}}}, {}, absl::StatusCode::kOk},
      {"TheTimeoutWithoutTheWholeState",
       {{{Updated(Stage("shop", "a"))}, {}}},
       {},
       absl::StatusCode::kDeadlineExceeded},
      {"TheTimeoutInSilence", {{{}, {}}}, {}, absl::StatusCode::kDeadlineExceeded},
  };
}

class EndTest : public ::testing::TestWithParam<EndCase> {};

TEST_P(EndTest, SleepsExactlyThisAndEndsSo) {
  Watched watched(GetParam().streams);
  watched.options.timeout = GetParam().timeout;
  const absl::Status end = watched.Run();
  EXPECT_EQ(end.code(), GetParam().code) << end;
  EXPECT_EQ(watched.timing.sleeps, GetParam().sleeps);
  EXPECT_EQ(watched.breaks.size(), GetParam().sleeps.size());
}

INSTANTIATE_TEST_SUITE_P(Cases, EndTest, ::testing::ValuesIn(EndCases()),
                         [](const auto& test) { return test.param.name; });

TEST(HealthWatchTest, ABreakSaysWhatIsKnown) {
  Watched watched({{{Synced()}, Refused()}, {{}, KubernetesDown()}, {{Synced()}, {}}});
  watched.options.timeout = absl::Minutes(1);
  EXPECT_TRUE(watched.Run().ok());
  ASSERT_EQ(watched.breaks.size(), 2u);
  EXPECT_EQ(watched.breaks[0].error, Refused());
  EXPECT_FALSE(watched.breaks[0].service_answered);
  EXPECT_EQ(watched.breaks[0].next_attempt, kSecond / 2);
  EXPECT_EQ(watched.breaks[1].error, KubernetesDown());
  EXPECT_TRUE(watched.breaks[1].service_answered);
  EXPECT_EQ(watched.breaks[1].elapsed, kSecond / 2);
}

TEST(HealthWatchTest, EachStreamAsksForTheSameWithTheTimeThatIsLeft) {
  Watched watched({{{Synced()}, Refused()}, {{Synced()}, {}}});
  watched.options.timeout = absl::Minutes(1);
  EXPECT_TRUE(watched.Run().ok());
  ASSERT_EQ(watched.connection->watch_requests.size(), 2u);
  for (const auto& request : watched.connection->watch_requests) {
    EXPECT_EQ(request.project(), "shop");
  }
  EXPECT_THAT(watched.connection->watch_timeouts,
              ElementsAre(absl::Minutes(1), absl::Milliseconds(59500)));
  EXPECT_THAT(watched.connection->connect_timeouts, ElementsAre(11 * kSecond, 30 * kSecond));
}

TEST(HealthWatchTest, WithoutATimeoutStreamsHaveNoDeadline) {
  Watched watched({{{Synced()}, Refused()}});
  watched.stop_after = 2;
  EXPECT_TRUE(watched.Run().ok());
  EXPECT_THAT(watched.connection->watch_timeouts,
              ElementsAre(absl::InfiniteDuration(), absl::InfiniteDuration()));
}

TEST(HealthWatchTest, StopInACallbackMakesThatEventTheLast) {
  const std::vector<ScriptedStream> streams = {
      {{Updated(Stage("shop", "a")), Updated(Stage("shop", "b")), Synced()}, Refused()},
      {{Synced(), Updated(Stage("shop", "c"))}, {}}};
  const std::vector<std::string> all = {"+shop/a HEALTHY", "+shop/b HEALTHY", "synced",
                                        "-shop/a",         "-shop/b",         "synced",
                                        "+shop/c HEALTHY"};
  for (std::size_t count = 1; count <= all.size(); ++count) {
    Watched watched(streams);
    watched.stop_after = count;
    EXPECT_TRUE(watched.Run().ok()) << count;
    EXPECT_EQ(watched.events, std::vector<std::string>(
                                  all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count)));
  }
}

TEST(HealthWatchTest, StopBeforeRunOpensNothingToRead) {
  Watched watched({{{Synced()}, {}}});
  HealthWatch watch(watched.connection, {}, watched.options);
  watch.Stop();
  watch.Stop();
  EXPECT_TRUE(watch.Run([](const v1::WatchStageHealthResponse&) { FAIL(); }).ok());
}

TEST(HealthWatchTest, StopWhenAStreamBreaksEndsTheWaiting) {
  Watched watched({{{}, Refused()}});
  HealthWatch watch(watched.connection, {}, watched.options);
  const absl::Status end = watch.Run([](const v1::WatchStageHealthResponse&) { FAIL(); },
                                     [&watch](const FailedAttempt&) { watch.Stop(); });
  EXPECT_TRUE(end.ok()) << end;
  EXPECT_THAT(watched.timing.sleeps, IsEmpty());
}

}  // namespace
}  // namespace gantry::client
