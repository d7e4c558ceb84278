// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_APP_STEP_METRICS_H_
#define GANTRY_SERVER_APP_STEP_METRICS_H_

#include "server/observability/metrics.h"
#include "server/service/run_step_call.h"

namespace gantry::app {

// Counts a call of RunStep that has ended, and how long it took. Any thread.
void CountStep(const service::StepEnd& end, observability::Metrics& metrics);

}  // namespace gantry::app

#endif  // GANTRY_SERVER_APP_STEP_METRICS_H_
