// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_RUN_H_
#define GANTRY_CLIENT_GANTRYCTL_RUN_H_

#include <string>
#include <vector>

#include "client/gantryctl/world.h"

namespace gantry::gantryctl {

// Carries out a command line, given without the program's name. Returns the exit code.
int Run(const std::vector<std::string>& arguments, const World& world);

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_RUN_H_
