// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_STEPS_H_
#define GANTRY_CLIENT_GANTRYCTL_STEPS_H_

#include <string>

#include "client/gantryctl/render.h"
#include "client/gantryctl/world.h"
#include "gantry/v1/promotion_step_service.pb.h"

namespace gantry::gantryctl {

// Carries out `gantryctl steps`. Returns the exit code.
int Steps(const StepsFlags& flags, const World& world);

// For people: a row for each kind. Pure.
std::string RenderKinds(const v1::ListStepKindsResponse& response, const Look& look);

// For people: what the kind does, and the fields of its configuration, as far as its JSON Schema
// tells them. Pure.
std::string RenderKind(const v1::StepKind& kind, const Look& look);

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_STEPS_H_
