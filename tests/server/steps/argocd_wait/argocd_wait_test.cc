// SPDX-License-Identifier: Apache-2.0
#include "server/steps/argocd_wait/argocd_wait.h"

#include "server/stages/stage_record_json.h"
#include "tests/server/steps/step_fixture.h"

namespace gantry::steps {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ArgocdWaitTest : public StepFixture {
 protected:
  ArgocdWaitTest() {
    request_.set_uses("argocd-wait");
    Configure(R"({"apps": [{"name": "web"}]})");
  }

  // As awaited. `changes` are laid over it.
  json Application(const std::string& name, const std::string& changes = "{}") const {
    json application = {
        {"metadata",
         {{"namespace", "argocd"},
          {"name", name},
          {"labels", {{"team", "shop"}}},
          {"annotations", {{"kargo.akuity.io/authorized-stage", "shop:prod"}}}}},
        {"spec", {{"source", {{"repoURL", "https://git.example/web"}}}}},
        {"status",
         {{"sync", {{"status", "Synced"}}},
          {"health", {{"status", "Healthy"}}},
          {"reconciledAt", Time()},
          {"operationState", {{"phase", "Succeeded"}, {"finishedAt", Time(absl::Seconds(-5))}}}}}};
    application.merge_patch(json::parse(changes));
    return application;
  }
  static std::string Health(const std::string& status) {
    return R"({"status": {"health": {"status": ")" + status + R"("}}})";
  }
  static constexpr const char* kRunning =
      R"({"operation": {"sync": {}}, "status": {"operationState": {"phase": "Running",
          "finishedAt": null}}})";
  json Unreconciled(const std::string& name) const {
    json application = Application(name);
    application["status"]["reconciledAt"] = Time(absl::Seconds(-60));
    return application;
  }

  void Previously(const std::string& health) {
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(
                    R"({"healthStatus": {"argocd/web": ")" + health + "\"}}",
                    request_.mutable_previous_output())
                    .ok());
  }
  json Output(const v1::RunStepResponse& response) {
    std::string text;
    EXPECT_TRUE(google::protobuf::util::MessageToJsonString(response.output(), &text).ok());
    return json::parse(text);
  }
  void StoreStage(const json& spec) {
    kubernetes_.Put(
        "stagehealths",
        {{"metadata", {{"namespace", "gantry-system"}, {"name", "shop.prod"}}}, {"spec", spec}});
  }

  StepDriver step_{
      std::make_unique<ArgocdWait>(),
      {.watch_namespaces = {"argocd"}},
      {kubernetes_, stages_, events_, helpers_, watches_.caches, clock_, random_, sleeper_}};
};

TEST_F(ArgocdWaitTest, SucceedsAndIsRecordedAndAnsweredFromTheRecord) {
  Put(Application("web"));
  const v1::RunStepResponse response = Run(step_);
  EXPECT_ANSWER(response, SUCCEEDED, UNSPECIFIED);
  EXPECT_FALSE(response.has_health_check());
  ASSERT_EQ(response.applications_size(), 1);
  EXPECT_EQ(response.applications(0).action(), v1::ApplicationOutcome::ACTION_NONE);
  EXPECT_EQ(Output(response), json::parse(R"({"apps": [{"name": "web", "namespace": "argocd"}],
                                              "healthStatus": {"argocd/web": "Healthy"}})"));
  EXPECT_EQ(StageSpec()["promotion"]["name"], "p1");
  EXPECT_EQ(StageSpec()["promotion"]["phase"], "Succeeded");
  EXPECT_THAT(StageSpec().value("healthChecks", json::array()), IsEmpty());

  // Whatever happens afterwards.
  kubernetes_.Remove("applications", "argocd", "web");
  const v1::RunStepResponse again = Run(step_);
  EXPECT_ANSWER(again, SUCCEEDED, UNSPECIFIED);
  EXPECT_EQ(Output(again)["apps"], Output(response)["apps"]);
  EXPECT_EQ(again.message(), response.message());
  EXPECT_EQ(kubernetes_.Count("get", "applications"), 1U);
}

