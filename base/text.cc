// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/strings.h"
#include "base/utf8.h"

namespace gantry::base {
namespace {

std::string Escaped(std::uint32_t code_point) {
  switch (code_point) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    default:
      return code_point > 0xFFFF ? absl::StrFormat("\\U%08x", code_point)
                                 : absl::StrFormat("\\u%04x", code_point);
  }
}

}  // namespace

std::string Quote(std::string_view text, std::size_t max_characters) {
  std::string quoted = "\"";
  for (std::size_t count = 0; !text.empty(); ++count) {
    if (count == max_characters) {
      quoted += "…";
      break;
    }
    const std::string_view before = text;
    const std::optional<std::uint32_t> code_point = TakeCodePoint(text);
    if (!code_point) {
      quoted += absl::StrFormat("\\x%02x", static_cast<unsigned char>(text.front()));
      text.remove_prefix(1);
    } else if (*code_point == '"' || *code_point == '\\' ||
               (*code_point != ' ' && IsUnprintable(*code_point))) {
      quoted += Escaped(*code_point);
    } else {
      quoted.append(before, 0, before.size() - text.size());
    }
  }
  return quoted + '"';
}

std::string QuoteWhole(std::string_view text) { return Quote(text, text.size()); }

std::string Count(std::size_t count, std::string_view noun) {
  return StrCat(count, " ", noun, count == 1 ? "" : "s");
}

std::string Join(const std::vector<std::string>& words, std::string_view conjunction) {
  std::string joined;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0 && i + 1 == words.size()) {
      StrAppend(&joined, " ", conjunction, " ");
    } else if (i > 0) {
      joined += ", ";
    }
    joined += words[i];
  }
  return joined;
}

std::string FirstThree(const std::vector<std::string>& items) {
  if (items.size() <= 3) return Join(items, "and");
  return StrCat(items[0], ", ", items[1], ", ", items[2], " and ", items.size() - 3, " more");
}

std::string FirstThreeClauses(std::vector<std::string> clauses) {
  const std::size_t total = clauses.size();
  if (total > 3) clauses.resize(3);
  return StrCat(absl::StrJoin(clauses, "; "),
                total > 3 ? StrCat("; and ", total - 3, " more") : "");
}

std::size_t EditDistance(std::string_view left, std::string_view right) {
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

std::vector<std::string> NearNames(std::string_view wanted, const std::vector<std::string>& names) {
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

std::string CutToBytes(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return std::string(text);
  std::size_t end = max_bytes;
  // A byte of the form 10xxxxxx continues a character.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return std::string(text.substr(0, end));
}

std::string UtcTime(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

}  // namespace gantry::base
