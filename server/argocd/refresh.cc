// SPDX-License-Identifier: Apache-2.0
#include "server/argocd/refresh.h"

#include <nlohmann/json.hpp>

namespace gantry::argocd {

std::string BuildRefreshPatch(const std::string& resource_version) {
  return nlohmann::json::array({{{"op", "replace"},
                                 {"path", "/metadata/resourceVersion"},
                                 {"value", resource_version}},
                                {{"op", "add"},
                                 {"path", "/metadata/annotations/argocd.argoproj.io~1refresh"},
                                 {"value", "normal"}}})
      .dump();
}

}  // namespace gantry::argocd
