// SPDX-License-Identifier: Apache-2.0
#include "server/cache/application_client.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/strings.h"
#include "server/argocd/refresh.h"
#include "server/kubernetes/api/error.h"

namespace gantry::cache {
namespace {

absl::StatusOr<LiveApplication> ReadLive(simdjson::padded_string_view json) {
  LiveApplication read;
  auto application = std::make_shared<argocd::Application>();
  absl::Status status = argocd::ReadApplication(json, *application, &read.live);
  if (status.ok() && !application->problem.empty()) {
    status =
        absl::InvalidArgumentError(base::StrCat("the Application ", ToString(application->name),
                                                " can't be understood: ", application->problem));
  }
  if (!status.ok()) return kubernetes::WhyUnreadable(json, std::move(status));
  read.application = std::move(application);
  return read;
}

}  // namespace

absl::StatusOr<LiveApplication> ApplicationClient::Get(const argocd::ApplicationName& name,
                                                       base::Context& context) {
  const auto body = client_.Get(kApplications, name.ns, name.name, context);
  if (!body.ok()) return body.status();
  return ReadLive(body->padded());
}

absl::StatusOr<std::vector<LiveApplication>> ApplicationClient::List(const std::string& ns,
                                                                     const std::string& selector,
                                                                     base::Context& context) {
  std::vector<LiveApplication> found;
  kubernetes::ListOptions options;
  options.label_selector = selector;
  const auto listed = client_.List(
      kApplications, ns, options,
      [&](simdjson::padded_string_view item) {
        absl::StatusOr<LiveApplication> read = ReadLive(item);
        if (!read.ok()) return read.status();
        found.push_back(*std::move(read));
        return absl::OkStatus();
      },
      [&] { found.clear(); }, context);
  if (!listed.ok()) return listed.status();
  std::sort(found.begin(), found.end(), [](const LiveApplication& a, const LiveApplication& b) {
    return a.application->name < b.application->name;
  });
  return found;
}

absl::Status ApplicationClient::Patch(const argocd::ApplicationName& name, std::string_view patch,
                                      base::Context& context) {
  const auto response = client_.JsonPatch(kApplications, name.ns, name.name, patch, context);
  if (!response.ok()) return response.status();
  PutOwnWrite(cache_, *response);
  return absl::OkStatus();
}

bool ApplicationClient::HasChanged(const argocd::Application& application, base::Context& context) {
  const absl::StatusOr<LiveApplication> now = Get(application.name, context);
  if (now.ok()) return now->application->resource_version != application.resource_version;
  return kubernetes::KindOf(now.status()) == kubernetes::ErrorKind::kNotFound ||
         absl::IsInvalidArgument(now.status());
}

bool ApplicationClient::MayRequestRefresh(const argocd::ApplicationName& name) const {
  const absl::Duration now = clock_.SinceBoot();
  base::MutexLock lock(mutex_);
  const auto asked = refreshes_.find(name);
  return asked == refreshes_.end() || now - asked->second >= kRefreshPause;
}

absl::Status ApplicationClient::RequestRefresh(const argocd::Application& application,
                                               base::Context& context) {
  const absl::Duration now = clock_.SinceBoot();
  {
    base::MutexLock lock(mutex_);
    std::erase_if(refreshes_,
                  [&](const auto& entry) { return now - entry.second >= kRefreshPause; });
    refreshes_[application.name] = now;
  }
  absl::Status patched =
      Patch(application.name, argocd::BuildRefreshPatch(application.resource_version), context);
  const std::string name = ToString(application.name);
  if (patched.ok()) {
    log_.Info("asked Argo CD for a refresh", {{"application", name}});
    return patched;
  }
  if (kubernetes::KindOf(patched) == kubernetes::ErrorKind::kConflict) {
    // Nothing was asked for.
    base::MutexLock lock(mutex_);
    refreshes_.erase(application.name);
    return absl::AbortedError(patched.message());
  }
  if (context.Check().ok()) {
    log_.Warning("could not ask Argo CD for a refresh",
                 {{"application", name}, {"error", base::ToStd(patched.message())}});
  }
  return patched;
}

}  // namespace gantry::cache
