// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd_standin/label_selector.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "base/strings.h"
#include "tests/argocd_standin/json_access.h"

namespace gantry::argocd_standin {

absl::StatusOr<LabelSelector> LabelSelector::Parse(std::string_view text) {
  LabelSelector selector;
  if (text.empty()) return selector;
  for (const absl::string_view piece : absl::StrSplit(base::ToAbsl(text), ',')) {
    const std::string term(absl::StripAsciiWhitespace(piece));
    Term parsed;
    const std::size_t equals = term.find('=');
    if (equals == std::string::npos) {
      parsed.negated = term.rfind('!', 0) == 0;
      parsed.key = term.substr(parsed.negated ? 1 : 0);
    } else {
      parsed.negated = equals > 0 && term[equals - 1] == '!';
      parsed.key = term.substr(0, equals - (parsed.negated ? 1 : 0));
      const std::size_t begin = term.find_first_not_of('=', equals);
      parsed.value = begin == std::string::npos ? "" : term.substr(begin);
    }
    if (parsed.key.empty() || parsed.key.find_first_of("!() ") != std::string::npos) {
      return absl::InvalidArgumentError(base::StrCat(
          "label selector term \"", term, "\" is not one of key=value, key!=value, key and !key"));
    }
    selector.terms_.push_back(std::move(parsed));
  }
  return selector;
}

bool LabelSelector::Matches(const nlohmann::json& object) const {
  const nlohmann::json& labels = At(object, {"metadata", "labels"});
  return std::all_of(terms_.begin(), terms_.end(), [&](const Term& term) {
    const nlohmann::json& label = At(labels, {term.key.c_str()});
    const bool holds = label.is_string() && (!term.value || label == *term.value);
    return holds != term.negated;
  });
}

}  // namespace gantry::argocd_standin
