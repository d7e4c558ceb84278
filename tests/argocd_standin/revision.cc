// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd_standin/revision.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "base/strings.h"
#include "tests/argocd_standin/json_access.h"

namespace gantry::argocd_standin {
namespace {

constexpr std::size_t kCommitLength = 40;
constexpr std::size_t kDigestLength = 64;
constexpr char kDigestPrefix[] = "sha256:";

// FNV-1a; any function will do that gives everybody the same answer.
std::uint64_t Hash(std::string_view text, std::uint64_t hash = 14695981039346656037ULL) {
  for (const unsigned char c : text) hash = (hash ^ c) * 1099511628211ULL;
  // Otherwise texts that differ in the last character alone differ in few digits.
  hash ^= hash >> 29;
  return hash * 0xbf58476d1ce4e5b9ULL;
}

std::string HexDigits(std::string_view seed, std::size_t length) {
  std::string digits;
  std::uint64_t hash = Hash(seed);
  while (digits.size() < length) {
    base::StrAppend(&digits, absl::Hex(hash, absl::kZeroPad16));
    hash = Hash(seed, hash);
  }
  return digits.substr(0, length);
}

// A version as far as it is given: 1, 1.2 or 1.2.3; a wildcard ends it.
struct PartialVersion {
  std::vector<std::uint32_t> numbers;
  bool wildcard = false;
  // "-rc.1+build": what follows the numbers.
  bool has_suffix = false;
};

PartialVersion ParseVersion(std::string_view text) {
  PartialVersion version;
  if (!text.empty() && text[0] == 'v') text.remove_prefix(1);
  const std::size_t end = text.find_first_of("-+");
  version.has_suffix = end != std::string_view::npos;
  for (const absl::string_view part : absl::StrSplit(base::ToAbsl(text.substr(0, end)), '.')) {
    std::uint32_t number = 0;
    if (version.numbers.size() == 3 || !absl::SimpleAtoi(part, &number)) {
      version.wildcard = true;
      break;
    }
    version.numbers.push_back(number);
  }
  return version;
}

// The upper end of a range, or its only term: what the highest version in it looks like.
std::string HighestIn(std::string_view constraint, std::string_view seed) {
  // Of alternatives the last; of "a - b", ">=a <b" and ">=a, <b" the first term says how high at
  // least, and the last where it ends.
  const std::size_t alternative = constraint.rfind("||");
  if (alternative != std::string_view::npos) constraint.remove_prefix(alternative + 2);
  std::vector<std::string> terms =
      absl::StrSplit(base::ToAbsl(constraint), absl::ByAnyChar(", "), absl::SkipEmpty());
  // ">= 1.2" is one term.
  for (std::size_t i = 0; i + 1 < terms.size();) {
    if (terms[i].find_first_not_of("<>=!~^") == std::string::npos) {
      terms[i] += terms[i + 1];
      terms.erase(terms.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    } else {
      ++i;
    }
  }
  const auto made_up = [&](std::uint32_t least, int place) {
    return least + 1 + static_cast<std::uint32_t>(Hash(seed, Hash(base::StrCat(place))) % 20);
  };
  const std::string term = terms.empty() ? "*" : terms.front();
  const std::string end = terms.empty() ? "" : terms.back();
  const std::size_t digits = std::min(term.find_first_not_of("<>=!~^"), term.size());
  const std::string op = term.substr(0, digits);
  const PartialVersion version = ParseVersion(std::string_view(term).substr(digits));

  std::array<std::uint32_t, 3> result = {0, 0, 0};
  std::copy(version.numbers.begin(), version.numbers.end(), result.begin());
  const std::size_t given = version.numbers.size();
  if (op == "<" || op == "<=") {
    if (op == "<=" && given == 3) return term.substr(digits);
    // Just below: the last number that can be made smaller.
    for (std::size_t i = given; i-- > 0;) {
      if (result[i] == 0) continue;
      --result[i];
      for (std::size_t j = i + 1; j < result.size(); ++j) {
        result[j] = made_up(0, static_cast<int>(j));
      }
      return base::StrCat(result[0], ".", result[1], ".", result[2]);
    }
    return "0.0.0";
  }
  if (terms.size() > 1 && absl::StartsWith(end, "<=")) return end.substr(2);
  if (terms.size() == 3 && terms[1] == "-") return end;
  // How many of the numbers stay as they are.
  std::size_t fixed = given;
  if (op == "~") {
    fixed = std::min<std::size_t>(given, 2);
  } else if (op == "^") {
    // Up to the first number that is not zero.
    fixed = 1;
    while (fixed < given && result[fixed - 1] == 0) ++fixed;
  } else if (op == ">" || op == ">=") {
    fixed = 1;
    if (terms.size() > 1 && absl::StartsWith(end, "<")) {
      // What comes before the number in which both ends differ.
      const PartialVersion limit = ParseVersion(std::string_view(end).substr(1));
      fixed = 0;
      while (fixed < given && fixed < limit.numbers.size() &&
             limit.numbers[fixed] == result[fixed]) {
        ++fixed;
      }
      fixed = std::min<std::size_t>(fixed + 1, 2);
    }
  }
  for (std::size_t i = fixed; i < result.size(); ++i) {
    result[i] = made_up(i < given ? result[i] : 0, static_cast<int>(i));
  }
  return base::StrCat(result[0], ".", result[1], ".", result[2]);
}

std::string ResolveChart(const std::string& version, std::string_view seed) {
  const bool plain = version.find_first_of("<>=!~^*|, ") == std::string::npos;
  const PartialVersion parsed = ParseVersion(version);
  const bool exact = plain && !parsed.wildcard && (parsed.numbers.size() == 3 || parsed.has_suffix);
  return exact ? version : HighestIn(version, seed);
}

}  // namespace

bool IsCommit(std::string_view text) {
  return text.size() == kCommitLength && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_isxdigit(c);
         });
}

std::string ResolveRevision(const nlohmann::json& source, std::string_view branch_revision) {
  const std::string url = TextAt(source, {"repoURL"});
  const std::string chart = TextAt(source, {"chart"});
  std::string target = TextAt(source, {"targetRevision"});
  if (!chart.empty()) return ResolveChart(target, base::StrCat(url, " ", chart));
  if (absl::StartsWith(url, "oci://")) {
    if (absl::StartsWith(target, kDigestPrefix)) return target;
    return base::StrCat(kDigestPrefix, HexDigits(base::StrCat(url, " ", target), kDigestLength));
  }
  if (IsCommit(target)) return target;
  if (!branch_revision.empty()) return std::string(branch_revision);
  if (target.empty()) target = "HEAD";
  return HexDigits(base::StrCat(url, " ", target), kCommitLength);
}

}  // namespace gantry::argocd_standin
