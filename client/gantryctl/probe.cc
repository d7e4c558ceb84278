// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/probe.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/gantryctl/certificate.h"
#include "client/gantryctl/owned.h"
#include "client/gantryctl/text.h"

namespace gantry::gantryctl {
namespace {

using FindingKind = Finding::Kind;

struct HostAndPort {
  std::string host;
  std::string port;
};

// Nothing for a Unix socket, and for a name that gRPC resolves in a way of its own.
std::optional<HostAndPort> Split(const std::string& address) {
  std::string name = address;
  if (absl::StartsWith(name, "unix:") || absl::StartsWith(name, "unix-abstract:")) {
    return std::nullopt;
  }
  for (const char* const scheme : {"dns:///", "dns:", "ipv4:", "ipv6:"}) {
    if (!absl::StartsWith(name, scheme)) continue;
    name.erase(0, std::strlen(scheme));
    break;
  }
  const std::size_t colon = name.rfind(':');
  if (colon == std::string::npos || name.find_first_of("/,") != std::string::npos) {
    return std::nullopt;
  }
  HostAndPort result{name.substr(0, colon), name.substr(colon + 1)};
  if (result.host.size() > 1 && result.host.front() == '[' && result.host.back() == ']') {
    result.host = result.host.substr(1, result.host.size() - 2);
  }
  return result;
}

// A connection over TCP that does not block. One thread.
class Socket {
 public:
  explicit Socket(absl::Duration limit) : deadline_(absl::Now() + limit) {}
  ~Socket() { Close(); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  int fd() const { return fd_; }

  // Nothing once it stands, else what came in its way.
  std::optional<FindingKind> Connect(const addrinfo& addresses) {
    FindingKind kind = FindingKind::kNoAnswer;
    for (const addrinfo* at = &addresses; at != nullptr; at = at->ai_next) {
      Close();
      fd_ = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      if (fd_ < 0) continue;
      int error = connect(fd_, at->ai_addr, at->ai_addrlen) == 0 ? 0 : errno;
      if (error == EINPROGRESS) {
        if (!Await(POLLOUT)) continue;
        socklen_t size = sizeof error;
        if (getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
      }
      if (error == 0) return std::nullopt;
      if (error == ECONNREFUSED) kind = FindingKind::kRefused;
    }
    return kind;
  }

  // Whether the socket became ready in time.
  bool Await(short events) const {
    for (;;) {
      const absl::Duration left = deadline_ - absl::Now();
      if (left <= absl::ZeroDuration()) return false;
      pollfd polled{fd_, events, 0};
      const int ready = poll(&polled, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
      if (ready > 0) return true;
      if (ready < 0 && errno != EINTR) return false;
    }
  }

  // The first bytes that come back; nothing when there are none in time.
  std::string Exchange(const std::string& bytes) const {
    if (!Await(POLLOUT) || send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) <= 0) return "";
    char buffer[256];
    if (!Await(POLLIN)) return "";
    const ssize_t size = recv(fd_, buffer, sizeof buffer, 0);
    return size > 0 ? std::string(buffer, static_cast<std::size_t>(size)) : "";
  }

 private:
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

  const absl::Time deadline_;
  int fd_ = -1;
};

// Keeps SIGPIPE from this thread as long as it lives.
class SigpipeBlocked {
 public:
  SigpipeBlocked() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGPIPE);
    sigset_t before;
    unblock_ =
        pthread_sigmask(SIG_BLOCK, &set_, &before) == 0 && sigismember(&before, SIGPIPE) == 0;
  }
  ~SigpipeBlocked() {
    if (!unblock_) return;
    const timespec at_once{};
    while (sigtimedwait(&set_, nullptr, &at_once) == SIGPIPE) {
    }
    pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);
  }
  SigpipeBlocked(const SigpipeBlocked&) = delete;
  SigpipeBlocked& operator=(const SigpipeBlocked&) = delete;

 private:
  sigset_t set_{};
  bool unblock_ = false;
};

// How an HTTP/2 client begins: the preface, and SETTINGS without settings.
const std::string& Http2Preface() {
  static const auto& preface =
      *new std::string(std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") +
                       std::string("\x00\x00\x00\x04\x00\x00\x00\x00\x00", 9));
  return preface;
}

// Makes the context trust the certificates in `pem`.
void Trust(SSL_CTX* context, const std::string& pem) {
  const Owned<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  while (bio) {
    const Owned<X509> certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (!certificate) break;
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate.get());
  }
}

