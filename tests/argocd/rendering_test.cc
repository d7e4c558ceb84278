// SPDX-License-Identifier: Apache-2.0
//
// What arrives in the cluster: for the real Argo CD alone, which renders.
#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "tests/argocd/argocd_test.h"
#include "tests/argocd/repositories.h"

namespace gantry::integration {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class RealRenderingTest : public ArgoCdTest {
 protected:
  json ConfigOf(const std::string& app, const json& sources) {
    return {{"apps", json::array({{{"name", app}, {"sources", sources}}})}};
  }
  const std::string name_ = UniqueName("rendered");
};

TEST_F(RealRenderingTest, TheManifestsOfTheCommitArriveAndThoseOfTheNextAfterIt) {
  const std::string app = NewApp();
  const std::string second = backend_->Commit(app, Content::kGood);
  const std::string third = backend_->Commit(app, Content::kGood);
  Replica gantry;
  EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(Updating(app, second))), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(ConfigMapData(app).at("version"), "v2");
  EXPECT_TRUE(
      Is(RunToItsEnd(gantry, Request(Updating(app, third), "p2")), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(ConfigMapData(app).at("version"), "v3");
  ExpectOperations(app, 2);
}

TEST_F(RealRenderingTest, NothingArrivesBeforeThePreSyncJobIsThrough) {
  const std::string app = NewApp();
  const std::string commit = backend_->Commit(app, Content::kWithHook);
  Replica gantry;
  const auto call = gantry.server->StartStep(Held(Request(Updating(app, commit))), kArgoCdPatience);
  AwaitHook(app);
  EXPECT_FALSE(api_.Find("/api/v1/namespaces/shop/configmaps/" + app));
  EndHook(app);
  EXPECT_TRUE(Is(call->Result(), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(ConfigMapData(app).at("version"), "v2");
}

TEST_F(RealRenderingTest, NothingArrivesWhileASyncWindowIsClosed) {
  const std::string app = NewApp();
  backend_->CloseWindow(app);
  const std::string commit = backend_->Commit(app, Content::kGood);
  Replica gantry;
  const v1::RunStepRequest request = Request(Updating(app, commit));
  AwaitMessage(gantry, request, "blocked by sync window");
  EXPECT_FALSE(api_.Find("/api/v1/namespaces/shop/configmaps/" + app));
  backend_->OpenWindow(app);
  EXPECT_TRUE(Is(RunToItsEnd(gantry, request), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(ConfigMapData(app).at("version"), "v2");
}

TEST_F(RealRenderingTest, AChartRangeIsTheNewestVersionInIt) {
  ChartRepository charts(name_);
  for (const char* version : {"1.2.0", "1.3.0", "2.0.0"}) charts.Add("web", version, name_);
  const std::string app = NewAppWith(
      name_,
      {{"source", {{"repoURL", charts.url()}, {"chart", "web"}, {"targetRevision", "1.2.0"}}}});
  Replica gantry;
  const auto stream = WatchHealth(gantry);
  const json config = ConfigOf(app, json::array({{{"repoURL", charts.url()},
                                                  {"chart", "web"},
                                                  {"desiredRevision", "^1.0.0"},
                                                  {"updateTargetRevision", true}}}));
  EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(config)), v1::STEP_STATUS_SUCCEEDED));
  const v1::StageHealth healthy = stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  EXPECT_THAT(healthy.applications(0).observed_revisions(), ElementsAre("1.3.0"));
  EXPECT_EQ(ConfigMapData(name_).at("version"), "1.3.0");
  ExpectOperations(app, 1);
}

TEST_F(RealRenderingTest, ChartAndValuesOfSeveralSourcesArePromotedTogether) {
  ChartRepository charts(name_);
  for (const char* version : {"1.2.0", "1.3.0"}) charts.Add("web", version, name_);
  GitRepository git(name_);
  const auto commit = [&](const std::string& version) {
    return git.Commit({{"values.yaml", absl::StrCat("image: {tag: ", version, "}\n")},
                       {"plain/config.yaml",
                        absl::StrCat("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ", name_,
                                     "-plain}\ndata: {version: ", version, "}\n")}});
  };
  git.Tag("v1", commit("v1"));
  const std::string second = commit("v2");
  git.Tag("v2", second);
  const std::string app = NewAppWith(
      name_,
      {{"sources",
        json::array({{{"repoURL", charts.url()},
                      {"chart", "web"},
                      {"targetRevision", "1.2.0"},
                      {"helm", {{"valueFiles", json::array({"$values/values.yaml"})}}}},
                     {{"repoURL", git.url()}, {"targetRevision", "v1"}, {"ref", "values"}},
                     {{"repoURL", git.url()}, {"targetRevision", "v1"}, {"path", "plain"}}})}});
  Replica gantry;
  const auto stream = WatchHealth(gantry);
  const json config = ConfigOf(
      app,
      json::array(
          {{{"repoURL", charts.url()},
            {"chart", "web"},
            {"desiredRevision", "1.3.0"},
            {"updateTargetRevision", true}},
           {{"repoURL", git.url()}, {"desiredRevision", "v2"}, {"updateTargetRevision", true}}}));
  EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(config)), v1::STEP_STATUS_SUCCEEDED));
  const v1::StageHealth healthy = stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  EXPECT_THAT(healthy.applications(0).observed_revisions(), ElementsAre("1.3.0", second, second));
  EXPECT_EQ(ConfigMapData(name_).at("version"), "1.3.0");
  EXPECT_EQ(ConfigMapData(name_).at("tag"), "v2");
  EXPECT_EQ(ConfigMapData(name_ + "-plain").at("version"), "v2");
  ExpectOperations(app, 1);
}

