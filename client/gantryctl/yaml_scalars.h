// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_YAML_SCALARS_H_
#define GANTRY_CLIENT_GANTRYCTL_YAML_SCALARS_H_

#include <optional>
#include <string>

// What plain scalars stand for by YAML's core schema. Pure; any thread.
namespace gantry::gantryctl {

bool IsNull(const std::string& text);
bool IsTrue(const std::string& text);
bool IsFalse(const std::string& text);
// Of a number: whether it is written as an integer.
bool IsInteger(const std::string& text);
// The number a scalar stands for, which can be infinite or none (NaN); nothing if it is no number.
std::optional<double> ToNumber(const std::string& text);

// Whether a plain scalar of this text would be read as something other than this string.
bool NeedsQuotes(const std::string& text);

// JSON escapes a character beyond the first 65536 as two halves, which YAML does not know. Writes
// such pairs as YAML's single escape. `json` is valid JSON.
std::string JoinSurrogates(const std::string& json);

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_YAML_SCALARS_H_
