// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <gtest/gtest.h>

#include <set>

#include "base/random.h"

namespace gantry::base {
namespace {

TEST(SystemClockTest, TimeSinceBootNeverGoesBack) {
  const absl::Duration first = SystemClock().SinceBoot();
  EXPECT_GT(first, absl::ZeroDuration());
  EXPECT_GE(SystemClock().SinceBoot(), first);
}

TEST(SystemClockTest, TheWallClockIsThatOfThisCentury) {
  EXPECT_GT(SystemClock().Now(), absl::FromCivil(absl::CivilYear(2020), absl::UTCTimeZone()));
}

TEST(SystemRandomTest, IsUniformInTheUnitIntervalAndVaries) {
  std::set<double> seen;
  for (int i = 0; i < 1000; ++i) {
    const double value = SystemRandom().Uniform();
    EXPECT_GE(value, 0.0);
    EXPECT_LT(value, 1.0);
    seen.insert(value);
  }
  EXPECT_GT(seen.size(), 900u);
  EXPECT_LT(*seen.begin(), 0.1);
  EXPECT_GT(*seen.rbegin(), 0.9);
}

}  // namespace
}  // namespace gantry::base
