// SPDX-License-Identifier: Apache-2.0
#include "server/health/health_watch.h"

#include <thread>

#include "tests/server/health/health_fixture.h"

namespace gantry::health {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class HealthWatchTest : public HealthFixture {
 protected:
  ~HealthWatchTest() override {
    if (watch_ != nullptr) health_.RemoveListener(watch_.get());
  }
  void Watch(const std::string& project = "", const std::string& stage = "") {
    watch_ = std::make_shared<HealthWatch>(health_, project, stage, [this] { ++news_; });
    health_.AddListener(watch_);
    watch_->Begin();
  }
  static std::string Text(const HealthWatch::Event& event) {
    if (event.kind == HealthWatch::Event::Kind::kSynced) return "synced";
    const std::string name = event.name.project + "/" + event.name.stage;
    if (event.kind == HealthWatch::Event::Kind::kDeleted) {
      EXPECT_EQ(event.snapshot, nullptr);
      return "deleted " + name;
    }
    EXPECT_EQ(event.snapshot->name, event.name);
    return name + " " + v1::HealthState_Name(event.snapshot->state).substr(13);
  }
  std::string Next() {
    const auto event = watch_->Next();
    return event ? Text(*event) : "wait";
  }
  // All there is.
  std::vector<std::string> Events() {
    std::vector<std::string> events;
    while (const auto event = watch_->Next()) events.push_back(Text(*event));
    return events;
  }
  // The Stage's check is about an Application that is not there, or there is no check.
  void Put(const std::string& stage, bool healthy) {
    PutStage(Stage(stage, healthy ? std::vector<std::string>() : std::vector<std::string>{"gone"}));
    health_.EvaluateDue();
  }
  void Delete(const std::string& stage) {
    DeleteStage(Stage(stage, {}));
    health_.EvaluateDue();
  }

