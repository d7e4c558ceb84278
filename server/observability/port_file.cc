// SPDX-License-Identifier: Apache-2.0
#include "server/observability/port_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

namespace gantry::observability {
namespace {

// Empty when all was written, else the system's reason.
std::string WriteAll(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return std::generic_category().message(errno);
  std::string reason;
  std::size_t written = 0;
  while (written < text.size() && reason.empty()) {
    const ssize_t n = write(fd, text.data() + written, text.size() - written);
    if (n >= 0) {
      written += static_cast<std::size_t>(n);
    } else if (errno != EINTR) {
      reason = std::generic_category().message(errno);
    }
  }
  if (close(fd) != 0 && reason.empty()) reason = std::generic_category().message(errno);
  return reason;
}

}  // namespace

PortFile::PortFile(std::string path) : path_(std::move(path)) {}

absl::StatusOr<std::unique_ptr<PortFile>> PortFile::Write(const std::string& path,
                                                          const std::string& listen,
                                                          const std::string& admin) {
  const std::string text = nlohmann::json{{"listen", listen}, {"admin", admin}}.dump() + "\n";
  // In the same folder, so that the rename is atomic.
  const std::string temporary = absl::StrCat(path, ".", getpid(), ".tmp");
  std::string reason = WriteAll(temporary, text);
  if (reason.empty() && std::rename(temporary.c_str(), path.c_str()) != 0) {
    reason = std::generic_category().message(errno);
  }
  if (!reason.empty()) {
    unlink(temporary.c_str());
    return absl::UnavailableError(absl::StrCat("cannot write ", path, " (--port-file): ", reason));
  }
  return std::unique_ptr<PortFile>(new PortFile(path));
}

PortFile::~PortFile() { unlink(path_.c_str()); }

}  // namespace gantry::observability
