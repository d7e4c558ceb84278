// SPDX-License-Identifier: Apache-2.0
//
// What a step changes in the sources of an Application, and what it leaves as it is.
#include "tests/integration/integration_test.h"

namespace gantry::integration {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class SourcesTest : public IntegrationTest {
 protected:
  // The step is expected to be refused, and to leave everything as it was.
  void ExpectRefused(const std::string& app, const json& config, v1::StepReason reason,
                     const std::string& words) {
    const json before = Application(app);
    Replica gantry;
    const StepResult result = gantry.RunStep(Request(config));
    EXPECT_TRUE(Is(result, v1::STEP_STATUS_ERRORED, reason));
    EXPECT_THAT(result.response.message(), HasSubstr(app));
    EXPECT_THAT(result.response.message(), HasSubstr(words));
    EXPECT_EQ(Application(app), before);
    EXPECT_FALSE(HasRecord());
  }
};

TEST_F(SourcesTest, WithoutSourceUpdatesTheApplicationIsSyncedAsItIs) {
  const std::string app = CreateApplication();
  const json before = Application(app);
  Replica gantry;

  const StepResult result = gantry.RunStep(Request({{"apps", json::array({{{"name", app}}})}}));

  EXPECT_TRUE(Is(result, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  EXPECT_THAT(OutcomeOf(result, app).desired_revisions(), testing::ElementsAre(""));
  const json after = Application(app);
  EXPECT_TRUE(HasOperation(after, "p1", 1));
  EXPECT_EQ(after.at("spec"), before.at("spec"));
}

TEST_F(SourcesTest, OtherSpellingsOfTheRepositoryMeanTheSame) {
  const std::string app =
      CreateApplication({{"spec", {{"source", {{"repoURL", "git@GitHub.com:Example/Shop.git"}}}}}});
  Replica gantry;
  const StepResult result = gantry.RunStep(
      Request(Config(app, json::array({{{"repoURL", "ssh://git@github.com/example/shop/"},
                                        {"desiredRevision", kNewRevision},
                                        {"updateTargetRevision", true}}}))));
  EXPECT_TRUE(Is(result, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  const json source = Application(app).at("spec").at("source");
  EXPECT_EQ(source.at("targetRevision"), kNewRevision);
  EXPECT_EQ(source.at("repoURL"), "git@GitHub.com:Example/Shop.git");
}

// Of several sources each update changes those it matches: the revision all of them, images the
// first one that renders.
TEST_F(SourcesTest, SeveralSourcesAreChangedEachByItsUpdate) {
  const std::string app = CreateApplicationWithSources(
      {{{"repoURL", kRepository}, {"targetRevision", "main"}, {"ref", "values"}},
       {{"repoURL", "https://charts.example.com"}, {"chart", "web"}, {"targetRevision", "1.0.0"}},
       {{"repoURL", kRepository}, {"targetRevision", "main"}, {"path", "overlay"}},
       {{"repoURL", "https://github.com/example/other"}, {"targetRevision", "v1"}, {"path", "."}}});
  json before = Application(app);
  Replica gantry;

  const StepResult result = gantry.RunStep(
      Request(Config(app, {{{"repoURL", kRepository},
                            {"desiredRevision", kNewRevision},
                            {"updateTargetRevision", true},
                            {"kustomize", {{"images", {{{"repoURL", "nginx"}, {"tag", "1.27"}}}}}}},
                           {{"repoURL", "https://charts.example.com"},
                            {"chart", "web"},
                            {"desiredRevision", "1.1.0"},
                            {"updateTargetRevision", true}}})));

  EXPECT_TRUE(Is(result, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  EXPECT_THAT(OutcomeOf(result, app).desired_revisions(),
              testing::ElementsAre(kNewRevision, "1.1.0", kNewRevision, ""));
  json expected = before.at("spec").at("sources");
  expected[0]["targetRevision"] = kNewRevision;
  expected[1]["targetRevision"] = "1.1.0";
  expected[2]["targetRevision"] = kNewRevision;
  expected[2]["kustomize"]["images"] = json::array({"nginx:1.27"});
  EXPECT_EQ(Application(app).at("spec").at("sources"), expected);
}

TEST_F(SourcesTest, KustomizeImagesAreReplacedByThoseOfTheUpdate) {
  const std::string app = CreateApplication(
      {{"spec",
        {{"source",
          {{"kustomize", {{"namePrefix", "shop-"}, {"images", {"nginx:1.25", "redis:6"}}}}}}}}});
  const json before = Application(app);
  Replica gantry;

  const StepResult result = gantry.RunStep(Request(Config(
      app,
      json::array({{{"repoURL", kRepository},
                    {"kustomize",
                     {{"images",
                       {{{"repoURL", "nginx"}, {"tag", "1.27"}},
                        {{"repoURL", "web"}, {"newName", "registry/web"}, {"digest", "sha256:ab"}},
                        {{"repoURL", "db"}, {"newName", "registry/db"}, {"tag", ""}}}}}}}}))));

  EXPECT_TRUE(Is(result, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  const json after = Application(app);
  EXPECT_EQ(after.at("spec").at("source").at("kustomize").at("images"),
            json::array({"nginx:1.27", "web=registry/web@sha256:ab", "db=registry/db"}));
  const std::vector<std::string> changed = {"/spec/source/kustomize/images", "/status"};
  EXPECT_EQ(Remainder(after, changed), Remainder(before, changed));
}

TEST_F(SourcesTest, HelmParametersGetTheirValuesInPlaceAndNewOnesAreAppended) {
  const std::string app = CreateApplication(
      {{"spec",
        {{"source",
          {{"helm",
            {{"releaseName", "shop"},
             {"parameters",
              {{{"name", "image.tag"}, {"value", "1.0"}, {"forceString", true}},
               {{"name", "replicas"}, {"value", "2"}, {"unknown", nullptr}}}}}}}}}}});
  const json before = Application(app);
  Replica gantry;

  const StepResult result = gantry.RunStep(
      Request(Config(app, json::array({{{"repoURL", kRepository},
                                        {"helm",
                                         {{"images",
                                           {{{"key", "sidecar.tag"}, {"value", ""}},
                                            {{"key", "image.tag"}, {"value", "1.1"}}}}}}}}))));

  EXPECT_TRUE(Is(result, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  const json after = Application(app);
  EXPECT_EQ(after.at("spec").at("source").at("helm").at("parameters"),
            (json{{{"name", "image.tag"}, {"value", "1.1"}, {"forceString", true}},
                  before.at("spec").at("source").at("helm").at("parameters").at(1),
                  {{"name", "sidecar.tag"}, {"value", ""}}}));
  const std::vector<std::string> changed = {"/spec/source/helm/parameters", "/status"};
  EXPECT_EQ(Remainder(after, changed), Remainder(before, changed));
}

// A null in valuesObject removes a chart's default: it must survive, as must what Gantry does not
// know, wherever it stands.
TEST_F(SourcesTest, NullsAndUnknownFieldsStayAsTheyAreToTheByte) {
  json application = NewApplication();
  const json values = json::parse(R"({
    "removed": null,
    "list": [null, {"also": null}, 1, 2.5, 9007199254740993, "ü", ""],
    "empty": {}, "none": []})");
  json& spec = application["spec"];
  spec["source"]["helm"] = {{"valuesObject", values},
                            {"parameters", {{{"name", "tag"}, {"value", "1"}}}},
                            {"unknown", {{"null", nullptr}}}};
  spec["source"]["unknown"] = {{"null", nullptr}, {"a/b~c", {1, nullptr}}};
  spec["unknown"] = {nullptr};
  application["status"] = {{"unknown", {{"null", nullptr}}}, {"health", {{"status", "Healthy"}}}};
  application["unknown"] = {{"null", nullptr}};
  api_.Create(ApplicationsPath(), application);
  const std::string app = application.at("metadata").at("name");
  const json before = Application(app);
  ASSERT_EQ(before.at("spec").at("source").at("helm").at("valuesObject"), values)
      << "the API server itself does not keep it";
  Replica gantry;

  EXPECT_TRUE(
      Is(gantry.RunStep(Request(Config(
             app, json::array({{{"repoURL", kRepository},
                                {"desiredRevision", kNewRevision},
                                {"updateTargetRevision", true},
                                {"helm", {{"images", {{{"key", "tag"}, {"value", "2"}}}}}}}})))),
         v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));

  const json after = Application(app);
  EXPECT_EQ(after.at("spec").at("source").at("helm").at("parameters").at(0).at("value"), "2");
  const std::vector<std::string> changed = {"/spec/source/targetRevision",
                                            "/spec/source/helm/parameters/0/value"};
  EXPECT_EQ(Remainder(after, changed).dump(), Remainder(before, changed).dump());
}

TEST_F(SourcesTest, AnUpdateThatMatchesNoSourceIsAnError) {
  const std::string app = CreateApplication();
  ExpectRefused(app,
                Config(app, json::array({{{"repoURL", "https://github.com/example/else.git"},
                                          {"desiredRevision", kNewRevision}}})),
                v1::STEP_REASON_SOURCE_NOT_MATCHED, "https://github.com/example/else.git");
}

TEST_F(SourcesTest, AChartIsComparedToTheLetter) {
  const std::string app = CreateApplication(
      {{"spec",
        {{"source",
          {{"repoURL", "https://charts.example.com"}, {"chart", "web"}, {"path", nullptr}}}}}});
  ExpectRefused(app,
                Config(app, json::array({{{"repoURL", "https://charts.example.com/"},
                                          {"chart", "web"},
                                          {"desiredRevision", "1.1.0"}}})),
                v1::STEP_REASON_SOURCE_NOT_MATCHED, "https://charts.example.com/");
}

TEST_F(SourcesTest, ImagesThatNoSourceCanTakeAreAnError) {
  const std::string app =
      CreateApplication({{"spec", {{"source", {{"directory", {{"recurse", true}}}}}}}});
  ExpectRefused(
      app,
      Config(app, json::array({{{"repoURL", kRepository},
                                {"helm", {{"images", {{{"key", "tag"}, {"value", "1"}}}}}}}})),
      v1::STEP_REASON_SOURCE_NOT_MATCHED, "helm");
}

TEST_F(SourcesTest, AnApplicationWithASourceHydratorIsRefusedWithTheReason) {
  const std::string app = CreateApplication(
      {{"spec",
        {{"sourceHydrator",
          {{"drySource",
            {{"repoURL", kRepository}, {"path", "."}, {"targetRevision", "main"}}}}}}}});
  ExpectRefused(app, UpdateTo(app), v1::STEP_REASON_SOURCE_NOT_MATCHED, "sourceHydrator");
}

TEST_F(SourcesTest, TwoRevisionsForOneSourceAreIncompatible) {
  const std::string app = CreateApplication();
  ExpectRefused(app,
                Config(app, {{{"repoURL", kRepository}, {"desiredRevision", kNewRevision}},
                             {{"repoURL", kRepository}, {"desiredRevision", kOtherRevision}}}),
                v1::STEP_REASON_INCOMPATIBLE_SOURCES, kOtherRevision);
}

// The first three of those that do not fit are named, and all are counted.
TEST_F(SourcesTest, AnUpdateThatFitsSomeOfSeveralApplicationsOnlyIsIncompatible) {
  const std::string group = UniqueName("group");
  const json label = {{"metadata", {{"labels", {{"group", group}}}}}};
  json elsewhere = label;
  elsewhere["spec"]["source"]["repoURL"] = "https://github.com/example/else.git";
  const std::string fitting = CreateApplication(label);
  std::vector<std::string> others;
  for (int i = 0; i < 4; ++i) others.push_back(CreateApplication(elsewhere));
  std::sort(others.begin(), others.end());
  const json before = Application(fitting);
  Replica gantry;

  const StepResult result = gantry.RunStep(Request(
      {{"apps",
        json::array({{{"selector", {{"matchLabels", {{"group", group}}}}},
                      {"sources", json::array({{{"repoURL", kRepository},
                                                {"desiredRevision", kNewRevision}}})}}})}}));

  EXPECT_TRUE(Is(result, v1::STEP_STATUS_ERRORED, v1::STEP_REASON_INCOMPATIBLE_SOURCES));
  for (int i = 0; i < 3; ++i) EXPECT_THAT(result.response.message(), HasSubstr(others[i]));
  EXPECT_THAT(result.response.message(), testing::Not(HasSubstr(others[3])));
  EXPECT_THAT(result.response.message(), HasSubstr(" 4 "));
  EXPECT_EQ(Application(fitting), before);
  EXPECT_FALSE(HasRecord());
}

}  // namespace
}  // namespace gantry::integration
