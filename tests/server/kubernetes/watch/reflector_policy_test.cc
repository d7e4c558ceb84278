// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/watch/reflector_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "server/kubernetes/api/error.h"
#include "tests/server/kubernetes/fakes.h"

namespace gantry::kubernetes {
namespace {

using ::testing::ElementsAre;

absl::Status Error(ErrorKind kind, int http_status) {
  return MakeError({.kind = kind, .http_status = http_status}, "test");
}

struct EndCase {
  const char* name;
  WatchEnd end;
  RestartReason reason;
  Reaction reaction;
};
void PrintTo(const EndCase& test, std::ostream* out) { *out << test.name; }

class WatchEndTest : public ::testing::TestWithParam<EndCase> {};

TEST_P(WatchEndTest, HasOneReaction) {
  EXPECT_EQ(ReasonOf(GetParam().end), GetParam().reason);
  EXPECT_EQ(ReactionTo(ReasonOf(GetParam().end)), GetParam().reaction);
}

WatchEnd Failed(ErrorKind kind, int http_status) {
  return {Error(kind, http_status), false, true, absl::Minutes(1)};
}

INSTANTIATE_TEST_SUITE_P(
    All, WatchEndTest,
    ::testing::ValuesIn(std::vector<EndCase>{
        {"EndedByTheServer",
         {absl::OkStatus(), false, true, absl::Minutes(5)},
         RestartReason::kEnded,
         Reaction::kWatchAtOnce},
        {"EndedByTheServerWithoutEvent",
         {absl::OkStatus(), false, false, absl::Seconds(1)},
         RestartReason::kEnded,
         Reaction::kWatchAtOnce},
        {"EndedSoonAfterAnEvent",
         {absl::OkStatus(), false, true, absl::Milliseconds(1)},
         RestartReason::kEnded,
         Reaction::kWatchAtOnce},
        {"Silent",
         {absl::OkStatus(), true, false, absl::Milliseconds(1)},
         RestartReason::kEnded,
         Reaction::kWatchAtOnce},
        {"VeryShort",
         {absl::OkStatus(), false, false, absl::Milliseconds(999)},
         RestartReason::kTooShort,
         Reaction::kListAfterBackoff},
        {"FailedAtOnce",
         {Error(ErrorKind::kUnreachable, 200), false, false, absl::ZeroDuration()},
         RestartReason::kUnreachable,
         Reaction::kWatchAfterBackoff},
        {"Gone", Failed(ErrorKind::kExpired, 410), RestartReason::kExpired, Reaction::kListAtOnce},
        {"TooLargeResourceVersion", Failed(ErrorKind::kExpired, 504), RestartReason::kExpired,
         Reaction::kListAtOnce},
        {"TooManyRequests", Failed(ErrorKind::kThrottled, 429), RestartReason::kThrottled,
         Reaction::kWatchAfterBackoff},
        {"Unreachable", Failed(ErrorKind::kUnreachable, 0), RestartReason::kUnreachable,
         Reaction::kWatchAfterBackoff},
        {"NoAnswerInTime", Failed(ErrorKind::kDeadlineExceeded, 0), RestartReason::kUnreachable,
         Reaction::kWatchAfterBackoff},
        {"UnavailableWithRetryAfter", Failed(ErrorKind::kThrottled, 503), RestartReason::kFailed,
         Reaction::kListAfterBackoff},
        {"Unauthorized", Failed(ErrorKind::kUnauthorized, 401), RestartReason::kFailed,
         Reaction::kListAfterBackoff},
        {"Forbidden", Failed(ErrorKind::kForbidden, 403), RestartReason::kFailed,
         Reaction::kListAfterBackoff},
        {"NoSuchResource", Failed(ErrorKind::kNoSuchResource, 404), RestartReason::kFailed,
         Reaction::kListAfterBackoff},
        {"Refused", Failed(ErrorKind::kRefused, 400), RestartReason::kFailed,
         Reaction::kListAfterBackoff},
        {"ServerError", Failed(ErrorKind::kServerError, 500), RestartReason::kFailed,
         Reaction::kListAfterBackoff},
        {"Malformed", Failed(ErrorKind::kMalformedResponse, 200), RestartReason::kFailed,
         Reaction::kListAfterBackoff},
    }),
    [](const auto& test) { return test.param.name; });

TEST(ReactionToFailedListTest, OnlyWhatIsTooOldOrNewIsListedAgainAtOnce) {
  for (const bool had_version : {false, true}) {
    for (const RestartReason reason :
         {RestartReason::kEnded, RestartReason::kExpired, RestartReason::kThrottled,
          RestartReason::kUnreachable, RestartReason::kTooShort, RestartReason::kFailed,
          RestartReason::kNotStreamed}) {
      const bool at_once = had_version && reason == RestartReason::kExpired;
      EXPECT_EQ(ReactionToFailedList(reason, had_version),
                at_once ? Reaction::kListAtOnce : Reaction::kListAfterBackoff)
          << RestartReasonName(reason);
    }
  }
}

TEST(RestartReasonTest, EachHasAName) {
  std::vector<std::string_view> names;
  for (const RestartReason reason :
       {RestartReason::kEnded, RestartReason::kExpired, RestartReason::kThrottled,
        RestartReason::kUnreachable, RestartReason::kTooShort, RestartReason::kFailed,
        RestartReason::kNotStreamed}) {
    names.push_back(RestartReasonName(reason));
  }
  EXPECT_THAT(names, ElementsAre("ended", "expired", "throttled", "unreachable", "too_short",
                                 "failed", "not_streamed"));
}

TEST(RestartReasonTest, AServerThatDoesNotStreamListsIsListedAtOnce) {
  EXPECT_EQ(ReactionTo(RestartReason::kNotStreamed), Reaction::kListAtOnce);
}

// What a watch that begins at 0 s tells of being up to date.
struct CatchUpStep {
  enum class Kind { kBegin, kEvent, kQuiet } kind;
  absl::Duration at;  // of no meaning for a silence
  std::optional<absl::Duration> told;
};
struct CatchUpCase {
  const char* name;
  std::vector<CatchUpStep> steps;
};
void PrintTo(const CatchUpCase& test, std::ostream* out) { *out << test.name; }

CatchUpStep Begin(double at) {
  return {CatchUpStep::Kind::kBegin, absl::Seconds(at), std::nullopt};
}
CatchUpStep Event(double at, std::optional<absl::Duration> told = std::nullopt) {
  return {CatchUpStep::Kind::kEvent, absl::Seconds(at), told};
}
CatchUpStep Quiet(std::optional<absl::Duration> told = std::nullopt) {
  return {CatchUpStep::Kind::kQuiet, absl::ZeroDuration(), told};
}
std::optional<absl::Duration> Tells(double at) { return absl::Seconds(at); }

class CatchUpTest : public ::testing::TestWithParam<CatchUpCase> {};

TEST_P(CatchUpTest, TellsUpToWhenEverythingHasCome) {
  CatchUp catch_up;
  catch_up.Begin(absl::ZeroDuration());
  int number = 0;
  for (const CatchUpStep& step : GetParam().steps) {
    SCOPED_TRACE(++number);
    switch (step.kind) {
      case CatchUpStep::Kind::kBegin:
        catch_up.Begin(step.at);
        break;
      case CatchUpStep::Kind::kEvent:
        EXPECT_EQ(catch_up.Event(step.at), step.told);
        break;
      case CatchUpStep::Kind::kQuiet:
        EXPECT_EQ(catch_up.Quiet(), step.told);
        break;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, CatchUpTest,
    ::testing::ValuesIn(std::vector<CatchUpCase>{
        {"AQuietWatchWhenItsRequestWasSent", {Quiet(Tells(0))}},
        {"ASilenceAfterABacklogWhenItsLastEventCame", {Event(1), Event(2), Quiet(Tells(2))}},
        {"ASecondSilenceNothing", {Event(1), Quiet(Tells(1)), Quiet()}},
        {"EachEventOnceSettled",
         {Quiet(Tells(0)), Event(1, Tells(1)), Event(11, Tells(11)), Quiet()}},
        {"NothingOfAnEventAfterAPause",
         {Quiet(Tells(0)), Event(10.001), Event(11), Quiet(Tells(11)), Event(12, Tells(12))}},
        {"ThePauseBeginsWithTheLastEvent",
         {Quiet(Tells(0)), Event(9, Tells(9)), Event(19, Tells(19)), Event(29.001), Event(30)}},
        {"ABusyWatchHasCaughtUpAfterTenSeconds",
         {Event(4), Event(8), Event(10), Event(10.001, Tells(10.001)), Event(11, Tells(11))}},
        {"SoHasOneThatIsBusyAfterAPause",
         {Quiet(Tells(0)), Event(20), Event(25), Event(30), Event(30.001, Tells(30.001))}},
        {"AProcessThatWasStoppedHasNotCaughtUp",
         {Event(1), Event(180), Event(181), Quiet(Tells(181))}},
        {"NorHasOneThatWasStoppedAtTheBeginning", {Event(180), Event(181), Quiet(Tells(181))}},
        {"NorHasOneThatWasStoppedOnceSettled",
         {Quiet(Tells(0)), Event(1, Tells(1)), Event(180), Event(181), Quiet(Tells(181))}},
        {"AnotherBeginningIsUnsettled",
         {Quiet(Tells(0)), Begin(5), Event(6), Begin(7), Quiet(Tells(7)), Event(8, Tells(8))}},
        {"AWatchAfterALongListHasNotCaughtUp", {Begin(30), Event(31), Quiet(Tells(31))}},
    }),
    [](const auto& test) { return test.param.name; });

class ReflectorBackoffTest : public ::testing::Test {
 protected:
  std::vector<absl::Duration> Delays(ReflectorBackoff& backoff, int count) {
    std::vector<absl::Duration> delays;
    for (int i = 0; i < count; ++i) delays.push_back(backoff.Next());
    return delays;
  }

  FakeClock clock_;
  // Just below the whole of a backoff; exact with a random number that cannot be reached.
  FixedRandom whole_{1.0};
};

TEST_F(ReflectorBackoffTest, DoublesFromEightTenthsOfASecondToHalfAMinute) {
  ReflectorBackoff backoff(clock_, whole_);
  EXPECT_THAT(Delays(backoff, 8), ElementsAre(absl::Milliseconds(800), absl::Milliseconds(1600),
                                              absl::Milliseconds(3200), absl::Milliseconds(6400),
                                              absl::Milliseconds(12800), absl::Milliseconds(25600),
                                              absl::Seconds(30), absl::Seconds(30)));
}

TEST_F(ReflectorBackoffTest, JitterTakesAwayUpToOneHalf) {
  FixedRandom half(0.0);
  ReflectorBackoff backoff(clock_, half);
  EXPECT_THAT(Delays(backoff, 3), ElementsAre(absl::Milliseconds(400), absl::Milliseconds(800),
                                              absl::Milliseconds(1600)));
}

TEST_F(ReflectorBackoffTest, BeginsAnewAfterTwoGoodMinutes) {
  ReflectorBackoff backoff(clock_, whole_);
  Delays(backoff, 3);
  backoff.Good();
  clock_.Advance(absl::Minutes(1));
  backoff.Good();
  clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(backoff.Next(), absl::Milliseconds(800));
}

TEST_F(ReflectorBackoffTest, LessThanTwoGoodMinutesDoNotCount) {
  ReflectorBackoff backoff(clock_, whole_);
  Delays(backoff, 3);
  backoff.Good();
  clock_.Advance(absl::Minutes(2) - absl::Milliseconds(1));
  EXPECT_EQ(backoff.Next(), absl::Milliseconds(6400));
}

TEST_F(ReflectorBackoffTest, TimeAloneDoesNotCount) {
  ReflectorBackoff backoff(clock_, whole_);
  Delays(backoff, 3);
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(backoff.Next(), absl::Milliseconds(6400));
}

TEST_F(ReflectorBackoffTest, AFailureEndsTheGoodTime) {
  ReflectorBackoff backoff(clock_, whole_);
  backoff.Good();
  clock_.Advance(absl::Minutes(1));
  Delays(backoff, 2);
  clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(backoff.Next(), absl::Milliseconds(3200));
}

}  // namespace
}  // namespace gantry::kubernetes
