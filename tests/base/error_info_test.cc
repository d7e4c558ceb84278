// SPDX-License-Identifier: Apache-2.0
#include "base/error_info.h"

#include <gtest/gtest.h>

#include <string>

namespace gantry::base {
namespace {

TEST(ErrorInfoTest, EverythingComesBack) {
  ErrorInfo info;
  info.reason = "CACHE_NOT_FILLED";
  info.metadata = {{"project", "kargo-demo"}, {"stage", "prod"}};
  info.retry_delay = absl::Milliseconds(1500);
  info.field_violations = {{"project", "is required"}, {"steps[0].uses", "names no step"}};
  const absl::Status status = WithErrorInfo(absl::UnavailableError("not yet"), info);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "not yet");

  const auto read = ErrorInfoOf(status);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->reason, info.reason);
  EXPECT_EQ(read->metadata, info.metadata);
  EXPECT_EQ(read->retry_delay, info.retry_delay);
  EXPECT_EQ(read->field_violations, info.field_violations);
}

TEST(ErrorInfoTest, WhatWasNotGivenIsNotThere) {
  const auto read = ErrorInfoOf(WithErrorInfo(absl::InternalError("x"), ErrorInfo{}));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->reason, "");
  EXPECT_TRUE(read->metadata.empty());
  EXPECT_FALSE(read->retry_delay.has_value());
  EXPECT_TRUE(read->field_violations.empty());
}

TEST(ErrorInfoTest, OtherStatusesHaveNone) {
  EXPECT_FALSE(ErrorInfoOf(absl::OkStatus()).has_value());
  EXPECT_FALSE(ErrorInfoOf(absl::InternalError("x")).has_value());
}

// A message may quote whatever bytes a caller sent.
TEST(ErrorInfoTest, BytesThatAreNotTextDoNotThrow) {
  ErrorInfo info;
  info.reason = "BAD";
  info.metadata = {{"value",
                    "a\xff\xfe"
                    "b"}};
  const auto read = ErrorInfoOf(WithErrorInfo(absl::InvalidArgumentError("x"), info));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->metadata.at("value"),
            "a\xef\xbf\xbd\xef\xbf\xbd"
            "b");
}

TEST(ErrorInfoTest, TheLaterOneReplacesTheEarlier) {
  ErrorInfo first;
  first.reason = "FIRST";
  ErrorInfo second;
  second.reason = "SECOND";
  const absl::Status status = WithErrorInfo(WithErrorInfo(absl::InternalError("x"), first), second);
  EXPECT_EQ(ErrorInfoOf(status)->reason, "SECOND");
}

}  // namespace
}  // namespace gantry::base
