// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_ARGOCD_STANDIN_RECONCILE_H_
#define GANTRY_TESTS_ARGOCD_STANDIN_RECONCILE_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace gantry::argocd_standin {

// What Argo CD's controller would do next with `application`, as a merge patch under its
// resourceVersion; nothing when there is nothing to do. An operation is taken up, is Running for
// `sync_duration`, then Succeeded: `.operation` goes in the very patch that completes the state.
std::optional<nlohmann::json> NextPatch(const nlohmann::json& application, absl::Time now,
                                        absl::Duration sync_duration);

// The commit that a target revision stands for: itself when it looks like one, else always the
// same made-up one.
std::string ResolveRevision(std::string_view target_revision);

}  // namespace gantry::argocd_standin

#endif  // GANTRY_TESTS_ARGOCD_STANDIN_RECONCILE_H_
