// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_HEALTH_H_
#define GANTRY_CLIENT_GANTRYCTL_HEALTH_H_

#include "client/gantryctl/world.h"

namespace gantry::gantryctl {

// Carries out `gantryctl health`. Returns the exit code.
int Health(const HealthFlags& flags, const World& world);

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_HEALTH_H_
