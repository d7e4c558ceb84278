// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_CLIENT_UNUSED_PORT_H_
#define GANTRY_TESTS_CLIENT_UNUSED_PORT_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace gantry::client {

// A port of 127.0.0.1 that belongs to nobody else while this lives. It refuses connections; with
// `listening` it takes them and never says a word.
class UnusedPort {
 public:
  explicit UnusedPort(bool listening = false) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    ok_ = socket_ >= 0 && ::bind(socket_, generic, size) == 0 &&
          ::getsockname(socket_, generic, &size) == 0 && (!listening || ::listen(socket_, 16) == 0);
    address_ = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
  }
  ~UnusedPort() { ::close(socket_); }
  UnusedPort(const UnusedPort&) = delete;
  UnusedPort& operator=(const UnusedPort&) = delete;

  bool ok() const { return ok_; }
  const std::string& address() const { return address_; }

 private:
  const int socket_;
  bool ok_ = false;
  std::string address_;
};

}  // namespace gantry::client

#endif  // GANTRY_TESTS_CLIENT_UNUSED_PORT_H_
