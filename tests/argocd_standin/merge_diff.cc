// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd_standin/merge_diff.h"

#include <utility>

namespace gantry::argocd_standin {

using nlohmann::json;

json MergeDiff(const json& from, const json& to) {
  json patch = json::object();
  for (const auto& [key, value] : to.items()) {
    const auto old = from.find(key);
    if (old == from.end()) {
      if (!value.is_null()) patch[key] = value;
    } else if (*old == value) {
      continue;
    } else if (old->is_object() && value.is_object()) {
      json changes = MergeDiff(*old, value);
      if (!changes.empty()) patch[key] = std::move(changes);
    } else {
      patch[key] = value;
    }
  }
  for (const auto& [key, value] : from.items()) {
    if (!value.is_null() && !to.contains(key)) patch[key] = nullptr;
  }
  return patch;
}

}  // namespace gantry::argocd_standin
