// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/holding_proxy.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace gantry::integration {
namespace {

using Deadline = std::chrono::steady_clock::time_point;

Deadline DeadlineAfter(std::chrono::milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

int MakeEventFd() {
  const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) GiveUp("no eventfd");
  return fd;
}

void Signal(int event_fd) {
  const std::uint64_t one = 1;
  if (write(event_fd, &one, sizeof one) < 0) ADD_FAILURE() << "could not signal an eventfd";
}

// Waits for one of the two; the index of that which is ready, the second one first.
int WaitForEither(int first, short first_events, int second) {
  pollfd fds[] = {{first, first_events, 0}, {second, POLLIN, 0}};
  while (poll(fds, 2, -1) < 0) {
  }
  return fds[1].revents != 0 ? 1 : 0;
}

bool SendAll(int socket, const std::string& bytes) {
  for (std::size_t sent = 0; sent < bytes.size();) {
    const ssize_t n = send(socket, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return false;
    sent += static_cast<std::size_t>(n);
  }
  return true;
}

// Says of a header whether it belongs to one connection and is not passed on.
bool IsHopByHop(const std::string& name) {
  for (const char* own : {"connection", "content-length", "transfer-encoding", "host"}) {
    if (absl::EqualsIgnoreCase(name, own)) return true;
  }
  return false;
}

// Reads requests off a connection that is kept open.
class RequestReader {
 public:
  RequestReader(int socket, int stop) : socket_(socket), stop_(stop) {}

  // Nothing when the peer has gone or all is to end.
  std::optional<httplib::Request> Next() {
    constexpr char kEndOfHead[] = "\r\n\r\n";
    std::size_t end = 0;
    while ((end = buffer_.find(kEndOfHead)) == std::string::npos) {
      if (!Receive()) return std::nullopt;
    }
    httplib::Request request;
    std::size_t length = 0;
    bool first = true;
    for (const absl::string_view line : absl::StrSplit(buffer_.substr(0, end), "\r\n")) {
      if (first) {
        const std::vector<std::string> words = absl::StrSplit(line, ' ');
        request.method = words.at(0);
        request.path = words.at(1);
        first = false;
        continue;
      }
      const std::pair<std::string, std::string> header =
          absl::StrSplit(line, absl::MaxSplits(':', 1));
      const std::string value(absl::StripAsciiWhitespace(header.second));
      if (absl::EqualsIgnoreCase(header.first, "transfer-encoding")) {
        throw std::runtime_error("the proxy takes no request with Transfer-Encoding");
      }
      if (absl::EqualsIgnoreCase(header.first, "content-length") &&
          !absl::SimpleAtoi(value, &length)) {
        throw std::runtime_error("a Content-Length that is no number");
      }
      if (!IsHopByHop(header.first)) request.headers.emplace(header.first, value);
    }
    buffer_.erase(0, end + 4);
    while (buffer_.size() < length) {
      if (!Receive()) return std::nullopt;
    }
    request.body = buffer_.substr(0, length);
    buffer_.erase(0, length);
    return request;
  }

 private:
  bool Receive() {
    if (WaitForEither(socket_, POLLIN, stop_) == 1) return false;
    char piece[16384];
    const ssize_t n = recv(socket_, piece, sizeof piece, 0);
    if (n <= 0) return false;
    buffer_.append(piece, static_cast<std::size_t>(n));
    return true;
  }

  const int socket_;
  const int stop_;
  std::string buffer_;
};

std::string Head(int status, const std::vector<std::pair<std::string, std::string>>& headers,
                 const std::string& framing) {
  std::string head = absl::StrCat("HTTP/1.1 ", status, " Proxied\r\n", framing, "\r\n");
  for (const auto& [name, value] : headers) absl::StrAppend(&head, name, ": ", value, "\r\n");
  return head + "\r\n";
}

}  // namespace

CannedAnswer Refusal(int status, const std::string& reason, const std::string& message) {
  return {.status = status,
          .body = nlohmann::json{{"kind", "Status"},
                                 {"apiVersion", "v1"},
                                 {"metadata", nlohmann::json::object()},
                                 {"status", "Failure"},
                                 {"message", message},
                                 {"reason", reason},
                                 {"code", status}}
                      .dump()};
}

// ---- Hold --------------------------------------------------------------------------

Hold::Hold() : released_(MakeEventFd()) {}
Hold::~Hold() { close(released_); }

void Hold::Release() { Signal(released_); }

void Hold::AwaitHeld() {
  const Deadline deadline = DeadlineAfter(kPatience);
  base::MutexLock lock(mutex_);
  while (held_ == 0) {
    if (!changed_.WaitUntil(mutex_, deadline)) GiveUp("no request came to the point of the hold");
  }
}

void Hold::AwaitAbandoned() {
  const Deadline deadline = DeadlineAfter(kPatience);
  base::MutexLock lock(mutex_);
  while (abandoned_ == 0) {
    if (!changed_.WaitUntil(mutex_, deadline)) {
      GiveUp("the server under test did not close the connection of the request that is held");
    }
  }
}

bool Hold::Keep(int connection, int stop) {
  {
    base::MutexLock lock(mutex_);
    ++held_;
    changed_.NotifyAll();
  }
  pollfd fds[] = {{connection, POLLIN | POLLRDHUP, 0}, {released_, POLLIN, 0}, {stop, POLLIN, 0}};
  while (poll(fds, 3, -1) < 0) {
  }
  if (fds[2].revents != 0) return false;
  if (fds[1].revents != 0) return true;
  base::MutexLock lock(mutex_);
  ++abandoned_;
  changed_.NotifyAll();
  return false;
}

// ---- HoldingProxy ------------------------------------------------------------------

struct HoldingProxy::Connection {
  int socket = -1;
  std::unique_ptr<httplib::Client> upstream;
  std::thread thread = {};
  bool ended = false;  // guarded by the proxy's mutex
};

HoldingProxy::HoldingProxy(const ClusterAccess& upstream)
    : upstream_(upstream), stop_(MakeEventFd()) {
  Listen();
  accepting_ = std::thread([this] { Accept(); });
}

HoldingProxy::~HoldingProxy() {
  GoAway();
  close(stop_);
}

std::string HoldingProxy::url() const { return absl::StrCat("http://127.0.0.1:", port_); }

void HoldingProxy::Listen() {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (listener_ < 0 || bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener_, SOMAXCONN) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    GiveUp("the proxy could not listen");
  }
  port_ = ntohs(address.sin_port);
}

