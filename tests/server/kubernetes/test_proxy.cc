// SPDX-License-Identifier: Apache-2.0
#include "tests/server/kubernetes/test_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace gantry::kubernetes {
namespace {

void RequireOfProxy(bool condition, const char* what) {
  if (condition) return;
  std::perror(what);
  std::abort();
}

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

// Exactly so many bytes; fewer at the end.
std::string Receive(int fd, std::size_t count) {
  std::string bytes(count, '\0');
  const ssize_t received = recv(fd, bytes.data(), count, MSG_WAITALL);
  bytes.resize(received > 0 ? static_cast<std::size_t>(received) : 0);
  return bytes;
}

void Send(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

}  // namespace

TestProxy::TestProxy(int target_port) : target_port_(target_port) {
  RequireOfProxy(pipe(stop_) == 0, "pipe");
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  RequireOfProxy(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0, "bind");
  RequireOfProxy(listen(listener_, 16) == 0, "listen");
  RequireOfProxy(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0,
                 "getsockname");
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

TestProxy::~TestProxy() {
  close(stop_[1]);
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  std::vector<std::thread> threads;
  {
    base::MutexLock lock(mutex_);
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
  close(listener_);
  close(stop_[0]);
}

std::vector<std::string> TestProxy::requests() const {
  base::MutexLock lock(mutex_);
  return requests_;
}

void TestProxy::Accept() {
  while (true) {
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return;
    base::MutexLock lock(mutex_);
    threads_.emplace_back([this, client] { Serve(client); });
  }
}

void TestProxy::Serve(int client) {
  if (Greet(client)) Pump(client);
  close(client);
}

bool TestProxy::Greet(int client) {
  std::string request = Receive(client, 1);
  std::string answer;
  if (request == "\x05") {
    const std::string methods = Receive(client, 1);
    if (methods.empty()) return false;
    Receive(client, static_cast<unsigned char>(methods[0]));
    Send(client, std::string_view("\x05\x00", 2));
    const std::string head = Receive(client, 4);
    if (head.size() < 4) return false;
    request = "SOCKS5 address";
    if (head[3] == 3) {
      const std::string length = Receive(client, 1);
      if (length.empty()) return false;
      const std::string name = Receive(client, static_cast<unsigned char>(length[0]));
      const std::string port = Receive(client, 2);
      if (port.size() < 2) return false;
      request = "SOCKS5 " + name + ":" +
                std::to_string(static_cast<unsigned char>(port[0]) * 256 +
                               static_cast<unsigned char>(port[1]));
    } else {
      Receive(client, 6);
    }
    answer = std::string("\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00", 10);
  } else {
    while (!request.ends_with("\r\n\r\n")) {
      const std::string byte = Receive(client, 1);
      if (byte.empty()) return false;
      request += byte;
    }
    answer = "HTTP/1.1 200 Connection established\r\nX-Of-The-Proxy: yes\r\n\r\n";
  }
  {
    base::MutexLock lock(mutex_);
    requests_.push_back(request);
  }
  Send(client, answer);
  return true;
}

void TestProxy::Pump(int client) {
  const int target = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(target_port_);
  bool open = connect(target, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  while (open) {
    std::array<pollfd, 3> waited = {pollfd{client, POLLIN, 0}, pollfd{target, POLLIN, 0},
                                    pollfd{stop_[0], POLLIN, 0}};
    poll(waited.data(), waited.size(), -1);
    if (waited[2].revents != 0) break;
    const std::array<std::pair<int, int>, 2> directions = {std::pair(client, target),
                                                           std::pair(target, client)};
    for (std::size_t i = 0; i < directions.size(); ++i) {
      if (waited[i].revents == 0) continue;
      std::array<char, 16384> bytes;
      const ssize_t count = recv(directions[i].first, bytes.data(), bytes.size(), 0);
      if (count <= 0) {
        open = false;
      } else {
        Send(directions[i].second, {bytes.data(), static_cast<std::size_t>(count)});
      }
    }
  }
  close(target);
}

}  // namespace gantry::kubernetes
