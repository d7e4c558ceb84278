// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_ARGOCD_STANDIN_COMPARISON_H_
#define GANTRY_TESTS_ARGOCD_STANDIN_COMPARISON_H_

#include "tests/argocd_standin/application_view.h"
#include "tests/argocd_standin/step.h"

namespace gantry::argocd_standin {

// The comparison that is due now, if one is, with the automated sync that follows from it.
void CompareIfDue(const ApplicationView& view, Step& step);

}  // namespace gantry::argocd_standin

#endif  // GANTRY_TESTS_ARGOCD_STANDIN_COMPARISON_H_
