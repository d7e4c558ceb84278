// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_ARGOCD_STANDIN_MERGE_DIFF_H_
#define GANTRY_TESTS_ARGOCD_STANDIN_MERGE_DIFF_H_

#include <nlohmann/json.hpp>

namespace gantry::argocd_standin {

// The smallest merge patch that makes `to` out of `from`, two objects. A null inside `to` counts as
// absent, but for arrays, which are replaced whole.
nlohmann::json MergeDiff(const nlohmann::json& from, const nlohmann::json& to);

}  // namespace gantry::argocd_standin

#endif  // GANTRY_TESTS_ARGOCD_STANDIN_MERGE_DIFF_H_
