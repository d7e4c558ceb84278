// SPDX-License-Identifier: Apache-2.0
#include "server/argocd/match.h"

#include <optional>
#include <utility>

#include "base/strings.h"
#include "server/argocd/git_url.h"

namespace gantry::argocd {
namespace {

enum class Tool { kKustomize, kHelm };

// Argo CD refuses a source of two explicit types, so images only go to a source that renders
// manifests and is not explicitly rendered by something else.
bool CanRenderWith(Tool tool, const Source& source) {
  const bool only_lends_files = source.has_ref && !source.has_path && source.chart.empty();
  if (only_lends_files || source.has_directory || source.has_plugin) return false;
  return tool == Tool::kKustomize ? !source.helm.has_value() : !source.kustomize.has_value();
}

// `given[i]` is the tool that an earlier update of the same step already made source i explicit
// for.
int FirstRendering(Tool tool, const Application& application, const std::vector<int>& candidates,
                   std::vector<std::optional<Tool>>& given) {
  for (const int candidate : candidates) {
    const auto i = static_cast<std::size_t>(candidate);
    if (!CanRenderWith(tool, application.sources[i]) || given[i].value_or(tool) != tool) continue;
    given[i] = tool;
    return candidate;
  }
  return -1;
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

bool Matches(const SourceUpdate& update, const Source& source) {
  if (!update.chart.empty() || !source.chart.empty()) {
    return update.repo_url == source.repo_url && update.chart == source.chart;
  }
  return NormalizeGitUrl(update.repo_url) == NormalizeGitUrl(source.repo_url);
}

SourceMatch MatchSources(const Application& application, const std::vector<SourceUpdate>& updates) {
  using Problem = SourceMatch::Problem;
  if (application.has_source_hydrator && !updates.empty()) {
    return Fail(Problem::kNotMatched,
                base::StrCat("Application ", ToString(application.name),
                             " has spec.sourceHydrator, which overrides its sources; a step can "
                             "sync it, but not update its sources"));
  }

  SourceMatch match;
  match.desired_revisions.resize(application.sources.size());
  std::vector<std::optional<Tool>> given(application.sources.size());
  for (const SourceUpdate& update : updates) {
    SourceMatch::Target target;
    for (std::size_t i = 0; i < application.sources.size(); ++i) {
      if (!Matches(update, application.sources[i])) continue;
      target.sources.push_back(static_cast<int>(i));
      if (update.desired_revision.empty()) continue;
      std::string& desired = match.desired_revisions[i];
      if (!desired.empty() && desired != update.desired_revision) {
        return Fail(Problem::kConflictingRevisions,
                    base::StrCat("two source updates with ", Describe(update),
                                 " want different revisions of one source of Application ",
                                 ToString(application.name), ": \"", desired, "\" and \"",
                                 update.desired_revision, "\""));
      }
      desired = update.desired_revision;
    }
    if (target.sources.empty()) {
      return Fail(Problem::kNotMatched,
                  base::StrCat("no source of Application ", ToString(application.name), " has ",
                               Describe(update)));
    }
    const auto find_renderer = [&](Tool tool, std::string_view word, int& index) {
      index = FirstRendering(tool, application, target.sources, given);
      if (index >= 0) return true;
      match = Fail(Problem::kNotMatched,
                   base::StrCat("no source of Application ", ToString(application.name), " with ",
                                Describe(update), " can take ", word,
                                " images: each only lends its files by a ref, or is explicitly "
                                "of another type"));
      return false;
    };
    if (!update.kustomize_images.empty() &&
        !find_renderer(Tool::kKustomize, "kustomize", target.kustomize_source)) {
      return match;
    }
    if (!update.helm_images.empty() && !find_renderer(Tool::kHelm, "helm", target.helm_source)) {
      return match;
    }
    match.targets.push_back(std::move(target));
  }
  return match;
}

}  // namespace gantry::argocd
