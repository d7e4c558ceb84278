// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_ARGOCD_STANDIN_JSON_ACCESS_H_
#define GANTRY_TESTS_ARGOCD_STANDIN_JSON_ACCESS_H_

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>

namespace gantry::argocd_standin {

// The value at a path of objects' keys; null when anything on the way is missing or no object.
inline const nlohmann::json& At(const nlohmann::json& value,
                                std::initializer_list<const char*> path) {
  static const nlohmann::json null;
  const nlohmann::json* at = &value;
  for (const char* key : path) {
    if (!at->is_object()) return null;
    const auto found = at->find(key);
    if (found == at->end()) return null;
    at = &*found;
  }
  return *at;
}

// The text there; empty when there is none, or something else.
inline std::string TextAt(const nlohmann::json& value, std::initializer_list<const char*> path) {
  const nlohmann::json& found = At(value, path);
  return found.is_string() ? found.get<std::string>() : "";
}

inline bool TrueAt(const nlohmann::json& value, std::initializer_list<const char*> path) {
  const nlohmann::json& found = At(value, path);
  return found.is_boolean() && found.get<bool>();
}

}  // namespace gantry::argocd_standin

#endif  // GANTRY_TESTS_ARGOCD_STANDIN_JSON_ACCESS_H_