TEST_F(RealRenderingTest, HelmParametersAreRendered) {
  GitRepository git(name_);
  Files files;
  for (const auto& [path, content] : ChartFiles("web", "1.0.0", name_)) {
    files["chart/" + path] = content;
  }
  git.Commit(files);
  const std::string app = NewAppWith(
      name_,
      {{"source",
        {{"repoURL", git.url()},
         {"targetRevision", "main"},
         {"path", "chart"},
         {"helm", {{"parameters", json::array({{{"name", "greeting"}, {"value", "hello"}}})}}}}}});
  Replica gantry;
  const auto stream = WatchHealth(gantry);
  const json config = ConfigOf(
      app, json::array(
               {{{"repoURL", git.url()},
                 {"helm", {{"images", json::array({{{"key", "image.tag"}, {"value", "v2"}}})}}}}}));
  EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(config)), v1::STEP_STATUS_SUCCEEDED));
  stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  EXPECT_EQ(ConfigMapData(name_).at("tag"), "v2");
  EXPECT_EQ(ConfigMapData(name_).at("greeting"), "hello");
  ExpectOperations(app, 1);
}

TEST_F(RealRenderingTest, KustomizeImagesAreRendered) {
  GitRepository git(name_);
  git.Commit(
      {{"app/kustomization.yaml", "resources: [config.yaml]\nconfigurations: [images.yaml]\n"},
       {"app/images.yaml",
        "images:\n- {path: data/web, kind: ConfigMap}\n- {path: data/cache, kind: ConfigMap}\n"},
       {"app/config.yaml",
        absl::StrCat("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ", name_,
                     "}\ndata: {web: registry.example.com/web:v1, cache: cache:v1}\n")}});
  const std::string app = NewAppWith(
      name_, {{"source", {{"repoURL", git.url()}, {"targetRevision", "main"}, {"path", "app"}}}});
  Replica gantry;
  const auto stream = WatchHealth(gantry);
  const std::string digest = "sha256:" + std::string(64, 'a');
  const json images =
      json::array({{{"repoURL", "registry.example.com/web"}, {"tag", "v2"}},
                   {{"repoURL", "cache"}, {"newName", "mirror/cache"}, {"digest", digest}}});
  const json config =
      ConfigOf(app, json::array({{{"repoURL", git.url()}, {"kustomize", {{"images", images}}}}}));
  EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(config)), v1::STEP_STATUS_SUCCEEDED));
  stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  EXPECT_EQ(ConfigMapData(name_).at("web"), "registry.example.com/web:v2");
  EXPECT_EQ(ConfigMapData(name_).at("cache"), "mirror/cache@" + digest);
  ExpectOperations(app, 1);
}

