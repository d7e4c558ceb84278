// SPDX-License-Identifier: Apache-2.0
#include "server/steps/argocd_update/argocd_update.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "base/error_info.h"
#include "server/kubernetes/api/error.h"
#include "server/stages/stage_store.h"
#include "tests/fakes/fake_kubernetes.h"
#include "tests/server/steps/expect_answer.h"
#include "tests/server/steps/step_driver.h"

namespace gantry::steps {
namespace {

using kubernetes::ErrorKind;
using nlohmann::json;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::FakeKubernetes;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

class FixedClock final : public base::Clock {
 public:
  absl::Time Now() const override { return now; }
  absl::Duration SinceBoot() const override { return now - absl::UnixEpoch(); }
  absl::Time now = kNow;
};

class FixedRandom final : public base::Random {
 public:
  double Uniform() override { return 0.5; }
};

class RecordingSleeper final : public base::Sleeper {
 public:
  absl::Status Sleep(absl::Duration duration, base::Context& context) override {
    delays.push_back(duration);
    return context.Check();
  }
  std::vector<absl::Duration> delays;
};

class RecordingEvents final : public kubernetes::EventRecorder {
 public:
  void Record(const kubernetes::ObjectReference& object, const std::string& reason,
              const std::string& message) override {
    base::MutexLock lock(mutex_);
    events.push_back(object.name + " " + reason + ": " + message);
  }
  std::vector<std::string> events;

 private:
  base::Mutex mutex_;
};

// Of an Application.
bool IsWrite(const FakeKubernetes::Call& call) {
  return call.verb == "patch" && call.plural == "applications";
}

absl::Status Failure(ErrorKind kind, int http_status, const std::string& message) {
  return kubernetes::MakeError({.kind = kind, .http_status = http_status}, message);
}

class ArgocdUpdateTest : public ::testing::Test {
 protected:
  ArgocdUpdateTest() {
    request_.set_project("shop");
    request_.set_stage("prod");
    request_.set_promotion("p1");
    request_.set_step("update");
    request_.set_uses("argocd-update");
    Configure(kOneApplication);
  }

  static constexpr const char* kOneApplication = R"({"apps": [{"name": "web", "sources": [
      {"repoURL": "https://git.example/web.git", "desiredRevision": "v2",
       "updateTargetRevision": true}]}]})";

  void Configure(const std::string& config) {
    request_.clear_config();
    ASSERT_TRUE(
        google::protobuf::util::JsonStringToMessage(config, request_.mutable_config()).ok());
  }

  static json Application(const std::string& name, const std::string& authorized = "shop:prod") {
    json application = {
        {"metadata", {{"namespace", "argocd"}, {"name", name}, {"labels", {{"team", "shop"}}}}},
        {"spec",
         {{"source",
           {{"repoURL", "https://git.example/" + name + ".git"}, {"targetRevision", "v1"}}}}}};
    if (!authorized.empty()) {
      application["metadata"]["annotations"]["kargo.akuity.io/authorized-stage"] = authorized;
    }
    return application;
  }
  void Put(const json& application) { kubernetes_.Put("applications", application); }
  json Read(const std::string& name) { return kubernetes_.Read("applications", "argocd", name); }
  json StageSpec() {
    const json stage = kubernetes_.Read("stagehealths", "gantry-system", "shop.prod");
    return stage.is_null() ? json() : stage.at("spec");
  }

  // Argo CD carries out the operation of an Application.
  void Complete(const std::string& name, const std::string& phase, const std::string& revision) {
    json application = Read(name);
    application["status"]["operationState"] = {
        {"phase", phase},
        {"message", "as Argo CD says"},
        {"operation", application["operation"]},
        {"finishedAt", absl::FormatTime(absl::RFC3339_sec, clock_.now, absl::UTCTimeZone())},
        {"syncResult", {{"revision", revision}}}};
    application.erase("operation");
    Put(application);
  }

  absl::StatusOr<v1::RunStepResponse> TryRun() {
    base::Context context;
    return step_.Run(request_, context, log_);
  }
  v1::RunStepResponse Run() {
    absl::StatusOr<v1::RunStepResponse> response = TryRun();
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? *response : v1::RunStepResponse();
  }

  FakeKubernetes kubernetes_;
  FixedClock clock_;
  FixedRandom random_;
  RecordingSleeper sleeper_;
  RecordingEvents events_;
  observability::Logger log_;
  stages::StageStore stages_{kubernetes_, "gantry-system"};
  base::WorkerPool helpers_{4, 16};
  // Never synced: everything is read live.
  cache::Caches caches_{{"argocd"}, absl::Seconds(60), clock_};
  StepDriver step_{std::make_unique<ArgocdUpdate>(),
                   {.watch_namespaces = {"argocd"}},
                   {kubernetes_, stages_, events_, helpers_, caches_, clock_, random_, sleeper_}};
  v1::RunStepRequest request_;
};

