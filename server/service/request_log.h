// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_SERVICE_REQUEST_LOG_H_
#define GANTRY_SERVER_SERVICE_REQUEST_LOG_H_

#include "gantry/v1/promotion_step_service.pb.h"
#include "server/observability/log.h"

namespace gantry::service {

// `log` with the names that a request of each kind has, so that the lines of a call tell what it
// was about. The request may be one that was refused: the names are cut and made presentable.
observability::Logger WithNames(const observability::Logger& log,
                                const v1::RunStepRequest& request);
observability::Logger WithNames(const observability::Logger& log,
                                const v1::GetStageHealthRequest& request);
observability::Logger WithNames(const observability::Logger& log,
                                const v1::ListStageHealthRequest& request);
observability::Logger WithNames(const observability::Logger& log,
                                const v1::WatchStageHealthRequest& request);
observability::Logger WithNames(const observability::Logger& log,
                                const v1::ReportPromotionRequest& request);
observability::Logger WithNames(const observability::Logger& log,
                                const v1::ReportIndicatorRequest& request);
observability::Logger WithNames(const observability::Logger& log,
                                const v1::ListStepKindsRequest& request);

}  // namespace gantry::service

#endif  // GANTRY_SERVER_SERVICE_REQUEST_LOG_H_
