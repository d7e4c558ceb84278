// SPDX-License-Identifier: Apache-2.0
#include "server/cache/application_cache.h"

#include <memory>
#include <utility>

#include "server/argocd/application_reader.h"

namespace gantry::cache {
namespace {

absl::StatusOr<std::shared_ptr<CachedApplication>> ReadCached(simdjson::padded_string_view json) {
  auto application = std::make_shared<CachedApplication>();
  if (absl::Status read = argocd::ReadApplication(json, *application); !read.ok()) return read;
  return application;
}

}  // namespace

bool CachedApplication::SaysTheSame(const CachedApplication& other) const {
  // Many writes of Argo CD change nothing but the resourceVersion of what is kept here.
  CachedApplication same = other;
  same.resource_version = resource_version;
  return *this == same;
}

void PutOwnWrite(ApplicationCache& cache, const kubernetes::JsonText& response) {
  if (auto application = ReadCached(response.padded()); application.ok()) {
    cache.PutOwnWrite(*std::move(application), /*creates=*/false);
  }
}

absl::StatusOr<std::string> ApplicationSink::Put(kubernetes::EventType /*type*/,
                                                 simdjson::padded_string_view json) {
  auto application = ReadCached(json);
  if (!application.ok()) return application.status();
  std::string resource_version = (*application)->resource_version;
  cache_.Put(*std::move(application), list_);
  return resource_version;
}

absl::StatusOr<std::string> ApplicationSink::Delete(simdjson::padded_string_view json) {
  const auto application = ReadCached(json);
  if (!application.ok()) return application.status();
  cache_.Delete((*application)->name, (*application)->uid);
  return (*application)->resource_version;
}

void ApplicationSink::EndList(std::string_view resource_version) {
  cache_.EndList(list_, resource_version, [&](const argocd::ApplicationName& name) {
    return ns_.empty() || name.ns == ns_;
  });
  freshness_.SetSynced(source_);
}

}  // namespace gantry::cache