TEST_F(ArgocdUpdateTest, WritesTheOperationOnceAndSucceedsWhenItIsDone) {
  Put(Application("web"));
  v1::RunStepResponse response = Run();
  EXPECT_ANSWER(response, RUNNING, OPERATION_RUNNING);
  ASSERT_EQ(response.applications_size(), 1);
  EXPECT_EQ(response.applications(0).action(), v1::ApplicationOutcome::ACTION_SYNC_STARTED);
  EXPECT_THAT(response.applications(0).desired_revisions(), ElementsAre("v2"));
  EXPECT_EQ(Read("web")["spec"]["source"]["targetRevision"], "v2");
  EXPECT_EQ(Read("web")["operation"]["info"][1]["value"], "p1");
  EXPECT_THAT(events_.events, ElementsAre("web OperationStarted: gantry initiated sync to v2"));

  response = Run();
  EXPECT_ANSWER(response, RUNNING, OPERATION_RUNNING);
  EXPECT_EQ(response.applications(0).action(), v1::ApplicationOutcome::ACTION_WAITED);

  Complete("web", "Succeeded", "v2");
  response = Run();
  EXPECT_ANSWER(response, SUCCEEDED, UNSPECIFIED);
  EXPECT_EQ(response.health_check().uses(), "argocd-update");
  EXPECT_EQ(StageSpec()["promotion"]["phase"], "Succeeded");
  EXPECT_EQ(StageSpec()["healthChecks"][0]["desiredRevisions"], json({"v2"}));
  // What it was judged on.
  EXPECT_EQ(StageSpec()["healthChecks"][0]["resourceVersion"],
            Read("web")["metadata"]["resourceVersion"]);
  const std::string finished_at = Read("web")["status"]["operationState"]["finishedAt"];
  EXPECT_EQ(StageSpec()["healthChecks"][0]["finishedAt"], finished_at.substr(0, 19) + "Z");
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), 1U);
}

TEST_F(ArgocdUpdateTest, SucceededStaysSoWhateverHappensAfterwards) {
  Put(Application("web"));
  Run();
  Complete("web", "Succeeded", "v2");
  const v1::RunStepResponse first = Run();
  kubernetes_.Remove("applications", "argocd", "web");
  const v1::RunStepResponse again = Run();
  EXPECT_ANSWER(again, SUCCEEDED, UNSPECIFIED);
  EXPECT_EQ(again.output().ShortDebugString(), first.output().ShortDebugString());
  EXPECT_EQ(again.health_check().ShortDebugString(), first.health_check().ShortDebugString());
}

TEST_F(ArgocdUpdateTest, AnInvalidConfigurationMakesNoCall) {
  Configure(R"({"apps": [], "surplus": 1})");
  const v1::RunStepResponse response = Run();
  EXPECT_ANSWER(response, FAILED, INVALID_CONFIG);
  EXPECT_EQ(response.violations_size(), 2);
  EXPECT_THAT(kubernetes_.calls(), IsEmpty());
}

TEST_F(ArgocdUpdateTest, ADryRunShowsThePatchAndWritesNothing) {
  Put(Application("web"));
  const json before = Read("web");
  request_.set_dry_run(true);
  const v1::RunStepResponse response = Run();
  EXPECT_ANSWER(response, RUNNING, OPERATION_RUNNING);
  EXPECT_EQ(response.applications(0).action(), v1::ApplicationOutcome::ACTION_SYNC_STARTED);
  EXPECT_THAT(response.applications(0).message(), HasSubstr("dry run"));
  EXPECT_EQ(before.patch(
                json::parse(response.applications(0).patch()))["spec"]["source"]["targetRevision"],
            "v2");
  EXPECT_EQ(Read("web"), before);
  EXPECT_TRUE(StageSpec().is_null());
}

TEST_F(ArgocdUpdateTest, ADryRunDoesNotSaySucceededBeforeItIsRecorded) {
  Put(Application("web"));
  Run();
  Complete("web", "Succeeded", "v2");
  request_.set_dry_run(true);
  EXPECT_ANSWER(Run(), RUNNING, OPERATION_RUNNING);
  request_.set_dry_run(false);
  EXPECT_ANSWER(Run(), SUCCEEDED, UNSPECIFIED);
  request_.set_dry_run(true);
  EXPECT_ANSWER(Run(), SUCCEEDED, UNSPECIFIED);
}

TEST_F(ArgocdUpdateTest, NothingIsWrittenUnlessEveryApplicationIsFine) {
  Configure(R"({"apps": [{"name": "web"}, {"name": "locked"}, {"name": "api"}]})");
  Put(Application("web"));
  Put(Application("locked", ""));
  Put(Application("api"));
  const v1::RunStepResponse response = Run();
  EXPECT_ANSWER(response, ERRORED, NOT_AUTHORIZED);
  EXPECT_THAT(response.message(), HasSubstr("argocd/locked"));
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), 0U);
  EXPECT_TRUE(StageSpec().is_null());
}

TEST_F(ArgocdUpdateTest, MissingApplicationsAreNamed) {
  Configure(R"({"apps": [{"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "d"}]})");
  const v1::RunStepResponse response = Run();
  EXPECT_ANSWER(response, ERRORED, APPLICATION_NOT_FOUND);
  EXPECT_EQ(response.message(), "Applications argocd/a, argocd/b, argocd/c and 1 more not found");
}

TEST_F(ArgocdUpdateTest, ANamespaceThatIsNotWatchedIsNotRead) {
  Configure(R"({"apps": [{"name": "web", "namespace": "elsewhere"}]})");
  const v1::RunStepResponse response = Run();
  EXPECT_ANSWER(response, ERRORED, APPLICATION_NOT_FOUND);
  EXPECT_THAT(response.message(), HasSubstr("not watched by this server"));
  EXPECT_EQ(kubernetes_.Count("get", "applications"), 0U);
}

