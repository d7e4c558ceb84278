// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd_standin/controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "server/kubernetes/api/error.h"
#include "tests/argocd_standin/json_access.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_kubernetes.h"

namespace gantry::argocd_standin {
namespace {

using gantry::testing::FakeClock;
using gantry::testing::FakeKubernetes;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

// A controller on an API server in memory, whose watch is played by the test.
class ControllerTest : public ::testing::Test {
 protected:
  ControllerTest() { sink_ = controller_.NewSink(""); }

  static json NewApplication() {
    return {
        {"metadata", {{"name", "web"}, {"namespace", "argocd"}, {"labels", {{"team", "shop"}}}}},
        {"spec",
         {{"project", "shop"}, {"source", {{"repoURL", "r"}, {"targetRevision", "main"}}}}}};
  }

  json Application() { return kubernetes_.Read("applications", "argocd", "web"); }
  std::string Phase() { return TextAt(Application(), {"status", "operationState", "phase"}); }

  // Somebody writes it; the watch does not tell yet.
  void Store(const json& application) { kubernetes_.Put("applications", application); }
  void Change(const json& patch) {
    json application = Application();
    application.merge_patch(patch);
    Store(application);
  }
  // The watch brings it as it is.
  void Bring() {
    const auto put = sink_->Put(kubernetes::EventType::kModified,
                                kubernetes::JsonText(Application().dump()).padded());
    EXPECT_TRUE(put.ok()) << put.status();
  }
  absl::Duration Work() { return controller_.WorkOff(context_); }
  absl::Duration WorkAfter(absl::Duration duration) {
    clock_.Advance(duration);
    return Work();
  }

  void BringNew() {
    Store(NewApplication());
    Bring();
    Work();
  }
  void Request() {
    Change({{"operation", {{"sync", json::object()}}}});
    Bring();
  }

  static Settings TestSettings() {
    Settings settings;
    settings.resync = absl::ZeroDuration();
    return settings;
  }

  FakeClock clock_;
  FakeKubernetes kubernetes_;
  base::Context context_;
  std::ostringstream log_;
  Controller controller_{{kubernetes_, clock_,
                          observability::MakeLogger(observability::LogFormat::kText,
                                                    observability::LogLevel::kInfo, log_)},
                         TestSettings(),
                         *LabelSelector::Parse("team=shop")};
  std::unique_ptr<kubernetes::ObjectSink> sink_;
};

TEST_F(ControllerTest, CarriesAnOperationThroughAndGoesByTheTimesGiven) {
  BringNew();
  Request();
  EXPECT_EQ(Work(), absl::Seconds(3));
  EXPECT_EQ(Phase(), "Running");
  EXPECT_EQ(WorkAfter(absl::Seconds(3)), absl::Seconds(1));
  EXPECT_EQ(Phase(), "Succeeded");
  EXPECT_EQ(WorkAfter(absl::Seconds(1)), absl::Seconds(1));
  EXPECT_EQ(WorkAfter(absl::Seconds(1)), absl::InfiniteDuration());
  EXPECT_EQ(TextAt(Application(), {"status", "health", "status"}), "Healthy");
  EXPECT_THAT(log_.str(), HasSubstr("took up an operation"));
}

TEST_F(ControllerTest, WhatTheWatchBringsLateOfItsOwnWritesIsNotTakenForNews) {
  BringNew();
  Request();
  const json old = Application();
  Work();
  const std::size_t patches = kubernetes_.Count("patch", "applications");
  ASSERT_TRUE(
      sink_->Put(kubernetes::EventType::kModified, kubernetes::JsonText(old.dump()).padded()).ok());
  Work();
  Bring();
  Work();
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), patches);
}

TEST_F(ControllerTest, AnOperationIsTakenUpOnlyIfItIsStillThere) {
  BringNew();
  Request();
  Change({{"operation", nullptr}});
  Work();
  EXPECT_EQ(Phase(), "");
}

TEST_F(ControllerTest, AnApplicationThatCannotBeReadIsTriedAgain) {
  BringNew();
  Request();
  bool fails = true;
  kubernetes_.before = [&](const FakeKubernetes::Call& call) {
    return fails && call.verb == "get"
               ? kubernetes::MakeError({kubernetes::ErrorKind::kUnreachable}, "get: no connection")
               : absl::OkStatus();
  };
  const absl::Duration left = Work();
  EXPECT_GT(left, absl::ZeroDuration());
  EXPECT_LT(left, absl::Seconds(1));
  fails = false;
  WorkAfter(left);
  EXPECT_EQ(Phase(), "Running");
}

TEST_F(ControllerTest, AWriteThatFailsIsTriedAgainEverMoreSlowly) {
  Store(NewApplication());
  Bring();
  bool fails = true;
  kubernetes_.before = [&](const FakeKubernetes::Call& call) {
    return fails && call.verb == "patch"
               ? kubernetes::MakeError({kubernetes::ErrorKind::kUnreachable}, "no connection")
               : absl::OkStatus();
  };
  std::vector<absl::Duration> delays = {Work()};
  for (int i = 0; i < 7; ++i) delays.push_back(WorkAfter(delays.back()));
  EXPECT_THAT(delays,
              ::testing::ElementsAre(absl::Milliseconds(500), absl::Seconds(1), absl::Seconds(2),
                                     absl::Seconds(4), absl::Seconds(8), absl::Seconds(16),
                                     absl::Seconds(30), absl::Seconds(30)));
  EXPECT_THAT(log_.str(), HasSubstr("no connection"));
  fails = false;
  EXPECT_EQ(WorkAfter(delays.back()), absl::InfiniteDuration());
  EXPECT_EQ(TextAt(Application(), {"status", "sync", "status"}), "OutOfSync");
}

