// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/gantryctl/yaml_scalars.h"

namespace gantry::gantryctl {
namespace {

using ::testing::HasSubstr;

nlohmann::json ToJson(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return nullptr;
    case YamlNode::Kind::kBool:
      return node.boolean;
    case YamlNode::Kind::kNumber:
      return node.number;
    case YamlNode::Kind::kString:
      return node.text;
    case YamlNode::Kind::kSequence: {
      nlohmann::json list = nlohmann::json::array();
      for (const auto& item : node.items) list.push_back(ToJson(*item));
      return list;
    }
    case YamlNode::Kind::kMapping: {
      nlohmann::json object = nlohmann::json::object();
      for (const auto& entry : node.entries) object[entry.key] = ToJson(*entry.value);
      return object;
    }
  }
  return "no such kind";
}

std::string RepeatedText(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

struct AcceptedYaml {
  std::string name;
  std::string yaml;
  std::string json;  // of the only document
};

class YamlAcceptTest : public ::testing::TestWithParam<AcceptedYaml> {};

TEST_P(YamlAcceptTest, StandsForThisJson) {
  const YamlResult result = ParseYaml(GetParam().yaml);
  ASSERT_TRUE(result.documents) << result.error.Format("it");
  ASSERT_EQ(result.documents->size(), 1u);
  // By way of text, so that 1 and 1.0 are the same.
  EXPECT_EQ(ToJson(*result.documents->front()), nlohmann::json::parse(GetParam().json));
}

INSTANTIATE_TEST_SUITE_P(
    Cases, YamlAcceptTest,
    ::testing::ValuesIn(std::vector<AcceptedYaml>{
        {"QuotedScalarsAreStrings", R"(["1", 'true', "null", '', "~", "1.5"])",
         R"(["1", "true", "null", "", "~", "1.5"])"},
        {"Nulls", "a: null\nb: Null\nc: NULL\nd: ~\ne:\n",
         R"({"a":null,"b":null,"c":null,"d":null,"e":null})"},
        {"Booleans", "[true, True, TRUE, false, False, FALSE]",
         "[true, true, true, false, false, false]"},
        {"WordsOfOldBooleansAreStrings", "[on, off, yes, no, y, n, Yes, tRUE, nULL]",
         R"(["on","off","yes","no","y","n","Yes","tRUE","nULL"])"},
        {"Integers", "[0, -0, +7, 007, 12, -12, 0x1F, 0o17, 9007199254740992]",
         "[0, 0, 7, 7, 12, -12, 31, 15, 9007199254740992]"},
        {"Floats", "[1.5, -1.5, .5, 1., 1e3, 1.5E-2, +.5e+1]",
         "[1.5, -1.5, 0.5, 1, 1000, 0.015, 5]"},
        {"NotQuiteNumbers",
         "[1_000, 0b11, 1:30, 0x, 0o8, 1e, e5, ., +, -, 1.2.3, 0xg, 2024-01-01, nan, inf, -0x1]",
         R"(["1_000","0b11","1:30","0x","0o8","1e","e5",".","+","-","1.2.3","0xg","2024-01-01",
             "nan","inf","-0x1"])"},
        {"TagsOfTheCoreSchema",
         "[!!str 1, !!int 1, !!int '2', !!float 1, !!bool 'true', !!null '', ! 12, !!str]",
         R"(["1", 1, 2, 1, true, null, "12", ""])"},
        {"TaggedCollections", "!!map {a: !!seq [1]}", R"({"a":[1]})"},
        {"BlockScalars", "a: |\n  x\n  y\nb: >-\n  x\n  y\n", R"({"a":"x\ny\n","b":"x y"})"},
        {"AnchorsAndAliases", "a: &x {k: 1}\nb: *x\nc: [*x, *x]\n",
         R"({"a":{"k":1},"b":{"k":1},"c":[{"k":1},{"k":1}]})"},
        {"AnAliasOfAScalarAsAKey", "a: &x k\nb: {*x : 1}\n", R"({"a":"k","b":{"k":1}})"},
        {"MergeKeys", "a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  k: 3\n",
         R"({"a":{"k":1,"l":2},"b":{"k":3,"l":2}})"},
        {"MergeKeyAfterTheOthers", "a: &x {k: 1, l: 2}\nb:\n  k: 3\n  <<: *x\n",
         R"({"a":{"k":1,"l":2},"b":{"k":3,"l":2}})"},
        {"OfSeveralMergesTheFirstCounts", "a: &x {k: 1}\nb: &y {k: 2, l: 2}\nc:\n  <<: [*x, *y]\n",
         R"({"a":{"k":1},"b":{"k":2,"l":2},"c":{"k":1,"l":2}})"},
        {"AQuotedMergeKeyIsAKey", R"({"<<": 1})", R"({"<<": 1})"},
        {"Json", "{\n\t\"a\": [1, 2.5, true, null, \"x\\n\\u00e9\\/\"],\n\t\"b\":{}\n}\n",
         R"({"a":[1,2.5,true,null,"x\né/"],"b":{}})"},
        {"JsonSurrogatePairs", R"({"\ud83d\ude00":"a\\ud83d\\ude00\uD83D\uDE00"})",
         R"({"\ud83d\ude00":"a\\ud83d\\ude00\uD83D\uDE00"})"},
        {"UnicodeAndItsMark",
         "\xef\xbb\xbf"
         "a: \xc3\xa9\n",
         R"({"a":"é"})"},
        {"AnEmptyKey", R"({"": 1})", R"({"": 1})"},
        {"EmptyDocumentsAround", "---\n---\na: 1\n---\n...\n", R"({"a":1})"},
        {"Directives", "%YAML 1.2\n---\na: 1\n", R"({"a":1})"},
        {"CommentsAndBlanks", "# first\n\na: 1 # second\n\n", R"({"a":1})"},
        {"WindowsLineEnds", "a: 1\r\nb:\r\n- x\r\n", R"({"a":1,"b":["x"]})"},
        {"AsDeepAsAllowed", RepeatedText("[", 90) + RepeatedText("]", 90),
         RepeatedText("[", 90) + RepeatedText("]", 90)},
    }),
    [](const auto& test) { return test.param.name; });

struct RefusedYaml {
  std::string name;
  std::string yaml;
  int line;
  int column;
  std::string says;
};

class YamlRefuseTest : public ::testing::TestWithParam<RefusedYaml> {};

TEST_P(YamlRefuseTest, SaysWhereAndWhy) {
  const YamlResult result = ParseYaml(GetParam().yaml);
  ASSERT_FALSE(result.documents);
  EXPECT_EQ(result.error.line, GetParam().line) << result.error.text;
  EXPECT_EQ(result.error.column, GetParam().column) << result.error.text;
  EXPECT_THAT(result.error.text, HasSubstr(GetParam().says));
}

// Nine levels of ten aliases each.
std::string Bomb() {
  std::string yaml = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    absl::StrAppend(&yaml, "a", i, ": &a", i, " [");
    for (int j = 0; j < 10; ++j) absl::StrAppend(&yaml, j == 0 ? "" : ", ", "*a", i - 1);
    yaml += "]\n";
  }
  return yaml;
}

