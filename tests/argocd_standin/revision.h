// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_ARGOCD_STANDIN_REVISION_H_
#define GANTRY_TESTS_ARGOCD_STANDIN_REVISION_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace gantry::argocd_standin {

// What a source's targetRevision resolves to, looking nothing up: always the same answer for the
// same repository and targetRevision.
//   git    40 hexadecimal digits are a commit; anything else stands for a made-up commit, or for
//          `branch_revision` when that is not empty
//   chart  an exact version is itself; a range stands for a made-up version in it
//   OCI    (no chart, repoURL oci://...) a digest is itself, anything else a made-up one
std::string ResolveRevision(const nlohmann::json& source, std::string_view branch_revision = "");

// 40 hexadecimal digits.
bool IsCommit(std::string_view text);

}  // namespace gantry::argocd_standin

#endif  // GANTRY_TESTS_ARGOCD_STANDIN_REVISION_H_
