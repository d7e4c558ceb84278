// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_ARGOCD_UPDATE_CONFIG_H_
#define GANTRY_SERVER_STEPS_ARGOCD_UPDATE_CONFIG_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "server/steps/argocd_update/source_update.h"
#include "server/steps/config/application_selection.h"
#include "server/steps/config/config_schema.h"

namespace gantry::steps {

// A valid configuration of `argocd-update`.
struct ArgocdUpdateConfig {
  struct App {
    ApplicationSelection selection;
    std::vector<SourceUpdate> sources;  // empty: only sync
    bool operator==(const App&) const = default;
  };
  std::vector<App> apps;  // at least one
  bool operator==(const ArgocdUpdateConfig&) const = default;
};

// The JSON Schema (draft 7) that configurations are validated with, as JSON text. It says types,
// required fields, lengths and unknown fields; ParseArgocdUpdateConfig also knows the rules a
// schema words badly (one of two fields, label syntax).
std::string_view ArgocdUpdateConfigSchema();

// Fills `config` and returns no violations, or leaves it alone and returns every violation there
// is, in the order of the configuration (fields by name, a place before what it contains). Of more
// than kMaxViolations, the last one says how many are not shown. Never throws, whatever `json` is;
// the work is linear in its size. Any thread may call it.
//
// A field that is missing is named by its own path, like one that is wrong. Two fields of which one
// must be given, and no more, are named by what contains them.
std::vector<Violation> ParseArgocdUpdateConfig(const nlohmann::json& json,
                                               ArgocdUpdateConfig& config);

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_ARGOCD_UPDATE_CONFIG_H_
