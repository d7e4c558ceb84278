// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <gtest/gtest.h>

namespace gantry::base {
namespace {

TEST(TextTest, QuotesWhatAReaderWouldNotSee) {
  const struct {
    const char* name;
    std::string text;
    std::string quoted;
  } cases[] = {
      {"Plain", "two words", R"("two words")"}, {"Empty", "", R"("")"},
      {"Quotes", R"(a"b\c)", R"("a\"b\\c")"},   {"Controls", "a\nb\x1b", R"("a\nb\u001b")"},
      {"NotUtf8", "a\xff", R"("a\xff")"},       {"NoBreakSpace", "a\u00a0b", R"("a\u00a0b")"},
      {"Letters", "prød", "\"prød\""},
  };
  for (const auto& test : cases) {
    EXPECT_EQ(Quote(test.text), test.quoted) << test.name;
    EXPECT_EQ(QuoteWhole(test.text), test.quoted) << test.name;
  }
}

TEST(TextTest, ALongTextIsCutUnlessAllOfItIsAskedFor) {
  EXPECT_EQ(Quote("äbcd", 3), "\"äbc…\"");
  EXPECT_EQ(Quote("äbc", 3), "\"äbc\"");
  const std::string text(300, 'x');
  EXPECT_EQ(QuoteWhole(text), "\"" + text + "\"");
}

TEST(TextTest, EditDistanceCountsTypingErrors) {
  const struct {
    const char* name;
    std::string left;
    std::string right;
    std::size_t distance;
  } cases[] = {
      {"Same", "prod", "prod", 0},        {"Inserted", "prod", "prood", 1},
      {"Deleted", "prod", "pod", 1},      {"Replaced", "prod", "brod", 1},
      {"Swapped", "prod", "prdo", 1},     {"SwappedAndReplaced", "prod", "prda", 2},
      {"Empty", "", "prod", 4},           {"BothEmpty", "", "", 0},
      {"NothingInCommon", "ab", "cd", 2},
  };
  for (const auto& test : cases) {
    EXPECT_EQ(EditDistance(test.left, test.right), test.distance) << test.name;
    EXPECT_EQ(EditDistance(test.right, test.left), test.distance) << test.name;
  }
}

TEST(TextTest, NearNamesAreWhatMayHaveBeenMeant) {
  const struct {
    const char* name;
    std::string wanted;
    std::vector<std::string> names;
    std::vector<std::string> near;
  } cases[] = {
      {"Swapped", "shop/prdo", {"shop/prod", "shop/test"}, {"shop/prod"}},
      {"Missing", "shop/pod", {"shop/prod"}, {"shop/prod"}},
      {"Superfluous", "shopp/prod", {"shop/prod"}, {"shop/prod"}},
      {"Wrong", "shop/brod", {"shop/prod"}, {"shop/prod"}},
      {"AThirdMayDiffer", "abcdef", {"abcdxy", "abcxyz"}, {"abcdxy"}},
      {"LongerByTooMuch", "abc", {"abcde"}, {}},
      {"ShorterByTooMuch", "abcdef", {"abc"}, {}},
      {"TheNearestFirst", "prod-1", {"prad-2", "prod-3", "prod-2"}, {"prod-2", "prod-3", "prad-2"}},
      {"AtMostThree", "a1", {"a2", "a3", "a4", "a5"}, {"a2", "a3", "a4"}},
      {"OneCharacter", "a", {"b", ""}, {"", "b"}},
      {"NoNames", "shop/prod", {}, {}},
  };
  for (const auto& test : cases)
    EXPECT_EQ(NearNames(test.wanted, test.names), test.near) << test.name;
}

TEST(TextTest, UtcTimesAreAsKubernetesWritesThem) {
  EXPECT_EQ(UtcTime(absl::UnixEpoch()), "1970-01-01T00:00:00Z");
  EXPECT_EQ(UtcTime(absl::FromUnixMillis(1'772'366'400'999)), "2026-03-01T12:00:00Z");
}

}  // namespace
}  // namespace gantry::base
