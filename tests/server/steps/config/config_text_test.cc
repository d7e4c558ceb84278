// SPDX-License-Identifier: Apache-2.0
#include "server/steps/config/config_text.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/text.h"

namespace gantry::steps {
namespace {

using nlohmann::json;

TEST(ConfigTextTest, QuotesOnOneLineOfUtf8) {
  const struct {
    std::string_view name;
    std::string text;
    std::string quoted;
  } cases[] = {
      {"empty", "", "\"\""},
      {"plain", "a b-c/d:e", "\"a b-c/d:e\""},
      {"other scripts", "bücher 書", "\"bücher 書\""},
      {"quotes and backslashes", "a\"b\\c", R"("a\"b\\c")"},
      {"line breaks and tabs", "a\r\n\tb", R"("a\r\n\tb")"},
      {"controls", std::string("\0\x1b[31m\x7f", 7), R"("\u0000\u001b[31m\u007f")"},
      {"C1 controls", "\u0085", R"("\u0085")"},
      {"what reorders text", "a\u202Eb", R"("a\u202eb")"},
      {"what nobody sees", "a\u200Bb\u00A0c", R"("a\u200bb\u00a0c")"},
      {"beyond the basic plane", "\U0001F600\U000E0041", "\"\U0001F600\\U000e0041\""},
      {"lone bytes", "a\xff\x80z", R"("a\xff\x80z")"},
      {"cut-off sequence", "a\xe2\x80", R"("a\xe2\x80")"},
      {"60 characters", std::string(60, 'x'), "\"" + std::string(60, 'x') + "\""},
      {"61 characters", std::string(61, 'x'), "\"" + std::string(60, 'x') + "…\""},
      {"a megabyte", std::string(1 << 20, '\n'),
       [] {
         std::string breaks;
         for (int i = 0; i < 60; ++i) breaks += "\\n";
         return "\"" + breaks + "…\"";
       }()},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(base::Quote(c.text), c.quoted) << c.name;
    EXPECT_TRUE(CountCharacters(base::Quote(c.text)).has_value()) << c.name;
  }
}

TEST(ConfigTextTest, DescribesValues) {
  const struct {
    std::string_view name;
    json value;
    std::string_view description;
  } cases[] = {
      {"null", nullptr, "null"},
      {"true", true, "true"},
      {"false", false, "false"},
      {"integer", 5, "the number 5"},
      {"unsigned", std::numeric_limits<uint64_t>::max(), "the number 18446744073709551615"},
      {"integer as a double", 5.0, "the number 5"},
      {"negative integer as a double", -12.0, "the number -12"},
      {"negative zero", -0.0, "the number 0"},
      {"fraction", 1.1, "the number 1.1"},
      {"2^53", 9007199254740992.0, "the number 9007199254740992"},
      {"huge", 1e300, "the number 1e+300"},
      {"tiny", 5e-324, "the number 5e-324"},
      {"not a number", std::numeric_limits<double>::quiet_NaN(), "the number NaN"},
      {"infinite", std::numeric_limits<double>::infinity(), "the number Infinity"},
      {"negative infinite", -std::numeric_limits<double>::infinity(), "the number -Infinity"},
      {"empty string", "", "an empty string"},
      {"string", "a\nb", R"(the string "a\nb")"},
      {"empty list", json::array(), "an empty list"},
      {"one item", json::array({1}), "a list of 1 item"},
      {"items", json::array({1, 2}), "a list of 2 items"},
      {"empty object", json::object(), "an empty object"},
      {"one field", {{"a", 1}}, "an object with 1 field"},
      {"fields", {{"a", 1}, {"b", 2}}, "an object with 2 fields"},
      {"binary", json::binary({1, 2}), "a value that JSON does not have"},
      {"discarded", json(json::value_t::discarded), "a value that JSON does not have"},
  };
  for (const auto& c : cases) EXPECT_EQ(DescribeValue(c.value), c.description) << c.name;
}

TEST(ConfigTextTest, JoinsAndCounts) {
  EXPECT_EQ(base::Join({}, "or"), "");
  EXPECT_EQ(base::Join({"a"}, "or"), "a");
  EXPECT_EQ(base::Join({"a", "b"}, "or"), "a or b");
  EXPECT_EQ(base::Join({"a", "b", "c"}, "and"), "a, b and c");
  EXPECT_EQ(base::Count(0, "item"), "0 items");
  EXPECT_EQ(base::Count(1, "item"), "1 item");
  EXPECT_EQ(base::Count(2, "item"), "2 items");
}

TEST(ConfigTextTest, FindsTheWordThatWasMeant) {
  const std::vector<std::string> fields = {"chart",     "desiredRevision", "helm",
                                           "kustomize", "repoURL",         "updateTargetRevision"};
  const std::vector<std::string> near = {"tag", "tab", "image"};
  const struct {
    std::string_view name;
    std::string_view word;
    std::vector<std::string> candidates;
    std::string_view meant;  // empty: nothing
  } cases[] = {
      {"letter case", "repoUrl", fields, "repoURL"},
      {"all letters in another case", "DESIREDREVISION", fields, "desiredRevision"},
      {"a letter too many", "charts", fields, "chart"},
      {"a letter missing", "repoUR", fields, "repoURL"},
      {"another letter", "kustomise", fields, "kustomize"},
      {"swapped letters", "desierdRevision", fields, "desiredRevision"},
      {"two errors", "kustomse", fields, "kustomize"},
      {"three errors", "kustmse", fields, ""},
      {"one error in a short word", "helms", fields, "helm"},
      {"two errors in a short word", "heal", fields, ""},
      {"something else", "project", fields, ""},
      {"empty", "", fields, ""},
      {"two are as near", "tax", near, ""},
      {"one is nearer", "Tag", near, "tag"},
      {"one letter for another", "b", {"a"}, ""},
      {"letter case of a short word", "IN", {"In", "NotIn"}, "In"},
      {"nothing to choose from", "tag", {}, ""},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(NearestWord(c.word, c.candidates).value_or(""), c.meant) << c.name;
  }
  EXPECT_EQ(NearestWord(std::string(1 << 20, 'x'), fields), std::nullopt);
}

TEST(ConfigTextTest, CountsCharacters) {
  EXPECT_EQ(CountCharacters(""), 0u);
  EXPECT_EQ(CountCharacters("abc"), 3u);
  EXPECT_EQ(CountCharacters("書ü\U0001F600"), 3u);
  EXPECT_EQ(CountCharacters("a\xff"), std::nullopt);
  EXPECT_EQ(CountCharacters("\xf8\x88\x80\x80\x80"), std::nullopt);
  EXPECT_EQ(CountCharacters("\xf5\x80\x80\x80"), std::nullopt);
}

}  // namespace
}  // namespace gantry::steps
