// SPDX-License-Identifier: Apache-2.0
#include "tests/simulator/http_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/x509.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "base/strings.h"

namespace gantry::simulator {

using base::StrCat;

namespace {

constexpr std::size_t kMaxHead = 64 * 1024;
// A client that takes nothing for so long is given up.
constexpr int kSendTimeoutSeconds = 60;
constexpr std::chrono::milliseconds kLongestPoll = std::chrono::hours(1);
// Before connections are accepted again when there was nothing to accept them with.
constexpr std::chrono::milliseconds kAcceptPause{50};

const char* ReasonPhrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 404:
      return "Not Found";
    case 410:
      return "Gone";
    case 429:
      return "Too Many Requests";
    default:
      return status < 400 ? "OK" : "Error";
  }
}

std::vector<std::string> NamesOf(X509* certificate, int nid) {
  std::vector<std::string> names;
  const X509_NAME* const subject = X509_get_subject_name(certificate);
  for (int at = -1; (at = X509_NAME_get_index_by_NID(subject, nid, at)) >= 0;) {
    unsigned char* bytes = nullptr;
    const int size =
        ASN1_STRING_to_UTF8(&bytes, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (size < 0) continue;
    names.emplace_back(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
    OPENSSL_free(bytes);
  }
  return names;
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

std::string HttpRequest::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (absl::EqualsIgnoreCase(key, base::ToAbsl(name))) return value;
  }
  return "";
}

std::string PercentDecoded(std::string_view text, bool query) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && HexValue(text[i + 1]) >= 0 &&
        HexValue(text[i + 2]) >= 0) {
      decoded += static_cast<char>(HexValue(text[i + 1]) * 16 + HexValue(text[i + 2]));
      i += 2;
    } else {
      decoded += query && text[i] == '+' ? ' ' : text[i];
    }
  }
  return decoded;
}

std::vector<std::pair<std::string, std::string>> QueryParameters(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> parameters;
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view part = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (part.empty()) continue;
    const std::size_t sign = std::min(part.find('='), part.size());
    parameters.emplace_back(PercentDecoded(part.substr(0, sign), true),
                            PercentDecoded(part.substr(std::min(sign + 1, part.size())), true));
  }
  return parameters;
}

// One connection. The thread that serves it, but for Cut.
class HttpServer::Connection final : public HttpAnswer {
 public:
  Connection(int fd, SSL_CTX* tls) : fd_(fd) {
    if (tls == nullptr) return;
    ssl_ = SSL_new(tls);
    SSL_set_fd(ssl_, fd_);
  }
  ~Connection() override {
    if (ssl_ != nullptr) SSL_free(ssl_);
    close(fd_);
  }

  bool Handshake() { return ssl_ == nullptr || SSL_accept(ssl_) == 1; }

  // From any thread: whatever the connection waits for ends.
  void Cut() {
    cut_ = true;
    shutdown(fd_, SHUT_RDWR);
  }

  bool open() const { return !closed_ && !cut_; }
  bool cut() const { return cut_; }

  // Reads the next request; false at the end of the connection.
  bool Read(HttpRequest& request, std::size_t max_body);

  // A new request's answer begins.
  void Reset(bool keep_alive, bool head) {
    keep_alive_ = keep_alive;
    head_ = head;
    loss_ = Loss::kNone;
    answered_ = false;
  }
  bool IsAnswered() const override { return answered_; }

  void Respond(int status, const std::string& content_type, std::string_view body,
               const std::string& headers) override {
    answered_ = true;
    if (loss_ == Loss::kAll) return Abort();
    std::string text =
        Head(status, content_type) + headers + StrCat("Content-Length: ", body.size(), "\r\n\r\n");
    if (!head_) text.append(loss_ == Loss::kHalf ? body.substr(0, body.size() / 2) : body);
    SendRaw(text);
    if (loss_ == Loss::kHalf || !keep_alive_) Abort();
  }

