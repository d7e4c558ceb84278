// SPDX-License-Identifier: Apache-2.0
#include "base/durations.h"

#include <gtest/gtest.h>

namespace gantry::base {
namespace {

struct DurationCase {
  std::string text;
  std::optional<absl::Duration> expected;
};

TEST(DurationsTest, AreReadAsGoWritesThem) {
  const DurationCase table[] = {
      {"90s", absl::Seconds(90)},
      {"300ms", absl::Milliseconds(300)},
      {"1.5s", absl::Milliseconds(1500)},
      {"2m", absl::Minutes(2)},
      {"1h30m", absl::Minutes(90)},
      {"1.5h", absl::Minutes(90)},
      {"500ms", absl::Milliseconds(500)},
      {"1h0m0.5s", absl::Hours(1) + absl::Milliseconds(500)},
      {"7us", absl::Microseconds(7)},
      {"7ns", absl::Nanoseconds(7)},
      {".5s", absl::Milliseconds(500)},
      {"0s", absl::ZeroDuration()},
      {"", std::nullopt},
      {"0", std::nullopt},
      {"90", std::nullopt},
      {"1h30", std::nullopt},
      {"-1s", std::nullopt},
      {"+1s", std::nullopt},
      {"--1s", std::nullopt},
      {"inf", std::nullopt},
      {"-inf", std::nullopt},
      {"s", std::nullopt},
      {"m", std::nullopt},
      {"5 m", std::nullopt},
      {"+5m", std::nullopt},
      {"-5m", std::nullopt},
      {".s", std::nullopt},
      {"1 s", std::nullopt},
      {" 1s", std::nullopt},
      {"1s ", std::nullopt},
      {"1d", std::nullopt},
      {"1e3s", std::nullopt},
      {"0x1s", std::nullopt},
      {"1S", std::nullopt},
      {std::string("1s\0", 3), std::nullopt},
  };
  for (const DurationCase& c : table) EXPECT_EQ(ParseGoDuration(c.text), c.expected) << c.text;
}

TEST(DurationsTest, AreWrittenInWholeSecondsOrMilliseconds) {
  EXPECT_EQ(FormatGoDuration(absl::ZeroDuration()), "0s");
  EXPECT_EQ(FormatGoDuration(absl::Milliseconds(1250)), "1s");
  EXPECT_EQ(FormatGoDuration(absl::Microseconds(250900)), "250ms");
  EXPECT_EQ(FormatGoDuration(absl::Seconds(3690)), "1h1m30s");
}

}  // namespace
}  // namespace gantry::base
