// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_ARGOCD_STANDIN_CONTROLLER_H_
#define GANTRY_TESTS_ARGOCD_STANDIN_CONTROLLER_H_

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/mutex.h"
#include "server/argocd/application.h"
#include "server/cache/object_cache.h"
#include "server/kubernetes/api/client.h"
#include "server/kubernetes/watch/reflector.h"
#include "server/observability/log.h"
#include "tests/argocd_standin/due_queue.h"
#include "tests/argocd_standin/label_selector.h"
#include "tests/argocd_standin/reconcile.h"

namespace gantry::argocd_standin {

inline constexpr kubernetes::Resource kApplications = {"argoproj.io", "v1alpha1", "applications"};

// Carries out what NextStep decides: keeps the Applications as watches bring them, looks at each
// when it changes and when something of it is due, and writes. A write that fails is decided again
// after a while. Owned by the wiring, which gives it sinks to reflectors and threads to work on.
// Any thread.
class Controller {
 public:
  struct Dependencies {
    kubernetes::Client& client;
    const base::Clock& clock;
    observability::Logger log;
  };

  // What the dependencies refer to outlives it.
  Controller(const Dependencies& dependencies, const Settings& settings, LabelSelector selector);

  // For the reflector of a namespace (empty: of all). The controller outlives it.
  std::unique_ptr<kubernetes::ObjectSink> NewSink(const std::string& ns);

  // Works until Close, on as many threads as call it; requests end with the context.
  void Work(base::Context& context);
  void Close() { queue_.Close(); }

  // Works on what is due now and returns how long until something is.
  absl::Duration WorkOff(base::Context& context);

 private:
  class Sink;

  // An Application as it was read.
  struct StoredApplication {
    argocd::ApplicationName name;
    std::string uid;
    std::string resource_version;
    nlohmann::json object;

    const argocd::ApplicationName& key() const { return name; }
    bool SaysTheSame(const StoredApplication& other) const {
      return uid == other.uid && resource_version == other.resource_version;
    }
  };
  using Applications = cache::ObjectCache<argocd::ApplicationName, StoredApplication>;

  // What is known of an Application beside it.
  struct Notes {
    std::string uid;
    Memory memory;
    int failures = 0;  // of writes, in a row
    // After a step of which a part was stored: that part is no reason to look again at once.
    absl::Time not_before = absl::InfinitePast();
    std::vector<std::string> problems;
  };

  static absl::StatusOr<std::shared_ptr<StoredApplication>> Read(std::string_view json);

  void Process(const argocd::ApplicationName& name, base::Context& context);
  // Makes the step's writes, one after the other, until one fails.
  void CarryOut(const StoredApplication& application, const Step& step, Notes notes,
                base::Context& context);
  void LogProblems(const StoredApplication& application, Notes& notes) const;
  // Those of that very Application, or none.
  Notes NotesOf(const StoredApplication& application);
  void Keep(const argocd::ApplicationName& name, Notes notes);

  kubernetes::Client& client_;
  const base::Clock& clock_;
  const observability::Logger log_;
  const Settings settings_;
  const LabelSelector selector_;
  DueQueue<argocd::ApplicationName> queue_;
  Applications applications_;
  base::Mutex mutex_;
  std::map<argocd::ApplicationName, Notes> notes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gantry::argocd_standin

#endif  // GANTRY_TESTS_ARGOCD_STANDIN_CONTROLLER_H_
