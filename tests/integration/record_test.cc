// SPDX-License-Identifier: Apache-2.0
//
// What a step leaves behind: the Stage's record, the health check, the Event and the audit line.
#include "tests/integration/integration_test.h"

namespace gantry::integration {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class RecordTest : public IntegrationTest {
 protected:
  void ExpectStarted(Replica& gantry, const v1::RunStepRequest& request) {
    EXPECT_TRUE(
        Is(gantry.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  }
  StepResult RunToSuccess(Replica& gantry, const v1::RunStepRequest& request,
                          const std::vector<std::string>& apps) {
    ExpectStarted(gantry, request);
    for (const std::string& app : apps) ArgoCd(api_, app).Work();
    StepResult result = gantry.RunStep(request);
    EXPECT_TRUE(Is(result, v1::STEP_STATUS_SUCCEEDED));
    return result;
  }
  json Check(const std::string& app, const std::string& promotion,
             const std::vector<std::string>& revisions) const {
    return {{"namespace", "argocd"},
            {"name", app},
            {"promotion", promotion},
            {"desiredRevisions", revisions}};
  }
  // Without what was read when the step had succeeded.
  std::vector<json> Checks() {
    std::vector<json> checks = Record().at("spec").at("healthChecks");
    for (json& check : checks) {
      check.erase("resourceVersion");
      check.erase("finishedAt");
    }
    return checks;
  }
};

TEST_F(RecordTest, TheAttemptIsRecordedBeforeTheApplicationIsWritten) {
  const std::string app = CreateApplication();
  Replica gantry;
  json record_at_write;
  gantry.proxy.RunBefore(WriteOf(app), [&] { record_at_write = Record(); });

  ExpectStarted(gantry, Request(UpdateTo(app), "p1", "deploy"));

  ASSERT_TRUE(record_at_write.is_object());
  const json& metadata = record_at_write.at("metadata");
  EXPECT_EQ(metadata.at("labels"),
            (json{{"gantry.dev/project", kProject}, {"gantry.dev/stage", stage_}}));
  const json& spec = record_at_write.at("spec");
  EXPECT_EQ(spec.at("project"), kProject);
  EXPECT_EQ(spec.at("stage"), stage_);
  EXPECT_EQ(spec.at("promotion").at("name"), "p1");
  EXPECT_EQ(spec.at("promotion").at("phase"), "Running");
  const json& step = spec.at("steps").at(0);
  EXPECT_EQ(step.at("name"), "deploy");
  EXPECT_EQ(step.at("uses"), "argocd-update");
  EXPECT_EQ(step.at("status"), "Running");
  const json& application = step.at("applications").at(0);
  EXPECT_EQ(application.at("namespace"), "argocd");
  EXPECT_EQ(application.at("name"), app);
  EXPECT_EQ(application.at("attempt"), 1);
  EXPECT_EQ(application.at("done"), false);
}

TEST_F(RecordTest, SuccessIsRecordedWithTheHealthCheckThatIsAnswered) {
  const std::string app = CreateApplication();
  Replica gantry;

  const StepResult result = RunToSuccess(gantry, Request(UpdateTo(app)), {app});

  EXPECT_EQ(result.response.health_check().uses(), "argocd-update");
  EXPECT_EQ(HealthCheckInputOf(result),
            (json{{"apps", json::array({{{"name", app},
                                         {"namespace", "argocd"},
                                         {"desiredRevisions", {kNewRevision}}}})}}));
  EXPECT_EQ(OutputOf(result),
            (json{{"apps", json::array({{{"name", app}, {"namespace", "argocd"}}})}}));
  const json spec = Record().at("spec");
  EXPECT_EQ(spec.at("promotion").at("phase"), "Succeeded");
  EXPECT_EQ(spec.at("steps").at(0).at("name"), "argocd-update");
  EXPECT_EQ(spec.at("steps").at(0).at("status"), "Succeeded");
  EXPECT_EQ(spec.at("steps").at(0).at("applications").at(0).at("done"), true);
  EXPECT_THAT(Checks(), testing::ElementsAre(Check(app, "p1", {kNewRevision})));
  const json& check = spec.at("healthChecks").at(0);
  EXPECT_EQ(check.at("resourceVersion"), Application(app).at("metadata").at("resourceVersion"));
  EXPECT_EQ(check.at("finishedAt"),
            Application(app).at("status").at("operationState").at("finishedAt"));
}

TEST_F(RecordTest, AStageWithALongNameHasNoLabelOfItsName) {
  const std::string stage = stage_ + "." + std::string(60, 'x');
  const std::string app = CreateApplication(
      {{"metadata", {{"annotations", {{"kargo.akuity.io/authorized-stage", "shop:" + stage}}}}}});
  v1::RunStepRequest request = Request(UpdateTo(app));
  request.set_stage(stage);
  Replica gantry;
  ExpectStarted(gantry, request);
  const json record = api_.Get(StageHealthPath("shop." + stage));
  EXPECT_EQ(record.at("metadata").at("labels"), (json{{"gantry.dev/project", "shop"}}));
  EXPECT_EQ(record.at("spec").at("stage"), stage);
}

// The same call again is answered from the record, and the record stays as it is.
TEST_F(RecordTest, ARepeatedCallAfterSuccessWritesNothing) {
  const std::string app = CreateApplication();
  Replica gantry;
  RunToSuccess(gantry, Request(UpdateTo(app)), {app});
  const json record = Record();
  const json before = Application(app);
  EXPECT_TRUE(Is(gantry.RunStep(Request(UpdateTo(app))), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(Record(), record);
  EXPECT_EQ(Application(app), before);
}

TEST_F(RecordTest, WaitingForAnOperationDoesNotWriteTheRecord) {
  const std::string app = CreateApplication();
  Replica gantry;
  ExpectStarted(gantry, Request(UpdateTo(app)));
  const json record = Record();
  ExpectStarted(gantry, Request(UpdateTo(app)));
  EXPECT_EQ(Record(), record);
}

TEST_F(RecordTest, ANewPromotionReplacesTheHealthChecksOfTheOlderOne) {
  const std::string kept = CreateApplication();
  const std::string dropped = CreateApplication();
  json both = UpdateTo(kept);
  both["apps"].push_back(UpdateTo(dropped).at("apps").at(0));
  Replica gantry;
  RunToSuccess(gantry, Request(both, "p1"), {kept, dropped});
  EXPECT_EQ(Checks().size(), 2u);

  // Until it has succeeded the older promotion's stay.
  const v1::RunStepRequest next = Request(UpdateTo(kept, kOtherRevision), "p2");
  ExpectStarted(gantry, next);
  EXPECT_EQ(Checks().size(), 2u);
  ArgoCd(api_, kept).Work();
  EXPECT_TRUE(Is(gantry.RunStep(next), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_THAT(Checks(), testing::ElementsAre(Check(kept, "p2", {kOtherRevision})));
}

// Within one promotion the later step's revision wins for each source, where it has one.
TEST_F(RecordTest, StepsOfOnePromotionMergeTheirHealthChecksBySource) {
  const std::string other_repository = "https://github.com/example/other";
  const std::string app = CreateApplicationWithSources(
      {{{"repoURL", kRepository}, {"targetRevision", "main"}, {"path", "a"}},
       {{"repoURL", other_repository}, {"targetRevision", "v1"}, {"path", "b"}}});
  Replica gantry;
  RunToSuccess(gantry, Request(UpdateTo(app), "p1", "first"), {app});
  RunToSuccess(gantry,
               Request(Config(app, json::array({{{"repoURL", other_repository},
                                                 {"desiredRevision", "v2"},
                                                 {"updateTargetRevision", true}}})),
                       "p1", "second"),
               {app});
  EXPECT_THAT(Checks(), testing::ElementsAre(Check(app, "p1", {kNewRevision, "v2"})));
}

TEST_F(RecordTest, ADryRunShowsThePatchAndWritesNothing) {
  const std::string app = CreateApplication();
  const json before = Application(app);
  v1::RunStepRequest request = Request(UpdateTo(app));
  request.set_dry_run(true);
  Replica gantry;

  const StepResult result = gantry.RunStep(request);

  EXPECT_TRUE(Is(result, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  const v1::ApplicationOutcome outcome = OutcomeOf(result, app);
  EXPECT_EQ(outcome.action(), v1::ApplicationOutcome::ACTION_SYNC_STARTED);
  EXPECT_THAT(outcome.message(), HasSubstr("dry run"));
  EXPECT_EQ(Application(app), before);
  EXPECT_FALSE(HasRecord());
  for (const Exchange& exchange : gantry.StepRequests()) EXPECT_EQ(exchange.method, "GET");

  // It is the very patch that a real call sends, and it applies.
  request.set_dry_run(false);
  request.set_promotion("p1");
  const json patch = json::parse(outcome.patch());
  gantry.proxy.Answer(WriteOf(app), Refusal(403, "Forbidden", "only to see it"));
  gantry.RunStep(request);
  EXPECT_EQ(json::parse(gantry.proxy.Exchanges(WriteOf(app)).at(0).body), patch);
  api_.JsonPatch(ApplicationPath(app), patch);
  EXPECT_TRUE(HasOperation(Application(app), "p1", 1));
  EXPECT_EQ(Application(app).at("spec").at("source").at("targetRevision"), kNewRevision);
}

TEST_F(RecordTest, ADryRunOfAStepThatSucceededSaysSo) {
  const std::string app = CreateApplication();
  Replica gantry;
  v1::RunStepRequest request = Request(UpdateTo(app));
  RunToSuccess(gantry, request, {app});
  const json record = Record();
  request.set_dry_run(true);
  EXPECT_TRUE(Is(gantry.RunStep(request), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(Record(), record);
}

TEST_F(RecordTest, ADryRunDoesNotSupersedeOrRecordSuccess) {
  const std::string app = CreateApplication();
  Replica gantry;
  ExpectStarted(gantry, Request(UpdateTo(app), "p1"));
  ArgoCd(api_, app).Work();
  const json record = Record();
  const json before = Application(app);
  v1::RunStepRequest same = Request(UpdateTo(app), "p1");
  same.set_dry_run(true);
  EXPECT_EQ(gantry.RunStep(same).response.status(), v1::STEP_STATUS_RUNNING);
  v1::RunStepRequest newer = Request(UpdateTo(app, kOtherRevision), "p2");
  newer.set_dry_run(true);
  EXPECT_EQ(gantry.RunStep(newer).response.status(), v1::STEP_STATUS_RUNNING);
  EXPECT_EQ(Record(), record);
  EXPECT_EQ(Application(app), before);
}

TEST_F(RecordTest, AnInvalidConfigurationIsRefusedWithoutAskingKubernetes) {
  const std::string app = CreateApplication();
  const json before = Application(app);
  Replica gantry;
  json config = UpdateTo(app);
  config["apps"][0]["sources"][0].erase("repoURL");
  config["apps"][0]["selector"] = {{"matchLabels", {{"a", "b"}}}};
  config["unknown"] = true;

  const StepResult result = gantry.RunStep(Request(config));

  EXPECT_TRUE(Is(result, v1::STEP_STATUS_FAILED, v1::STEP_REASON_INVALID_CONFIG));
  std::vector<std::string> fields;
  for (const v1::ConfigViolation& violation : result.response.violations()) {
    fields.push_back(violation.field());
    EXPECT_NE(violation.description(), "");
  }
  EXPECT_THAT(fields,
              testing::UnorderedElementsAre("apps[0]", "apps[0].sources[0].repoURL", "unknown"));
  EXPECT_TRUE(gantry.StepRequests().empty());
  EXPECT_EQ(Application(app), before);
  EXPECT_FALSE(HasRecord());
}

TEST_F(RecordTest, AnEventOnTheApplicationTellsOfTheSync) {
  const std::string app = CreateApplication();
  Replica gantry;
  v1::RunStepRequest request = Request(UpdateTo(app, "v2"));
  request.set_actor("jane");
  ExpectStarted(gantry, request);
  const std::vector<json> events = Events(gantry, app, 1);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].at("type"), "Normal");
  EXPECT_EQ(events[0].at("reason"), "OperationStarted");
  EXPECT_EQ(events[0].at("message"), "jane initiated sync to v2");
  EXPECT_EQ(events[0].at("involvedObject").at("kind"), "Application");
  EXPECT_EQ(events[0].at("involvedObject").at("uid"), Application(app).at("metadata").at("uid"));
}

TEST_F(RecordTest, TheEventOfSeveralSourcesCountsThem) {
  const std::string app = CreateApplicationWithSources(
      {{{"repoURL", kRepository}, {"targetRevision", "main"}, {"path", "a"}},
       {{"repoURL", kRepository}, {"targetRevision", "main"}, {"path", "b"}}});
  Replica gantry;
  ExpectStarted(gantry, Request(UpdateTo(app)));
  EXPECT_EQ(Events(gantry, app, 1).at(0).at("message"), "gantry initiated sync to 2 sources");
}

// The step neither waits for it nor fails by it.
TEST_F(RecordTest, AnEventThatCannotBeWrittenDoesNotHoldUpTheStep) {
  const std::string app = CreateApplication();
  Replica gantry;
  const auto hold = gantry.proxy.HoldBefore({.method = "POST", .target = "/events(\\?|$)"});
  ExpectStarted(gantry, Request(UpdateTo(app)));
  hold->AwaitHeld();
  ArgoCd(api_, app).Work();
  EXPECT_TRUE(Is(gantry.RunStep(Request(UpdateTo(app))), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(Record().at("spec").at("promotion").at("phase"), "Succeeded");
}

TEST_F(RecordTest, AnAuditLineTellsWhoChangedWhat) {
  const std::string app = CreateApplication();
  Replica gantry;
  v1::RunStepRequest request = Request(UpdateTo(app), "p1", "deploy");
  request.set_actor("jane");
  ExpectStarted(gantry, request);
  EXPECT_TRUE(HasOperation(Application(app), "p1", 1));
  const json line = json::parse(gantry.server->AwaitLogLine(
      [](const std::string& text) { return text.find("\"audit") != std::string::npos; }));
  EXPECT_EQ(line.at("caller"), "anonymous");
  EXPECT_EQ(line.at("actor"), "jane");
  EXPECT_EQ(line.at("project"), kProject);
  EXPECT_EQ(line.at("stage"), stage_);
  EXPECT_EQ(line.at("promotion"), "p1");
  EXPECT_EQ(line.at("step"), "deploy");
  EXPECT_EQ(line.at("application"), "argocd/" + app);
  EXPECT_THAT(line.at("changed").get<std::string>(), HasSubstr("/spec/source/targetRevision"));
}

}  // namespace
}  // namespace gantry::integration
