// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/watch/watch_event.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/kubernetes/api/json_text.h"

namespace gantry::kubernetes {
namespace {

using ::testing::HasSubstr;

struct LineCase {
  const char* name;
  std::string line;
  WatchEvent::Type type;
  std::string object;
};
void PrintTo(const LineCase& test, std::ostream* out) { *out << test.name; }

class LineTest : public ::testing::TestWithParam<LineCase> {};

TEST_P(LineTest, IsReadWithoutCopying) {
  const JsonText text(GetParam().line);
  const std::string_view line = text.text();
  WatchEventReader reader;
  const auto event = reader.Read(text.padded());
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_EQ(event->type, GetParam().type);
  EXPECT_EQ(event->object, GetParam().object);
  EXPECT_GE(event->object.data(), line.data());
  EXPECT_LE(event->object.data() + event->object.size(), line.data() + line.size());
}

INSTANTIATE_TEST_SUITE_P(
    All, LineTest,
    ::testing::ValuesIn(std::vector<LineCase>{
        {"Added", R"({"type":"ADDED","object":{"a":[1,{}]}})", WatchEvent::Type::kAdded,
         R"({"a":[1,{}]})"},
        {"Modified", R"({"type":"MODIFIED","object":{}})", WatchEvent::Type::kModified, "{}"},
        {"Deleted", R"({"type":"DELETED","object":{}})", WatchEvent::Type::kDeleted, "{}"},
        {"Bookmark", R"({"type":"BOOKMARK","object":{}})", WatchEvent::Type::kBookmark, "{}"},
        {"Error", R"({"type":"ERROR","object":{"code":410}})", WatchEvent::Type::kError,
         R"({"code":410})"},
        {"ObjectFirst", R"({"object":{"type":"x"},"type":"ADDED"})", WatchEvent::Type::kAdded,
         R"({"type":"x"})"},
        {"OtherFields", R"({"x":[{}],"type":"ADDED","y":1,"object":{},"z":{"a":2}})",
         WatchEvent::Type::kAdded, "{}"},
        {"Strings", R"({"type":"ADDED","object":{"a":"}}\"{[","b\\":[{"c":"\\\\"}]}})",
         WatchEvent::Type::kAdded, R"({"a":"}}\"{[","b\\":[{"c":"\\\\"}]})"},
        {"FieldsBehind", R"({"type":"ADDED","object":{"a":1},"z":{"b":2}})",
         WatchEvent::Type::kAdded, R"({"a":1})"},
        {"TypeAgain", R"({"type":"ADDED","object":{"a":1},"type":"DELETED"})",
         WatchEvent::Type::kDeleted, R"({"a":1})"},
        {"CarriageReturn", "{\"type\":\"ADDED\",\"object\":{\"a\":1}}\r", WatchEvent::Type::kAdded,
         R"({"a":1})"},
        {"Blanks", " { \"type\" : \"ADDED\" , \"object\" : { \"a\" : 1 } } \r",
         WatchEvent::Type::kAdded, "{ \"a\" : 1 }"},
    }),
    [](const auto& test) { return test.param.name; });

TEST(WatchEventReaderTest, AMalformedLineIsAnErrorThatQuotesIt) {
  WatchEventReader reader;
  for (const std::string line : {"<html>",
                                 "null",
                                 "7",
                                 "[]",
                                 "{}",
                                 "\"x\"",
                                 R"({"type":"ADDED"})",
                                 R"({"object":{}})",
                                 R"({"type":"ADDED","object":[]})",
                                 R"({"type":"ADDED","object":null})",
                                 R"({"type":7,"object":{}})",
                                 R"({"type":"OTHER","object":{}})",
                                 R"({"type":"ADDED","object":{"a":1})",
                                 R"({"type":"ADDED","object":{})",
                                 R"({"type":"ADDED","object":{}} {})",
                                 R"({"type":"ADDED","object":{"a":1}}})",
                                 R"({"type":"ADDED","object":{"a":1}}{}})",
                                 R"({"type":"ADDED","object":{"a":"}}})",
                                 R"({"type":"ADDEDx","object":{}})",
                                 R"({"type":"ADDED","object":{}})"
                                 "}",
                                 "{\"type\":\"ADDED\",\"object\":{\"a\":\"\xff\"}}"}) {
    const auto event = reader.Read(JsonText(line).padded());
    EXPECT_TRUE(absl::IsInvalidArgument(event.status())) << line;
    EXPECT_THAT(std::string(event.status().message()), HasSubstr(": \"" + line.substr(0, 3)));
  }
  EXPECT_TRUE(reader.Read(JsonText(R"({"type":"ADDED","object":{}})").padded()).ok())
      << "it can be used on";
}

TEST(WatchEventReaderTest, ABookmarkSaysWhereTheWatchIs) {
  WatchEventReader reader;
  const auto plain = reader.ReadBookmark(
      JsonText(R"({"kind":"Application","metadata":{"annotations":null,"resourceVersion":"7"}})")
          .padded());
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_EQ(plain->resource_version, "7");
  EXPECT_FALSE(plain->initial_events_end);
  const auto other = reader.ReadBookmark(
      JsonText(
          R"({"metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"no"}}})")
          .padded());
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_FALSE(other->initial_events_end);
}

TEST(WatchEventReaderTest, ABookmarkMayEndTheInitialEvents) {
  WatchEventReader reader;
  const auto bookmark = reader.ReadBookmark(
      JsonText(R"({"metadata":{"annotations":{"a":"b","k8s.io/initial-events-end":"true"},)"
               R"("x":{},"resourceVersion":"7"}})")
          .padded());
  ASSERT_TRUE(bookmark.ok()) << bookmark.status();
  EXPECT_EQ(bookmark->resource_version, "7");
  EXPECT_TRUE(bookmark->initial_events_end);
}

TEST(WatchEventReaderTest, ABookmarkWithoutItsMetadataIsAnError) {
  WatchEventReader reader;
  for (const std::string object :
       {"{}", R"({"metadata":{}})", R"({"metadata":[]})", R"({"metadata":{"resourceVersion":7}})",
        R"({"metadata":{"resourceVersion":""}})",
        R"({"metadata":{"resourceVersion":"7","annotations":{"a":1}}})"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(reader.ReadBookmark(JsonText(object).padded()).status()))
        << object;
  }
}

TEST(WatchEventReaderTest, AnErrorHasACode) {
  WatchEventReader reader;
  EXPECT_EQ(reader.ReadErrorCode(JsonText(R"({"kind":"Status","code":410})").padded()), 410);
  for (const std::string object :
       {"{}", R"({"code":"410"})", R"({"code":200})", R"({"code":99999999999})", "{\"code\""}) {
    EXPECT_EQ(reader.ReadErrorCode(JsonText(object).padded()), 500) << object;
  }
}

}  // namespace
}  // namespace gantry::kubernetes
