// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_CONFIG_FILE_H_
#define GANTRY_SERVER_KUBERNETES_CONFIG_FILE_H_

#include <string>

#include "absl/status/statusor.h"

namespace gantry::kubernetes {

// Reads a whole file of configuration, of 4 MiB at most. Errors name the file and the reason;
// NOT_FOUND when it is not there.
absl::StatusOr<std::string> ReadFile(const std::string& path);

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_CONFIG_FILE_H_
