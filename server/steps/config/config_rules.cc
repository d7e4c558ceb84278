// SPDX-License-Identifier: Apache-2.0
#include "server/steps/config/config_rules.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/names.h"
#include "base/strings.h"
#include "base/text.h"
#include "base/utf8.h"
#include "server/steps/config/config_text.h"
#include "server/steps/config/label_selector.h"

namespace gantry::steps {
namespace {

using nlohmann::json;

constexpr std::string_view kKeySyntax =
    "a label key: at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both "
    "ends; before them, if wanted, a DNS-1123 subdomain and '/'";
constexpr std::string_view kValueSyntax =
    "a label value: empty, or at most 63 letters, digits, '-', '_' and '.', with a letter or digit "
    "at both ends";

template <typename Predicate>
bool HasCharacter(std::string_view text, Predicate predicate) {
  while (!text.empty()) {
    const std::optional<uint32_t> code_point = base::TakeCodePoint(text);
    if (!code_point || predicate(*code_point)) return true;
  }
  return false;
}

void AddUnexpected(std::string_view found, std::string_view expected, const ConfigPath& path,
                   ViolationList& violations) {
  violations.Add(
      path, [&] { return base::StrCat("found ", base::Quote(found), ", expected ", expected); });
}

std::string_view Text(const json& value) { return value.get_ref<const std::string&>(); }

}  // namespace

void NoControlCharacters(const json& value, const ConfigPath& path, ViolationList& violations) {
  if (HasCharacter(Text(value), base::IsControl)) {
    AddUnexpected(Text(value), "no control characters (such as a line break)", path, violations);
  }
}

void NoBlanks(const json& value, const ConfigPath& path, ViolationList& violations) {
  if (HasCharacter(Text(value), base::IsUnprintable)) {
    AddUnexpected(Text(value), "no blanks and no unprintable characters", path, violations);
  }
}

void NameOfApplication(const json& value, const ConfigPath& path, ViolationList& violations) {
  if (!base::IsDns1123Subdomain(Text(value))) {
    AddUnexpected(Text(value),
                  "the name of an Application, a DNS-1123 subdomain: lower-case letters, digits, "
                  "'-' and '.', with a letter or digit at both ends and around each '.'",
                  path, violations);
  }
}

void NamespaceName(const json& value, const ConfigPath& path, ViolationList& violations) {
  if (!base::IsDns1123Label(Text(value))) {
    AddUnexpected(Text(value),
                  "the name of a namespace, a DNS-1123 label: lower-case letters, digits and '-', "
                  "with a letter or digit at both ends",
                  path, violations);
  }
}

void EitherNameOrSelector(const json& entry, const ConfigPath& path, ViolationList& violations) {
  const auto name = entry.find("name");
  const auto selector = entry.find("selector");
  if (name == entry.end() && selector == entry.end()) {
    violations.Add(path, [] {
      return std::string("found neither name nor selector, expected exactly one of them");
    });
  } else if (name != entry.end() && selector != entry.end() && !name->is_null() &&
             !selector->is_null()) {
    violations.Add(path, [] {
      return std::string("found both name and selector, expected exactly one of them");
    });
  }
}

void SelectorAsAWhole(const json& selector, const ConfigPath& path, ViolationList& violations) {
  // What is neither a map nor a list was reported already, and may have been meant as a criterion.
  const auto is_empty = [&](const char* field) {
    const auto criteria = selector.find(field);
    return criteria == selector.end() || (criteria->is_structured() && criteria->empty());
  };
  if (is_empty("matchLabels") && is_empty("matchExpressions")) {
    violations.Add(path, [] {
      return std::string(
          "found no criterion, expected at least one in matchLabels or matchExpressions");
    });
  }
  const size_t length = LabelSelectorQuery(selector).size();
  if (length > kMaxLabelSelectorLength) {
    violations.Add(path, [&] {
      return base::StrCat("found a selector of ", length,
                          " characters in the API's query syntax, expected at most ",
                          kMaxLabelSelectorLength);
    });
  }
}

void MatchLabels(const json& labels, const ConfigPath& path, ViolationList& violations) {
  for (auto label = labels.begin(); label != labels.end(); ++label) {
    if (!IsLabelKey(label.key())) {
      AddUnexpected(label.key(), kKeySyntax, ConfigPath(path, label.key()), violations);
    }
  }
}

void MatchExpression(const json& expression, const ConfigPath& path, ViolationList& violations) {
  const auto op = expression.find("operator");
  if (op == expression.end() || !op->is_string()) return;
  const auto& name = op->get_ref<const std::string&>();
  const bool takes_values = name == "In" || name == "NotIn";
  if (!takes_values && name != "Exists" && name != "DoesNotExist") return;

  const auto values = expression.find("values");
  const bool missing = values == expression.end();
  if (!missing && !values->is_array()) return;
  if (takes_values && (missing || values->empty())) {
    violations.Add(ConfigPath(path, "values"), [&] {
      return base::StrCat(missing ? "missing" : "found an empty list",
                          ", expected at least one value for the operator ", name);
    });
  } else if (!takes_values && !missing && !values->empty()) {
    violations.Add(ConfigPath(path, "values"), [&] {
      return base::StrCat("found ", DescribeValue(*values),
                          ", expected no values for the operator ", name);
    });
  }
}

void LabelKey(const json& value, const ConfigPath& path, ViolationList& violations) {
  if (!IsLabelKey(Text(value))) AddUnexpected(Text(value), kKeySyntax, path, violations);
}

void LabelValue(const json& value, const ConfigPath& path, ViolationList& violations) {
  if (!IsLabelValue(Text(value))) AddUnexpected(Text(value), kValueSyntax, path, violations);
}

std::vector<ConfigSchema::RuleAt> WithApplicationRules(std::vector<ConfigSchema::RuleAt> others) {
  std::vector<ConfigSchema::RuleAt> rules = {
      {"apps[]", EitherNameOrSelector},
      {"apps[].name", NameOfApplication},
      {"apps[].namespace", NamespaceName},
      {"apps[].selector", SelectorAsAWhole},
      {"apps[].selector.matchLabels", MatchLabels},
      {"apps[].selector.matchLabels.*", LabelValue},
      {"apps[].selector.matchExpressions[]", MatchExpression},
      {"apps[].selector.matchExpressions[].key", LabelKey},
      {"apps[].selector.matchExpressions[].values[]", LabelValue},
  };
  rules.insert(rules.end(), others.begin(), others.end());
  return rules;
}

}  // namespace gantry::steps
