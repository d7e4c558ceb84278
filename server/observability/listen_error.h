// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_OBSERVABILITY_LISTEN_ERROR_H_
#define GANTRY_SERVER_OBSERVABILITY_LISTEN_ERROR_H_

#include <string>

#include "absl/status/status.h"

namespace gantry::observability {

// The error for a server that could not listen. Libraries keep the system's reason to themselves,
// so it is found by trying once more. `flag` says where the address came from. Blocks for as long
// as resolving `host` takes.
absl::Status ListenError(const std::string& flag, const std::string& host, int port);

}  // namespace gantry::observability

#endif  // GANTRY_SERVER_OBSERVABILITY_LISTEN_ERROR_H_
