// SPDX-License-Identifier: Apache-2.0
#include "server/argocd/patch.h"

#include "base/strings.h"

namespace gantry::argocd {
namespace {

using nlohmann::json;

json Op(std::string_view op, std::string path, json value) {
  return {{"op", op}, {"path", std::move(path)}, {"value", std::move(value)}};
}

std::string SourcePath(const Application& application, std::size_t index) {
  return application.multi_source ? base::StrCat("/spec/sources/", index) : "/spec/source";
}

std::string ImageString(const KustomizeImage& image) {
  std::string text = image.repo_url;
  if (!image.new_name.empty()) base::StrAppend(&text, "=", image.new_name);
  if (!image.digest.empty()) {
    base::StrAppend(&text, "@", image.digest);
  } else if (!image.tag.empty()) {
    base::StrAppend(&text, ":", image.tag);
  }
  return text;
}

// Brings `list` (the parameters of a helm source) to hold `image`. All parameters of the name are
// set: with duplicates it is the last one that counts.
void SetParameter(json& list, const HelmImage& image) {
  const json wanted = {{"name", image.key}, {"value", image.value}};
  bool found = false;
  for (json& parameter : list) {
    const auto name = parameter.find("name");
    if (name == parameter.end() || *name != image.key) continue;
    parameter = wanted;
    found = true;
  }
  if (!found) list.push_back(wanted);
}

// One list inside a source (kustomize images, helm parameters): how it is and how it shall be.
class ListChange {
 public:
  ListChange(const std::optional<json>& tool, const char* key) : has_tool_(tool.has_value()) {
    if (has_tool_ && tool->contains(key)) {
      has_list_ = true;
      before_ = tool->at(key);
    }
    after_ = before_;
  }

  json& after() { return after_; }

  // The list exists and its items are changed one by one; otherwise it is added as a whole.
  void AppendItemwise(const std::string& tool_path, const char* key, json& patch) const {
    if (AppendWhole(tool_path, key, patch)) return;
    const std::string path = base::StrCat(tool_path, "/", key);
    for (std::size_t i = 0; i < after_.size(); ++i) {
      if (i >= before_.size()) {
        patch.push_back(Op("add", path + "/-", after_[i]));
      } else if (before_[i] != after_[i]) {
        patch.push_back(Op("replace", base::StrCat(path, "/", i), after_[i]));
      }
    }
  }

  void AppendReplaced(const std::string& tool_path, const char* key, json& patch) const {
    if (AppendWhole(tool_path, key, patch)) return;
    if (before_ != after_) {
      patch.push_back(Op("replace", base::StrCat(tool_path, "/", key), after_));
    }
  }

 private:
  bool AppendWhole(const std::string& tool_path, const char* key, json& patch) const {
    if (!has_tool_) {
      patch.push_back(Op("add", tool_path, {{key, after_}}));
    } else if (!has_list_) {
      patch.push_back(Op("add", base::StrCat(tool_path, "/", key), after_));
    }
    return !has_tool_ || !has_list_;
  }

