// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_CONFIG_CONFIG_TEXT_H_
#define GANTRY_SERVER_STEPS_CONFIG_CONFIG_TEXT_H_

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gantry::steps {

// The words that violations of a configuration are made of. What they return is valid UTF-8 on one
// line, whatever they are given. Pure; any thread may call them.

// What stands in a configuration: `the string "a"`, `the number 5`, `a list of 2 items`, `null`.
// A number without a fraction is written as an integer, be it stored as a double or not.
std::string DescribeValue(const nlohmann::json& value);

// The one of `candidates` that `word` was probably meant to be: the same in another letter case,
// or one or two typing errors away. Nothing when none or more than one is that near.
std::optional<std::string> NearestWord(std::string_view word,
                                       const std::vector<std::string>& candidates);

// The number of characters (code points); nothing when `text` is not valid UTF-8.
std::optional<size_t> CountCharacters(std::string_view text);

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_CONFIG_CONFIG_TEXT_H_
