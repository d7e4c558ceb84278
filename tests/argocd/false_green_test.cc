// SPDX-License-Identifier: Apache-2.0
//
// What must never be called done or healthy, and what has to be told, on the real Argo CD.
// README.md lists those of these tests that a known fault makes fail.
#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "tests/argocd/argocd_test.h"
#include "tests/argocd/repositories.h"

namespace gantry::integration {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// Somebody's sync of all that the spec asks for.
const json kWholeSync = {{"initiatedBy", {{"username", "admin"}}}, {"sync", json::object()}};

class FalseGreenTest : public ArgoCdTest {
 protected:
  // An Application of a Kustomize base with an image, and the step that sets its tag.
  std::string NewKustomizeApp() {
    GitRepository git(name_);
    git.Commit(
        {{"app/kustomization.yaml", "resources: [config.yaml]\nconfigurations: [images.yaml]\n"},
         {"app/images.yaml", "images: [{path: data/web, kind: ConfigMap}]\n"},
         {"app/config.yaml", absl::StrCat("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ",
                                          name_, "}\ndata: {web: web:none}\n")}});
    url_ = git.url();
    return NewAppWith(name_, {{"source",
                               {{"repoURL", url_},
                                {"targetRevision", "main"},
                                {"path", "app"},
                                {"kustomize", {{"images", {"web:v1"}}}}}}});
  }
  json ImageTo(const std::string& app, const std::string& tag) const {
    const json images = json::array({{{"repoURL", "web"}, {"tag", tag}}});
    return Config(app, json::array({{{"repoURL", url_}, {"kustomize", {{"images", images}}}}}));
  }

  // An Application of a chart in git with a parameter, and the step that sets it.
  std::string NewHelmApp(const json& parameter) {
    GitRepository git(name_);
    Files files;
    for (const auto& [path, content] : ChartFiles("web", "1.0.0", name_)) {
      files["chart/" + path] = content;
    }
    git.Commit(files);
    url_ = git.url();
    return NewAppWith(name_, {{"source",
                               {{"repoURL", url_},
                                {"targetRevision", "main"},
                                {"path", "chart"},
                                {"helm", {{"parameters", json::array({parameter})}}}}}});
  }
  json ParameterTo(const std::string& app, const std::string& value) const {
    const json images = json::array({{{"key", "image.tag"}, {"value", value}}});
    return Config(app, json::array({{{"repoURL", url_}, {"helm", {{"images", images}}}}}));
  }

  // The owner of an Application, such as an ApplicationSet, makes its source or sources what they
  // are now, after each change of Gantry's and before Argo CD looks at that; `times` at most.
  void PutBack(Replica& gantry, const std::string& app, int times = kAlways) {
    const json spec = Application(app).at("spec");
    const char* const field = spec.contains("sources") ? "sources" : "source";
    const json patch = {{"spec", {{field, spec.at(field)}}}};
    RequestPattern change = WriteOf(app);
    change.count = times;
    gantry.proxy.RunBefore(change, [this] { backend_->Pause(); });
    gantry.proxy.RunAfter(change, [this, app, patch] {
      api_.MergePatch(ApplicationPath(app), patch);
      backend_->Resume();
    });
  }