INSTANTIATE_TEST_SUITE_P(
    Cases, YamlRefuseTest,
    ::testing::ValuesIn(std::vector<RefusedYaml>{
        {"DuplicateKeys", "a: 1\nb:\n  c: 1\n  'c': 2\n", 4, 3, "\"c\" is there twice"},
        {"DuplicateKeysInJson", "{\"a\": 1,\n \"a\": 2}", 2, 2, "\"a\" is there twice"},
        {"TwoMergeKeys", "a: &x {k: 1}\nb:\n  <<: *x\n  <<: *x\n", 4, 3, "twice"},
        {"IntegerKey", "a:\n  1: x\n", 2, 3, "a key must be a string, and this is a number"},
        {"BooleanKey", "true: x\n", 1, 1, "this is a boolean"},
        {"NullKey", "? \n: x\n", 2, 1, "this is null"},
        {"ListKey", "[a]: x\n", 1, 1, "this is a list"},
        {"MergeOfAScalar", "a:\n  <<: 1\n", 2, 3, "<< in this mapping brings a number"},
        {"MergeOfAListOfScalars", "a:\n  <<: [x]\n", 2, 3, "brings a string"},
        {"NotANumberOfJson", "a: .nan\n", 1, 4, "\".nan\" is a number that JSON does not have"},
        {"Infinity", "a: -.Inf\n", 1, 4, "JSON does not have"},
        {"FloatBeyondDouble", "a: 1e999\n", 1, 4, "JSON does not have"},
        {"IntegerBeyondDouble", "a: 9007199254740993000\n", 1, 4, "would lose digits"},
        {"UnknownTag", "a: !secret x\n", 1, 4, "the tag \"!secret\" is not taken"},
        {"Binary", "a: !!binary aGk=\n", 1, 4, "is not taken"},
        {"TagOfAnotherType", "a: !!int x\n", 1, 4, "\"x\" is no int"},
        {"TaggedMapping", "a: !thing {}\n", 1, 4, "the tag \"!thing\" is not taken here"},
        {"UnknownAlias", "a: *x\n", 1, 4, "this is no YAML"},
        {"AliasInItself", "a: &x [1, *x]\n", 1, 11, "refers to a value that contains it"},
        {"AliasBomb", Bomb(), 6, 20, "more than 3 MiB as a message"},
        {"TooDeep", RepeatedText("[", 91) + RepeatedText("]", 91), 1, 91, "more than 90"},
        {"FarTooDeep", RepeatedText("{\"a\":", 100000), 1, 446, "more than 90"},
        {"TooDeepByAliases",
         "a: &x " + RepeatedText("[", 60) + RepeatedText("]", 60) +
             "\nb: " + RepeatedText("[", 31) + "*x" + RepeatedText("]", 31),
         2, 35, "more than 90"},
        {"NotUtf8", "a: 1\nb: \xc3\xa9\xff\n", 2, 5, "the byte 0xff is not UTF-8"},
        {"Utf16",
         std::string("\xff\xfe"
                     "a\0",
                     4),
         1, 1, "0xff"},
        {"TooLarge", std::string(kMaxYamlBytes + 1, ' '), 0, 0, "larger than 3 MiB"},
        {"TooManyValues", "[" + RepeatedText("1,", 270000) + "]", 1, 524288, "more than 3 MiB"},
        {"BadIndentation", "a: b: c\n", 1, 5, "this is no YAML"},
        {"UnclosedQuote", "a: \"x", 1, 6, "this is no YAML"},
        {"UnclosedList", "a: [1, 2", 1, 1, "this is no YAML"},
        {"StrayComma", ",a: 1", 1, 1, "this is no YAML: a value cannot begin like this"},
        {"StrayCommaAfterADocument", "a: 1\n---\n, b\n", 3, 1, "a value cannot begin like this"},
        {"StrayEnd", "}", 1, 1, "this is no YAML"},
        {"LoneSurrogate", R"({"a": "\ud83d"})", 1, 14, "this is no YAML"},
        {"ControlCharactersAreShownHarmless", "\x1b[m: 1\n\x1b[m: 2\n", 2, 1,
         "the key \"\\u001b[m\""},
    }),
    [](const auto& test) { return test.param.name; });

