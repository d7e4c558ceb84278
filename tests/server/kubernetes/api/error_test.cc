// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/api/error.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace gantry::kubernetes {
namespace {

struct NamedKind {
  ErrorKind kind;
  absl::StatusCode code;
  std::string name;
};

const std::vector<NamedKind>& Kinds() {
  static const std::vector<NamedKind> kinds = {
      {ErrorKind::kNotFound, absl::StatusCode::kNotFound, "NotFound"},
      {ErrorKind::kNoSuchResource, absl::StatusCode::kNotFound, "NoSuchResource"},
      {ErrorKind::kConflict, absl::StatusCode::kAborted, "Conflict"},
      {ErrorKind::kAlreadyExists, absl::StatusCode::kAlreadyExists, "AlreadyExists"},
      {ErrorKind::kExpired, absl::StatusCode::kOutOfRange, "Expired"},
      {ErrorKind::kThrottled, absl::StatusCode::kUnavailable, "Throttled"},
      {ErrorKind::kUnauthorized, absl::StatusCode::kUnauthenticated, "Unauthorized"},
      {ErrorKind::kForbidden, absl::StatusCode::kPermissionDenied, "Forbidden"},
      {ErrorKind::kRefused, absl::StatusCode::kInvalidArgument, "Refused"},
      {ErrorKind::kServerError, absl::StatusCode::kUnavailable, "ServerError"},
      {ErrorKind::kUnreachable, absl::StatusCode::kUnavailable, "Unreachable"},
      {ErrorKind::kMalformedResponse, absl::StatusCode::kUnavailable, "MalformedResponse"},
      {ErrorKind::kCancelled, absl::StatusCode::kCancelled, "Cancelled"},
      {ErrorKind::kDeadlineExceeded, absl::StatusCode::kDeadlineExceeded, "DeadlineExceeded"},
  };
  return kinds;
}

TEST(ErrorTest, EveryKindHasItsCodeAndName) {
  for (const NamedKind& expected : Kinds()) {
    const absl::Status status = MakeError({.kind = expected.kind}, "get pods a/b: no");
    EXPECT_EQ(status.code(), expected.code) << expected.name;
    EXPECT_EQ(status.message(), "get pods a/b: no");
    EXPECT_EQ(KindOf(status), expected.kind) << expected.name;
    EXPECT_EQ(ErrorKindName(expected.kind), expected.name);
  }
}

TEST(ErrorTest, EverythingComesBack) {
  const ErrorDetail detail = DetailOf(MakeError({.kind = ErrorKind::kThrottled,
                                                 .http_status = 503,
                                                 .retry_after = absl::Milliseconds(1500),
                                                 .outcome = WriteOutcome::kUnknown},
                                                "x"));
  EXPECT_EQ(detail.kind, ErrorKind::kThrottled);
  EXPECT_EQ(detail.http_status, 503);
  EXPECT_EQ(detail.retry_after, absl::Milliseconds(1500));
  EXPECT_EQ(detail.outcome, WriteOutcome::kUnknown);
}

TEST(ErrorTest, OtherStatusesHaveNoKind) {
  EXPECT_EQ(KindOf(absl::OkStatus()), ErrorKind::kNone);
  EXPECT_EQ(KindOf(absl::NotFoundError("elsewhere")), ErrorKind::kNone);
  EXPECT_FALSE(CertainlyNotWritten(absl::OkStatus()));
  EXPECT_FALSE(CertainlyNotWritten(absl::NotFoundError("elsewhere")));
}

struct WriteOutcomeCase {
  const char* name;
  int http_status;
  WriteOutcome outcome;
  bool certainly_not_written;
};

class WriteOutcomeTest : public ::testing::TestWithParam<WriteOutcomeCase> {};

TEST_P(WriteOutcomeTest, IsAsExpected) {
  const absl::Status status = MakeError({.kind = ErrorKind::kUnreachable,
                                         .http_status = GetParam().http_status,
                                         .outcome = GetParam().outcome},
                                        "x");
  EXPECT_EQ(CertainlyNotWritten(status), GetParam().certainly_not_written);
}

INSTANTIATE_TEST_SUITE_P(All, WriteOutcomeTest,
                         ::testing::ValuesIn(std::vector<WriteOutcomeCase>{
                             {"ConflictWasNotWritten", 409, WriteOutcome::kByStatus, true},
                             {"ForbiddenWasNotWritten", 403, WriteOutcome::kByStatus, true},
                             {"ThrottledWasNotWritten", 429, WriteOutcome::kByStatus, true},
                             {"ARequestTimeoutLeavesItOpen", 408, WriteOutcome::kByStatus, false},
                             {"AServerErrorLeavesItOpen", 500, WriteOutcome::kByStatus, false},
                             {"NoResponseLeavesItOpen", 0, WriteOutcome::kByStatus, false},
                             {"NothingSentIsNotWritten", 0, WriteOutcome::kNotWritten, true},
                             {"AnEarlierAttemptLeavesItOpen", 409, WriteOutcome::kUnknown, false},
                         }),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace gantry::kubernetes
