// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/health_render.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/gantryctl/yaml.h"
#include "tests/client/answers.h"

namespace gantry::gantryctl {
namespace {

using client::Deleted;
using client::Error;
using client::KubernetesDown;
using client::Page;
using client::Refused;
using client::Stage;
using client::Synced;
using client::Updated;
using ::testing::HasSubstr;
using ::testing::Not;

// 2026-03-01T12:00:00Z
constexpr std::int64_t kNoon = 1772366400;

v1::StageHealth Promoted(v1::HealthState state, const std::string& promotion,
                         v1::PromotionPhase phase) {
  v1::StageHealth health = Stage("shop", "prod", state);
  health.mutable_promotion()->set_name(promotion);
  health.mutable_promotion()->set_phase(phase);
  health.mutable_transition_time()->set_seconds(kNoon);
  health.mutable_transition_time()->set_nanos(999999999);
  return health;
}

v1::ApplicationHealth& AddApplication(v1::StageHealth& health, const std::string& name,
                                      v1::HealthState state,
                                      const std::vector<std::string>& desired = {},
                                      const std::vector<std::string>& observed = {}) {
  v1::ApplicationHealth& application = *health.add_applications();
  application.set_namespace_("argocd");
  application.set_name(name);
  application.set_state(state);
  application.set_health_status("Healthy");
  application.set_sync_status("Synced");
  application.set_operation_phase("Succeeded");
  for (const std::string& revision : desired) application.add_desired_revisions(revision);
  for (const std::string& revision : observed) application.add_observed_revisions(revision);
  return application;
}

struct RowCase {
  std::string name;
  v1::StageHealth health;
  std::string row;  // without the header
};

std::vector<RowCase> RowCases() {
  v1::StageHealth bad =
      Promoted(v1::HEALTH_STATE_UNHEALTHY, "release-1", v1::PROMOTION_PHASE_FAILED);
  bad.add_issues("argocd/web is\nDegraded");
  v1::StageHealth worse = bad;
  worse.add_issues("second");
  worse.add_issues("third");
  v1::StageHealth long_winded = Stage("shop", "prod", v1::HEALTH_STATE_UNKNOWN);
  long_winded.add_issues(std::string(80, 'x') + "y");
  long_winded.add_issues("second");
  v1::StageHealth hostile = Stage("sh\x1b[31mop", "pr\nod", static_cast<v1::HealthState>(77));
  hostile.add_issues(std::string("\xe2\x80\xae") + "\a");
  hostile.mutable_promotion()->set_name("p\r");
  hostile.mutable_promotion()->set_phase(static_cast<v1::PromotionPhase>(88));
  v1::StageHealth no_phase = Stage("shop", "prod");
  no_phase.mutable_promotion()->set_name("p-1");
  return {
      {"NothingToSay", Stage("shop", "prod"), "shop     prod   HEALTHY  -          -      -\n"},
      {"Promoted", Promoted(v1::HEALTH_STATE_HEALTHY, "p-1", v1::PROMOTION_PHASE_SUCCEEDED),
       "shop     prod   HEALTHY  p-1 (SUCCEEDED)  2026-03-01T12:00:00Z  -\n"},
      {"OneIssue", bad,
       "shop     prod   UNHEALTHY  release-1 (FAILED)  2026-03-01T12:00:00Z  argocd/web is "
       "Degraded\n"},
      {"SeveralIssues", worse,
       "shop     prod   UNHEALTHY  release-1 (FAILED)  2026-03-01T12:00:00Z  argocd/web is "
       "Degraded (+2 more)\n"},
      {"ALongIssueIsCut", long_winded,
       "shop     prod   UNKNOWN  -          -      " + std::string(77, 'x') + "... (+1 more)\n"},
      {"HostileTextsAndValuesFromTheFuture", hostile,
       "sh\\x1b[31mop  pr od  77     p (88)     -      \\u202e\\x07\n"},
      {"NoPhase", no_phase, "shop     prod   HEALTHY  p-1        -      -\n"},
      {"NoState", Stage("shop", "prod", v1::HEALTH_STATE_UNSPECIFIED),
       "shop     prod   -      -          -      -\n"},
  };
}

class RowTest : public ::testing::TestWithParam<RowCase> {};

TEST_P(RowTest, IsThisText) {
  const std::string table = RenderStages(Page({GetParam().health}));
  EXPECT_THAT(table,
              ::testing::MatchesRegex("PROJECT +STAGE +STATE +PROMOTION +SINCE +ISSUES\n[^\n]*\n"));
  EXPECT_EQ(table.substr(table.find('\n') + 1), GetParam().row);
}

INSTANTIATE_TEST_SUITE_P(Cases, RowTest, ::testing::ValuesIn(RowCases()),
                         [](const auto& test) { return test.param.name; });

TEST(RenderStagesTest, OneRowForEach) {
  EXPECT_EQ(RenderStages(Page({Stage("shop", "prod"), Stage("shop", "test")})),
            "PROJECT  STAGE  STATE    PROMOTION  SINCE  ISSUES\n"
            "shop     prod   HEALTHY  -          -      -\n"
            "shop     test   HEALTHY  -          -      -\n");
}

TEST(RenderStageTest, AStageWithNothingIsItsRow) {
  EXPECT_EQ(RenderStage(Stage("shop", "prod")), RenderStages(Page({Stage("shop", "prod")})));
}

TEST(RenderStageTest, ApplicationsIndicatorsAndIssues) {
  v1::StageHealth health =
      Promoted(v1::HEALTH_STATE_UNHEALTHY, "release-1", v1::PROMOTION_PHASE_SUCCEEDED);
  health.add_issues("argocd/web: not\nSynced");
  health.add_issues("the indicator smoke\x1b is UNHEALTHY");
  AddApplication(health, "web", v1::HEALTH_STATE_UNHEALTHY, {"v2", "", "v3"}, {"v1", "18.1.0", ""})
      .add_issues("not\nSynced");
  AddApplication(health, "api", v1::HEALTH_STATE_HEALTHY, {"v1"}, {"v1"})
      .add_issues("told by nobody else");
  v1::ApplicationHealth& bare = *health.add_applications();
  bare.set_namespace_("argocd");
  bare.set_name("x");
  v1::HealthIndicator& smoke = *health.add_indicators();
  smoke.set_name("smoke");
  smoke.set_state(v1::HEALTH_STATE_UNHEALTHY);
  smoke.set_message("3 of 40\ntests failed");
  smoke.mutable_expire_time()->set_seconds(kNoon);
  v1::HealthIndicator& slo = *health.add_indicators();
  slo.set_name("slo");
  slo.set_state(v1::HEALTH_STATE_HEALTHY);

  EXPECT_EQ(RenderStage(health),
            "PROJECT  STAGE  STATE      PROMOTION              SINCE                 ISSUES\n"
            "shop     prod   UNHEALTHY  release-1 (SUCCEEDED)  2026-03-01T12:00:00Z  argocd/web: "
            "not Synced (+1 more)\n"
            "\n"
            "NAMESPACE  NAME  STATE      HEALTH   SYNC    OPERATION  REVISIONS\n"
            "argocd     web   UNHEALTHY  Healthy  Synced  Succeeded  v1 (wanted: v2), 18.1.0, - "
            "(wanted: v3)\n"
            "argocd     api   HEALTHY    Healthy  Synced  Succeeded  v1\n"
            "argocd     x     -          -        -       -          -\n"
            "\n"
            "INDICATOR  STATE      EXPIRES               MESSAGE\n"
            "smoke      UNHEALTHY  2026-03-01T12:00:00Z  3 of 40 tests failed\n"
            "slo        HEALTHY    never                 -\n"
            "\n"
            "Issues:\n"
            "  - argocd/web: not Synced\n"
            "  - the indicator smoke\\x1b is UNHEALTHY\n"
            "  - argocd/api: told by nobody else\n");
}

TEST(RenderStageTest, WideHasMoreColumnsAndCutsNothing) {
  v1::StageHealth health =
      Promoted(v1::HEALTH_STATE_UNHEALTHY, "release-1", v1::PROMOTION_PHASE_SUCCEEDED);
  health.mutable_promotion()->mutable_update_time()->set_seconds(kNoon + 1);
  AddApplication(health, "api", v1::HEALTH_STATE_HEALTHY);
  AddApplication(health, "web", v1::HEALTH_STATE_UNHEALTHY).set_health_message("it is down");
  health.add_indicators()->set_state(v1::HEALTH_STATE_HEALTHY);
  const std::string issue(100, 'x');
  health.add_issues(issue);
  health.add_issues("second");
  const std::string text = RenderStage(health, Look{false, true});
  EXPECT_THAT(text, HasSubstr("SINCE                 APPLICATIONS  INDICATORS  ISSUES\n"));
  EXPECT_THAT(text,
              HasSubstr("2026-03-01T12:00:01Z  2026-03-01T12:00:00Z  1/2           1/1         " +
                        issue + "; second\n"));
  EXPECT_THAT(text, HasSubstr("REVISIONS  MESSAGE\n"));
  EXPECT_THAT(text, HasSubstr("it is down\n"));
  EXPECT_THAT(RenderStages(Page({health}), Look{false, true}), HasSubstr("1/2"));

  health.mutable_promotion()->set_phase(v1::PROMOTION_PHASE_RUNNING);
  EXPECT_THAT(RenderStages(Page({health}), Look{false, true}), Not(HasSubstr("1/2")));
}

TEST(RenderStageTest, StatesAreColored) {
  const struct {
    v1::HealthState state;
    std::string shown;
  } cases[] = {
      {v1::HEALTH_STATE_HEALTHY, "\033[32mHEALTHY\033[0m"},
      {v1::HEALTH_STATE_NOT_APPLICABLE, "  NOT_APPLICABLE  "},
      {v1::HEALTH_STATE_PROGRESSING, "\033[33mPROGRESSING\033[0m"},
      {v1::HEALTH_STATE_UNKNOWN, "\033[33mUNKNOWN\033[0m"},
      {v1::HEALTH_STATE_UNHEALTHY, "\033[31mUNHEALTHY\033[0m"},
  };
  for (const auto& test : cases) {
    v1::StageHealth health = Stage("shop", "prod", test.state);
    AddApplication(health, "web", test.state);
    const std::string text = RenderStage(health, Look{true, false});
    const std::size_t stage = text.find(test.shown);
    EXPECT_NE(stage, std::string::npos) << text;
    EXPECT_NE(text.find(test.shown, stage + 1), std::string::npos) << text;
    EXPECT_THAT(RenderStage(health), Not(HasSubstr("\033")));
    WatchPrinter printer(OutputFormat::kTable, Look{true, false});
    EXPECT_TRUE(printer.Print(Updated(health)).ok());
    EXPECT_THAT(printer.Print(Synced()).value_or(""), HasSubstr(test.shown));
  }
}

TEST(WatchPrinterTest, WideRowsHaveAllColumns) {
  WatchPrinter printer(OutputFormat::kWide, Look{false, true});
  EXPECT_TRUE(printer.Print(Updated(Stage("shop", "prod"))).ok());
  EXPECT_THAT(printer.Print(Synced()).value_or(""), HasSubstr("APPLICATIONS  INDICATORS  ISSUES"));
  EXPECT_EQ(printer.Print(Deleted("shop", "prod")).value_or(""),
            "shop     prod   (deleted)  -          -        -      -             -           -\n");
}

TEST(RenderStageTest, DuringAPromotionApplicationsAreNotJudged) {
  v1::StageHealth health =
      Promoted(v1::HEALTH_STATE_UNKNOWN, "release-2", v1::PROMOTION_PHASE_RUNNING);
  AddApplication(health, "web", v1::HEALTH_STATE_UNHEALTHY);
  EXPECT_THAT(RenderStage(health), HasSubstr("argocd     web   -      Healthy  Synced"));
}

nlohmann::json ParsedStages(const v1::ListStageHealthResponse& response) {
  const absl::StatusOr<std::string> text = RenderStagesJson(response);
  EXPECT_TRUE(text.ok()) << text.status();
  return nlohmann::json::parse(text.value_or(""), nullptr, false);
}

TEST(RenderStagesJsonTest, HasStagesAndStaleWhateverTheyAre) {
  EXPECT_EQ(ParsedStages({}), nlohmann::json::parse(R"({"stages": [], "stale": false})"));
  v1::ListStageHealthResponse response = Page({Stage("shop", "true")}, "token");
  response.mutable_observed_time()->set_seconds(kNoon);
  EXPECT_EQ(ParsedStages(response), nlohmann::json::parse(R"({
    "stages": [{"project": "shop", "stage": "true", "state": "HEALTH_STATE_HEALTHY"}],
    "observedTime": "2026-03-01T12:00:00Z", "stale": false})"));
  response.set_stale(true);
  EXPECT_EQ(ParsedStages(response).at("stale"), true);
  response.clear_stages();
  EXPECT_EQ(ParsedStages(response), nlohmann::json::parse(R"({
    "stages": [], "observedTime": "2026-03-01T12:00:00Z", "stale": true})"));
}

TEST(RenderStagesYamlTest, IsThisText) {
  const absl::StatusOr<std::string> text = RenderStagesYaml(Page({Stage("shop", "prod")}));
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(*text,
            "stages:\n"
            "  - project: shop\n"
            "    stage: prod\n"
            "    state: HEALTH_STATE_HEALTHY\n"
            "stale: false\n");
}

TEST(RenderStagesJsonTest, AnImpossibleTimeIsAnError) {
  v1::ListStageHealthResponse response;
  response.mutable_observed_time()->set_seconds(std::int64_t{1} << 60);
  EXPECT_FALSE(RenderStagesJson(response).ok());
  EXPECT_FALSE(RenderStagesYaml(response).ok());
  v1::WatchStageHealthResponse event;
  event.mutable_observed_time()->set_seconds(std::int64_t{1} << 60);
  EXPECT_FALSE(WatchPrinter(OutputFormat::kYaml).Print(event).ok());
}

// All that a printer prints for these events, each print ended by "|".
std::string Printed(OutputFormat format, const std::vector<v1::WatchStageHealthResponse>& events) {
  WatchPrinter printer(format);
  std::string all;
  for (const v1::WatchStageHealthResponse& event : events) {
    const absl::StatusOr<std::string> text = printer.Print(event);
    EXPECT_TRUE(text.ok()) << text.status();
    all += text.value_or("") + "|";
  }
  return all;
}

TEST(WatchPrinterTest, ATableThenARowForEachEvent) {
  EXPECT_EQ(Printed(OutputFormat::kTable,
                    {Updated(Stage("shop", "test")), Updated(Stage("shop", "prod")),
                     Updated(Stage("shop", "gone")), Deleted("shop", "gone"),
                     Updated(Stage("shop", "test", v1::HEALTH_STATE_UNHEALTHY)), Synced(),
                     Updated(Stage("shop", "prod", v1::HEALTH_STATE_PROGRESSING)),
                     Deleted("shop", "test"), Synced(), Updated(Stage("shop", "test"))}),
            "|||||"
            "PROJECT  STAGE  STATE      PROMOTION  SINCE  ISSUES\n"
            "shop     prod   HEALTHY    -          -      -\n"
            "shop     test   UNHEALTHY  -          -      -\n"
            "|"
            "shop     prod   PROGRESSING  -          -      -\n"
            "|"
            "shop     test   (deleted)    -          -      -\n"
            "||"
            "shop     test   HEALTHY      -          -      -\n"
            "|");
}

TEST(WatchPrinterTest, TheHeaderComesWithTheFirstRow) {
  EXPECT_EQ(Printed(OutputFormat::kTable, {Synced(), Updated(Stage("shop", "prod"))}),
            "|"
            "PROJECT  STAGE  STATE    PROMOTION  SINCE  ISSUES\n"
            "shop     prod   HEALTHY  -          -      -\n"
            "|");
}

TEST(WatchPrinterTest, JsonIsALineForEachEvent) {
  v1::StageHealth health = Stage("shop", "prod");
  health.add_issues("two\nlines \x1b");
  const std::string text =
      Printed(OutputFormat::kJson, {Updated(health), Synced(kNoon), Deleted("shop", "prod")});
  EXPECT_EQ(text, R"({"updated":{"project":"shop","stage":"prod","state":"HEALTH_STATE_HEALTHY",)"
                  R"("issues":["two\nlines \u001b"]}})"
                  "\n|"
                  R"({"synced":{},"observedTime":"2026-03-01T12:00:00Z"})"
                  "\n|"
                  R"({"deleted":{"project":"shop","stage":"prod"}})"
                  "\n|");
}

TEST(WatchPrinterTest, YamlIsADocumentForEachEvent) {
  const std::string text = Printed(OutputFormat::kYaml, {Synced(), Deleted("shop", "prod")});
  EXPECT_EQ(text,
            "---\n"
            "synced: {}\n"
            "|"
            "---\n"
            "deleted:\n"
            "  project: shop\n"
            "  stage: prod\n"
            "|");
}

TEST(UnknownStageTest, NearNamesAreOffered) {
  EXPECT_EQ(RenderUnknownStage("shop", "prdo", {"shop/prod", "shop/test"}),
            "no Stage shop/prdo; did you mean shop/prod?\n");
  EXPECT_EQ(RenderUnknownStage("shop", "prod-1", {"shop/prod-2", "shop/prod-3"}),
            "no Stage shop/prod-1; did you mean shop/prod-2 or shop/prod-3?\n");
  EXPECT_EQ(RenderUnknownStage("shop", "prdo", {"shop/pr\x1bo"}),
            "no Stage shop/prdo; did you mean shop/pr\\x1bo?\n");
  EXPECT_EQ(RenderUnknownStage("shop", "\x1b", {}).rfind("no Stage shop/\\x1b; the service", 0),
            0u);
  EXPECT_EQ(RenderUnknownStage("shopp", "blue", {"shop/prod", "shop/test"}),
            "no Stage shopp/blue; did you mean project shop?\n");
}

TEST(UnknownStageTest, TheStagesOfItsProjectAreListedWhenTheyAreFew) {
  std::vector<std::string> all = {"other/x", "shop/test", "shopping/y"};
  EXPECT_EQ(RenderUnknownStage("shop", "production", all),
            "no Stage shop/production; project shop has test\n");
  for (int i = 0; i < 9; ++i) all.push_back("shop/s" + std::to_string(i));
  EXPECT_EQ(RenderUnknownStage("shop", "production", all),
            "no Stage shop/production; project shop has test, s0, s1, s2, s3, s4, s5, s6, s7, "
            "s8\n");
  all.push_back("shop/s9");
  EXPECT_EQ(RenderUnknownStage("shop", "production", all)
                .rfind("no Stage shop/production; the service knows a Stage once", 0),
            0u);
}

TEST(NotReachedTest, TellsTheLastState) {
  HealthFlags flags;
  flags.project = "shop";
  flags.stage = "prod";
  flags.wait_for = v1::HEALTH_STATE_UNHEALTHY;
  EXPECT_EQ(RenderNotReached(flags, v1::HEALTH_STATE_HEALTHY, absl::Seconds(1)),
            "shop/prod is HEALTHY, not UNHEALTHY, after 1s\n");
  EXPECT_EQ(RenderNotReached(flags, v1::HEALTH_STATE_UNSPECIFIED, absl::Seconds(1)),
            "shop/prod is in no state, not UNHEALTHY, after 1s\n");
  EXPECT_EQ(RenderNotReached(flags, std::nullopt, absl::Seconds(1)),
            "shop/prod is not known, and hence not UNHEALTHY, after 1s\n");
}

TEST(NoStagesTest, SaysWhatWasAskedFor) {
  HealthFlags flags;
  EXPECT_EQ(RenderNoStages(flags, {}), "the service knows no Stages yet\n");
  flags.project = "shop";
  EXPECT_EQ(RenderNoStages(flags, {"other/x"}), "the service knows no Stages of project shop\n");
  flags.project = "shopp";
  EXPECT_EQ(RenderNoStages(flags, {"other/x", "shop/prod", "shop/test"}),
            "the service knows no Stages of project shopp; did you mean shop?\n");
}

TEST(StaleTest, NamesTheTimeInUtc) {
  google::protobuf::Timestamp time;
  time.set_seconds(kNoon);
  EXPECT_EQ(RenderStale(time), "the evidence is stale: observed at 2026-03-01T12:00:00Z\n");
}

TEST(HealthFailureTest, SaysWhatHappenedAndExitsSo) {
  absl::Status slow = absl::DeadlineExceededError("Deadline Exceeded");
  client::MarkConnected(slow);
  const struct {
    const char* name;
    absl::Status error;
    bool told;
    std::string text;  // a part
    ExitCode code;
  } cases[] = {
      {"NeverAnswered", Refused(), false,
       "no Gantry service answers at here:1, tried for 12s: UNAVAILABLE: connection refused",
       kExitUnreachable},
      {"AnswersNoMore", Refused(), true,
       "the service at here:1 does not answer any more: UNAVAILABLE: connection refused",
       kExitUnreachable},
      {"CannotTell", KubernetesDown(), false,
       "the service at here:1 could not tell the health within 12s: UNAVAILABLE "
       "(KUBERNETES_UNREACHABLE)",
       kExitFailed},
      {"Slow", slow, false, "could not tell the health within 12s: DEADLINE_EXCEEDED", kExitFailed},
      {"Refuses", Error(grpc::StatusCode::PERMISSION_DENIED, "not yours"), false,
       "the service at here:1 refused the call: PERMISSION_DENIED: not yours", kExitFailed},
      {"AnotherService", Error(grpc::StatusCode::UNIMPLEMENTED, ""), false,
       "does not know this call", kExitFailed},
      {"Malformed",
       Error(grpc::StatusCode::INVALID_ARGUMENT, "no",
             {"INVALID_REQUEST", std::nullopt, {{"project", "not a DNS-1123 label"}}}),
       false, "  project: not a DNS-1123 label\n", kExitUsage},
  };
  for (const auto& test : cases) {
    const std::string text = RenderCallFailure(test.error, "here:1", absl::Milliseconds(12300),
                                               "tell the health", test.told);
    EXPECT_THAT(text, HasSubstr(test.text)) << test.name;
    EXPECT_EQ(text.back(), '\n') << test.name;
    EXPECT_EQ(ExitCodeForError(test.error), test.code) << test.name;
  }
  EXPECT_EQ(ExitCodeForError(absl::OkStatus()), kExitSucceeded);
}

}  // namespace
}  // namespace gantry::gantryctl
