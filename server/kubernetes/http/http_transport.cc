// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/http/http_transport.h"

#include <curl/curl.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "base/strings.h"
#include "server/kubernetes/api/client.h"
#include "server/kubernetes/api/error.h"
#include "server/kubernetes/api/response_error.h"
#include "server/kubernetes/config/server_url.h"

namespace gantry::kubernetes {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kMaxErrorBody = std::size_t{64} << 10;
// A server's word on a body's length is believed up to here before the bytes have come.
constexpr std::size_t kMaxReservedAhead = std::size_t{64} << 20;
constexpr absl::Duration kMaxIdle = absl::Seconds(90);

// What the callbacks of one request see.
struct Exchange {
  Exchange(const HttpRequest& sent, const base::Clock& now) : request(sent), clock(now) {}

  const HttpRequest& request;
  const base::Clock& clock;
  CURL* easy = nullptr;
  HttpResponse response;
  int times_sent = 0;
  bool stopped_by_sink = false;
  bool too_large = false;
  SteadyClock::time_point last_byte = SteadyClock::now();
  // When the header of a 2xx response, or the last byte of its body, came; nothing once on_quiet
  // has been called for the silence since then.
  std::optional<SteadyClock::time_point> quiet_since;

  bool ok() const { return response.status >= 200 && response.status < 300; }
};

bool IsRead(const HttpRequest& request) {
  return request.method == "GET" || request.method == "HEAD";
}

// Called when a connection is ready and before the request is written to it. libcurl writes it
// again, whatever the method, when a connection used before turns out to be dead; a write that
// was carried out and not answered must not be repeated like that.
int BeforeSending(void* data, char*, char*, int, int) {
  auto& exchange = *static_cast<Exchange*>(data);
  if (exchange.times_sent > 0 && !IsRead(exchange.request)) return CURL_PREREQFUNC_ABORT;
  ++exchange.times_sent;
  return CURL_PREREQFUNC_OK;
}

// Seconds, or the date to wait for.
std::optional<absl::Duration> ParseRetryAfter(std::string_view value, absl::Time now) {
  absl::Duration wait;
  if (std::int64_t seconds = 0; absl::SimpleAtoi(base::ToAbsl(value), &seconds)) {
    wait = absl::Seconds(seconds);
  } else {
    const std::time_t date = curl_getdate(std::string(value).c_str(), nullptr);
    if (date < 0) return std::nullopt;
    wait = absl::FromTimeT(date) - now;
  }
  return std::max(wait, absl::ZeroDuration());
}

std::size_t OnHeader(char* bytes, std::size_t size, std::size_t count, void* data) {
  auto& exchange = *static_cast<Exchange*>(data);
  exchange.last_byte = SteadyClock::now();
  const std::string_view line = base::ToStd(absl::StripAsciiWhitespace({bytes, size * count}));
  if (line.starts_with("HTTP/")) {
    // Of several header blocks, such as 100 Continue, the last one counts.
    exchange.response = HttpResponse();
    const std::size_t blank = line.find(' ');
    if (blank != std::string_view::npos) {
      (void)absl::SimpleAtoi(base::ToAbsl(line.substr(blank + 1, 3)), &exchange.response.status);
    }
    return size * count;
  }
  if (line.empty() && exchange.ok()) exchange.quiet_since = exchange.last_byte;
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return size * count;
  const absl::string_view name = base::ToAbsl(line.substr(0, colon));
  const std::string_view value =
      base::ToStd(absl::StripAsciiWhitespace(base::ToAbsl(line.substr(colon + 1))));
  if (absl::EqualsIgnoreCase(name, "Content-Type")) {
    exchange.response.content_type = std::string(value);
  } else if (absl::EqualsIgnoreCase(name, "Retry-After")) {
    exchange.response.retry_after = ParseRetryAfter(value, exchange.clock.Now());
  }
  return size * count;
}

std::size_t OnBody(char* bytes, std::size_t size, std::size_t count, void* data) {
  auto& exchange = *static_cast<Exchange*>(data);
  exchange.last_byte = SteadyClock::now();
  const std::string_view chunk(bytes, size * count);
  std::string& body = exchange.response.body;
  if (!exchange.ok()) {
    body.append(chunk.substr(0, kMaxErrorBody - std::min(kMaxErrorBody, body.size())));
    return chunk.size();
  }
  exchange.quiet_since = exchange.last_byte;
  if (exchange.request.sink) {
    if (exchange.request.sink(chunk)) return chunk.size();
    exchange.stopped_by_sink = true;
    return 0;
  }
  if (chunk.size() > exchange.request.max_body_bytes - body.size()) {
    exchange.too_large = true;
    return 0;
  }
  if (body.empty()) {
    curl_off_t length = -1;
    curl_easy_getinfo(exchange.easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (length > 0) {
      body.reserve(std::min(static_cast<std::size_t>(length), kMaxReservedAhead) +
                   JsonText::kPadding);
    }
  }
  body.append(chunk);
  return chunk.size();
}

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

class HeaderList {
 public:
  HeaderList() = default;
  ~HeaderList() { curl_slist_free_all(list_); }
  HeaderList(const HeaderList&) = delete;
  HeaderList& operator=(const HeaderList&) = delete;
  void Add(const std::string& line) { list_ = curl_slist_append(list_, line.c_str()); }
  curl_slist* get() const { return list_; }

 private:
  curl_slist* list_ = nullptr;
};

curl_blob BlobOf(const std::string& pem) {
  // The identity that a handle is kept with outlives its use.
  return {const_cast<char*>(pem.data()), pem.size(), CURL_BLOB_NOCOPY};
}

void InitializeCurl() {
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)initialized;
}

}  // namespace