TEST_F(ArgocdUpdateTest, ASelectorLeavesOutWhatDoesNotAuthorizeTheStage) {
  Configure(R"({"apps": [{"selector": {"matchLabels": {"team": "shop"}}}]})");
  Put(Application("web"));
  Put(Application("locked", "shop:test"));
  const v1::RunStepResponse response = Run();
  EXPECT_ANSWER(response, RUNNING, OPERATION_RUNNING);
  ASSERT_EQ(response.applications_size(), 2);
  EXPECT_EQ(response.applications(0).name(), "locked");
  EXPECT_EQ(response.applications(0).action(), v1::ApplicationOutcome::ACTION_SKIPPED);
  EXPECT_EQ(response.applications(1).action(), v1::ApplicationOutcome::ACTION_SYNC_STARTED);
  EXPECT_EQ(response.output().fields().at("apps").list_value().values_size(), 1);
  EXPECT_FALSE(Read("locked").contains("operation"));
}

TEST_F(ArgocdUpdateTest, ASelectorThatMatchesOnlyForeignApplicationsSaysHowMany) {
  Configure(R"({"apps": [{"selector": {"matchLabels": {"team": "shop"}}}]})");
  Put(Application("one", ""));
  Put(Application("two", "shop:*"));
  const v1::RunStepResponse response = Run();
  EXPECT_ANSWER(response, ERRORED, NOT_AUTHORIZED);
  EXPECT_THAT(response.message(), HasSubstr("none of the 2 Applications"));
}

TEST_F(ArgocdUpdateTest, ASelectorThatMatchesNothingIsAnError) {
  Configure(R"({"apps": [{"selector": {"matchLabels": {"team": "nobody"}}}]})");
  EXPECT_ANSWER(Run(), ERRORED, NO_APPLICATION_MATCHED);
}

TEST_F(ArgocdUpdateTest, AnApplicationOfSeveralEntriesIsUpdatedOnce) {
  Configure(R"({"apps": [
      {"name": "web", "sources": [{"repoURL": "https://git.example/web.git",
                                   "kustomize": {"images": [{"repoURL": "a", "tag": "1"}]}}]},
      {"selector": {"matchLabels": {"team": "shop"}}, "sources": [
          {"repoURL": "git@git.example:web", "desiredRevision": "v2"},
          {"repoURL": "https://git.example/web", "desiredRevision": "v2",
           "updateTargetRevision": true}]}]})");
  json web = Application("web");
  Put(web);
  v1::RunStepResponse response = Run();
  EXPECT_ANSWER(response, ERRORED, SOURCE_NOT_MATCHED);  // ssh and https differ

  Configure(R"({"apps": [
      {"name": "web", "sources": [{"repoURL": "https://git.example/web.git",
                                   "kustomize": {"images": [{"repoURL": "a", "tag": "1"}]}}]},
      {"selector": {"matchLabels": {"team": "shop"}}, "sources": [
          {"repoURL": "https://git.example/web", "desiredRevision": "v2",
           "updateTargetRevision": true}]}]})");
  response = Run();
  EXPECT_ANSWER(response, RUNNING, OPERATION_RUNNING);
  EXPECT_EQ(response.applications_size(), 1);
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), 1U);
  EXPECT_EQ(Read("web")["spec"]["source"]["targetRevision"], "v2");
  EXPECT_EQ(Read("web")["spec"]["source"]["kustomize"]["images"], json({"a:1"}));
}

TEST_F(ArgocdUpdateTest, EntriesThatWantDifferentRevisionsAreIncompatible) {
  Configure(R"({"apps": [
      {"name": "web", "sources": [{"repoURL": "https://git.example/web", "desiredRevision": "a"}]},
      {"name": "web", "sources": [{"repoURL": "https://git.example/web", "desiredRevision": "b"}]}
      ]})");
  Put(Application("web"));
  const v1::RunStepResponse response = Run();
  EXPECT_ANSWER(response, ERRORED, INCOMPATIBLE_SOURCES);
  EXPECT_THAT(response.message(), HasSubstr("\"a\" and \"b\""));
}

TEST_F(ArgocdUpdateTest, AnUpdateThatDoesNotFitAllOfAnEntryNamesThreeAndTheCount) {
  Configure(R"({"apps": [{"selector": {"matchLabels": {"team": "shop"}},
                          "sources": [{"repoURL": "https://git.example/e"}]}]})");
  for (const char* name : {"a", "b", "c", "d", "e"}) Put(Application(name));
  const v1::RunStepResponse response = Run();
  EXPECT_ANSWER(response, ERRORED, INCOMPATIBLE_SOURCES);
  EXPECT_THAT(
      response.message(),
      HasSubstr("do not fit 4 of its 5 Applications: argocd/a, argocd/b, argocd/c and 1 more"));
}

