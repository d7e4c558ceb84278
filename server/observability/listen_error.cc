// SPDX-License-Identifier: Apache-2.0
#include "server/observability/listen_error.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace gantry::observability {
namespace {

// Empty when listening there would work.
std::string Reason(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* addresses = nullptr;
  const int resolved = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &addresses);
  if (resolved != 0) {
    return absl::StrCat("the host is not known (", gai_strerror(resolved), ")");
  }
  std::string reason;
  for (const addrinfo* address = addresses; address != nullptr && reason.empty();
       address = address->ai_next) {
    const int fd =
        socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, address->ai_protocol);
    const int on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, 1) != 0) {
      reason = std::generic_category().message(errno);
    }
    if (fd >= 0) close(fd);
  }
  freeaddrinfo(addresses);
  return reason;
}

}  // namespace

absl::Status ListenError(const std::string& flag, const std::string& host, int port) {
  const std::string reason = Reason(host, port);
  return absl::UnavailableError(
      absl::StrCat("cannot listen on ", host, " port ", port, " (", flag,
                   "): ", reason.empty() ? "the reason is gone by now; try again" : reason));
}

}  // namespace gantry::observability
