// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_VERDICTS_REQUESTS_H_
#define GANTRY_TESTS_VERDICTS_REQUESTS_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gantry/v1/health.pb.h"
#include "tests/verdicts/choice.h"

namespace gantry::verdicts {

// Random configurations, mostly of what the Applications there are have.

// One step of a promotion, as a pipeline would have it.
struct Step {
  std::string promotion;
  std::string name;
  std::string uses;
  std::string actor;
  nlohmann::json config;
};

Step MakeStep(Choice& choice, const std::vector<nlohmann::json>& applications);
// The checks that a caller of GetStageHealth may bring.
std::vector<v1::HealthCheck> MakeHealthChecks(Choice& choice,
                                              const std::vector<nlohmann::json>& applications);

}  // namespace gantry::verdicts

#endif  // GANTRY_TESTS_VERDICTS_REQUESTS_H_
