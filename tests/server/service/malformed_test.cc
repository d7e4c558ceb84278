// SPDX-License-Identifier: Apache-2.0
#include "server/service/malformed.h"

#include <gmock/gmock.h>
#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "gantry/v1/promotion_step_service.pb.h"

namespace gantry::service {
namespace {

using base::ErrorInfo;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;

// A length-delimited field of the wire format; `content` is shorter than 128 bytes or the length
// takes two.
std::string Delimited(int number, const std::string& content) {
  std::string field(1, static_cast<char>(number << 3 | 2));
  std::size_t length = content.size();
  for (; length >= 128; length >>= 7) field += static_cast<char>((length & 127) | 128);
  field += static_cast<char>(length);
  return field + content;
}

// A Struct in which lists are nested `levels` deep.
google::protobuf::Struct Nested(int levels) {
  google::protobuf::Struct object;
  google::protobuf::Value* value = &(*object.mutable_fields())["a"];
  for (int i = 0; i < levels; ++i) value = value->mutable_list_value()->add_values();
  value->set_bool_value(true);
  return object;
}

struct Case {
  std::string name;
  std::string bytes;
  std::vector<std::pair<std::string, std::string>> violations;  // field, part of the description
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

std::string NotUtf8InConfig() {
  return Delimited(6, Delimited(1, Delimited(1, "k\xff") + Delimited(2, "")));
}

class DescribeMalformedTest : public ::testing::TestWithParam<Case> {};

TEST_P(DescribeMalformedTest, NamesWhatIsAtFault) {
  const google::protobuf::LogSilencer quiet;
  const Case& c = GetParam();
  v1::RunStepRequest request;
  ASSERT_FALSE(request.ParseFromString(c.bytes)) << "not malformed at all";
  const auto violations = DescribeMalformed(c.bytes, v1::RunStepRequest::default_instance());
  ASSERT_EQ(violations.size(), c.violations.size());
  for (std::size_t i = 0; i < violations.size(); ++i) {
    EXPECT_EQ(violations[i].field, c.violations[i].first);
    EXPECT_THAT(violations[i].description, HasSubstr(c.violations[i].second));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, DescribeMalformedTest,
    ::testing::Values(
        Case{"StringNotUtf8", Delimited(1, "p\xff"), {{"project", "not UTF-8"}}},
        Case{"SeveralFields",
             Delimited(1, "\xff") + Delimited(2, "fine") + Delimited(3, "\xc3") + NotUtf8InConfig(),
             {{"project", "not UTF-8"}, {"promotion", "not UTF-8"}, {"config", "is no "}}},
        Case{"AFieldGivenTwiceIsNamedOnce",
             Delimited(7, "\xff") + Delimited(7, "\xfe"),
             {{"actor", "not UTF-8"}}},
        Case{"StructNotUtf8", NotUtf8InConfig(), {{"config", "google.protobuf.Struct"}}},
        Case{"StructTooDeep",
             Delimited(6, Nested(200).SerializeAsString()),
             {{"config", "nested deeper than 100 levels"}}},
        Case{"PreviousOutputTooDeep",
             Delimited(8, Nested(200).SerializeAsString()),
             {{"previous_output", "nested deeper than 100 levels"}}},
        // The least depth that fails inside the request, but not as a message of its own.
        Case{"StructJustTooDeep",
             Delimited(6, Nested(49).SerializeAsString()),
             {{"config", "nested deeper than 100 levels"}}},
        Case{"DurationMalformed", Delimited(9, "\x08"), {{"wait", "google.protobuf.Duration"}}},
        Case{"CutOffInAString",
             Delimited(1, "p") + "\x12\x05"
                                 "ab",
             {{"", "begins at byte 3"}}},
        Case{"CutOffAfterATag", Delimited(1, "p") + "\x12", {{"", "begins at byte 3"}}},
        Case{"CutOffInAVarint", "\x50\x80", {{"", "begins at byte 0"}}},
        Case{"FieldNumberZero", std::string("\x02\x00", 2), {{"", "begins at byte 0"}}},
        Case{"TagZero", std::string("\x00", 1), {{"", "begins at byte 0"}}},
        Case{"UnknownWireType", "\x0f", {{"", "begins at byte 0"}}},
        Case{"EndOfAGroupThatNeverBegan", "\x0c", {{"", "begins at byte 0"}}},
        Case{"LengthBeyondAllBytes", "\x0a\xff\xff\xff\xff\x07", {{"", "begins at byte 0"}}},
        Case{"LengthNegative", "\x0a\xff\xff\xff\xff\x0f", {{"", "begins at byte 0"}}},
        Case{"NotUtf8BeforeTheCut",
             Delimited(1, "\xff") + "\x12",
             {{"project", "not UTF-8"}, {"", "begins at byte 3"}}},
        Case{"Text", "GET / HTTP/1.1\r\n", {{"", "are no gantry.v1.RunStepRequest"}}}),
    [](const auto& c) { return c.param.name; });

TEST(DescribeMalformed, NeverEmptyForAnyTwoBytesThatAreRefused) {
  int refused = 0;
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const std::string bytes{static_cast<char>(a), static_cast<char>(b)};
      v1::RunStepRequest request;
      if (request.ParseFromString(bytes)) continue;
      ++refused;
      ASSERT_FALSE(DescribeMalformed(bytes, v1::RunStepRequest::default_instance()).empty());
    }
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace gantry::service
