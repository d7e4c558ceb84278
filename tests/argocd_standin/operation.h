// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_ARGOCD_STANDIN_OPERATION_H_
#define GANTRY_TESTS_ARGOCD_STANDIN_OPERATION_H_

#include "tests/argocd_standin/application_view.h"
#include "tests/argocd_standin/step.h"

namespace gantry::argocd_standin {

// The next step of the operation that the Application has, if one is due.
void WorkOnOperation(const ApplicationView& view, Step& step);

// As if an automated sync had ended long enough ago that nothing is left to come of it.
void CountAsDeployed(const ApplicationView& view, Step& step);

}  // namespace gantry::argocd_standin

#endif  // GANTRY_TESTS_ARGOCD_STANDIN_OPERATION_H_
