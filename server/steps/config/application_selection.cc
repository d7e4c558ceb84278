// SPDX-License-Identifier: Apache-2.0
#include "server/steps/config/application_selection.h"

namespace gantry::steps {

ApplicationSelection ReadApplicationSelection(const nlohmann::json& entry) {
  ApplicationSelection selection;
  selection.ns = entry.value("namespace", "");
  selection.name = entry.value("name", "");
  if (const auto selector = entry.find("selector"); selector != entry.end()) {
    selection.label_selector = LabelSelectorQuery(*selector);
    selection.criteria = LabelCriteria(*selector);
  }
  return selection;
}

}  // namespace gantry::steps
