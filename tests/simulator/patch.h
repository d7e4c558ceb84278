// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SIMULATOR_PATCH_H_
#define GANTRY_TESTS_SIMULATOR_PATCH_H_

#include <nlohmann/json.hpp>
#include <string>

#include "tests/simulator/api_status.h"

namespace gantry::simulator {

// Applies the text of a JSON merge patch (RFC 7386). The error is the API server's.
Result<nlohmann::json> ApplyMergePatch(const nlohmann::json& object, const std::string& patch);

// Applies the text of a JSON patch (RFC 6902) as the library in kube-apiserver does, which is
// laxer than the RFC: `replace` makes a member that is not there, `copy` of one yields null, and a
// missing `value` is null.
Result<nlohmann::json> ApplyJsonPatch(const nlohmann::json& object, const std::string& patch);

}  // namespace gantry::simulator

#endif  // GANTRY_TESTS_SIMULATOR_PATCH_H_
