// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_API_ERROR_H_
#define GANTRY_SERVER_KUBERNETES_API_ERROR_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace gantry::kubernetes {

// Why a call to the Kubernetes API did not succeed. Every absl::Status that such a call returns
// carries one, and its message names verb, resource and object.
enum class ErrorKind {
  kNone,               // OK, or not an error of this folder
  kNotFound,           // 404: the object is not there
  kNoSuchResource,     // 404 for the resource itself: its CRD is not installed
  kConflict,           // 409: the resourceVersion is not the current one
  kAlreadyExists,      // 409 on create
  kExpired,            // 410: the resourceVersion or continue token is too old; or the
                       // resourceVersion is ahead of what the server knows
  kThrottled,          // 429, or 5xx with Retry-After, after all retries
  kUnauthorized,       // 401, also with fresh credentials; or there were none to be had
  kForbidden,          // 403: RBAC or an admission controller
  kRefused,            // 400, 405, 406, 413, 415, 422: this request will never be taken; or it
                       // was not even sent, because a name in it is not one
  kServerError,        // 5xx without Retry-After, and any status that this API does not use
  kUnreachable,        // no connection, TLS failure, connection lost
  kMalformedResponse,  // a body that is not the JSON expected
  kCancelled,          // the caller went away
  kDeadlineExceeded,   // the caller's deadline, or the time limit of one attempt
};

// Whether a write may have been carried out although it returned an error.
enum class WriteOutcome {
  kByStatus,    // what the HTTP status says: a 4xx other than 408 was not carried out
  kNotWritten,  // certainly not: nothing was sent, or each attempt was answered with such a 4xx
  kUnknown,     // an attempt got no answer, or one that leaves it open
};

struct ErrorDetail {
  ErrorKind kind = ErrorKind::kNone;
  int http_status = 0;  // 0: no response was received
  // What the server asked to wait; zero when it said nothing.
  absl::Duration retry_after = absl::ZeroDuration();
  WriteOutcome outcome = WriteOutcome::kByStatus;
};

// `message` names verb, resource and object. The code follows from the kind:
// kNotFound, kNoSuchResource -> NOT_FOUND; kConflict -> ABORTED; kAlreadyExists -> ALREADY_EXISTS;
// kExpired -> OUT_OF_RANGE; kThrottled, kServerError, kUnreachable, kMalformedResponse ->
// UNAVAILABLE; kUnauthorized -> UNAUTHENTICATED; kForbidden -> PERMISSION_DENIED; kRefused ->
// INVALID_ARGUMENT; kCancelled -> CANCELLED; kDeadlineExceeded -> DEADLINE_EXCEEDED.
absl::Status MakeError(const ErrorDetail& detail, std::string_view message);

// What MakeError put into `status`; kind kNone for any other status.
ErrorDetail DetailOf(const absl::Status& status);
inline ErrorKind KindOf(const absl::Status& status) { return DetailOf(status).kind; }

// True when the server certainly did not carry out the write that returned this error. False
// means the outcome is unknown: read the object before doing anything else.
bool CertainlyNotWritten(const absl::Status& status);

// "Conflict", "Unreachable", ...: for logs and metrics.
std::string_view ErrorKindName(ErrorKind kind);

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_API_ERROR_H_
