// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_CACHE_WATCHERS_H_
#define GANTRY_SERVER_CACHE_WATCHERS_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/context.h"
#include "server/cache/caches.h"
#include "server/kubernetes/api/api_connection.h"
#include "server/kubernetes/watch/reflector.h"
#include "server/observability/log.h"

namespace gantry::cache {

// Keeps the caches in step with the clusters: one reflector, on a thread of its own, for the
// StageHealths and one for each namespace of Applications. Owned by the wiring, one thread.
class Watchers {
 public:
  struct Observers {
    // For metrics, on the watches' threads. `resource` is "applications" or "stagehealths".
    std::function<void(std::string_view resource, std::string_view type)> on_event;
    std::function<void(std::string_view resource, std::string_view reason)> on_restart;
  };

  // Begins at once. `caches` outlives it.
  Watchers(Caches& caches, std::shared_ptr<kubernetes::ApiConnection> stages,
           const std::string& stage_namespace,
           const std::shared_ptr<kubernetes::ApiConnection>& argocd, const Observers& observers,
           const observability::Logger& log);
  // Ends the watches, within milliseconds.
  ~Watchers();
  Watchers(const Watchers&) = delete;
  Watchers& operator=(const Watchers&) = delete;

 private:
  void Watch(std::shared_ptr<kubernetes::ApiConnection> connection,
             const kubernetes::Resource& resource, const std::string& ns,
             std::unique_ptr<kubernetes::ObjectSink> sink, const Observers& observers,
             const observability::Logger& log);

  Caches& caches_;
  base::Context context_;
  std::vector<std::unique_ptr<kubernetes::ObjectSink>> sinks_;
  std::vector<std::unique_ptr<kubernetes::Reflector>> reflectors_;
  std::vector<std::thread> threads_;
};

}  // namespace gantry::cache

#endif  // GANTRY_SERVER_CACHE_WATCHERS_H_
