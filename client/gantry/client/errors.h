// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_ERRORS_H_
#define GANTRY_CLIENT_ERRORS_H_

#include <grpcpp/support/status.h>

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gantry/rpc/v1/error_details.pb.h"

// The errors of this library are absl::Status values with the code and the message of the gRPC
// status. The details that the service sent along are payloads of the status, each under its type
// URL (type.googleapis.com/google.rpc.ErrorInfo and so on); these functions read them. All are
// pure and may be called from any thread.
namespace gantry::client {

// Turns the outcome of a gRPC call into such a status. Details of a kind that is not known, and
// bytes that are no details, are left out.
absl::Status FromGrpcStatus(const grpc::Status& status);

// Why the service refused the call, for programs. Nothing if it did not say.
std::optional<rpc::v1::ErrorInfo> ErrorInfoOf(const absl::Status& status);

// What is wrong with the request, field by field. Nothing if the service did not say.
std::optional<rpc::v1::BadRequest> BadRequestOf(const absl::Status& status);

// How long to wait before the call is sent again. Nothing if the service did not say, or gave a
// time that is not positive.
std::optional<absl::Duration> RetryDelayOf(const absl::Status& status);

// Whether the service is known to have been there. False when no connection came about, or it broke
// before a response, or something in between (a proxy) says that the service is away: UNAVAILABLE
// without the service's ErrorInfo, or the deadline passed without a connection.
bool ServiceAnswered(const absl::Status& status);

// Marks a status as one of a call whose connection stood, so that ServiceAnswered is true for it.
void MarkConnected(absl::Status& status);

// Whether the call was not sent at all, because there was no token for it.
bool NotSent(const absl::Status& status);

// Marks a status as that of such a call.
void MarkNotSent(absl::Status& status);

}  // namespace gantry::client

#endif  // GANTRY_CLIENT_ERRORS_H_
