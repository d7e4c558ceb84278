// SPDX-License-Identifier: Apache-2.0
#include "server/cache/stage_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_kubernetes.h"

namespace gantry::cache {
namespace {

using kubernetes::EventType;
using kubernetes::JsonText;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const StageName kProd = {"shop", "prod"};

json Stage(const std::string& version = "7") {
  return {{"metadata", {{"name", "shop.prod"}, {"uid", "u1"}, {"resourceVersion", version}}},
          {"spec", {{"promotion", {{"name", "p1"}, {"phase", "Running"}}}}},
          {"status", {{"state", "Unknown"}}}};
}

class StageSinkTest : public ::testing::Test {
 protected:
  StageSinkTest() {
    cache_.SetListener([this](const StageName& name) { told_.push_back(name.stage); });
  }
  absl::StatusOr<std::string> Put(const json& object) {
    return sink_.Put(EventType::kAdded, JsonText(object.dump()).padded());
  }

  testing::FakeClock clock_;
  StageCache cache_{clock_};
  Freshness freshness_{absl::Seconds(60), clock_};
  std::vector<std::string> problems_;
  StageSink sink_{cache_, freshness_, freshness_.AddSource("stagehealths", "x"),
                  [this](std::string_view problem) { problems_.emplace_back(problem); }};
  std::vector<std::string> told_;
};

TEST_F(StageSinkTest, ReadsRecordAndStatus) {
  const auto version = Put(Stage());
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(*version, "7");
  const CachedStagePtr stage = cache_.Find(kProd);
  ASSERT_NE(stage, nullptr);
  EXPECT_EQ(stage->uid, "u1");
  EXPECT_EQ(stage->resource_version, "7");
  EXPECT_EQ(stage->record.project, "shop");
  EXPECT_EQ(stage->record.stage, "prod");
  EXPECT_EQ(stage->record.promotion.name, "p1");
  EXPECT_EQ(stage->status.state, v1::HEALTH_STATE_UNKNOWN);
  EXPECT_THAT(problems_, IsEmpty());
}

TEST_F(StageSinkTest, TheFirstDotOfTheNameSplitsItWhateverTheContentClaims) {
  json object = Stage();
  object["metadata"]["name"] = "shop.prod.eu.1";
  object["metadata"]["labels"] = {{"gantry.dev/project", "other"}};
  object["spec"]["project"] = "other";
  ASSERT_TRUE(Put(object).ok());
  EXPECT_NE(cache_.Find({"shop", "prod.eu.1"}), nullptr);
  EXPECT_EQ(cache_.size(), 1U);
}

TEST_F(StageSinkTest, ANameWithoutADotIsNobodysStage) {
  json object = Stage();
  object["metadata"]["name"] = "stray";
  const auto version = Put(object);
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(*version, "7");
  EXPECT_EQ(cache_.size(), 0U);
  EXPECT_TRUE(sink_.Delete(JsonText(object.dump()).padded()).ok());
}

TEST_F(StageSinkTest, WithoutSpecAndStatusItIsAnEmptyRecord) {
  json object = Stage();
  object.erase("spec");
  object.erase("status");
  ASSERT_TRUE(Put(object).ok());
  EXPECT_EQ(cache_.Find(kProd)->problem, "");
  EXPECT_EQ(cache_.Find(kProd)->record.promotion.name, "");
}

TEST_F(StageSinkTest, ARecordThatIsNotUnderstoodIsKeptWithItsProblemAndNothingElse) {
  json object = Stage();
  object["spec"]["steps"] = 7;
  ASSERT_TRUE(Put(object).ok());
  const CachedStagePtr stage = cache_.Find(kProd);
  ASSERT_NE(stage, nullptr);
  EXPECT_NE(stage->problem, "");
  EXPECT_EQ(stage->record.project, "shop");
  EXPECT_EQ(stage->record.stage, "prod");
  EXPECT_EQ(stage->record.promotion.name, "");
  ASSERT_THAT(problems_, SizeIs(1));
  EXPECT_THAT(problems_[0], HasSubstr("shop/prod can't be understood"));

  ASSERT_TRUE(Put(Stage("8")).ok());
  EXPECT_EQ(cache_.Find(kProd)->problem, "");
  EXPECT_THAT(problems_, SizeIs(1));
  EXPECT_THAT(told_, ElementsAre("prod", "prod"));
}

TEST_F(StageSinkTest, AStatusOfAnotherHandCountsAsAbsent) {
  for (const json& status : {json(7), json("x"), json(nullptr), json({{"state", 7}}),
                             json({{"transitionTime", "infinite-future"}})}) {
    json object = Stage();
    object["status"] = status;
    ASSERT_TRUE(Put(object).ok()) << status;
    EXPECT_EQ(cache_.Find(kProd)->problem, "") << status;
    EXPECT_EQ(cache_.Find(kProd)->status, stages::StageStatus()) << status;
  }
}

TEST_F(StageSinkTest, WithoutReadableMetadataTheStreamEnds) {
  json no_name = Stage();
  no_name["metadata"]["name"] = 7;
  json no_version = Stage();
  no_version["metadata"].erase("resourceVersion");
  for (const std::string& text :
       {std::string(), std::string("["), std::string("null"), std::string("[]"), std::string("{}"),
        std::string(R"({"metadata": 7})"), no_name.dump(), no_version.dump()}) {
    EXPECT_FALSE(sink_.Put(EventType::kAdded, JsonText(text).padded()).ok()) << text;
    EXPECT_FALSE(sink_.Delete(JsonText(text).padded()).ok()) << text;
  }
  EXPECT_EQ(cache_.size(), 0U);
}

TEST_F(StageSinkTest, DeletesAndLists) {
  ASSERT_TRUE(Put(Stage()).ok());
  const auto deleted = sink_.Delete(JsonText(Stage("9").dump()).padded());
  ASSERT_TRUE(deleted.ok());
  EXPECT_EQ(*deleted, "9");
  EXPECT_EQ(cache_.size(), 0U);
  ASSERT_TRUE(Put(Stage("10")).ok());
  sink_.BeginList();
  sink_.EndList("");
  EXPECT_EQ(cache_.size(), 0U);
  EXPECT_TRUE(freshness_.AllSynced());
  sink_.UpToDate(clock_.SinceBoot());
  EXPECT_FALSE(freshness_.ReadAll().stale);
}

TEST_F(StageSinkTest, AChangeOfWhatNobodyReadsIsNotTold) {
  ASSERT_TRUE(Put(Stage()).ok());
  json object = Stage("8");
  object["metadata"]["labels"] = {{"x", "y"}};
  ASSERT_TRUE(Put(object).ok());
  EXPECT_THAT(told_, ElementsAre("prod"));
  EXPECT_EQ(cache_.Find(kProd)->resource_version, "8");
}

TEST_F(StageSinkTest, WhatWasSavedIsThereAtOnceAlsoWhenItIsNew) {
  testing::FakeKubernetes kubernetes;
  stages::StageStore store(kubernetes, "gantry-system");
  store.SetListener([this](const stages::StoredStage& stage) { PutOwnWrite(cache_, stage); });
  base::Context context;
  auto stored = store.Load("shop", "prod", context);
  ASSERT_TRUE(stored.ok());
  stages::MakeCurrent(stored->record, "p1");
  ASSERT_EQ(*store.Save(*stored, context), stages::SaveOutcome::kSaved);
  ASSERT_NE(cache_.Find(kProd), nullptr);
  EXPECT_EQ(cache_.Find(kProd)->record, stored->record);
  const json first = kubernetes.Read("stagehealths", "gantry-system", "shop.prod");
  stages::MakeCurrent(stored->record, "p2");
  ASSERT_EQ(*store.Save(*stored, context), stages::SaveOutcome::kSaved);
  ASSERT_TRUE(Put(first).ok());  // the watch is behind
  EXPECT_EQ(cache_.Find(kProd)->record.promotion.name, "p2");
}

json StageOf(std::int64_t generation, const std::string& version, const std::string& uid = "u1") {
  json object = Stage(version);
  object["metadata"]["generation"] = generation;
  object["metadata"]["uid"] = uid;
  return object;
}

// What another generation says is seen by giving the same one another record, which no API server
// does.
TEST_F(StageSinkTest, ARecordIsReadOncePerGeneration) {
  ASSERT_TRUE(Put(StageOf(3, "7")).ok());
  json object = StageOf(3, "8");
  object["spec"]["promotion"]["name"] = "p2";
  object["status"]["state"] = "Healthy";
  ASSERT_TRUE(Put(object).ok());
  EXPECT_EQ(cache_.Find(kProd)->record.promotion.name, "p1");
  EXPECT_EQ(cache_.Find(kProd)->status.state, v1::HEALTH_STATE_HEALTHY);
  EXPECT_EQ(cache_.Find(kProd)->resource_version, "8");

  object = StageOf(3, "9", "u2");
  object["spec"]["promotion"]["name"] = "p2";
  ASSERT_TRUE(Put(object).ok());
  EXPECT_EQ(cache_.Find(kProd)->record.promotion.name, "p2") << "another object";
  object = StageOf(4, "10", "u2");
  object["spec"]["promotion"]["name"] = "p3";
  ASSERT_TRUE(Put(object).ok());
  EXPECT_EQ(cache_.Find(kProd)->record.promotion.name, "p3") << "another generation";
}

TEST_F(StageSinkTest, WithoutAGenerationEachVersionIsRead) {
  ASSERT_TRUE(Put(Stage("7")).ok());
  json object = Stage("8");
  object["spec"]["promotion"]["name"] = "p2";
  ASSERT_TRUE(Put(object).ok());
  EXPECT_EQ(cache_.Find(kProd)->record.promotion.name, "p2");
}

TEST_F(StageSinkTest, AProblemIsToldOncePerGeneration) {
  json object = StageOf(3, "7");
  object["spec"]["steps"] = 7;
  ASSERT_TRUE(Put(object).ok());
  object["metadata"]["resourceVersion"] = "8";
  ASSERT_TRUE(Put(object).ok());
  EXPECT_NE(cache_.Find(kProd)->problem, "");
  EXPECT_THAT(problems_, SizeIs(1));
}

TEST_F(StageSinkTest, TheOrderOfTheFieldsDoesNotMatter) {
  ASSERT_TRUE(sink_
                  .Put(EventType::kAdded,
                       JsonText(R"({"status": {"state": "Healthy"}, "spec": {"promotion": {"name":)"
                                R"( "p1", "phase": "Running"}}, "metadata": {"resourceVersion":)"
                                R"( "7", "name": "shop.prod"}})")
                           .padded())
                  .ok());
  EXPECT_EQ(cache_.Find(kProd)->record.promotion.name, "p1");
  EXPECT_EQ(cache_.Find(kProd)->status.state, v1::HEALTH_STATE_HEALTHY);
}

TEST_F(StageSinkTest, ASavedRecordKeepsTheStatusAndASavedStatusTheRecord) {
  testing::FakeKubernetes kubernetes;
  stages::StageStore store(kubernetes, "gantry-system");
  store.SetListener([this](const stages::StoredStage& stage) { PutOwnWrite(cache_, stage); });
  store.SetStatusListener(
      [this](const stages::SavedStatus& status) { PutOwnWrite(cache_, status); });
  base::Context context;
  auto stored = store.Load("shop", "prod", context);
  ASSERT_TRUE(stored.ok());
  ASSERT_EQ(*store.Save(*stored, context), stages::SaveOutcome::kSaved);

  stages::StageStatus status;
  status.state = v1::HEALTH_STATE_HEALTHY;
  const std::string version = stored->resource_version;
  ASSERT_TRUE(store.SaveStatus("shop", "prod", version, status, context).ok());
  EXPECT_EQ(cache_.Find(kProd)->status, status);
  EXPECT_EQ(cache_.Find(kProd)->record, stored->record);

  stored = store.Load("shop", "prod", context);
  ASSERT_TRUE(stored.ok());
  stages::MakeCurrent(stored->record, "p1");
  ASSERT_EQ(*store.Save(*stored, context), stages::SaveOutcome::kSaved);
  EXPECT_EQ(cache_.Find(kProd)->status, status);
  EXPECT_EQ(cache_.Find(kProd)->record.promotion.name, "p1");
  EXPECT_EQ(cache_.Find(kProd)->resource_version, stored->resource_version);

  // What a watch brings of it is what is there.
  const auto told = told_.size();
  ASSERT_TRUE(Put(kubernetes.Read("stagehealths", "gantry-system", "shop.prod")).ok());
  EXPECT_EQ(told_.size(), told);
  // A status that was saved to an older version than the one that is known is left to the watch.
  PutOwnWrite(cache_, {.project = "shop",
                       .stage = "prod",
                       .uid = stored->uid,
                       .old_resource_version = version,
                       .new_resource_version = "1000",
                       .status = stages::StageStatus()});
  EXPECT_EQ(cache_.Find(kProd)->status, status);
}

}  // namespace
}  // namespace gantry::cache
