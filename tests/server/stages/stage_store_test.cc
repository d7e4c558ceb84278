// SPDX-License-Identifier: Apache-2.0
#include "server/stages/stage_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "server/kubernetes/api/error.h"
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

  SaveOutcome Save(StoredStage& stage) {
    const absl::StatusOr<SaveOutcome> outcome = store_.Save(stage, context_);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    return outcome.ok() ? *outcome : SaveOutcome::kConflict;
  }
  nlohmann::json Stored() {
    return kubernetes_.Read("stagehealths", "gantry-system", "shop.prod.eu");
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
  ASSERT_EQ(Save(stage), SaveOutcome::kSaved);
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
  ASSERT_EQ(Save(stage), SaveOutcome::kSaved);
  const nlohmann::json object =
      kubernetes_.Read("stagehealths", "gantry-system", "shop." + std::string(64, 's'));
  EXPECT_EQ(object["metadata"]["labels"]["gantry.dev/project"], "shop");
  EXPECT_FALSE(object["metadata"]["labels"].contains("gantry.dev/stage"));
}

TEST_F(StageStoreTest, AResourceMadeAnewMeanwhileIsAConflict) {
  StoredStage stage = Load();
  ASSERT_EQ(Save(stage), SaveOutcome::kSaved);
  kubernetes_.Remove("stagehealths", "gantry-system", "shop.prod.eu");
  StoredStage other;
  other.record.project = "shop";
  other.record.stage = "prod.eu";
  ASSERT_EQ(Save(other), SaveOutcome::kSaved);
  MakeCurrent(stage.record, "p1");
  EXPECT_EQ(Save(stage), SaveOutcome::kConflict);
  EXPECT_FALSE(Stored()["spec"].contains("promotion"));
}

TEST_F(StageStoreTest, WhatWasSavedIsNotReadAgain) {
  StoredStage stage = Load();
  EXPECT_EQ(stage.resource_version, "");
  std::vector<std::string> told;
  store_.SetListener([&](const StoredStage& saved) {
    told.push_back(saved.resource_version);
    EXPECT_EQ(saved.record, stage.record);
  });
  for (const char* promotion : {"p1", "p2"}) {
    MakeCurrent(stage.record, promotion);
    ASSERT_EQ(Save(stage), SaveOutcome::kSaved);
    EXPECT_EQ(stage.resource_version, Stored()["metadata"]["resourceVersion"]);
    EXPECT_EQ(stage.uid, Stored()["metadata"]["uid"]);
    EXPECT_EQ(stage.generation, Stored()["metadata"]["generation"]);
    EXPECT_EQ(Load().record, stage.record);
  }
  EXPECT_THAT(told, ::testing::SizeIs(2));
  EXPECT_EQ(kubernetes_.Count("create", "stagehealths"), 1U);
  EXPECT_EQ(kubernetes_.Count("patch", "stagehealths"), 1U);
}

// A record in memory is taken for what is stored, so nothing may be in it that is not.
TEST_F(StageStoreTest, ARecordOfAnyContentIsWhatIsStored) {
  StoredStage stage = Load();
  StageRecord& record = stage.record;
  MakeCurrent(record, "p1");
  StepRecord& wait = EnsureStep(record, "wait", "argocd-wait", "hash");
  ApplicationRecord& waited = EnsureApplication(wait, {"argocd", "web"});
  waited.attempts = {.earlier = 2, .last = 2, .unmade = 1, .done = true, .others = 3};
  waited.desired_revisions = {"v1"};
  RecordAnswer(record, wait, v1::STEP_STATUS_SUCCEEDED, v1::STEP_REASON_UNSPECIFIED, "there",
               absl::FromUnixMillis(1'700'000'000'999));
  MakeCurrent(record, "p2");
  StepRecord& step = EnsureStep(record, "update", "argocd-update", "hash");
  EnsureApplication(step, {"argocd", "web"}).attempts = {
      .earlier = 0, .last = 2, .unmade = 1, .done = false, .others = 7};
  HealthCheckRecord check;
  check.application = {"argocd", "web"};
  check.finished_at = absl::FromUnixMillis(1'700'000'000'999);
  RegisterHealthCheck(record, check);
  ReportIndicator(record, "canary", v1::HEALTH_STATE_HEALTHY, "fine", absl::Milliseconds(1500),
                  absl::FromUnixMillis(1'700'000'000'999));
  ASSERT_EQ(Save(stage), SaveOutcome::kSaved);
  EXPECT_THAT(record.ended_waits, ::testing::SizeIs(1));
  EXPECT_EQ(Load().record, record);
}