TEST_F(ArgocdWaitTest, AnotherConfigurationIsJudgedAnew) {
  Put(Application("web"));
  EXPECT_ANSWER(Run(step_), SUCCEEDED, UNSPECIFIED);
  Configure(R"({"apps": [{"name": "web"}], "waitFor": ["degraded"]})");
  EXPECT_ANSWER(Run(step_), RUNNING, NOT_READY);
}

TEST_F(ArgocdWaitTest, AnInvalidConfigurationMakesNoCall) {
  Configure(R"({"apps": [], "waitFor": ["x"]})");
  const v1::RunStepResponse response = Run(step_);
  EXPECT_ANSWER(response, FAILED, INVALID_CONFIG);
  EXPECT_EQ(response.violations_size(), 2);
  EXPECT_EQ(CallCount(), 0U);
}

struct VerdictCase {
  const char* name;
  const char* wait_for;  // empty: the default
  const char* changes;   // of the Application that is as awaited
  v1::StepStatus status;
  v1::StepReason reason = v1::STEP_REASON_UNSPECIFIED;
};
std::ostream& operator<<(std::ostream& out, const VerdictCase& c) { return out << c.name; }

constexpr auto kSucceeded = v1::STEP_STATUS_SUCCEEDED;
constexpr auto kFailed = v1::STEP_STATUS_FAILED;
constexpr auto kWaiting = v1::STEP_STATUS_RUNNING;
constexpr auto kNotReady = v1::STEP_REASON_NOT_READY;
constexpr auto kCondition = v1::STEP_REASON_APPLICATION_CONDITION;

const VerdictCase kVerdicts[] = {
    {"all as awaited", "", "{}", kSucceeded},
    {"an operation is requested", "", R"({"operation": {"sync": {}}})", kWaiting, kNotReady},
    {"an operation is requested, not asked for", R"(["health"])", R"({"operation": {"sync": {}}})",
     kSucceeded},
    {"an operation runs", R"(["operation"])",
     R"({"status": {"operationState": {"phase": "Running", "finishedAt": null}}})", kWaiting,
     kNotReady},
    {"the operation failed, which is an end", R"(["operation"])",
     R"({"status": {"operationState": {"phase": "Failed"}}})", kSucceeded},
    {"no operation ever", "", R"({"status": {"operationState": null}})", kSucceeded},
    {"not reconciled", R"(["health"])", R"({"status": {"reconciledAt": null}})", kWaiting,
     kNotReady},
    {"not reconciled, and health is not asked for", R"(["sync"])",
     R"({"status": {"reconciledAt": null}})", kSucceeded},
    {"not reconciled hides conditions", "",
     R"({"status": {"reconciledAt": null,
                    "conditions": [{"type": "ComparisonError", "message": "m"}]}})",
     kWaiting, kNotReady},
    {"a comparison error", "",
     R"({"status": {"conditions": [{"type": "ComparisonError", "message": "m"}]}})", kFailed,
     kCondition},
    {"an invalid spec", R"(["sync"])",
     R"({"status": {"conditions": [{"type": "InvalidSpecError", "message": "m"}]}})", kFailed,
     kCondition},
    {"another condition", "",
     R"({"status": {"conditions": [{"type": "OrphanedResourceWarning", "message": "m"}]}})",
     kSucceeded},
    {"progressing", "", R"({"status": {"health": {"status": "Progressing"}}})", kWaiting,
     kNotReady},
    {"degraded without a past", "", R"({"status": {"health": {"status": "Degraded"}}})", kWaiting,
     kNotReady},
    {"suspended, asked for", R"(["health", "suspended"])",
     R"({"status": {"health": {"status": "Suspended"}}})", kSucceeded},
    {"degraded, asked for", R"(["degraded"])", R"({"status": {"health": {"status": "Degraded"}}})",
     kSucceeded},
    {"out of sync", "", R"({"status": {"sync": {"status": "OutOfSync"}}})", kWaiting, kNotReady},
    {"out of sync, not asked for", R"(["health"])",
     R"({"status": {"sync": {"status": "OutOfSync"}}})", kSucceeded},
    {"nothing known yet", "", R"({"status": null})", kWaiting, kNotReady},
};

class ArgocdWaitVerdictTest : public ArgocdWaitTest,
                              public ::testing::WithParamInterface<VerdictCase> {};