  bool Begin(int status, const std::string& content_type) override {
    answered_ = true;
    if (loss_ == Loss::kAll) {
      Abort();
      return false;
    }
    const bool sent = SendRaw(Head(status, content_type) + "Transfer-Encoding: chunked\r\n\r\n");
    // There is nothing more to come of it, however long the answer would be.
    if (head_ && (!keep_alive_ || loss_ != Loss::kNone)) Abort();
    return sent && !head_;
  }

  bool Send(std::string_view piece) override {
    if (head_) return false;
    if (piece.empty()) return open();
    if (loss_ == Loss::kHalf) {
      // Announced whole, and never finished.
      SendRaw(StrCat(absl::Hex(piece.size()), "\r\n", piece.substr(0, piece.size() / 2)));
      Abort();
      return false;
    }
    return SendRaw(StrCat(absl::Hex(piece.size()), "\r\n", piece, "\r\n"));
  }

  void End() override {
    if (head_) return;
    SendRaw("0\r\n\r\n");
    if (!keep_alive_) Abort();
  }

  void Abort() override {
    if (ssl_ != nullptr && !closed_) SSL_shutdown(ssl_);
    closed_ = true;
    shutdown(fd_, SHUT_RDWR);
  }

  bool IsAwaited() override {
    if (!open()) return false;
    pollfd watched = {fd_, POLLIN | POLLRDHUP, 0};
    if (poll(&watched, 1, 0) <= 0) return true;
    if ((watched.revents & (POLLHUP | POLLERR | POLLRDHUP)) != 0) return false;
    char byte = 0;
    return recv(fd_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0;
  }

  bool Linger(std::chrono::milliseconds time) override {
    const auto deadline = std::chrono::steady_clock::now() + time;
    while (IsAwaited()) {
      const auto rest =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      if (rest.count() <= 0) return true;
      pollfd watched = {fd_, POLLRDHUP, 0};
      poll(&watched, 1, static_cast<int>(std::min(rest, kLongestPoll).count()));
    }
    return false;
  }

  void Lose(Loss loss) override { loss_ = loss; }

 private:
  static std::string Head(int status, const std::string& content_type) {
    return StrCat("HTTP/1.1 ", status, " ", ReasonPhrase(status),
                  "\r\nCache-Control: no-cache, private\r\nContent-Type: ", content_type, "\r\n");
  }

  bool SendRaw(std::string_view bytes) {
    while (!bytes.empty() && open()) {
      const long count = ssl_ != nullptr
                             ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                             : send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) {
        closed_ = true;
        return false;
      }
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return open();
  }

  bool Receive() {
    std::array<char, 16384> bytes;
    const long count = ssl_ != nullptr
                           ? SSL_read(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                           : recv(fd_, bytes.data(), bytes.size(), 0);
    if (count <= 0 || cut_) {
      closed_ = true;
      return false;
    }
    buffer_.append(bytes.data(), static_cast<std::size_t>(count));
    return true;
  }

  // For as long as it takes, unlike the rest of a request.
  bool AwaitRequest();
  // Reads up to the end of a line, which is not part of it.
  bool ReadLine(std::string& line);
  bool ReadBytes(std::size_t count, std::string* into);
  bool ReadChunks(HttpRequest& request, std::size_t max_body);
  void Identify(HttpRequest& request) const;

  const int fd_;
  SSL* ssl_ = nullptr;
  std::string buffer_;
  bool closed_ = false;
  std::atomic<bool> cut_ = false;
  bool keep_alive_ = true;
  bool head_ = false;     // nothing but the head is asked for
  bool answered_ = true;  // until there is a request
  Loss loss_ = Loss::kNone;
};

bool HttpServer::Connection::ReadLine(std::string& line) {
  std::size_t end = std::string::npos;
  while ((end = buffer_.find("\r\n")) == std::string::npos) {
    if (buffer_.size() > kMaxHead || !Receive()) return false;
  }
  line = buffer_.substr(0, end);
  buffer_.erase(0, end + 2);
  return true;
}

bool HttpServer::Connection::ReadBytes(std::size_t count, std::string* into) {
  while (count > 0) {
    if (buffer_.empty() && !Receive()) return false;
    const std::size_t part = std::min(count, buffer_.size());
    if (into != nullptr) into->append(buffer_, 0, part);
    buffer_.erase(0, part);
    count -= part;
  }
  return true;
}

bool HttpServer::Connection::ReadChunks(HttpRequest& request, std::size_t max_body) {
  while (true) {
    std::string line;
    if (!ReadLine(line)) return false;
    std::size_t size = 0;
    if (!absl::SimpleHexAtoi(line.substr(0, line.find(';')), &size) || size > (1u << 30)) {
      return false;
    }
    if (size == 0) break;
    if (request.body.size() + size > max_body) request.body_too_large = true;
    if (!ReadBytes(size, request.body_too_large ? nullptr : &request.body) || !ReadLine(line)) {
      return false;
    }
  }
  std::string trailer;
  while (ReadLine(trailer)) {
    if (trailer.empty()) return true;
  }
  return false;
}

void HttpServer::Connection::Identify(HttpRequest& request) const {
  if (ssl_ == nullptr) return;
  X509* const peer = SSL_get1_peer_certificate(ssl_);
  if (peer == nullptr) return;
  const std::vector<std::string> names = NamesOf(peer, NID_commonName);
  if (!names.empty()) request.peer_name = names.front();
  request.peer_organizations = NamesOf(peer, NID_organizationName);
  X509_free(peer);
}

bool HttpServer::Connection::AwaitRequest() {
  while (open() && buffer_.empty() && (ssl_ == nullptr || SSL_pending(ssl_) == 0)) {
    pollfd watched = {fd_, POLLIN | POLLRDHUP, 0};
    if (poll(&watched, 1, -1) > 0) break;
  }
  return open();
}

bool HttpServer::Connection::Read(HttpRequest& request, std::size_t max_body) {
  if (!AwaitRequest()) return false;
  std::string line;
  do {
    if (!ReadLine(line)) return false;
  } while (line.empty());
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string::npos || first == last) return false;
  request.method = line.substr(0, first);
  const std::string target = line.substr(first + 1, last - first - 1);
  const std::size_t question = std::min(target.find('?'), target.size());
  request.path = target.substr(0, question);
  request.query = target.substr(std::min(question + 1, target.size()));
  const bool old = line.substr(last + 1) == "HTTP/1.0";
  std::size_t head = line.size();
  while (true) {
    if (!ReadLine(line)) return false;
    if (line.empty()) break;
    head += line.size();
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || head > kMaxHead) return false;
    request.headers.emplace_back(line.substr(0, colon),
                                 std::string(absl::StripAsciiWhitespace(line.substr(colon + 1))));
  }
  const std::string connection = request.Header("Connection");
  Reset(!old && !absl::EqualsIgnoreCase(connection, "close"), request.method == "HEAD");
  Identify(request);