// Shakes hands over a socket that is connected.
Finding ShakeHands(const Socket& socket, const std::string& host, const TlsMaterial& material,
                   bool plaintext) {
  const Owned<SSL_CTX> context(SSL_CTX_new(TLS_client_method()));
  if (!context) return {};
  if (material.ca.empty()) {
    SSL_CTX_set_default_verify_paths(context.get());
  } else {
    Trust(context.get(), material.ca);
  }
  // The handshake goes on, and what is wrong is told at its end.
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
  const unsigned char protocols[] = {2, 'h', '2'};
  SSL_CTX_set_alpn_protos(context.get(), protocols, sizeof protocols);
  const Owned<SSL> tls(SSL_new(context.get()));
  if (!tls) return {};
  SSL_set_fd(tls.get(), socket.fd());
  in6_addr ignored{};
  const bool is_ip = inet_pton(AF_INET, host.c_str(), &ignored) == 1 ||
                     inet_pton(AF_INET6, host.c_str(), &ignored) == 1;
  if (is_ip) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls.get()), host.c_str());
  } else {
    SSL_set1_host(tls.get(), host.c_str());
    SSL_set_tlsext_host_name(tls.get(), host.c_str());
  }
  for (;;) {
    const int done = SSL_connect(tls.get());
    if (done == 1) break;
    const int error = SSL_get_error(tls.get(), done);
    const bool again = (error == SSL_ERROR_WANT_READ && socket.Await(POLLIN)) ||
                       (error == SSL_ERROR_WANT_WRITE && socket.Await(POLLOUT));
    if (again) continue;
    // Whoever sends a certificate speaks TLS, even if the handshake comes to nothing.
    const Owned<X509> sent(SSL_get1_peer_certificate(tls.get()));
    return {sent ? FindingKind::kTls : FindingKind::kUnclear, ""};
  }
  const Owned<X509> certificate(SSL_get1_peer_certificate(tls.get()));
  const long error = SSL_get_verify_result(tls.get());
  const bool trusted = !certificate || error == X509_V_OK;
  const unsigned char* protocol = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(tls.get(), &protocol, &size);
  // A call in plain text has not come as far as the certificate.
  if (size == 0 && (trusted || plaintext)) return {FindingKind::kNoHttp2, ""};
  if (trusted) return {FindingKind::kTls, ""};
  return {FindingKind::kBadCertificate,
          CertificateProblem(error, certificate.get(), host, !material.ca.empty())};
}

// What gRPC says of the peer, as far as it does.
Finding FindingIn(const std::string& message) {
  const std::string text = absl::AsciiStrToLower(message);
  if (absl::StrContains(text, "missing selected alpn")) return {FindingKind::kNoHttp2, ""};
  constexpr char kPeerName[] = "peer name ";
  const std::size_t end = text.find(" is not in peer certificate");
  const std::size_t begin = text.rfind(kPeerName, end);
  if (end != std::string::npos && begin != std::string::npos) {
    const std::size_t name = begin + sizeof kPeerName - 1;
    return {FindingKind::kBadCertificate,
            absl::StrCat("is not for ", CutTo(OneLine(message.substr(name, end - name)), 100))};
  }
  if (absl::StrContains(text, "certificate verify failed")) {
    return {FindingKind::kBadCertificate,
            "is not valid now, or is from none of the certificate authorities that are trusted"};
  }
  for (const char* const closed :
       {"socket closed", "endpoint read failed", "handshake failed", "handshake read failed",
        "ssl_error", "connection reset", "broken pipe", "goaway"}) {
    if (absl::StrContains(text, closed)) return {FindingKind::kClosed, ""};
  }
  return {};
}

}  // namespace

Finding Explain(const std::string& message, const std::function<Finding()>& probe) {
  Finding told = FindingIn(message);
  if (told.kind == FindingKind::kNoHttp2 || !probe) return told;
  Finding found = probe();
  switch (told.kind) {
    case FindingKind::kBadCertificate:
      // The probe knows whose it is, and until when.
      return found.kind == FindingKind::kBadCertificate ? found : told;
    case FindingKind::kClosed:
      return found.kind == FindingKind::kNoAnswer || found.kind == FindingKind::kUnclear ? told
                                                                                         : found;
    default:
      return found;
  }
}

Finding Probe(const ServiceFlags& flags, const TlsMaterial& material, absl::Duration limit) {
  const std::optional<HostAndPort> target = Split(flags.server);
  if (!target) return {};
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* resolved = nullptr;
  const int error = getaddrinfo(target->host.c_str(), target->port.c_str(), &hints, &resolved);
  const Owned<addrinfo> addresses(resolved);
  if (error != 0 || addresses == nullptr) return {FindingKind::kUnknownHost, gai_strerror(error)};

  // OpenSSL writes to the socket in a way that raises SIGPIPE where the peer is gone already.
  const SigpipeBlocked blocked;
  // TLS first: a server that speaks it may close the connection on anything else without a word.
  {
    Socket socket(limit);
    if (const std::optional<FindingKind> kind = socket.Connect(*addresses)) return {*kind, ""};
    Finding finding = ShakeHands(socket, target->host, material, flags.plaintext);
    ERR_clear_error();
    if (finding.kind != FindingKind::kUnclear) return finding;
  }
  bool silent = true;
  for (const std::string& bytes : {Http2Preface(), std::string("GET / HTTP/1.0\r\n\r\n")}) {
    Socket socket(limit);
    if (const std::optional<FindingKind> kind = socket.Connect(*addresses)) return {*kind, ""};
    const std::string received = socket.Exchange(bytes);
    silent = silent && received.empty();
    if (absl::StartsWith(received, "HTTP/1.")) return {FindingKind::kHttp1, ""};
    // A frame of type SETTINGS on stream 0.
    if (received.size() >= 9 && received[3] == '\x04' &&
        received.substr(5, 4) == std::string(4, '\0')) {
      return {FindingKind::kPlaintext, ""};
    }
  }
  return {silent ? FindingKind::kNoAnswer : FindingKind::kUnclear, ""};
}

}  // namespace gantry::gantryctl