TEST_F(ArgocdUpdateTest, AFailedApplicationEndsTheStepBeforeAnythingIsWritten) {
  Configure(R"({"apps": [{"name": "web"}, {"name": "api"}]})");
  Put(Application("web"));
  Put(Application("api"));
  Run();
  Complete("web", "Failed", "x");
  json api = Read("api");
  api.erase("operation");  // abandoned: it would be written again
  Put(api);
  v1::RunStepResponse response = Run();
  EXPECT_ANSWER(response, FAILED, OPERATION_FAILED);
  EXPECT_THAT(response.message(), HasSubstr("as Argo CD says"));
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), 2U);
  EXPECT_EQ(StageSpec()["promotion"]["phase"], "Failed");

  // Only a new promotion helps.
  Complete("web", "Succeeded", "x");
  EXPECT_ANSWER(Run(), FAILED, OPERATION_FAILED);
  request_.set_promotion("p2");
  EXPECT_ANSWER(Run(), RUNNING, OPERATION_RUNNING);
}

TEST_F(ArgocdUpdateTest, DoneIsRecordedAsSoonAsItIsSeen) {
  Configure(R"({"apps": [{"name": "web"}, {"name": "api"}]})");
  Put(Application("web"));
  Put(Application("api"));
  Run();
  Complete("web", "Succeeded", "x");
  EXPECT_ANSWER(Run(), RUNNING, OPERATION_RUNNING);
  // Somebody else's operation replaces the state of ours.
  json web = Read("web");
  web["status"]["operationState"]["operation"] = {{"initiatedBy", {{"username", "eve"}}}};
  Put(web);
  Complete("api", "Succeeded", "x");
  EXPECT_ANSWER(Run(), SUCCEEDED, UNSPECIFIED);
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), 2U);
}

TEST_F(ArgocdUpdateTest, ARunningPollWritesNothing) {
  Put(Application("web"));
  Run();
  const std::size_t writes = kubernetes_.Count("patch", "stagehealths");
  EXPECT_ANSWER(Run(), RUNNING, OPERATION_RUNNING);
  EXPECT_ANSWER(Run(), RUNNING, OPERATION_RUNNING);
  EXPECT_EQ(kubernetes_.Count("patch", "stagehealths"), writes);
}

TEST_F(ArgocdUpdateTest, ASecondStepOfThePromotionGetsItsOwnOperation) {
  Put(Application("web"));
  Run();
  Complete("web", "Succeeded", "v2");
  EXPECT_ANSWER(Run(), SUCCEEDED, UNSPECIFIED);
  request_.set_step("images");
  Configure(R"({"apps": [{"name": "web", "sources": [{"repoURL": "https://git.example/web",
      "kustomize": {"images": [{"repoURL": "a", "tag": "1"}]}}]}]})");
  EXPECT_ANSWER(Run(), RUNNING, OPERATION_RUNNING);
  EXPECT_EQ(Read("web")["operation"]["info"][2]["value"], "2");
  EXPECT_EQ(StageSpec()["promotion"]["phase"], "Running");
  Complete("web", "Succeeded", "v2");
  EXPECT_ANSWER(Run(), SUCCEEDED, UNSPECIFIED);
  EXPECT_EQ(StageSpec()["healthChecks"][0]["desiredRevisions"], json({"v2"}));
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), 2U);
}

TEST_F(ArgocdUpdateTest, ASupersededPromotionWritesNothing) {
  Put(Application("web"));
  Run();
  Complete("web", "Failed", "x");
  request_.set_promotion("p2");
  clock_.now += absl::Minutes(1);
  EXPECT_ANSWER(Run(), RUNNING, OPERATION_RUNNING);
  const json after = Read("web");
  request_.set_promotion("p1");
  const v1::RunStepResponse response = Run();
  EXPECT_ANSWER(response, ABORTED, PROMOTION_SUPERSEDED);
  EXPECT_THAT(response.message(), HasSubstr("superseded by promotion p2"));
  EXPECT_EQ(Read("web"), after);
}

TEST_F(ArgocdUpdateTest, APromotionSupersededBetweenRecordAndWriteWritesNothing) {
  Put(Application("web"));
  kubernetes_.after = [&](const FakeKubernetes::Call& call) {
    if (call.verb == "create" && call.plural == "stagehealths") {
      json stage = kubernetes_.Read("stagehealths", "gantry-system", "shop.prod");
      stage["spec"]["promotion"]["name"] = "p2";
      stage["spec"]["supersededPromotions"] = {stages::HashOf("p1")};
      kubernetes_.Put("stagehealths", stage);
      clock_.now += absl::Seconds(2);  // for so long it was stalled
    }
    return absl::OkStatus();
  };
  const v1::RunStepResponse response = Run();
  EXPECT_ANSWER(response, ABORTED, PROMOTION_SUPERSEDED);
  EXPECT_THAT(response.message(), HasSubstr("p2"));
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), 0U);
}

TEST_F(ArgocdUpdateTest, AnApplicationThatChangedAfterTheReadIsDecidedOnAgain) {
  Put(Application("web"));
  bool changed = false;
  kubernetes_.before = [&](const FakeKubernetes::Call& call) {
    if (IsWrite(call) && !changed) {
      changed = true;
      json web = Read("web");
      web["metadata"]["annotations"]["kargo.akuity.io/authorized-stage"] = "shop:test";
      Put(web);
    }
    return absl::OkStatus();
  };
  EXPECT_ANSWER(Run(), ERRORED, NOT_AUTHORIZED);
  EXPECT_FALSE(Read("web").contains("operation"));
  EXPECT_EQ(StageSpec()["steps"][0]["applications"][0]["attempt"], 0);
}