  if (absl::EqualsIgnoreCase(request.Header("Expect"), "100-continue") &&
      !SendRaw("HTTP/1.1 100 Continue\r\n\r\n")) {
    return false;
  }
  if (absl::EqualsIgnoreCase(request.Header("Transfer-Encoding"), "chunked")) {
    return ReadChunks(request, max_body);
  }
  const std::string given = request.Header("Content-Length");
  std::size_t length = 0;
  if (!given.empty() && !absl::SimpleAtoi(given, &length)) return false;
  request.body_too_large = length > max_body;
  return ReadBytes(length, request.body_too_large ? nullptr : &request.body);
}

HttpServer::HttpServer(Options options, Handler handler)
    : options_(std::move(options)), handler_(std::move(handler)), port_(options_.port) {}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(Options options, Handler handler) {
  std::unique_ptr<HttpServer> server(new HttpServer(std::move(options), std::move(handler)));
  if (absl::Status listening = server->Listen(); !listening.ok()) return listening;
  return server;
}

HttpServer::~HttpServer() { End(); }

void HttpServer::End() {
  StopListening();
  {
    base::MutexLock lock(mutex_);
    stopping_ = true;
  }
  CutConnections();
  base::MutexLock lock(mutex_);
  while (threads_ > 0) ended_.Wait(mutex_);
}

