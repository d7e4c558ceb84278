// SPDX-License-Identifier: Apache-2.0
#include "server/service/server.h"

#include <grpc/grpc.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "server/observability/listen_error.h"

namespace gantry::service {
namespace {

constexpr int kMinPingIntervalMs = 10'000;
constexpr int kKeepaliveTimeMs = 60'000;
constexpr int kKeepaliveTimeoutMs = 20'000;
constexpr std::chrono::milliseconds kCutAgain{100};
constexpr int kMaxStreamsPerConnection = 1000;
// Reflection alone is synchronous.
constexpr int kMaxSynchronousThreads = 8;

// These concern every server that is built afterwards, and may be called once.
void EnableHealthService() {
  static std::once_flag once;
  std::call_once(once, [] { grpc::EnableDefaultHealthCheckService(true); });
}

void EnableReflection() {
  static std::once_flag once;
  std::call_once(once, grpc::reflection::InitProtoReflectionServerBuilderPlugin);
}

void SetChannelArguments(const ServerOptions& options, grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(options.max_receive_bytes);
  // gRPC unpacks a message before it looks at its size, so a few kilobytes could take gigabytes.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  // By default several processes may listen on one port and each gets some of the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  // Clients and load balancers may ping idle connections.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kMinPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // Finds peers that vanished without closing their connection.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
}

void BoundSynchronousThreads(grpc::ServerBuilder& builder) {
  grpc::ResourceQuota quota("gantry-server");
  quota.SetMaxThreads(kMaxSynchronousThreads);
  builder.SetResourceQuota(quota);
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                                      PromotionStepServiceImpl& service) {
  EnableHealthService();
  if (options.reflection) EnableReflection();

  std::unique_ptr<Server> server(new Server(service));
  grpc::ServerBuilder builder;
  SetChannelArguments(options, builder);
  BoundSynchronousThreads(builder);
  const bool ipv6 = options.host.find(':') != std::string::npos;
  builder.AddListeningPort(
      absl::StrCat(ipv6 ? "[" : "", options.host, ipv6 ? "]:" : ":", options.port),
      options.credentials != nullptr ? options.credentials : grpc::InsecureServerCredentials(),
      &server->port_);
  builder.RegisterService(&service);
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr) {
    server->shut_down_ = true;
    return observability::ListenError("--listen", options.host, options.port);
  }
  server->SetServing(false);
  return server;
}

Server::~Server() { Shutdown(absl::ZeroDuration()); }

void Server::SetServing(bool serving) {
  grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
  health->SetServingStatus(v1::PromotionStepService::service_full_name(), serving);
  health->SetServingStatus(serving);
}

void Server::Shutdown(absl::Duration drain_timeout) {
  if (std::exchange(shut_down_, true)) return;
  // For good: later changes are ignored.
  server_->GetHealthCheckService()->Shutdown();
  service_.StartDraining();

  // gRPC waits for streams of the health service too, which clients keep open for ever. So as soon
  // as no call of ours is left, everything else is cut off.
  base::Mutex mutex;
  base::ConditionVariable changed;
  bool ended = false;
  std::thread cutter([&] {
    const auto drained =
        std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(drain_timeout);
    service_.calls().WaitUntilIdle(drained);
    while (true) {
      grpc_server_cancel_all_calls(server_->c_server());
      base::MutexLock lock(mutex);
      // Again: a connection may have come in just before gRPC stopped listening.
      if (!ended) changed.WaitUntil(mutex, std::chrono::steady_clock::now() + kCutAgain);
      if (ended) return;
    }
  });
  server_->Shutdown(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(drain_timeout));
  {
    base::MutexLock lock(mutex);
    ended = true;
  }
  changed.NotifyAll();
  cutter.join();
}

}  // namespace gantry::service
