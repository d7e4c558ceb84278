// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/yaml_scalars.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"

namespace gantry::gantryctl {
namespace {

bool IsDigits(const std::string& text, std::size_t from) {
  return from < text.size() &&
         std::all_of(text.begin() + static_cast<std::ptrdiff_t>(from), text.end(),
                     [](unsigned char c) { return absl::ascii_isdigit(c); });
}

bool IsOneOf(const std::string& text, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(),
                     [&text](const char* word) { return text == word; });
}

// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?, integers included.
bool IsDecimal(const std::string& text) {
  std::size_t at = 0;
  const auto digits = [&] {
    const std::size_t begin = at;
    while (at < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[at]))) ++at;
    return at > begin;
  };
  const auto skip = [&](const char* any_of) {
    const bool there = at < text.size() && std::string(any_of).find(text[at]) != std::string::npos;
    if (there) ++at;
    return there;
  };
  skip("+-");
  if (digits()) {
    if (skip(".")) digits();
  } else if (!skip(".") || !digits()) {
    return false;
  }
  if (skip("eE")) {
    skip("+-");
    if (!digits()) return false;
  }
  return at == text.size();
}

}  // namespace

std::optional<double> ToNumber(const std::string& text) {
  double number = 0;
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'o')) {
    const double base = text[1] == 'x' ? 16 : 8;
    for (std::size_t i = 2; i < text.size(); ++i) {
      const auto c = static_cast<unsigned char>(text[i]);
      if (!absl::ascii_isxdigit(c)) return std::nullopt;
      const double digit = absl::ascii_isdigit(c) ? c - '0' : absl::ascii_tolower(c) - 'a' + 10;
      if (digit >= base) return std::nullopt;
      number = number * base + digit;
    }
    return number;
  }
  if (IsOneOf(text, {".nan", ".NaN", ".NAN"})) return std::nan("");
  const std::string unsigned_text =
      !text.empty() && (text[0] == '-' || text[0] == '+') ? text.substr(1) : text;
  if (IsOneOf(unsigned_text, {".inf", ".Inf", ".INF"})) {
    return text[0] == '-' ? -HUGE_VAL : HUGE_VAL;
  }
  if (!IsDecimal(text) || !absl::SimpleAtod(text, &number)) return std::nullopt;
  return number;
}

bool IsInteger(const std::string& text) {
  const bool sign = !text.empty() && (text[0] == '-' || text[0] == '+');
  return IsDigits(text, sign ? 1 : 0) ||
         (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'o'));
}

bool IsNull(const std::string& text) { return IsOneOf(text, {"", "~", "null", "Null", "NULL"}); }
bool IsTrue(const std::string& text) { return IsOneOf(text, {"true", "True", "TRUE"}); }
bool IsFalse(const std::string& text) { return IsOneOf(text, {"false", "False", "FALSE"}); }

bool NeedsQuotes(const std::string& text) {
  return IsNull(text) || IsTrue(text) || IsFalse(text) || ToNumber(text).has_value();
}

std::string JoinSurrogates(const std::string& json) {
  const auto unit = [&json](std::size_t at) -> std::uint32_t {
    std::uint32_t code = 0;
    if (json.compare(at, 2, "\\u") != 0 || !absl::SimpleHexAtoi(json.substr(at + 2, 4), &code)) {
      return 0;
    }
    return code;
  };
  std::string yaml;
  yaml.reserve(json.size());
  for (std::size_t at = 0; at < json.size();) {
    if (json[at] != '\\') {
      yaml += json[at++];
      continue;
    }
    const std::uint32_t high = unit(at);
    if (high >= 0xd800 && high < 0xdc00) {
      const std::uint32_t low = unit(at + 6);
      absl::StrAppendFormat(&yaml, "\\U%08x", 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
      at += 12;
    } else {
      yaml.append(json, at, 2);
      at += 2;
    }
  }
  return yaml;
}

}  // namespace gantry::gantryctl
