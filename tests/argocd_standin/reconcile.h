// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_ARGOCD_STANDIN_RECONCILE_H_
#define GANTRY_TESTS_ARGOCD_STANDIN_RECONCILE_H_

#include <nlohmann/json.hpp>

#include "absl/time/time.h"
#include "tests/argocd_standin/step.h"

namespace gantry::argocd_standin {

// What Argo CD's controller would do next with `application` at `now`, under the orders in its
// annotations (orders.h). Applies one step at a time: once its writes are stored, and whenever the
// Application changes, it is asked again. Any JSON is taken; of what is not as Argo CD has it,
// nothing is done.
Step NextStep(const nlohmann::json& application, const Memory& memory, absl::Time now,
              const Settings& settings);

}  // namespace gantry::argocd_standin

#endif  // GANTRY_TESTS_ARGOCD_STANDIN_RECONCILE_H_
