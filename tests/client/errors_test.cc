// SPDX-License-Identifier: Apache-2.0
#include "gantry/client/errors.h"

#include <gtest/gtest.h>

#include "tests/client/answers.h"

namespace gantry::client {
namespace {

TEST(ErrorsTest, CodeMessageAndAllDetailsAreRead) {
  const absl::Status status =
      Error(grpc::StatusCode::INVALID_ARGUMENT, "two fields are wrong",
            {"INVALID_REQUEST", absl::Seconds(3), {{"project", "empty"}, {"stage", "too long"}}});

  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "two fields are wrong");
  ASSERT_TRUE(ErrorInfoOf(status));
  EXPECT_EQ(ErrorInfoOf(status)->reason(), "INVALID_REQUEST");
  EXPECT_EQ(ErrorInfoOf(status)->domain(), "gantry.dev");
  EXPECT_EQ(RetryDelayOf(status), absl::Seconds(3));
  ASSERT_TRUE(BadRequestOf(status));
  ASSERT_EQ(BadRequestOf(status)->field_violations_size(), 2);
  EXPECT_EQ(BadRequestOf(status)->field_violations(0).field(), "project");
  EXPECT_EQ(BadRequestOf(status)->field_violations(1).description(), "too long");
}

TEST(ErrorsTest, AnErrorWithoutDetailsHasNone) {
  const absl::Status status = Error(grpc::StatusCode::INTERNAL, "broken");
  EXPECT_FALSE(ErrorInfoOf(status));
  EXPECT_FALSE(BadRequestOf(status));
  EXPECT_FALSE(RetryDelayOf(status));
  EXPECT_FALSE(ErrorInfoOf(absl::OkStatus()));
}

TEST(ErrorsTest, BytesThatAreNoDetailsAreLeftOut) {
  const absl::Status garbage =
      FromGrpcStatus(grpc::Status(grpc::StatusCode::INTERNAL, "broken", "\xff\xff\xff"));
  EXPECT_EQ(garbage.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(garbage.message(), "broken");
  EXPECT_FALSE(ErrorInfoOf(garbage));

  rpc::v1::Status status;
  google::protobuf::Any& info = *status.add_details();
  info.set_type_url("type.googleapis.com/google.rpc.ErrorInfo");
  info.set_value("\x0a\xff");
  google::protobuf::Any& unknown = *status.add_details();
  unknown.set_type_url("type.googleapis.com/google.rpc.DebugInfo");
  const absl::Status bad_detail = FromGrpcStatus(
      grpc::Status(grpc::StatusCode::INTERNAL, "broken", status.SerializeAsString()));
  EXPECT_FALSE(ErrorInfoOf(bad_detail));
}

TEST(ErrorsTest, ARetryDelayThatIsNotPositiveIsNone) {
  for (const absl::Duration delay : {absl::ZeroDuration(), -absl::Seconds(5)}) {
    EXPECT_FALSE(RetryDelayOf(
        Error(grpc::StatusCode::UNAVAILABLE, "away", {"KUBERNETES_UNREACHABLE", delay, {}})))
        << delay;
  }
}

TEST(ErrorsTest, WhoAnsweredFollowsFromTheError) {
  absl::Status slow = Error(grpc::StatusCode::DEADLINE_EXCEEDED, "Deadline Exceeded");
  absl::Status slow_but_connected = slow;
  MarkConnected(slow_but_connected);
  rpc::v1::Status foreign;
  google::protobuf::Any& any = *foreign.add_details();
  any.set_type_url("type.googleapis.com/google.rpc.ErrorInfo");
  rpc::v1::ErrorInfo info;
  info.set_reason("NO_HEALTHY_UPSTREAM");
  info.set_domain("proxy.example.com");
  info.SerializeToString(any.mutable_value());

  const struct {
    const char* name;
    absl::Status error;
    bool answered;
  } cases[] = {
      {"OK", absl::OkStatus(), true},
      {"ConnectionRefused", Refused(), false},
      {"UnavailableFromTheService", KubernetesDown(), true},
      {"UnavailableFromAProxy",
       FromGrpcStatus(
           grpc::Status(grpc::StatusCode::UNAVAILABLE, "no", foreign.SerializeAsString())),
       false},
      {"DeadlineWithoutConnection", slow, false},
      {"DeadlineOnAConnection", slow_but_connected, true},
      {"ResourceExhausted", Error(grpc::StatusCode::RESOURCE_EXHAUSTED, "busy"), true},
      {"PermissionDenied", Error(grpc::StatusCode::PERMISSION_DENIED, "no"), true},
      {"Unimplemented", Error(grpc::StatusCode::UNIMPLEMENTED, "no"), true},
  };
  for (const auto& test : cases) {
    EXPECT_EQ(ServiceAnswered(test.error), test.answered) << test.name;
  }
}

}  // namespace
}  // namespace gantry::client