TEST_P(ArgocdWaitVerdictTest, FromALiveRead) {
  const VerdictCase& c = GetParam();
  if (*c.wait_for != '\0') {
    Configure(std::string(R"({"apps": [{"name": "web"}], "waitFor": )") + c.wait_for + "}");
  }
  Put(Application("web", c.changes));
  const v1::RunStepResponse response = Run(step_);
  EXPECT_EQ(response.status(), c.status) << response.ShortDebugString();
  EXPECT_EQ(response.reason(), c.reason) << response.ShortDebugString();
  EXPECT_THAT(response.message(), HasSubstr("argocd/web"));
  EXPECT_THAT(Output(response)["apps"], SizeIs(1));
  EXPECT_EQ(StageSpec()["steps"][0]["status"], c.status == kSucceeded ? "Succeeded"
                                               : c.status == kFailed  ? "Failed"
                                                                      : "Running");
  // The same again.
  EXPECT_EQ(Run(step_).status(), c.status);
}

INSTANTIATE_TEST_SUITE_P(Rules, ArgocdWaitVerdictTest, ::testing::ValuesIn(kVerdicts),
                         [](const auto& test) {
                           std::string name = test.param.name;
                           for (char& c : name) {
                             if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
                           }
                           return name;
                         });

TEST_F(ArgocdWaitTest, FailuresQuoteEveryCondition) {
  Put(Application("web", R"({"status": {"conditions": [
      {"type": "ComparisonError", "message": "no such path"},
      {"type": "InvalidSpecError", "message": "no such project"}]}})"));
  const v1::RunStepResponse response = Run(step_);
  EXPECT_ANSWER(response, FAILED, APPLICATION_CONDITION);
  EXPECT_THAT(response.message(), HasSubstr("no such path"));
  EXPECT_THAT(response.message(), HasSubstr("no such project"));
  // For good.
  Put(Application("web"));
  EXPECT_ANSWER(Run(step_), FAILED, APPLICATION_CONDITION);
}

TEST_F(ArgocdWaitTest, HealthThatGetsWorseFails) {
  for (const char* before : {"Healthy", "Progressing", "Missing", "Suspended"}) {
    request_.set_step(std::string("step-") + before);
    Put(Application("web", Health(before)));
    Previously(before);
    Put(Application("web", Health("Degraded")));
    const v1::RunStepResponse response = Run(step_);
    EXPECT_ANSWER(response, FAILED, HEALTH_REGRESSED);
    EXPECT_EQ(Output(response)["healthStatus"]["argocd/web"], "Degraded");
  }
}

TEST_F(ArgocdWaitTest, HealthThatWasNoBetterIsWaitedFor) {
  Put(Application("web", Health("Degraded")));
  for (const char* before : {"Degraded", "Unknown", ""}) {
    request_.set_step(std::string("step-") + before);
    Previously(before);
    EXPECT_ANSWER(Run(step_), RUNNING, NOT_READY);
  }
  // A map that says nothing of it, or is none.
  for (const char* output :
       {"{}", R"({"healthStatus": {"argocd/api": "Healthy"}})", R"({"healthStatus": "Healthy"})",
        R"({"healthStatus": {"argocd/web": 7}})"}) {
    request_.set_step("other");
    request_.clear_previous_output();
    ASSERT_TRUE(
        google::protobuf::util::JsonStringToMessage(output, request_.mutable_previous_output())
            .ok());
    EXPECT_ANSWER(Run(step_), RUNNING, NOT_READY);
  }
}

TEST_F(ArgocdWaitTest, APollOfAWaitingStepMakesNoCall) {
  Put(Application("web", Health("Progressing")));
  const v1::RunStepResponse live = Run(step_);
  EXPECT_ANSWER(live, RUNNING, NOT_READY);
  EXPECT_EQ(live.applications(0).action(), v1::ApplicationOutcome::ACTION_WAITED);
  Watch();
  v1::RunStepResponse response;
  EXPECT_EQ(CallsOf(step_, &response), 0U);
  EXPECT_EQ(response.ShortDebugString(), live.ShortDebugString());
  // What the watch has brought since is told.
  Put(Application("web", Health("Missing")));
  Watch();
  EXPECT_EQ(CallsOf(step_, &response), 0U);
  EXPECT_EQ(Output(response)["healthStatus"]["argocd/web"], "Missing");

  clock_.Advance(watches_.kLimit + absl::Seconds(1));
  EXPECT_GT(CallsOf(step_), 0U);
}

