// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/api/object_splitter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "server/kubernetes/api/json_text.h"

namespace gantry::kubernetes {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// What a list came to, split into items from pieces of `step` bytes.
struct Split {
  std::vector<std::string> items;
  absl::StatusOr<ListMetadata> metadata;
};
Split SplitList(std::string_view body, std::size_t step, std::size_t limit = kMaxObjectBytes) {
  Split split;
  ListSplitter splitter(
      [&](simdjson::padded_string_view item) {
        // Reads the padding, which a sanitizer would object to if it were not there.
        char sum = 0;
        for (std::size_t i = 0; i < JsonText::kPadding; ++i) {
          sum = static_cast<char>(sum ^ *(item.data() + item.size() + i));
        }
        volatile char used = sum;
        (void)used;
        split.items.emplace_back(item);
        return absl::OkStatus();
      },
      limit);
  for (; !body.empty(); body.remove_prefix(std::min(step, body.size()))) {
    if (!splitter.Add(body.substr(0, step))) break;
  }
  split.metadata = splitter.Finish();
  return split;
}

constexpr std::size_t kSteps[] = {1, 2, 3, 7, 64, 1'000'000};

struct ListCase {
  const char* name;
  std::string body;
  std::vector<std::string> items;
  std::string resource_version;
  std::string continue_token;
};
void PrintTo(const ListCase& test, std::ostream* out) { *out << test.name; }

class ListTest : public ::testing::TestWithParam<ListCase> {};

TEST_P(ListTest, IsCutIntoItsItems) {
  for (const std::size_t step : kSteps) {
    const Split split = SplitList(GetParam().body, step);
    ASSERT_TRUE(split.metadata.ok()) << split.metadata.status() << " in pieces of " << step;
    EXPECT_THAT(split.items, ElementsAreArray(GetParam().items)) << "in pieces of " << step;
    EXPECT_EQ(split.metadata->resource_version, GetParam().resource_version);
    EXPECT_EQ(split.metadata->continue_token, GetParam().continue_token);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, ListTest,
    ::testing::ValuesIn(std::vector<ListCase>{
        {"TwoItems",
         R"({"kind":"L","metadata":{"resourceVersion":"7","continue":"c"},)"
         R"("items":[{"a":1},{"b":[{},[]]}]})",
         {R"({"a":1})", R"({"b":[{},[]]})"},
         "7",
         "c"},
        {"FieldsAfterTheItems",
         R"({"items":[{}],"x":{"items":[{}]},"metadata":{"resourceVersion":"7"}})",
         {"{}"},
         "7",
         ""},
        {"NoItems", R"({"items":[],"metadata":{"resourceVersion":"7"}})", {}, "7", ""},
        {"NullItems", R"({"items":null,"metadata":{"resourceVersion":"7"}})", {}, "7", ""},
        {"NullItemsAtTheEnd", R"({"metadata":{},"items": null })", {}, "", ""},
        {"BlanksEverywhere",
         " \r\n{ \"items\" :\t[ \n{ \"a\" : 1 } , {} \n] , \"metadata\" : { } } \n",
         {"{ \"a\" : 1 }", "{}"},
         "",
         ""},
        {"BracketsAndQuotesInStrings",
         R"({"items":[{"a":"]}[{\"\\","\"{":"\\\\"},{"b":"\\"}],"metadata":{"x":"\"]}"}})",
         {R"({"a":"]}[{\"\\","\"{":"\\\\"})", R"({"b":"\\"})"},
         "",
         ""},
        {"ItemsInsideOtherFields",
         R"({"x":{"items":[{"no":1}]},"items":[{"yes":1}],"y":["items",[{}]],)"
         R"("kind":"items","metadata":{"items":[{"no":1}]}})",
         {R"({"yes":1})"},
         "",
         ""},
        {"EscapedMetadata",
         R"({"items":[],"metadata":{"continue":"a\"b\u002f","resourceVersion":"\\"}})",
         {},
         "\\",
         "a\"b/"},
        {"NotAscii",
         "{\"items\":[{\"a\":\"\xc3\xa4\"}],\"metadata\":{}}",
         {"{\"a\":\"\xc3\xa4\"}"},
         "",
         ""},
    }),
    [](const auto& test) { return test.param.name; });

struct BadListCase {
  const char* name;
  std::string body;
  std::string message;
};
void PrintTo(const BadListCase& test, std::ostream* out) { *out << test.name; }

class BadListTest : public ::testing::TestWithParam<BadListCase> {};

