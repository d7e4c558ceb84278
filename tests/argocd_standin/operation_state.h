// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_ARGOCD_STANDIN_OPERATION_STATE_H_
#define GANTRY_TESTS_ARGOCD_STANDIN_OPERATION_STATE_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace gantry::argocd_standin {

inline constexpr std::string_view kRunning = "Running";
inline constexpr std::string_view kTerminating = "Terminating";
inline constexpr std::string_view kSucceeded = "Succeeded";
inline constexpr std::string_view kFailed = "Failed";
inline constexpr std::string_view kError = "Error";

bool IsCompleted(std::string_view phase);

// How Argo CD's controller records an operation. What these return is as it writes it
// (argo_types.h). They take any JSON. Pure functions.

// `sources` of a spec count, unless there are none or a hydrator overrides them.
bool HasSeveralSources(const nlohmann::json& spec);
// The source, the hydrator's, or the first of several.
nlohmann::json SourceOf(const nlohmann::json& spec);
// Those that are deployed: one or several.
std::vector<nlohmann::json> SourcesOf(const nlohmann::json& spec);

// status.operationState of an operation that is taken up.
nlohmann::json NewOperationState(const nlohmann::json& operation, absl::Time now);

// syncResult when a sync begins: the sources of the operation if it names any, else the spec's, and
// the revisions that the operation asks for. They stay until the revisions are resolved.
nlohmann::json NewSyncResult(const nlohmann::json& spec, const nlohmann::json& operation);

// Whether the operation deploys all that the Application consists of: Argo CD appends to the
// history after such a one alone, if it succeeded.
bool IsWholeSync(const nlohmann::json& operation);

// status.history once the operation whose state is given has succeeded. The Application is as it
// was when that was seen.
nlohmann::json HistoryWith(const nlohmann::json& application, const nlohmann::json& state,
                           absl::Time now);

}  // namespace gantry::argocd_standin

#endif  // GANTRY_TESTS_ARGOCD_STANDIN_OPERATION_STATE_H_
