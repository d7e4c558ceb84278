// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_ARGOCD_UPDATE_MATCH_H_
#define GANTRY_SERVER_STEPS_ARGOCD_UPDATE_MATCH_H_

#include <string>
#include <vector>

#include "server/argocd/application.h"
#include "server/argocd/desired_source.h"
#include "server/steps/argocd_update/source_update.h"

namespace gantry::steps {

// True when `update` is about `source`: when either names a chart, repoURL and chart are equal to
// the letter; otherwise the normalized git URLs are equal.
bool Matches(const SourceUpdate& update, const argocd::Source& source);

// What a step's source updates mean for the sources of one Application.
struct SourceMatch {
  enum class Problem {
    kNone,
    kNotMatched,           // an update finds no source it can be applied to
    kConflictingRevisions  // two updates want different revisions of one source
  };
  Problem problem = Problem::kNone;
  std::string message;                         // says which update, and why; empty without problem
  std::vector<std::string> desired_revisions;  // one per source, empty where none is asked for
  // Per update, the sources its revision concerns; and the one source its kustomize or helm
  // images go to (-1: it has no such images).
  struct Target {
    std::vector<int> sources;
    int kustomize_source = -1;
    int helm_source = -1;
  };
  std::vector<Target> targets;
};

SourceMatch MatchSources(const argocd::Application& application,
                         const std::vector<SourceUpdate>& updates);

// All that `updates` want of each source. `match` is the result of MatchSources, without problem,
// for the same two.
std::vector<argocd::DesiredSource> DesiredSources(const argocd::Application& application,
                                                  const std::vector<SourceUpdate>& updates,
                                                  const SourceMatch& match);

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_ARGOCD_UPDATE_MATCH_H_