TEST_F(ArgocdUpdateTest, APatchWhosePathsAreGoneIsAConflictAndNotARefusal) {
  json web = Application("web");
  web["status"]["operationState"] = {{"phase", "Succeeded"}};
  Put(web);
  bool changed = false;
  kubernetes_.before = [&](const FakeKubernetes::Call& call) {
    if (IsWrite(call) && !changed) {
      changed = true;
      json now = Read("web");
      now["status"].erase("operationState");
      now["operation"] = {{"initiatedBy", {{"username", "eve"}}}};
      Put(now);
    }
    return absl::OkStatus();
  };
  EXPECT_ANSWER(Run(), RUNNING, OTHER_OPERATION_RUNNING);
  EXPECT_EQ(Read("web")["operation"]["initiatedBy"]["username"], "eve");
}

TEST_F(ArgocdUpdateTest, FiveConflictsInARowAskTheCallerToComeAgain) {
  Put(Application("web"));
  kubernetes_.before = [&](const FakeKubernetes::Call& call) {
    if (IsWrite(call)) Put(Read("web"));
    return absl::OkStatus();
  };
  const v1::RunStepResponse response = Run();
  EXPECT_EQ(response.status(), v1::STEP_STATUS_RUNNING);
  EXPECT_TRUE(response.has_retry_after());
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), 5U);
  EXPECT_THAT(sleeper_.delays, ElementsAre(absl::Milliseconds(50), absl::Milliseconds(100),
                                           absl::Milliseconds(200), absl::Milliseconds(400)));
  // None of the attempts was made, so none is used up.
  EXPECT_EQ(StageSpec()["steps"][0]["applications"][0]["attempt"], 0);
  kubernetes_.before = [](const FakeKubernetes::Call&) { return absl::OkStatus(); };
  Run();
  EXPECT_EQ(Read("web")["operation"]["info"][2]["value"], "1");
}

TEST_F(ArgocdUpdateTest, ConflictsOnTheApplicationAndThenOnTheRecordUseUpNoAttempt) {
  Put(Application("web"));
  int patches = 0;
  int records = 0;
  kubernetes_.before = [&](const FakeKubernetes::Call& call) {
    if (IsWrite(call) && ++patches == 1) Put(Read("web"));
    // The record is changed by somebody else each time that the second pass wants to write it.
    const bool record = call.plural == "stagehealths" && call.verb == "patch";
    if (record && ++records <= 4) {
      kubernetes_.Put("stagehealths",
                      kubernetes_.Read("stagehealths", "gantry-system", "shop.prod"));
    }
    return absl::OkStatus();
  };
  EXPECT_EQ(Run().status(), v1::STEP_STATUS_RUNNING);
  EXPECT_EQ(patches, 1);
  EXPECT_EQ(StageSpec()["steps"][0]["applications"][0]["attempt"], 0);
}

TEST_F(ArgocdUpdateTest, AConflictOnTheRecordIsDecidedOnAgain) {
  Put(Application("web"));
  bool changed = false;
  kubernetes_.before = [&](const FakeKubernetes::Call& call) {
    // Another replica does the whole step between this one's read and its record.
    if (call.verb == "create" && call.plural == "stagehealths" && !changed) {
      changed = true;
      Run();
    }
    return absl::OkStatus();
  };
  EXPECT_ANSWER(Run(), RUNNING, OPERATION_RUNNING);
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), 1U);
}

TEST_F(ArgocdUpdateTest, AnotherStepsOperationIsNotTakenForAnAttemptThatWasGivenBack) {
  Put(Application("web"));
  kubernetes_.before = [](const FakeKubernetes::Call& call) {
    return IsWrite(call) ? Failure(ErrorKind::kForbidden, 403, "no way") : absl::OkStatus();
  };
  EXPECT_ANSWER(Run(), ERRORED, WRITE_REFUSED);
  kubernetes_.before = [](const FakeKubernetes::Call&) { return absl::OkStatus(); };
  request_.set_step("other");
  Configure(R"({"apps": [{"name": "web"}]})");
  Run();
  Complete("web", "Succeeded", "v2");
  EXPECT_ANSWER(Run(), SUCCEEDED, UNSPECIFIED);

  request_.set_step("update");
  Configure(kOneApplication);
  EXPECT_ANSWER(Run(), RUNNING, OPERATION_RUNNING);
  EXPECT_EQ(Read("web")["spec"]["source"]["targetRevision"], "v2");
}

TEST_F(ArgocdUpdateTest, AnotherStepGetsItsOwnOperationAlsoAfterTheRecordWasDeleted) {
  Put(Application("web"));
  Run();
  kubernetes_.Remove("stagehealths", "gantry-system", "shop.prod");
  Complete("web", "Succeeded", "v2");
  EXPECT_ANSWER(Run(), SUCCEEDED, UNSPECIFIED);
  EXPECT_EQ(StageSpec()["steps"][0]["applications"][0]["attempt"], 1);
  request_.set_step("other");
  EXPECT_ANSWER(Run(), RUNNING, OPERATION_RUNNING);
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), 2U);
}

