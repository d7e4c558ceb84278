// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/probe.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/text.h"
#include "client/gantryctl/text.h"

namespace gantry::gantryctl {
namespace {

using FindingKind = Finding::Kind;

struct FreedAfterProbe {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* tls) const { SSL_free(tls); }
  void operator()(addrinfo* addresses) const { freeaddrinfo(addresses); }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};
template <typename T>
using Owned = std::unique_ptr<T, FreedAfterProbe>;

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

std::string TimeOf(const ASN1_TIME* time) {
  tm utc{};
  if (ASN1_TIME_to_tm(time, &utc) != 1) return "an unknown time";
  return base::UtcTime(absl::FromTM(utc, absl::UTCTimeZone()));
}

std::string NameOf(X509_NAME* name) {
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  if (!bio || X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253) < 0) return "an unknown name";
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &bytes);
  const std::string text(bytes, static_cast<std::size_t>(std::max(size, 0L)));
  return text.empty() ? "nobody" : CutTo(OneLine(text), 100);
}

// The names that the certificate is for.
std::string NamesOf(X509* certificate) {
  const Owned<GENERAL_NAMES> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::vector<std::string> texts;
  for (int i = 0; i < (names ? sk_GENERAL_NAME_num(names.get()) : 0) && texts.size() < 10; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) {
      texts.push_back(
          OneLine(std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                              static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)))));
    } else if (name->type == GEN_IPADD) {
      char text[INET6_ADDRSTRLEN] = "";
      const int family = ASN1_STRING_length(name->d.iPAddress) == 4 ? AF_INET : AF_INET6;
      if (family == AF_INET || ASN1_STRING_length(name->d.iPAddress) == 16) {
        inet_ntop(family, ASN1_STRING_get0_data(name->d.iPAddress), text, sizeof text);
      }
      texts.emplace_back(text);
    }
  }
  return texts.empty() ? "no name at all" : absl::StrJoin(texts, ", ");
}

std::string CertificateProblem(long error, X509* certificate, const std::string& host,
                               bool own_ca) {
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return absl::StrCat("has expired at ", TimeOf(X509_get0_notAfter(certificate)));
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return absl::StrCat("is not valid before ", TimeOf(X509_get0_notBefore(certificate)));
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return absl::StrCat("is for ", NamesOf(certificate), ", and not for ", host);
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return absl::StrCat("is from ", NameOf(X509_get_issuer_name(certificate)), ", which is none ",
                          own_ca ? "of the certificate authorities in --ca-file"
                                 : "of the system's certificate authorities");
    default:
      return absl::StrCat("cannot be verified: ", X509_verify_cert_error_string(error));
  }
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
    const std::string answer = socket.Exchange(bytes);
    silent = silent && answer.empty();
    if (absl::StartsWith(answer, "HTTP/1.")) return {FindingKind::kHttp1, ""};
    // A frame of type SETTINGS on stream 0.
    if (answer.size() >= 9 && answer[3] == '\x04' && answer.substr(5, 4) == std::string(4, '\0')) {
      return {FindingKind::kPlaintext, ""};
    }
  }
  return {silent ? FindingKind::kNoAnswer : FindingKind::kUnclear, ""};
}

std::string RenderFinding(const Finding& finding, const ServiceFlags& flags) {
  const std::string& address = flags.server;
  const bool has_credentials = !flags.token.empty() || !flags.token_file.empty() ||
                               !flags.cert_file.empty() || !flags.ca_file.empty();
  switch (finding.kind) {
    case FindingKind::kUnclear:
      return "";
    case FindingKind::kUnknownHost:
      return absl::StrCat("The host of ", address, " has no address (", finding.detail,
                          "); check its name in --server or GANTRY_SERVER.\n");
    case FindingKind::kRefused:
      return absl::StrCat("Nobody listens at ", address,
                          "; start gantry-server there, or name the address of one that runs (its "
                          "--listen) with --server or GANTRY_SERVER.\n");
    case FindingKind::kNoAnswer:
      return absl::StrCat("Nothing comes back from ", address,
                          "; check the address in --server or GANTRY_SERVER, and whether a "
                          "firewall or a network policy is in between.\n");
    case FindingKind::kHttp1:
      return absl::StrCat(address,
                          " answers HTTP/1: that looks like the admin listener of gantry-server "
                          "(its --admin-listen), or another web server. gRPC is at --listen, port "
                          "50051 unless told otherwise.\n");
    case FindingKind::kPlaintext:
      if (flags.plaintext) return "";
      if (!has_credentials) {
        return absl::StrCat(address,
                            " speaks plain text and was called with TLS; add --plaintext, or set "
                            "GANTRY_PLAINTEXT=true, if it should be so.\n");
      }
      return absl::StrCat(address,
                          " speaks plain text and was called with TLS, because a token, a "
                          "certificate or a CA is given; remove these (their GANTRY_ variables, "
                          "too), or name an address that has TLS.\n");
    case FindingKind::kClosed:
      return absl::StrCat(
          address, " takes the connection and closes it before gRPC comes about; ",
          flags.plaintext ? "it may expect TLS: use --ca-file with the certificate authority of "
                            "the service, or --plaintext=false. "
                          : "it may expect plain text (--plaintext), or a certificate of its "
                            "callers (--cert-file and --key-file). ",
          "Check also that it is gantry-server's --listen, and no proxy that has no service "
          "behind it.\n");
    case FindingKind::kNoHttp2:
      return absl::StrCat(address,
                          " speaks TLS but not gRPC (no HTTP/2): probably the Kubernetes API "
                          "server, a web server or a proxy without HTTP/2; gRPC is at "
                          "gantry-server's --listen.\n");
    case FindingKind::kTls:
      if (flags.plaintext) {
        return absl::StrCat(address,
                            " speaks TLS and was called in plain text; use --plaintext=false, or "
                            "--ca-file with the certificate authority of the service.\n");
      }
      if (flags.cert_file.empty()) {
        return absl::StrCat(address,
                            " speaks TLS and its certificate is in order; if it asks its callers "
                            "for a certificate, give one with --cert-file and --key-file.\n");
      }
      return absl::StrCat(address,
                          " speaks TLS and its certificate is in order; it may not accept the "
                          "certificate of --cert-file. Check that this is from an authority that "
                          "the service trusts, and has not expired.\n");
    case FindingKind::kBadCertificate:
      if (flags.plaintext) {
        return absl::StrCat(address,
                            " speaks TLS and was called in plain text; use --ca-file with the "
                            "certificate authority of the service, or --plaintext=false.\n");
      }
      return absl::StrCat("The certificate of ", address, " ", finding.detail,
                          ". Check the address in --server, and --ca-file, which names the "
                          "certificate authority of the service.\n");
  }
  return "";
}

}  // namespace gantry::gantryctl
