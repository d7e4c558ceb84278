// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/config/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "absl/status/status.h"
#include "base/strings.h"

namespace gantry::kubernetes {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{4} << 20;

absl::Status Failure(const std::string& path, int error) {
  const absl::StatusCode code =
      error == ENOENT ? absl::StatusCode::kNotFound : absl::StatusCode::kFailedPrecondition;
  return absl::Status(
      code, base::StrCat("cannot read ", path, ": ", std::generic_category().message(error)));
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Failure(path, errno);
  std::string content;
  std::array<char, 16384> buffer;
  while (true) {
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int error = errno;
      close(fd);
      return Failure(path, error);
    }
    if (count == 0) break;
    content.append(buffer.data(), static_cast<std::size_t>(count));
    if (content.size() > kMaxBytes) {
      close(fd);
      return absl::FailedPreconditionError(
          base::StrCat("cannot use ", path, ": it is larger than ", kMaxBytes, " bytes"));
    }
  }
  close(fd);
  return content;
}

}  // namespace gantry::kubernetes
