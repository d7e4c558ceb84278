// SPDX-License-Identifier: Apache-2.0
#include "base/names.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace gantry::base {
namespace {

bool IsLowerAlphanumeric(char c) {
  return absl::ascii_islower(static_cast<unsigned char>(c)) ||
         absl::ascii_isdigit(static_cast<unsigned char>(c));
}

bool IsPart(std::string_view part) {
  return !part.empty() && IsLowerAlphanumeric(part.front()) && IsLowerAlphanumeric(part.back()) &&
         std::all_of(part.begin(), part.end(),
                     [](char c) { return IsLowerAlphanumeric(c) || c == '-'; });
}

}  // namespace

bool IsDns1123Label(std::string_view name) { return name.size() <= 63 && IsPart(name); }

bool IsDns1123Subdomain(std::string_view name) {
  if (name.size() > 253) return false;
  while (true) {
    const std::size_t dot = name.find('.');
    if (!IsPart(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

}  // namespace gantry::base
