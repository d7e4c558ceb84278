// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_API_JSON_FIELD_H_
#define GANTRY_SERVER_KUBERNETES_API_JSON_FIELD_H_

#include <nlohmann/json.hpp>
#include <string>

namespace gantry::kubernetes {

// The text at `key` of a JSON object; empty when there is none, or something else.
inline std::string TextAt(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_API_JSON_FIELD_H_
