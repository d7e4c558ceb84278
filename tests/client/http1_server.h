// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_CLIENT_HTTP1_SERVER_H_
#define GANTRY_TESTS_CLIENT_HTTP1_SERVER_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "absl/strings/str_cat.h"

namespace gantry::client {

// Answers whatever comes with an HTTP/1.1 error, as an HTTP/1 server does with what it does not
// understand. Serves as long as it lives, one connection after the other.
class Http1Server {
 public:
  Http1Server() : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    ok_ = ::bind(socket_, generic, size) == 0 && ::getsockname(socket_, generic, &size) == 0 &&
          ::listen(socket_, 16) == 0;
    address_ = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
    thread_ = std::thread([this] { Serve(); });
  }
  ~Http1Server() {
    ::shutdown(socket_, SHUT_RDWR);
    thread_.join();
    ::close(socket_);
  }
  Http1Server(const Http1Server&) = delete;
  Http1Server& operator=(const Http1Server&) = delete;

  bool ok() const { return ok_; }
  const std::string& address() const { return address_; }

 private:
  void Serve() const {
    const std::string answer = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    for (;;) {
      const int connection = ::accept(socket_, nullptr, nullptr);
      if (connection < 0) return;
      char buffer[4096];
      if (::recv(connection, buffer, sizeof buffer, 0) > 0) {
        ::send(connection, answer.data(), answer.size(), MSG_NOSIGNAL);
      }
      ::close(connection);
    }
  }

  const int socket_;
  bool ok_ = false;
  std::string address_;
  std::thread thread_;
};

}  // namespace gantry::client

#endif  // GANTRY_TESTS_CLIENT_HTTP1_SERVER_H_
