// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_HTTP_HTTP_TRANSPORT_H_
#define GANTRY_SERVER_KUBERNETES_HTTP_HTTP_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/mutex.h"
#include "server/kubernetes/config/tls_files.h"

namespace gantry::kubernetes {

struct HttpRequest {
  std::string method = "GET";
  // Path and query, already percent-encoded; sent as it is, behind the server URL's own path.
  std::string target;
  // A value with a line break or another control character is refused (kRefused), not sent.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string_view body;  // outlives the call
  // Never for a watch: some servers send it as several gzip members, which libcurl cannot read.
  bool accept_compression = false;
  // When set, the body of a 2xx response goes here piece by piece instead of into
  // HttpResponse::body. Called on the thread of the caller; false ends the transfer.
  std::function<bool(std::string_view chunk)> sink;
  // When set, called when nothing has come for `quiet_after` since a 2xx response's header or the
  // last byte of its body: once in each silence. What has arrived by then, also while this process
  // was stopped, is received first. The transfer goes on. Called on the thread of the caller.
  std::function<void()> on_quiet;
  absl::Duration quiet_after = absl::InfiniteDuration();
  // Ends the transfer when no byte has arrived for so long. The sink may change it.
  absl::Duration idle_timeout = absl::InfiniteDuration();
  // The most that a 2xx response's body may have, after decompression; larger is an error. Not
  // applied to what goes into a sink.
  std::size_t max_body_bytes = std::size_t{1} << 30;
  // Presented to the server instead of the transport's own; may be null.
  std::shared_ptr<const ClientCertificate> client_certificate;
};

struct HttpResponse {
  // How the transfer of a 2xx response into a sink ended.
  enum class End { kComplete, kStoppedBySink, kIdle };

  int status = 0;
  // Of a response that is not 2xx, the first 64 KiB, or what was received of them when the
  // connection was lost on the way.
  std::string body;
  std::string content_type;
  std::optional<absl::Duration> retry_after;
  End end = End::kComplete;
};

// Carries HTTP requests to one server. An HTTP status, whatever it is, is a response; an error
// means that there was no complete one, has an ErrorDetail (kUnreachable, kCancelled,
// kDeadlineExceeded, kMalformedResponse or kRefused) whose outcome tells whether anything was
// sent, and never contains a secret. Any thread, many at once.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual absl::StatusOr<HttpResponse> Send(const HttpRequest& request, base::Context& context) = 0;
};

struct CurlTransportOptions {
  // "https://host:port" or "http://host:port", with a path or without.
  std::string server;
  TlsFiles tls;
  // "http://", "https://" or "socks5://[user:password@]host:port"; empty: none. The environment
  // is not looked at here.
  std::string proxy_url;
  // Name resolution, TCP and TLS together.
  absl::Duration connect_timeout = absl::Seconds(10);
  // How often the TLS files are looked at.
  absl::Duration tls_check_interval = absl::Minutes(1);
  // Told when a changed TLS file cannot be used and the last good one stays. May be empty.
  std::function<void(std::string_view)> on_warning;
};

// The Transport over libcurl. Each call takes the most recently used idle handle, or makes one,
// so connections stay warm and no call waits for another; handles unused for a while are closed.
// A call waits on its sockets and on the context at once, so cancellation and deadline end it
// within milliseconds in every phase. When the CA or client certificate files have changed, new
// handles replace the old ones. A request is written to the network at most once. Owned by whoever
// owns the connection to the cluster, and destroyed after the last call has ended.
class CurlTransport final : public Transport {
 public:
  // Reads the TLS files; an error names the one that cannot be used.
  static absl::StatusOr<std::unique_ptr<CurlTransport>> Create(
      CurlTransportOptions options, const base::Clock& clock = base::SystemClock());
  ~CurlTransport() override;

  absl::StatusOr<HttpResponse> Send(const HttpRequest& request, base::Context& context) override;

 private:
  class Handle;
  struct ServerAddress;
  // What a handle was made for: its connections may be used for nothing else.
  struct Identity {
    std::shared_ptr<const TlsMaterial> tls;
    std::shared_ptr<const ClientCertificate> client_certificate;
    bool operator==(const Identity&) const = default;
  };

  CurlTransport(CurlTransportOptions options, ServerAddress address,
                std::shared_ptr<const TlsMaterial> tls, const base::Clock& clock);
  std::shared_ptr<const TlsMaterial> CurrentTls() ABSL_LOCKS_EXCLUDED(mutex_);
  // Reads the files again; true when they differ from `used`.
  bool TlsChangedSince(const std::shared_ptr<const TlsMaterial>& used) ABSL_LOCKS_EXCLUDED(mutex_);
  void ReloadTls() ABSL_LOCKS_EXCLUDED(mutex_);
  std::unique_ptr<Handle> Take(const Identity& identity) ABSL_LOCKS_EXCLUDED(mutex_);
  void GiveBack(std::unique_ptr<Handle> handle) ABSL_LOCKS_EXCLUDED(mutex_);

  const CurlTransportOptions options_;
  const std::unique_ptr<const ServerAddress> address_;
  const base::Clock& clock_;
  base::Mutex mutex_;
  std::shared_ptr<const TlsMaterial> tls_ ABSL_GUARDED_BY(mutex_);
  absl::Duration tls_checked_ ABSL_GUARDED_BY(mutex_);
  // The most recently used one is last.
  std::vector<std::unique_ptr<Handle>> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_HTTP_HTTP_TRANSPORT_H_