TEST_F(ArgocdUpdateTest, AnotherConfigurationOfTheSameStepIsWritten) {
  Put(Application("web"));
  Run();
  Complete("web", "Succeeded", "v2");
  EXPECT_ANSWER(Run(), SUCCEEDED, UNSPECIFIED);
  Configure(R"({"apps": [{"name": "web", "sources": [
      {"repoURL": "https://git.example/web.git", "desiredRevision": "v3",
       "updateTargetRevision": true}]}]})");
  EXPECT_ANSWER(Run(), RUNNING, OPERATION_RUNNING);
  EXPECT_EQ(Read("web")["spec"]["source"]["targetRevision"], "v3");
  Complete("web", "Succeeded", "v3");
  EXPECT_ANSWER(Run(), SUCCEEDED, UNSPECIFIED);
}

TEST_F(ArgocdUpdateTest, OverlappingCallsGiveBackAllTheirAttempts) {
  Put(Application("web"));
  for (int i = 0; i < 7; ++i) {
    bool nested = false;
    kubernetes_.before = [&](const FakeKubernetes::Call& call) {
      if (!IsWrite(call)) return absl::OkStatus();
      if (!nested) {
        // Another replica records the next attempt and is refused as well.
        nested = true;
        EXPECT_ANSWER(Run(), ERRORED, WRITE_REFUSED);
      }
      return Failure(ErrorKind::kForbidden, 403, "no way");
    };
    EXPECT_ANSWER(Run(), ERRORED, WRITE_REFUSED);
  }
  kubernetes_.before = [](const FakeKubernetes::Call&) { return absl::OkStatus(); };
  EXPECT_ANSWER(Run(), RUNNING, OPERATION_RUNNING);
}

TEST_F(ArgocdUpdateTest, WhatIsDoneIsRecordedAlsoWhenAnotherApplicationIsInTheWay) {
  Configure(R"({"apps": [{"name": "web"}, {"name": "api"}]})");
  Put(Application("web"));
  Put(Application("api"));
  Run();
  Complete("web", "Succeeded", "x");
  json api = Read("api");
  api["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  Put(api);
  EXPECT_ANSWER(Run(), ERRORED, APPLICATION_DELETING);
  EXPECT_EQ(StageSpec()["steps"][0]["applications"][1]["name"], "web");
  EXPECT_EQ(StageSpec()["steps"][0]["applications"][1]["done"], true);
}

TEST_F(ArgocdUpdateTest, AStalledReplicaWritesNothingForAStepThatHasEnded) {
  Put(Application("web"));
  kubernetes_.after = [&](const FakeKubernetes::Call& call) {
    if (call.verb == "create" && call.plural == "stagehealths") {
      json stage = kubernetes_.Read("stagehealths", "gantry-system", "shop.prod");
      stage["spec"]["steps"][0]["status"] = "Failed";
      stage["spec"]["steps"][0]["reason"] = "OperationFailed";
      kubernetes_.Put("stagehealths", stage);
      clock_.now += absl::Seconds(2);  // for so long it was stalled
    }
    return absl::OkStatus();
  };
  EXPECT_ANSWER(Run(), FAILED, OPERATION_FAILED);
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), 0U);
}

TEST_F(ArgocdUpdateTest, AfterConflictsTheAnswerStillTellsWhatWasWritten) {
  Configure(R"({"apps": [{"name": "web"}, {"name": "api"}]})");
  Put(Application("web"));
  Put(Application("api"));
  kubernetes_.before = [&](const FakeKubernetes::Call& call) {
    if (IsWrite(call) && call.name == "api") Put(Read("api"));
    return absl::OkStatus();
  };
  base::WorkerPool helpers(1, 0);  // one write after the other, web first
  StepDriver step(std::make_unique<ArgocdUpdate>(), {},
                  {kubernetes_, stages_, events_, helpers, caches_, clock_, random_, sleeper_});
  base::Context context;
  const auto response = step.Run(request_, context, log_);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_ANSWER(*response, RUNNING, OPERATION_RUNNING);
  ASSERT_EQ(response->applications_size(), 2);
  EXPECT_EQ(response->applications(0).action(), v1::ApplicationOutcome::ACTION_SYNC_STARTED);
  EXPECT_EQ(response->output().fields().at("apps").list_value().values_size(), 2);
}

struct RefusedCase {
  const char* name;
  ErrorKind kind;
  int http_status;
};

class RefusedWriteTest : public ArgocdUpdateTest,
                         public ::testing::WithParamInterface<RefusedCase> {};

TEST_P(RefusedWriteTest, IsAnErrorThatUsesUpNoAttempt) {
  Put(Application("web"));
  kubernetes_.before = [](const FakeKubernetes::Call& call) {
    return IsWrite(call) ? Failure(GetParam().kind, GetParam().http_status, "no way")
                         : absl::OkStatus();
  };
  for (int i = 0; i < 7; ++i) {
    const v1::RunStepResponse response = Run();
    EXPECT_ANSWER(response, ERRORED, WRITE_REFUSED);
    EXPECT_THAT(response.message(), HasSubstr("no way"));
  }
  kubernetes_.before = [](const FakeKubernetes::Call&) { return absl::OkStatus(); };
  EXPECT_ANSWER(Run(), RUNNING, OPERATION_RUNNING);
  EXPECT_EQ(Read("web")["operation"]["info"][2]["value"], "1");
}

