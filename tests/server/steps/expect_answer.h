// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SERVER_STEPS_EXPECT_ANSWER_H_
#define GANTRY_TESTS_SERVER_STEPS_EXPECT_ANSWER_H_

#include <gtest/gtest.h>

#include "gantry/v1/promotion_step_service.pb.h"
#include "gantry/v1/step.pb.h"

namespace gantry::steps {

inline void ExpectAnswer(const v1::RunStepResponse& response, v1::StepStatus status,
                         v1::StepReason reason) {
  EXPECT_EQ(response.status(), status) << response.ShortDebugString();
  EXPECT_EQ(response.reason(), reason) << response.ShortDebugString();
}

#define EXPECT_ANSWER(response, expected_status, expected_reason) \
  do {                                                            \
    SCOPED_TRACE("the answer that is expected here");             \
    ExpectAnswer((response), v1::STEP_STATUS_##expected_status,   \
                 v1::STEP_REASON_##expected_reason);              \
  } while (false)

}  // namespace gantry::steps

#endif  // GANTRY_TESTS_SERVER_STEPS_EXPECT_ANSWER_H_
