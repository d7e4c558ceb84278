// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/api/retry_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace gantry::kubernetes {
namespace {

using ::testing::ElementsAre;

struct ReasonCase {
  const char* name;
  AttemptResult attempt;
  RetryReason reason;
};

class WhyRetryTest : public ::testing::TestWithParam<ReasonCase> {};

TEST_P(WhyRetryTest, IsAsExpected) { EXPECT_EQ(WhyRetry(GetParam().attempt), GetParam().reason); }

AttemptResult AttemptAnswered(ErrorKind kind, int status, std::optional<absl::Duration> retry_after,
                              bool is_read) {
  return {kind, status, retry_after, is_read};
}
AttemptResult NoResponse(ErrorKind kind, bool is_read) { return {kind, 0, std::nullopt, is_read}; }

INSTANTIATE_TEST_SUITE_P(
    All, WhyRetryTest,
    ::testing::ValuesIn(std::vector<ReasonCase>{
        {"TooManyRequestsForAWrite",
         AttemptAnswered(ErrorKind::kThrottled, 429, absl::Seconds(1), false),
         RetryReason::kServerAsked},
        {"TooManyRequestsForARead",
         AttemptAnswered(ErrorKind::kThrottled, 429, absl::Seconds(1), true),
         RetryReason::kServerAsked},
        {"TooManyRequestsWithoutRetryAfter",
         AttemptAnswered(ErrorKind::kThrottled, 429, std::nullopt, false),
         RetryReason::kServerAsked},
        {"UnavailableWithRetryAfterForAWrite",
         AttemptAnswered(ErrorKind::kThrottled, 503, absl::Seconds(1), false),
         RetryReason::kServerAsked},
        {"RetryAfterZeroIsARequestToRetry",
         AttemptAnswered(ErrorKind::kThrottled, 500, absl::ZeroDuration(), false),
         RetryReason::kServerAsked},
        {"ServerErrorWithoutRetryAfter",
         AttemptAnswered(ErrorKind::kServerError, 500, std::nullopt, true), RetryReason::kNone},
        {"RetryAfterOfOtherStatuses",
         AttemptAnswered(ErrorKind::kConflict, 409, absl::Seconds(1), false), RetryReason::kNone},
        {"RetryAfterOfNotFound", AttemptAnswered(ErrorKind::kNotFound, 404, absl::Seconds(1), true),
         RetryReason::kNone},
        {"AResourceVersionTooLarge",
         AttemptAnswered(ErrorKind::kExpired, 504, absl::Seconds(1), true), RetryReason::kNone},
        {"LostConnectionForARead", NoResponse(ErrorKind::kUnreachable, true),
         RetryReason::kTransport},
        {"LostConnectionForAWrite", NoResponse(ErrorKind::kUnreachable, false), RetryReason::kNone},
        {"SlowAttemptForARead", NoResponse(ErrorKind::kDeadlineExceeded, true),
         RetryReason::kTransport},
        {"SlowAttemptForAWrite", NoResponse(ErrorKind::kDeadlineExceeded, false),
         RetryReason::kNone},
        {"MalformedResponse", AttemptAnswered(ErrorKind::kMalformedResponse, 0, std::nullopt, true),
         RetryReason::kNone},
        {"Cancelled", NoResponse(ErrorKind::kCancelled, true), RetryReason::kNone},
        {"NoCredentials", NoResponse(ErrorKind::kUnauthorized, true), RetryReason::kNone},
        {"NeverSent", NoResponse(ErrorKind::kRefused, true), RetryReason::kNone},
    }),
    [](const auto& test) { return test.param.name; });

int TriesFor(RetryReason reason) {
  RetryBudget budget;
  int tries = 1;
  while (budget.Spend(reason)) ++tries;
  return tries;
}

TEST(RetryBudgetTest, TenTriesWhenTheServerAsksAndFiveWithoutAnAnswer) {
  EXPECT_EQ(TriesFor(RetryReason::kServerAsked), 10);
  EXPECT_EQ(TriesFor(RetryReason::kTransport), 5);
  EXPECT_EQ(TriesFor(RetryReason::kNone), 1);
}

TEST(RetryBudgetTest, TheReasonsAreCountedApart) {
  RetryBudget budget;
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(budget.Spend(RetryReason::kTransport));
  for (int i = 0; i < 9; ++i) EXPECT_TRUE(budget.Spend(RetryReason::kServerAsked));
  EXPECT_EQ(budget.failures(), 13);
  EXPECT_FALSE(budget.Spend(RetryReason::kTransport));
}

std::vector<absl::Duration> Delays(int count, double random,
                                   std::optional<absl::Duration> retry_after) {
  std::vector<absl::Duration> delays;
  for (int i = 1; i <= count; ++i) delays.push_back(RetryDelay(i, retry_after, random));
  return delays;
}

TEST(RetryDelayTest, DoublesFromATenthOfASecondToFiveSeconds) {
  // Just below the whole of it; exact with a random number that cannot be reached.
  EXPECT_THAT(
      Delays(9, 1.0, std::nullopt),
      ElementsAre(absl::Milliseconds(100), absl::Milliseconds(200), absl::Milliseconds(400),
                  absl::Milliseconds(800), absl::Milliseconds(1600), absl::Milliseconds(3200),
                  absl::Seconds(5), absl::Seconds(5), absl::Seconds(5)));
}

TEST(RetryDelayTest, JitterTakesAwayUpToOneHalf) {
  EXPECT_THAT(
      Delays(3, 0.0, std::nullopt),
      ElementsAre(absl::Milliseconds(50), absl::Milliseconds(100), absl::Milliseconds(200)));
  EXPECT_EQ(RetryDelay(1, std::nullopt, 0.5), absl::Milliseconds(75));
}

TEST(RetryDelayTest, WhatTheServerAskedForIsWaitedInFull) {
  EXPECT_EQ(RetryDelay(1, absl::Seconds(2), 0.0), absl::Seconds(2));
  EXPECT_EQ(RetryDelay(1, absl::Seconds(2), 0.5), absl::Milliseconds(2100));
}

TEST(RetryDelayTest, AServerThatAsksForNothingStillGetsTheBackoff) {
  EXPECT_EQ(RetryDelay(4, absl::ZeroDuration(), 0.0), absl::Milliseconds(400));
}

TEST(RetryDelayTest, ManyFailuresDoNotOverflow) {
  EXPECT_EQ(RetryDelay(1'000'000'000, std::nullopt, 0.0), absl::Milliseconds(2500));
}

}  // namespace
}  // namespace gantry::kubernetes