  // Runs a step whose change is put back, until its operation is through and seen.
  StepResult RunPutBack(Replica& gantry, const v1::RunStepRequest& request,
                        const std::string& app) {
    EXPECT_TRUE(
        Is(gantry.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
    AwaitSettled(app);
    return gantry.RunStep(request);
  }

  static testing::AssertionResult IsReverted(const StepResult& result, const std::string& value) {
    const std::string reason = v1::StepReason_Name(result.response.reason());
    if (result.response.status() == v1::STEP_STATUS_FAILED &&
        reason == "STEP_REASON_CHANGE_REVERTED" &&
        result.response.message().find(value) != std::string::npos) {
      return testing::AssertionSuccess();
    }
    return testing::AssertionFailure()
           << "expected STEP_STATUS_FAILED / STEP_REASON_CHANGE_REVERTED that names " << value
           << ", found " << result.response.ShortDebugString();
  }

  // What a person's command writes: a sync to a revision as `argocd app sync --revision` does.
  static json PersonsSync(const std::string& revision, const json& more = json::object()) {
    json operation = {{"initiatedBy", {{"username", "admin"}}},
                      {"sync", {{"revision", revision}, {"syncStrategy", {{"hook", json()}}}}}};
    operation["sync"]["syncStrategy"]["hook"] = json::object();
    operation["sync"].merge_patch(more);
    return operation;
  }

  // A promotion to the tag v2 whose operation fails before anything asks; then somebody does that.
  StepResult RunAfterAFailureAnd(Replica& gantry, const std::string& app, const json& operation) {
    const v1::RunStepRequest request = Request(Updating(app, "v2"));
    EXPECT_TRUE(
        Is(gantry.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
    AwaitPhase(app, "Failed");
    Operate(app, operation);
    AwaitApplication(app, [](const json& application) {
      return !application.contains("operation") &&
             Text(application, "/status/operationState/operation/initiatedBy/username") ==
                 "admin" &&
             Text(application, "/status/operationState/phase") == "Succeeded";
    });
    return gantry.RunStep(request);
  }

  std::string Deployed(Replica& gantry) {
    const std::string app = NewApp();
    EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(Updating(app, "main"))), v1::STEP_STATUS_SUCCEEDED));
    AwaitApplication(app, [](const json& application) {
      return Text(application, "/status/sync/status") == "Synced" &&
             Text(application, "/status/health/status") == "Healthy";
    });
    return app;
  }

  // The last operation is through, and Argo CD sees that it left something else than the spec asks
  // for: its first comparison may come from a cache that lags.
  void AwaitOutOfSync(const std::string& app) {
    AwaitSettled(app);
    RefreshAndAwait(app);
    AwaitApplication(app, [](const json& application) {
      return Text(application, "/status/sync/status") == "OutOfSync";
    });
  }

  // The Stage's health when Argo CD's last comparison is certainly later than the last operation,
  // and the server has seen it.
  v1::StageHealth HealthAfterRefresh(Replica& gantry, const std::string& app) {
    const json application = RefreshAndAwait(app);
    const std::string sync = Text(application, "/status/sync/status");
    const auto stream = WatchHealth(gantry);
    return stream
        ->Await([&](const v1::WatchStageHealthResponse& event) {
          return event.updated().applications_size() == 1 &&
                 event.updated().applications(0).sync_status() == sync &&
                 event.updated().state() != v1::HEALTH_STATE_UNKNOWN;
        })
        .updated();
  }

  const std::string name_ = UniqueName("green");
  std::string url_;
};

// What is rendered matters, or how it is.
class RealFalseGreenTest : public FalseGreenTest {};

// ---- an owner puts the old spec back -----------------------------------------------

TEST_F(RealFalseGreenTest, AnImagePutBackBeforeTheSync) {
  const std::string app = NewKustomizeApp();
  Replica gantry;
  PutBack(gantry, app, 1);
  const StepResult result = RunPutBack(gantry, Request(ImageTo(app, "v2")), app);
  EXPECT_EQ(ConfigMapData(name_).at("web"), "web:v1");
  EXPECT_TRUE(IsReverted(result, "v2"));
}

TEST_F(RealFalseGreenTest, AParameterPutBackBeforeTheSync) {
  const std::string app = NewHelmApp({{"name", "image.tag"}, {"value", "v1"}});
  Replica gantry;
  PutBack(gantry, app);
  const StepResult result = RunPutBack(gantry, Request(ParameterTo(app, "v2")), app);
  EXPECT_EQ(ConfigMapData(name_).at("tag"), "v1");
  EXPECT_TRUE(IsReverted(result, "v2"));
}

TEST_F(RealFalseGreenTest, ATargetRevisionPutBackBeforeTheSync) {
  const std::string app = NewApp();
  const std::string commit = backend_->Commit(app, Content::kGood);
  backend_->Commit(app, Content::kGood);
  Replica gantry;
  PutBack(gantry, app);
  const StepResult result = RunPutBack(gantry, Request(Updating(app, commit)), app);
  EXPECT_EQ(ConfigMapData(app).at("version"), "v3");
  EXPECT_TRUE(IsReverted(result, commit));
}

TEST_F(RealFalseGreenTest, OneSourceOfTwoPutBackBeforeTheSync) {
  GitRepository git(name_);
  Files files;
  for (const auto& [path, content] : ChartFiles("web", "1.0.0", name_)) {
    files["chart/" + path] = content;
  }
  git.Commit(files);
  url_ = git.url();
  GitRepository plain(name_ + "-plain");
  const std::string first = plain.Commit(
      {{"app/config.yaml",
        absl::StrCat("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ", name_, "-plain}\n")}});
  const auto parameters = [](const std::string& value) {
    return json::array({{{"name", "image.tag"}, {"value", value}}});
  };
  const std::string app = NewAppWith(
      name_,
      {{"sources",
        json::array({{{"repoURL", url_},
                      {"targetRevision", "main"},
                      {"path", "chart"},
                      {"helm", {{"parameters", parameters("v1")}}}},
                     {{"repoURL", plain.url()}, {"targetRevision", "main"}, {"path", "app"}}})}});
  Replica gantry;
  PutBack(gantry, app, 1);
  const json images = json::array({{{"key", "image.tag"}, {"value", "v2"}}});
  const json config =
      Config(app, json::array({{{"repoURL", url_}, {"helm", {{"images", images}}}},
                               {{"repoURL", plain.url()}, {"desiredRevision", first}}}));
  const StepResult result = RunPutBack(gantry, Request(config), app);
  EXPECT_EQ(ConfigMapData(name_).at("tag"), "v1");
  EXPECT_TRUE(IsReverted(result, "v2"));
}

TEST_F(FalseGreenTest, AChangePutBackWhileTheOperationRunsIsTold) {
  const std::string app = NewApp();
  const std::string commit = backend_->Commit(app, Content::kWithHook);
  Replica gantry;
  const v1::RunStepRequest request = Request(Updating(app, commit));
  EXPECT_TRUE(
      Is(gantry.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  AwaitHook(app);
  api_.MergePatch(ApplicationPath(app), {{"spec", {{"source", {{"targetRevision", "main"}}}}}});
  const StepResult result = gantry.RunStep(request);
  EXPECT_EQ(result.response.status(), v1::STEP_STATUS_RUNNING);
  EXPECT_THAT(result.response.message(), HasSubstr("\"main\""));
  EndHook(app);
}

TEST_F(RealFalseGreenTest, AnImagePutBackAfterTheSyncIsNotHealthy) {
  const std::string app = NewKustomizeApp();
  Replica gantry;
  EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(ImageTo(app, "v2"))), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(ConfigMapData(name_).at("web"), "web:v2");
  const std::vector<std::string> old = {"web:v1"};
  api_.MergePatch(ApplicationPath(app), {{"spec", {{"source", {{"kustomize", {{"images", old}}}}}}},
                                         {"operation", kWholeSync},
                                         {"status", {{"operationState", nullptr}}}});
  AwaitObject("/api/v1/namespaces/shop/configmaps", name_,
              [](const json& map) { return map.at("data").at("web") == "web:v1"; });
  AwaitSettled(app);
  const v1::StageHealth health = HealthAfterRefresh(gantry, app);
  EXPECT_EQ(v1::HealthState_Name(health.state()), "HEALTH_STATE_UNHEALTHY");
}

TEST_F(RealFalseGreenTest, AParameterKeepsThatItIsAString) {
  const std::string app =
      NewHelmApp({{"name", "image.tag"}, {"value", "20260101"}, {"forceString", true}});
  Replica gantry;
  EXPECT_TRUE(
      Is(RunToItsEnd(gantry, Request(ParameterTo(app, "20260811"))), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(ConfigMapData(name_).at("tag"), "20260811");
  EXPECT_EQ(ConfigMapData(name_).at("kind"), "string");
}

// ---- what somebody's operation proves ----------------------------------------------

TEST_F(RealFalseGreenTest, SomebodysSyncOfAnOldCommitAfterOurFailure) {
  const std::string app = NewApp();
  const std::string old = backend_->Commit(app, Content::kGood);
  backend_->Commit(app, Content::kInvalid);
  backend_->Tag(app, "v2");
  Replica gantry;
  const StepResult result = RunAfterAFailureAnd(gantry, app, PersonsSync(old));
  EXPECT_EQ(ConfigMapData(app).at("version"), "v2");
  EXPECT_TRUE(Is(result, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_AWAITING_RETRY));
}

TEST_F(FalseGreenTest, SomebodysPartialSyncAfterOurFailure) {
  const std::string app = NewApp();
  const std::string broken = backend_->Commit(app, Content::kInvalid);
  backend_->Tag(app, "v2");
  Replica gantry;
  const json resource = {{"kind", "ConfigMap"}, {"name", app}};
  const StepResult result = RunAfterAFailureAnd(
      gantry, app, PersonsSync(broken, {{"resources", json::array({resource})}}));
  EXPECT_TRUE(Is(result, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_AWAITING_RETRY));
}

TEST_F(RealFalseGreenTest, SomebodysDryRunAfterOurOperationWasLost) {
  const std::string app = NewApp();
  const std::string commit = backend_->Commit(app, Content::kGood);
  Replica gantry;
  const v1::RunStepRequest request = Request(Updating(app, commit));
  backend_->Pause();
  EXPECT_TRUE(
      Is(gantry.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  // Whoever writes without looking replaces ours.
  Operate(app, PersonsSync(commit, {{"dryRun", true}}));
  backend_->Resume();
  AwaitPhase(app, "Succeeded");
  EXPECT_FALSE(api_.Find("/api/v1/namespaces/shop/configmaps/" + app));
  const StepResult result = gantry.RunStep(request);
  EXPECT_NE(result.response.status(), v1::STEP_STATUS_SUCCEEDED)
      << result.response.ShortDebugString();
}

TEST_F(RealFalseGreenTest, SomebodysSyncOfAnOldCommitAfterAPromotionIsNotHealthy) {
  const std::string app = NewApp();
  const std::string old = backend_->Commit(app, Content::kGood);
  backend_->Commit(app, Content::kGood);
  backend_->Tag(app, "v3");
  Replica gantry;
  EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(Updating(app, "v3"))), v1::STEP_STATUS_SUCCEEDED));
  AwaitSettled(app);
  Operate(app, PersonsSync(old));
  AwaitObject("/api/v1/namespaces/shop/configmaps", app,
              [](const json& map) { return map.at("data").at("version") == "v2"; });
  AwaitOutOfSync(app);
  const v1::StageHealth health = HealthAfterRefresh(gantry, app);
  EXPECT_EQ(v1::HealthState_Name(health.state()), "HEALTH_STATE_UNHEALTHY");
}

TEST_F(RealFalseGreenTest, ARollbackAfterAPromotionIsNotHealthy) {
  const std::string app = NewApp();
  const std::string old = backend_->Commit(app, Content::kGood);
  Replica gantry;
  EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(Updating(app, old))), v1::STEP_STATUS_SUCCEEDED));
  backend_->Commit(app, Content::kGood);
  backend_->Tag(app, "v3");
  EXPECT_TRUE(
      Is(RunToItsEnd(gantry, Request(Updating(app, "v3"), "p2")), v1::STEP_STATUS_SUCCEEDED));
  const json history = AwaitSettled(app).at("status").at("history");
  ASSERT_THAT(history, SizeIs(2));
  // As Argo CD's own API server writes it.
  Operate(app, PersonsSync(history[0].at("revision"), {{"source", history[0].at("source")}}));
  AwaitObject("/api/v1/namespaces/shop/configmaps", app,
              [](const json& map) { return map.at("data").at("version") == "v2"; });
  AwaitOutOfSync(app);
  const v1::StageHealth health = HealthAfterRefresh(gantry, app);
  EXPECT_EQ(v1::HealthState_Name(health.state()), "HEALTH_STATE_UNHEALTHY");
}

TEST_F(FalseGreenTest, ASyncThatSelfHealHidIsNotRepeated) {
  const std::string app =
      NewApp({{"spec", {{"syncPolicy", {{"automated", {{"selfHeal", true}}}}}}}});
  // Argo CD's self-heal may follow its first sync.
  AwaitSettled(app);
  RefreshAndAwait(app);
  AwaitApplication(app, [](const json& application) {
    return Text(application, "/status/sync/status") == "Synced" &&
           !application.contains("operation");
  });
  Replica gantry;
  const v1::RunStepRequest request = Request({{"apps", json::array({{{"name", app}}})}});
  EXPECT_TRUE(
      Is(gantry.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  AwaitApplication(app, [](const json& application) {
    return !application.contains("operation") &&
           application.contains("/status/operationState/operation/info"_json_pointer) &&
           Text(application, "/status/operationState/phase") == "Succeeded";
  });
  backend_->Drift(app);
  const auto hidden = [](const json& application) {
    return !application.contains("operation") &&
           !application.contains("/status/operationState/operation/info"_json_pointer) &&
           Text(application, "/status/operationState/phase") == "Succeeded";
  };
  // Self-heal may go on: Argo CD is stopped between two syncs of it.
  while (true) {
    AwaitApplication(app, hidden);
    backend_->Pause();
    if (hidden(Application(app))) break;
    backend_->Resume();
  }
  EXPECT_TRUE(Is(gantry.RunStep(request), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
}

// ---- argocd-wait -------------------------------------------------------------------

TEST_F(FalseGreenTest, WaitingRightAfterAnUpdateIsNotReadyByTheComparisonBefore) {
  Replica gantry;
  const std::string app = Deployed(gantry);
  // Argo CD stops at the moment when it has ended the operation and has not compared since: what it
  // knows is of the same second, and OutOfSync.
  backend_->Pause();
  const std::string finished = Text(Application(app), "/status/operationState/finishedAt");
  api_.MergePatch(ApplicationPath(app),
                  {{"status", {{"reconciledAt", finished}, {"sync", {{"status", "OutOfSync"}}}}}});
  const StepResult result = gantry.RunStep(WaitRequest(app, {"health", "operation"}));
  EXPECT_TRUE(Is(result, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_NOT_READY));
}

// Without a desired revision it is about what Argo CD knows.
TEST_F(FalseGreenTest, WaitingRightAfterAPushIsAboutWhatArgoCdKnows) {
  Replica gantry;
  const std::string app = Deployed(gantry);
  backend_->Commit(app, Content::kGood);
  for (const char* wait_for : {"health", "sync", "operation"}) {
    EXPECT_TRUE(Is(gantry.RunStep(WaitRequest(app, {wait_for})), v1::STEP_STATUS_SUCCEEDED))
        << wait_for;
  }
  for (const char* wait_for : {"suspended", "degraded"}) {
    EXPECT_TRUE(Is(gantry.RunStep(WaitRequest(app, {wait_for})), v1::STEP_STATUS_RUNNING,
                   v1::STEP_REASON_NOT_READY))
        << wait_for;
  }
}

TEST_F(FalseGreenTest, KargosStepsAreTakenAsTheyAre) {
  Replica gantry;
  const std::string app = Deployed(gantry);
  v1::RunStepRequest request = Request(
      {{"apps", json::array({{{"name", app}, {"waitFor", {"health", "sync"}}}})}}, "p1", "wait");
  request.set_uses("argocd-wait");
  EXPECT_TRUE(Is(RunToItsEnd(gantry, request), v1::STEP_STATUS_SUCCEEDED));
}

TEST_F(RealFalseGreenTest, WaitingForACommitThatWasJustPushed) {
  const std::string app = NewApp({{"spec", {{"syncPolicy", {{"automated", json::object()}}}}}});
  AwaitApplication(app, [](const json& application) {
    return Text(application, "/status/sync/status") == "Synced" &&
           Text(application, "/status/health/status") == "Healthy";
  });
  Replica gantry;
  const std::string commit = backend_->Commit(app, Content::kGood);
  const json source = {{"repoURL", repository(app)}, {"desiredRevision", commit}};
  const json entry = {{"name", app}, {"sources", json::array({source})}, {"refresh", true}};
  v1::RunStepRequest request = Request({{"apps", json::array({entry})}}, "p1", "wait");
  request.set_uses("argocd-wait");
  EXPECT_TRUE(Is(RunToItsEnd(gantry, request), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(ConfigMapData(app).at("version"), "v2");
}

TEST_F(FalseGreenTest, AnAbandonedOperationIsNamed) {
  const std::string app = NewApp();
  const std::string commit = backend_->Commit(app, Content::kWithHook);
  Replica gantry;
  EXPECT_TRUE(Is(gantry.RunStep(Request(Updating(app, commit))), v1::STEP_STATUS_RUNNING,
                 v1::STEP_REASON_OPERATION_RUNNING));
  AwaitHook(app);
  api_.MergePatch(ApplicationPath(app), {{"operation", nullptr}});
  const StepResult result = gantry.RunStep(WaitRequest(app, {"operation"}));
  EXPECT_TRUE(Is(result, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_NOT_READY));
  EXPECT_THAT(result.response.message(), HasSubstr("abandoned"));
}

// ---- the health of the Stage -------------------------------------------------------

TEST_F(FalseGreenTest, AnApplicationWhoseLastSyncFailedIsNotHealthy) {
  Replica gantry;
  const std::string app = Deployed(gantry);
  backend_->Commit(app, Content::kInvalid);
  Operate(app, kWholeSync);
  AwaitPhase(app, "Failed");
  AwaitOutOfSync(app);
  const v1::StageHealth health = HealthAfterRefresh(gantry, app);
  EXPECT_EQ(v1::HealthState_Name(health.state()), "HEALTH_STATE_UNHEALTHY");
}

TEST_F(FalseGreenTest, AnApplicationWhoseLastSyncFailedIsNotHealthyWhateverWasDesired) {
  const std::string app = NewApp();
  Replica gantry;
  const json config = {{"apps", json::array({{{"name", app}}})}};
  EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(config)), v1::STEP_STATUS_SUCCEEDED));
  AwaitSettled(app);
  backend_->Commit(app, Content::kInvalid);
  Operate(app, kWholeSync);
  AwaitPhase(app, "Failed");
  AwaitOutOfSync(app);
  const v1::StageHealth health = HealthAfterRefresh(gantry, app);
  EXPECT_EQ(v1::HealthState_Name(health.state()), "HEALTH_STATE_UNHEALTHY");
}

TEST_F(RealFalseGreenTest, OutOfSyncIsToldWhereTheStageIsHealthy) {
  Replica gantry;
  const std::string app = Deployed(gantry);
  RefreshAndAwait(app);
  api_.Delete("/api/v1/namespaces/shop/configmaps/" + app);
  AwaitApplication(app, [](const json& application) {
    return Text(application, "/status/sync/status") == "OutOfSync";
  });
  const v1::StageHealth health = HealthAfterRefresh(gantry, app);
  EXPECT_EQ(health.state(), v1::HEALTH_STATE_HEALTHY);
  EXPECT_THAT(health.issues(), Not(IsEmpty())) << "no issue says that it is OutOfSync";
}

TEST_F(FalseGreenTest, AControllerThatSaysNothingMakesTheStageUnknown) {
  Replica gantry({"--argocd-silence-limit=3s"});
  const auto stream = WatchHealth(gantry);
  Deployed(gantry);
  stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  backend_->Pause();
  stream->AwaitState(v1::HEALTH_STATE_UNKNOWN);
  backend_->Resume();
  stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
}

// ---- what is told ------------------------------------------------------------------

TEST_F(FalseGreenTest, WhyTheLastAttemptFailedIsToldWhileTheNextIsAwaited) {
  const std::string app = NewApp();
  const std::string wanted = backend_->Commit(app, Content::kGood);
  backend_->Commit(app, Content::kInvalid);
  Replica gantry;
  const v1::RunStepRequest request = Request(Syncing(app, wanted));
  EXPECT_TRUE(
      Is(gantry.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  const json state = AwaitPhase(app, "Failed").at("status").at("operationState");
  const StepResult result = gantry.RunStep(request);
  EXPECT_TRUE(Is(result, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_AWAITING_RETRY));
  EXPECT_THAT(result.response.message(), HasSubstr(state.at("message").get<std::string>()));
}

}  // namespace
}  // namespace gantry::integration
