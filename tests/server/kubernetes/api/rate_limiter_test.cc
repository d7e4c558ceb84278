// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/api/rate_limiter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "server/kubernetes/api/error.h"
#include "tests/server/kubernetes/fakes.h"

namespace gantry::kubernetes {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class RateLimiterTest : public ::testing::Test {
 protected:
  FakeClock clock_;
  FakeSleeper sleeper_{clock_};
  base::Context context_;
};

TEST_F(RateLimiterTest, ABurstGoesThroughAtOnceAndThenOneEachInterval) {
  RateLimiter limiter(10, 3, clock_, sleeper_);
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(limiter.Acquire(context_).ok());
  EXPECT_THAT(sleeper_.delays, ElementsAre(absl::Milliseconds(100), absl::Milliseconds(100),
                                           absl::Milliseconds(100)));
}

TEST_F(RateLimiterTest, ThePassingOfTimeFillsTheBucketUpToTheBurst) {
  RateLimiter limiter(10, 3, clock_, sleeper_);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(limiter.Acquire(context_).ok());
  clock_.Advance(absl::Hours(1));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(limiter.Acquire(context_).ok());
  EXPECT_THAT(sleeper_.delays, IsEmpty());
  ASSERT_TRUE(limiter.Acquire(context_).ok());
  EXPECT_THAT(sleeper_.delays, ElementsAre(absl::Milliseconds(100)));
}

// Those who come while others wait get later turns, in the order in which they came.
TEST_F(RateLimiterTest, TurnsAreGivenInTheOrderOfComing) {
  RateLimiter limiter(1, 1, clock_, sleeper_);
  ASSERT_TRUE(limiter.Acquire(context_).ok());
  int depth = 0;
  sleeper_.before_waking = [&] {
    if (++depth < 3) {
      EXPECT_TRUE(limiter.Acquire(context_).ok());
    }
  };
  ASSERT_TRUE(limiter.Acquire(context_).ok());
  EXPECT_THAT(sleeper_.delays, ElementsAre(absl::Seconds(1), absl::Seconds(2), absl::Seconds(3)));
}

TEST_F(RateLimiterTest, ATurnAfterTheDeadlineIsRefusedAtOnce) {
  RateLimiter limiter(0.001, 1, clock_, sleeper_);
  ASSERT_TRUE(limiter.Acquire(context_).ok());
  base::Context impatient(absl::Seconds(10));
  const absl::Status status = limiter.Acquire(impatient);
  EXPECT_EQ(KindOf(status), ErrorKind::kDeadlineExceeded);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--kube-qps"));
  EXPECT_EQ(DetailOf(status).retry_after, absl::Seconds(1000));
  EXPECT_THAT(sleeper_.delays, IsEmpty());
}

TEST_F(RateLimiterTest, ARefusedCallTakesNobodysTurn) {
  RateLimiter limiter(0.001, 1, clock_, sleeper_);
  ASSERT_TRUE(limiter.Acquire(context_).ok());
  base::Context impatient(absl::Seconds(10));
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(limiter.Acquire(impatient).ok());
  ASSERT_TRUE(limiter.Acquire(context_).ok());
  EXPECT_THAT(sleeper_.delays, ElementsAre(absl::Seconds(1000)));
}

TEST_F(RateLimiterTest, ACancelledWaitGivesItsTurnBack) {
  RateLimiter limiter(1, 1, clock_, sleeper_);
  ASSERT_TRUE(limiter.Acquire(context_).ok());
  base::Context cancelled;
  sleeper_.before_waking = [&] { cancelled.Cancel(); };
  EXPECT_EQ(KindOf(limiter.Acquire(cancelled)), ErrorKind::kCancelled);
  sleeper_.before_waking = nullptr;
  ASSERT_TRUE(limiter.Acquire(context_).ok());
  EXPECT_THAT(sleeper_.delays, ElementsAre(absl::Seconds(1), absl::Seconds(1)));
}

TEST_F(RateLimiterTest, WithoutALimitNobodyWaits) {
  for (const double qps : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    RateLimiter limiter(qps, 1, clock_, sleeper_);
    for (int i = 0; i < 1000; ++i) ASSERT_TRUE(limiter.Acquire(context_).ok());
  }
  EXPECT_THAT(sleeper_.delays, IsEmpty());
}

TEST_F(RateLimiterTest, ABurstBelowOneIsOne) {
  RateLimiter limiter(10, 0, clock_, sleeper_);
  ASSERT_TRUE(limiter.Acquire(context_).ok());
  EXPECT_THAT(sleeper_.delays, IsEmpty());
  ASSERT_TRUE(limiter.Acquire(context_).ok());
  EXPECT_THAT(sleeper_.delays, ElementsAre(absl::Milliseconds(100)));
}

}  // namespace
}  // namespace gantry::kubernetes
