// SPDX-License-Identifier: Apache-2.0
#include "base/retry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace gantry::base {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class RetryTest : public ::testing::Test {
 protected:
  class FixedRandom final : public Random {
   public:
    double Uniform() override { return value; }
    double value = 0.5;
  };
  class RecordingSleeper final : public Sleeper {
   public:
    absl::Status Sleep(absl::Duration duration, Context& context) override {
      delays.push_back(duration);
      return context.Check();
    }
    std::vector<absl::Duration> delays;
  };

  // Attempts that end as given, the last one again and again.
  absl::StatusOr<AttemptOutcome> Retry(std::vector<absl::StatusOr<AttemptOutcome>> outcomes) {
    return RetryOnConflict({.attempts = 4, .first_delay = absl::Milliseconds(10)}, random_,
                           sleeper_, context_, [&]() -> absl::StatusOr<AttemptOutcome> {
                             ++made_;
                             return outcomes[std::min(made_, outcomes.size()) - 1];
                           });
  }

  FixedRandom random_;
  RecordingSleeper sleeper_;
  Context context_;
  std::size_t made_ = 0;
};

TEST_F(RetryTest, WhatIsDoneAtOnceIsNotRepeated) {
  EXPECT_EQ(*Retry({AttemptOutcome::kDone}), AttemptOutcome::kDone);
  EXPECT_EQ(made_, 1U);
  EXPECT_THAT(sleeper_.delays, IsEmpty());
}

TEST_F(RetryTest, TheDelayDoubles) {
  EXPECT_EQ(*Retry({AttemptOutcome::kConflict, AttemptOutcome::kConflict, AttemptOutcome::kConflict,
                    AttemptOutcome::kDone}),
            AttemptOutcome::kDone);
  EXPECT_THAT(sleeper_.delays,
              ElementsAre(absl::Milliseconds(10), absl::Milliseconds(20), absl::Milliseconds(40)));
}

TEST_F(RetryTest, TheDelayIsJittered) {
  random_.value = 0.0;
  (void)Retry({AttemptOutcome::kConflict, AttemptOutcome::kDone});
  random_.value = 0.75;
  made_ = 0;
  (void)Retry({AttemptOutcome::kConflict, AttemptOutcome::kDone});
  EXPECT_THAT(sleeper_.delays, ElementsAre(absl::Milliseconds(5), absl::Microseconds(12'500)));
}

TEST_F(RetryTest, ItEndsWithTheLastAttempt) {
  EXPECT_EQ(*Retry({AttemptOutcome::kConflict}), AttemptOutcome::kConflict);
  EXPECT_EQ(made_, 4U);
  EXPECT_EQ(sleeper_.delays.size(), 3U);
}

TEST_F(RetryTest, AnErrorIsNotRepeated) {
  EXPECT_EQ(Retry({AttemptOutcome::kConflict, absl::DataLossError("broken")}).status(),
            absl::DataLossError("broken"));
  EXPECT_EQ(made_, 2U);
}

TEST_F(RetryTest, ItEndsWithItsContext) {
  context_.Cancel();
  EXPECT_TRUE(absl::IsCancelled(Retry({AttemptOutcome::kConflict}).status()));
  EXPECT_EQ(made_, 1U);
}

}  // namespace
}  // namespace gantry::base
