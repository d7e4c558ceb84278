// SPDX-License-Identifier: Apache-2.0
#include "gantry/client/connection.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <chrono>
#include <utility>

#include "gantry/client/errors.h"
#include "gantry/v1/promotion_step_service.grpc.pb.h"

namespace gantry::client {
namespace {

// A dry run of a step with many Applications answers with all their patches.
constexpr int kMaxReceiveBytes = 64 << 20;

// Whether `address` is on this machine.
bool IsLocal(const std::string& address) {
  for (const char* const begin :
       {"127.", "localhost:", "[::1]:", "unix:", "unix-abstract:", "ipv4:127.",
        "ipv6:[::1]:", "dns:localhost:", "dns:///localhost:", "dns:127.", "dns:///127."}) {
    if (address.rfind(begin, 0) == 0) return true;
  }
  return false;
}

// The Connection over a gRPC channel: sets deadlines and credentials, and tells a service that is
// slow from one that is not there. Immutable, hence safe from any thread.
class GrpcConnection : public Connection {
 public:
  GrpcConnection(std::shared_ptr<grpc::Channel> channel,
                 std::shared_ptr<grpc::CallCredentials> call_credentials)
      : channel_(std::move(channel)),
        call_credentials_(std::move(call_credentials)),
        stub_(v1::PromotionStepService::NewStub(channel_)) {}

  absl::StatusOr<v1::RunStepResponse> RunStep(const v1::RunStepRequest& request,
                                              absl::Duration timeout) override {
    grpc::ClientContext context;
    if (timeout < absl::Hours(24 * 365)) {
      context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(timeout));
    }
    if (call_credentials_ != nullptr) context.set_credentials(call_credentials_);
    v1::RunStepResponse response;
    const grpc::Status status = stub_->RunStep(&context, request, &response);
    if (status.ok()) return response;
    absl::Status error = FromGrpcStatus(status);
    if (absl::IsDeadlineExceeded(error) && channel_->GetState(false) == GRPC_CHANNEL_READY) {
      MarkConnected(error);
    }
    return error;
  }

 private:
  const std::shared_ptr<grpc::Channel> channel_;
  const std::shared_ptr<grpc::CallCredentials> call_credentials_;
  const std::unique_ptr<v1::PromotionStepService::Stub> stub_;
};

}  // namespace

std::shared_ptr<Connection> Connect(const std::string& address, const ChannelOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxReceiveBytes);
  if (!options.user_agent.empty()) arguments.SetUserAgentPrefix(options.user_agent);
  // gRPC's own reconnecting slows down to once in two minutes, and an attempt may take 20 s.
  // Callers repeat calls every few seconds and should find out then.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 500);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5000);
  // http_proxy and its like are meant for the world outside.
  if (IsLocal(address)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  const std::shared_ptr<grpc::ChannelCredentials> credentials =
      options.channel_credentials != nullptr ? options.channel_credentials
                                             : grpc::InsecureChannelCredentials();
  return std::make_shared<GrpcConnection>(
      grpc::CreateCustomChannel(address, credentials, arguments), options.call_credentials);
}

}  // namespace gantry::client