TEST_F(ControllerTest, AWriteWithoutAnAnswerIsNotRepeatedOverWhatCameAfterIt) {
  BringNew();
  Request();
  Work();
  // The operation is completed, nobody hears of it, and another is requested.
  bool happened = false;
  kubernetes_.after = [&](const FakeKubernetes::Call& call) {
    if (call.verb != "patch" || happened) return absl::OkStatus();
    happened = true;
    Change({{"operation", {{"sync", {{"revision", "theirs"}}}}},
            {"status", {{"operationState", nullptr}}}});
    return kubernetes::MakeError({kubernetes::ErrorKind::kUnreachable}, "the connection was lost");
  };
  const absl::Duration left = WorkAfter(absl::Seconds(3));
  WorkAfter(left);
  EXPECT_EQ(TextAt(Application(), {"operation", "sync", "revision"}), "theirs");
  EXPECT_EQ(TextAt(Application(), {"status", "operationState", "operation", "sync", "revision"}),
            "theirs");
}

TEST_F(ControllerTest, OfSeveralWritesThoseAfterOneThatFailsAreDecidedAgain) {
  BringNew();
  Request();
  Work();
  // The history is stored, but the completed state is not.
  bool fails = true;
  kubernetes_.before = [&](const FakeKubernetes::Call& call) {
    return fails && call.body.find("Succeeded\"") != std::string::npos &&
                   call.body.find("/operation\"") != std::string::npos
               ? kubernetes::MakeError({kubernetes::ErrorKind::kUnreachable}, "no connection")
               : absl::OkStatus();
  };
  const absl::Duration left = WorkAfter(absl::Seconds(3));
  EXPECT_EQ(Phase(), "Running");
  EXPECT_EQ(At(Application(), {"status", "history"}).size(), 1u);
  fails = false;
  WorkAfter(left);
  EXPECT_EQ(Phase(), "Succeeded");
  // As Argo CD, which appends to the history before it knows that the state can be completed.
  EXPECT_EQ(At(Application(), {"status", "history"}).size(), 2u);
}

TEST_F(ControllerTest, ItsOwnSyncYieldsToWhateverWasWrittenMeanwhile) {
  json application = NewApplication();
  application["spec"]["syncPolicy"] = {{"automated", json::object()}};
  application["status"] = {{"reconciledAt", "2023-11-14T22:13:20Z"}};
  Store(application);
  Bring();
  // Somebody asks for an operation just before the automated sync is written.
  bool happened = false;
  kubernetes_.before = [&](const FakeKubernetes::Call& call) {
    if (!happened && call.body.find("resourceVersion") != std::string::npos) {
      happened = true;
      Change({{"operation", {{"sync", {{"revision", "theirs"}}}}}});
    }
    return absl::OkStatus();
  };
  Work();
  EXPECT_EQ(TextAt(Application(), {"operation", "sync", "revision"}), "theirs");
  EXPECT_EQ(Phase(), "");
  Bring();
  Work();
  EXPECT_EQ(Phase(), "Running");
  EXPECT_EQ(TextAt(Application(), {"status", "operationState", "operation", "sync", "revision"}),
            "theirs");
}

TEST_F(ControllerTest, OtherApplicationsThanThoseSelectedAreLeftAlone) {
  json application = NewApplication();
  application["metadata"]["labels"]["team"] = "bank";
  Store(application);
  Bring();
  EXPECT_EQ(Work(), absl::InfiniteDuration());
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), 0u);
}

TEST_F(ControllerTest, OneThatIsNotSelectedAnyMoreIsLeftAlone) {
  BringNew();
  Request();
  Work();
  Change({{"metadata", {{"labels", {{"team", "bank"}}}}}});
  Bring();
  WorkAfter(absl::Minutes(1));
  EXPECT_EQ(Phase(), "Running");
}

TEST_F(ControllerTest, OneThatIsDeletedOrMissingFromAListIsForgotten) {
  BringNew();
  Request();
  Work();
  sink_->BeginList();
  sink_->EndList("1000000");
  EXPECT_EQ(WorkAfter(absl::Minutes(1)), absl::InfiniteDuration());
  EXPECT_EQ(Phase(), "Running");
  Bring();
  ASSERT_TRUE(sink_->Delete(kubernetes::JsonText(Application().dump()).padded()).ok());
  EXPECT_EQ(WorkAfter(absl::Minutes(1)), absl::InfiniteDuration());
  EXPECT_EQ(Phase(), "Running");
}

TEST_F(ControllerTest, AnAnnotationThatIsNotUnderstoodIsLoggedOnce) {
  json application = NewApplication();
  application["metadata"]["annotations"]["standin.gantry.dev/hnag"] = "true";
  Store(application);
  Bring();
  Work();
  EXPECT_THAT(log_.str(), HasSubstr("standin.gantry.dev/hnag"));
  log_.str("");
  Request();
  Work();
  EXPECT_THAT(log_.str(), Not(HasSubstr("hnag")));
}

TEST_F(ControllerTest, WhatIsNoApplicationEndsTheStream) {
  for (const char* text : {"", "{", "7", "{}", R"({"metadata":7})", R"({"metadata":{}})",
                           R"({"metadata":{"labels":{"team":"shop"},"name":"a"}})"}) {
    EXPECT_FALSE(
        sink_->Put(kubernetes::EventType::kAdded, kubernetes::JsonText(text).padded()).ok())
        << text;
    EXPECT_FALSE(sink_->Delete(kubernetes::JsonText(text).padded()).ok()) << text;
  }
}

}  // namespace
}  // namespace gantry::argocd_standin