INSTANTIATE_TEST_SUITE_P(Statuses, RefusedWriteTest,
                         ::testing::Values(RefusedCase{"Forbidden", ErrorKind::kForbidden, 403},
                                           RefusedCase{"TooLarge", ErrorKind::kRefused, 413},
                                           RefusedCase{"Invalid", ErrorKind::kRefused, 422}),
                         [](const auto& test) { return test.param.name; });

TEST_F(ArgocdUpdateTest, AfterAFailedWriteNoFurtherOneIsBegun) {
  // One helper thread and the caller: at most two writes are under way.
  base::WorkerPool helpers(1, 1);
  StepDriver step(std::make_unique<ArgocdUpdate>(), {},
                  {kubernetes_, stages_, events_, helpers, caches_, clock_, random_, sleeper_});
  std::string config = R"({"apps": [)";
  for (int i = 0; i < 20; ++i) {
    Put(Application("web" + std::to_string(i)));
    config += (i > 0 ? "," : "") + std::string(R"({"name": "web)") + std::to_string(i) + "\"}";
  }
  Configure(config + "]}");
  kubernetes_.before = [](const FakeKubernetes::Call& call) {
    return IsWrite(call) ? Failure(ErrorKind::kThrottled, 429, "slow down") : absl::OkStatus();
  };
  base::Context context;
  const auto response = step.Run(request_, context, log_);
  EXPECT_LE(kubernetes_.Count("patch", "applications"), 2U);
  EXPECT_EQ(response.status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ArgocdUpdateTest, SomeWrittenAndAnotherFailedForAPassingReasonIsRunning) {
  Configure(R"({"apps": [{"name": "web"}, {"name": "api"}]})");
  Put(Application("web"));
  Put(Application("api"));
  kubernetes_.before = [](const FakeKubernetes::Call& call) {
    return IsWrite(call) && call.name == "api" ? Failure(ErrorKind::kThrottled, 429, "slow down")
                                               : absl::OkStatus();
  };
  // Which of the two is written first is not said; let web be done for sure.
  base::WorkerPool helpers(1, 0);
  StepDriver step(std::make_unique<ArgocdUpdate>(), {},
                  {kubernetes_, stages_, events_, helpers, caches_, clock_, random_, sleeper_});
  base::Context context;
  const auto response = step.Run(request_, context, log_);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_ANSWER(*response, RUNNING, OPERATION_RUNNING);
  EXPECT_TRUE(response->has_retry_after());
  EXPECT_EQ(response->applications(0).action(), v1::ApplicationOutcome::ACTION_SYNC_STARTED);
  EXPECT_EQ(response->applications(1).action(), v1::ApplicationOutcome::ACTION_UNSPECIFIED);
  EXPECT_THAT(response->applications(1).message(), HasSubstr("slow down"));
  EXPECT_EQ(StageSpec()["steps"][0]["applications"][0]["attempt"], 0);  // api
  EXPECT_EQ(StageSpec()["steps"][0]["applications"][1]["attempt"], 1);  // web
}

TEST_F(ArgocdUpdateTest, AWriteWhoseAnswerIsLostIsLookedAtBeforeAnythingElse) {
  Put(Application("web"));
  bool lost = false;
  kubernetes_.after = [&](const FakeKubernetes::Call& call) {
    if (call.verb != "patch" || lost) return absl::OkStatus();
    lost = true;
    return Failure(ErrorKind::kDeadlineExceeded, 0, "no answer in 30s");
  };
  const v1::RunStepResponse response = Run();
  EXPECT_ANSWER(response, RUNNING, OPERATION_RUNNING);
  EXPECT_EQ(response.applications(0).action(), v1::ApplicationOutcome::ACTION_SYNC_STARTED);
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), 1U);
  EXPECT_THAT(events_.events, SizeIs(1));
}

TEST_F(ArgocdUpdateTest, ACrashBetweenRecordAndWriteIsNotTakenForSuccess) {
  // The Application was synced to v2 before, by somebody else and without our images.
  Configure(R"({"apps": [{"name": "web", "sources": [{"repoURL": "https://git.example/web",
      "desiredRevision": "v2", "kustomize": {"images": [{"repoURL": "a", "tag": "1"}]}}]}]})");
  json web = Application("web");
  web["status"]["operationState"] = {{"phase", "Succeeded"},
                                     {"finishedAt", "2020-01-01T00:00:00Z"},
                                     {"syncResult", {{"revision", "v2"}}}};
  Put(web);
  kubernetes_.before = [](const FakeKubernetes::Call& call) {
    return IsWrite(call) ? Failure(ErrorKind::kUnreachable, 0, "killed here") : absl::OkStatus();
  };
  EXPECT_FALSE(TryRun().ok());
  kubernetes_.before = [](const FakeKubernetes::Call&) { return absl::OkStatus(); };
  EXPECT_ANSWER(Run(), RUNNING, OPERATION_RUNNING);
  EXPECT_EQ(Read("web")["spec"]["source"]["kustomize"]["images"], json({"a:1"}));
}

struct OutageCase {
  const char* name;
  const char* verb;
  const char* plural;
  ErrorKind kind;
  const char* reason;
};

class OutageTest : public ArgocdUpdateTest, public ::testing::WithParamInterface<OutageCase> {};