absl::Status HttpServer::Listen() {
  base::MutexLock lock(listening_);
  if (listener_ >= 0) return absl::OkStatus();
  const auto failed = [&](const char* what) {
    return absl::UnavailableError(StrCat("cannot ", what, " ", options_.address, ":", port_, ": ",
                                         std::strerror(errno), "; choose another --listen"));
  };
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port_));
  if (inet_pton(AF_INET, options_.address.c_str(), &address.sin_addr) != 1) {
    return absl::InvalidArgumentError(StrCat("\"", options_.address,
                                             "\" is no IPv4 address to listen on; use for example "
                                             "127.0.0.1"));
  }
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return failed("make a socket for");
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  socklen_t size = sizeof address;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(fd, 1024) != 0) {
    const absl::Status status = failed("listen on");
    close(fd);
    return status;
  }
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  listener_ = fd;
  {
    base::MutexLock accepting(mutex_);
    accepting_ = true;
  }
  acceptor_ = std::thread([this, fd] { Accept(fd); });
  return absl::OkStatus();
}

void HttpServer::StopListening() {
  base::MutexLock lock(listening_);
  if (listener_ < 0) return;
  {
    base::MutexLock accepting(mutex_);
    accepting_ = false;
    hurry_.NotifyAll();
  }
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  close(listener_);
  listener_ = -1;
}

std::size_t HttpServer::connections() const {
  base::MutexLock lock(mutex_);
  return connections_.size();
}

std::function<void()> HttpServer::PrepareCut() const {
  base::MutexLock lock(mutex_);
  return [connections = connections_] {
    for (const auto& connection : connections) connection->Cut();
  };
}

void HttpServer::AwaitCut() {
  base::MutexLock lock(mutex_);
  while (std::any_of(connections_.begin(), connections_.end(),
                     [](const auto& connection) { return connection->cut(); })) {
    ended_.Wait(mutex_);
  }
}

void HttpServer::Accept(int listener) {
  while (true) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == ECONNABORTED || errno == EINTR) continue;
      if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM) return;
      // Others may give back what is missing. The client waits in the queue meanwhile.
      const auto again = std::chrono::steady_clock::now() + kAcceptPause;
      base::MutexLock lock(mutex_);
      while (accepting_ && hurry_.WaitUntil(mutex_, again)) {
      }
      if (!accepting_) return;
      continue;
    }
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const timeval limit{kSendTimeoutSeconds, 0};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    const auto idle = std::chrono::duration_cast<std::chrono::microseconds>(options_.idle_timeout);
    const timeval wait{idle.count() / 1000000, idle.count() % 1000000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    auto connection = std::make_shared<Connection>(fd, options_.tls.get());
    {
      base::MutexLock lock(mutex_);
      if (stopping_) return;
      connections_.insert(connection);
      ++threads_;
    }
    try {
      std::thread([this, connection]() mutable { Serve(std::move(connection)); }).detach();
    } catch (const std::system_error&) {
      // There are too many: this client has to come again.
      base::MutexLock lock(mutex_);
      connections_.erase(connection);
      --threads_;
      ended_.NotifyAll();
    }
  }
}

void HttpServer::Answer(Connection& connection) {
  while (connection.open()) {
    HttpRequest request;
    if (!connection.Read(request, options_.max_body)) return;
    handler_(request, connection);
    if (!connection.IsAnswered()) connection.Abort();
  }
}

void HttpServer::Serve(std::shared_ptr<Connection> connection) {
  // OpenSSL writes to connections that are gone.
  sigset_t sigpipe;
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &sigpipe, nullptr);
  // A mistake in answering a request costs its connection alone.
  try {
    if (connection->Handshake()) Answer(*connection);
  } catch (const std::exception& exception) {
    if (!connection->IsAnswered()) {
      connection->Respond(500, "text/plain; charset=utf-8", exception.what(), "");
    }
  }
  connection->Abort();
  {
    base::MutexLock lock(mutex_);
    connections_.erase(connection);
    ended_.NotifyAll();
  }
  // The connection, and what OpenSSL keeps for the thread, go before the process may.
  connection.reset();
  OPENSSL_thread_stop();
  base::MutexLock lock(mutex_);
  --threads_;
  ended_.NotifyAll();
}

}  // namespace gantry::simulator
