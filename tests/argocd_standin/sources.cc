// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd_standin/sources.h"

#include <cstddef>
#include <utility>

#include "absl/strings/match.h"
#include "base/strings.h"
#include "tests/argocd_standin/argo_types.h"
#include "tests/argocd_standin/json_access.h"
#include "tests/argocd_standin/operation_state.h"
#include "tests/argocd_standin/revision.h"

namespace gantry::argocd_standin {
namespace {

using nlohmann::json;

constexpr int kAutomatedRetries = 5;

// A merge patch cannot store a null in an object.
json WithoutNulls(const json& value) {
  if (!value.is_object()) return value;
  json stored = json::object();
  for (const auto& [key, member] : value.items()) {
    if (!member.is_null()) stored[key] = WithoutNulls(member);
  }
  return stored;
}

// A branch or a tag, no commit.
bool IsNameInGit(const json& source) {
  return !source.contains("chart") && !absl::StartsWith(TextAt(source, {"repoURL"}), "oci://") &&
         !IsCommit(TextAt(source, {"targetRevision"}));
}

}  // namespace

Revisions RevisionsOf(const json& object) {
  Revisions of;
  const json& sources = At(object, {"sources"});
  of.several = IsFilledArray(sources);
  if (!of.several) {
    of.sources = {WrittenSource(At(object, {"source"}))};
    of.revisions = {TextAt(object, {"revision"})};
    return of;
  }
  for (const json& source : sources) of.sources.push_back(WrittenSource(source));
  const json& revisions = At(object, {"revisions"});
  if (revisions.is_array()) {
    for (const json& revision : revisions) {
      of.revisions.push_back(revision.is_string() ? revision.get<std::string>() : "");
    }
  }
  return of;
}

Revisions SourcesWithoutRevisions(const json& spec) {
  Revisions of;
  of.several = HasSeveralSources(spec);
  of.sources = SourcesOf(spec);
  return of;
}

std::string Resolve(const Orders& orders, Revisions& of) {
  if (of.revisions.size() != of.sources.size()) of.revisions.assign(of.sources.size(), "");
  for (std::size_t i = 0; i < of.sources.size(); ++i) {
    json source = of.sources[i];
    if (!of.revisions[i].empty()) source["targetRevision"] = of.revisions[i];
    const std::string name = TextAt(source, {"targetRevision"});
    std::string named = orders.revision;
    if (!orders.revisions.empty() && IsNameInGit(source)) {
      const auto found = orders.revisions.find(name.empty() ? "HEAD" : name);
      if (found == orders.revisions.end()) {
        return base::StrCat("Failed to load target state: failed to generate manifest for source ",
                            i + 1, " of ", of.sources.size(),
                            ": rpc error: code = Unknown desc = unable to resolve '", name,
                            "' to a commit SHA: revision not found");
      }
      named = found->second;
    }
    of.revisions[i] = ResolveRevision(source, named);
  }
  return "";
}

json Deploys(const Revisions& of) {
  json sources = json::array();
  for (const json& source : of.sources) {
    sources.push_back(WithoutNulls(source));
    sources.back().erase("targetRevision");
  }
  return {{"sources", std::move(sources)}, {"revisions", of.revisions}};
}

json DeployedBy(const json& state) {
  json deployed = Deploys(RevisionsOf(At(state, {"syncResult"})));
  const json& manifests = At(state, {"operation", "sync", "manifests"});
  if (IsFilledArray(manifests)) deployed["manifests"] = manifests;
  return deployed;
}

bool SameSource(const json& a, const json& b) {
  return WithoutNulls(WrittenSource(a)) == WithoutNulls(WrittenSource(b));
}

std::string SourceType(const json& source) {
  if (source.contains("chart") || source.contains("helm")) return "Helm";
  if (source.contains("kustomize")) return "Kustomize";
  if (source.contains("plugin")) return "Plugin";
  return source.contains("ref") && !source.contains("path") ? "" : "Directory";
}

json AutomatedOperation(const json& spec, const Revisions& target, int heal_attempts,
                        const json& resources) {
  json sync = {{"autoHealAttemptsCount", heal_attempts},
               {"prune", At(spec, {"syncPolicy", "automated", "prune"})},
               {"syncOptions", At(spec, {"syncPolicy", "syncOptions"})},
               {"resources", resources}};
  if (target.several) {
    sync["sources"] = target.sources;
    sync["revisions"] = target.revisions;
  } else {
    sync["source"] = target.sources.front();
    sync["revision"] = target.revisions.front();
  }
  const json& retry = At(spec, {"syncPolicy", "retry"});
  return WrittenOperation(
      {{"initiatedBy", {{"automated", true}}},
       {"retry", retry.is_object() ? retry : json{{"limit", kAutomatedRetries}}},
       {"sync", std::move(sync)}});
}

}  // namespace gantry::argocd_standin
