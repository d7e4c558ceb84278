// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_OBSERVABILITY_LIBRARY_LOGS_H_
#define GANTRY_SERVER_OBSERVABILITY_LIBRARY_LOGS_H_

#include "server/observability/log.h"

namespace gantry::observability {

// gRPC and Protobuf write to the standard error stream in formats of their own, some of it at a
// caller's bidding (a string that is not UTF-8 gives a line). From this call on their lines go
// through `log`, for the rest of the process. gRPC logs errors alone unless the environment
// variable GRPC_VERBOSITY asks for more. Call it before anything of gRPC; the latest call wins.
void RedirectLibraryLogs(const Logger& log);

}  // namespace gantry::observability

#endif  // GANTRY_SERVER_OBSERVABILITY_LIBRARY_LOGS_H_
