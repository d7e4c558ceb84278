// SPDX-License-Identifier: Apache-2.0
#include "tests/simulator/selectors.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "base/strings.h"

namespace gantry::simulator {

using base::StrCat;

namespace {

bool IsAlphanumeric(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)); }

// Alphanumeric at both ends, and between them also '-', '_' and '.'.
bool IsNamePart(std::string_view text) {
  if (text.empty() || !IsAlphanumeric(text.front()) || !IsAlphanumeric(text.back())) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return IsAlphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}

constexpr char kNamePartRule[] =
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
constexpr char kSubdomainRule[] =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
constexpr char kLabelValueRule[] =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
    "or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

}  // namespace

std::string WhyNoSubdomain(std::string_view text) {
  if (text.size() > 253) return "must be no more than 253 characters";
  bool good = !text.empty();
  bool at_start = true;  // of a part between dots
  char last = '.';
  for (const char c : text) {
    const bool plain = absl::ascii_islower(static_cast<unsigned char>(c)) ||
                       absl::ascii_isdigit(static_cast<unsigned char>(c));
    if (c == '.') {
      good = good && last != '.' && last != '-';
      at_start = true;
    } else {
      good = good && (plain || (c == '-' && !at_start));
      at_start = false;
    }
    last = c;
  }
  good = good && last != '.' && last != '-';
  return good ? "" : kSubdomainRule;
}

std::string WhyNoQualifiedName(std::string_view text) {
  std::string_view name = text;
  if (const auto slash = text.find('/'); slash != std::string_view::npos) {
    const std::string_view prefix = text.substr(0, slash);
    name = text.substr(slash + 1);
    if (prefix.empty()) return "prefix part must be non-empty";
    if (const std::string why = WhyNoSubdomain(prefix); !why.empty()) {
      return StrCat("prefix part ", why);
    }
  }
  if (name.empty()) return "name part must be non-empty";
  if (name.size() > 63) return "name part must be no more than 63 characters";
  return IsNamePart(name) ? "" : kNamePartRule;
}

std::string WhyNoLabelValue(std::string_view text) {
  if (text.size() > 63) return "must be no more than 63 characters";
  return text.empty() || IsNamePart(text) ? "" : kLabelValueRule;
}

// Reads a label selector's text. Used once.
class LabelParser {
 public:
  explicit LabelParser(const std::string& text) : text_(text) { Next(); }

  Result<LabelSelector> Parse() {
    LabelSelector selector;
    while (!End()) {
      LabelSelector::Requirement requirement;
      if (!ParseRequirement(requirement)) return BadRequest("unable to parse requirement: " + why_);
      selector.requirements_.push_back(std::move(requirement));
      if (End()) break;
      if (token_ != ",") {
        return BadRequest(StrCat("found '", token_, "', expected: ',' or 'end of string'"));
      }
      Next();
      if (End() || token_ == ",") {
        return BadRequest(StrCat("found '", token_, "', expected: identifier after ','"));
      }
    }
    return selector;
  }

 private:
  using Operator = LabelSelector::Operator;

  static bool IsSpecial(char c) {
    return c == '=' || c == '!' || c == '(' || c == ')' || c == ',' || c == '>' || c == '<';
  }
  bool End() const { return token_.empty(); }
  bool IsWord() const { return !token_.empty() && !IsSpecial(token_[0]); }

