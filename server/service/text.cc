// SPDX-License-Identifier: Apache-2.0
#include "server/service/text.h"

#include "base/utf8.h"

namespace gantry::service {

using base::TakeCodePoint;

bool IsValidUtf8(std::string_view text) {
  while (!text.empty()) {
    if (!TakeCodePoint(text)) return false;
  }
  return true;
}

std::size_t CountCharacters(std::string_view text) {
  std::size_t count = 0;
  while (!text.empty() && TakeCodePoint(text)) ++count;
  return count;
}

bool HasControlCharacter(std::string_view text) {
  while (!text.empty()) {
    const auto code_point = TakeCodePoint(text);
    if (!code_point || base::IsControl(*code_point)) return true;
  }
  return false;
}

std::string Presentable(std::string_view text, std::size_t max_bytes) {
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";
  constexpr std::string_view kCut = "...";
  std::string result;
  std::size_t cut_at = 0;  // the longest whole characters that leave room for kCut
  while (!text.empty()) {
    const std::string_view before = text;
    std::string_view piece = kReplacement;
    if (TakeCodePoint(text)) {
      piece = before.substr(0, before.size() - text.size());
    } else {
      text.remove_prefix(1);
    }
    if (result.size() + piece.size() > max_bytes) {
      result.resize(cut_at);
      return result.append(kCut);
    }
    result += piece;
    if (result.size() + kCut.size() <= max_bytes) cut_at = result.size();
  }
  return result;
}

}  // namespace gantry::service
