// SPDX-License-Identifier: Apache-2.0
// WatchStageHealth over a real connection.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/service/service_fixture.h"

namespace gantry::service {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// One stream, read an event at a time. Cancelled when it goes.
class Watch {
 public:
  Watch(v1::PromotionStepService::Stub& stub, const v1::WatchStageHealthRequest& request)
      : reader_(stub.WatchStageHealth(&context_, request)) {}
  ~Watch() {
    Cancel();
    Finish();
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // In words: "team-a/prod UNHEALTHY", "team-a/prod deleted", "synced"; "end" when there is none.
  std::string Next() {
    v1::WatchStageHealthResponse event;
    if (!reader_->Read(&event)) return "end";
    last_ = event;
    EXPECT_TRUE(event.has_observed_time());
    switch (event.event_case()) {
      case v1::WatchStageHealthResponse::kUpdated:
        return absl::StrCat(
            event.updated().project(), "/", event.updated().stage(), " ",
            v1::HealthState_Name(event.updated().state()).substr(sizeof "HEALTH_STATE"));
      case v1::WatchStageHealthResponse::kDeleted:
        return absl::StrCat(event.deleted().project(), "/", event.deleted().stage(), " deleted");
      case v1::WatchStageHealthResponse::kSynced:
        return "synced";
      case v1::WatchStageHealthResponse::EVENT_NOT_SET:
        break;
    }
    return "nothing";
  }
  // What comes before `synced`.
  std::vector<std::string> UntilSynced() {
    std::vector<std::string> events;
    while (true) {
      const std::string event = Next();
      if (event == "synced") return events;
      events.push_back(event);
      if (event == "end") return events;
    }
  }
  const v1::WatchStageHealthResponse& last() const { return last_; }

  void Cancel() { context_.TryCancel(); }
  const grpc::Status& Finish() {
    if (finished_) return *finished_;
    v1::WatchStageHealthResponse event;
    while (reader_->Read(&event)) {
    }
    return finished_.emplace(reader_->Finish());
  }

 private:
  grpc::ClientContext context_;
  const std::unique_ptr<grpc::ClientReader<v1::WatchStageHealthResponse>> reader_;
  v1::WatchStageHealthResponse last_;
  std::optional<grpc::Status> finished_;
};

class HealthWatchTest : public ServiceTest {
 protected:
  static v1::WatchStageHealthRequest Of(const std::string& project, const std::string& stage = "") {
    v1::WatchStageHealthRequest request;
    request.set_project(project);
    request.set_stage(stage);
    return request;
  }
  void Publish(const std::string& project, const std::string& stage, const std::string& state,
               const std::string& message = "") {
    PutStage(project, stage, Indicator(state, message));
    Evaluate();
  }
};

TEST_F(HealthWatchTest, TellsWhatThereIsThenWhatChanges) {
  Fill();
  Publish("b", "prod", "Healthy");
  Publish("a", "test", "Unhealthy");
  Publish("a", "prod", "Healthy");
  Watch watch(*stub_, Of(""));
  EXPECT_THAT(watch.UntilSynced(),
              ElementsAre("a/prod HEALTHY", "a/test UNHEALTHY", "b/prod HEALTHY"));
  Publish("a", "prod", "Progressing", "on its way");
  EXPECT_EQ(watch.Next(), "a/prod PROGRESSING");
  EXPECT_EQ(watch.last().updated().SerializeAsString(),
            health_.Find({"a", "prod"})->Health().SerializeAsString());
  Publish("c", "new", "Healthy");
  EXPECT_EQ(watch.Next(), "c/new HEALTHY");
  DeleteStage("a", "test");
  Evaluate();
  EXPECT_EQ(watch.Next(), "a/test deleted");
  Publish("a", "test", "Healthy");
  EXPECT_EQ(watch.Next(), "a/test HEALTHY");
}

TEST_F(HealthWatchTest, WithoutStagesItIsSyncedAtOnce) {
  Fill();
  Watch watch(*stub_, Of(""));
  EXPECT_THAT(watch.UntilSynced(), IsEmpty());
  Publish("a", "prod", "Healthy");
  EXPECT_EQ(watch.Next(), "a/prod HEALTHY");
}

TEST_F(HealthWatchTest, CoversWhatWasAskedForAlone) {
  Fill();
  for (const std::string project : {"a", "a-b", "b"}) {
    Publish(project, "test", "Healthy");
    Publish(project, "prod", "Healthy");
  }
  Watch project(*stub_, Of("a"));
  Watch stage(*stub_, Of("a", "prod"));
  Watch future(*stub_, Of("a", "future"));
  EXPECT_THAT(project.UntilSynced(), ElementsAre("a/prod HEALTHY", "a/test HEALTHY"));
  EXPECT_THAT(stage.UntilSynced(), ElementsAre("a/prod HEALTHY"));
  EXPECT_THAT(future.UntilSynced(), IsEmpty());

  Publish("a-b", "prod", "Unhealthy");
  Publish("b", "prod", "Unhealthy");
  Publish("a", "test", "Unhealthy");
  Publish("a", "prod", "Unhealthy");
  Publish("a", "future", "Unhealthy");
  EXPECT_EQ(stage.Next(), "a/prod UNHEALTHY");
  EXPECT_EQ(future.Next(), "a/future UNHEALTHY");
  // In which order depends on how many have changed by the first one's turn.
  EXPECT_THAT((std::vector<std::string>{project.Next(), project.Next(), project.Next()}),
              ::testing::UnorderedElementsAre("a/future UNHEALTHY", "a/prod UNHEALTHY",
                                              "a/test UNHEALTHY"));
}

TEST_F(HealthWatchTest, StaleEvidenceIsAChange) {
  Fill();
  Publish("a", "prod", "Healthy");
  Watch watch(*stub_, Of("a", "prod"));
  EXPECT_THAT(watch.UntilSynced(), ElementsAre("a/prod HEALTHY"));
  clock_.Advance(testing::WatchedCaches::kLimit + absl::Seconds(1));
  Evaluate();
  EXPECT_EQ(watch.Next(), "a/prod UNKNOWN");
  watched_.UpToDate();
  Evaluate();
  EXPECT_EQ(watch.Next(), "a/prod HEALTHY");
}

TEST_F(HealthWatchTest, IsNotServedBeforeTheCachesAreFilled) {
  Watch watch(*stub_, Of(""));
  EXPECT_EQ(watch.Next(), "end");
  EXPECT_EQ(watch.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ErrorOf(watch.Finish()).reason, "gantry.dev/CACHES_NOT_FILLED");
  EXPECT_TRUE(ErrorOf(watch.Finish()).retry);
}

TEST_F(HealthWatchTest, BadRequestsAreTold) {
  Fill();
  struct {
    const char* name;
    v1::WatchStageHealthRequest request;
    const char* field;
  } const table[] = {
      {"StageWithoutProject", Of("", "prod"), "project"},
      {"Project", Of("Team"), "project"},
      {"Stage", Of("a", "Prod"), "stage"},
      {"TooLongTogether", Of("team-a", std::string(247, 's')), "stage"},
  };
  for (const auto& c : table) {
    Watch watch(*stub_, c.request);
    EXPECT_EQ(watch.Next(), "end") << c.name;
    EXPECT_EQ(watch.Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT) << c.name;
    EXPECT_THAT(ViolatedFields(watch.Finish()), ElementsAre(c.field)) << c.name;
  }
}

TEST_F(HealthWatchTest, ASlowReaderGetsTheLatestStateAndFewMessages) {
  Fill();
  // A client that takes little in advance.
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  const auto stub = v1::PromotionStepService::NewStub(NewChannel(arguments));
  Watch watch(*stub, Of("p"));
  EXPECT_THAT(watch.UntilSynced(), IsEmpty());
  constexpr int kChanges = 2000;
  const auto message = [](int i) { return absl::StrCat(i, " ", std::string(1000, 'x')); };
  for (int i = 1; i <= kChanges; ++i) {
    Publish("p", i % 2 == 0 ? "even" : "odd", "Unhealthy", message(i));
  }
  std::map<std::string, std::string> latest;
  int messages = 0;
  while (latest["even"] != message(kChanges) || latest["odd"] != message(kChanges - 1)) {
    ASSERT_NE(watch.Next(), "end");
    const v1::StageHealth& health = watch.last().updated();
    ASSERT_EQ(health.indicators_size(), 1);
    latest[health.stage()] = health.indicators(0).message();
    ++messages;
  }
  EXPECT_LT(messages, kChanges / 2);
  // And goes on.
  Publish("p", "last", "Healthy");
  EXPECT_EQ(watch.Next(), "p/last HEALTHY");
}

TEST_F(HealthWatchTest, AReaderThatDoesNotReadHoldsUpNobody) {
  Fill();
  Watch idle(*stub_, Of(""));
  Watch reading(*stub_, Of("p", "s"));
  EXPECT_THAT(reading.UntilSynced(), IsEmpty());
  for (int i = 0; i < 200; ++i) {
    for (int s = 0; s < 10; ++s) {
      PutStage("p", absl::StrCat("s", s),
               Indicator("Unhealthy", absl::StrCat(i, std::string(1000, 'x'))));
    }
    Evaluate();
  }
  Publish("p", "s", "Healthy");
  EXPECT_EQ(reading.Next(), "p/s HEALTHY");
}

TEST_F(HealthWatchTest, ManyStreamsMayComeAndGoWhileMuchChanges) {
  Fill();
  for (int i = 0; i < 20; ++i) Publish("p", absl::StrCat("s", i), "Healthy");
  constexpr int kThreads = 4;
  constexpr int kRounds = 25;
  std::atomic<int> done{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < kThreads; ++t) {
    readers.emplace_back([&, t] {
      for (int round = 0; round < kRounds; ++round) {
        std::vector<std::unique_ptr<Watch>> watches;
        for (int i = 0; i < 4; ++i) watches.push_back(std::make_unique<Watch>(*stub_, Of("p")));
        // Cancelled at once, in the middle, or after a change.
        for (int i = 0; i < (t + round) % 4; ++i) watches[static_cast<std::size_t>(i)]->Next();
        if (round % 5 == 0) watches[0]->UntilSynced();
        for (const auto& watch : watches) watch->Cancel();
        for (const auto& watch : watches) {
          EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::CANCELLED);
        }
      }
      ++done;
    });
  }
  for (int i = 0; done < kThreads; ++i) {
    Publish("p", absl::StrCat("s", i % 20), i % 3 == 0 ? "Healthy" : "Unhealthy", absl::StrCat(i));
  }
  for (std::thread& reader : readers) reader.join();
  Watch watch(*stub_, Of("p"));
  EXPECT_EQ(watch.UntilSynced().size(), 20u);
}

TEST_F(HealthWatchTest, DrainingEndsTheStreams) {
  Fill();
  Publish("p", "s", "Healthy");
  Watch all(*stub_, Of(""));
  Watch one(*stub_, Of("p", "s"));
  all.UntilSynced();
  one.UntilSynced();
  service_->StartDraining();
  Watch late(*stub_, Of(""));
  for (Watch* watch : {&all, &one, &late}) {
    EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(ErrorOf(watch->Finish()).reason, "gantry.dev/SERVER_DRAINING");
    EXPECT_TRUE(ErrorOf(watch->Finish()).retry);
  }
}

TEST_F(HealthWatchTest, AServerThatStopsTellsItsReadersSo) {
  Fill();
  std::vector<std::unique_ptr<Watch>> watches;
  for (int i = 0; i < 10; ++i) {
    watches.push_back(std::make_unique<Watch>(*stub_, Of("")));
    watches.back()->UntilSynced();
  }
  server_->Shutdown(absl::Hours(1));
  for (const auto& watch : watches) {
    EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(ErrorOf(watch->Finish()).reason, "gantry.dev/SERVER_DRAINING")
        << watch->Finish().error_message();
  }
}

TEST_F(HealthWatchTest, AReaderThatDoesNotReadDoesNotHoldUpTheEnd) {
  Fill();
  Watch watch(*stub_, Of(""));
  // More than a connection takes unread.
  for (int s = 0; s < 1000; ++s) {
    PutStage("p", absl::StrCat("s", s), Indicator("Unhealthy", std::string(1000, 'x')));
  }
  Evaluate();
  server_->Shutdown(absl::ZeroDuration());
  EXPECT_EQ(watch.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(HealthWatchTest, StoppingMayRaceWithNewStreams) {
  Fill();
  for (int i = 0; i < 10; ++i) Publish("p", absl::StrCat("s", i), "Healthy");
  Results<int> opened;
  std::vector<std::thread> readers;
  for (int t = 0; t < 4; ++t) {
    readers.emplace_back([&] {
      const auto stub = v1::PromotionStepService::NewStub(NewChannel());
      while (true) {
        Watch watch(*stub, Of(""));
        const std::string first = watch.Next();
        opened.Add(0);
        if (first == "end") return;
      }
    });
  }
  opened.WaitFor(20);
  server_->Shutdown(absl::Hours(1));
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace gantry::service
