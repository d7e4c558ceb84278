// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SIMULATOR_REVIEWS_H_
#define GANTRY_TESTS_SIMULATOR_REVIEWS_H_

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/simulator/api_status.h"
#include "tests/simulator/rbac.h"

namespace gantry::simulator {

// A TokenReview with its status.
Result<nlohmann::json> ReviewToken(const nlohmann::json& review,
                                   const std::map<std::string, User>& tokens);
// A SubjectAccessReview, or with `self` a SelfSubjectAccessReview of that user, with its status.
Result<nlohmann::json> ReviewAccess(const nlohmann::json& review, const User* self,
                                    const Rbac& rbac);

}  // namespace gantry::simulator

#endif  // GANTRY_TESTS_SIMULATOR_REVIEWS_H_
