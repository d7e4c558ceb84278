// SPDX-License-Identifier: Apache-2.0
#include "server/cache/watchers.h"

#include <utility>

#include "base/strings.h"
#include "server/cache/application_cache.h"
#include "server/cache/application_client.h"
#include "server/cache/stage_cache.h"
#include "server/stages/stage_store.h"

namespace gantry::cache {
namespace {

// Twice in the time after which evidence is stale, a silent watch can be opened again in vain.
constexpr int kIdleShare = 3;

}  // namespace

Watchers::Watchers(Caches& caches, std::shared_ptr<kubernetes::ApiConnection> stages,
                   const std::string& stage_namespace,
                   const std::shared_ptr<kubernetes::ApiConnection>& argocd,
                   const Observers& observers, const observability::Logger& log)
    : caches_(caches) {
  Watch(std::move(stages), stages::kStageHealths, stage_namespace,
        std::make_unique<StageSink>(caches.stages, caches.freshness, caches.stage_source(),
                                    [log](std::string_view message) { log.Warning(message); }),
        observers, log);
  for (const auto& [ns, source] : caches.application_sources()) {
    Watch(argocd, kApplications, ns,
          std::make_unique<ApplicationSink>(caches.applications, caches.freshness, source, ns),
          observers, log);
  }
}

Watchers::~Watchers() {
  context_.Cancel();
  for (std::thread& thread : threads_) thread.join();
}

void Watchers::Watch(std::shared_ptr<kubernetes::ApiConnection> connection,
                     const kubernetes::Resource& resource, const std::string& ns,
                     std::unique_ptr<kubernetes::ObjectSink> sink, const Observers& observers,
                     const observability::Logger& log) {
  kubernetes::ReflectorOptions options;
  options.idle_limit = caches_.freshness.limit() / kIdleShare;
  const std::string plural(resource.plural);
  options.on_event = [plural, observers](std::string_view type) {
    if (observers.on_event) observers.on_event(plural, type);
  };
  options.on_restart = [plural, ns, observers, log](kubernetes::RestartReason reason,
                                                    const absl::Status& why) {
    if (observers.on_restart) observers.on_restart(plural, kubernetes::RestartReasonName(reason));
    const std::initializer_list<observability::Logger::Field> fields = {
        {"resource", plural},
        {"namespace", ns},
        {"reason", kubernetes::RestartReasonName(reason)},
        {"error", base::ToStd(why.message())}};
    switch (reason) {
      case kubernetes::RestartReason::kEnded:
      case kubernetes::RestartReason::kExpired:
      case kubernetes::RestartReason::kNotStreamed:
        log.Debug("a watch begins again", fields);
        break;
      default:
        log.Warning("a watch failed and begins again", fields);
    }
  };
  sinks_.push_back(std::move(sink));
  reflectors_.push_back(std::make_unique<kubernetes::Reflector>(
      std::move(connection), resource, ns, *sinks_.back(), std::move(options)));
  threads_.emplace_back([this, reflector = reflectors_.back().get()] { reflector->Run(context_); });
}

}  // namespace gantry::cache
