// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_ARGOCD_STANDIN_ARGO_TYPES_H_
#define GANTRY_TESTS_ARGOCD_STANDIN_ARGO_TYPES_H_

#include <nlohmann/json.hpp>

namespace gantry::argocd_standin {

// Argo CD's controller reads JSON into Go types and writes those: what it does not know goes, and
// so does what is empty (false, 0, "", a list or map without entries, null), unless its type says
// that it is always written. Objects that are part of another are always written, `{}` if need be;
// those that may be absent stay when they are there, however empty.
//
// These say what it would write of an object that it had read. What is of another type than Argo
// CD's counts as absent. Pure functions.
nlohmann::json WrittenSource(const nlohmann::json& source);
nlohmann::json WrittenOperation(const nlohmann::json& operation);
nlohmann::json WrittenOperationState(const nlohmann::json& state);
nlohmann::json WrittenHistoryEntry(const nlohmann::json& entry);
nlohmann::json WrittenStatus(const nlohmann::json& status);

// Whether a source says nothing for a tool: `helm`, `kustomize` and `directory` that are as good as
// absent are taken out, as Argo CD takes them out of an Application's spec.
nlohmann::json NormalizedSource(const nlohmann::json& source);

}  // namespace gantry::argocd_standin

#endif  // GANTRY_TESTS_ARGOCD_STANDIN_ARGO_TYPES_H_
