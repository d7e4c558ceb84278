// SPDX-License-Identifier: Apache-2.0
#include "server/steps/config/label_selector.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "base/names.h"
#include "base/strings.h"

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

std::string FieldText(const json& object, const char* field) {
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

std::vector<LabelCriterion> LabelCriteria(const json& selector) {
  using Operator = LabelCriterion::Operator;
  std::vector<LabelCriterion> criteria;
  const auto labels = selector.find("matchLabels");
  if (labels != selector.end() && labels->is_object()) {
    for (auto label = labels->begin(); label != labels->end(); ++label) {
      if (label->is_string() && IsLabelKey(label.key()) &&
          IsLabelValue(label->get_ref<const std::string&>())) {
        criteria.push_back({label.key(), Operator::kEquals, {label->get<std::string>()}});
      }
    }
  }
  const auto expressions = selector.find("matchExpressions");
  if (expressions == selector.end() || !expressions->is_array()) return criteria;
  for (const json& expression : *expressions) {
    if (!expression.is_object()) continue;
    LabelCriterion criterion;
    criterion.key = FieldText(expression, "key");
    if (!IsLabelKey(criterion.key)) continue;
    const std::string op = FieldText(expression, "operator");
    if (op == "Exists" || op == "DoesNotExist") {
      criterion.op = op == "Exists" ? Operator::kExists : Operator::kDoesNotExist;
    } else if (op == "In" || op == "NotIn") {
      criterion.op = op == "In" ? Operator::kIn : Operator::kNotIn;
      const auto values = expression.find("values");
      if (values != expression.end() && values->is_array()) {
        for (const json& value : *values) {
          if (value.is_string() && IsLabelValue(value.get_ref<const std::string&>())) {
            criterion.values.push_back(value.get<std::string>());
          }
        }
      }
    } else {
      continue;
    }
    criteria.push_back(std::move(criterion));
  }
  return criteria;
}

std::string LabelSelectorQuery(const json& selector) {
  std::vector<std::string> texts;
  for (const LabelCriterion& criterion : LabelCriteria(selector)) {
    const std::string values = absl::StrJoin(criterion.values, ",");
    switch (criterion.op) {
      case LabelCriterion::Operator::kExists:
        texts.push_back(criterion.key);
        break;
      case LabelCriterion::Operator::kDoesNotExist:
        texts.push_back("!" + criterion.key);
        break;
      case LabelCriterion::Operator::kEquals:
        texts.push_back(base::StrCat(criterion.key, "=", values));
        break;
      case LabelCriterion::Operator::kIn:
        texts.push_back(base::StrCat(criterion.key, " in (", values, ")"));
        break;
      case LabelCriterion::Operator::kNotIn:
        texts.push_back(base::StrCat(criterion.key, " notin (", values, ")"));
        break;
    }
  }
  return absl::StrJoin(texts, ",");
}

bool MatchesLabels(
    const std::vector<LabelCriterion>& criteria,
    absl::FunctionRef<std::optional<std::string_view>(const std::string& key)> value_of) {
  return std::all_of(criteria.begin(), criteria.end(), [&](const LabelCriterion& criterion) {
    const std::optional<std::string_view> value = value_of(criterion.key);
    const auto listed = [&] {
      return value && std::find(criterion.values.begin(), criterion.values.end(), *value) !=
                          criterion.values.end();
    };
    switch (criterion.op) {
      case LabelCriterion::Operator::kExists:
        return value.has_value();
      case LabelCriterion::Operator::kDoesNotExist:
        return !value;
      case LabelCriterion::Operator::kEquals:
      case LabelCriterion::Operator::kIn:
        return listed();
      case LabelCriterion::Operator::kNotIn:
        return !listed();
    }
    return false;
  });
}

}  // namespace gantry::steps
