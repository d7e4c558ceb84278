// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_INTEGRATION_HOLDING_PROXY_H_
#define GANTRY_TESTS_INTEGRATION_HOLDING_PROXY_H_

#include <httplib.h>

#include <cstddef>
#include <functional>
#include <limits>
#include <list>
#include <memory>
#include <regex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "tests/integration/cluster_access.h"

namespace gantry::integration {

// Every matching request.
inline constexpr int kAlways = std::numeric_limits<int>::max();

// The requests that a rule is about: `count` of those that match, beginning with number `first`,
// counted from when the rule was made.
struct RequestPattern {
  std::string method;  // "GET"
  std::string target;  // a regular expression that is found in path and query
  int first = 1;
  int count = 1;
};

// One request of the server under test.
struct Exchange {
  std::string method;
  std::string target;
  std::string body;
  int status = 0;         // the API server's answer; 0: it was not asked, or has not answered yet
  int canned_status = 0;  // a rule's answer instead; 0: there was none
  bool answered = false;  // the server under test got an answer
};

struct CannedAnswer {
  int status = 200;
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string content_type = "application/json";
};
// What the API server says when it refuses: a Status object.
CannedAnswer Refusal(int status, const std::string& reason, const std::string& message);

// A place where requests stop until the test lets them go.
class Hold {
 public:
  Hold();
  ~Hold();
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  // Wait, or end the test when it does not happen.
  void AwaitHeld() ABSL_LOCKS_EXCLUDED(mutex_);
  // The server under test closed the connection of a request that is held.
  void AwaitAbandoned() ABSL_LOCKS_EXCLUDED(mutex_);
  // Lets go what is held, and what comes later.
  void Release();

 private:
  friend class HoldingProxy;
  // False when the request is not to be carried on.
  bool Keep(int connection, int stop) ABSL_LOCKS_EXCLUDED(mutex_);

  const int released_;  // an eventfd
  base::Mutex mutex_;
  base::ConditionVariable changed_;
  int held_ ABSL_GUARDED_BY(mutex_) = 0;
  int abandoned_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Stands between a server under test and the API server, so that a test can stop the server at
// exact points, and change what it is told, with no test code in the server itself. Speaks plain
// HTTP to the server under test and passes its credentials on. Owned by the test, which may call
// it from any thread; a thread of its own serves each connection, and runs the test's callbacks.
// The destructor lets nothing pass any more and closes all connections.
class HoldingProxy {
 public:
  // `upstream`: the API server; its token is not used.
  explicit HoldingProxy(const ClusterAccess& upstream);
  ~HoldingProxy();
  HoldingProxy(const HoldingProxy&) = delete;
  HoldingProxy& operator=(const HoldingProxy&) = delete;

  std::string url() const;

  // Rules. Of several that are about a request the one made first counts, separately before the
  // request is forwarded, and after, that is: when the API server has answered, and nothing of
  // the answer has been passed on.
  std::shared_ptr<Hold> HoldBefore(RequestPattern pattern);
  std::shared_ptr<Hold> HoldAfter(RequestPattern pattern);
  void RunBefore(RequestPattern pattern, std::function<void()> callback);
  void RunAfter(RequestPattern pattern, std::function<void()> callback);
  void DropBefore(RequestPattern pattern);
  void DropAfter(RequestPattern pattern);
  void Answer(RequestPattern pattern, CannedAnswer answer);
  void ClearRules() ABSL_LOCKS_EXCLUDED(mutex_);

  // From now on connections are refused, and those open are closed.
  void GoAway() ABSL_LOCKS_EXCLUDED(mutex_);

  // Closes the connections that are open, watches included; new ones may come.
  void CutConnections() ABSL_LOCKS_EXCLUDED(mutex_);

  // All so far, in the order in which they came.
  std::vector<Exchange> Exchanges() ABSL_LOCKS_EXCLUDED(mutex_);
  // Those that match; `first` and `count` of the pattern are not looked at.
  std::vector<Exchange> Exchanges(const RequestPattern& pattern) ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits until the API server has answered so many, or ends the test.
  void AwaitAnswers(const RequestPattern& pattern, std::size_t count) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  enum class When { kBefore, kAfter };
  struct Rule {
    RequestPattern pattern;
    std::regex target;
    When when = When::kBefore;
    // One of these.
    std::shared_ptr<Hold> hold = nullptr;
    std::function<void()> callback = nullptr;
    std::shared_ptr<const CannedAnswer> answer = nullptr;  // none of the three: drop
    int seen = 0;
  };
  struct Matching {
    std::shared_ptr<Rule> before;
    std::shared_ptr<Rule> after;
  };
  struct Connection;

  std::shared_ptr<Hold> AddHold(RequestPattern pattern, When when);
  void AddRule(Rule rule) ABSL_LOCKS_EXCLUDED(mutex_);
  Matching MatchRules(const std::string& method, const std::string& target)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Listen();
  void Accept();
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);
  void Serve(Connection& connection);
  bool Handle(Connection& connection, const httplib::Request& request);
  bool Forward(Connection& connection, const httplib::Request& request,
               const std::shared_ptr<Rule>& after, std::size_t exchange);
  // What comes before the forwarding, or after; false when the request ends there.
  bool Obey(Connection& connection, const Rule& rule);
  std::size_t Log(const httplib::Request& request) ABSL_LOCKS_EXCLUDED(mutex_);
  void Amend(std::size_t exchange, const std::function<void(Exchange&)>& change)
      ABSL_LOCKS_EXCLUDED(mutex_);

  const ClusterAccess upstream_;
  const int stop_;  // an eventfd, readable when all is to end
  int listener_ = -1;
  int port_ = 0;
  std::thread accepting_;
  base::Mutex mutex_;
  base::ConditionVariable changed_;
  std::vector<std::shared_ptr<Rule>> rules_ ABSL_GUARDED_BY(mutex_);
  std::vector<Exchange> exchanges_ ABSL_GUARDED_BY(mutex_);
  // Each lives until Close(), which joins its thread.
  std::list<std::unique_ptr<Connection>> connections_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gantry::integration

#endif  // GANTRY_TESTS_INTEGRATION_HOLDING_PROXY_H_
