// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <string>

#include "gantry/v1/step.pb.h"
#include "tests/verdicts/random_case.h"
#include "tests/verdicts/summary.h"

namespace gantry::verdicts {
namespace {

using ::testing::IsEmpty;

constexpr std::uint64_t kSeed = 7;
constexpr std::uint64_t kCases = 1000;

// Also that looking changes nothing: the verdicts with the further calls are those without.
TEST(VerdictsTest, InvariantsHoldAndTheSameSeedGivesTheSameBytes) {
  Summary summary;
  for (std::uint64_t number = 0; number < kCases; ++number) {
    const CaseResult checked = RunCase(kSeed, number, {.whole = true, .check = true});
    ASSERT_THAT(checked.violations, IsEmpty());
    summary.Add(checked.verdicts);
    if (number % 4 != 0) continue;
    const CaseResult again = RunCase(kSeed, number, {.whole = true, .check = false});
    ASSERT_EQ(checked.verdicts.dump(), again.verdicts.dump());
  }
  // The cases reach every reason there is, so each rule is among what is compared.
  const auto* reasons = v1::StepReason_descriptor();
  for (int i = 0; i < reasons->value_count(); ++i) {
    EXPECT_GT(summary.cases_with("reason " + reasons->value(i)->name()), 0)
        << reasons->value(i)->name();
  }
}

TEST(VerdictsTest, OtherSeedsAndOtherNumbersAreOtherCases) {
  const std::string one = RunCase(kSeed, 1, {.whole = true}).verdicts["calls"].dump();
  EXPECT_NE(one, RunCase(kSeed, 2, {.whole = true}).verdicts["calls"].dump());
  EXPECT_NE(one, RunCase(kSeed + 1, 1, {.whole = true}).verdicts["calls"].dump());
}

}  // namespace
}  // namespace gantry::verdicts
