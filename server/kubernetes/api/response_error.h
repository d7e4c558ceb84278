// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_API_RESPONSE_ERROR_H_
#define GANTRY_SERVER_KUBERNETES_API_RESPONSE_ERROR_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/kubernetes/api/api_request.h"
#include "server/kubernetes/api/error.h"
#include "server/kubernetes/http/http_transport.h"

namespace gantry::kubernetes {

// The error that a response which is not 2xx stands for. Its message names verb, resource and
// object, quotes the API server, and says what to do about it.
absl::Status ErrorOfResponse(const ApiTarget& target, const HttpResponse& response);

// A 2xx response whose body is not what it should be; quotes how the body begins.
absl::Status MalformedResponse(const ApiTarget& target, const HttpResponse& response,
                               std::string_view what);

// The same of a body that was not kept.
absl::Status MalformedStream(const ApiTarget& target, std::string_view what);

// The first `max_bytes` of `text`; what is not printable ASCII is written as \xNN.
std::string Excerpt(std::string_view text, std::size_t max_bytes);

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_API_RESPONSE_ERROR_H_
