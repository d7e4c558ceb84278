// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_BASE_ERROR_INFO_H_
#define GANTRY_BASE_ERROR_INFO_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace gantry::base {

// What a caller of the service can act on by program when a call is refused. It travels inside
// the absl::Status from where the error is known to the gRPC edge, which sends it as the
// google.rpc messages ErrorInfo, RetryInfo and BadRequest.
struct ErrorInfo {
  struct FieldViolation {
    std::string field;
    std::string description;
    bool operator==(const FieldViolation&) const = default;
  };

  std::string reason;  // UPPER_SNAKE_CASE; empty: the name of the status code
  std::map<std::string, std::string> metadata;
  std::optional<absl::Duration> retry_delay;
  std::vector<FieldViolation> field_violations;
};

absl::Status WithErrorInfo(absl::Status status, const ErrorInfo& info);
// What WithErrorInfo put in; nothing for any other status.
std::optional<ErrorInfo> ErrorInfoOf(const absl::Status& status);

}  // namespace gantry::base

#endif  // GANTRY_BASE_ERROR_INFO_H_
