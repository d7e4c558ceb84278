// SPDX-License-Identifier: Apache-2.0
#include "gantry/client/connection.h"

#include <arpa/inet.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gantry/client/errors.h"
#include "gantry/v1/promotion_step_service.grpc.pb.h"

namespace gantry::client {
namespace {

// The response to a dry run of a step with many Applications has all their patches.
constexpr int kMaxReceiveBytes = 64 << 20;

// The numbers are documented with ChannelOptions::retries. gRPC draws each pause between zero and
// its backoff.
constexpr char kServiceConfig[] = R"({
  "methodConfig": [{
    "name": [
      {"service": "gantry.v1.PromotionStepService", "method": "RunStep"},
      {"service": "gantry.v1.PromotionStepService", "method": "GetStageHealth"},
      {"service": "gantry.v1.PromotionStepService", "method": "ListStageHealth"},
      {"service": "gantry.v1.PromotionStepService", "method": "ReportPromotion"},
      {"service": "gantry.v1.PromotionStepService", "method": "ReportIndicator"},
      {"service": "gantry.v1.PromotionStepService", "method": "ListStepKinds"}
    ],
    "retryPolicy": {
      "maxAttempts": 3,
      "initialBackoff": "0.25s",
      "maxBackoff": "0.5s",
      "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }],
  "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.5}
})";

bool IsLoopbackHost(const std::string& host) {
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  in6_addr v6{};
  if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
  return absl::EqualsIgnoreCase(host, "localhost");
}

// How often a stream that waits for its connection looks whether it was cancelled.
constexpr absl::Duration kCancelLatency = absl::Milliseconds(100);

std::chrono::system_clock::time_point After(absl::Duration duration) {
  return std::chrono::system_clock::now() + absl::ToChronoMicroseconds(duration);
}

void SetDeadline(grpc::ClientContext& context, absl::Duration timeout) {
  if (timeout < absl::Hours(24 * 365)) context.set_deadline(After(timeout));
}

using Stub = v1::PromotionStepService::Stub;

// What all calls over one channel share: sets credentials, and tells a service that
// is slow from one that is not there. Owned by the connection and its streams. Immutable, hence
// safe from any thread.
class Link {
 public:
  Link(std::shared_ptr<grpc::Channel> channel, const std::string& address,
       const ChannelOptions& options)
      : channel_(std::move(channel)),
        call_credentials_(options.call_credentials),
        token_(options.token),
        token_error_(options.token && options.channel_credentials == nullptr && !IsLoopback(address)
                         ? absl::FailedPreconditionError(
                               absl::StrCat("a token is not sent to ", address,
                                            " over a connection that is not secured; expected TLS"))
                         : absl::OkStatus()),
        stub_(v1::PromotionStepService::NewStub(channel_)) {}

  grpc::Channel& channel() const { return *channel_; }
  Stub& stub() const { return *stub_; }

  // The error of a call that must not be sent.
  absl::Status SetCredentials(grpc::ClientContext& context) const {
    if (call_credentials_ != nullptr) context.set_credentials(call_credentials_);
    absl::Status error = SetToken(context);
    if (!error.ok()) MarkNotSent(error);
    return error;
  }

  absl::Status ErrorOf(const grpc::Status& status) const {
    absl::Status error = FromGrpcStatus(status);
    if (absl::IsDeadlineExceeded(error) && channel_->GetState(false) == GRPC_CHANNEL_READY) {
      MarkConnected(error);
    }
    return error;
  }

 private:
  absl::Status SetToken(grpc::ClientContext& context) const {
    if (!token_) return absl::OkStatus();
    if (!token_error_.ok()) return token_error_;
    const absl::StatusOr<std::string> token = token_();
    if (!token.ok()) return token.status();
    for (const unsigned char c : *token) {
      // gRPC ends the program over what a header cannot hold.
      if (c <= ' ' || c >= 0x7f) {
        return absl::FailedPreconditionError(
            "the token has a character that a header cannot hold; expected printable ASCII "
            "without blanks");
      }
    }
    context.AddMetadata("authorization", absl::StrCat("Bearer ", *token));
    return absl::OkStatus();
  }

  const std::shared_ptr<grpc::Channel> channel_;
  const std::shared_ptr<grpc::CallCredentials> call_credentials_;
  const std::function<absl::StatusOr<std::string>()> token_;
  const absl::Status token_error_;
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
    SetDeadline(context_, timeout);
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
      if (absl::Status error = link_->SetCredentials(context_); !error.ok()) return error;
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
  explicit GrpcConnection(std::shared_ptr<const Link> link) : link_(std::move(link)) {}

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
  absl::StatusOr<v1::ReportPromotionResponse> ReportPromotion(
      const v1::ReportPromotionRequest& request, absl::Duration timeout) override {
    return Call(&Stub::ReportPromotion, request, timeout);
  }
  absl::StatusOr<v1::ReportIndicatorResponse> ReportIndicator(
      const v1::ReportIndicatorRequest& request, absl::Duration timeout) override {
    return Call(&Stub::ReportIndicator, request, timeout);
  }
  absl::StatusOr<v1::ListStepKindsResponse> ListStepKinds(const v1::ListStepKindsRequest& request,
                                                          absl::Duration timeout) override {
    return Call(&Stub::ListStepKinds, request, timeout);
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
    SetDeadline(context, timeout);
    if (const absl::Status error = link_->SetCredentials(context); !error.ok()) return error;
    Response response;
    const grpc::Status status = (link_->stub().*method)(&context, request, &response);
    if (status.ok()) return response;
    return link_->ErrorOf(status);
  }

  const std::shared_ptr<const Link> link_;
};

}  // namespace

bool IsLoopback(const std::string& address) {
  if (absl::StartsWith(address, "unix:") || absl::StartsWith(address, "unix-abstract:")) {
    return true;
  }
  std::string names = address;
  for (const char* const scheme : {"dns:", "ipv4:", "ipv6:"}) {
    if (!absl::StartsWith(names, scheme)) continue;
    names.erase(0, std::string(scheme).size());
    // An authority in between is a name server that may answer anything.
    if (absl::StartsWith(names, "///")) names.erase(0, 3);
    break;
  }
  // ipv4: and ipv6: take several.
  for (const absl::string_view part : absl::StrSplit(names, ',')) {
    std::string host(part);
    if (absl::StartsWith(host, "[")) {
      const std::size_t end = host.find(']');
      if (end == std::string::npos) return false;
      host = host.substr(1, end - 1);
    } else {
      host = host.substr(0, host.find(':'));
    }
    if (!IsLoopbackHost(host)) return false;
  }
  return true;
}

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
  if (IsLoopback(address)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (options.retries) {
    arguments.SetServiceConfigJSON(kServiceConfig);
  } else {
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  }
  const std::shared_ptr<grpc::ChannelCredentials> credentials =
      options.channel_credentials != nullptr ? options.channel_credentials
                                             : grpc::InsecureChannelCredentials();
  return std::make_shared<GrpcConnection>(std::make_shared<const Link>(
      grpc::CreateCustomChannel(address, credentials, arguments), address, options));
}

}  // namespace gantry::client
