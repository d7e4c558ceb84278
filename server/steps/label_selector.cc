// SPDX-License-Identifier: Apache-2.0
#include "server/steps/label_selector.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "server/base/names.h"
#include "server/base/strings.h"

namespace gantry::steps {
namespace {

using nlohmann::json;

bool IsAlphanumeric(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)); }

bool IsLabelName(std::string_view name) {
  return !name.empty() && name.size() <= 63 && IsAlphanumeric(name.front()) &&
         IsAlphanumeric(name.back()) && std::all_of(name.begin(), name.end(), [](char c) {
           return IsAlphanumeric(c) || c == '-' || c == '_' || c == '.';
         });
}

std::string Text(const json& object, const char* field) {
  const auto value = object.find(field);
  if (value == object.end() || !value->is_string()) return "";
  return value->get<std::string>();
}

}  // namespace

bool IsLabelKey(std::string_view key) {
  const size_t slash = key.find('/');
  if (slash == std::string_view::npos) return IsLabelName(key);
  return base::IsDns1123Subdomain(key.substr(0, slash)) && IsLabelName(key.substr(slash + 1));
}

bool IsLabelValue(std::string_view value) { return value.empty() || IsLabelName(value); }

std::string LabelSelectorQuery(const json& selector) {
  std::vector<std::string> criteria;
  const auto labels = selector.find("matchLabels");
  if (labels != selector.end() && labels->is_object()) {
    for (auto label = labels->begin(); label != labels->end(); ++label) {
      if (label->is_string() && IsLabelKey(label.key()) &&
          IsLabelValue(label->get_ref<const std::string&>())) {
        criteria.push_back(base::StrCat(label.key(), "=", label->get_ref<const std::string&>()));
      }
    }
  }
  const auto expressions = selector.find("matchExpressions");
  if (expressions != selector.end() && expressions->is_array()) {
    for (const json& expression : *expressions) {
      if (!expression.is_object()) continue;
      const std::string key = Text(expression, "key");
      const std::string op = Text(expression, "operator");
      if (!IsLabelKey(key)) continue;
      if (op == "Exists") {
        criteria.push_back(key);
      } else if (op == "DoesNotExist") {
        criteria.push_back("!" + key);
      } else if (op == "In" || op == "NotIn") {
        std::vector<std::string> texts;
        const auto values = expression.find("values");
        if (values != expression.end() && values->is_array()) {
          for (const json& value : *values) {
            if (value.is_string() && IsLabelValue(value.get_ref<const std::string&>())) {
              texts.push_back(value.get<std::string>());
            }
          }
        }
        criteria.push_back(
            base::StrCat(key, op == "In" ? " in (" : " notin (", absl::StrJoin(texts, ","), ")"));
      }
    }
  }
  return absl::StrJoin(criteria, ",");
}

}  // namespace gantry::steps
