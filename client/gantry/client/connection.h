// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_CONNECTION_H_
#define GANTRY_CLIENT_CONNECTION_H_

#include <grpcpp/security/credentials.h>

#include <functional>
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
  // Gives the bearer token that tells the service who calls; null: none is sent. Asked before each
  // call, on the thread that calls, so that a token that is renewed takes effect; hence it must be
  // callable from any thread. Its error becomes that of the call, which is then not sent. Over an
  // unsecured connection a token is sent to this machine only (IsLoopback); a call elsewhere is
  // FAILED_PRECONDITION.
  std::function<absl::StatusOr<std::string>()> token;
  // Put before gRPC's own name in the user agent, as in "my-orchestrator/1.2". May be empty.
  std::string user_agent;
  // Whether gRPC itself repeats a call that fails with UNAVAILABLE, by a service config (every call
  // of the service may be repeated): up to 3 attempts in all, after pauses of up to 250 ms and
  // 500 ms, within the deadline of the call, and not while most calls of late have failed
  // (retryThrottling: maxTokens 10, tokenRatio 0.5). This bridges a connection that breaks or a
  // replica that goes away. gRPC obeys a service that sends `grpc-retry-pushback-ms`, and does not
  // know RetryInfo, which the methods of Client obey that repeat calls; they need no retries below
  // them, and without these their callbacks hear of every failure at once. Streams are never
  // repeated; HealthWatch opens them again.
  bool retries = true;
};

// Whether `address`, as Connect takes it, can lead nowhere but to this machine: localhost, an
// address of 127.0.0.0/8, [::1], or a Unix socket. Any other name is looked up somewhere, and
// nothing is known of it. Pure.
bool IsLoopback(const std::string& address);

// One WatchStageHealth stream. Read is called by one thread at a time, Cancel by any.
class HealthStream {
 public:
  virtual ~HealthStream() = default;

  // Blocks until there is an event, or the stream has ended; then its error, as errors.h describes,
  // and Read is not called again. A stream that the service ends without an error is UNAVAILABLE.
  virtual absl::StatusOr<v1::WatchStageHealthResponse> Read() = 0;

  // Makes a Read under way, and the next one, fail soon. Does not block.
  virtual void Cancel() = 0;
};

// The calls of the service, one method each, as an interface so that what is built on them can be
// tested without a service. A Client shares the ownership. Any thread may call; a call blocks.
class Connection {
 public:
  virtual ~Connection() = default;

  // One RunStep call. It fails with DEADLINE_EXCEEDED when `timeout` has passed without a response.
  // Errors are as errors.h describes.
  virtual absl::StatusOr<v1::RunStepResponse> RunStep(const v1::RunStepRequest& request,
                                                      absl::Duration timeout) = 0;

  // One call each, in the same manner. ListStageHealth gets one page.
  virtual absl::StatusOr<v1::GetStageHealthResponse> GetStageHealth(
      const v1::GetStageHealthRequest& request, absl::Duration timeout) = 0;
  virtual absl::StatusOr<v1::ListStageHealthResponse> ListStageHealth(
      const v1::ListStageHealthRequest& request, absl::Duration timeout) = 0;

  virtual absl::StatusOr<v1::ReportPromotionResponse> ReportPromotion(
      const v1::ReportPromotionRequest& request, absl::Duration timeout) = 0;
  virtual absl::StatusOr<v1::ReportIndicatorResponse> ReportIndicator(
      const v1::ReportIndicatorRequest& request, absl::Duration timeout) = 0;
  virtual absl::StatusOr<v1::ListStepKindsResponse> ListStepKinds(
      const v1::ListStepKindsRequest& request, absl::Duration timeout) = 0;

  // A stream that opens with its first Read. It fails with DEADLINE_EXCEEDED when no connection
  // comes about within `connect_timeout`, and when `timeout` is over. Never null, does not block.
  virtual std::unique_ptr<HealthStream> WatchStageHealth(const v1::WatchStageHealthRequest& request,
                                                         absl::Duration connect_timeout,
                                                         absl::Duration timeout) = 0;
};

// Makes a connection over gRPC to `address`: host:port, or any other name gRPC takes
// (dns:///host:port, unix:/path). It connects with the first call and reconnects by itself, so this
// never fails; an address that leads nowhere shows as UNAVAILABLE on the calls. The proxy that
// http_proxy or grpc_proxy name is used, except for addresses on this machine.
std::shared_ptr<Connection> Connect(const std::string& address, const ChannelOptions& options = {});

}  // namespace gantry::client

#endif  // GANTRY_CLIENT_CONNECTION_H_
