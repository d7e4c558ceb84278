// SPDX-License-Identifier: Apache-2.0
#include "server/steps/argocd_update/patch.h"

#include <algorithm>

#include "base/strings.h"

namespace gantry::steps {
namespace {

using nlohmann::json;

json Op(std::string_view op, std::string path, json value) {
  return {{"op", op}, {"path", std::move(path)}, {"value", std::move(value)}};
}

std::string SourcePath(const argocd::Application& application, std::size_t index) {
  return application.multi_source ? base::StrCat("/spec/sources/", index) : "/spec/source";
}

void AppendImages(const argocd::Source& source, const std::string& path,
                  const std::vector<std::string>& desired, json& patch) {
  if (desired.empty()) return;
  const bool same = std::equal(source.kustomize_images.begin(), source.kustomize_images.end(),
                               desired.begin(), desired.end());
  if (!source.has_kustomize) {
    patch.push_back(Op("add", path + "/kustomize", {{"images", desired}}));
  } else if (!same) {
    patch.push_back(Op("add", path + "/kustomize/images", desired));
  }
}

// Parameters of one name are all set: with duplicates it is the last one that counts. What else a
// parameter has, above all `forceString`, stays as it is.
void AppendParameters(const argocd::Source& source, const std::string& path,
                      const std::vector<argocd::DesiredSource::Parameter>& desired, json& patch) {
  json added = json::array();
  for (std::size_t i = 0; i < source.helm_parameters.size(); ++i) {
    for (const auto& [name, value] : desired) {
      const argocd::HelmParameter& parameter = source.helm_parameters[i];
      if (parameter.name != name || parameter.value == value) continue;
      patch.push_back(Op("add", base::StrCat(path, "/helm/parameters/", i, "/value"), value));
    }
  }
  for (const argocd::DesiredSource::Parameter& wanted : desired) {
    const bool known = std::any_of(
        source.helm_parameters.begin(), source.helm_parameters.end(),
        [&](const argocd::HelmParameter& parameter) { return parameter.name == wanted.name; });
    if (!known) added.push_back({{"name", wanted.name}, {"value", wanted.value}});
  }
  if (added.empty()) return;
  if (!source.has_helm) {
    patch.push_back(Op("add", path + "/helm", {{"parameters", std::move(added)}}));
  } else if (source.helm_parameters.empty()) {
    patch.push_back(Op("add", path + "/helm/parameters", std::move(added)));
  } else {
    for (json& parameter : added) {
      patch.push_back(Op("add", path + "/helm/parameters/-", std::move(parameter)));
    }
  }
}

std::string Initiator(const OperationRequest& request) {
  return request.actor.empty() ? request.default_initiator : request.actor;
}

}  // namespace

json BuildSpecPatch(const argocd::Application& application,
                    const std::vector<argocd::DesiredSource>& desired) {
  json patch = json::array();
  for (std::size_t i = 0; i < application.sources.size(); ++i) {
    const argocd::Source& source = application.sources[i];
    const std::string path = SourcePath(application, i);
    const std::string& target = desired[i].target_revision;
    if (!target.empty() && source.target_revision != target) {
      patch.push_back(Op("add", path + "/targetRevision", target));
    }
    AppendImages(source, path, desired[i].kustomize_images, patch);
    AppendParameters(source, path, desired[i].helm_parameters, patch);
  }
  return patch;
}

json BuildPatch(const argocd::Application& application, const argocd::LiveParts& live,
                const json& spec_patch, const OperationRequest& request) {
  json patch = json::array();
  patch.push_back(Op("replace", "/metadata/resourceVersion", application.resource_version));
  patch.push_back(Op("add", "/metadata/annotations/argocd.argoproj.io~1refresh", "hard"));
  patch.insert(patch.end(), spec_patch.begin(), spec_patch.end());

  json sync = json::object();
  if (!live.sync_options.empty()) sync["syncOptions"] = json::parse(live.sync_options);
  json initiated_by = {{"username", Initiator(request)}};
  // Argo CD applies sync windows by it: a manual sync may be allowed where an automated one is not.
  if (request.actor.empty()) initiated_by["automated"] = true;
  json operation = {
      {"initiatedBy", std::move(initiated_by)},
      {"info",
       json::array({{{"name", "Reason"},
                     {"value", base::StrCat("Promotion ", request.promotion, " of Stage ",
                                            request.project, "/", request.stage)}},
                    {{"name", argocd::kPromotionInfo}, {"value", request.promotion}},
                    {{"name", argocd::kAttemptInfo}, {"value", base::StrCat(request.attempt)}}})},
      {"sync", std::move(sync)}};
  if (!live.retry.empty()) operation["retry"] = json::parse(live.retry);
  patch.push_back(Op("add", "/operation", std::move(operation)));

  // Details of an old operation can survive a new one, and Argo CD patches below `status`.
  if (!live.has_status) {
    patch.push_back(Op("add", "/status", json::object()));
  } else if (live.has_operation_state_key) {
    patch.push_back({{"op", "remove"}, {"path", "/status/operationState"}});
  }
  return patch;
}

std::string DescribeWrite(const argocd::Application& application,
                          const std::vector<argocd::DesiredSource>& desired,
                          const OperationRequest& request) {
  const std::string start = base::StrCat(Initiator(request), " initiated sync to ");
  if (application.multi_source) {
    return base::StrCat(start, application.sources.size(), " sources");
  }
  if (application.sources.empty()) return base::StrCat(start, "its source");
  const std::string_view given = desired[0].target_revision;
  const std::string_view revision =
      given.empty() ? application.sources[0].target_revision.view() : given;
  return base::StrCat(start, revision.empty() ? "HEAD" : revision);
}

}  // namespace gantry::steps
