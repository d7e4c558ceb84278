// SPDX-License-Identifier: Apache-2.0
#include "tests/server/kubernetes/scripted_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "base/strings.h"

namespace gantry::kubernetes {
namespace {

void Require(bool condition, const char* what) {
  if (condition) return;
  std::perror(what);
  std::abort();
}

X509* ReadCertificate(const std::string& pem) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  return certificate;
}

SSL_CTX* MakeTls(const ScriptedServer::Tls& tls) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  X509* certificate = ReadCertificate(tls.certificate.certificate);
  BIO* bio =
      BIO_new_mem_buf(tls.certificate.key.data(), static_cast<int>(tls.certificate.key.size()));
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  Require(SSL_CTX_use_certificate(context, certificate) == 1, "server certificate");
  Require(SSL_CTX_use_PrivateKey(context, key) == 1, "server key");
  X509_free(certificate);
  EVP_PKEY_free(key);
  if (!tls.client_authority.empty()) {
    X509* authority = ReadCertificate(tls.client_authority);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority);
    X509_free(authority);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    static constexpr unsigned char kSession[] = "test";
    SSL_CTX_set_session_id_context(context, kSession, sizeof kSession);
  }
  return context;
}

}  // namespace

std::string ScriptedServer::Request::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (absl::EqualsIgnoreCase(key, base::ToAbsl(name))) return value;
  }
  return "";
}

void ScriptedServer::Connection::Respond(int status, std::string_view body,
                                         std::string_view headers) {
  Send(base::StrCat("HTTP/1.1 ", status, " Something\r\nContent-Length: ", body.size(), "\r\n",
                    headers, "\r\n", body));
}

class ScriptedServer::SocketConnection final : public ScriptedServer::Connection {
 public:
  SocketConnection(int fd, SSL_CTX* tls) : fd_(fd) {
    if (tls == nullptr) return;
    ssl_ = SSL_new(tls);
    SSL_set_fd(ssl_, fd_);
  }
  ~SocketConnection() override {
    if (ssl_ != nullptr) SSL_free(ssl_);
    close(fd_);
  }

  bool Handshake() { return ssl_ == nullptr || SSL_accept(ssl_) == 1; }

  void Send(std::string_view bytes) override {
    while (!bytes.empty() && !closed_) {
      const long count = ssl_ != nullptr
                             ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                             : send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) {
        closed_ = true;
        return;
      }
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }

  void WaitForClientToGo() override {
    std::string ignored;
    while (!closed_ && Receive(ignored)) ignored.clear();
  }

  void Close(bool reset) override {
    closed_ = true;
    base::MutexLock lock(mutex_);
    if (reset) {
      // A reset is sent by closing the socket; another one takes over its number, which is still
      // used until this object's end.
      const linger at_once{1, 0};
      setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      const int dead = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      dup2(dead, fd_);
      close(dead);
      return;
    }
    if (ssl_ != nullptr) SSL_shutdown(ssl_);
    shutdown(fd_, SHUT_RDWR);
  }

  // From another thread: whatever this connection waits for ends.
  void Interrupt() {
    base::MutexLock lock(mutex_);
    shutdown(fd_, SHUT_RDWR);
  }

  bool closed() const { return closed_; }

  // Appends what has come; false at the end.
  bool Receive(std::string& buffer) {
    std::array<char, 16384> bytes;
    const long count = ssl_ != nullptr
                           ? SSL_read(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                           : recv(fd_, bytes.data(), bytes.size(), 0);
    if (count <= 0) return false;
    buffer.append(bytes.data(), static_cast<std::size_t>(count));
    return true;
  }

  void Identify(Request& request) const {
    if (ssl_ == nullptr) return;
    if (const char* name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name)) {
      request.server_name = name;
    }
    if (X509* peer = SSL_get1_peer_certificate(ssl_)) {
      char name[128] = {};
      X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, name, sizeof name);
      request.client_common_name = name;
      X509_free(peer);
    }
  }

 private:
  const int fd_;
  SSL* ssl_ = nullptr;
  bool closed_ = false;
  base::Mutex mutex_;  // held while the socket is shut down or replaced
};

