// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SERVER_KUBERNETES_TEST_PROXY_H_
#define GANTRY_TESTS_SERVER_KUBERNETES_TEST_PROXY_H_

#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace gantry::kubernetes {

// A proxy that tunnels by HTTP's CONNECT and by SOCKS5 (without authentication). Whatever name
// it is asked for, it connects to one loopback port, so that names need not resolve. Owned by the
// test; its end ends all tunnels.
class TestProxy {
 public:
  explicit TestProxy(int target_port);
  ~TestProxy();
  TestProxy(const TestProxy&) = delete;
  TestProxy& operator=(const TestProxy&) = delete;

  int port() const { return port_; }
  // What it was asked for: "CONNECT host:port ..." with all headers, or "SOCKS5 host:port" for a
  // name, "SOCKS5 address" for an address.
  std::vector<std::string> requests() const;

 private:
  void Accept();
  void Serve(int client);
  // A tunnel to the target, to the end of either side.
  void Pump(int client);
  // False when the client is not understood; otherwise it has been told that it is connected.
  bool Greet(int client);

  const int target_port_;
  int listener_ = -1;
  int port_ = 0;
  mutable base::Mutex mutex_;
  std::vector<std::string> requests_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  int stop_[2] = {-1, -1};
  std::thread acceptor_;
};

}  // namespace gantry::kubernetes

#endif  // GANTRY_TESTS_SERVER_KUBERNETES_TEST_PROXY_H_