TEST_P(BadListTest, IsAnError) {
  for (const std::size_t step : kSteps) {
    const Split split = SplitList(GetParam().body, step);
    EXPECT_TRUE(absl::IsInvalidArgument(split.metadata.status())) << "in pieces of " << step;
    EXPECT_THAT(std::string(split.metadata.status().message()), HasSubstr(GetParam().message));
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, BadListTest,
    ::testing::ValuesIn(std::vector<BadListCase>{
        {"Empty", "", "is empty"},
        {"Blank", " \n", "is empty"},
        {"Html", "<html>", "it is no object"},
        {"Array", "[{}]", "it is no object"},
        {"StrayEnd", "}", "it is no object"},
        {"MoreAfterIt", R"({"items":[],"metadata":{}} {})", "goes on after its end"},
        {"EndsInAString", R"({"items":[{"a":"x)", "ends in the middle"},
        {"EndsInAnItem", R"({"items":[{"a":1)", "ends in the middle"},
        {"EndsBetweenItems", R"({"items":[{"a":1},)", "ends in the middle"},
        {"EndsAfterTheItems", R"({"items":[{"a":1}])", "not a list in JSON"},
        {"EndsInTheMetadata", R"({"items":[],"metadata":{)", "not a list in JSON"},
        {"NoItems", R"({"metadata":{}})", "not a list in JSON"},
        {"ItemsAnObject", R"({"items":{},"metadata":{}})", "not a list in JSON"},
        {"NoMetadata", R"({"items":[]})", "not a list in JSON"},
        {"MetadataAnArray", R"({"items":[],"metadata":[]})", "not a list in JSON"},
        {"ContinueANumber", R"({"items":[],"metadata":{"continue":7}})", "not a list in JSON"},
        {"ItemANumber", R"({"items":[7],"metadata":{}})", "an item is no object"},
        {"ItemNull", R"({"items":[null],"metadata":{}})", "an item is no object"},
        {"ItemAnArray", R"({"items":[[]],"metadata":{}})", "an item is no object"},
        {"CommaAtTheEnd", R"({"items":[{},],"metadata":{}})", "an item is no object"},
        {"CommaAtTheBeginning", R"({"items":[,{}],"metadata":{}})", "an item is no object"},
        {"NoComma", R"({"items":[{}{}],"metadata":{}})", "no comma"},
        {"NotUtf8", "{\"items\":[{\"a\":\"\xff\"}],\"metadata\":{}}", "not UTF-8"},
        {"MetadataNotUtf8", "{\"items\":[],\"metadata\":{\"a\":\"\xff\"}}", "not a list in JSON"},
    }),
    [](const auto& test) { return test.param.name; });

TEST(ListSplitterTest, AnItemMayHaveTheLimitAndNoMore) {
  const std::string body = R"({"items":[{"a":"1234"}],"metadata":{}})";
  for (const std::size_t step : kSteps) {
    EXPECT_THAT(SplitList(body, step, 27).items, ElementsAre(R"({"a":"1234"})"));
    EXPECT_THAT(SplitList(body, step, 12).items, ElementsAre(R"({"a":"1234"})"));
    const Split split = SplitList(body, step, 11);
    EXPECT_THAT(split.items, IsEmpty());
    EXPECT_THAT(std::string(split.metadata.status().message()),
                HasSubstr("has an item of more than 11 bytes"));
  }
}

TEST(ListSplitterTest, TheOtherFieldsAreLimitedToo) {
  const std::string body = R"({"items":[{}],"metadata":{"a":"0123456789"}})";
  for (const std::size_t step : kSteps) {
    EXPECT_THAT(std::string(SplitList(body, step, 30).metadata.status().message()),
                HasSubstr("has fields beside its items of more than 30 bytes"));
  }
}

TEST(ListSplitterTest, WhatIsRefusedEndsTheList) {
  int seen = 0;
  ListSplitter splitter([&](std::string_view) {
    ++seen;
    return absl::DataLossError("enough");
  });
  EXPECT_FALSE(splitter.Add(R"({"items":[{},{}],"metadata":{}})"));
  EXPECT_EQ(seen, 1);
  EXPECT_EQ(splitter.refused(), absl::DataLossError("enough"));
  EXPECT_EQ(splitter.Finish().status(), absl::DataLossError("enough"));
}

std::vector<std::string> SplitLines(std::string_view body, std::size_t step, absl::Status& status,
                                    std::size_t limit = kMaxObjectBytes) {
  std::vector<std::string> lines;
  LineSplitter splitter(
      [&](std::string_view line) {
        lines.emplace_back(line);
        return absl::OkStatus();
      },
      limit);
  for (; !body.empty(); body.remove_prefix(std::min(step, body.size()))) {
    if (!splitter.Add(body.substr(0, step))) break;
  }
  status = splitter.status();
  return lines;
}

TEST(LineSplitterTest, HandsOutWholeLines) {
  for (const std::size_t step : kSteps) {
    absl::Status status;
    EXPECT_THAT(SplitLines("{\"a\":1}\n\n \r\n{}\r\n{\"cut", step, status),
                ElementsAre("{\"a\":1}", "{}\r"));
    EXPECT_TRUE(status.ok());
  }
}

TEST(LineSplitterTest, ALineMayHaveTheLimitAndNoMore) {
  for (const std::size_t step : kSteps) {
    absl::Status status;
    EXPECT_THAT(SplitLines("1234\n12345\n1\n", step, status, 4), ElementsAre("1234"));
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_THAT(std::string(status.message()), HasSubstr("has a line of more than 4 bytes"));
  }
}

TEST(LineSplitterTest, KnowsWhetherALineHasBegun) {
  LineSplitter splitter([](std::string_view) { return absl::OkStatus(); });
  EXPECT_FALSE(splitter.in_line());
  EXPECT_TRUE(splitter.Add("{}\n{"));
  EXPECT_TRUE(splitter.in_line());
  EXPECT_TRUE(splitter.Add("}\n"));
  EXPECT_FALSE(splitter.in_line());
}

TEST(LineSplitterTest, WhatIsRefusedEndsTheWatch) {
  int seen = 0;
  LineSplitter splitter([&](std::string_view) {
    ++seen;
    return absl::DataLossError("enough");
  });
  EXPECT_FALSE(splitter.Add("1\n2\n"));
  EXPECT_FALSE(splitter.Add("3\n"));
  EXPECT_EQ(seen, 1);
  EXPECT_EQ(splitter.status(), absl::DataLossError("enough"));
}

}  // namespace
}  // namespace gantry::kubernetes
