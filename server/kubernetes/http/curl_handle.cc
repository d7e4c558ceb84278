// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/http/curl_handle.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/strings.h"
#include "server/kubernetes/api/error.h"
#include "server/kubernetes/api/response_error.h"

namespace gantry::kubernetes {
namespace {

std::string_view AdviceFor(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return "; check the server's host name and the DNS of this machine";
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_PROXY:
      return "; check proxy-url, or HTTPS_PROXY and NO_PROXY in the environment";
    case CURLE_PEER_FAILED_VERIFICATION:
      return "; check that the certificate authority configured is the server's own and that its "
             "certificate names this host, or set tls-server-name";
    case CURLE_SSL_CERTPROBLEM:
      return "; check the client certificate and its key";
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
      return "; check that the server runs and that this machine may connect to it";
    default:
      return "";
  }
}

bool IsMalformed(CURLcode code) {
  return code == CURLE_BAD_CONTENT_ENCODING || code == CURLE_WEIRD_SERVER_REPLY ||
         code == CURLE_UNSUPPORTED_PROTOCOL;
}

curl_blob BlobOf(const std::string& pem) {
  // The identity that a handle is kept with outlives its use.
  return {const_cast<char*>(pem.data()), pem.size(), CURL_BLOB_NOCOPY};
}

}  // namespace

