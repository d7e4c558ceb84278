// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/http/http_transport.h"

#include <curl/curl.h>

#include <algorithm>
#include <iterator>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "base/strings.h"
#include "server/kubernetes/api/error.h"
#include "server/kubernetes/config/server_url.h"
#include "server/kubernetes/http/curl_handle.h"

namespace gantry::kubernetes {
namespace {

constexpr absl::Duration kMaxIdle = absl::Seconds(90);

bool MayBeFailureOfTls(CURLcode code) {
  switch (code) {
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    // With TLS 1.3 a client certificate is refused only after the handshake.
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
      return true;
    default:
      return false;
  }
}

bool HasControlCharacters(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
  });
}

void InitializeCurl() {
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)initialized;
}

}  // namespace

CurlTransport::CurlTransport(CurlTransportOptions options, ServerAddress address,
                             std::shared_ptr<const TlsMaterial> tls, const base::Clock& clock)
    : options_(std::move(options)),
      address_(std::make_unique<const ServerAddress>(std::move(address))),
      clock_(clock),
      tls_(std::move(tls)),
      tls_checked_(clock.SinceBoot()) {}

CurlTransport::~CurlTransport() = default;

absl::StatusOr<std::unique_ptr<CurlTransport>> CurlTransport::Create(CurlTransportOptions options,
                                                                     const base::Clock& clock) {
  InitializeCurl();
  absl::StatusOr<ServerUrl> url = ParseServerUrl(options.server);
  if (!url.ok()) return url.status();
  ServerAddress address;
  address.url = *std::move(url);
  address.base = base::StrCat(address.url.Origin(), address.url.path);
  if (const std::string& name = options.tls.server_name; !name.empty() && address.url.https()) {
    ServerUrl verified = address.url;
    verified.host = absl::StrContains(name, ':') ? base::StrCat("[", name, "]") : name;
    const std::string base = base::StrCat(verified.Origin(), verified.path);
    if (absl::StatusOr<ServerUrl> parsed = ParseServerUrl(base);
        !parsed.ok() || parsed->path != verified.path) {
      return absl::InvalidArgumentError(
          base::StrCat("tls-server-name \"", absl::CEscape(name), "\" is not a host name"));
    }
    address.base = base;
    address.connect_to = base::StrCat(verified.host, ":", verified.port, ":", address.url.host, ":",
                                      address.url.port);
    address.host_header = address.url.HostHeader();
  }
  absl::StatusOr<TlsMaterial> tls = ReadTlsFiles(options.tls);
  if (!tls.ok()) return tls.status();
  return std::unique_ptr<CurlTransport>(
      new CurlTransport(std::move(options), std::move(address),
                        std::make_shared<const TlsMaterial>(*std::move(tls)), clock));
}

absl::StatusOr<HttpResponse> CurlTransport::Send(const HttpRequest& request,
                                                 base::Context& context) {
  for (const auto& [name, value] : request.headers) {
    if (HasControlCharacters(value)) {
      return MakeError({.kind = ErrorKind::kRefused, .outcome = WriteOutcome::kNotWritten},
                       base::StrCat("the value of the header ", name,
                                    " has a line break or another control character"));
    }
  }
  bool again = false;
  while (true) {
    if (const absl::Status status = context.Check(); !status.ok()) {
      const bool cancelled = status.code() == absl::StatusCode::kCancelled;
      return MakeError(
          {.kind = cancelled ? ErrorKind::kCancelled : ErrorKind::kDeadlineExceeded,
           .outcome = WriteOutcome::kNotWritten},
          base::StrCat(status.message(), " before anything was sent to ", address_->url.Origin()));
    }
    const Identity identity{CurrentTls(), request.client_certificate};
    std::unique_ptr<Handle> handle = Take(identity);
    Handle::Result result = handle->Perform(options_, *address_, request, clock_, context);
    GiveBack(std::move(handle));
    if (result.response.ok() || !address_->url.https() || !MayBeFailureOfTls(result.code)) {
      return std::move(result.response);
    }
    // The files may have been replaced since they were last looked at.
    if (!TlsChangedSince(identity.tls) || result.sent || again) return std::move(result.response);
    again = true;
  }
}

std::shared_ptr<const TlsMaterial> CurlTransport::CurrentTls() {
  {
    base::MutexLock lock(mutex_);
    const absl::Duration now = clock_.SinceBoot();
    if (now - tls_checked_ < options_.tls_check_interval) return tls_;
    // Set at once, so that the others go on with what there is.
    tls_checked_ = now;
  }
  ReloadTls();
  base::MutexLock lock(mutex_);
  return tls_;
}

bool CurlTransport::TlsChangedSince(const std::shared_ptr<const TlsMaterial>& used) {
  {
    base::MutexLock lock(mutex_);
    if (tls_ != used) return true;
  }
  ReloadTls();
  base::MutexLock lock(mutex_);
  return tls_ != used;
}

void CurlTransport::ReloadTls() {
  absl::StatusOr<TlsMaterial> read = ReadTlsFiles(options_.tls);
  if (!read.ok()) {
    if (options_.on_warning) {
      options_.on_warning(
          base::StrCat("keeping the TLS files read before: ", read.status().message()));
    }
    return;
  }
  base::MutexLock lock(mutex_);
  if (*tls_ == *read) return;
  tls_ = std::make_shared<const TlsMaterial>(*std::move(read));
}

std::unique_ptr<CurlTransport::Handle> CurlTransport::Take(const Identity& identity) {
  // Closing connections is I/O: done by this vector's end, after the lock's.
  std::vector<std::unique_ptr<Handle>> outdated;
  {
    base::MutexLock lock(mutex_);
    while (!idle_.empty()) {
      std::unique_ptr<Handle> handle = std::move(idle_.back());
      idle_.pop_back();
      if (handle->identity() == identity) return handle;
      outdated.push_back(std::move(handle));
    }
  }
  return std::make_unique<Handle>(identity);
}

void CurlTransport::GiveBack(std::unique_ptr<Handle> handle) {
  std::vector<std::unique_ptr<Handle>> unused;
  const absl::Duration now = clock_.SinceBoot();
  handle->set_idle_since(now);
  base::MutexLock lock(mutex_);
  idle_.push_back(std::move(handle));
  const auto fresh = std::find_if(idle_.begin(), idle_.end(), [&](const auto& idle) {
    return now - idle->idle_since() < kMaxIdle;
  });
  unused.assign(std::make_move_iterator(idle_.begin()), std::make_move_iterator(fresh));
  idle_.erase(idle_.begin(), fresh);
}

}  // namespace gantry::kubernetes
