// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_CONFIG_CONFIG_RULES_H_
#define GANTRY_SERVER_STEPS_CONFIG_CONFIG_RULES_H_

#include <nlohmann/json.hpp>
#include <vector>

#include "server/steps/config/config_schema.h"

namespace gantry::steps {

// Rules of ConfigSchema that several kinds of step share. Each says which place it is for.

// A string with no character that would break a line or a terminal.
void NoControlCharacters(const nlohmann::json& value, const ConfigPath& path,
                         ViolationList& violations);
// A string without blanks, and without characters that nobody sees.
void NoBlanks(const nlohmann::json& value, const ConfigPath& path, ViolationList& violations);
// A string that names an Application.
void NameOfApplication(const nlohmann::json& value, const ConfigPath& path,
                       ViolationList& violations);
// A string that names a namespace.
void NamespaceName(const nlohmann::json& value, const ConfigPath& path, ViolationList& violations);
// An object that needs `name` or `selector`, and not both.
void EitherNameOrSelector(const nlohmann::json& entry, const ConfigPath& path,
                          ViolationList& violations);
// A label selector {matchLabels, matchExpressions}: has a criterion and is not too long.
void SelectorAsAWhole(const nlohmann::json& selector, const ConfigPath& path,
                      ViolationList& violations);
// A selector's `matchLabels`: the keys and the values.
void MatchLabels(const nlohmann::json& labels, const ConfigPath& path, ViolationList& violations);
// An item of a selector's `matchExpressions`: whether its operator takes values.
void MatchExpression(const nlohmann::json& expression, const ConfigPath& path,
                     ViolationList& violations);
// A string that is a label's key, or a value.
void LabelKey(const nlohmann::json& value, const ConfigPath& path, ViolationList& violations);
void LabelValue(const nlohmann::json& value, const ConfigPath& path, ViolationList& violations);

// The rules for entries of `apps`, which say what Applications a step is about, and then `others`.
std::vector<ConfigSchema::RuleAt> WithApplicationRules(std::vector<ConfigSchema::RuleAt> others);

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_CONFIG_CONFIG_RULES_H_
