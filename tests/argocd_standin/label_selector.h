// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_ARGOCD_STANDIN_LABEL_SELECTOR_H_
#define GANTRY_TESTS_ARGOCD_STANDIN_LABEL_SELECTOR_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace gantry::argocd_standin {

// Which Applications are worked on, by their labels. Any thread.
class LabelSelector {
 public:
  // Selects everything.
  LabelSelector() = default;
  // Terms separated by commas, all of which must hold: `key=value`, `key!=value`, `key`, `!key`.
  // Empty text selects everything. The error quotes the term.
  static absl::StatusOr<LabelSelector> Parse(std::string_view text);

  bool Matches(const nlohmann::json& object) const;

 private:
  struct Term {
    std::string key;
    std::optional<std::string> value;  // none: any
    bool negated = false;
  };
  std::vector<Term> terms_;
};

}  // namespace gantry::argocd_standin

#endif  // GANTRY_TESTS_ARGOCD_STANDIN_LABEL_SELECTOR_H_
