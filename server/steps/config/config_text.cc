// SPDX-License-Identifier: Apache-2.0
#include "server/steps/config/config_text.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "base/strings.h"
#include "base/text.h"
#include "base/utf8.h"

namespace gantry::steps {
namespace {

std::string DescribeNumber(const nlohmann::json& number) {
  if (!number.is_number_float()) return number.dump();
  const double value = number.get<double>();
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  // Up to here a double holds every integer.
  constexpr double kExact = 9007199254740992;
  if (std::trunc(value) == value && std::fabs(value) <= kExact) {
    return std::to_string(static_cast<int64_t>(value));
  }
  return number.dump();
}

}  // namespace

std::string DescribeValue(const nlohmann::json& value) {
  switch (value.type()) {
    case nlohmann::json::value_t::null:
      return "null";
    case nlohmann::json::value_t::boolean:
      return value.get<bool>() ? "true" : "false";
    case nlohmann::json::value_t::number_integer:
    case nlohmann::json::value_t::number_unsigned:
    case nlohmann::json::value_t::number_float:
      return "the number " + DescribeNumber(value);
    case nlohmann::json::value_t::string: {
      const auto& text = value.get_ref<const std::string&>();
      return text.empty() ? "an empty string" : "the string " + base::Quote(text);
    }
    case nlohmann::json::value_t::array:
      return value.empty() ? "an empty list" : "a list of " + base::Count(value.size(), "item");
    case nlohmann::json::value_t::object:
      return value.empty() ? "an empty object"
                           : "an object with " + base::Count(value.size(), "field");
    case nlohmann::json::value_t::binary:
    case nlohmann::json::value_t::discarded:
      break;
  }
  return "a value that JSON does not have";
}

std::optional<std::string> NearestWord(std::string_view word,
                                       const std::vector<std::string>& candidates) {
  const std::string lower = absl::AsciiStrToLower(base::ToAbsl(word));
  const std::string* nearest = nullptr;
  size_t least = 0;
  bool tie = false;
  for (const std::string& candidate : candidates) {
    const size_t shorter = std::min(word.size(), candidate.size());
    const size_t longer = std::max(word.size(), candidate.size());
    // A few errors in a short word make another word.
    const size_t allowed = shorter < 3 ? 0 : shorter < 5 ? 1 : 2;
    if (longer - shorter > allowed) continue;
    const size_t errors = base::EditDistance(lower, absl::AsciiStrToLower(candidate));
    if (errors > allowed) continue;
    if (nearest == nullptr || errors < least) {
      nearest = &candidate;
      least = errors;
      tie = false;
    } else if (errors == least) {
      tie = true;
    }
  }
  if (nearest == nullptr || tie) return std::nullopt;
  return *nearest;
}

std::optional<size_t> CountCharacters(std::string_view text) {
  size_t count = 0;
  for (; !text.empty(); ++count) {
    if (!base::TakeCodePoint(text)) return std::nullopt;
  }
  return count;
}

}  // namespace gantry::steps