TEST_F(StageStoreTest, AResponseThatIsNoJsonIsTheServersFault) {
  kubernetes_.Put("stagehealths",
                  {{"metadata", {{"namespace", "gantry-system"}, {"name", "shop.prod.eu"}}}});
  kubernetes_.respond = [](std::string) { return std::string("{\"metadata\":}"); };
  EXPECT_EQ(store_.Load("shop", "prod.eu", context_).status().code(),
            absl::StatusCode::kUnavailable);
  StoredStage stage;
  stage.record.project = "shop";
  stage.record.stage = "prod";
  EXPECT_EQ(store_.Save(stage, context_).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(StageStoreTest, SavingTwiceInARowWorksOnWhatWasStored) {
  StoredStage stage = Load();
  ASSERT_EQ(Save(stage), SaveOutcome::kSaved);
  MakeCurrent(stage.record, "p1");
  ASSERT_EQ(Save(stage), SaveOutcome::kSaved);
  EXPECT_EQ(Load().record.promotion.name, "p1");
}

TEST_F(StageStoreTest, KeepsStatusAndForeignMetadata) {
  StoredStage stage = Load();
  ASSERT_EQ(Save(stage), SaveOutcome::kSaved);
  nlohmann::json object = kubernetes_.Read("stagehealths", "gantry-system", "shop.prod.eu");
  object["metadata"]["annotations"]["note"] = "mine";
  object["spec"]["newField"] = 1;
  kubernetes_.Put("stagehealths", object);

  stage = Load();
  MakeCurrent(stage.record, "p1");
  ASSERT_EQ(Save(stage), SaveOutcome::kSaved);
  object = kubernetes_.Read("stagehealths", "gantry-system", "shop.prod.eu");
  EXPECT_EQ(object["metadata"]["annotations"]["note"], "mine");
  EXPECT_EQ(object["spec"]["newField"], 1);
}

TEST_F(StageStoreTest, WhoeverSavesSecondIsToldToDecideAgain) {
  StoredStage first = Load();
  StoredStage second = Load();
  ASSERT_EQ(Save(first), SaveOutcome::kSaved);
  EXPECT_EQ(Save(second), SaveOutcome::kConflict);  // both wanted to create it

  first = Load();
  second = Load();
  ASSERT_EQ(Save(first), SaveOutcome::kSaved);
  EXPECT_EQ(Save(second), SaveOutcome::kConflict);
}

TEST_F(StageStoreTest, AResourceDeletedMeanwhileIsAConflict) {
  StoredStage stage = Load();
  ASSERT_EQ(Save(stage), SaveOutcome::kSaved);
  kubernetes_.Remove("stagehealths", "gantry-system", "shop.prod.eu");
  EXPECT_EQ(Save(stage), SaveOutcome::kConflict);
  EXPECT_TRUE(Stored().is_null());
}

TEST_F(StageStoreTest, OtherErrorsAreThoseOfTheApi) {
  kubernetes_.before = [](const FakeKubernetes::Call& call) {
    return kubernetes::MakeError({.kind = kubernetes::ErrorKind::kForbidden, .http_status = 403},
                                 call.verb + " is not allowed");
  };
  EXPECT_EQ(kubernetes::KindOf(store_.Load("shop", "prod.eu", context_).status()),
            kubernetes::ErrorKind::kForbidden);
  StoredStage stage;
  EXPECT_EQ(kubernetes::KindOf(store_.Save(stage, context_).status()),
            kubernetes::ErrorKind::kForbidden);
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

class NoSleep final : public base::Sleeper {
 public:
  absl::Status Sleep(absl::Duration duration, base::Context& context) override {
    delays.push_back(duration);
    return context.Check();
  }
  std::vector<absl::Duration> delays;
};

class FixedRandom final : public base::Random {
 public:
  double Uniform() override { return 0.5; }
};

class StageStoreUpdateTest : public StageStoreTest {
 protected:
  absl::Status Update(const std::function<bool(StageRecord&)>& change) {
    return store_.Update("shop", "prod.eu", change, random_, sleeper_, context_);
  }
  void WriteAsSomebodyElse() {
    StoredStage stage = Load();
    ReportIndicator(stage.record, "other", v1::HEALTH_STATE_HEALTHY, std::to_string(++writes_),
                    std::nullopt, absl::UnixEpoch());
    ASSERT_EQ(Save(stage), SaveOutcome::kSaved);
  }

  FixedRandom random_;
  NoSleep sleeper_;
  int writes_ = 0;
};

TEST_F(StageStoreUpdateTest, CreatesAndChanges) {
  ASSERT_TRUE(Update([](StageRecord& record) {
                MakeCurrent(record, "p1");
                return true;
              }).ok());
  ASSERT_TRUE(Update([](StageRecord& record) {
                EXPECT_EQ(record.promotion.name, "p1");
                MakeCurrent(record, "p2");
                return true;
              }).ok());
  EXPECT_EQ(Load().record.promotion.name, "p2");
}

TEST_F(StageStoreUpdateTest, NothingToSaveIsNotSaved) {
  EXPECT_TRUE(Update([](StageRecord&) { return false; }).ok());
  EXPECT_EQ(kubernetes_.Count("create", "stagehealths"), 0U);
}

TEST_F(StageStoreUpdateTest, IsMadeAgainOnWhatSomebodyElseWrote) {
  int changes = 0;
  ASSERT_TRUE(Update([&](StageRecord& record) {
                if (++changes <= 2) WriteAsSomebodyElse();
                MakeCurrent(record, "p1");
                return true;
              }).ok());
  EXPECT_EQ(changes, 3);
  EXPECT_THAT(sleeper_.delays,
              ::testing::ElementsAre(absl::Milliseconds(20), absl::Milliseconds(40)));
  EXPECT_EQ(Load().record.promotion.name, "p1");
  EXPECT_EQ(Load().record.indicators.size(), 1U);
}

TEST_F(StageStoreUpdateTest, GivesUpAfterAFewTimes) {
  int changes = 0;
  const absl::Status status = Update([&](StageRecord& record) {
    ++changes;
    WriteAsSomebodyElse();
    MakeCurrent(record, "p1");
    return true;
  });
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  EXPECT_EQ(changes, 8);
}

TEST_F(StageStoreUpdateTest, EndsWithItsContext) {
  const absl::Status status = Update([&](StageRecord& record) {
    WriteAsSomebodyElse();
    MakeCurrent(record, "p1");
    context_.Cancel();
    return true;
  });
  EXPECT_FALSE(status.ok());
  EXPECT_FALSE(absl::IsAborted(status)) << status;
}

class SaveStatusTest : public StageStoreTest {
 protected:
  static nlohmann::json Object() {
    return {{"metadata", {{"namespace", "gantry-system"}, {"name", "shop.prod.eu"}}},
            {"spec", {{"promotion", {{"name", "p1"}, {"phase", "Running"}}}}}};
  }
  absl::Status Save(const std::string& version) {
    StageStatus status;
    status.state = v1::HEALTH_STATE_HEALTHY;
    return store_.SaveStatus("shop", "prod.eu", version, status, context_);
  }
};

TEST_F(SaveStatusTest, WritesTheStatusAndTellsTheListener) {
  kubernetes_.Put("stagehealths", Object());
  const std::string version = Stored()["metadata"]["resourceVersion"];
  std::vector<v1::HealthState> told;
  store_.SetStatusListener([&](const SavedStatus& saved) {
    told.push_back(saved.status.state);
    EXPECT_EQ(saved.project, "shop");
    EXPECT_EQ(saved.stage, "prod.eu");
    EXPECT_EQ(saved.uid, Stored()["metadata"]["uid"]);
    EXPECT_EQ(saved.old_resource_version, version);
    EXPECT_EQ(saved.new_resource_version, Stored()["metadata"]["resourceVersion"]);
  });
  ASSERT_TRUE(Save(version).ok());
  EXPECT_EQ(Stored()["status"]["state"], "Healthy");
  EXPECT_EQ(Stored()["spec"], Object()["spec"]);
  EXPECT_THAT(told, ::testing::ElementsAre(v1::HEALTH_STATE_HEALTHY));
  EXPECT_EQ(kubernetes_.Count("patch", "stagehealths/status"), 1U);

  EXPECT_TRUE(absl::IsAborted(Save(version)));  // it is not the current one any more
  EXPECT_EQ(told.size(), 1U);
}

TEST_F(SaveStatusTest, AResourceThatIsGoneIsAConflictAndOtherErrorsAreTheApis) {
  EXPECT_TRUE(absl::IsAborted(Save("1")));
  kubernetes_.before = [](const FakeKubernetes::Call&) {
    return kubernetes::MakeError({.kind = kubernetes::ErrorKind::kForbidden, .http_status = 403},
                                 "no");
  };
  EXPECT_EQ(kubernetes::KindOf(Save("1")), kubernetes::ErrorKind::kForbidden);
}

TEST_F(SaveStatusTest, ARecordThatIsNotUnderstoodHasAStatusAsWell) {
  nlohmann::json object = Object();
  object["spec"]["steps"] = 7;
  kubernetes_.Put("stagehealths", object);
  EXPECT_TRUE(Save(Stored()["metadata"]["resourceVersion"]).ok());
  EXPECT_EQ(Stored()["status"]["state"], "Healthy");
  EXPECT_EQ(Stored()["spec"]["steps"], 7);
}

}  // namespace
}  // namespace gantry::stages
