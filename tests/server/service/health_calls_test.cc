// SPDX-License-Identifier: Apache-2.0
// GetStageHealth and ListStageHealth over a real connection.
#include <gmock/gmock.h>
#include <google/protobuf/util/time_util.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/service/service_fixture.h"

namespace gantry::service {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class HealthCallsTest : public ServiceTest {
 protected:
  static v1::GetStageHealthRequest Of(const std::string& project, const std::string& stage) {
    v1::GetStageHealthRequest request;
    request.set_project(project);
    request.set_stage(stage);
    return request;
  }

  grpc::Status Get(const v1::GetStageHealthRequest& request) {
    grpc::ClientContext context;
    got_.Clear();
    return stub_->GetStageHealth(&context, request, &got_);
  }
  grpc::Status List(const v1::ListStageHealthRequest& request) {
    grpc::ClientContext context;
    listed_.Clear();
    return stub_->ListStageHealth(&context, request, &listed_);
  }

  // "project/stage" of the last list.
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const v1::StageHealth& stage : listed_.stages()) {
      names.push_back(stage.project() + "/" + stage.stage());
    }
    return names;
  }

  absl::Time Observed(const google::protobuf::Timestamp& time) const {
    return absl::FromUnixNanos(google::protobuf::util::TimeUtil::TimestampToNanoseconds(time));
  }

  v1::GetStageHealthResponse got_;
  v1::ListStageHealthResponse listed_;
};

TEST_F(HealthCallsTest, NothingIsToldBeforeTheCachesAreFilled) {
  PutStage("team-a", "prod", Indicator("Healthy"));
  Evaluate();
  v1::GetStageHealthRequest with_checks = Of("team-a", "prod");
  with_checks.add_health_checks()->set_uses("argocd-update");
  for (const grpc::Status& status :
       {Get(Of("team-a", "prod")), Get(with_checks), List(v1::ListStageHealthRequest())}) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(ErrorOf(status).reason, "gantry.dev/CACHES_NOT_FILLED");
    EXPECT_TRUE(ErrorOf(status).retry);
  }
  Fill();
  EXPECT_TRUE(Get(Of("team-a", "prod")).ok());
  EXPECT_TRUE(Get(with_checks).ok());
  EXPECT_TRUE(List(v1::ListStageHealthRequest()).ok());
}

