// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_ARGOCD_STANDIN_SOURCES_H_
#define GANTRY_TESTS_ARGOCD_STANDIN_SOURCES_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/argocd_standin/orders.h"

namespace gantry::argocd_standin {

// Sources with their revisions, as a syncResult or a history entry has them.
struct Revisions {
  bool several = false;  // the Application has `sources`
  std::vector<nlohmann::json> sources;
  std::vector<std::string> revisions;
};

// What such an object has.
Revisions RevisionsOf(const nlohmann::json& object);
// The sources of a spec, without revisions yet.
Revisions SourcesWithoutRevisions(const nlohmann::json& spec);

// Looks the revisions up: those that are given, or the sources' own. Returns why one cannot be,
// in Argo CD's words; empty when all can.
std::string Resolve(const Orders& orders, Revisions& of);

// What is deployed of them: the same whatever branch or tag it was called by.
nlohmann::json Deploys(const Revisions& of);
// The same for an operation whose revisions are resolved; manifests that came with it count.
nlohmann::json DeployedBy(const nlohmann::json& state);

// Nulls, which a merge patch cannot store, make no difference.
bool SameSource(const nlohmann::json& a, const nlohmann::json& b);

// What Argo CD finds a source to be, by what it says of itself: nothing was looked at.
std::string SourceType(const nlohmann::json& source);

// The operation that Argo CD asks for by itself: of everything, or of some resources to heal them.
nlohmann::json AutomatedOperation(const nlohmann::json& spec, const Revisions& target,
                                  int heal_attempts, const nlohmann::json& resources);

}  // namespace gantry::argocd_standin

#endif  // GANTRY_TESTS_ARGOCD_STANDIN_SOURCES_H_
