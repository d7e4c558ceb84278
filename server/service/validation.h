// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_SERVICE_VALIDATION_H_
#define GANTRY_SERVER_SERVICE_VALIDATION_H_

#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "base/error_info.h"
#include "gantry/v1/promotion_step_service.pb.h"

namespace gantry::service {

// Everything that is wrong with the names and limits of a request, in the order of its fields;
// none when it may be carried out. `kinds` are the kinds of step the server knows. A step's own
// configuration is only checked to be representable: its rules are the step's.
std::vector<base::ErrorInfo::FieldViolation> ValidateRunStep(
    const v1::RunStepRequest& request, const std::vector<std::string_view>& kinds,
    absl::Duration max_wait);

// The same for the other requests.
std::vector<base::ErrorInfo::FieldViolation> ValidateGetStageHealth(
    const v1::GetStageHealthRequest& request);
std::vector<base::ErrorInfo::FieldViolation> ValidateListStageHealth(
    const v1::ListStageHealthRequest& request);
std::vector<base::ErrorInfo::FieldViolation> ValidateWatchStageHealth(
    const v1::WatchStageHealthRequest& request);
std::vector<base::ErrorInfo::FieldViolation> ValidateReportPromotion(
    const v1::ReportPromotionRequest& request);
std::vector<base::ErrorInfo::FieldViolation> ValidateReportIndicator(
    const v1::ReportIndicatorRequest& request);

}  // namespace gantry::service

#endif  // GANTRY_SERVER_SERVICE_VALIDATION_H_
