// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SERVER_HEALTH_STATES_H_
#define GANTRY_TESTS_SERVER_HEALTH_STATES_H_

#include "gantry/v1/health.pb.h"

namespace gantry::health {

// Short names, for the tables of the tests.
inline constexpr auto kHealthy = v1::HEALTH_STATE_HEALTHY;
inline constexpr auto kNotApplicable = v1::HEALTH_STATE_NOT_APPLICABLE;
inline constexpr auto kProgressing = v1::HEALTH_STATE_PROGRESSING;
inline constexpr auto kUnknown = v1::HEALTH_STATE_UNKNOWN;
inline constexpr auto kUnhealthy = v1::HEALTH_STATE_UNHEALTHY;

}  // namespace gantry::health

#endif  // GANTRY_TESTS_SERVER_HEALTH_STATES_H_
