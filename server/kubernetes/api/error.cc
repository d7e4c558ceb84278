// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/api/error.h"

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/cord.h"
#include "absl/types/optional.h"
#include "base/strings.h"

namespace gantry::kubernetes {
namespace {

constexpr char kPayloadUrl[] = "gantry.dev/kubernetes-error";

absl::StatusCode CodeOf(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kNone:
      return absl::StatusCode::kUnknown;
    case ErrorKind::kNotFound:
    case ErrorKind::kNoSuchResource:
      return absl::StatusCode::kNotFound;
    case ErrorKind::kConflict:
      return absl::StatusCode::kAborted;
    case ErrorKind::kAlreadyExists:
      return absl::StatusCode::kAlreadyExists;
    case ErrorKind::kExpired:
      return absl::StatusCode::kOutOfRange;
    case ErrorKind::kThrottled:
    case ErrorKind::kServerError:
    case ErrorKind::kUnreachable:
    case ErrorKind::kMalformedResponse:
      return absl::StatusCode::kUnavailable;
    case ErrorKind::kUnauthorized:
      return absl::StatusCode::kUnauthenticated;
    case ErrorKind::kForbidden:
      return absl::StatusCode::kPermissionDenied;
    case ErrorKind::kRefused:
      return absl::StatusCode::kInvalidArgument;
    case ErrorKind::kCancelled:
      return absl::StatusCode::kCancelled;
    case ErrorKind::kDeadlineExceeded:
      return absl::StatusCode::kDeadlineExceeded;
  }
  return absl::StatusCode::kUnknown;
}

}  // namespace

absl::Status MakeError(const ErrorDetail& detail, std::string_view message) {
  absl::Status status(CodeOf(detail.kind), base::ToAbsl(message));
  const nlohmann::json payload = {
      {"kind", static_cast<int>(detail.kind)},
      {"http_status", detail.http_status},
      {"retry_after_ns", absl::ToInt64Nanoseconds(detail.retry_after)},
      {"outcome", static_cast<int>(detail.outcome)},
  };
  status.SetPayload(kPayloadUrl, absl::Cord(payload.dump()));
  return status;
}

ErrorDetail DetailOf(const absl::Status& status) {
  ErrorDetail detail;
  const absl::optional<absl::Cord> bytes = status.GetPayload(kPayloadUrl);
  if (!bytes) return detail;
  const nlohmann::json payload = nlohmann::json::parse(std::string(*bytes), nullptr, false);
  if (!payload.is_object()) return detail;
  detail.kind = static_cast<ErrorKind>(payload.value("kind", 0));
  detail.http_status = payload.value("http_status", 0);
  detail.retry_after = absl::Nanoseconds(payload.value("retry_after_ns", std::int64_t{0}));
  detail.outcome = static_cast<WriteOutcome>(payload.value("outcome", 0));
  return detail;
}

bool CertainlyNotWritten(const absl::Status& status) {
  const ErrorDetail detail = DetailOf(status);
  switch (detail.outcome) {
    case WriteOutcome::kNotWritten:
      return true;
    case WriteOutcome::kUnknown:
      return false;
    case WriteOutcome::kByStatus:
      return detail.http_status >= 400 && detail.http_status < 500 && detail.http_status != 408;
  }
  return false;
}

std::string_view ErrorKindName(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kNone:
      return "None";
    case ErrorKind::kNotFound:
      return "NotFound";
    case ErrorKind::kNoSuchResource:
      return "NoSuchResource";
    case ErrorKind::kConflict:
      return "Conflict";
    case ErrorKind::kAlreadyExists:
      return "AlreadyExists";
    case ErrorKind::kExpired:
      return "Expired";
    case ErrorKind::kThrottled:
      return "Throttled";
    case ErrorKind::kUnauthorized:
      return "Unauthorized";
    case ErrorKind::kForbidden:
      return "Forbidden";
    case ErrorKind::kRefused:
      return "Refused";
    case ErrorKind::kServerError:
      return "ServerError";
    case ErrorKind::kUnreachable:
      return "Unreachable";
    case ErrorKind::kMalformedResponse:
      return "MalformedResponse";
    case ErrorKind::kCancelled:
      return "Cancelled";
    case ErrorKind::kDeadlineExceeded:
      return "DeadlineExceeded";
  }
  return "Unknown";
}

}  // namespace gantry::kubernetes
