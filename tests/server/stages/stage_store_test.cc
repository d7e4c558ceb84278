// SPDX-License-Identifier: Apache-2.0
#include "server/stages/stage_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/fake_kubernetes.h"

namespace gantry::stages {
namespace {

using testing::FakeKubernetes;
using ::testing::HasSubstr;

class StageStoreTest : public ::testing::Test {
 protected:
  StoredStage Load() {
    absl::StatusOr<StoredStage> stage = store_.Load("shop", "prod.eu", context_);
    EXPECT_TRUE(stage.ok()) << stage.status();
    return *stage;
  }

  FakeKubernetes kubernetes_;
  StageStore store_{kubernetes_, "gantry-system"};
  base::Context context_;
};

TEST_F(StageStoreTest, AStageWithoutResourceIsAnEmptyRecord) {
  const StoredStage stage = Load();
  EXPECT_EQ(stage.record.project, "shop");
  EXPECT_EQ(stage.record.stage, "prod.eu");
  EXPECT_EQ(stage.record.promotion.name, "");
}

TEST_F(StageStoreTest, CreatesTheResourceAndReadsItBack) {
  StoredStage stage = Load();
  MakeCurrent(stage.record, "p1");
  ASSERT_TRUE(store_.Save(stage, context_).ok());
  EXPECT_EQ(Load().record, stage.record);

  const nlohmann::json object = kubernetes_.Read("stagehealths", "gantry-system", "shop.prod.eu");
  EXPECT_EQ(object["apiVersion"], "gantry.dev/v1alpha1");
  EXPECT_EQ(object["kind"], "StageHealth");
  EXPECT_EQ(object["metadata"]["labels"]["gantry.dev/project"], "shop");
  EXPECT_EQ(object["metadata"]["labels"]["gantry.dev/stage"], "prod.eu");
}

TEST_F(StageStoreTest, AStageNameTooLongForALabelHasNone) {
  StoredStage stage;
  stage.record.project = "shop";
  stage.record.stage = std::string(64, 's');
  ASSERT_TRUE(store_.Save(stage, context_).ok());
  EXPECT_FALSE(stage.object["metadata"]["labels"].contains("gantry.dev/stage"));
}

TEST_F(StageStoreTest, SavingTwiceInARowWorksOnWhatWasStored) {
  StoredStage stage = Load();
  ASSERT_TRUE(store_.Save(stage, context_).ok());
  MakeCurrent(stage.record, "p1");
  ASSERT_TRUE(store_.Save(stage, context_).ok());
  EXPECT_EQ(Load().record.promotion.name, "p1");
}

TEST_F(StageStoreTest, KeepsStatusAndForeignMetadata) {
  StoredStage stage = Load();
  ASSERT_TRUE(store_.Save(stage, context_).ok());
  nlohmann::json object = kubernetes_.Read("stagehealths", "gantry-system", "shop.prod.eu");
  object["metadata"]["annotations"]["note"] = "mine";
  object["spec"]["newField"] = 1;
  kubernetes_.Put("stagehealths", object);

  stage = Load();
  MakeCurrent(stage.record, "p1");
  ASSERT_TRUE(store_.Save(stage, context_).ok());
  object = kubernetes_.Read("stagehealths", "gantry-system", "shop.prod.eu");
  EXPECT_EQ(object["metadata"]["annotations"]["note"], "mine");
  EXPECT_EQ(object["spec"]["newField"], 1);
}

TEST_F(StageStoreTest, WhoeverSavesSecondIsToldToDecideAgain) {
  StoredStage first = Load();
  StoredStage second = Load();
  ASSERT_TRUE(store_.Save(first, context_).ok());
  EXPECT_TRUE(absl::IsAborted(store_.Save(second, context_)));  // both wanted to create it

  first = Load();
  second = Load();
  ASSERT_TRUE(store_.Save(first, context_).ok());
  const absl::Status conflict = store_.Save(second, context_);
  EXPECT_TRUE(absl::IsAborted(conflict));
  EXPECT_THAT(std::string(conflict.message()), HasSubstr("gantry-system/shop.prod.eu"));
}

TEST_F(StageStoreTest, AResourceDeletedMeanwhileIsAConflict) {
  StoredStage stage = Load();
  ASSERT_TRUE(store_.Save(stage, context_).ok());
  kubernetes_.Remove("stagehealths", "gantry-system", "shop.prod.eu");
  EXPECT_TRUE(absl::IsAborted(store_.Save(stage, context_)));
}

TEST_F(StageStoreTest, OtherErrorsAreThoseOfTheApi) {
  kubernetes_.before = [](const FakeKubernetes::Call& call) {
    return kubernetes::MakeError({.kind = kubernetes::ErrorKind::kForbidden, .http_status = 403},
                                 call.verb + " is not allowed");
  };
  EXPECT_EQ(kubernetes::KindOf(store_.Load("shop", "prod.eu", context_).status()),
            kubernetes::ErrorKind::kForbidden);
  StoredStage stage;
  EXPECT_EQ(kubernetes::KindOf(store_.Save(stage, context_)), kubernetes::ErrorKind::kForbidden);
}

TEST_F(StageStoreTest, AResourceThatIsNotUnderstoodIsNotOverwritten) {
  kubernetes_.Put("stagehealths",
                  {{"metadata", {{"namespace", "gantry-system"}, {"name", "shop.prod.eu"}}},
                   {"spec", {{"steps", 7}}}});
  const absl::StatusOr<StoredStage> stage = store_.Load("shop", "prod.eu", context_);
  ASSERT_FALSE(stage.ok());
  EXPECT_EQ(stage.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(stage.status().message()),
              HasSubstr("StageHealth gantry-system/shop.prod.eu can't be understood"));
}

}  // namespace
}  // namespace gantry::stages
