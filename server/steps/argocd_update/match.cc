// SPDX-License-Identifier: Apache-2.0
#include "server/steps/argocd_update/match.h"

#include <optional>
#include <utility>

#include "base/strings.h"
#include "server/argocd/git_url.h"

namespace gantry::steps {
namespace {

enum class Tool { kKustomize, kHelm };

// Argo CD refuses a source of two explicit types, so images only go to a source that renders
// manifests and is not explicitly rendered by something else.
bool CanRenderWith(Tool tool, const argocd::Source& source) {
  const bool only_lends_files = source.has_ref && !source.has_path && source.chart.empty();
  if (only_lends_files || source.has_directory || source.has_plugin) return false;
  return tool == Tool::kKustomize ? !source.has_helm : !source.has_kustomize;
}

int FirstRendering(Tool tool, const argocd::Application& application,
                   const std::vector<int>& candidates, std::vector<std::optional<Tool>>& given) {
  for (const int candidate : candidates) {
    const auto i = static_cast<std::size_t>(candidate);
    if (!CanRenderWith(tool, application.sources[i]) || given[i].value_or(tool) != tool) continue;
    given[i] = tool;
    return candidate;
  }
  return -1;
}

std::string ImageText(const KustomizeImage& image) {
  return base::StrCat(image.repo_url, image.new_name.empty() ? "" : "=", image.new_name,
                      !image.digest.empty() ? "@"
                      : !image.tag.empty()  ? ":"
                                            : "",
                      !image.digest.empty() ? image.digest : image.tag);
}

void SetParameter(const HelmImage& image, argocd::DesiredSource& desired) {
  for (argocd::DesiredSource::Parameter& parameter : desired.helm_parameters) {
    if (parameter.name == image.key) {
      parameter.value = image.value;
      return;
    }
  }
  desired.helm_parameters.push_back({image.key, image.value});
}

std::string Describe(const SourceUpdate& update) {
  return update.chart.empty()
             ? base::StrCat("repoURL \"", update.repo_url, "\"")
             : base::StrCat("repoURL \"", update.repo_url, "\" and chart \"", update.chart, "\"");
}

SourceMatch Fail(SourceMatch::Problem problem, std::string message) {
  SourceMatch match;
  match.problem = problem;
  match.message = std::move(message);
  return match;
}

}  // namespace

bool Matches(const SourceUpdate& update, const argocd::Source& source) {
  if (!update.chart.empty() || !source.chart.empty()) {
    return source.repo_url == update.repo_url && source.chart == update.chart;
  }
  return argocd::NormalizeGitUrl(update.repo_url) ==
         argocd::NormalizeGitUrl(source.repo_url.view());
}

namespace {

// Matches one update after the other, and remembers what the earlier ones took.
class Matching {
 public:
  explicit Matching(const argocd::Application& application)
      : app_(application), given_(application.sources.size()) {
    match_.desired_revisions.resize(application.sources.size());
  }

  // False: the match has a problem.
  bool Add(const SourceUpdate& update) {
    SourceMatch::Target target;
    for (std::size_t i = 0; i < app_.sources.size(); ++i) {
      if (!Matches(update, app_.sources[i])) continue;
      target.sources.push_back(static_cast<int>(i));
      if (!update.desired_revision.empty() && !SetRevision(i, update)) return false;
    }
    if (target.sources.empty()) {
      return Refuse(SourceMatch::Problem::kNotMatched,
                    base::StrCat("no source of Application ", ToString(app_.name), " has ",
                                 Describe(update)));
    }
    if (!update.kustomize_images.empty() &&
        !FindRenderer(Tool::kKustomize, update, target.sources, target.kustomize_source)) {
      return false;
    }
    if (!update.helm_images.empty() &&
        !FindRenderer(Tool::kHelm, update, target.sources, target.helm_source)) {
      return false;
    }
    match_.targets.push_back(std::move(target));
    return true;
  }

  SourceMatch Take() && { return std::move(match_); }

 private:
  bool Refuse(SourceMatch::Problem problem, std::string message) {
    match_ = Fail(problem, std::move(message));
    return false;
  }

  bool SetRevision(std::size_t source, const SourceUpdate& update) {
    std::string& desired = match_.desired_revisions[source];
    if (!desired.empty() && desired != update.desired_revision) {
      return Refuse(SourceMatch::Problem::kConflictingRevisions,
                    base::StrCat("two source updates with ", Describe(update),
                                 " want different revisions of one source of Application ",
                                 ToString(app_.name), ": \"", desired, "\" and \"",
                                 update.desired_revision, "\""));
    }
    desired = update.desired_revision;
    return true;
  }

  bool FindRenderer(Tool tool, const SourceUpdate& update, const std::vector<int>& candidates,
                    int& index) {
    index = FirstRendering(tool, app_, candidates, given_);
    if (index >= 0) return true;
    return Refuse(
        SourceMatch::Problem::kNotMatched,
        base::StrCat("no source of Application ", ToString(app_.name), " with ", Describe(update),
                     " can take ", tool == Tool::kKustomize ? "kustomize" : "helm",
                     " images: each only lends its files by a ref, or is explicitly "
                     "of another type"));
  }

  const argocd::Application& app_;
  // Per source, the tool that an earlier update of the step already made it explicit for.
  std::vector<std::optional<Tool>> given_;
  SourceMatch match_;
};

}  // namespace

SourceMatch MatchSources(const argocd::Application& application,
                         const std::vector<SourceUpdate>& updates) {
  if (application.has_source_hydrator && !updates.empty()) {
    return Fail(SourceMatch::Problem::kNotMatched,
                base::StrCat("Application ", ToString(application.name),
                             " has spec.sourceHydrator, which overrides its sources; a step can "
                             "sync it, but not update its sources"));
  }
  Matching matching(application);
  for (const SourceUpdate& update : updates) {
    if (!matching.Add(update)) break;
  }
  return std::move(matching).Take();
}

std::vector<argocd::DesiredSource> DesiredSources(const argocd::Application& application,
                                                  const std::vector<SourceUpdate>& updates,
                                                  const SourceMatch& match) {
  std::vector<argocd::DesiredSource> desired(application.sources.size());
  for (std::size_t i = 0; i < desired.size(); ++i) desired[i].revision = match.desired_revisions[i];
  for (std::size_t u = 0; u < updates.size(); ++u) {
    const SourceUpdate& update = updates[u];
    const SourceMatch::Target& target = match.targets[u];
    if (update.update_target_revision) {
      for (const int source : target.sources) {
        desired[static_cast<std::size_t>(source)].target_revision = update.desired_revision;
      }
    }
    if (target.kustomize_source >= 0) {
      auto& images = desired[static_cast<std::size_t>(target.kustomize_source)].kustomize_images;
      images.clear();
      for (const KustomizeImage& image : update.kustomize_images) {
        images.push_back(ImageText(image));
      }
    }
    if (target.helm_source >= 0) {
      auto& source = desired[static_cast<std::size_t>(target.helm_source)];
      for (const HelmImage& image : update.helm_images) SetParameter(image, source);
    }
  }
  return desired;
}

}  // namespace gantry::steps
