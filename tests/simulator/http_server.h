// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SIMULATOR_HTTP_SERVER_H_
#define GANTRY_TESTS_SIMULATOR_HTTP_SERVER_H_

#include <openssl/ssl.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"

namespace gantry::simulator {

struct HttpRequest {
  std::string method;
  std::string path;   // as it came, percent-encoded
  std::string query;  // without the question mark
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  bool body_too_large = false;  // then it was not kept
  // Of the client's certificate; empty when it has shown none.
  std::string peer_name;
  std::vector<std::string> peer_organizations;

  // Empty when there is none; names in any case.
  std::string Header(std::string_view name) const;
};

// "%20" to " ", and "+" too in a query.
std::string PercentDecoded(std::string_view text, bool query);
// The parameters of a query, decoded, in their order.
std::vector<std::pair<std::string, std::string>> QueryParameters(std::string_view query);

// The answer to one request. Used by the thread that the handler runs on.
class HttpAnswer {
 public:
  virtual ~HttpAnswer() = default;

  // A whole answer. `headers` are lines, each with its line end.
  virtual void Respond(int status, const std::string& content_type, std::string_view body,
                       const std::string& headers = "") = 0;
  // An answer in pieces. False: the client has gone, or the server ends.
  virtual bool Begin(int status, const std::string& content_type) = 0;
  virtual bool Send(std::string_view piece) = 0;
  virtual void End() = 0;
  // Closes the connection, whatever was sent so far.
  virtual void Abort() = 0;
  // Whether an answer has begun.
  virtual bool IsAnswered() const = 0;
  // Whether the client still waits for the answer.
  virtual bool IsAwaited() = 0;
  // Waits for so long; false, and at once, when the client has gone or the connection is cut.
  virtual bool Linger(std::chrono::milliseconds time) = 0;
  // What Respond does from now on: nothing but to close the connection, or to close it in the
  // middle of the body.
  enum class Loss { kNone, kAll, kHalf };
  virtual void Lose(Loss loss) = 0;
};

// An HTTP/1.1 server on one address, with or without TLS. A thread serves each connection, so that
// a watch may take its time. What a library's server would not do: it drops single connections at
// any point, cuts all of them, and comes back on the same port. Any thread may call it.
class HttpServer {
 public:
  // Runs on the connection's thread, many at once.
  using Handler = std::function<void(const HttpRequest& request, HttpAnswer& answer)>;

  struct Options {
    std::string address = "127.0.0.1";
    int port = 0;  // 0: any
    // Empty: plain HTTP.
    std::shared_ptr<SSL_CTX> tls;
    std::size_t max_body = 3 * 1024 * 1024;
    // A handshake, or a request that has begun, may stand still for so long. A connection on which
    // no request has begun may stay.
    std::chrono::milliseconds idle_timeout{30000};
  };
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(Options options, Handler handler);
  ~HttpServer();
  // Cuts all connections and waits for the handlers, which may use the server until then. For
  // good: Listen must not be called any more.
  void End();

  int port() const { return port_; }
  std::size_t connections() const ABSL_LOCKS_EXCLUDED(mutex_);

  void CutConnections() ABSL_LOCKS_EXCLUDED(mutex_) { PrepareCut()(); }
  // Cuts, when it is called, the connections that there are now, so that an answer can come first.
  std::function<void()> PrepareCut() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits until the handlers of all connections that were cut have returned. Not from a handler.
  void AwaitCut() ABSL_LOCKS_EXCLUDED(mutex_);
  // Connections are refused until the next Listen.
  void StopListening();
  absl::Status Listen();

 private:
  class Connection;

  HttpServer(Options options, Handler handler);
  void Accept(int listener);
  // Request after request, until the connection ends.
  void Answer(Connection& connection);
  void Serve(std::shared_ptr<Connection> connection);

  const Options options_;
  const Handler handler_;
  int port_ = 0;
  // Of the listener; used by one caller at a time.
  base::Mutex listening_;
  int listener_ ABSL_GUARDED_BY(listening_) = -1;
  std::thread acceptor_ ABSL_GUARDED_BY(listening_);

  mutable base::Mutex mutex_;
  base::ConditionVariable ended_;
  // Ends the acceptor's pause when there is nothing to accept connections with.
  base::ConditionVariable hurry_;
  bool accepting_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<std::shared_ptr<Connection>> connections_ ABSL_GUARDED_BY(mutex_);
  int threads_ ABSL_GUARDED_BY(mutex_) = 0;  // that serve connections
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace gantry::simulator

#endif  // GANTRY_TESTS_SIMULATOR_HTTP_SERVER_H_
