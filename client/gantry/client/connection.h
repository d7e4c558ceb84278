// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_CONNECTION_H_
#define GANTRY_CLIENT_CONNECTION_H_

#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gantry/v1/promotion_step_service.pb.h"

namespace gantry::client {

// How to talk to the service. The default is plain text, for a service on the same machine or
// behind a proxy that encrypts.
struct ChannelOptions {
  // How the connection is secured. Null: not at all. For TLS, what grpc::SslCredentials makes.
  std::shared_ptr<grpc::ChannelCredentials> channel_credentials;
  // What tells the service who calls, added to every call; null: nothing. A bearer token, for
  // example, by grpc::AccessTokenCredentials. gRPC sends these over secured connections only.
  std::shared_ptr<grpc::CallCredentials> call_credentials;
  // Put before gRPC's own name in the user agent, as in "my-orchestrator/1.2". May be empty.
  std::string user_agent;
};

// The calls of the service, one method each, as an interface so that what is built on them can be
// tested without a service. A Client shares the ownership. Any thread may call; a call blocks.
class Connection {
 public:
  virtual ~Connection() = default;

  // One RunStep call. It fails with DEADLINE_EXCEEDED when `timeout` has passed without an answer.
  // Errors are as errors.h describes.
  virtual absl::StatusOr<v1::RunStepResponse> RunStep(const v1::RunStepRequest& request,
                                                      absl::Duration timeout) = 0;
};

// Makes a connection over gRPC to `address`: host:port, or any other name gRPC takes
// (dns:///host:port, unix:/path). It connects with the first call and reconnects by itself, so this
// never fails; an address that leads nowhere shows as UNAVAILABLE on the calls. The proxy that
// http_proxy or grpc_proxy name is used, except for addresses on this machine.
std::shared_ptr<Connection> Connect(const std::string& address, const ChannelOptions& options = {});

}  // namespace gantry::client

#endif  // GANTRY_CLIENT_CONNECTION_H_
