// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_CONFIG_LABEL_SELECTOR_H_
#define GANTRY_SERVER_STEPS_CONFIG_LABEL_SELECTOR_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"

namespace gantry::steps {

// The longest selector that is taken, in characters of the query syntax. It becomes part of a
// URL, where escapes may triple it.
inline constexpr size_t kMaxLabelSelectorLength = 4096;

// Whether Kubernetes takes `key` for a label's key: 1 to 63 letters, digits, '-', '_' and '.', with
// a letter or digit at both ends; before it may stand a DNS-1123 subdomain and '/'.
bool IsLabelKey(std::string_view key);

// Whether Kubernetes takes `value` for a label's value: like the name in a key, or empty.
bool IsLabelValue(std::string_view value);

// A label selector {matchLabels, matchExpressions} as the API's `labelSelector` parameter writes
// it, not yet escaped for a URL: "a=1,b in (x,y),c notin (z),d,!e", matchLabels first and ordered
// by key, then matchExpressions as they come. The selector has been validated: of another one, what
// is not valid is left out, which selects more.
std::string LabelSelectorQuery(const nlohmann::json& selector);

// The same selector for matching here.
struct LabelCriterion {
  enum class Operator { kEquals, kIn, kNotIn, kExists, kDoesNotExist };
  std::string key;
  Operator op = Operator::kExists;
  std::vector<std::string> values;
  bool operator==(const LabelCriterion&) const = default;
};
std::vector<LabelCriterion> LabelCriteria(const nlohmann::json& selector);

// Whether all criteria hold, as Kubernetes has it. `value_of` returns the value of a label,
// nothing when there is no such one.
bool MatchesLabels(
    const std::vector<LabelCriterion>& criteria,
    absl::FunctionRef<std::optional<std::string_view>(const std::string& key)> value_of);

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_CONFIG_LABEL_SELECTOR_H_