  void Next() {
    while (at_ < text_.size() && absl::ascii_isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
    token_.clear();
    if (at_ == text_.size()) return;
    const char first = text_[at_];
    if (!IsSpecial(first)) {
      while (at_ < text_.size() && !IsSpecial(text_[at_]) &&
             !absl::ascii_isspace(static_cast<unsigned char>(text_[at_]))) {
        token_ += text_[at_++];
      }
      return;
    }
    token_ = first;
    ++at_;
    if ((first == '=' || first == '!') && at_ < text_.size() && text_[at_] == '=') {
      token_ += '=';
      ++at_;
    }
  }

  bool Fail(std::string why) {
    why_ = std::move(why);
    return false;
  }

  bool ParseRequirement(LabelSelector::Requirement& requirement) {
    const bool negated = token_ == "!";
    if (negated) Next();
    if (!IsWord()) return Fail(StrCat("found '", token_, "', expected: identifier"));
    requirement.key = token_;
    if (const std::string why = WhyNoQualifiedName(requirement.key); !why.empty()) {
      return Fail(StrCat("<nil>: Invalid value: \"", requirement.key, "\": ", why));
    }
    Next();
    if (negated) {
      requirement.op = Operator::kNotExists;
      return true;
    }
    if (End() || token_ == ",") return true;
    const std::string op = token_;
    Next();
    if (op == "in" || op == "notin") {
      requirement.op = op == "in" ? Operator::kIn : Operator::kNotIn;
      return ParseSet(requirement);
    }
    if (op == "=" || op == "==") {
      requirement.op = Operator::kIn;
    } else if (op == "!=") {
      requirement.op = Operator::kNotIn;
    } else if (op == ">" || op == "<") {
      requirement.op = op == ">" ? Operator::kGreater : Operator::kLess;
    } else {
      return Fail(StrCat("found '", op, "', expected: in, notin, =, ==, !=, gt, lt"));
    }
    std::string value;
    if (IsWord()) {
      value = token_;
      Next();
    } else if (!End() && token_ != ",") {
      return Fail(StrCat("found '", token_, "', expected: identifier"));
    }
    return Take(requirement, std::move(value));
  }

  bool ParseSet(LabelSelector::Requirement& requirement) {
    if (token_ != "(") return Fail(StrCat("found '", token_, "' expected: '('"));
    Next();
    while (true) {
      std::string value;
      if (IsWord()) {
        value = token_;
        Next();
      }
      if (!Take(requirement, std::move(value))) return false;
      if (token_ == ")") break;
      if (token_ != ",")
        return Fail(StrCat("found '", token_, "', expected: ',', ')' or identifier"));
      Next();
    }
    Next();
    return true;
  }

  bool Take(LabelSelector::Requirement& requirement, std::string value) {
    const bool number = requirement.op == Operator::kGreater || requirement.op == Operator::kLess;
    std::int64_t ignored = 0;
    if (number && !absl::SimpleAtoi(value, &ignored)) {
      return Fail(StrCat("values[0]: Invalid value: \"", value,
                         "\": for 'Gt', 'Lt' operators, the value must be an integer"));
    }
    if (const std::string why = WhyNoLabelValue(value); !why.empty()) {
      return Fail(StrCat("values[", requirement.values.size(), "][", requirement.key,
                         "]: Invalid value: \"", value, "\": ", why));
    }
    requirement.values.push_back(std::move(value));
    return true;
  }

  const std::string& text_;
  std::size_t at_ = 0;
  std::string token_;
  std::string why_;
};

Result<LabelSelector> LabelSelector::Parse(const std::string& text) {
  return LabelParser(text).Parse();
}

bool LabelSelector::Matches(const StringMap& labels) const {
  for (const Requirement& requirement : requirements_) {
    const auto found = labels.find(requirement.key);
    const bool has = found != labels.end();
    const auto one_of = [&] {
      return has && std::find(requirement.values.begin(), requirement.values.end(),
                              found->second) != requirement.values.end();
    };
    const auto compared = [&]() -> std::optional<int> {
      std::int64_t own = 0;
      std::int64_t wanted = 0;
      if (!has || !absl::SimpleAtoi(found->second, &own) ||
          !absl::SimpleAtoi(requirement.values[0], &wanted)) {
        return std::nullopt;
      }
      return own < wanted ? -1 : own > wanted ? 1 : 0;
    };
    bool matches = false;
    switch (requirement.op) {
      case Operator::kIn:
        matches = one_of();
        break;
      case Operator::kNotIn:
        matches = !one_of();
        break;
      case Operator::kExists:
        matches = has;
        break;
      case Operator::kNotExists:
        matches = !has;
        break;
      case Operator::kGreater:
        matches = compared() == 1;
        break;
      case Operator::kLess:
        matches = compared() == -1;
        break;
    }
    if (!matches) return false;
  }
  return true;
}

Result<FieldSelector> FieldSelector::Parse(
    const std::string& text, const std::function<bool(const std::string&)>& supported) {
  FieldSelector selector;
  std::size_t start = 0;
  while (start < text.size()) {
    std::size_t end = text.find(',', start);
    if (end == std::string::npos) end = text.size();
    const std::string part = text.substr(start, end - start);
    start = end + 1;
    if (part.empty()) continue;
    const std::size_t sign = part.find_first_of("=!");
    Term term;
    std::size_t value = std::string::npos;
    if (sign != std::string::npos) {
      term.field = part.substr(0, sign);
      term.equal = part[sign] == '=';
      if (part[sign] == '=') {
        value = part.compare(sign, 2, "==") == 0 ? sign + 2 : sign + 1;
      } else if (part.compare(sign, 2, "!=") == 0) {
        value = sign + 2;
      }
    }
    if (value == std::string::npos) {
      return BadRequest(StrCat("invalid selector: '", text, "'; can't understand '", part, "'"));
    }
    term.value = part.substr(value);
    if (!supported(term.field)) {
      return BadRequest(StrCat("field label not supported: ", term.field));
    }
    selector.terms_.push_back(std::move(term));
  }
  return selector;
}

bool FieldSelector::Matches(const StringMap& fields) const {
  return std::all_of(terms_.begin(), terms_.end(), [&](const Term& term) {
    const auto found = fields.find(term.field);
    const std::string& own = found == fields.end() ? std::string() : found->second;
    return (own == term.value) == term.equal;
  });
}

}  // namespace gantry::simulator
