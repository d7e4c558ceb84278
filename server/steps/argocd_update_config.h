// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_ARGOCD_UPDATE_CONFIG_H_
#define GANTRY_SERVER_STEPS_ARGOCD_UPDATE_CONFIG_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "server/argocd/source_update.h"

namespace gantry::steps {

// One thing wrong with a step's configuration.
struct Violation {
  std::string field;  // "apps[0].sources[1].repoURL"; empty: the configuration as a whole
  std::string description;
  bool operator==(const Violation&) const = default;
};

// Which Applications an entry of `apps` is about: one by name, or all that a label selector
// matches in one namespace.
struct ApplicationSelection {
  std::string ns;              // empty: the server's Argo CD namespace
  std::string name;            // empty when a selector is given
  std::string label_selector;  // in the API's query syntax; empty when a name is given
};

struct ArgocdUpdateConfig {
  struct App {
    ApplicationSelection selection;
    std::vector<argocd::SourceUpdate> sources;
  };
  std::vector<App> apps;
};

// The JSON Schema (draft 7) that configurations are validated with, as JSON text. It says types,
// required fields, lengths and unknown fields; ParseArgocdUpdateConfig also knows the rules a
// schema words badly (one of two fields, label syntax).
std::string_view ArgocdUpdateConfigSchema();

// Fills `config` and returns no violations, or returns every violation there is, in the order of
// the configuration, each field named once per problem. Never throws, whatever `json` is.
std::vector<Violation> ParseArgocdUpdateConfig(const nlohmann::json& json,
                                               ArgocdUpdateConfig& config);

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_ARGOCD_UPDATE_CONFIG_H_
