// SPDX-License-Identifier: Apache-2.0
#include "server/observability/admin_server.h"

#include <httplib.h>
#include <sys/socket.h>

#include <algorithm>
#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/worker_pool.h"
#include "server/observability/listen_error.h"

namespace gantry::observability {
namespace {

constexpr std::size_t kThreads = 4;
constexpr std::size_t kQueuedConnections = 64;
constexpr std::time_t kSocketTimeoutSeconds = 5;
constexpr std::size_t kMaxRequestBody = 4096;
constexpr const char* kText = "text/plain; charset=utf-8";
constexpr const char* kMetrics = "text/plain; version=0.0.4; charset=utf-8";

// The library's own pool queues connections without bound.
class ConnectionQueue final : public httplib::TaskQueue {
 public:
  // When all is busy the connection is served on the accepting thread, which accepts no other
  // meanwhile: the rest waits in the system's backlog.
  void enqueue(std::function<void()> connection) override {
    if (!pool_.TrySubmit(connection)) connection();
  }
  void shutdown() override { pool_.Shutdown(); }

 private:
  base::WorkerPool pool_{kThreads, kQueuedConnections};
};

}  // namespace

std::string ServingState::WhyNot() const {
  switch (phase_.load(std::memory_order_acquire)) {
    case Phase::kStarting:
      return "not serving yet";
    case Phase::kServing:
      return "";
    case Phase::kDraining:
      return "draining";
  }
  return "";
}

AdminServer::AdminServer(std::vector<ReadinessCheck> checks, std::function<std::string()> metrics)
    : checks_(std::move(checks)),
      metrics_(std::move(metrics)),
      // Every endpoint there is.
      endpoints_{
          {"/livez", Livez},
          {"/readyz", [this](const auto& request, auto& response) { Readyz(request, response); }},
          {"/metrics",
           [this](const auto& /*request*/, auto& response) {
             response.status = 200;
             response.set_content(metrics_(), kMetrics);
           }},
      },
      server_(std::make_unique<httplib::Server>()) {}

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::Start(
    const std::string& host, int port, std::vector<ReadinessCheck> checks,
    std::function<std::string()> metrics) {
  std::unique_ptr<AdminServer> admin(new AdminServer(std::move(checks), std::move(metrics)));
  httplib::Server& server = *admin->server_;
  // By default the library lets several processes listen on one port.
  server.set_socket_options([](int fd) {
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  });
  // An idle connection would hold a thread.
  server.set_keep_alive_max_count(1);
  server.set_read_timeout(kSocketTimeoutSeconds);
  server.set_write_timeout(kSocketTimeoutSeconds);
  server.set_payload_max_length(kMaxRequestBody);
  server.set_pre_routing_handler(
      [raw = admin.get()](const httplib::Request& request, httplib::Response& response) {
        raw->Handle(request, response);
        return httplib::Server::HandlerResponse::Handled;
      });
  if (port == 0) {
    admin->port_ = server.bind_to_any_port(host);
  } else {
    admin->port_ = server.bind_to_port(host, port) ? port : -1;
  }
  if (admin->port_ <= 0) return ListenError("--admin-listen", host, port);

  // A server that has not begun cannot be stopped; it makes its queue once it has.
  std::promise<void> begun;
  server.new_task_queue = [&begun] {
    begun.set_value();
    return new ConnectionQueue;
  };
  admin->listener_ = std::thread([&server] { server.listen_after_bind(); });
  begun.get_future().wait();
  return admin;
}

AdminServer::~AdminServer() {
  if (!listener_.joinable()) return;
  server_->stop();
  listener_.join();
}

void AdminServer::Handle(const httplib::Request& request, httplib::Response& response) const {
  if (request.method != "GET" && request.method != "HEAD") {
    response.status = 405;
    response.set_header("Allow", "GET, HEAD");
    response.set_content("Only GET and HEAD are answered here.\n", kText);
    return;
  }
  const auto endpoint =
      std::find_if(endpoints_.begin(), endpoints_.end(),
                   [&request](const Endpoint& e) { return e.path == request.path; });
  if (endpoint == endpoints_.end()) {
    response.status = 404;
    response.set_content(absl::StrCat("There is no such page. There are:\n",
                                      absl::StrJoin(endpoints_, "\n",
                                                    [](std::string* out, const Endpoint& e) {
                                                      out->append(e.path);
                                                    }),
                                      "\n"),
                         kText);
    return;
  }
  response.set_header("Cache-Control", "no-store");
  endpoint->handler(request, response);
}

void AdminServer::Livez(const httplib::Request& request, httplib::Response& response) {
  response.status = 200;
  response.set_content(request.has_param("verbose") ? "[+]ping ok\nlivez check passed\n" : "ok",
                       kText);
}

void AdminServer::Readyz(const httplib::Request& request, httplib::Response& response) const {
  std::string verbose;
  std::vector<std::string> reasons;
  for (const ReadinessCheck& check : checks_) {
    const std::string reason = check.why_not();
    if (reason.empty()) {
      absl::StrAppend(&verbose, "[+]", check.name, " ok\n");
    } else {
      absl::StrAppend(&verbose, "[-]", check.name, " failed: ", reason, "\n");
      reasons.push_back(reason);
    }
  }
  absl::StrAppend(&verbose, "readyz check ", reasons.empty() ? "passed\n" : "failed\n");
  response.status = reasons.empty() ? 200 : 503;
  const std::string brief = reasons.empty() ? "ok" : absl::StrJoin(reasons, "; ");
  response.set_content(request.has_param("verbose") ? verbose : brief, kText);
}

}  // namespace gantry::observability
