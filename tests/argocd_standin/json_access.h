// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_ARGOCD_STANDIN_JSON_ACCESS_H_
#define GANTRY_TESTS_ARGOCD_STANDIN_JSON_ACCESS_H_

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "absl/time/time.h"

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

inline std::optional<absl::Time> TimeAt(const nlohmann::json& value,
                                        std::initializer_list<const char*> path) {
  absl::Time time;
  if (!absl::ParseTime(absl::RFC3339_full, TextAt(value, path), &time, nullptr)) {
    return std::nullopt;
  }
  return time;
}

// A count: numbers in Applications are small.
inline int NumberAt(const nlohmann::json& value, std::initializer_list<const char*> path,
                    int otherwise) {
  constexpr std::int64_t kMaxNumber = 1'000'000;
  const nlohmann::json& found = At(value, path);
  if (!found.is_number_integer()) return otherwise;
  return static_cast<int>(
      std::clamp<std::int64_t>(found.get<std::int64_t>(), -kMaxNumber, kMaxNumber));
}

inline bool IsFilledArray(const nlohmann::json& value) {
  return value.is_array() && !value.empty();
}

}  // namespace gantry::argocd_standin

#endif  // GANTRY_TESTS_ARGOCD_STANDIN_JSON_ACCESS_H_
