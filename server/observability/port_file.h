// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_OBSERVABILITY_PORT_FILE_H_
#define GANTRY_SERVER_OBSERVABILITY_PORT_FILE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace gantry::observability {

// Tells whoever started the server the addresses really bound, where a port was given as 0: a JSON
// object {"listen": "host:port", "admin": "host:port"} that is there as a whole or not at all, and
// no longer than this object. Owned by the wiring.
class PortFile {
 public:
  // Replaces a file that is already there. An error is one sentence that names the file.
  static absl::StatusOr<std::unique_ptr<PortFile>> Write(const std::string& path,
                                                         const std::string& listen,
                                                         const std::string& admin);
  // Removes the file.
  ~PortFile();
  PortFile(const PortFile&) = delete;
  PortFile& operator=(const PortFile&) = delete;

 private:
  explicit PortFile(std::string path);

  const std::string path_;
};

}  // namespace gantry::observability

#endif  // GANTRY_SERVER_OBSERVABILITY_PORT_FILE_H_
