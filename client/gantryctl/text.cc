// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/text.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace gantry::gantryctl {
namespace {

struct Character {
  std::uint32_t code = 0;
  std::size_t bytes = 0;  // 0: not UTF-8
};

Character CharacterAt(const std::string& text, std::size_t at) {
  const auto byte = [&](std::size_t i) -> std::uint32_t {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const std::uint32_t first = byte(at);
  if (first < 0x80) return {first, 1};
  const std::size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return {};
  std::uint32_t code = first & (0xffU >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(at + i) & 0xc0U) != 0x80) return {};
    code = code << 6 | (byte(at + i) & 0x3fU);
  }
  const bool too_long = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (too_long || surrogate || code > 0x10ffff) return {};
  return {code, bytes};
}

// Characters that move the cursor, start a sequence, or turn the direction of writing.
bool SteersTerminal(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x200e || code == 0x200f ||
         (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

// How many bytes have to be added, removed, replaced, or swapped with their neighbour to make one
// of the other.
std::size_t EditDistance(const std::string& left, const std::string& right) {
  // Of the row for the latest byte of `left`, and of the two before.
  std::vector<std::size_t> before_last(right.size() + 1);
  std::vector<std::size_t> last(right.size() + 1);
  std::vector<std::size_t> row(right.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= left.size(); ++i) {
    std::swap(before_last, last);
    std::swap(last, row);
    row[0] = i;
    for (std::size_t j = 1; j <= right.size(); ++j) {
      const bool same = left[i - 1] == right[j - 1];
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1]) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
  }
  return row[right.size()];
}

}  // namespace

std::optional<std::size_t> FirstInvalidUtf8(const std::string& text) {
  for (std::size_t at = 0; at < text.size();) {
    const Character character = CharacterAt(text, at);
    if (character.bytes == 0) return at;
    at += character.bytes;
  }
  return std::nullopt;
}

std::string Printable(const std::string& text, bool keep_lines) {
  std::string shown;
  for (std::size_t at = 0; at < text.size();) {
    const Character character = CharacterAt(text, at);
    if (character.bytes == 0) {
      absl::StrAppendFormat(&shown, "\\x%02x", static_cast<unsigned char>(text[at]));
      ++at;
      continue;
    }
    if (!SteersTerminal(character.code) ||
        (keep_lines && (character.code == '\n' || character.code == '\t'))) {
      shown.append(text, at, character.bytes);
    } else if (character.code == '\n') {
      shown += "\\n";
    } else if (character.code == '\t') {
      shown += "\\t";
    } else if (character.code < 0x100) {
      absl::StrAppendFormat(&shown, "\\x%02x", character.code);
    } else {
      absl::StrAppendFormat(&shown, "\\u%04x", character.code);
    }
    at += character.bytes;
  }
  return shown;
}

std::string OneLine(const std::string& text) {
  std::string line = text;
  absl::RemoveExtraAsciiWhitespace(&line);
  std::replace_if(
      line.begin(), line.end(), [](unsigned char c) { return absl::ascii_isspace(c); }, ' ');
  return Printable(line);
}

std::size_t Width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0U) != 0x80;
  }));
}

std::string CutTo(const std::string& text, std::size_t width) {
  if (Width(text) <= width) return text;
  if (width <= 3) return std::string(width, '.');
  std::size_t at = 0;
  for (std::size_t i = 0; i < width - 3; ++i) {
    at += std::max<std::size_t>(CharacterAt(text, at).bytes, 1);
  }
  return text.substr(0, at) + "...";
}

std::string Painted(const std::string& text, const char* sequence) {
  return sequence == nullptr ? text : absl::StrCat(sequence, text, "\033[0m");
}

std::string Table(const std::vector<std::string>& header,
                  const std::vector<std::vector<std::string>>& rows, const Painter& painter) {
  return GrowingTable(header, painter).Add(rows);
}

GrowingTable::GrowingTable(std::vector<std::string> header, Painter painter)
    : header_(std::move(header)), painter_(std::move(painter)), widths_(header_.size()) {}

std::string GrowingTable::Add(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> lines;
  if (!headed_) lines.push_back(header_);
  headed_ = true;
  for (const std::vector<std::string>& row : rows) {
    lines.emplace_back();
    for (const std::string& cell : row) {
      const std::string shown = OneLine(cell);
      lines.back().push_back(shown.empty() ? "-" : shown);
    }
  }
  for (const std::vector<std::string>& line : lines) {
    for (std::size_t i = 0; i < widths_.size(); ++i) {
      widths_[i] = std::max(widths_[i], Width(line[i]));
    }
  }
  std::string table;
  for (const std::vector<std::string>& line : lines) {
    for (std::size_t i = 0; i < widths_.size(); ++i) {
      table += Painted(line[i], painter_ ? painter_(header_[i], line[i]) : nullptr);
      if (i + 1 < widths_.size()) table.append(widths_[i] - Width(line[i]) + 2, ' ');
    }
    table += '\n';
  }
  return table;
}

std::vector<std::string> NearNames(const std::string& wanted,
                                   const std::vector<std::string>& names) {
  const std::size_t limit = std::max<std::size_t>(wanted.size() / 3, 1);
  std::vector<std::pair<std::size_t, std::string>> near;
  for (const std::string& name : names) {
    if (name.size() > wanted.size() + limit || wanted.size() > name.size() + limit) continue;
    const std::size_t distance = EditDistance(wanted, name);
    if (distance <= limit) near.emplace_back(distance, name);
  }
  std::sort(near.begin(), near.end());
  std::vector<std::string> nearest;
  for (std::size_t i = 0; i < near.size() && i < 3; ++i) nearest.push_back(near[i].second);
  return nearest;
}

std::optional<absl::Duration> ParseGoDuration(const std::string& text) {
  // absl::ParseDuration also takes signs, "inf" and a bare 0.
  if (text.empty() || absl::ascii_isdigit(static_cast<unsigned char>(text.back())) ||
      !(absl::ascii_isdigit(static_cast<unsigned char>(text[0])) || text[0] == '.')) {
    return std::nullopt;
  }
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration)) return std::nullopt;
  return duration;
}

std::string FormatGoDuration(absl::Duration duration) {
  const absl::Duration unit =
      absl::AbsDuration(duration) < absl::Seconds(1) ? absl::Milliseconds(1) : absl::Seconds(1);
  const absl::Duration whole = absl::Trunc(duration, unit);
  return whole == absl::ZeroDuration() ? "0s" : absl::FormatDuration(whole);
}

}  // namespace gantry::gantryctl
