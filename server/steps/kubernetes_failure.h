// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_KUBERNETES_FAILURE_H_
#define GANTRY_SERVER_STEPS_KUBERNETES_FAILURE_H_

#include "absl/status/status.h"
#include "base/context.h"

namespace gantry::steps {

// What a caller of the service is told when the Kubernetes API kept a verdict from being reached:
// CANCELLED or DEADLINE_EXCEEDED when the caller's own context has ended, else UNAVAILABLE with a
// base::ErrorInfo (reason KUBERNETES_<kind>, and when to come again).
absl::Status KubernetesFailure(const absl::Status& status, const base::Context& context);

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_KUBERNETES_FAILURE_H_