TEST_F(RealRenderingTest, WhatIsMendedAfterAFailureArrivesWithTheNextPromotion) {
  const std::string app = NewApp();
  const std::string broken = backend_->Commit(app, Content::kInvalid);
  Replica gantry;
  const auto stream = WatchHealth(gantry);
  EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(Updating(app, broken))), v1::STEP_STATUS_FAILED,
                 v1::STEP_REASON_OPERATION_FAILED));
  stream->AwaitState(v1::HEALTH_STATE_UNHEALTHY);
  const std::string mended = backend_->Commit(app, Content::kGood);
  EXPECT_TRUE(
      Is(RunToItsEnd(gantry, Request(Updating(app, mended), "p2")), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_THAT(stream->AwaitState(v1::HEALTH_STATE_HEALTHY).issues(), IsEmpty());
  EXPECT_EQ(ConfigMapData(app).at("version"), "v3");
  ExpectOperations(app, 1, 1);
}

TEST_F(RealRenderingTest, SelfHealAfterAPromotionPutsBackWhatWasPromoted) {
  const std::string app =
      NewApp({{"spec", {{"syncPolicy", {{"automated", {{"selfHeal", true}}}}}}}});
  AwaitApplication(app, [](const json& application) {
    return Text(application, "/status/sync/status") == "Synced";
  });
  const std::string commit = backend_->Commit(app, Content::kGood);
  Replica gantry;
  const auto stream = WatchHealth(gantry);
  const v1::RunStepRequest request = Request(Updating(app, commit));
  EXPECT_TRUE(Is(RunToItsEnd(gantry, request), v1::STEP_STATUS_SUCCEEDED));
  stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  backend_->Drift(app);
  AwaitObject("/api/v1/namespaces/shop/configmaps", app,
              [](const json& map) { return map.at("data").at("version") == "v2"; });
  AwaitApplication(app, [](const json& application) {
    return Text(application, "/status/operationState/phase") == "Succeeded" &&
           !application.contains("operation") &&
           application.value("/status/operationState/operation/initiatedBy/automated"_json_pointer,
                             false);
  });
  EXPECT_TRUE(Is(gantry.RunStep(request), v1::STEP_STATUS_SUCCEEDED));
  stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
}

TEST_F(RealRenderingTest, AnAutomatedSyncThatIsAheadOfUsDoesNoHarm) {
  const std::string app = NewApp({{"spec", {{"syncPolicy", {{"automated", json::object()}}}}}});
  const std::string commit = backend_->Commit(app, Content::kGood);
  Refresh(app);
  AwaitApplication(app, [&](const json& application) {
    return Text(application, "/status/sync/status") == "Synced" &&
           Text(application, "/status/sync/revision") == commit &&
           !application.contains("operation");
  });
  Replica gantry;
  const auto stream = WatchHealth(gantry);
  EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(Syncing(app, commit))), v1::STEP_STATUS_SUCCEEDED));
  stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  EXPECT_LE(gantry.OperationsWritten(app).size(), 1u);
  EXPECT_EQ(ConfigMapData(app).at("version"), "v2");
}

TEST_F(RealRenderingTest, AnOperationThatAPersonTerminatesFailsTheStep) {
  const std::string app = NewApp();
  const std::string commit = backend_->Commit(app, Content::kWithHook);
  Replica gantry;
  const v1::RunStepRequest request = Request(Updating(app, commit));
  const auto call = gantry.server->StartStep(Held(request), kArgoCdPatience);
  AwaitHook(app);
  api_.JsonPatch(ApplicationPath(app), json::array({{{"op", "replace"},
                                                     {"path", "/status/operationState/phase"},
                                                     {"value", "Terminating"}}}));
  EXPECT_TRUE(Is(call->Result(), v1::STEP_STATUS_FAILED, v1::STEP_REASON_OPERATION_FAILED));
  EXPECT_THAT(call->Result().response.message(), HasSubstr("Operation terminated"));
  ExpectOperations(app, 0, 1);
}

TEST_F(RealRenderingTest, ManifestsThatCannotBeRenderedFailTheStepAndTheStage) {
  GitRepository git(name_);
  git.Commit({{"app/kustomization.yaml", "resources: [nothing.yaml]\n"}});
  const std::string app = NewAppWith(
      name_, {{"source", {{"repoURL", git.url()}, {"targetRevision", "main"}, {"path", "app"}}}});
  Replica gantry;
  const json config = {{"apps", json::array({{{"name", app}}})}};
  const StepResult result = RunToItsEnd(gantry, Request(config));
  EXPECT_TRUE(Is(result, v1::STEP_STATUS_FAILED, v1::STEP_REASON_OPERATION_FAILED));
  EXPECT_THAT(result.response.message(), HasSubstr("nothing.yaml"));
  const StepResult waited = RunToItsEnd(gantry, WaitRequest(app));
  EXPECT_TRUE(Is(waited, v1::STEP_STATUS_FAILED, v1::STEP_REASON_APPLICATION_CONDITION));
  EXPECT_THAT(waited.response.message(), HasSubstr("nothing.yaml"));
}

}  // namespace
}  // namespace gantry::integration