TEST_F(HealthCallsTest, ABadRequestIsToldEvenBeforeTheCachesAreFilled) {
  EXPECT_EQ(Get(Of("", "")).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

// Its bytes are handed over in several pieces, large and small ones.
TEST_F(HealthCallsTest, AStageOfManyApplicationsIsToldWhole) {
  nlohmann::json spec = {{"promotion", {{"name", "p1"}, {"phase", "Succeeded"}}},
                         {"healthChecks", nlohmann::json::array()}};
  for (int i = 100; i < 200; ++i) {
    const std::string name = "app-" + std::to_string(i);
    PutApplication(name, i % 9 == 0 ? "Degraded" : "Healthy");
    spec["healthChecks"].push_back({{"namespace", "argocd"},
                                    {"name", name},
                                    {"promotion", "p1"},
                                    {"desiredRevisions", nlohmann::json::array()}});
  }
  PutStage("team-a", "prod", spec);
  PutStage("team-a", "test", Indicator("Healthy"));
  Fill();
  const health::StageSnapshotPtr snapshot = health_.Find({"team-a", "prod"});
  ASSERT_GT(snapshot->pieces.size(), 3U);
  ASSERT_TRUE(Get(Of("team-a", "prod")).ok());
  EXPECT_EQ(got_.health().SerializeAsString(), snapshot->Health().SerializeAsString());
  EXPECT_EQ(got_.health().applications_size(), 100);
  EXPECT_EQ(got_.health().issues_size(), 11);
  EXPECT_TRUE(got_.has_observed_time());
  ASSERT_TRUE(List(v1::ListStageHealthRequest()).ok());
  EXPECT_THAT(Names(), ElementsAre("team-a/prod", "team-a/test"));
  EXPECT_EQ(listed_.stages(0).SerializeAsString(), snapshot->Health().SerializeAsString());
}

TEST_F(HealthCallsTest, AnUnknownStageIsNotFound) {
  Fill();
  PutStage("team-a", "prod", Indicator("Healthy"));
  Evaluate();
  for (const auto& request : {Of("team-a", "test"), Of("team-b", "prod")}) {
    const grpc::Status status = Get(request);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
    EXPECT_EQ(ErrorOf(status).reason, "gantry.dev/STAGE_NOT_FOUND");
    EXPECT_FALSE(ErrorOf(status).retry);
    EXPECT_THAT(status.error_message(), HasSubstr(request.project() + "/" + request.stage()));
  }
}

TEST_F(HealthCallsTest, AStageWhoseRecordWasDeletedIsNotFound) {
  Fill();
  PutStage("team-a", "prod", Indicator("Healthy"));
  Evaluate();
  ASSERT_TRUE(Get(Of("team-a", "prod")).ok());
  DeleteStage("team-a", "prod");
  Evaluate();
  EXPECT_EQ(Get(Of("team-a", "prod")).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(HealthCallsTest, TheAnswerIsWhatWasPublishedAndHowFreshItIs) {
  PutApplication("shop", "Healthy");
  nlohmann::json spec = Indicator("Unhealthy", "it is slow");
  spec["healthChecks"] = {
      {{"namespace", "argocd"}, {"name", "shop"}, {"desiredRevisions", nlohmann::json::array()}}};
  PutStage("team-a", "prod", spec);
  Fill();
  const absl::Time filled = clock_.Now();
  ASSERT_TRUE(Get(Of("team-a", "prod")).ok());
  EXPECT_EQ(got_.health().project(), "team-a");
  EXPECT_EQ(got_.health().stage(), "prod");
  EXPECT_EQ(got_.health().state(), v1::HEALTH_STATE_UNHEALTHY);
  ASSERT_EQ(got_.health().applications_size(), 1);
  EXPECT_EQ(got_.health().applications(0).name(), "shop");
  EXPECT_EQ(got_.health().applications(0).health_status(), "Healthy");
  ASSERT_EQ(got_.health().indicators_size(), 1);
  EXPECT_EQ(got_.health().indicators(0).message(), "it is slow");
  EXPECT_EQ(Observed(got_.observed_time()), filled);
  EXPECT_FALSE(got_.stale());
  EXPECT_EQ(got_.health().SerializeAsString(),
            health_.Find({"team-a", "prod"})->Health().SerializeAsString());

  // Time alone changes nothing, until the evidence is too old.
  clock_.Advance(testing::WatchedCaches::kLimit);
  const std::string before = got_.health().SerializeAsString();
  ASSERT_TRUE(Get(Of("team-a", "prod")).ok());
  EXPECT_EQ(got_.health().SerializeAsString(), before);
  EXPECT_EQ(Observed(got_.observed_time()), filled);
  EXPECT_FALSE(got_.stale());
}

TEST_F(HealthCallsTest, HealthyIsNotSaidOnStaleEvidence) {
  PutStage("team-a", "prod", Indicator("Healthy"));
  Fill();
  const absl::Time filled = clock_.Now();
  ASSERT_TRUE(Get(Of("team-a", "prod")).ok());
  EXPECT_EQ(got_.health().state(), v1::HEALTH_STATE_HEALTHY);

  clock_.Advance(testing::WatchedCaches::kLimit + absl::Milliseconds(1));
  // Neither before nor after it was evaluated again.
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(Get(Of("team-a", "prod")).ok());
    EXPECT_TRUE(got_.stale());
    EXPECT_EQ(got_.health().state(), v1::HEALTH_STATE_UNKNOWN);
    EXPECT_EQ(Observed(got_.observed_time()), filled);
    ASSERT_TRUE(List(v1::ListStageHealthRequest()).ok());
    EXPECT_TRUE(listed_.stale());
    EXPECT_EQ(Observed(listed_.observed_time()), filled);
    ASSERT_EQ(listed_.stages_size(), 1);
    EXPECT_EQ(listed_.stages(0).state(), v1::HEALTH_STATE_UNKNOWN);
    Evaluate();
  }

  watched_.UpToDate();
  Evaluate();
  ASSERT_TRUE(Get(Of("team-a", "prod")).ok());
  EXPECT_FALSE(got_.stale());
  EXPECT_EQ(got_.health().state(), v1::HEALTH_STATE_HEALTHY);
  EXPECT_EQ(Observed(got_.observed_time()), clock_.Now());
}

void AddApp(v1::HealthCheck& check, const std::string& name) {
  check.set_uses("argocd-update");
  auto& apps = *(*check.mutable_input()->mutable_fields())["apps"].mutable_list_value();
  auto& app = *apps.add_values()->mutable_struct_value()->mutable_fields();
  app["name"].set_string_value(name);
}

TEST_F(HealthCallsTest, ChecksOfTheRequestAloneCount) {
  PutApplication("shop", "Healthy");
  PutStage("team-a", "prod", Indicator("Unhealthy"));
  Fill();
  v1::GetStageHealthRequest request = Of("team-a", "prod");
  AddApp(*request.add_health_checks(), "shop");
  ASSERT_TRUE(Get(request).ok());
  EXPECT_EQ(got_.health().state(), v1::HEALTH_STATE_HEALTHY) << got_.DebugString();
  EXPECT_EQ(got_.health().project(), "team-a");
  EXPECT_EQ(got_.health().stage(), "prod");
  EXPECT_EQ(got_.health().indicators_size(), 0);
  ASSERT_EQ(got_.health().applications_size(), 1);
  EXPECT_EQ(got_.health().applications(0).namespace_(), "argocd");
  EXPECT_EQ(Observed(got_.observed_time()), clock_.Now());
  EXPECT_FALSE(got_.stale());

  clock_.Advance(testing::WatchedCaches::kLimit + absl::Seconds(1));
  ASSERT_TRUE(Get(request).ok());
  EXPECT_TRUE(got_.stale());
  EXPECT_EQ(got_.health().state(), v1::HEALTH_STATE_UNKNOWN);
}

TEST_F(HealthCallsTest, ChecksOfTheRequestTellNothingOfOtherTenants) {
  PutApplication("shop", "Degraded");
  Fill();
  // The Application authorizes team-a:prod alone, and "nowhere" does not exist.
  std::vector<std::string> answers;
  for (const std::string name : {"shop", "nowhere"}) {
    v1::GetStageHealthRequest request = Of("team-b", "prod");
    AddApp(*request.add_health_checks(), name);
    ASSERT_TRUE(Get(request).ok()) << name;
    EXPECT_EQ(got_.health().state(), v1::HEALTH_STATE_UNKNOWN) << name;
    std::string text = got_.DebugString();
    for (std::size_t at = 0; (at = text.find(name, at)) != std::string::npos;) {
      text.replace(at, name.size(), "X");
    }
    answers.push_back(text);
  }
  EXPECT_EQ(answers[0], answers[1]);
}

TEST_F(HealthCallsTest, ACheckThatIsNotUnderstoodMakesTheStageUnknown) {
  Fill();
  google::protobuf::Struct malformed;
  (*malformed.mutable_fields())["apps"].set_number_value(1);
  v1::GetStageHealthRequest request = Of("team-z", "never-seen");
  request.add_health_checks()->set_uses("argocd-delete");
  v1::HealthCheck& second = *request.add_health_checks();
  second.set_uses("argocd-update");
  *second.mutable_input() = malformed;
  ASSERT_TRUE(Get(request).ok());
  EXPECT_EQ(got_.health().state(), v1::HEALTH_STATE_UNKNOWN);
  EXPECT_THAT(got_.health().issues(), SizeIs(2));
}

struct BadGet {
  const char* name;
  v1::GetStageHealthRequest request;
  std::vector<std::string> fields;
};

TEST_F(HealthCallsTest, BadNamesAreTold) {
  Fill();
  const BadGet table[] = {
      {"Empty", {}, {"project", "stage"}},
      {"Project", Of("Team", "prod"), {"project"}},
      {"ProjectWithDot", Of("a.b", "prod"), {"project"}},
      {"Stage", Of("team-a", "prod/eu"), {"stage"}},
      {"TooLongTogether", Of("team-a", std::string(247, 's')), {"stage"}},
  };
  for (const BadGet& c : table) {
    for (const bool with_checks : {false, true}) {
      v1::GetStageHealthRequest request = c.request;
      if (with_checks) request.add_health_checks();
      const grpc::Status status = Get(request);
      EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << c.name;
      EXPECT_EQ(ErrorOf(status).reason, "gantry.dev/INVALID_REQUEST") << c.name;
      EXPECT_EQ(ViolatedFields(status), c.fields) << c.name;
    }
  }
}

TEST_F(HealthCallsTest, ListsInOrderOfProjectThenStage) {
  // "a-b.x" sorts before "a.x" as text.
  for (const auto& [project, stage] : std::vector<std::pair<std::string, std::string>>{
           {"b", "a"}, {"a-b", "x"}, {"a", "z"}, {"a", "b.c"}, {"a", "b"}, {"a", "b-c"}}) {
    PutStage(project, stage, Indicator("Healthy"));
  }
  Fill();
  ASSERT_TRUE(List(v1::ListStageHealthRequest()).ok());
  EXPECT_THAT(Names(), ElementsAre("a/b", "a/b-c", "a/b.c", "a/z", "a-b/x", "b/a"));
  EXPECT_EQ(listed_.next_page_token(), "");
  EXPECT_EQ(Observed(listed_.observed_time()), clock_.Now());
  EXPECT_FALSE(listed_.stale());
  EXPECT_EQ(listed_.stages(0).SerializeAsString(),
            health_.Find({"a", "b"})->Health().SerializeAsString());
}

TEST_F(HealthCallsTest, ListsOneProjectAlone) {
  for (const std::string project : {"a", "a-b", "b"}) {
    PutStage(project, "test", Indicator("Healthy"));
    PutStage(project, "prod", Indicator("Healthy"));
  }
  Fill();
  v1::ListStageHealthRequest request;
  request.set_project("a");
  ASSERT_TRUE(List(request).ok());
  EXPECT_THAT(Names(), ElementsAre("a/prod", "a/test"));
  request.set_page_size(1);
  ASSERT_TRUE(List(request).ok());
  EXPECT_THAT(Names(), ElementsAre("a/prod"));
  request.set_page_token(listed_.next_page_token());
  ASSERT_TRUE(List(request).ok());
  EXPECT_THAT(Names(), ElementsAre("a/test"));
  EXPECT_EQ(listed_.next_page_token(), "");
}

TEST_F(HealthCallsTest, AnUnknownProjectHasNoStages) {
  PutStage("a", "prod", Indicator("Healthy"));
  Fill();
  v1::ListStageHealthRequest request;
  request.set_project("unknown");
  ASSERT_TRUE(List(request).ok());
  EXPECT_THAT(Names(), IsEmpty());
  EXPECT_EQ(listed_.next_page_token(), "");
  EXPECT_TRUE(listed_.has_observed_time());
}

TEST_F(HealthCallsTest, PageSizesHaveADefaultAndALimit) {
  for (int i = 0; i < 1100; ++i) {
    PutStage("a", absl::StrCat("s", 10'000 + i), Indicator("Healthy"));
  }
  Fill();
  struct {
    int asked;
    std::size_t expected;
  } const table[] = {{0, 100}, {1, 1}, {999, 999}, {1000, 1000}, {1001, 1000}, {2147483647, 1000}};
  for (const auto& c : table) {
    v1::ListStageHealthRequest request;
    request.set_page_size(c.asked);
    ASSERT_TRUE(List(request).ok()) << c.asked;
    EXPECT_THAT(Names(), SizeIs(c.expected)) << c.asked;
    EXPECT_NE(listed_.next_page_token(), "") << c.asked;
  }
  for (const int size : {7, 100, 550, 1000}) {
    v1::ListStageHealthRequest request;
    request.set_page_size(size);
    std::vector<std::string> all;
    do {
      ASSERT_TRUE(List(request).ok());
      for (const std::string& name : Names()) all.push_back(name);
      request.set_page_token(listed_.next_page_token());
    } while (!request.page_token().empty());
    EXPECT_THAT(all, SizeIs(1100)) << size;
    EXPECT_EQ(std::set<std::string>(all.begin(), all.end()).size(), 1100u) << size;
  }
}

TEST_F(HealthCallsTest, APageThatEndsWithTheLastStageIsTheLast) {
  PutStage("a", "s1", Indicator("Healthy"));
  PutStage("a", "s2", Indicator("Healthy"));
  Fill();
  v1::ListStageHealthRequest request;
  request.set_page_size(2);
  ASSERT_TRUE(List(request).ok());
  EXPECT_THAT(Names(), SizeIs(2));
  EXPECT_EQ(listed_.next_page_token(), "");
}

TEST_F(HealthCallsTest, APageGoesOnWhereTheLastOneEndedWhateverChangedMeanwhile) {
  for (const std::string stage : {"b", "d", "f", "h"}) PutStage("p", stage, Indicator("Healthy"));
  Fill();
  v1::ListStageHealthRequest request;
  request.set_page_size(2);
  ASSERT_TRUE(List(request).ok());
  EXPECT_THAT(Names(), ElementsAre("p/b", "p/d"));
  request.set_page_token(listed_.next_page_token());
  // Before it, at it and behind it.
  PutStage("p", "a", Indicator("Healthy"));
  DeleteStage("p", "d");
  DeleteStage("p", "f");
  PutStage("p", "e", Indicator("Healthy"));
  Evaluate();
  ASSERT_TRUE(List(request).ok());
  EXPECT_THAT(Names(), ElementsAre("p/e", "p/h"));
  EXPECT_EQ(listed_.next_page_token(), "");

  DeleteStage("p", "e");
  DeleteStage("p", "h");
  Evaluate();
  ASSERT_TRUE(List(request).ok());
  EXPECT_THAT(Names(), IsEmpty());
  EXPECT_EQ(listed_.next_page_token(), "");
}

TEST_F(HealthCallsTest, StatesChooseStages) {
  for (const std::string state : {"Healthy", "Unhealthy", "Unknown", "Progressing"}) {
    std::string stage = state;
    stage[0] = static_cast<char>(stage[0] - 'A' + 'a');
    PutStage("p", stage, Indicator(state));
  }
  Fill();
  v1::ListStageHealthRequest request;
  request.add_states(v1::HEALTH_STATE_UNHEALTHY);
  request.add_states(v1::HEALTH_STATE_UNKNOWN);
  request.add_states(v1::HEALTH_STATE_UNKNOWN);
  ASSERT_TRUE(List(request).ok());
  EXPECT_THAT(Names(), ElementsAre("p/unhealthy", "p/unknown"));
  request.set_page_size(1);
  ASSERT_TRUE(List(request).ok());
  EXPECT_THAT(Names(), ElementsAre("p/unhealthy"));
  request.set_page_token(listed_.next_page_token());
  ASSERT_TRUE(List(request).ok());
  EXPECT_THAT(Names(), ElementsAre("p/unknown"));
  EXPECT_EQ(listed_.next_page_token(), "");
  request.Clear();
  request.add_states(v1::HEALTH_STATE_NOT_APPLICABLE);
  ASSERT_TRUE(List(request).ok());
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(HealthCallsTest, BadListsAreTold) {
  Fill();
  struct {
    const char* name;
    std::function<void(v1::ListStageHealthRequest&)> change;
    const char* field;
  } const table[] = {
      {"Project", [](auto& r) { r.set_project("Team"); }, "project"},
      {"NegativePageSize", [](auto& r) { r.set_page_size(-1); }, "page_size"},
      {"SmallestPageSize", [](auto& r) { r.set_page_size(-2147483647 - 1); }, "page_size"},
      {"Unspecified", [](auto& r) { r.add_states(v1::HEALTH_STATE_UNSPECIFIED); }, "states[0]"},
      {"UnknownState",
       [](auto& r) {
         r.add_states(v1::HEALTH_STATE_HEALTHY);
         r.add_states(static_cast<v1::HealthState>(77));
       },
       "states[1]"},
      {"NegativeState", [](auto& r) { r.add_states(static_cast<v1::HealthState>(-1)); },
       "states[0]"},
      {"PageToken", [](auto& r) { r.set_page_token("next please"); }, "page_token"},
      {"LongPageToken", [](auto& r) { r.set_page_token(std::string(100'000, 'A')); }, "page_token"},
  };
  for (const auto& c : table) {
    v1::ListStageHealthRequest request;
    c.change(request);
    const grpc::Status status = List(request);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << c.name;
    EXPECT_THAT(ViolatedFields(status), ElementsAre(c.field)) << c.name;
  }
}

TEST_F(HealthCallsTest, APageOfLargeStagesFitsIntoAMessage) {
  // A client takes 4 MiB unless it was told otherwise.
  nlohmann::json indicators = nlohmann::json::array();
  for (int i = 0; i < 20; ++i) {
    indicators.push_back({{"name", absl::StrCat("tests-", i)},
                          {"state", "Unhealthy"},
                          {"message", std::string(1000, 'x')}});
  }
  for (int i = 0; i < 300; ++i) {
    PutStage("p", absl::StrCat("s", 1000 + i), {{"indicators", indicators}});
  }
  Fill();
  v1::ListStageHealthRequest request;
  request.set_page_size(1000);
  std::vector<std::string> all;
  do {
    const grpc::Status status = List(request);
    ASSERT_TRUE(status.ok()) << status.error_message();
    for (const std::string& name : Names()) all.push_back(name);
    request.set_page_token(listed_.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(all, SizeIs(300));
}

TEST_F(HealthCallsTest, TheHealthIsToldWhileStepsHoldAllWorkers) {
  PutStage("team-a", "prod", Indicator("Healthy"));
  Fill();
  Results<int> begun;
  Event release;
  behaviour_ = [&](const steps::StepCall&, base::Context&) {
    begun.Add(0);
    release.Wait();
    return Succeeded();
  };
  const v1::RunStepRequest request = GoodRequest();
  struct Pending {
    grpc::ClientContext context;
    v1::RunStepResponse response;
  } calls[4];
  Results<grpc::Status> results;
  for (Pending& call : calls) {
    stub_->async()->RunStep(&call.context, &request, &call.response,
                            [&results](grpc::Status status) { results.Add(std::move(status)); });
  }
  begun.WaitFor(4);
  EXPECT_TRUE(Get(Of("team-a", "prod")).ok());
  EXPECT_TRUE(List(v1::ListStageHealthRequest()).ok());
  release.Set();
  results.WaitFor(4);
}

}  // namespace
}  // namespace gantry::service