TEST_F(ArgocdWaitTest, SuccessAndFailureAreReadLive) {
  Put(Application("web", Health("Progressing")));
  Run(step_);
  Put(Application("web"));
  Watch();
  Put(Application("web", Health("Missing")));  // not what the watch has brought
  v1::RunStepResponse response;
  EXPECT_GT(CallsOf(step_, &response), 0U);
  EXPECT_ANSWER(response, RUNNING, NOT_READY);

  Put(Application("web", R"({"status": {"conditions": [{"type": "ComparisonError"}]}})"));
  Watch();
  Put(Application("web", Health("Missing")));
  EXPECT_GT(CallsOf(step_, &response), 0U);
  EXPECT_ANSWER(response, RUNNING, NOT_READY);

  Previously("Healthy");
  Put(Application("web", Health("Degraded")));
  Watch();
  Put(Application("web", Health("Missing")));
  EXPECT_GT(CallsOf(step_, &response), 0U);
  EXPECT_ANSWER(response, RUNNING, NOT_READY);
}

TEST_F(ArgocdWaitTest, TheFirstAnswerIsRecordedAlsoWhenTheCacheKnowsIt) {
  StoreStage(json::object());
  Put(Application("web", kRunning));
  Watch();
  EXPECT_GT(CallsOf(step_), 0U);
  EXPECT_EQ(StageSpec()["steps"][0]["status"], "Running");
  EXPECT_EQ(CallsOf(step_), 0U);
}

TEST_F(ArgocdWaitTest, NeverTakesThePlaceOfAnotherPromotion) {
  StoreStage(json::parse(R"({"promotion": {"name": "p2", "phase": "Running"}})"));
  const json before = StageObject();
  Put(Application("web", Health("Progressing")));
  EXPECT_ANSWER(Run(step_), RUNNING, NOT_READY);
  EXPECT_EQ(StageObject(), before);
  // Waiting for it costs nothing either.
  Watch();
  EXPECT_EQ(CallsOf(step_), 0U);
  Put(Application("web"));
  Watch();
  EXPECT_ANSWER(Run(step_), SUCCEEDED, UNSPECIFIED);
  EXPECT_EQ(StageSpec()["promotion"]["name"], "p2");
  EXPECT_EQ(StageSpec()["promotion"]["phase"], "Running");
  EXPECT_THAT(StageSpec()["steps"], IsEmpty());
}

TEST_F(ArgocdWaitTest, AnEndStaysSoAlsoForAPromotionThatIsNotCurrent) {
  const char* const other = R"({"promotion": {"name": "p2", "phase": "Running"}})";
  const std::string condition = R"({"status": {"conditions": [{"type": "ComparisonError"}]}})";
  StoreStage(json::parse(other));
  Put(Application("web"));
  const v1::RunStepResponse succeeded = Run(step_);
  EXPECT_ANSWER(succeeded, SUCCEEDED, UNSPECIFIED);
  Put(Application("web", condition));
  const v1::RunStepResponse again = Run(step_);
  EXPECT_ANSWER(again, SUCCEEDED, UNSPECIFIED);
  EXPECT_EQ(again.message(), succeeded.message());

  StoreStage(json::parse(other));
  EXPECT_ANSWER(Run(step_), FAILED, APPLICATION_CONDITION);
  Put(Application("web"));
  EXPECT_ANSWER(Run(step_), FAILED, APPLICATION_CONDITION);
  // Another configuration is another step.
  Configure(R"({"apps": [{"name": "web"}], "waitFor": ["health"]})");
  EXPECT_ANSWER(Run(step_), SUCCEEDED, UNSPECIFIED);
}