  std::shared_ptr<HealthWatch> watch_;
  int news_ = 0;
};

TEST_F(HealthWatchTest, TellsWhatThereIsThenSyncedThenChanges) {
  Put("shop.b", true);
  Put("shop.a", false);
  Sync();
  Watch();
  EXPECT_THAT(Events(), ElementsAre("shop/a UNKNOWN", "shop/b HEALTHY", "synced"));
  EXPECT_THAT(Events(), IsEmpty());
  Put("shop.a", true);
  Put("shop.c", true);
  Delete("shop.b");
  EXPECT_THAT(Events(), ElementsAre("shop/a HEALTHY", "deleted shop/b", "shop/c HEALTHY"));
  EXPECT_THAT(Events(), IsEmpty());
}

TEST_F(HealthWatchTest, WithoutAnyStageItIsSyncedAtOnce) {
  Sync();
  Watch();
  EXPECT_THAT(Events(), ElementsAre("synced"));
}

TEST_F(HealthWatchTest, CoversAProjectOrOneStage) {
  for (const char* name : {"pay.prod", "shop.prod", "shop.test", "shopping.prod"}) Put(name, true);
  Sync();
  Watch("shop");
  EXPECT_THAT(Events(), ElementsAre("shop/prod HEALTHY", "shop/test HEALTHY", "synced"));
  for (const char* name : {"pay.prod", "shop.test", "shopping.prod"}) Put(name, false);
  EXPECT_THAT(Events(), ElementsAre("shop/test UNKNOWN"));
  health_.RemoveListener(watch_.get());

  Watch("shop", "prod");
  EXPECT_THAT(Events(), ElementsAre("shop/prod HEALTHY", "synced"));
  Put("shop.test", true);
  Put("pay.prod", true);
  EXPECT_EQ(news_, 0 + 1);  // of the watch on the project, which waited before
  EXPECT_THAT(Events(), IsEmpty());
  Delete("shop.prod");
  EXPECT_THAT(Events(), ElementsAre("deleted shop/prod"));
  Put("shop.prod", true);
  EXPECT_THAT(Events(), ElementsAre("shop/prod HEALTHY"));
}

TEST_F(HealthWatchTest, AStageThatDoesNotExistYetMayBeWatched) {
  Sync();
  Watch("shop", "prod");
  EXPECT_THAT(Events(), ElementsAre("synced"));
  Put("shop.prod", true);
  EXPECT_THAT(Events(), ElementsAre("shop/prod HEALTHY"));
}

TEST_F(HealthWatchTest, ASlowReaderGetsTheLatestOfEachStageOnce) {
  Put("shop.a", true);
  Sync();
  Watch();
  Events();
  for (int i = 0; i < 5; ++i) {
    Put("shop.a", i % 2 != 0);
    Put("shop.b", i % 2 == 0);
  }
  EXPECT_THAT(Events(), ElementsAre("shop/a UNKNOWN", "shop/b HEALTHY"));
  Delete("shop.a");
  Put("shop.a", true);
  EXPECT_THAT(Events(), ElementsAre("shop/a HEALTHY"));
}

TEST_F(HealthWatchTest, WhatChangesBeforeItsFirstTurnIsToldOnce) {
  for (const char* name : {"shop.a", "shop.b", "shop.c"}) Put(name, true);
  Sync();
  Watch();
  EXPECT_EQ(Next(), "shop/a HEALTHY");
  Put("shop.a", false);  // after its turn
  Put("shop.b", false);  // before its turn
  Delete("shop.c");      // the reader never heard of it
  EXPECT_EQ(Next(), "shop/b UNKNOWN");
  EXPECT_EQ(Next(), "synced");
  EXPECT_EQ(Next(), "shop/a UNKNOWN");
  EXPECT_EQ(Next(), "wait");
}

TEST_F(HealthWatchTest, NoChangeFallsBetweenListeningAndBeginning) {
  Put("shop.a", true);
  Put("shop.b", true);
  Sync();
  watch_ = std::make_shared<HealthWatch>(health_, "", "", [this] { ++news_; });
  health_.AddListener(watch_);
  Put("shop.a", false);
  watch_->Begin();
  Put("shop.b", false);
  EXPECT_THAT(Events(), ElementsAre("shop/a UNKNOWN", "shop/b UNKNOWN", "synced"));
}

TEST_F(HealthWatchTest, OneWaitOneCall) {
  Put("shop.a", true);
  Sync();
  Watch();
  Put("shop.a", false);
  EXPECT_EQ(news_, 0);  // nobody waits
  Events();
  Put("shop.a", true);
  EXPECT_EQ(news_, 1);
  Put("shop.a", false);
  Put("shop.b", true);
  EXPECT_EQ(news_, 1);  // told already
  Events();
  EXPECT_EQ(news_, 1);
  Put("shop.b", false);
  EXPECT_EQ(news_, 2);
}

TEST_F(HealthWatchTest, AReaderOnAnotherThreadSeesTheLastState) {
  Put("shop.a", true);
  Sync();
  base::Mutex mutex;
  base::ConditionVariable wake;
  int calls = 0;
  watch_ = std::make_shared<HealthWatch>(health_, "", "", [&] {
    {
      base::MutexLock lock(mutex);
      ++calls;
    }
    wake.NotifyOne();
  });
  health_.AddListener(watch_);
  watch_->Begin();
  std::string last;
  std::thread reader([&] {
    int seen = 0;
    while (last != "deleted shop/a") {
      if (const auto event = watch_->Next()) {
        last = Text(*event);
        continue;
      }
      base::MutexLock lock(mutex);
      while (calls == seen) wake.Wait(mutex);
      ++seen;
    }
  });
  for (int i = 0; i < 50; ++i) Put("shop.a", i % 2 == 0);
  Delete("shop.a");
  reader.join();
  EXPECT_EQ(last, "deleted shop/a");
}

}  // namespace
}  // namespace gantry::health
