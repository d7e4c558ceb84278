// SPDX-License-Identifier: Apache-2.0
#include "server/service/status.h"

#include <google/protobuf/message_lite.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "base/strings.h"
#include "gantry/rpc/v1/error_details.pb.h"
#include "gantry/rpc/v1/status.pb.h"
#include "server/service/text.h"

namespace gantry::service {
namespace {

// Together below 8 KiB on the wire, where the message may be percent-encoded to three times its
// length and the details, which repeat it, are in base64.
constexpr std::size_t kMaxMessageBytes = 900;
constexpr std::size_t kMaxMetadataBytes = 600;
constexpr std::size_t kMaxViolationsBytes = 1500;
constexpr std::size_t kMaxTextBytes = 300;

constexpr absl::Duration kDefaultRetryDelay = absl::Seconds(1);
constexpr absl::Duration kMaxRetryDelay = absl::Hours(1);

void Pack(const google::protobuf::MessageLite& detail, const std::string& name,
          rpc::v1::Status& status) {
  google::protobuf::Any& any = *status.add_details();
  any.set_type_url("type.googleapis.com/google.rpc." + name);
  any.set_value(detail.SerializeAsString());
}

rpc::v1::ErrorInfo MakeErrorInfo(const absl::Status& status, const base::ErrorInfo& info) {
  rpc::v1::ErrorInfo detail;
  detail.set_reason(info.reason.empty() ? absl::StatusCodeToString(status.code()) : info.reason);
  detail.set_domain("gantry.dev");
  std::size_t bytes = 0;
  for (const auto& [key, value] : info.metadata) {
    const std::string shown_key = Presentable(key, kMaxTextBytes);
    const std::string shown_value = Presentable(value, kMaxTextBytes);
    bytes += shown_key.size() + shown_value.size();
    if (bytes > kMaxMetadataBytes) break;
    (*detail.mutable_metadata())[shown_key] = shown_value;
  }
  return detail;
}

rpc::v1::BadRequest MakeBadRequest(const std::vector<base::ErrorInfo::FieldViolation>& violations) {
  rpc::v1::BadRequest detail;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < violations.size(); ++i) {
    const std::string field = Presentable(violations[i].field, kMaxTextBytes);
    const std::string description = Presentable(violations[i].description, kMaxTextBytes);
    bytes += field.size() + description.size();
    auto& violation = *detail.add_field_violations();
    if (bytes > kMaxViolationsBytes) {
      violation.set_description(base::StrCat("and ", violations.size() - i, " more"));
      break;
    }
    violation.set_field(field);
    violation.set_description(description);
  }
  return detail;
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const base::ErrorInfo info = base::ErrorInfoOf(status).value_or(base::ErrorInfo{});
  rpc::v1::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(Presentable(base::ToStd(status.message()), kMaxMessageBytes));
  Pack(MakeErrorInfo(status, info), "ErrorInfo", details);

  const bool passing = status.code() == absl::StatusCode::kUnavailable ||
                       status.code() == absl::StatusCode::kResourceExhausted;
  if (info.retry_delay || passing) {
    const absl::Duration delay = std::clamp(info.retry_delay.value_or(kDefaultRetryDelay),
                                            absl::ZeroDuration(), kMaxRetryDelay);
    rpc::v1::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(absl::ToInt64Seconds(delay));
    retry.mutable_retry_delay()->set_nanos(
        static_cast<int>(absl::ToInt64Nanoseconds(delay % absl::Seconds(1))));
    Pack(retry, "RetryInfo", details);
  }
  if (!info.field_violations.empty()) {
    Pack(MakeBadRequest(info.field_violations), "BadRequest", details);
  }
  return {static_cast<grpc::StatusCode>(status.code()), details.message(),
          details.SerializeAsString()};
}

absl::Status Attribute(absl::Status status, const base::Context& context) {
  if (status.ok()) return status;
  // gRPC also cancels a call at its deadline.
  if (context.Remaining() == absl::ZeroDuration()) {
    return absl::DeadlineExceededError("the call's deadline has passed");
  }
  if (absl::Status end = context.Check(); !end.ok()) return end;
  if (!absl::IsCancelled(status) && !absl::IsDeadlineExceeded(status)) return status;
  base::ErrorInfo info = base::ErrorInfoOf(status).value_or(base::ErrorInfo{});
  if (info.reason.empty()) info.reason = "UPSTREAM_TIMEOUT";
  return base::WithErrorInfo(absl::UnavailableError(status.message()), info);
}

absl::Status InvalidRequest(std::vector<base::ErrorInfo::FieldViolation> violations) {
  const std::string message = absl::StrJoin(
      violations, "; ", [](std::string* out, const base::ErrorInfo::FieldViolation& violation) {
        base::StrAppend(out, violation.field, violation.field.empty() ? "" : ": ",
                        violation.description);
      });
  base::ErrorInfo info;
  info.reason = "INVALID_REQUEST";
  info.field_violations = std::move(violations);
  return base::WithErrorInfo(absl::InvalidArgumentError(message), info);
}

}  // namespace gantry::service
