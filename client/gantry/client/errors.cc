// SPDX-License-Identifier: Apache-2.0
#include "gantry/client/errors.h"

#include <string>

#include "absl/strings/cord.h"
#include "gantry/rpc/v1/status.pb.h"

namespace gantry::client {
namespace {

constexpr char kErrorInfo[] = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr char kBadRequest[] = "type.googleapis.com/google.rpc.BadRequest";
constexpr char kRetryInfo[] = "type.googleapis.com/google.rpc.RetryInfo";
constexpr char kConnected[] = "gantry.dev/connected";
constexpr char kNotSent[] = "gantry.dev/not-sent";
constexpr char kDomain[] = "gantry.dev";

template <typename Message>
std::optional<Message> Detail(const absl::Status& status, const char* type_url) {
  const absl::optional<absl::Cord> payload = status.GetPayload(type_url);
  Message message;
  if (!payload || !message.ParseFromString(std::string(*payload))) return std::nullopt;
  return message;
}

}  // namespace

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  rpc::v1::Status details;
  if (!details.ParseFromString(status.error_details())) return result;
  for (const google::protobuf::Any& detail : details.details()) {
    for (const char* known : {kErrorInfo, kBadRequest, kRetryInfo}) {
      if (detail.type_url() == known) result.SetPayload(known, absl::Cord(detail.value()));
    }
  }
  return result;
}

std::optional<rpc::v1::ErrorInfo> ErrorInfoOf(const absl::Status& status) {
  return Detail<rpc::v1::ErrorInfo>(status, kErrorInfo);
}

std::optional<rpc::v1::BadRequest> BadRequestOf(const absl::Status& status) {
  return Detail<rpc::v1::BadRequest>(status, kBadRequest);
}

std::optional<absl::Duration> RetryDelayOf(const absl::Status& status) {
  const std::optional<rpc::v1::RetryInfo> info = Detail<rpc::v1::RetryInfo>(status, kRetryInfo);
  if (!info || !info->has_retry_delay()) return std::nullopt;
  const absl::Duration delay =
      absl::Seconds(info->retry_delay().seconds()) + absl::Nanoseconds(info->retry_delay().nanos());
  if (delay <= absl::ZeroDuration()) return std::nullopt;
  return delay;
}

bool ServiceAnswered(const absl::Status& status) {
  if (!absl::IsUnavailable(status) && !absl::IsDeadlineExceeded(status)) return true;
  if (status.GetPayload(kConnected)) return true;
  const std::optional<rpc::v1::ErrorInfo> info = ErrorInfoOf(status);
  return info && info->domain() == kDomain;
}

void MarkConnected(absl::Status& status) { status.SetPayload(kConnected, absl::Cord()); }

bool NotSent(const absl::Status& status) { return status.GetPayload(kNotSent).has_value(); }

void MarkNotSent(absl::Status& status) { status.SetPayload(kNotSent, absl::Cord()); }

}  // namespace gantry::client
