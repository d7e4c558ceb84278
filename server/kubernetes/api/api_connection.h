// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_API_API_CONNECTION_H_
#define GANTRY_SERVER_KUBERNETES_API_API_CONNECTION_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/random.h"
#include "server/kubernetes/api/api_request.h"
#include "server/kubernetes/api/error.h"
#include "server/kubernetes/api/rate_limiter.h"
#include "server/kubernetes/config/credentials.h"
#include "server/kubernetes/config/kube_config.h"
#include "server/kubernetes/http/http_transport.h"

namespace gantry::kubernetes {

struct ClientOptions {
  std::string user_agent = "gantry";
  // This process's own limit for ordinary requests, each attempt counted, of each Traffic; zero or
  // less: none.
  double qps = 500;
  int burst = 1000;
  // The longest that one attempt may take, within the caller's deadline. A list that is read
  // whole, without pages, has ten times as long.
  absl::Duration attempt_timeout = absl::Seconds(30);
  absl::Duration exec_timeout = absl::Seconds(30);

  // Told of what goes wrong without failing a call, such as a token file that cannot be read any
  // more. Without secrets. May be empty.
  std::function<void(std::string_view message)> on_warning;
  // Told after each attempt, for metrics; http_status 0: there was no response. May be empty.
  std::function<void(const ApiTarget& target, int http_status, ErrorKind kind,
                     absl::Duration duration)>
      on_attempt;

  const base::Clock* clock = &base::SystemClock();
  base::Sleeper* sleeper = &base::SystemSleeper();
  base::Random* random = &base::SystemRandom();
};

// Who waits for a request. Each has a rate limit of its own, so that thousands of queued writes of
// the background do not slow what a caller waits for.
enum class Traffic {
  kForeground,
  kBackground,  // Events, the stored health of Stages, refreshes that nobody has asked for
};

struct ApiRequest {
  ApiTarget target;
  Traffic traffic = Traffic::kForeground;
  std::string_view body;
  std::string_view content_type;
  // An attempt may take so many times ClientOptions::attempt_timeout.
  int attempt_factor = 1;
};

// Who is told of the silences of a stream: see HttpRequest::on_quiet.
struct QuietHandler {
  absl::Duration after = absl::InfiniteDuration();
  std::function<void()> call;
};

// One cluster's API server, as seen with one identity: adds credentials to requests, keeps to
// the rate limit, repeats what may be repeated, and gives errors their types and words. Shared by
// the Client, watches and token reviews. Any thread, many calls at once; destroyed after the last
// has ended.
class ApiConnection {
 public:
  ApiConnection(std::unique_ptr<Transport> transport, std::unique_ptr<CredentialSource> credentials,
                Impersonation impersonation, ClientOptions options);

  // Sends the request, again if need be, and returns the 2xx response, its body unparsed.
  absl::StatusOr<HttpResponse> Call(const ApiRequest& call, base::Context& context);

  // Sends a GET whose 2xx body goes to `sink` as it comes and whose silences are told to `quiet`
  // (see HttpRequest for both), for watches and streamed lists. `idle_timeout` is read again
  // after each piece, so the sink may change it. A list may come compressed, a watch does not. Not
  // limited in rate and never repeated, except once with renewed credentials after a 401: the
  // caller has its own ways of going on. An attempt ends with the context alone.
  absl::StatusOr<HttpResponse> Stream(const ApiTarget& target, const absl::Duration& idle_timeout,
                                      const std::function<bool(std::string_view chunk)>& sink,
                                      base::Context& context, const QuietHandler& quiet = {});

 private:
  // What an attempt came to: a response of any status, or an error without one.
  using Attempt = absl::StatusOr<HttpResponse>;

  // Sends once, or twice when the credentials were renewed after a 401.
  Attempt SendAuthenticated(const ApiTarget& target, HttpRequest& request,
                            absl::Duration attempt_timeout, base::Context& context);
  Attempt SendObserved(const ApiTarget& target, HttpRequest& request, absl::Duration timeout,
                       base::Context& context);
  void AddHeaders(std::string_view content_type, HttpRequest& request) const;

  const std::unique_ptr<Transport> transport_;
  const std::unique_ptr<CredentialSource> credentials_;
  const Impersonation impersonation_;
  const ClientOptions options_;
  RateLimiter foreground_;
  RateLimiter background_;
};

// Builds transport and credentials. Reads the files that `config` names, sends nothing.
absl::StatusOr<std::shared_ptr<ApiConnection>> MakeApiConnection(const ClusterConfig& config,
                                                                 const ClientOptions& options);

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_API_API_CONNECTION_H_