void HoldingProxy::GoAway() {
  Signal(stop_);
  if (accepting_.joinable()) accepting_.join();
  if (listener_ >= 0) close(std::exchange(listener_, -1));
  Close();
}

void HoldingProxy::CutConnections() {
  base::MutexLock lock(mutex_);
  for (const auto& connection : connections_) {
    if (connection->ended) continue;
    shutdown(connection->socket, SHUT_RDWR);
    connection->upstream->stop();
  }
}

void HoldingProxy::Accept() {
  while (WaitForEither(listener_, POLLIN, stop_) == 0) {
    const int accepted = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (accepted < 0) continue;
    const int on = 1;
    setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    auto made = std::make_unique<Connection>();
    Connection& connection = *made;
    connection.socket = accepted;
    connection.upstream = MakeHttpClient(upstream_);
    base::MutexLock lock(mutex_);
    connections_.push_back(std::move(made));
    connection.thread = std::thread([this, &connection] { Serve(connection); });
  }
}

void HoldingProxy::Close() {
  std::list<std::unique_ptr<Connection>> closing;
  {
    base::MutexLock lock(mutex_);
    const auto all_ended = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return std::all_of(connections_.begin(), connections_.end(),
                         [](const auto& connection) { return connection->ended; });
    };
    while (!all_ended()) {
      // Again and again: a request may just be about to begin.
      for (const auto& connection : connections_) connection->upstream->stop();
      changed_.WaitUntil(mutex_, DeadlineAfter(std::chrono::milliseconds(20)));
    }
    closing.swap(connections_);
  }
  for (const auto& connection : closing) {
    connection->thread.join();
    close(connection->socket);
  }
}

