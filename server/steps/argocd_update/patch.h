// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_ARGOCD_UPDATE_PATCH_H_
#define GANTRY_SERVER_STEPS_ARGOCD_UPDATE_PATCH_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "server/argocd/application.h"
#include "server/argocd/application_reader.h"
#include "server/argocd/desired_source.h"

namespace gantry::steps {

// The operations of an RFC 6902 patch that bring the sources of `application` to what is desired of
// each; empty when they are there already. Only leaves that change are named, because a patch that
// replaced whole structures would drop what this program does not know.
nlohmann::json BuildSpecPatch(const argocd::Application& application,
                              const std::vector<argocd::DesiredSource>& desired);

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
nlohmann::json BuildPatch(const argocd::Application& application, const argocd::LiveParts& live,
                          const nlohmann::json& spec_patch, const OperationRequest& request);

// "<initiator> initiated sync to <targetRevision>" or "... to N sources": the words of the Event
// that tells the Application's owner about a write.
std::string DescribeWrite(const argocd::Application& application,
                          const std::vector<argocd::DesiredSource>& desired,
                          const OperationRequest& request);

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_ARGOCD_UPDATE_PATCH_H_
