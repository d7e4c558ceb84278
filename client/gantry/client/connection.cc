// SPDX-License-Identifier: Apache-2.0
#include "gantry/client/connection.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
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

// How often a stream that waits for its connection looks whether it was cancelled.
constexpr absl::Duration kCancelLatency = absl::Milliseconds(100);

std::chrono::system_clock::time_point After(absl::Duration duration) {
  return std::chrono::system_clock::now() + absl::ToChronoMicroseconds(duration);
}

using Stub = v1::PromotionStepService::Stub;

// What all calls over one channel share: sets deadlines and credentials, and tells a service that
// is slow from one that is not there. Owned by the connection and its streams. Immutable, hence
// safe from any thread.
class Link {
 public:
  Link(std::shared_ptr<grpc::Channel> channel,
       std::shared_ptr<grpc::CallCredentials> call_credentials)
      : channel_(std::move(channel)),
        call_credentials_(std::move(call_credentials)),
        stub_(v1::PromotionStepService::NewStub(channel_)) {}

  grpc::Channel& channel() const { return *channel_; }
  Stub& stub() const { return *stub_; }

  void Prepare(grpc::ClientContext& context, absl::Duration timeout) const {
    if (timeout < absl::Hours(24 * 365)) context.set_deadline(After(timeout));
    if (call_credentials_ != nullptr) context.set_credentials(call_credentials_);
  }

  absl::Status ErrorOf(const grpc::Status& status) const {
    absl::Status error = FromGrpcStatus(status);
    if (absl::IsDeadlineExceeded(error) && channel_->GetState(false) == GRPC_CHANNEL_READY) {
      MarkConnected(error);
    }
    return error;
  }

 private:
  const std::shared_ptr<grpc::Channel> channel_;
  const std::shared_ptr<grpc::CallCredentials> call_credentials_;
  const std::unique_ptr<Stub> stub_;
};

// A stream over gRPC. Opening one blocks for as long as the channel connects, without a limit of
// its own; so it waits for the connection first, in a way that Cancel ends.
class GrpcHealthStream : public HealthStream {
 public:
  GrpcHealthStream(std::shared_ptr<const Link> link, v1::WatchStageHealthRequest request,
                   absl::Duration connect_timeout, absl::Duration timeout)
      : link_(std::move(link)),
        request_(std::move(request)),
        connect_timeout_(std::min(connect_timeout, timeout)) {
    link_->Prepare(context_, timeout);
  }
  ~GrpcHealthStream() override {
    if (reader_ == nullptr) return;
    context_.TryCancel();
    v1::WatchStageHealthResponse ignored;
    while (reader_->Read(&ignored)) {
    }
    reader_->Finish();
  }

  absl::StatusOr<v1::WatchStageHealthResponse> Read() override {
    if (reader_ == nullptr) {
      if (absl::Status error = AwaitConnection(); !error.ok()) return error;
      reader_ = link_->stub().WatchStageHealth(&context_, request_);
    }
    v1::WatchStageHealthResponse event;
    if (reader_->Read(&event)) return event;
    const grpc::Status status = reader_->Finish();
    reader_ = nullptr;
    if (status.ok()) {
      absl::Status ended = absl::UnavailableError("the service ended the stream without an error");
      MarkConnected(ended);
      return ended;
    }
    return link_->ErrorOf(status);
  }

  void Cancel() override {
    cancelled_ = true;
    context_.TryCancel();
  }

 private:
  // OK once a call would not have to wait: there is a connection, or it is known that there is
  // none.
  absl::Status AwaitConnection() {
    const auto deadline = After(connect_timeout_);
    for (;;) {
      if (cancelled_) return absl::CancelledError("the stream was cancelled");
      const grpc_connectivity_state state = link_->channel().GetState(true);
      if (state != GRPC_CHANNEL_IDLE && state != GRPC_CHANNEL_CONNECTING) return absl::OkStatus();
      if (std::chrono::system_clock::now() >= deadline) {
        return absl::DeadlineExceededError(absl::StrCat("no connection came about within ",
                                                        absl::FormatDuration(connect_timeout_)));
      }
      link_->channel().WaitForStateChange(state, std::min(deadline, After(kCancelLatency)));
    }
  }

  const std::shared_ptr<const Link> link_;
  const v1::WatchStageHealthRequest request_;
  const absl::Duration connect_timeout_;
  std::atomic<bool> cancelled_ = false;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::WatchStageHealthResponse>> reader_;
};

// The Connection over a gRPC channel. Immutable, hence safe from any thread.
class GrpcConnection : public Connection {
 public:
  GrpcConnection(std::shared_ptr<grpc::Channel> channel,
                 std::shared_ptr<grpc::CallCredentials> call_credentials)
      : link_(std::make_shared<const Link>(std::move(channel), std::move(call_credentials))) {}

  absl::StatusOr<v1::RunStepResponse> RunStep(const v1::RunStepRequest& request,
                                              absl::Duration timeout) override {
    return Call(&Stub::RunStep, request, timeout);
  }
  absl::StatusOr<v1::GetStageHealthResponse> GetStageHealth(
      const v1::GetStageHealthRequest& request, absl::Duration timeout) override {
    return Call(&Stub::GetStageHealth, request, timeout);
  }
  absl::StatusOr<v1::ListStageHealthResponse> ListStageHealth(
      const v1::ListStageHealthRequest& request, absl::Duration timeout) override {
    return Call(&Stub::ListStageHealth, request, timeout);
  }
  std::unique_ptr<HealthStream> WatchStageHealth(const v1::WatchStageHealthRequest& request,
                                                 absl::Duration connect_timeout,
                                                 absl::Duration timeout) override {
    return std::make_unique<GrpcHealthStream>(link_, request, connect_timeout, timeout);
  }

 private:
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
                                const Request& request, absl::Duration timeout) const {
    grpc::ClientContext context;
    link_->Prepare(context, timeout);
    Response response;
    const grpc::Status status = (link_->stub().*method)(&context, request, &response);
    if (status.ok()) return response;
    return link_->ErrorOf(status);
  }

  const std::shared_ptr<const Link> link_;
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
  // A stream can be silent for hours, and a peer that vanished would never be noticed.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // http_proxy and its like are meant for the world outside.
  if (IsLocal(address)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  const std::shared_ptr<grpc::ChannelCredentials> credentials =
      options.channel_credentials != nullptr ? options.channel_credentials
                                             : grpc::InsecureChannelCredentials();
  return std::make_shared<GrpcConnection>(
      grpc::CreateCustomChannel(address, credentials, arguments), options.call_credentials);
}

}  // namespace gantry::client
