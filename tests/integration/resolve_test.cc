// SPDX-License-Identifier: Apache-2.0
//
// Which Applications a step is about, and whether its Stage may change them.
#include "tests/integration/integration_test.h"

namespace gantry::integration {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class ResolveTest : public IntegrationTest {
 protected:
  json LabelledAs(const std::string& group) const {
    return {{"metadata", {{"labels", {{"group", group}}}}}};
  }
  // What deploy/rbac says to do for a further namespace: the last RoleBinding once more.
  void GrantNamespace(const std::string& ns) {
    const std::string bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/";
    json binding = api_.Get(bindings + "argocd/rolebindings/gantry-applications");
    binding["metadata"] = {{"name", "gantry-applications"}, {"namespace", ns}};
    if (!api_.Find(bindings + ns + "/rolebindings/gantry-applications")) {
      api_.Create(bindings + ns + "/rolebindings", binding);
    }
  }

  json SelectGroup(const std::string& group) const {
    return {
        {"apps", json::array({{{"selector", {{"matchLabels", {{"group", group}}}}},
                               {"sources", json::array({{{"repoURL", kRepository},
                                                         {"desiredRevision", kNewRevision},
                                                         {"updateTargetRevision", true}}})}}})}};
  }
};

TEST_F(ResolveTest, AnApplicationGivenByNameIsChangedAndSynced) {
  const std::string app = CreateApplication();
  const json before = Application(app);
  Replica gantry;

  const StepResult result = gantry.RunStep(Request(UpdateTo(app)));

  EXPECT_TRUE(Is(result, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  EXPECT_THAT(result.response.message(), HasSubstr(app));
  EXPECT_TRUE(result.response.has_retry_after());
  EXPECT_FALSE(result.response.has_health_check());
  EXPECT_EQ(OutputOf(result),
            (json{{"apps", json::array({{{"name", app}, {"namespace", "argocd"}}})}}));
  const v1::ApplicationOutcome outcome = OutcomeOf(result, app);
  EXPECT_EQ(outcome.namespace_(), "argocd");
  EXPECT_EQ(outcome.action(), v1::ApplicationOutcome::ACTION_SYNC_STARTED);
  EXPECT_EQ(outcome.operation_phase(), "");
  EXPECT_THAT(outcome.desired_revisions(), testing::ElementsAre(kNewRevision));

  const json after = Application(app);
  EXPECT_EQ(after.at("spec").at("source").at("targetRevision"), kNewRevision);
  EXPECT_EQ(after.at("metadata").at("annotations").at("argocd.argoproj.io/refresh"), "hard");
  EXPECT_TRUE(HasOperation(after, "p1", 1));
  EXPECT_EQ(after.at("operation").at("initiatedBy"),
            (json{{"username", "gantry"}, {"automated", true}}));
  EXPECT_NE(InfoOf(after.at("operation"), "Reason"), "");
  EXPECT_EQ(after.at("operation").at("sync"), json::object());
  EXPECT_EQ(after.at("status"), json::object());
  EXPECT_EQ(Remainder(after, {"/spec/source/targetRevision", "/status"}),
            Remainder(before, {"/spec/source/targetRevision"}));
  EXPECT_EQ(json::parse(outcome.patch()),
            json::parse(gantry.proxy.Exchanges(WriteOf(app)).at(0).body));
}

TEST_F(ResolveTest, TheActorAndTheSyncPolicyGoIntoTheOperation) {
  const json options = {"CreateNamespace=true", "ServerSideApply=true"};
  const json retry = {{"limit", 3}, {"backoff", {{"duration", "5s"}, {"factor", 2}}}};
  const std::string app =
      CreateApplication({{"spec", {{"syncPolicy", {{"syncOptions", options}, {"retry", retry}}}}}});
  Replica gantry({"--operation-initiator=robot"});
  v1::RunStepRequest request = Request(UpdateTo(app));
  request.set_actor("jane@example.com");

  EXPECT_TRUE(
      Is(gantry.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));

  const json operation = Application(app).at("operation");
  EXPECT_EQ(operation.at("initiatedBy"), (json{{"username", "jane@example.com"}}));
  EXPECT_EQ(operation.at("sync"), (json{{"syncOptions", options}}));
  EXPECT_EQ(operation.at("retry"), retry);
}

TEST_F(ResolveTest, ASelectorChangesTheAuthorizedOnesAndSkipsTheOthers) {
  const std::string group = UniqueName("group");
  const std::string first = CreateApplication(LabelledAs(group));
  json foreign_change = LabelledAs(group);
  foreign_change["metadata"]["annotations"]["kargo.akuity.io/authorized-stage"] = "shop:elsewhere";
  const std::string foreign = CreateApplication(foreign_change);
  const std::string second = CreateApplication(LabelledAs(group));
  const std::string of_no_group = CreateApplication();
  const json foreign_before = Application(foreign);
  Replica gantry;

  const StepResult result = gantry.RunStep(Request(SelectGroup(group)));

  EXPECT_TRUE(Is(result, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  EXPECT_EQ(result.response.applications_size(), 3);
  EXPECT_EQ(OutcomeOf(result, first).action(), v1::ApplicationOutcome::ACTION_SYNC_STARTED);
  EXPECT_EQ(OutcomeOf(result, second).action(), v1::ApplicationOutcome::ACTION_SYNC_STARTED);
  EXPECT_EQ(OutcomeOf(result, foreign).action(), v1::ApplicationOutcome::ACTION_SKIPPED);
  EXPECT_EQ(OutputOf(result).at("apps"), (json{{{"name", first}, {"namespace", "argocd"}},
                                               {{"name", second}, {"namespace", "argocd"}}}));
  EXPECT_TRUE(HasOperation(Application(first), "p1", 1));
  EXPECT_TRUE(HasOperation(Application(second), "p1", 1));
  EXPECT_EQ(Application(foreign), foreign_before);
  EXPECT_TRUE(HasNoOperation(Application(of_no_group)));
}

TEST_F(ResolveTest, MatchExpressionsSelectToo) {
  const std::string group = UniqueName("group");
  const std::string app = CreateApplication(LabelledAs(group));
  json frozen = LabelledAs(group);
  frozen["metadata"]["labels"]["frozen"] = "yes";
  const std::string left_out = CreateApplication(frozen);
  Replica gantry;

  const StepResult result = gantry.RunStep(Request(
      {{"apps", json::array({{{"selector",
                               {{"matchExpressions",
                                 {{{"key", "group"}, {"operator", "In"}, {"values", {group, "x"}}},
                                  {{"key", "frozen"}, {"operator", "DoesNotExist"}}}}}}}})}}));

  EXPECT_TRUE(Is(result, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  EXPECT_TRUE(HasOperation(Application(app), "p1", 1));
  EXPECT_TRUE(HasNoOperation(Application(left_out)));
}

TEST_F(ResolveTest, AnApplicationOfSeveralEntriesIsWrittenOnceWithAllTheirUpdates) {
  const std::string group = UniqueName("group");
  const std::string app = CreateApplication(LabelledAs(group));
  json config = SelectGroup(group);
  config["apps"].push_back(
      {{"name", app},
       {"sources",
        json::array({{{"repoURL", kRepository},
                      {"kustomize", {{"images", {{{"repoURL", "nginx"}, {"tag", "1.27"}}}}}}}})}});
  Replica gantry;

  const StepResult result = gantry.RunStep(Request(config));

  EXPECT_TRUE(Is(result, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  EXPECT_EQ(result.response.applications_size(), 1);
  const json source = Application(app).at("spec").at("source");
  EXPECT_EQ(source.at("targetRevision"), kNewRevision);
  EXPECT_EQ(source.at("kustomize").at("images"), json::array({"nginx:1.27"}));
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
}

TEST_F(ResolveTest, ASelectorThatMatchesNothingIsAnError) {
  const std::string group = UniqueName("group");
  Replica gantry;
  const StepResult result = gantry.RunStep(Request(SelectGroup(group)));
  EXPECT_TRUE(Is(result, v1::STEP_STATUS_ERRORED, v1::STEP_REASON_NO_APPLICATION_MATCHED));
  EXPECT_THAT(result.response.message(), HasSubstr(group));
  EXPECT_FALSE(HasRecord());
}

TEST_F(ResolveTest, ASelectorOfWhichNoneAuthorizesTheStageIsAnError) {
  const std::string group = UniqueName("group");
  json change = LabelledAs(group);
  change["metadata"]["annotations"] = nullptr;
  const std::string first = CreateApplication(change);
  const std::string second = CreateApplication(change);
  const json before = Application(first);
  Replica gantry;

  const StepResult result = gantry.RunStep(Request(SelectGroup(group)));

  EXPECT_TRUE(Is(result, v1::STEP_STATUS_ERRORED, v1::STEP_REASON_NOT_AUTHORIZED));
  EXPECT_THAT(result.response.message(), HasSubstr(" 2 "));
  EXPECT_EQ(OutcomeOf(result, second).action(), v1::ApplicationOutcome::ACTION_SKIPPED);
  EXPECT_EQ(Application(first), before);
  EXPECT_FALSE(HasRecord());
}

struct UnauthorizedCase {
  const char* name;
  json annotation;  // "<stage>" stands for the Stage; null: there is no annotation
  const char* quoted;
};

void PrintTo(const UnauthorizedCase& tested, std::ostream* out) { *out << tested.name; }

class UnauthorizedTest : public ResolveTest,
                         public testing::WithParamInterface<UnauthorizedCase> {};

TEST_P(UnauthorizedTest, NothingIsWrittenOrRecorded) {
  json annotation = GetParam().annotation;
  if (annotation.is_string()) {
    std::string text = annotation;
    if (const std::size_t at = text.find("<stage>"); at != std::string::npos) {
      text.replace(at, 7, stage_);
    }
    annotation = text;
  }
  const std::string app = CreateApplication(
      {{"metadata", {{"annotations", {{"kargo.akuity.io/authorized-stage", annotation}}}}}});
  const json before = Application(app);
  Replica gantry;

  const StepResult result = gantry.RunStep(Request(UpdateTo(app)));

  EXPECT_TRUE(Is(result, v1::STEP_STATUS_ERRORED, v1::STEP_REASON_NOT_AUTHORIZED));
  EXPECT_THAT(result.response.message(), HasSubstr(app));
  EXPECT_THAT(result.response.message(), HasSubstr(GetParam().quoted));
  EXPECT_TRUE(result.response.has_retry_after());
  EXPECT_EQ(Application(app), before);
  EXPECT_FALSE(HasRecord());
}

INSTANTIATE_TEST_SUITE_P(
    , UnauthorizedTest,
    testing::Values(
        UnauthorizedCase{"NoAnnotation", nullptr, "shop:"},
        UnauthorizedCase{"AnotherStage", "shop:production", "shop:"},
        UnauthorizedCase{"AnotherProject", "bank:<stage>", "shop:"},
        UnauthorizedCase{"AStageWithThisOneAsPrefix", "shop:<stage>2", "shop:"},
        UnauthorizedCase{"AWildcardBesideTheStage", "shop:<stage>,shop:prod*", "shop:prod*"},
        UnauthorizedCase{"AnEntryWithOneHalfBesideTheStage", "shop:<stage>, shop", "\"shop\""},
        UnauthorizedCase{"AnEntryWithAnEmptyHalf", "shop:<stage>,:test", ":test"}),
    NameOf<UnauthorizedCase>);

TEST_F(ResolveTest, BlanksAndFurtherEntriesInTheAnnotationDoNoHarm) {
  const std::string app = CreateApplication(
      {{"metadata",
        {{"annotations",
          {{"kargo.akuity.io/authorized-stage", "bank:test, , shop : " + stage_ + " ,"}}}}}});
  Replica gantry;
  EXPECT_TRUE(Is(gantry.RunStep(Request(UpdateTo(app))), v1::STEP_STATUS_RUNNING,
                 v1::STEP_REASON_OPERATION_RUNNING));
  EXPECT_TRUE(HasOperation(Application(app), "p1", 1));
}

TEST_F(ResolveTest, AnApplicationThatIsMissingKeepsTheOthersFromBeingWritten) {
  const std::string app = CreateApplication();
  const std::string missing = UniqueName("missing");
  const json before = Application(app);
  json config = UpdateTo(app);
  config["apps"].push_back({{"name", missing}});
  Replica gantry;

  const StepResult result = gantry.RunStep(Request(config));

  EXPECT_TRUE(Is(result, v1::STEP_STATUS_ERRORED, v1::STEP_REASON_APPLICATION_NOT_FOUND));
  EXPECT_THAT(result.response.message(), HasSubstr(missing));
  EXPECT_EQ(Application(app), before);
  EXPECT_FALSE(HasRecord());
}

TEST_F(ResolveTest, ANamespaceThatIsNotWatchedIsNotLookedInto) {
  const std::string app = CreateApplication({{"metadata", {{"namespace", "team-a"}}}});
  const json before = api_.Get(ApplicationPath(app, "team-a"));
  json config = UpdateTo(app);
  config["apps"][0]["namespace"] = "team-a";
  Replica gantry;

  const StepResult result = gantry.RunStep(Request(config));

  EXPECT_TRUE(Is(result, v1::STEP_STATUS_ERRORED, v1::STEP_REASON_APPLICATION_NOT_FOUND));
  EXPECT_THAT(result.response.message(), HasSubstr("team-a"));
  EXPECT_THAT(result.response.message(), HasSubstr("not watched"));
  EXPECT_EQ(api_.Get(ApplicationPath(app, "team-a")), before);
  EXPECT_TRUE(gantry.proxy.Exchanges(ReadOf(app)).empty());
}

TEST_F(ResolveTest, AnApplicationInAnotherNamespaceThatIsWatchedIsChanged) {
  const std::string app = CreateApplication({{"metadata", {{"namespace", "team-a"}}}});
  json config = UpdateTo(app);
  config["apps"][0]["namespace"] = "team-a";
  GrantNamespace("team-a");
  Replica gantry({"--watch-namespaces=argocd,team-a"});
  gantry.ExpectForbidden();

  StepResult result = gantry.RunStep(Request(config));
  // The API server takes a moment to notice what was granted.
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!result.status.ok() && std::chrono::steady_clock::now() < deadline) {
    result = gantry.RunStep(Request(config));
  }

  EXPECT_TRUE(Is(result, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  EXPECT_EQ(OutcomeOf(result, app).namespace_(), "team-a");
  EXPECT_TRUE(HasOperation(api_.Get(ApplicationPath(app, "team-a")), "p1", 1));
}

}  // namespace
}  // namespace gantry::integration