TEST(YamlTest, NothingIsNoDocument) {
  for (const std::string text : {"", "\n\n", "# only words\n", "---\n", "~", "\t"}) {
    const YamlResult result = ParseYaml(text);
    ASSERT_TRUE(result.documents) << text;
    EXPECT_TRUE(result.documents->empty()) << text;
  }
}

TEST(YamlTest, AllDocumentsAreRead) {
  const YamlResult result = ParseYaml("a: 1\n---\nb: 2\n---\nc: 3\n");
  ASSERT_TRUE(result.documents);
  ASSERT_EQ(result.documents->size(), 3u);
  EXPECT_EQ((*result.documents)[1]->line, 3);
}

// Any prefix of a document that uses every feature, and any with one byte changed, gives a tree or
// an error.
TEST(YamlTest, DamagedInputIsAnsweredNotFatal) {
  const std::string whole =
      "%YAML 1.2\n--- # c\na: &x {k: [1, 'two', \"thr\\u00e9e\"], ? l : ~}\n<<: *x\nb: |2-\n  "
      "text\n  more\n? complex\n: - !!str 1\n  - >\n   fold\n...\n--- [*x]\n";
  int answered = 0;
  const auto parse = [&answered](const std::string& text) {
    const YamlResult result = ParseYaml(text);
    if (result.documents || !result.error.text.empty()) ++answered;
  };
  int tried = 0;
  for (std::size_t i = 0; i <= whole.size(); ++i, ++tried) parse(whole.substr(0, i));
  for (const char c : {'\0', '\t', '\n', ' ', '"', '\'', '&', '*', '!', '%', ':',  '-',   '?',
                       '[',  ']',  '{',  '}', ',', '|',  '>', '#', '@', '`', '\\', '\xff'}) {
    for (std::size_t i = 0; i < whole.size(); ++i, ++tried) {
      std::string damaged = whole;
      damaged[i] = c;
      parse(damaged);
    }
  }
  EXPECT_EQ(answered, tried);
}

TEST(YamlTest, PlainScalarsThatAreNoStringsNeedQuotes) {
  for (const std::string text :
       {"", "~", "null", "true", "FALSE", "1", "-1.5", "0x1f", "1e3", ".inf", ".nan"}) {
    EXPECT_TRUE(NeedsQuotes(text)) << text;
  }
  for (const std::string text : {"a", "1.2.3", "0xyz", "nul", "5f3c9d2a"}) {
    EXPECT_FALSE(NeedsQuotes(text)) << text;
  }
}

}  // namespace
}  // namespace gantry::gantryctl
