// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/render.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "client/gantryctl/yaml.h"
#include "tests/client/answers.h"

namespace gantry::gantryctl {
namespace {

using client::Answer;
using client::Ending;
using client::Error;
using client::Refused;
using client::Running;
using ::testing::HasSubstr;
using ::testing::Not;

v1::ApplicationOutcome& AddApplication(v1::RunStepResponse& response, const std::string& name,
                                       v1::ApplicationOutcome::Action action) {
  v1::ApplicationOutcome& application = *response.add_applications();
  application.set_namespace_("argocd");
  application.set_name(name);
  application.set_action(action);
  return application;
}

v1::RunStepResponse TwoApplications() {
  v1::RunStepResponse response = Running(absl::Seconds(5), "argocd/guestbook: syncing");
  v1::ApplicationOutcome& first =
      AddApplication(response, "guestbook", v1::ApplicationOutcome::ACTION_WAITED);
  first.set_operation_phase("Running");
  first.set_message("waiting for\nthe operation");
  first.add_desired_revisions("5f3c9d2a");
  first.add_desired_revisions("");
  AddApplication(response, "x", v1::ApplicationOutcome::ACTION_UNSPECIFIED);
  return response;
}

struct TableCase {
  std::string name;
  v1::RunStepResponse response;
  bool dry_run;
  bool color;
  std::string text;
};

std::vector<TableCase> TableCases() {
  v1::RunStepResponse invalid = Answer(v1::STEP_STATUS_FAILED, "2 violations");
  invalid.set_reason(v1::STEP_REASON_INVALID_CONFIG);
  for (const std::string field : {"apps", "apps[0].sources[1].repoURL"}) {
    v1::ConfigViolation& violation = *invalid.add_violations();
    violation.set_field(field);
    violation.set_description("expected another");
  }

  v1::RunStepResponse dry = Answer(v1::STEP_STATUS_RUNNING);
  AddApplication(dry, "a", v1::ApplicationOutcome::ACTION_SYNC_STARTED)
      .set_patch(R"([{"op":"replace","path":"/z","value":{"b":1,"a":[]}}])");
  AddApplication(dry, "b", v1::ApplicationOutcome::ACTION_NONE);
  AddApplication(dry, "c", v1::ApplicationOutcome::ACTION_SYNC_STARTED).set_patch("not \x1b JSON");

  v1::RunStepResponse future = Answer(static_cast<v1::StepStatus>(77));
  future.set_reason(static_cast<v1::StepReason>(99));

  return {
      {"Succeeded", Answer(v1::STEP_STATUS_SUCCEEDED), false, false, "Verdict:     SUCCEEDED\n"},
      {"SucceededInColor", Answer(v1::STEP_STATUS_SUCCEEDED), false, true,
       "Verdict:     \033[32mSUCCEEDED\033[0m\n"},
      {"FailedInColor", Answer(v1::STEP_STATUS_FAILED), false, true,
       "Verdict:     \033[31mFAILED\033[0m\n"},
      {"RunningInColor", Answer(v1::STEP_STATUS_RUNNING), false, true,
       "Verdict:     \033[33mRUNNING\033[0m\n"},
      {"LongAndHostileMessages", Answer(v1::STEP_STATUS_ERRORED, "one\ntwo \x1b[31m\n\n"), false,
       true,
       "Verdict:     \033[31mERRORED\033[0m\n"
       "Message:     one\n"
       "             two \\x1b[31m\n"},
      {"Applications", TwoApplications(), false, false,
       "Verdict:     RUNNING\n"
       "Reason:      OPERATION_RUNNING\n"
       "Message:     argocd/guestbook: syncing\n"
       "Retry after: 5s\n"
       "\n"
       "NAMESPACE  NAME       ACTION  PHASE    DESIRED REVISIONS  MESSAGE\n"
       "argocd     guestbook  WAITED  Running  5f3c9d2a, -        waiting for the operation\n"
       "argocd     x          -       -        -                  -\n"},
      {"Violations", invalid, false, false,
       "Verdict:     FAILED\n"
       "Reason:      INVALID_CONFIG\n"
       "Message:     2 violations\n"
       "\n"
       "FIELD                       VIOLATION\n"
       "apps                        expected another\n"
       "apps[0].sources[1].repoURL  expected another\n"},
      {"DryRun", dry, true, false,
       "Verdict:     RUNNING (dry run: nothing was written)\n"
       "\n"
       "NAMESPACE  NAME  ACTION        PHASE  DESIRED REVISIONS  MESSAGE\n"
       "argocd     a     SYNC_STARTED  -      -                  -\n"
       "argocd     b     NONE          -      -                  -\n"
       "argocd     c     SYNC_STARTED  -      -                  -\n"
       "\n"
       "Patch for argocd/a:\n"
       "[\n"
       "  {\n"
       "    \"op\": \"replace\",\n"
       "    \"path\": \"/z\",\n"
       "    \"value\": {\n"
       "      \"b\": 1,\n"
       "      \"a\": []\n"
       "    }\n"
       "  }\n"
       "]\n"
       "\n"
       "Patch for argocd/c:\n"
       "not \\x1b JSON\n"},
      {"DryRunWithoutPatches", Answer(v1::STEP_STATUS_SUCCEEDED), true, false,
       "Verdict:     SUCCEEDED (dry run: nothing was written)\n"
       "\n"
       "No Application would be written.\n"},
      {"ValuesFromTheFuture", future, false, false,
       "Verdict:     77\n"
       "Reason:      99\n"},
  };
}

class RenderTableTest : public ::testing::TestWithParam<TableCase> {};

TEST_P(RenderTableTest, IsThisText) {
  EXPECT_EQ(RenderTable(GetParam().response, GetParam().dry_run, Look{GetParam().color, false}),
            GetParam().text);
}

INSTANTIATE_TEST_SUITE_P(Cases, RenderTableTest, ::testing::ValuesIn(TableCases()),
                         [](const auto& test) { return test.param.name; });

TEST(RenderTableTest, WideShowsWhatElseThereIs) {
  v1::RunStepResponse response = Answer(v1::STEP_STATUS_SUCCEEDED);
  (*response.mutable_output()->mutable_fields())["a"].set_string_value("b");
  response.mutable_health_check()->set_uses("argocd-update");
  (*response.mutable_health_check()->mutable_input()->mutable_fields())["c"].set_bool_value(true);
  AddApplication(response, "x", v1::ApplicationOutcome::ACTION_SYNC_STARTED).set_patch("[]");
  AddApplication(response, "y", v1::ApplicationOutcome::ACTION_NONE);
  EXPECT_EQ(RenderTable(response, false, Look{false, true}),
            "Verdict:     SUCCEEDED\n"
            "Output:      {\"a\":\"b\"}\n"
            "Health:      argocd-update {\"c\":true}\n"
            "\n"
            "NAMESPACE  NAME  ACTION        PHASE  DESIRED REVISIONS  MESSAGE\n"
            "argocd     x     SYNC_STARTED  -      -                  -\n"
            "argocd     y     NONE          -      -                  -\n"
            "\n"
            "Patch for argocd/x:\n"
            "[]\n");
  EXPECT_THAT(RenderTable(response, false, Look()), Not(HasSubstr("Patch")));
}

TEST(RenderTableTest, APatchThatIsAbsurdlyDeepIsShownAsItIs) {
  v1::RunStepResponse response = Answer(v1::STEP_STATUS_RUNNING);
  const std::string deep = std::string(200000, '[') + std::string(200000, ']');
  AddApplication(response, "a", v1::ApplicationOutcome::ACTION_SYNC_STARTED).set_patch(deep);
  EXPECT_THAT(RenderTable(response, true, Look()),
              HasSubstr("Patch for argocd/a:\n" + deep + "\n"));
}

TEST(RenderJsonTest, IsProtobufsJson) {
  const absl::StatusOr<std::string> text = RenderJson(TwoApplications());
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(text->back(), '\n');
  EXPECT_EQ(nlohmann::json::parse(*text), nlohmann::json::parse(R"({
    "status": "STEP_STATUS_RUNNING",
    "reason": "STEP_REASON_OPERATION_RUNNING",
    "message": "argocd/guestbook: syncing",
    "retryAfter": "5s",
    "applications": [
      {"namespace": "argocd", "name": "guestbook", "action": "ACTION_WAITED",
       "operationPhase": "Running", "message": "waiting for\nthe operation",
       "desiredRevisions": ["5f3c9d2a", ""]},
      {"namespace": "argocd", "name": "x"}]})"));
}

TEST(RenderYamlTest, IsThisText) {
  const absl::StatusOr<std::string> text = RenderYaml(TwoApplications());
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(*text,
            "status: STEP_STATUS_RUNNING\n"
            "reason: STEP_REASON_OPERATION_RUNNING\n"
            "message: \"argocd/guestbook: syncing\"\n"
            "applications:\n"
            "  - namespace: argocd\n"
            "    name: guestbook\n"
            "    action: ACTION_WAITED\n"
            "    operationPhase: Running\n"
            "    message: \"waiting for\\nthe operation\"\n"
            "    desiredRevisions:\n"
            "      - 5f3c9d2a\n"
            "      - \"\"\n"
            "  - namespace: argocd\n"
            "    name: x\n"
            "retryAfter: 5s\n");
}

TEST(RenderYamlTest, WhatCouldBeReadAsSomethingElseIsQuoted) {
  const struct {
    std::string json;
    std::string yaml;
  } cases[] = {
      {R"("true")", "\"true\"\n"},
      {R"("no")", "\"no\"\n"},
      {R"("On")", "\"On\"\n"},
      {R"("123")", "\"123\"\n"},
      {R"("1e3")", "\"1e3\"\n"},
      {R"("0x1f")", "\"0x1f\"\n"},
      {R"("")", "\"\"\n"},
      {R"("- a")", "\"- a\"\n"},
      {R"("a: b")", "\"a: b\"\n"},
      {R"("a #b")", "\"a #b\"\n"},
      {R"("*a")", "\"*a\"\n"},
      {R"("a ")", "\"a \"\n"},
      {R"("a b")", "a b\n"},
      {R"("[1]")", "\"[1]\"\n"},
      {R"("a\u0007\u009b")", "\"a\\u0007\\x9b\"\n"},
      {R"({"yes": {"a": []}})", "\"yes\":\n  a: []\n"},
      {R"([[1, 2], [], {}, null, true, 1.5])",
       "- - 1\n"
       "  - 2\n"
       "- []\n"
       "- {}\n"
       "- null\n"
       "- true\n"
       "- 1.5\n"},
      {R"({"a": [{"b": {"c": 1}, "d": 2}]})", "a:\n  - b:\n      c: 1\n    d: 2\n"},
  };
  for (const auto& test : cases) {
    const absl::StatusOr<std::string> yaml = JsonToYaml(test.json);
    ASSERT_TRUE(yaml.ok()) << test.json;
    EXPECT_EQ(*yaml, test.yaml);
    EXPECT_TRUE(ParseYaml(*yaml).documents) << *yaml;
  }
}

client::RunStepResult Result(Ending ending, std::optional<v1::RunStepResponse> response,
                             absl::Status error = absl::OkStatus()) {
  client::RunStepResult result;
  result.ending = ending;
  result.response = std::move(response);
  result.error = std::move(error);
  result.elapsed = absl::Seconds(90);
  return result;
}

TEST(ExitCodeTest, FollowsFromTheResult) {
  const struct {
    const char* name;
    client::RunStepResult result;
    ExitCode code;
  } cases[] = {
      {"Succeeded", Result(Ending::kVerdict, Answer(v1::STEP_STATUS_SUCCEEDED)), kExitSucceeded},
      {"Failed", Result(Ending::kVerdict, Answer(v1::STEP_STATUS_FAILED)), kExitFailed},
      {"Errored", Result(Ending::kVerdict, Answer(v1::STEP_STATUS_ERRORED)), kExitFailed},
      {"Aborted", Result(Ending::kVerdict, Answer(v1::STEP_STATUS_ABORTED)), kExitFailed},
      {"RunningInADryRun", Result(Ending::kVerdict, Running()), kExitSucceeded},
      {"RunningAtTheTimeout", Result(Ending::kTimedOut, Running()), kExitStillRunning},
      {"NotJudgedAtTheTimeout", Result(Ending::kTimedOut, std::nullopt, client::KubernetesDown()),
       kExitStillRunning},
      {"Unreachable", Result(Ending::kUnreachable, std::nullopt, Refused()), kExitUnreachable},
      {"UnreachableAfterAnAnswer", Result(Ending::kUnreachable, Running(), Refused()),
       kExitUnreachable},
      {"PermissionDenied",
       Result(Ending::kRefused, std::nullopt, Error(grpc::StatusCode::PERMISSION_DENIED, "no")),
       kExitFailed},
      {"Unauthenticated",
       Result(Ending::kRefused, std::nullopt, Error(grpc::StatusCode::UNAUTHENTICATED, "no")),
       kExitFailed},
      {"InvalidArgument",
       Result(Ending::kRefused, std::nullopt, Error(grpc::StatusCode::INVALID_ARGUMENT, "no")),
       kExitUsage},
  };
  for (const auto& test : cases) EXPECT_EQ(ExitCodeFor(test.result), test.code) << test.name;
}

TEST(FailureTest, NothingIsSaidAboutAVerdict) {
  EXPECT_EQ(RenderFailure(Result(Ending::kVerdict, Answer(v1::STEP_STATUS_FAILED)), "here:1"), "");
}

TEST(FailureTest, ARefusalNamesEveryField) {
  const absl::Status error =
      Error(grpc::StatusCode::INVALID_ARGUMENT, "two fields are wrong",
            {"INVALID_REQUEST", std::nullopt, {{"project", "empty"}, {"stage", "a\n\x1b"}}});
  EXPECT_EQ(RenderFailure(Result(Ending::kRefused, std::nullopt, error), "here:1"),
            "the service at here:1 refused the call: INVALID_ARGUMENT (INVALID_REQUEST): two "
            "fields are wrong\n"
            "  project: empty\n"
            "  stage: a \\x1b\n");
}

TEST(FailureTest, WhatTheMessageSaysOfTheOnlyFieldIsNotRepeated) {
  const struct {
    const char* name;
    std::string message;
    std::string text;
  } cases[] = {
      {"Both", "stage: too long", "stage: too long\n"},
      {"OnlyTheDescription", "too long", "too long\n  stage: too long\n"},
      {"OnlyTheField", "stage is wrong", "stage is wrong\n  stage: too long\n"},
  };
  for (const auto& test : cases) {
    const absl::Status error = Error(grpc::StatusCode::INVALID_ARGUMENT, test.message,
                                     {"INVALID_REQUEST", std::nullopt, {{"stage", "too long"}}});
    EXPECT_EQ(
        RenderRefusal(error, "here:1"),
        "the service at here:1 refused the call: INVALID_ARGUMENT (INVALID_REQUEST): " + test.text)
        << test.name;
  }
}

TEST(FailureTest, AnotherServiceIsSuspected) {
  EXPECT_THAT(RenderFailure(Result(Ending::kRefused, std::nullopt,
                                   Error(grpc::StatusCode::UNIMPLEMENTED, "")),
                            "here:1"),
              HasSubstr("does not know this call"));
}

TEST(FailureTest, ATimeoutSaysThatTheStepGoesOn) {
  EXPECT_EQ(RenderFailure(Result(Ending::kTimedOut, Running()), "here:1"),
            "the step is still running after 1m30s and goes on in the cluster. Run the same "
            "command again to follow it, or with a longer --timeout.\n");
}

TEST(FailureTest, ATimeoutWithoutAJudgementSaysWhy) {
  const std::string text =
      RenderFailure(Result(Ending::kTimedOut, Running(), client::KubernetesDown()), "here:1");
  EXPECT_THAT(text, HasSubstr("could not evaluate the step within 1m30s: UNAVAILABLE "
                              "(KUBERNETES_UNREACHABLE): the Kubernetes API cannot be reached"));
  EXPECT_THAT(text, HasSubstr("The step was last RUNNING (OPERATION_RUNNING): an operation runs"));
}

TEST(FailureTest, AnUnreachableServiceIsNamed) {
  const std::string never =
      RenderFailure(Result(Ending::kUnreachable, std::nullopt, Refused()), "here:1");
  EXPECT_THAT(never, HasSubstr("no Gantry service answers at here:1, tried for 1m30s: "
                               "UNAVAILABLE: connection refused"));

  const std::string later =
      RenderFailure(Result(Ending::kUnreachable, Running(), Refused()), "here:1");
  EXPECT_THAT(later, HasSubstr("the service at here:1 does not answer any more"));
  EXPECT_THAT(later, HasSubstr("The step was last RUNNING"));
}

}  // namespace
}  // namespace gantry::gantryctl
