// SPDX-License-Identifier: Apache-2.0
#include "server/app/step_metrics.h"

#include <string>

namespace gantry::app {

void CountStep(const service::StepEnd& end, observability::Metrics& metrics) {
  // Named as the contract does, without the prefix.
  const std::string status =
      end.response == nullptr
          ? absl::StatusCodeToString(end.error.code())
          : v1::StepStatus_Name(end.response->status()).substr(sizeof "STEP_STATUS");
  const std::string reason =
      end.response == nullptr || end.response->reason() == v1::STEP_REASON_UNSPECIFIED
          ? ""
          : v1::StepReason_Name(end.response->reason()).substr(sizeof "STEP_REASON");
  metrics.step_runs().Increment(
      {{"uses", end.request.uses()}, {"status", status}, {"reason", reason}});
  metrics.ObserveStep(end.request.uses(), end.duration);
}

}  // namespace gantry::app