TEST_P(OutageTest, IsUnavailableWithReasonAndDelay) {
  Put(Application("web"));
  kubernetes_.before = [](const FakeKubernetes::Call& call) {
    return call.verb == GetParam().verb && call.plural == GetParam().plural
               ? Failure(GetParam().kind, 0, "what happened")
               : absl::OkStatus();
  };
  const absl::Status status = TryRun().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("what happened"));
  const std::optional<base::ErrorInfo> info = base::ErrorInfoOf(status);
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->reason, GetParam().reason);
  EXPECT_TRUE(info->retry_delay.has_value());
  EXPECT_FALSE(Read("web").contains("operation"));
}

INSTANTIATE_TEST_SUITE_P(
    Calls, OutageTest,
    ::testing::Values(OutageCase{"ReadingTheStage", "get", "stagehealths", ErrorKind::kUnreachable,
                                 "KUBERNETES_UNREACHABLE"},
                      OutageCase{"ReadingTheApplication", "get", "applications",
                                 ErrorKind::kServerError, "KUBERNETES_SERVER_ERROR"},
                      OutageCase{"NotAllowedToRead", "get", "applications", ErrorKind::kForbidden,
                                 "KUBERNETES_FORBIDDEN"},
                      OutageCase{"NotJson", "get", "applications", ErrorKind::kMalformedResponse,
                                 "KUBERNETES_MALFORMED_RESPONSE"},
                      OutageCase{"RecordingTheAttempt", "create", "stagehealths",
                                 ErrorKind::kNoSuchResource, "KUBERNETES_NO_SUCH_RESOURCE"},
                      OutageCase{"Writing", "patch", "applications", ErrorKind::kUnreachable,
                                 "KUBERNETES_UNREACHABLE"}),
    [](const auto& test) { return test.param.name; });

TEST_F(ArgocdUpdateTest, SucceededIsNotSaidWhileItCanNotBeRecorded) {
  Put(Application("web"));
  Run();
  Complete("web", "Succeeded", "v2");
  kubernetes_.before = [](const FakeKubernetes::Call& call) {
    return call.verb == "patch" && call.plural == "stagehealths"
               ? Failure(ErrorKind::kUnreachable, 0, "gone")
               : absl::OkStatus();
  };
  EXPECT_EQ(TryRun().status().code(), absl::StatusCode::kUnavailable);
  kubernetes_.before = [](const FakeKubernetes::Call&) { return absl::OkStatus(); };
  EXPECT_ANSWER(Run(), SUCCEEDED, UNSPECIFIED);
}

TEST_F(ArgocdUpdateTest, AnApplicationThatIsNotUnderstoodIsNotWritten) {
  json web = Application("web");
  web["spec"]["source"]["targetRevision"] = 5;
  Put(web);
  const absl::Status status = TryRun().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("targetRevision is a number"));
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), 0U);
}

TEST_F(ArgocdUpdateTest, TheCallersEndIsReportedAsSuch) {
  Put(Application("web"));
  base::Context cancelled;
  cancelled.Cancel();
  EXPECT_TRUE(absl::IsCancelled(step_.Run(request_, cancelled, log_).status()));
  base::Context late(absl::ZeroDuration());
  EXPECT_TRUE(absl::IsDeadlineExceeded(step_.Run(request_, late, log_).status()));
}

TEST_F(ArgocdUpdateTest, CallersThatGiveUpEarlyUseUpNoAttempts) {
  Put(Application("web"));
  for (int i = 0; i < 7; ++i) {
    base::Context context;
    kubernetes_.after = [&](const FakeKubernetes::Call& call) {
      // The caller goes as soon as the attempt is on record.
      const bool recorded = call.plural == "stagehealths" && call.verb != "get";
      if (recorded) context.Cancel();
      return absl::OkStatus();
    };
    EXPECT_TRUE(absl::IsCancelled(step_.Run(request_, context, log_).status()));
  }
  kubernetes_.after = [](const FakeKubernetes::Call&) { return absl::OkStatus(); };
  EXPECT_ANSWER(Run(), RUNNING, OPERATION_RUNNING);
  EXPECT_EQ(Read("web")["operation"]["info"][2]["value"], "1");
}

TEST_F(ArgocdUpdateTest, TheNextAttemptWaitsForItsTime) {
  Put(Application("web"));
  Run();
  Complete("web", "Succeeded", "v1");
  json web = Read("web");
  v1::RunStepResponse response = Run();
  EXPECT_ANSWER(response, RUNNING, AWAITING_RETRY);
  EXPECT_EQ(response.retry_after().seconds(), 10);
  clock_.now += absl::Seconds(10);
  EXPECT_ANSWER(Run(), RUNNING, OPERATION_RUNNING);
  EXPECT_EQ(Read("web")["operation"]["info"][2]["value"], "2");
}

TEST_F(ArgocdUpdateTest, TheActorIsTheInitiatorOfAManualPromotion) {
  Put(Application("web"));
  request_.set_actor("ann");
  Run();
  EXPECT_EQ(Read("web")["operation"]["initiatedBy"], json({{"username", "ann"}}));
  EXPECT_THAT(events_.events, ElementsAre("web OperationStarted: ann initiated sync to v2"));
}

}  // namespace
}  // namespace gantry::steps
