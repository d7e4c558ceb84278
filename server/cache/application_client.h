// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_CACHE_APPLICATION_CLIENT_H_
#define GANTRY_SERVER_CACHE_APPLICATION_CLIENT_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/mutex.h"
#include "server/argocd/application.h"
#include "server/argocd/application_reader.h"
#include "server/cache/application_cache.h"
#include "server/kubernetes/api/client.h"
#include "server/observability/log.h"

namespace gantry::cache {

inline constexpr kubernetes::Resource kApplications = {"argoproj.io", "v1alpha1", "applications"};

// An Application as the API server has it at this moment.
struct LiveApplication {
  argocd::ApplicationPtr application;
  argocd::LiveParts live;
};

// Reads and writes Applications through the Kubernetes API: the one place where they meet it beside
// the watches. What it writes it puts into the cache, so nothing in this process acts on a state
// older than its own last write. Owned by the wiring; any thread. Errors are
// kubernetes/api/error.h's, or INVALID_ARGUMENT for an Application that cannot be understood.
class ApplicationClient {
 public:
  // Between two requests for a refresh of one Application. Argo CD may take a request away without
  // having reconciled, and each of the two writes wakes the calls that wait.
  static constexpr absl::Duration kRefreshPause = absl::Seconds(10);

  // All outlive it.
  ApplicationClient(kubernetes::Client& client, ApplicationCache& cache, const base::Clock& clock,
                    observability::Logger log)
      : client_(client), cache_(cache), clock_(clock), log_(std::move(log)) {}

  absl::StatusOr<LiveApplication> Get(const argocd::ApplicationName& name, base::Context& context);
  // Those in `ns` that `selector` (in the API's query syntax) matches, by name.
  absl::StatusOr<std::vector<LiveApplication>> List(const std::string& ns,
                                                    const std::string& selector,
                                                    base::Context& context);

  // Sends a JSON Patch.
  absl::Status Patch(const argocd::ApplicationName& name, std::string_view patch,
                     base::Context& context);

  // Whether it is another one, or none, since it was read; true also when that can't be told.
  bool HasChanged(const argocd::Application& application, base::Context& context);

  // Whether a refresh of it may be asked for: not within kRefreshPause of the last request.
  bool MayRequestRefresh(const argocd::ApplicationName& name) const;
  // Asks Argo CD to compare it with its sources now, if it is still as it was read. ABORTED when it
  // is not. A failure is logged.
  absl::Status RequestRefresh(const argocd::Application& application, base::Context& context);

 private:
  kubernetes::Client& client_;
  ApplicationCache& cache_;
  const base::Clock& clock_;
  const observability::Logger log_;
  mutable base::Mutex mutex_;
  // When a refresh was last asked for, since boot.
  std::map<argocd::ApplicationName, absl::Duration> refreshes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gantry::cache

#endif  // GANTRY_SERVER_CACHE_APPLICATION_CLIENT_H_