ScriptedServer::ScriptedServer(Handler handler, std::optional<Tls> tls)
    : handler_(std::move(handler)) {
  if (tls) tls_ = MakeTls(*tls);
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Require(listener_ >= 0, "socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  Require(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0, "bind");
  Require(listen(listener_, 64) == 0, "listen");
  Require(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0, "getsockname");
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

ScriptedServer::~ScriptedServer() {
  std::vector<std::thread> threads;
  {
    base::MutexLock lock(mutex_);
    stopping_ = true;
    for (const auto& connection : connections_) connection->Interrupt();
  }
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  {
    base::MutexLock lock(mutex_);
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
  close(listener_);
  if (tls_ != nullptr) SSL_CTX_free(tls_);
}

std::string ScriptedServer::url() const {
  return base::StrCat(tls_ != nullptr ? "https" : "http", "://127.0.0.1:", port_);
}

std::vector<ScriptedServer::Request> ScriptedServer::requests() const {
  base::MutexLock lock(mutex_);
  return requests_;
}

int ScriptedServer::connections() const {
  base::MutexLock lock(mutex_);
  return static_cast<int>(connections_.size());
}

void ScriptedServer::WaitForRequests(std::size_t count) {
  base::MutexLock lock(mutex_);
  while (requests_.size() < count) changed_.Wait(mutex_);
}

void ScriptedServer::WaitForClosedConnections(int count) {
  base::MutexLock lock(mutex_);
  while (closed_connections_ < count) changed_.Wait(mutex_);
}

void ScriptedServer::Accept() {
  while (true) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    base::MutexLock lock(mutex_);
    connections_.push_back(std::make_unique<SocketConnection>(fd, tls_));
    SocketConnection& connection = *connections_.back();
    const int number = static_cast<int>(connections_.size());
    if (stopping_) connection.Interrupt();
    threads_.emplace_back([this, &connection, number] { Serve(connection, number); });
  }
}

void ScriptedServer::Serve(SocketConnection& connection, int number) {
  // OpenSSL writes to connections that are gone. Only this thread is spared the signal, for the
  // code under test has to cope with it by itself.
  sigset_t sigpipe;
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &sigpipe, nullptr);
  if (!connection.Handshake()) {
    connection.Close(false);
    return;
  }
  std::string buffer;
  while (!connection.closed()) {
    std::size_t end = std::string::npos;
    while ((end = buffer.find("\r\n\r\n")) == std::string::npos) {
      if (!connection.Receive(buffer)) {
        connection.Close(false);
        {
          base::MutexLock lock(mutex_);
          ++closed_connections_;
        }
        changed_.NotifyAll();
        return;
      }
    }
    Request request;
    request.connection = number;
    std::string head = buffer.substr(0, end + 2);
    buffer.erase(0, end + 4);
    std::size_t line_end = head.find("\r\n");
    const std::string first = head.substr(0, line_end);
    const std::size_t blank = first.find(' ');
    request.method = first.substr(0, blank);
    request.target = first.substr(blank + 1, first.rfind(' ') - blank - 1);
    for (std::size_t start = line_end + 2; start < head.size(); start = line_end + 2) {
      line_end = head.find("\r\n", start);
      const std::string line = head.substr(start, line_end - start);
      const std::size_t colon = line.find(':');
      request.headers.emplace_back(line.substr(0, colon),
                                   std::string(absl::StripAsciiWhitespace(line.substr(colon + 1))));
    }
    std::size_t length = 0;
    if (!absl::SimpleAtoi(request.Header("Content-Length"), &length)) length = 0;
    while (buffer.size() < length) {
      if (!connection.Receive(buffer)) break;
    }
    request.body = buffer.substr(0, length);
    buffer.erase(0, length);
    connection.Identify(request);
    {
      base::MutexLock lock(mutex_);
      requests_.push_back(request);
    }
    changed_.NotifyAll();
    handler_(request, connection);
  }
}

}  // namespace gantry::kubernetes
