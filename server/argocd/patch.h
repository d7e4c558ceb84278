// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_ARGOCD_PATCH_H_
#define GANTRY_SERVER_ARGOCD_PATCH_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "server/argocd/application.h"
#include "server/argocd/match.h"
#include "server/argocd/source_update.h"

namespace gantry::argocd {

// The operations of an RFC 6902 patch that bring the sources of `application` to what `updates`
// say; empty when they are there already. Only leaves that change are named, because a patch that
// replaced whole structures would drop what this program does not know. `match` is the result of
// MatchSources, without problem, for the same two.
nlohmann::json BuildSpecPatch(const Application& application,
                              const std::vector<SourceUpdate>& updates, const SourceMatch& match);

// The targetRevision that `updates` give to each source; empty where they give none.
std::vector<std::string> GivenTargetRevisions(const Application& application,
                                              const std::vector<SourceUpdate>& updates,
                                              const SourceMatch& match);

struct OperationRequest {
  std::string promotion;
  std::string actor;  // who asked for a manual promotion; empty: automatic
  std::string default_initiator = "gantry";
  std::string project;
  std::string stage;
  int attempt = 1;
};

// The whole patch of a write: optimistic lock on the resourceVersion that was decided on, hard
// refresh, `spec_patch`, the operation, and an operationState that Argo CD finds empty. The
// Application has annotations: one without any authorizes no Stage, and is not written.
nlohmann::json BuildPatch(const Application& application, const nlohmann::json& spec_patch,
                          const OperationRequest& request);

// The whole patch that asks Argo CD to compare an Application with its sources now, if it is still
// as it was when that was decided. It has annotations, as above.
nlohmann::json BuildRefreshPatch(const std::string& resource_version);

// "<initiator> initiated sync to <targetRevision>" or "... to N sources": the words of the Event
// that tells the Application's owner about a write.
std::string DescribeWrite(const Application& application,
                          const std::vector<std::string>& given_target_revisions,
                          const OperationRequest& request);

}  // namespace gantry::argocd

#endif  // GANTRY_SERVER_ARGOCD_PATCH_H_
