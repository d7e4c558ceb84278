// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/text.h"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/utf8.h"

namespace gantry::gantryctl {
namespace {

// Characters that move the cursor, start a sequence, or turn the direction of writing.
bool SteersTerminal(std::uint32_t code) {
  return base::IsControl(code) || code == 0x200e || code == 0x200f ||
         (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

}  // namespace

std::optional<std::size_t> FirstInvalidUtf8(const std::string& text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    if (!base::TakeCodePoint(rest)) return text.size() - rest.size();
  }
  return std::nullopt;
}

std::string Printable(const std::string& text, bool keep_lines) {
  std::string shown;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view before = rest;
    const std::optional<std::uint32_t> code = base::TakeCodePoint(rest);
    if (!code) {
      absl::StrAppendFormat(&shown, "\\x%02x", static_cast<unsigned char>(rest.front()));
      rest.remove_prefix(1);
    } else if (!SteersTerminal(*code) || (keep_lines && (*code == '\n' || *code == '\t'))) {
      shown.append(before, 0, before.size() - rest.size());
    } else if (*code == '\n') {
      shown += "\\n";
    } else if (*code == '\t') {
      shown += "\\t";
    } else if (*code < 0x100) {
      absl::StrAppendFormat(&shown, "\\x%02x", *code);
    } else {
      absl::StrAppendFormat(&shown, "\\u%04x", *code);
    }
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
  std::string_view rest = text;
  for (std::size_t i = 0; i < width - 3; ++i) {
    if (!base::TakeCodePoint(rest)) rest.remove_prefix(1);
  }
  return text.substr(0, text.size() - rest.size()) + "...";
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

}  // namespace gantry::gantryctl
