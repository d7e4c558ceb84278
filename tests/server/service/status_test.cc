// SPDX-License-Identifier: Apache-2.0
#include "server/service/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <ostream>
#include <string>

#include "base/strings.h"
#include "gantry/rpc/v1/error_details.pb.h"
#include "gantry/rpc/v1/status.pb.h"
#include "server/service/text.h"

namespace gantry::service {
namespace {

using base::ErrorInfo;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::Le;
using ::testing::SizeIs;

// The details of a status, by the names that callers know.
struct Details {
  rpc::v1::Status status;
  std::optional<rpc::v1::ErrorInfo> error_info;
  std::optional<rpc::v1::RetryInfo> retry_info;
  std::optional<rpc::v1::BadRequest> bad_request;
};

Details Decode(const grpc::Status& status) {
  Details details;
  EXPECT_TRUE(details.status.ParseFromString(status.error_details()));
  for (const google::protobuf::Any& any : details.status.details()) {
    const auto decode = [&any](auto& detail) {
      EXPECT_FALSE(detail.has_value()) << any.type_url() << " comes twice";
      EXPECT_TRUE(detail.emplace().ParseFromString(any.value()));
    };
    if (any.type_url() == "type.googleapis.com/google.rpc.ErrorInfo") {
      decode(details.error_info);
    } else if (any.type_url() == "type.googleapis.com/google.rpc.RetryInfo") {
      decode(details.retry_info);
    } else if (any.type_url() == "type.googleapis.com/google.rpc.BadRequest") {
      decode(details.bad_request);
    } else {
      ADD_FAILURE() << "unexpected detail " << any.type_url();
    }
  }
  return details;
}

struct StatusCase {
  std::string name;
  absl::Status status;
  grpc::StatusCode code;
  std::string reason;
  std::optional<double> retry_seconds;
};

void PrintTo(const StatusCase& c, std::ostream* out) { *out << c.name; }

absl::Status With(absl::Status status, std::string reason,
                  std::optional<absl::Duration> delay = std::nullopt) {
  ErrorInfo info;
  info.reason = std::move(reason);
  info.retry_delay = delay;
  return base::WithErrorInfo(std::move(status), info);
}

class ToGrpcStatusTest : public ::testing::TestWithParam<StatusCase> {};

TEST_P(ToGrpcStatusTest, CarriesCodeMessageAndDetails) {
  const StatusCase& c = GetParam();
  const grpc::Status status = ToGrpcStatus(c.status);
  EXPECT_EQ(status.error_code(), c.code);
  EXPECT_EQ(status.error_message(), "why");
  const Details details = Decode(status);
  EXPECT_EQ(details.status.code(), c.code);
  EXPECT_EQ(details.status.message(), "why");
  ASSERT_TRUE(details.error_info.has_value());
  EXPECT_EQ(details.error_info->domain(), "gantry.dev");
  EXPECT_EQ(details.error_info->reason(), c.reason);
  ASSERT_EQ(details.retry_info.has_value(), c.retry_seconds.has_value());
  if (c.retry_seconds) {
    const auto& delay = details.retry_info->retry_delay();
    EXPECT_DOUBLE_EQ(static_cast<double>(delay.seconds()) + delay.nanos() / 1e9, *c.retry_seconds);
  }
  EXPECT_FALSE(details.bad_request.has_value());
}

INSTANTIATE_TEST_SUITE_P(
    Table, ToGrpcStatusTest,
    ::testing::Values(
        StatusCase{"Cancelled", absl::CancelledError("why"), grpc::StatusCode::CANCELLED,
                   "CANCELLED", std::nullopt},
        StatusCase{"DeadlineExceeded", absl::DeadlineExceededError("why"),
                   grpc::StatusCode::DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", std::nullopt},
        StatusCase{"InvalidArgument", absl::InvalidArgumentError("why"),
                   grpc::StatusCode::INVALID_ARGUMENT, "INVALID_ARGUMENT", std::nullopt},
        StatusCase{"NotFound", absl::NotFoundError("why"), grpc::StatusCode::NOT_FOUND, "NOT_FOUND",
                   std::nullopt},
        StatusCase{"PermissionDenied", absl::PermissionDeniedError("why"),
                   grpc::StatusCode::PERMISSION_DENIED, "PERMISSION_DENIED", std::nullopt},
        StatusCase{"Unauthenticated", absl::UnauthenticatedError("why"),
                   grpc::StatusCode::UNAUTHENTICATED, "UNAUTHENTICATED", std::nullopt},
        StatusCase{"Unimplemented", absl::UnimplementedError("why"),
                   grpc::StatusCode::UNIMPLEMENTED, "UNIMPLEMENTED", std::nullopt},
        StatusCase{"Internal", absl::InternalError("why"), grpc::StatusCode::INTERNAL, "INTERNAL",
                   std::nullopt},
        StatusCase{"UnavailableAlwaysSaysWhen", absl::UnavailableError("why"),
                   grpc::StatusCode::UNAVAILABLE, "UNAVAILABLE", 1.0},
        StatusCase{"ResourceExhaustedAlwaysSaysWhen", absl::ResourceExhaustedError("why"),
                   grpc::StatusCode::RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED", 1.0},
        StatusCase{"ReasonWithoutDelay",
                   With(absl::UnavailableError("why"), "KUBERNETES_UNREACHABLE"),
                   grpc::StatusCode::UNAVAILABLE, "KUBERNETES_UNREACHABLE", 1.0},
        StatusCase{
            "ReasonAndDelay",
            With(absl::UnavailableError("why"), "KUBERNETES_THROTTLED", absl::Milliseconds(2500)),
            grpc::StatusCode::UNAVAILABLE, "KUBERNETES_THROTTLED", 2.5},
        StatusCase{"DelayWithoutReason", With(absl::UnavailableError("why"), "", absl::Seconds(7)),
                   grpc::StatusCode::UNAVAILABLE, "UNAVAILABLE", 7.0},
        StatusCase{"DelayOfAnotherCode",
                   With(absl::AbortedError("why"), "CONFLICT", absl::Seconds(3)),
                   grpc::StatusCode::ABORTED, "CONFLICT", 3.0},
        StatusCase{"NegativeDelayIsNone",
                   With(absl::UnavailableError("why"), "A", -absl::Seconds(3)),
                   grpc::StatusCode::UNAVAILABLE, "A", 0.0},
        StatusCase{"EndlessDelayIsAnHour",
                   With(absl::UnavailableError("why"), "A", absl::Hours(100'000)),
                   grpc::StatusCode::UNAVAILABLE, "A", 3600.0},
        StatusCase{"ReasonOfNotFound", With(absl::NotFoundError("why"), "STAGE_NOT_FOUND"),
                   grpc::StatusCode::NOT_FOUND, "STAGE_NOT_FOUND", std::nullopt}),
    [](const auto& c) { return c.param.name; });

TEST(ToGrpcStatus, OfOkIsOkWithoutDetails) {
  const grpc::Status status = ToGrpcStatus(absl::OkStatus());
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.error_details(), "");
}

TEST(ToGrpcStatus, CarriesMetadata) {
  ErrorInfo info;
  info.reason = "STAGE_NOT_FOUND";
  info.metadata = {{"project", "p"}, {"stage", "s"}};
  const Details details =
      Decode(ToGrpcStatus(base::WithErrorInfo(absl::NotFoundError("why"), info)));
  const auto& metadata = details.error_info->metadata();
  EXPECT_EQ((std::map<std::string, std::string>(metadata.begin(), metadata.end())), info.metadata);
}

TEST(ToGrpcStatus, CarriesEveryViolation) {
  const grpc::Status status =
      ToGrpcStatus(InvalidRequest({{"project", "is required"}, {"", "malformed"}}));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "project: is required; malformed");
  const Details details = Decode(status);
  EXPECT_EQ(details.error_info->reason(), "INVALID_REQUEST");
  ASSERT_TRUE(details.bad_request.has_value());
  ASSERT_THAT(details.bad_request->field_violations(), SizeIs(2));
  EXPECT_EQ(details.bad_request->field_violations(0).field(), "project");
  EXPECT_EQ(details.bad_request->field_violations(0).description(), "is required");
  EXPECT_EQ(details.bad_request->field_violations(1).field(), "");
  EXPECT_EQ(details.bad_request->field_violations(1).description(), "malformed");
}

TEST(ToGrpcStatus, WhatDoesNotFitIsCutAndCounted) {
  std::vector<ErrorInfo::FieldViolation> violations(1000,
                                                    {std::string(500, 'f'), std::string(500, 'd')});
  const Details details = Decode(ToGrpcStatus(InvalidRequest(violations)));
  const auto& shown = details.bad_request->field_violations();
  ASSERT_THAT(shown, SizeIs(3));
  EXPECT_THAT(shown[0].field(), SizeIs(300));
  EXPECT_THAT(shown[0].description(), EndsWith("..."));
  EXPECT_EQ(shown[2].description(), "and 998 more");
}

TEST(ToGrpcStatus, TheTrailersStayBelowWhatClientsTake) {
  ErrorInfo info;
  info.reason = "REASON";
  for (int i = 0; i < 100; ++i) info.metadata[std::to_string(i)] = std::string(1000, 'm');
  info.field_violations.assign(100, {std::string(1000, '\xff'), std::string(1000, '\xff')});
  const grpc::Status status =
      ToGrpcStatus(base::WithErrorInfo(absl::UnavailableError(std::string(100'000, '\xff')), info));
  // Percent-encoding triples a byte, base64 makes four of three.
  EXPECT_THAT(3 * status.error_message().size() + 4 * status.error_details().size() / 3,
              Le(8192u - 512u));
}

TEST(ToGrpcStatus, WhateverTheTextItIsValidUtf8) {
  ErrorInfo info;
  info.reason = "REASON";
  info.metadata = {{"k\xff", "v\xff"}};
  info.field_violations = {{"f\xff", "d\xff"}};
  const grpc::Status status = ToGrpcStatus(base::WithErrorInfo(absl::UnavailableError("a\xff"
                                                                                      "b"),
                                                               info));
  EXPECT_EQ(status.error_message(),
            "a\xef\xbf\xbd"
            "b");
  const Details details = Decode(status);
  EXPECT_TRUE(IsValidUtf8(details.bad_request->field_violations(0).field()));
}

TEST(Attribute, Table) {
  base::Context open;
  base::Context late(absl::ZeroDuration());
  base::Context cancelled;
  cancelled.Cancel();
  base::Context late_and_cancelled(absl::ZeroDuration());
  late_and_cancelled.Cancel();
  struct {
    const char* name;
    absl::Status status;
    base::Context& context;
    absl::StatusCode expected;
  } const table[] = {
      {"Ok", absl::OkStatus(), open, absl::StatusCode::kOk},
      {"AVerdictStandsThoughTheCallerLeft", absl::OkStatus(), cancelled, absl::StatusCode::kOk},
      {"Unchanged", absl::UnavailableError("a"), open, absl::StatusCode::kUnavailable},
      {"NotFound", absl::NotFoundError("a"), open, absl::StatusCode::kNotFound},
      {"CallersDeadline", absl::UnavailableError("a"), late, absl::StatusCode::kDeadlineExceeded},
      {"CancelledAtTheDeadline", absl::UnavailableError("a"), late_and_cancelled,
       absl::StatusCode::kDeadlineExceeded},
      {"CallersCancel", absl::UnavailableError("a"), cancelled, absl::StatusCode::kCancelled},
      {"SomebodyElsesDeadline", absl::DeadlineExceededError("a"), open,
       absl::StatusCode::kUnavailable},
      {"SomebodyElsesCancel", absl::CancelledError("a"), open, absl::StatusCode::kUnavailable},
  };
  for (const auto& c : table) {
    EXPECT_EQ(Attribute(c.status, c.context).code(), c.expected) << c.name;
  }
}

TEST(Attribute, SomebodyElsesDeadlineKeepsItsReason) {
  base::Context open;
  const absl::Status kept =
      Attribute(With(absl::DeadlineExceededError("a"), "KUBERNETES_SLOW", absl::Seconds(9)), open);
  EXPECT_EQ(base::ErrorInfoOf(kept)->reason, "KUBERNETES_SLOW");
  EXPECT_EQ(base::ErrorInfoOf(kept)->retry_delay, absl::Seconds(9));
  const absl::Status bare = Attribute(absl::DeadlineExceededError("a"), open);
  EXPECT_EQ(base::ErrorInfoOf(bare)->reason, "UPSTREAM_TIMEOUT");
  EXPECT_EQ(base::ToStd(bare.message()), "a");
}

}  // namespace
}  // namespace gantry::service
