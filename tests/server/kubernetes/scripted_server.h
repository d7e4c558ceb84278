// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SERVER_KUBERNETES_SCRIPTED_SERVER_H_
#define GANTRY_TESTS_SERVER_KUBERNETES_SCRIPTED_SERVER_H_

#include <openssl/ssl.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "server/kubernetes/config/tls_files.h"

namespace gantry::kubernetes {

// An HTTP/1.1 server on a loopback port that does what a test's handler says, byte by byte: half
// answers, lost connections and silence included. Owned by the test; its handler runs on one
// thread per connection. Its end ends all connections.
class ScriptedServer {
 public:
  struct Request {
    std::string method;
    std::string target;
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
    int connection = 0;              // 1 for the first one accepted, 2, ...
    std::string client_common_name;  // of the client's certificate
    std::string server_name;         // asked for in the TLS handshake

    // Empty when there is none; names in any case.
    std::string Header(std::string_view name) const;
  };

  // The connection that a request came on.
  class Connection {
   public:
    virtual ~Connection() = default;
    // These bytes, as they are.
    virtual void Send(std::string_view bytes) = 0;
    // Returns when the client has gone or the server is ended.
    virtual void WaitForClientToGo() = 0;
    // Closes the connection; a `reset` tells the client so with a TCP reset.
    virtual void Close(bool reset = false) = 0;

    // A complete response. `headers` are lines, each with its line end.
    void Respond(int status, std::string_view body, std::string_view headers = "");
  };
  using Handler = std::function<void(const Request&, Connection&)>;

  struct Tls {
    ClientCertificate certificate;
    std::string client_authority;  // PEM; when set, clients must have a certificate of it
  };

  explicit ScriptedServer(Handler handler, std::optional<Tls> tls = std::nullopt);
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  int port() const { return port_; }
  // "https://127.0.0.1:port" or "http://127.0.0.1:port".
  std::string url() const;
  // Those received so far.
  std::vector<Request> requests() const;
  // Connections accepted so far.
  int connections() const;
  // Returns when so many requests have been received.
  void WaitForRequests(std::size_t count);
  // Returns when clients have closed so many connections between two requests.
  void WaitForClosedConnections(int count);

 private:
  class SocketConnection;

  void Accept();
  void Serve(SocketConnection& connection, int number);

  const Handler handler_;
  SSL_CTX* tls_ = nullptr;
  int listener_ = -1;
  int port_ = 0;
  mutable base::Mutex mutex_;
  base::ConditionVariable changed_;
  std::vector<Request> requests_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<SocketConnection>> connections_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  int closed_connections_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread acceptor_;
};

}  // namespace gantry::kubernetes

#endif  // GANTRY_TESTS_SERVER_KUBERNETES_SCRIPTED_SERVER_H_
