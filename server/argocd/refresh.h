// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_ARGOCD_REFRESH_H_
#define GANTRY_SERVER_ARGOCD_REFRESH_H_

#include <string>

namespace gantry::argocd {

// The whole JSON Patch, as text, that asks Argo CD to compare an Application with its sources now,
// if it is still at `resource_version`. The Application has annotations: one without any authorizes
// no Stage, and is not written. Pure.
std::string BuildRefreshPatch(const std::string& resource_version);

}  // namespace gantry::argocd

#endif  // GANTRY_SERVER_ARGOCD_REFRESH_H_
