// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/api/json_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/kubernetes/api/error.h"

namespace gantry::kubernetes {
namespace {

using ::testing::HasSubstr;

TEST(JsonTextTest, IsReadWhereItStandsWhateverItsSize) {
  for (const std::size_t size : {0U, 1U, 15U, 16U, 63U, 64U, 4096U}) {
    JsonText text("\"" + std::string(size, 'x') + "\"");
    const JsonText moved = std::move(text);
    simdjson::ondemand::parser parser;
    simdjson::ondemand::document document;
    ASSERT_EQ(parser.iterate(moved.padded()).get(document), simdjson::SUCCESS);
    EXPECT_EQ(std::string_view(document.get_string()), std::string(size, 'x'));
    EXPECT_EQ(moved.text().size(), size + 2);
  }
}

TEST(WhyUnreadableTest, WhatIsNoJsonIsTheServersFault) {
  const absl::Status why = absl::InvalidArgumentError("the Application has no name");
  for (const char* text : {"", "{", "{\"a\":}", "{} {}", "{\"a\":\"\xff\"}"}) {
    const absl::Status status = WhyUnreadable(JsonText(text).padded(), why);
    EXPECT_EQ(KindOf(status), ErrorKind::kMalformedResponse) << text;
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("the Application has no name"));
  }
}

TEST(WhyUnreadableTest, WhatIsWrongWithAnObjectIsSaidByItsReader) {
  const absl::Status why = absl::InvalidArgumentError("the Application has no name");
  EXPECT_EQ(WhyUnreadable(JsonText(R"({"a": 1})").padded(), why), why);
}

}  // namespace
}  // namespace gantry::kubernetes