void HoldingProxy::Serve(Connection& connection) {
  try {
    RequestReader reader(connection.socket, stop_);
    while (const std::optional<httplib::Request> request = reader.Next()) {
      if (!Handle(connection, *request)) break;
    }
  } catch (const std::exception& exception) {
    ADD_FAILURE() << "in the proxy: " << exception.what();
  }
  shutdown(connection.socket, SHUT_RDWR);
  base::MutexLock lock(mutex_);
  connection.ended = true;
  changed_.NotifyAll();
}

bool HoldingProxy::Handle(Connection& connection, const httplib::Request& request) {
  const Matching rules = MatchRules(request.method, request.path);
  const std::size_t exchange = Log(request);
  if (rules.before) {
    if (rules.before->answer) {
      const CannedAnswer& answer = *rules.before->answer;
      auto headers = answer.headers;
      headers.emplace_back("Content-Type", answer.content_type);
      Amend(exchange, [&](Exchange& e) { e.canned_status = answer.status, e.answered = true; });
      return SendAll(connection.socket, Head(answer.status, headers,
                                             absl::StrCat("Content-Length: ", answer.body.size())) +
                                            answer.body);
    }
    if (!Obey(connection, *rules.before)) return false;
  }
  return Forward(connection, request, rules.after, exchange);
}

bool HoldingProxy::Obey(Connection& connection, const Rule& rule) {
  if (rule.hold) return rule.hold->Keep(connection.socket, stop_);
  if (!rule.callback) return false;
  rule.callback();
  return true;
}

bool HoldingProxy::Forward(Connection& connection, const httplib::Request& request,
                           const std::shared_ptr<Rule>& after, std::size_t exchange) {
  bool chunked = false;
  bool head_sent = false;
  httplib::Request forwarded = request;
  const auto on_head = [&](const httplib::Response& response) {
    Amend(exchange, [&](Exchange& e) { e.status = response.status; });
    if (after && !Obey(connection, *after)) return false;
    std::vector<std::pair<std::string, std::string>> headers;
    for (const auto& [name, value] : response.headers) {
      if (!IsHopByHop(name)) headers.emplace_back(name, value);
    }
    chunked = !response.has_header("Content-Length");
    const std::string framing =
        chunked ? "Transfer-Encoding: chunked"
                : "Content-Length: " + response.get_header_value("Content-Length");
    head_sent = true;
    return SendAll(connection.socket, Head(response.status, headers, framing));
  };
  forwarded.response_handler = on_head;
  forwarded.content_receiver = [&](const char* data, std::size_t size, std::uint64_t,
                                   std::uint64_t) {
    const std::string piece(data, size);
    return SendAll(connection.socket,
                   chunked ? absl::StrCat(absl::Hex(size), "\r\n", piece, "\r\n") : piece);
  };
  const httplib::Result result = connection.upstream->send(forwarded);
  if (!result || !head_sent) return false;
  if (chunked && !SendAll(connection.socket, "0\r\n\r\n")) return false;
  Amend(exchange, [](Exchange& e) { e.answered = true; });
  return true;
}

// ---- rules and log -----------------------------------------------------------------

