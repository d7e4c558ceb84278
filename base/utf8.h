// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_BASE_UTF8_H_
#define GANTRY_BASE_UTF8_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace gantry::base {

// Takes the first character off `text`, which is not empty, and returns its code point. When
// `text` does not begin with well-formed UTF-8 (RFC 3629) it returns nothing and leaves `text`
// alone.
inline std::optional<uint32_t> TakeCodePoint(std::string_view& text) {
  const auto lead = static_cast<unsigned char>(text.front());
  size_t length = 1;
  uint32_t code_point = lead;
  uint32_t least = 0;  // A smaller one in as many bytes is overlong.
  if (lead >= 0xF0) {
    length = 4;
    code_point = lead & 0x0FU;
    least = 0x10000;
  } else if (lead >= 0xE0) {
    length = 3;
    code_point = lead & 0x0FU;
    least = 0x800;
  } else if (lead >= 0xC0) {
    length = 2;
    code_point = lead & 0x1FU;
    least = 0x80;
  } else if (lead >= 0x80) {
    return std::nullopt;
  }
  if (text.size() < length) return std::nullopt;
  for (size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xC0U) != 0x80U) return std::nullopt;
    code_point = code_point << 6 | (byte & 0x3FU);
  }
  const bool surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
  if (code_point < least || code_point > 0x10FFFF || surrogate) return std::nullopt;
  text.remove_prefix(length);
  return code_point;
}

// U+0000 to U+001F, DEL, and U+0080 to U+009F.
constexpr bool IsControl(uint32_t code_point) {
  return code_point < 0x20 || (code_point >= 0x7F && code_point < 0xA0);
}

// Nothing a reader sees: Unicode's separators (the blank too), controls, format characters,
// private use and the noncharacters of the basic plane.
inline bool IsUnprintable(uint32_t code_point) {
  struct Range {
    uint32_t first;
    uint32_t last;
  };
  static constexpr auto kRanges = std::to_array<Range>({
      {0x0000, 0x0020},    {0x007F, 0x00A0},   {0x00AD, 0x00AD},   {0x0600, 0x0605},
      {0x061C, 0x061C},    {0x06DD, 0x06DD},   {0x070F, 0x070F},   {0x0890, 0x0891},
      {0x08E2, 0x08E2},    {0x1680, 0x1680},   {0x180E, 0x180E},   {0x2000, 0x200F},
      {0x2028, 0x202F},    {0x205F, 0x2064},   {0x2066, 0x206F},   {0x3000, 0x3000},
      {0xE000, 0xF8FF},    {0xFDD0, 0xFDEF},   {0xFEFF, 0xFEFF},   {0xFFF9, 0xFFFB},
      {0xFFFE, 0xFFFF},    {0x110BD, 0x110BD}, {0x110CD, 0x110CD}, {0x13430, 0x1343F},
      {0x1BCA0, 0x1BCA3},  {0x1D173, 0x1D17A}, {0xE0001, 0xE0001}, {0xE0020, 0xE007F},
      {0xF0000, 0x10FFFF},
  });
  return std::any_of(kRanges.begin(), kRanges.end(), [&](const Range& range) {
    return range.first <= code_point && code_point <= range.last;
  });
}

}  // namespace gantry::base

#endif  // GANTRY_BASE_UTF8_H_
