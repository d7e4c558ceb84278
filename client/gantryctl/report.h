// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_REPORT_H_
#define GANTRY_CLIENT_GANTRYCTL_REPORT_H_

#include "client/gantryctl/world.h"

namespace gantry::gantryctl {

// Carry out `gantryctl report`. Return the exit code.
int ReportPromotion(const ReportPromotionFlags& flags, const World& world);
int ReportIndicator(const ReportIndicatorFlags& flags, const World& world);

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_REPORT_H_
