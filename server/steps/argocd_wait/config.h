// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_ARGOCD_WAIT_CONFIG_H_
#define GANTRY_SERVER_STEPS_ARGOCD_WAIT_CONFIG_H_

#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "server/steps/argocd_wait/evaluate.h"
#include "server/steps/config/application_selection.h"
#include "server/steps/config/config_schema.h"

namespace gantry::steps {

// A valid configuration of `argocd-wait`.
struct ArgocdWaitConfig {
  std::vector<ApplicationSelection> apps;  // at least one
  WaitFor wait_for;                        // at least one
  bool operator==(const ArgocdWaitConfig&) const = default;
};

// The JSON Schema (draft 7) that configurations are validated with, as JSON text.
std::string_view ArgocdWaitConfigSchema();

// As ParseArgocdUpdateConfig.
std::vector<Violation> ParseArgocdWaitConfig(const nlohmann::json& json, ArgocdWaitConfig& config);

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_ARGOCD_WAIT_CONFIG_H_
