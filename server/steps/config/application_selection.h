// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_CONFIG_APPLICATION_SELECTION_H_
#define GANTRY_SERVER_STEPS_CONFIG_APPLICATION_SELECTION_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "server/steps/config/label_selector.h"

namespace gantry::steps {

// Which Applications an entry of `apps` is about: one by name, or all that a label selector
// matches in one namespace. The names and labels have the syntax that Kubernetes asks for, so they
// can't break out of the URL they become part of.
struct ApplicationSelection {
  std::string ns;              // empty: the server's Argo CD namespace
  std::string name;            // empty when a selector is given
  std::string label_selector;  // in the API's query syntax; empty when a name is given
  std::vector<LabelCriterion> criteria = {};  // the same selector
  bool operator==(const ApplicationSelection&) const = default;
};

// `entry` is one of a valid configuration.
ApplicationSelection ReadApplicationSelection(const nlohmann::json& entry);

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_CONFIG_APPLICATION_SELECTION_H_
