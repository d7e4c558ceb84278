// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_OBSERVABILITY_ADMIN_SERVER_H_
#define GANTRY_SERVER_OBSERVABILITY_ADMIN_SERVER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"

namespace httplib {
class Server;
struct Request;
struct Response;
}  // namespace httplib

namespace gantry::observability {

// One condition of being ready for calls.
struct ReadinessCheck {
  std::string name;
  // Why not, in words, such as "draining"; empty when it is. Called on the admin server's threads,
  // several at once; must not block.
  std::function<std::string()> why_not;
};

// Where the process is in its life, as a readiness check. Owned by the wiring; any thread.
class ServingState {
 public:
  enum class Phase { kStarting, kServing, kDraining };

  void Set(Phase phase) { phase_.store(phase, std::memory_order_release); }
  // "not serving yet", "draining", or empty.
  std::string WhyNot() const;

 private:
  std::atomic<Phase> phase_{Phase::kStarting};
};

// The HTTP endpoints for whoever operates the server, on a listener and threads of their own, so
// that they respond however busy the service is:
//   /livez    200 while the process can respond at all; asks nothing and nobody
//   /readyz   200 when every check passes, else 503 with the reasons
//   /metrics  what Prometheus scrapes
// The first two take `?verbose`, which lists the checks one a line. Anything else is 404 with the
// list of paths. A connection carries one request. Owned by the wiring; serves from Start until it
// is destroyed.
class AdminServer {
 public:
  // An error is one sentence for whoever started the program.
  // `metrics` writes them in Prometheus' text format; called as the checks are, but may take a
  // moment.
  static absl::StatusOr<std::unique_ptr<AdminServer>> Start(const std::string& host, int port,
                                                            std::vector<ReadinessCheck> checks,
                                                            std::function<std::string()> metrics);
  // Ends the requests in progress within seconds, and the threads.
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  // The port really bound.
  int port() const { return port_; }

 private:
  using Handler = std::function<void(const httplib::Request&, httplib::Response&)>;
  struct Endpoint {
    std::string path;
    Handler handler;
  };

  AdminServer(std::vector<ReadinessCheck> checks, std::function<std::string()> metrics);
  void Handle(const httplib::Request& request, httplib::Response& response) const;
  static void Livez(const httplib::Request& request, httplib::Response& response);
  void Readyz(const httplib::Request& request, httplib::Response& response) const;

  const std::vector<ReadinessCheck> checks_;
  const std::function<std::string()> metrics_;
  const std::vector<Endpoint> endpoints_;
  const std::unique_ptr<httplib::Server> server_;
  int port_ = 0;
  std::thread listener_;
};

}  // namespace gantry::observability

#endif  // GANTRY_SERVER_OBSERVABILITY_ADMIN_SERVER_H_