struct CurlTransport::ServerAddress {
  ServerUrl url;
  // What requests begin with: has the name to verify in place of the host.
  std::string base;
  // Set when that name is another one.
  std::string connect_to;
  std::string host_header;
};

// A libcurl handle with the connections it holds. Used by one call at a time.
class CurlTransport::Handle {
 public:
  explicit Handle(Identity identity)
      : identity_(std::move(identity)), multi_(curl_multi_init()), easy_(curl_easy_init()) {}
  ~Handle() {
    if (easy_ != nullptr) curl_easy_cleanup(easy_);
    if (multi_ != nullptr) curl_multi_cleanup(multi_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  const Identity& identity() const { return identity_; }
  absl::Duration idle_since() const { return idle_since_; }
  void set_idle_since(absl::Duration since) { idle_since_ = since; }

  struct Result {
    absl::StatusOr<HttpResponse> response;
    CURLcode code = CURLE_OK;
    bool sent = false;
  };
  Result Perform(const CurlTransportOptions& options, const ServerAddress& address,
                 const HttpRequest& request, const base::Clock& clock, base::Context& context);

 private:
  void SetOptions(const CurlTransportOptions& options, const ServerAddress& address,
                  Exchange& exchange, HeaderList& headers, HeaderList& connect_to);
  void SetTls(const CurlTransportOptions& options);
  // Runs the transfer until it ends by itself (its code), the context ends, or nothing has come
  // for too long.
  struct Ending {
    enum class Reason { kDone, kContext, kIdle } reason = Reason::kDone;
    CURLcode code = CURLE_OK;
    absl::Status context;
  };
  Ending Run(Exchange& exchange, base::Context& context);

  const Identity identity_;
  CURLM* const multi_;
  CURL* const easy_;
  char error_[CURL_ERROR_SIZE] = {};
  absl::Duration idle_since_;
};

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

  // Both are set even when empty, so that libcurl does not look into the environment.
  std::string_view proxy = options.proxy_url;
  // As in Go: the proxy resolves the server's name.
  const bool socks = proxy.starts_with("socks5://");
  if (socks) proxy.remove_prefix(std::strlen("socks5://"));
  curl_easy_setopt(easy_, CURLOPT_PROXY, base::StrCat(socks ? "socks5h://" : "", proxy).c_str());
  curl_easy_setopt(easy_, CURLOPT_NOPROXY, "");
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

  const bool carries_body = !request.body.empty() || request.method == "POST" ||
                            request.method == "PUT" || request.method == "PATCH";
  if (carries_body) {
    curl_easy_setopt(easy_, CURLOPT_POST, 1L);
    curl_easy_setopt(easy_, CURLOPT_POSTFIELDS, request.body.empty() ? "" : request.body.data());
    curl_easy_setopt(easy_, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
  }
  curl_easy_setopt(easy_, CURLOPT_CUSTOMREQUEST, request.method.c_str());

  exchange.easy = easy_;
  curl_easy_setopt(easy_, CURLOPT_PREREQFUNCTION, BeforeSending);
  curl_easy_setopt(easy_, CURLOPT_PREREQDATA, &exchange);
  curl_easy_setopt(easy_, CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(easy_, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(easy_, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(easy_, CURLOPT_WRITEDATA, &exchange);
}

CurlTransport::Handle::Ending CurlTransport::Handle::Run(Exchange& exchange,
                                                         base::Context& context) {
  while (true) {
    // Silences are judged by a time before the sockets are read: bytes that come while this thread
    // is held up in between are read the next time, before they could be missed.
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
  const auto failure = [&](ErrorKind kind, WriteOutcome outcome, int status,
                           std::string_view message) {
    return MakeError({.kind = kind, .http_status = status, .outcome = outcome}, message);
  };
  if (easy_ == nullptr || multi_ == nullptr) {
    return {failure(ErrorKind::kUnreachable, WriteOutcome::kNotWritten, 0,
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

  HttpResponse& response = exchange.response;
  const int status = response.status;
  const bool sent = exchange.times_sent > 0;
  const WriteOutcome outcome = sent ? WriteOutcome::kUnknown : WriteOutcome::kNotWritten;
  const std::string origin = address.url.Origin();
  const auto result = [&](absl::StatusOr<HttpResponse> answer) {
    return Result{std::move(answer), ending.code, sent};
  };
  const auto answered = [&](HttpResponse::End end) {
    response.end = end;
    return result(std::move(response));
  };

  const std::string_view phase = !sent         ? "connecting to"
                                 : status == 0 ? "waiting for an answer from"
                                               : "reading the answer of";
  switch (ending.reason) {
    case Ending::Reason::kContext: {
      const bool cancelled = ending.context.code() == absl::StatusCode::kCancelled;
      return result(failure(cancelled ? ErrorKind::kCancelled : ErrorKind::kDeadlineExceeded,
                            outcome, status,
                            base::StrCat(cancelled ? "cancelled" : "the time was up", " while ",
                                         phase, " ", origin)));
    }
    case Ending::Reason::kIdle:
      if (exchange.ok() && request.sink) return answered(HttpResponse::End::kIdle);
      return result(
          failure(ErrorKind::kDeadlineExceeded, outcome, status,
                  base::StrCat("nothing came for ", absl::FormatDuration(request.idle_timeout),
                               " while ", phase, " ", origin)));
    case Ending::Reason::kDone:
      break;
  }
  if (ending.code == CURLE_OK && status != 0) return answered(HttpResponse::End::kComplete);
  if (exchange.stopped_by_sink) return answered(HttpResponse::End::kStoppedBySink);
  if (exchange.too_large) {
    return result(failure(ErrorKind::kMalformedResponse, outcome, status,
                          base::StrCat("the answer of ", origin, " is larger than ",
                                       request.max_body_bytes, " bytes")));
  }
  // The status says what there is to know, with or without the rest of its explanation.
  if (status >= 300) return answered(HttpResponse::End::kComplete);

  std::string reason = error_[0] != '\0' ? error_ : curl_easy_strerror(ending.code);
  if (ending.code == CURLE_ABORTED_BY_CALLBACK) reason = "the connection was lost";
  if (os_error != 0 && ending.code == CURLE_COULDNT_CONNECT) {
    char buffer[128] = {};
    base::StrAppend(&reason, ": ", strerror_r(static_cast<int>(os_error), buffer, sizeof buffer));
  }
  const bool malformed = ending.code == CURLE_BAD_CONTENT_ENCODING ||
                         ending.code == CURLE_WEIRD_SERVER_REPLY ||
                         ending.code == CURLE_UNSUPPORTED_PROTOCOL;
  return result(failure(malformed ? ErrorKind::kMalformedResponse : ErrorKind::kUnreachable,
                        outcome, status,
                        base::StrCat(sent ? "no complete answer from " : "cannot reach ", origin,
                                     ": ", Excerpt(reason, 512), AdviceFor(ending.code))));
}

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