void CurlTransport::Handle::SetTls(const CurlTransportOptions& options) {
  const TlsMaterial& tls = *identity_.tls;
  if (!tls.ca.empty()) {
    // The directory and file built into libcurl would be trusted besides the CA given here.
    curl_easy_setopt(easy_, CURLOPT_CAPATH, nullptr);
    curl_easy_setopt(easy_, CURLOPT_CAINFO, nullptr);
    curl_blob ca = BlobOf(tls.ca);
    curl_easy_setopt(easy_, CURLOPT_CAINFO_BLOB, &ca);
    curl_easy_setopt(easy_, CURLOPT_PROXY_CAPATH, nullptr);
    curl_easy_setopt(easy_, CURLOPT_PROXY_CAINFO, nullptr);
    curl_easy_setopt(easy_, CURLOPT_PROXY_CAINFO_BLOB, &ca);
  }
  const ClientCertificate& client =
      identity_.client_certificate ? *identity_.client_certificate : tls.client;
  if (!client.certificate.empty()) {
    curl_blob certificate = BlobOf(client.certificate);
    curl_blob key = BlobOf(client.key);
    curl_easy_setopt(easy_, CURLOPT_SSLCERTTYPE, "PEM");
    curl_easy_setopt(easy_, CURLOPT_SSLCERT_BLOB, &certificate);
    curl_easy_setopt(easy_, CURLOPT_SSLKEYTYPE, "PEM");
    curl_easy_setopt(easy_, CURLOPT_SSLKEY_BLOB, &key);
  }
  const long verify = options.tls.insecure_skip_verify ? 0 : 1;
  curl_easy_setopt(easy_, CURLOPT_SSL_VERIFYPEER, verify);
  curl_easy_setopt(easy_, CURLOPT_SSL_VERIFYHOST, 2 * verify);
  curl_easy_setopt(easy_, CURLOPT_PROXY_SSL_VERIFYPEER, verify);
  curl_easy_setopt(easy_, CURLOPT_PROXY_SSL_VERIFYHOST, 2 * verify);
  curl_easy_setopt(easy_, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
}

void CurlTransport::Handle::SetProxy(std::string_view proxy) {
  // Both are set even when empty, so that libcurl does not look into the environment.
  // As in Go: the proxy resolves the server's name.
  const bool socks = proxy.starts_with("socks5://");
  if (socks) proxy.remove_prefix(std::strlen("socks5://"));
  curl_easy_setopt(easy_, CURLOPT_PROXY, base::StrCat(socks ? "socks5h://" : "", proxy).c_str());
  curl_easy_setopt(easy_, CURLOPT_NOPROXY, "");
}

void CurlTransport::Handle::SetBody(const HttpRequest& request) {
  const bool carries_body = !request.body.empty() || request.method == "POST" ||
                            request.method == "PUT" || request.method == "PATCH";
  if (carries_body) {
    curl_easy_setopt(easy_, CURLOPT_POST, 1L);
    curl_easy_setopt(easy_, CURLOPT_POSTFIELDS, request.body.empty() ? "" : request.body.data());
    curl_easy_setopt(easy_, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
  }
  curl_easy_setopt(easy_, CURLOPT_CUSTOMREQUEST, request.method.c_str());
}

void CurlTransport::Handle::SetOptions(const CurlTransportOptions& options,
                                       const ServerAddress& address, Exchange& exchange,
                                       HeaderList& headers, HeaderList& connect_to) {
  const HttpRequest& request = exchange.request;
  curl_easy_reset(easy_);
  error_[0] = '\0';
  curl_easy_setopt(easy_, CURLOPT_ERRORBUFFER, error_);
  curl_easy_setopt(easy_, CURLOPT_NOSIGNAL, 1L);
  // Otherwise an interrupted call would wait for the resolver's thread to finish.
  curl_easy_setopt(easy_, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(easy_, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy_, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy_, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy_, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy_, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy_, CURLOPT_TCP_KEEPIDLE, 30L);
  curl_easy_setopt(easy_, CURLOPT_TCP_KEEPINTVL, 10L);
  curl_easy_setopt(easy_, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(absl::ToInt64Milliseconds(options.connect_timeout)));
  curl_easy_setopt(easy_, CURLOPT_URL, base::StrCat(address.base, request.target).c_str());

  SetProxy(options.proxy_url);
  curl_easy_setopt(easy_, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  if (address.url.https()) SetTls(options);

  if (!address.connect_to.empty()) {
    connect_to.Add(address.connect_to);
    curl_easy_setopt(easy_, CURLOPT_CONNECT_TO, connect_to.get());
    headers.Add(base::StrCat("Host: ", address.host_header));
  }
  for (const auto& [name, value] : request.headers) {
    if (!value.empty()) headers.Add(base::StrCat(name, ": ", value));
  }
  headers.Add("Expect:");
  curl_easy_setopt(easy_, CURLOPT_HTTPHEADER, headers.get());
  if (request.accept_compression) curl_easy_setopt(easy_, CURLOPT_ACCEPT_ENCODING, "gzip");

  SetBody(request);
  exchange.Attach(easy_);
}

CurlTransport::Handle::Ending CurlTransport::Handle::Run(Exchange& exchange,
                                                         base::Context& context) {
  while (true) {
    // Silences are measured by a time before the sockets are read: bytes that come while this
    // thread is held up in between are read the next time, before they could be missed.
    const SteadyClock::time_point looked = SteadyClock::now();
    int running = 0;
    const CURLMcode performed = curl_multi_perform(multi_, &running);
    const absl::Duration idle_timeout = exchange.request.idle_timeout;
    int left = 0;
    if (const CURLMsg* message = curl_multi_info_read(multi_, &left);
        message != nullptr && message->msg == CURLMSG_DONE) {
      return {Ending::Reason::kDone, message->data.result, absl::OkStatus()};
    }
    if (performed != CURLM_OK || running == 0) {
      return {Ending::Reason::kDone, CURLE_FAILED_INIT, absl::OkStatus()};
    }
    if (absl::Status status = context.Check(); !status.ok()) {
      return {Ending::Reason::kContext, CURLE_OK, std::move(status)};
    }
    absl::Duration wait = std::min(context.Remaining(), absl::Minutes(1));
    if (exchange.quiet_since && exchange.request.on_quiet) {
      const absl::Duration quiet = absl::FromChrono(looked - *exchange.quiet_since);
      if (quiet >= exchange.request.quiet_after) {
        exchange.quiet_since.reset();
        exchange.request.on_quiet();
      } else {
        wait = std::min(wait, exchange.request.quiet_after - quiet);
      }
    }
    if (idle_timeout != absl::InfiniteDuration()) {
      const absl::Duration idle = absl::FromChrono(looked - exchange.last_byte);
      if (idle >= idle_timeout) return {Ending::Reason::kIdle, CURLE_OK, absl::OkStatus()};
      wait = std::min(wait, idle_timeout - idle);
    }
    curl_waitfd cancelled{};
    cancelled.fd = context.fd();
    cancelled.events = CURL_WAIT_POLLIN;
    const bool can_wait = cancelled.fd >= 0;
    if (!can_wait) wait = std::min(wait, absl::Milliseconds(100));
    const auto milliseconds = absl::ToInt64Milliseconds(absl::Ceil(wait, absl::Milliseconds(1)));
    curl_multi_poll(multi_, can_wait ? &cancelled : nullptr, can_wait ? 1 : 0,
                    static_cast<int>(std::max<std::int64_t>(milliseconds, 1)), nullptr);
  }
}

CurlTransport::Handle::Result CurlTransport::Handle::Perform(const CurlTransportOptions& options,
                                                             const ServerAddress& address,
                                                             const HttpRequest& request,
                                                             const base::Clock& clock,
                                                             base::Context& context) {
  if (easy_ == nullptr || multi_ == nullptr) {
    return {MakeError({.kind = ErrorKind::kUnreachable, .outcome = WriteOutcome::kNotWritten},
                      "libcurl could not make a handle: out of memory or file descriptors"),
            CURLE_FAILED_INIT, false};
  }
  Exchange exchange(request, clock);
  HeaderList headers;
  HeaderList connect_to;
  SetOptions(options, address, exchange, headers, connect_to);
  curl_multi_add_handle(multi_, easy_);
  const Ending ending = Run(exchange, context);
  long os_error = 0;
  curl_easy_getinfo(easy_, CURLINFO_OS_ERRNO, &os_error);
  curl_multi_remove_handle(multi_, easy_);
  return {Conclude(address.url.Origin(), exchange, ending, os_error), ending.code,
          exchange.times_sent > 0};
}

absl::StatusOr<HttpResponse> CurlTransport::Handle::Conclude(const std::string& origin,
                                                             Exchange& exchange,
                                                             const Ending& ending, long os_error) {
  HttpResponse& response = exchange.response;
  const HttpRequest& request = exchange.request;
  const int status = response.status;
  const bool sent = exchange.times_sent > 0;
  const auto failure = [&](ErrorKind kind, std::string_view message) {
    const WriteOutcome outcome = sent ? WriteOutcome::kUnknown : WriteOutcome::kNotWritten;
    return MakeError({.kind = kind, .http_status = status, .outcome = outcome}, message);
  };
  const auto answered = [&](HttpResponse::End end) {
    response.end = end;
    return std::move(response);
  };

  const std::string_view phase = !sent         ? "connecting to"
                                 : status == 0 ? "waiting for an answer from"
                                               : "reading the answer of";
  switch (ending.reason) {
    case Ending::Reason::kContext: {
      const bool cancelled = ending.context.code() == absl::StatusCode::kCancelled;
      return failure(
          cancelled ? ErrorKind::kCancelled : ErrorKind::kDeadlineExceeded,
          base::StrCat(cancelled ? "cancelled" : "the time was up", " while ", phase, " ", origin));
    }
    case Ending::Reason::kIdle:
      if (exchange.ok() && request.sink) return answered(HttpResponse::End::kIdle);
      return failure(ErrorKind::kDeadlineExceeded,
                     base::StrCat("nothing came for ", absl::FormatDuration(request.idle_timeout),
                                  " while ", phase, " ", origin));
    case Ending::Reason::kDone:
      break;
  }
  if (ending.code == CURLE_OK && status != 0) return answered(HttpResponse::End::kComplete);
  if (exchange.stopped_by_sink) return answered(HttpResponse::End::kStoppedBySink);
  if (exchange.too_large) {
    return failure(ErrorKind::kMalformedResponse,
                   base::StrCat("the answer of ", origin, " is larger than ",
                                request.max_body_bytes, " bytes"));
  }
  // The status says what there is to know, with or without the rest of its explanation.
  if (status >= 300) return answered(HttpResponse::End::kComplete);
  return failure(
      IsMalformed(ending.code) ? ErrorKind::kMalformedResponse : ErrorKind::kUnreachable,
      base::StrCat(sent ? "no complete answer from " : "cannot reach ", origin, ": ",
                   Excerpt(ReasonOf(ending.code, os_error), 512), AdviceFor(ending.code)));
}

std::string CurlTransport::Handle::ReasonOf(CURLcode code, long os_error) const {
  std::string reason = error_[0] != '\0' ? error_ : curl_easy_strerror(code);
  if (code == CURLE_ABORTED_BY_CALLBACK) reason = "the connection was lost";
  if (os_error != 0 && code == CURLE_COULDNT_CONNECT) {
    char buffer[128] = {};
    base::StrAppend(&reason, ": ", strerror_r(static_cast<int>(os_error), buffer, sizeof buffer));
  }
  return reason;
}

}  // namespace gantry::kubernetes
