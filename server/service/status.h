// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_SERVICE_STATUS_H_
#define GANTRY_SERVER_SERVICE_STATUS_H_

#include <grpcpp/support/status.h>

#include <vector>

#include "absl/status/status.h"
#include "base/context.h"
#include "base/error_info.h"

namespace gantry::service {

// An error as it goes to the caller: code and message, and as details (google.rpc's messages, in
// the trailer `grpc-status-details-bin`)
//   ErrorInfo   always; domain "gantry.dev", the base::ErrorInfo's reason and metadata, or the
//               code's name as the reason when there is none,
//   RetryInfo   with the base::ErrorInfo's delay; on UNAVAILABLE and RESOURCE_EXHAUSTED always,
//               one second when nothing was said,
//   BadRequest  when there are field violations.
// gRPC clients drop a call whose trailers exceed 8 KiB, so long texts are cut, and violations
// beyond what fits are told as a number. All text is made valid UTF-8.
grpc::Status ToGrpcStatus(const absl::Status& status);

// What ended a call that brought back `status`. An error after the caller's context has ended is
// that end: CANCELLED or DEADLINE_EXCEEDED. These two codes before it has are somebody else's
// deadline, and become UNAVAILABLE. Everything else stays as it is.
absl::Status Attribute(absl::Status status, const base::Context& context);

// INVALID_ARGUMENT for a request; `violations` is not empty. The message has them all in words.
absl::Status InvalidRequest(std::vector<base::ErrorInfo::FieldViolation> violations);

}  // namespace gantry::service

#endif  // GANTRY_SERVER_SERVICE_STATUS_H_