std::shared_ptr<Hold> HoldingProxy::HoldBefore(RequestPattern pattern) {
  return AddHold(std::move(pattern), When::kBefore);
}
std::shared_ptr<Hold> HoldingProxy::HoldAfter(RequestPattern pattern) {
  return AddHold(std::move(pattern), When::kAfter);
}
std::shared_ptr<Hold> HoldingProxy::AddHold(RequestPattern pattern, When when) {
  auto hold = std::make_shared<Hold>();
  AddRule({.pattern = std::move(pattern), .target = {}, .when = when, .hold = hold});
  return hold;
}
void HoldingProxy::RunBefore(RequestPattern pattern, std::function<void()> callback) {
  AddRule({.pattern = std::move(pattern), .target = {}, .callback = std::move(callback)});
}
void HoldingProxy::RunAfter(RequestPattern pattern, std::function<void()> callback) {
  AddRule({.pattern = std::move(pattern),
           .target = {},
           .when = When::kAfter,
           .callback = std::move(callback)});
}
void HoldingProxy::DropBefore(RequestPattern pattern) {
  AddRule({.pattern = std::move(pattern), .target = {}});
}
void HoldingProxy::DropAfter(RequestPattern pattern) {
  AddRule({.pattern = std::move(pattern), .target = {}, .when = When::kAfter});
}
void HoldingProxy::Answer(RequestPattern pattern, CannedAnswer answer) {
  AddRule({.pattern = std::move(pattern),
           .target = {},
           .answer = std::make_shared<const CannedAnswer>(std::move(answer))});
}

void HoldingProxy::AddRule(Rule rule) {
  rule.target = std::regex(rule.pattern.target);
  base::MutexLock lock(mutex_);
  rules_.push_back(std::make_shared<Rule>(std::move(rule)));
}

void HoldingProxy::ClearRules() {
  base::MutexLock lock(mutex_);
  rules_.clear();
}

HoldingProxy::Matching HoldingProxy::MatchRules(const std::string& method,
                                                const std::string& target) {
  Matching matching;
  base::MutexLock lock(mutex_);
  for (const std::shared_ptr<Rule>& rule : rules_) {
    const RequestPattern& pattern = rule->pattern;
    if (method != pattern.method || !std::regex_search(target, rule->target)) continue;
    const int number = ++rule->seen;
    if (number < pattern.first || number - pattern.first >= pattern.count) continue;
    std::shared_ptr<Rule>& place = rule->when == When::kBefore ? matching.before : matching.after;
    if (!place) place = rule;
  }
  return matching;
}

std::size_t HoldingProxy::Log(const httplib::Request& request) {
  base::MutexLock lock(mutex_);
  exchanges_.push_back({.method = request.method, .target = request.path, .body = request.body});
  return exchanges_.size() - 1;
}

void HoldingProxy::Amend(std::size_t exchange, const std::function<void(Exchange&)>& change) {
  base::MutexLock lock(mutex_);
  change(exchanges_[exchange]);
  changed_.NotifyAll();
}

std::vector<Exchange> HoldingProxy::Exchanges() {
  base::MutexLock lock(mutex_);
  return exchanges_;
}

std::vector<Exchange> HoldingProxy::Exchanges(const RequestPattern& pattern) {
  const std::regex target(pattern.target);
  std::vector<Exchange> matching;
  for (Exchange& exchange : Exchanges()) {
    if (exchange.method == pattern.method && std::regex_search(exchange.target, target)) {
      matching.push_back(std::move(exchange));
    }
  }
  return matching;
}

void HoldingProxy::AwaitAnswers(const RequestPattern& pattern, std::size_t count) {
  const std::regex target(pattern.target);
  const Deadline deadline = DeadlineAfter(kPatience);
  base::MutexLock lock(mutex_);
  const auto answered = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return std::count_if(exchanges_.begin(), exchanges_.end(), [&](const Exchange& exchange) {
      return exchange.status != 0 && exchange.method == pattern.method &&
             std::regex_search(exchange.target, target);
    });
  };
  while (static_cast<std::size_t>(answered()) < count) {
    if (!changed_.WaitUntil(mutex_, deadline)) {
      GiveUp(absl::StrCat("the API server did not answer ", count, " requests ", pattern.method,
                          " ", pattern.target));
    }
  }
}

}  // namespace gantry::integration
