// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_SERVICE_SERVER_H_
#define GANTRY_SERVER_SERVICE_SERVER_H_

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/service/promotion_step_service.h"

namespace gantry::service {

struct ServerOptions {
  std::string host;                                      // without brackets
  int port = 0;                                          // 0: any free one
  std::shared_ptr<grpc::ServerCredentials> credentials;  // null: plain text
  int max_receive_bytes = 4 << 20;
  // Holds a thread a stream, a few at most. Once on, it stays on for every server of the process.
  bool reflection = true;
};

// The listening gRPC server: the service, grpc.health.v1 and reflection. Health says NOT_SERVING,
// for the server as a whole and for the service's name, until SetServing(true). Owned by the
// wiring, one thread; the service outlives it.
class Server {
 public:
  // Listens at once. An error is one sentence for whoever started the program.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                                       PromotionStepServiceImpl& service);
  // As Shutdown without time to drain.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // The port really bound.
  int port() const { return port_; }
  void SetServing(bool serving);
  // Takes no further connections and calls, waits for those of the service in progress, cancels
  // what is left of them after `drain_timeout`, and returns when all have ended. Watches of Stages
  // are told to end, which takes a reader that reads; streams of the health service do not hold it
  // up.
  void Shutdown(absl::Duration drain_timeout);

 private:
  explicit Server(PromotionStepServiceImpl& service) : service_(service) {}

  PromotionStepServiceImpl& service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  bool shut_down_ = false;
};

}  // namespace gantry::service

#endif  // GANTRY_SERVER_SERVICE_SERVER_H_
