// SPDX-License-Identifier: Apache-2.0
//
// Promotions from end to end, beside the real Argo CD and the stand-in.
#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "tests/argocd/argocd_test.h"

namespace gantry::integration {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class PromotionTest : public ArgoCdTest {};

TEST_F(PromotionTest, ACommitIsDeployedOnceAndTheStageIsHealthy) {
  const std::string app = NewApp();
  const std::string commit = backend_->Commit(app, Content::kGood);
  Replica gantry;
  const auto stream = WatchHealth(gantry);
  EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(Updating(app, commit))), v1::STEP_STATUS_SUCCEEDED));
  const v1::StageHealth healthy = stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  EXPECT_THAT(healthy.issues(), IsEmpty());
  ASSERT_THAT(healthy.applications(), SizeIs(1));
  EXPECT_THAT(healthy.applications(0).observed_revisions(), ElementsAre(commit));
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
  ExpectOperations(app, 1);
}

}  // namespace
}  // namespace gantry::integration