  const bool has_tool_;
  bool has_list_ = false;
  json before_ = json::array();
  json after_;
};

std::string Initiator(const OperationRequest& request) {
  return request.actor.empty() ? request.default_initiator : request.actor;
}

}  // namespace

std::vector<std::string> GivenTargetRevisions(const Application& application,
                                              const std::vector<SourceUpdate>& updates,
                                              const SourceMatch& match) {
  std::vector<std::string> given(application.sources.size());
  for (std::size_t u = 0; u < updates.size(); ++u) {
    if (!updates[u].update_target_revision) continue;
    for (const int index : match.targets[u].sources) {
      given[static_cast<std::size_t>(index)] = updates[u].desired_revision;
    }
  }
  return given;
}

json BuildSpecPatch(const Application& application, const std::vector<SourceUpdate>& updates,
                    const SourceMatch& match) {
  json patch = json::array();
  const std::vector<std::string> given = GivenTargetRevisions(application, updates, match);
  for (std::size_t i = 0; i < application.sources.size(); ++i) {
    const Source& source = application.sources[i];
    const std::string path = SourcePath(application, i);
    if (!given[i].empty() && given[i] != source.target_revision) {
      patch.push_back(Op("add", path + "/targetRevision", given[i]));
    }

    ListChange images(source.kustomize, "images");
    ListChange parameters(source.helm, "parameters");
    bool has_images = false;
    bool has_parameters = false;
    for (std::size_t u = 0; u < updates.size(); ++u) {
      if (match.targets[u].kustomize_source == static_cast<int>(i)) {
        has_images = true;
        images.after() = json::array();
        for (const KustomizeImage& image : updates[u].kustomize_images) {
          images.after().push_back(ImageString(image));
        }
      }
      if (match.targets[u].helm_source == static_cast<int>(i)) {
        has_parameters = true;
        for (const HelmImage& image : updates[u].helm_images) {
          SetParameter(parameters.after(), image);
        }
      }
    }
    if (has_images) images.AppendReplaced(path + "/kustomize", "images", patch);
    if (has_parameters) parameters.AppendItemwise(path + "/helm", "parameters", patch);
  }
  return patch;
}

json BuildPatch(const Application& application, const json& spec_patch,
                const OperationRequest& request) {
  json patch = json::array();
  patch.push_back(Op("replace", "/metadata/resourceVersion", application.resource_version));
  patch.push_back(Op("add", "/metadata/annotations/argocd.argoproj.io~1refresh", "hard"));
  patch.insert(patch.end(), spec_patch.begin(), spec_patch.end());

  json sync = json::object();
  if (application.sync_options) sync["syncOptions"] = *application.sync_options;
  json initiated_by = {{"username", Initiator(request)}};
  // Argo CD judges sync windows by it: a manual sync may be allowed where an automated one is not.
  if (request.actor.empty()) initiated_by["automated"] = true;
  json operation = {
      {"initiatedBy", std::move(initiated_by)},
      {"info", json::array({{{"name", "Reason"},
                             {"value", base::StrCat("Promotion ", request.promotion, " of Stage ",
                                                    request.project, "/", request.stage)}},
                            {{"name", kPromotionInfo}, {"value", request.promotion}},
                            {{"name", kAttemptInfo}, {"value", base::StrCat(request.attempt)}}})},
      {"sync", std::move(sync)}};
  if (application.retry) operation["retry"] = *application.retry;
  patch.push_back(Op("add", "/operation", std::move(operation)));

  // Details of an old operation can survive a new one, and Argo CD patches below `status`.
  if (!application.has_status) {
    patch.push_back(Op("add", "/status", json::object()));
  } else if (application.has_operation_state_key) {
    patch.push_back({{"op", "remove"}, {"path", "/status/operationState"}});
  }
  return patch;
}

json BuildRefreshPatch(const std::string& resource_version) {
  return json::array(
      {{{"op", "replace"}, {"path", "/metadata/resourceVersion"}, {"value", resource_version}},
       {{"op", "add"},
        {"path", "/metadata/annotations/argocd.argoproj.io~1refresh"},
        {"value", "normal"}}});
}

std::string DescribeWrite(const Application& application,
                          const std::vector<std::string>& given_target_revisions,
                          const OperationRequest& request) {
  const std::string start = base::StrCat(Initiator(request), " initiated sync to ");
  if (application.multi_source) {
    return base::StrCat(start, application.sources.size(), " sources");
  }
  if (application.sources.empty()) return base::StrCat(start, "its source");
  const std::string& given = given_target_revisions[0];
  const std::string& revision = given.empty() ? application.sources[0].target_revision : given;
  return base::StrCat(start, revision.empty() ? "HEAD" : revision);
}

}  // namespace gantry::argocd