TEST_F(ArgocdWaitTest, WhatEndedBeforeItsPromotionWasSupersededStaysSo) {
  Put(Application("web"));
  EXPECT_ANSWER(Run(step_), SUCCEEDED, UNSPECIFIED);
  absl::StatusOr<stages::StageRecord> record =
      stages::ReadRecord(kubernetes::JsonText(StageSpec().dump()).padded());
  ASSERT_TRUE(record.ok()) << record.status();
  stages::MakeCurrent(*record, "p2");
  StoreStage(stages::WriteRecord(*record));
  Put(Application("web", Health("Degraded")));
  EXPECT_ANSWER(Run(step_), SUCCEEDED, UNSPECIFIED);
}

TEST_F(ArgocdWaitTest, IsRecordedWithTheCurrentPromotion) {
  StoreStage(json::parse(R"({"promotion": {"name": "p1", "phase": "Running"}})"));
  Put(Application("web"));
  EXPECT_ANSWER(Run(step_), SUCCEEDED, UNSPECIFIED);
  EXPECT_EQ(StageSpec()["steps"][0]["uses"], "argocd-wait");
  EXPECT_EQ(StageSpec()["steps"][0]["status"], "Succeeded");
}

TEST_F(ArgocdWaitTest, ADryRunWritesNothingAndDoesNotSucceed) {
  request_.set_dry_run(true);
  Put(Unreconciled("web"));
  EXPECT_ANSWER(Run(step_), RUNNING, NOT_READY);
  Put(Application("web"));
  v1::RunStepResponse response = Run(step_);
  EXPECT_ANSWER(response, RUNNING, NOT_READY);
  EXPECT_THAT(response.message(), HasSubstr("dry run"));
  EXPECT_TRUE(StageObject().is_null());
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), 0U);
  request_.set_dry_run(false);
  EXPECT_ANSWER(Run(step_), SUCCEEDED, UNSPECIFIED);
  request_.set_dry_run(true);
  EXPECT_ANSWER(Run(step_), SUCCEEDED, UNSPECIFIED);  // as recorded
}

TEST_F(ArgocdWaitTest, ARefreshIsAskedForOnce) {
  Put(Unreconciled("web"));
  EXPECT_ANSWER(Run(step_), RUNNING, NOT_READY);
  ASSERT_EQ(kubernetes_.Count("patch", "applications"), 1U);
  EXPECT_EQ(Read("web")["metadata"]["annotations"]["argocd.argoproj.io/refresh"], "normal");
  for (const FakeKubernetes::Call& call : kubernetes_.calls()) {
    if (!call.Is("patch", "applications")) continue;
    EXPECT_EQ(json::parse(call.body)[0]["path"], "/metadata/resourceVersion");
  }
  Run(step_);
  Watch();
  EXPECT_EQ(CallsOf(step_), 0U);
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), 1U);
  // Taken up in vain: once more, for which a cache must not answer, but not at once.
  Put(Unreconciled("web"));
  Watch();
  EXPECT_EQ(CallsOf(step_), 0U);
  clock_.Advance(absl::Seconds(10));
  EXPECT_GT(CallsOf(step_), 0U);
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), 2U);
  // Our write is known at once.
  EXPECT_EQ(CallsOf(step_), 0U);
}

TEST_F(ArgocdWaitTest, ARefreshIsNotAskedForWhereTheStageIsNotAuthorized) {
  for (const char* changes :
       {R"({"metadata": {"annotations": null}})",
        R"({"metadata": {"annotations": {"kargo.akuity.io/authorized-stage": "shop:test"}}})",
        R"({"metadata": {"annotations": {"argocd.argoproj.io/skip-reconcile": "true"}}})",
        R"({"metadata": {"annotations": {"argocd.argoproj.io/refresh": "hard"}}})"}) {
    json application = Unreconciled("web");
    application.merge_patch(json::parse(changes));
    Put(application);
    EXPECT_ANSWER(Run(step_), RUNNING, NOT_READY);  // to look, no annotation is needed
    EXPECT_EQ(kubernetes_.Count("patch", "applications"), 0U) << changes;
  }
}

