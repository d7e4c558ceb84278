// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_CACHE_APPLICATION_CACHE_H_
#define GANTRY_SERVER_CACHE_APPLICATION_CACHE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "server/argocd/application.h"
#include "server/cache/freshness.h"
#include "server/cache/object_cache.h"
#include "server/kubernetes/api/json_text.h"
#include "server/kubernetes/watch/reflector.h"

namespace gantry::cache {

// An Application as it is kept.
struct CachedApplication : argocd::Application {
  const argocd::ApplicationName& key() const { return name; }
  bool SaysTheSame(const CachedApplication& other) const;
};

using ApplicationCache = ObjectCache<argocd::ApplicationName, CachedApplication>;
using CachedApplicationPtr = ApplicationCache::Ptr;

// Puts the response to a write of our own into the cache. A response that is no Application is left
// to the watch.
void PutOwnWrite(ApplicationCache& cache, const kubernetes::JsonText& response);

// What the reflector of one namespace (empty: all) fills. Belongs to that reflector's thread.
class ApplicationSink final : public kubernetes::ObjectSink {
 public:
  // Both outlive it.
  ApplicationSink(ApplicationCache& cache, Freshness& freshness, Freshness::Source source,
                  std::string ns)
      : cache_(cache), freshness_(freshness), source_(source), ns_(std::move(ns)) {}

  void BeginList() override { list_ = cache_.BeginList(); }
  absl::StatusOr<std::string> Put(kubernetes::EventType type,
                                  simdjson::padded_string_view json) override;
  absl::StatusOr<std::string> Delete(simdjson::padded_string_view json) override;
  void EndList(std::string_view resource_version) override;
  void UpToDate(absl::Duration time) override { freshness_.UpToDate(source_, time); }

 private:
  ApplicationCache& cache_;
  Freshness& freshness_;
  const Freshness::Source source_;
  const std::string ns_;
  std::uint64_t list_ = 0;
};

}  // namespace gantry::cache

#endif  // GANTRY_SERVER_CACHE_APPLICATION_CACHE_H_