TEST_F(ArgocdWaitTest, ARefreshThatFailsDoesNotFailTheStep) {
  Put(Unreconciled("web"));
  kubernetes_.before = [](const FakeKubernetes::Call& call) {
    return call.Is("patch", "applications")
               ? kubernetes::MakeError(
                     {.kind = kubernetes::ErrorKind::kForbidden, .http_status = 403}, "no")
               : absl::OkStatus();
  };
  EXPECT_ANSWER(Run(step_), RUNNING, NOT_READY);
  EXPECT_ANSWER(Run(step_), RUNNING, NOT_READY);
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), 1U);
  clock_.Advance(absl::Seconds(10));
  EXPECT_ANSWER(Run(step_), RUNNING, NOT_READY);
  EXPECT_EQ(kubernetes_.Count("patch", "applications"), 2U);
}

TEST_F(ArgocdWaitTest, MissingApplicationsAndNamespacesAreErrors) {
  EXPECT_ANSWER(Run(step_), ERRORED, APPLICATION_NOT_FOUND);
  Configure(R"({"apps": [{"selector": {"matchLabels": {"team": "shop"}}}]})");
  EXPECT_ANSWER(Run(step_), ERRORED, NO_APPLICATION_MATCHED);
  Configure(R"({"apps": [{"name": "web", "namespace": "elsewhere"}]})");
  const v1::RunStepResponse response = Run(step_);
  EXPECT_ANSWER(response, ERRORED, APPLICATION_NOT_FOUND);
  EXPECT_THAT(response.message(), HasSubstr("not watched"));
  EXPECT_TRUE(StageObject().is_null());
}

TEST_F(ArgocdWaitTest, AllOfASelectorMustBeReady) {
  Configure(R"({"apps": [{"selector": {"matchLabels": {"team": "shop"}}}, {"name": "web"}]})");
  Put(Application("web"));
  Put(Application("api", Health("Progressing")));
  v1::RunStepResponse response = Run(step_);
  EXPECT_ANSWER(response, RUNNING, NOT_READY);
  ASSERT_EQ(response.applications_size(), 2);
  EXPECT_EQ(response.applications(0).name(), "api");
  EXPECT_EQ(response.applications(0).action(), v1::ApplicationOutcome::ACTION_WAITED);
  EXPECT_EQ(response.applications(1).action(), v1::ApplicationOutcome::ACTION_NONE);
  EXPECT_EQ(Output(response)["healthStatus"],
            json({{"argocd/api", "Progressing"}, {"argocd/web", "Healthy"}}));
  Put(Application("api"));
  EXPECT_ANSWER(Run(step_), SUCCEEDED, UNSPECIFIED);
}

TEST_F(ArgocdWaitTest, AConflictIsJudgedAgain) {
  StoreStage(json::object());
  Put(Application("web"));
  bool raced = false;
  kubernetes_.before = [&](const FakeKubernetes::Call& call) {
    if (call.Is("patch", "stagehealths") && !raced) {
      raced = true;
      StoreStage(json::parse(R"({"promotion": {"name": "p2", "phase": "Running"}})"));
      Put(Application("web", Health("Missing")));
    }
    return absl::OkStatus();
  };
  EXPECT_ANSWER(Run(step_), RUNNING, NOT_READY);
  EXPECT_TRUE(raced);
  EXPECT_EQ(StageSpec()["promotion"]["name"], "p2");
}

TEST_F(ArgocdWaitTest, AfterFiveConflictsTheCallerIsAskedToComeAgain) {
  StoreStage(json::object());
  Put(Application("web"));
  kubernetes_.before = [&](const FakeKubernetes::Call& call) {
    if (call.Is("patch", "stagehealths")) StoreStage(json::object());
    return absl::OkStatus();
  };
  const v1::RunStepResponse response = Run(step_);
  EXPECT_EQ(response.status(), v1::STEP_STATUS_RUNNING);
  EXPECT_TRUE(response.has_retry_after());
  EXPECT_THAT(sleeper_.delays, ElementsAre(absl::Milliseconds(50), absl::Milliseconds(100),
                                           absl::Milliseconds(200), absl::Milliseconds(400)));
}

TEST_F(ArgocdWaitTest, AnApplicationThatIsNotUnderstoodIsAnErrorAndNoVerdict) {
  Put(Application("web", R"({"status": {"health": 7}})"));
  EXPECT_FALSE(TryRun(step_).ok());
  EXPECT_TRUE(StageObject().is_null());
}

}  // namespace
}  // namespace gantry::steps
