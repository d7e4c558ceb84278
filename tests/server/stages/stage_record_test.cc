// SPDX-License-Identifier: Apache-2.0
#include "server/stages/stage_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/kubernetes/api/json_text.h"
#include "server/stages/enum_names.h"
#include "server/stages/stage_record_json.h"

namespace gantry::stages {
namespace {

using argocd::ApplicationName;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);
const ApplicationName kApp = {"argocd", "shop"};
const ApplicationName kOther = {"argocd", "bank"};

// A record with a step that answered `status`, of the current promotion.
StepRecord& AddStep(StageRecord& record, const std::string& name, v1::StepStatus status,
                    const std::string& message = "") {
  StepRecord& step = EnsureStep(record, name, "argocd-update", "hash");
  RecordAnswer(record, step, status, v1::STEP_REASON_UNSPECIFIED, message, kNow);
  return EnsureStep(record, name, "argocd-update", "hash");
}

HealthCheckRecord Check(const ApplicationName& application, std::vector<std::string> revisions) {
  HealthCheckRecord check;
  check.application = application;
  check.desired_revisions = std::move(revisions);
  return check;
}

StageRecord FullRecord() {
  StageRecord record;
  record.project = "shop";
  record.stage = "prod";
  MakeCurrent(record, "p1");
  MakeCurrent(record, "p2");
  StepRecord& step = EnsureStep(record, "update", "argocd-update", "hash");
  EnsureApplication(step, kApp) = {.name = kApp,
                                   .attempts = {.earlier = 1, .last = 3, .unmade = 1, .done = true},
                                   .desired_revisions = {"v2", ""}};
  HealthCheckRecord check = Check(kApp, {"v2", ""});
  check.resource_version = "17";
  check.finished_at = kNow;
  RegisterHealthCheck(record, check);
  RecordAnswer(record, step, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING, "waits",
               kNow + absl::Milliseconds(999));
  // With fractions of a second, which a record does not keep.
  const absl::Time odd = kNow + absl::Milliseconds(1);
  ReportIndicator(record, "canary", v1::HEALTH_STATE_UNHEALTHY, "5xx", absl::Minutes(1), odd);
  ReportIndicator(record, "load", v1::HEALTH_STATE_HEALTHY, "", std::nullopt, odd);
  StepRecord wait{.step = "wait",
                  .uses = "argocd-wait",
                  .config_hash = "hash",
                  .status = v1::STEP_STATUS_FAILED,
                  .reason = v1::STEP_REASON_HEALTH_REGRESSED,
                  .message = "Degraded",
                  .applications = {}};
  EnsureApplication(wait, kApp).attempts.done = true;
  RecordEndedWait(record, "p0", wait);
  return record;
}

absl::StatusOr<StageRecord> Read(const nlohmann::json& spec) {
  return ReadRecord(kubernetes::JsonText(spec.dump()).padded());
}

TEST(ReadRecordTest, ReadsWhatWasWritten) {
  const absl::StatusOr<StageRecord> read = Read(WriteRecord(FullRecord()));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, FullRecord());
}

TEST(ReadRecordTest, KeepsFieldsOfNewerVersions) {
  nlohmann::json spec = {{"newField", {1, 2}}, {"stage", "old"}};
  spec.merge_patch(WriteRecord(FullRecord()));
  EXPECT_EQ(spec["newField"], nlohmann::json({1, 2}));
  EXPECT_EQ(spec["stage"], "prod");
}

TEST(ReadRecordTest, AnEmptySpecIsAnEmptyRecord) {
  const absl::StatusOr<StageRecord> read = Read(nlohmann::json::object());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, StageRecord());
}

TEST(ReadRecordTest, AnIndicatorOfAnOlderVersionHasNoReportTime) {
  const auto read = Read({{"indicators", {{{"name", "canary"}, {"state", "Healthy"}}}}});
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->indicators[0].report_time, absl::UnixEpoch());
  const nlohmann::json spec = WriteRecord(*read);
  EXPECT_FALSE(spec["indicators"][0].contains("reportTime"));
}

TEST(ReadRecordTest, AReasonOfANewerVersionDoesNotMatter) {
  const auto read = Read({{"steps", {{{"name", "a"}, {"reason", "Invented"}}}}});
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->steps[0].reason, v1::STEP_REASON_UNSPECIFIED);
}

struct MalformedSpec {
  const char* name;
  nlohmann::json spec;
  const char* error;  // a part of it
};

class MalformedSpecTest : public ::testing::TestWithParam<MalformedSpec> {};

TEST_P(MalformedSpecTest, IsRefused) {
  const absl::StatusOr<StageRecord> read = Read(GetParam().spec);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(read.status().message()), HasSubstr(GetParam().error));
}

INSTANTIATE_TEST_SUITE_P(
    Specs, MalformedSpecTest,
    ::testing::Values(
        MalformedSpec{"NotAnObject", nlohmann::json::array(), "not an object"},
        MalformedSpec{"PromotionIsText", {{"promotion", "p"}}, "string"},
        MalformedSpec{"PromotionWithoutName", {{"promotion", {{"phase", "Running"}}}}, "name"},
        MalformedSpec{
            "UnknownPhase", {{"promotion", {{"name", "p"}, {"phase", "Odd"}}}}, "\"Odd\""},
        MalformedSpec{
            "TimeIsNoTime", {{"promotion", {{"name", "p"}, {"updateTime", "noon"}}}}, "\"noon\""},
        MalformedSpec{"ReportTimeIsNoTime",
                      {{"indicators", {{{"name", "i"}, {"reportTime", "noon"}}}}},
                      "reportTime is \"noon\""},
        MalformedSpec{"StepsAreAnObject", {{"steps", {{"a", 1}}}}, "steps is not an array"},
        MalformedSpec{"StepIsANumber", {{"steps", {1}}}, "number"},
        MalformedSpec{
            "AttemptIsText",
            {{"steps",
              {{{"name", "s"},
                {"applications", {{{"namespace", "n"}, {"name", "a"}, {"attempt", "one"}}}}}}}},
            "string"},
        MalformedSpec{
            "RevisionsAreNumbers",
            {{"healthChecks", {{{"namespace", "n"}, {"name", "a"}, {"desiredRevisions", {1}}}}}},
            "number"}),
    [](const auto& test) { return test.param.name; });

TEST(PromotionTest, TheNewerOneSupersedesTheOlder) {
  StageRecord record;
  EXPECT_FALSE(IsSuperseded(record, "p1"));
  MakeCurrent(record, "p1");
  EXPECT_FALSE(IsSuperseded(record, "p1"));
  EXPECT_FALSE(IsSuperseded(record, "p2"));
  AddStep(record, "update", v1::STEP_STATUS_RUNNING);
  MakeCurrent(record, "p2");
  EXPECT_TRUE(IsSuperseded(record, "p1"));
  EXPECT_FALSE(IsSuperseded(record, "p2"));
  EXPECT_THAT(record.steps, IsEmpty());
  EXPECT_EQ(record.promotion.phase, v1::PROMOTION_PHASE_RUNNING);
}

TEST(PromotionTest, MakingTheCurrentOneCurrentChangesNothing) {
  StageRecord record = FullRecord();
  MakeCurrent(record, "p2");
  EXPECT_EQ(record, FullRecord());
}

TEST(PromotionTest, TheLastSixtyFourSupersededOnesAreRemembered) {
  StageRecord record;
  for (int i = 0; i <= 65; ++i) MakeCurrent(record, "p" + std::to_string(i));
  EXPECT_THAT(record.superseded_promotions, SizeIs(kMaxSupersededPromotions));
  EXPECT_FALSE(IsSuperseded(record, "p0"));
  EXPECT_TRUE(IsSuperseded(record, "p1"));
  EXPECT_TRUE(IsSuperseded(record, "p64"));
}

TEST(HashTest, IsTheSameOnEveryMachine) {
  EXPECT_EQ(HashOf(""), "e3b0c44298fc1c149afbf4c8996fb924");
  EXPECT_NE(HashOf("p1"), HashOf("p2"));
}

struct PhaseCase {
  const char* name;
  std::vector<v1::StepStatus> steps;
  bool reported;
  v1::PromotionPhase phase;
};

class PhaseTest : public ::testing::TestWithParam<PhaseCase> {};

TEST_P(PhaseTest, FollowsFromTheLatestAnswersOfTheSteps) {
  StageRecord record;
  MakeCurrent(record, "p1");
  record.promotion.reported = GetParam().reported;
  int i = 0;
  for (const v1::StepStatus status : GetParam().steps) {
    AddStep(record, "step" + std::to_string(i++), status);
  }
  EXPECT_EQ(record.promotion.phase, GetParam().phase);
  EXPECT_EQ(record.promotion.update_time, kNow);
}

constexpr auto kRunning = v1::STEP_STATUS_RUNNING;
constexpr auto kFailed = v1::STEP_STATUS_FAILED;
constexpr auto kSucceeded = v1::STEP_STATUS_SUCCEEDED;

INSTANTIATE_TEST_SUITE_P(
    Steps, PhaseTest,
    ::testing::Values(
        PhaseCase{"Running", {kRunning}, false, v1::PROMOTION_PHASE_RUNNING},
        PhaseCase{"Succeeded", {kSucceeded}, false, v1::PROMOTION_PHASE_SUCCEEDED},
        PhaseCase{"Failed", {kFailed}, false, v1::PROMOTION_PHASE_FAILED},
        PhaseCase{
            "RunningBeforeSucceeded", {kSucceeded, kRunning}, false, v1::PROMOTION_PHASE_RUNNING},
        PhaseCase{"RunningBeforeFailed", {kFailed, kRunning}, false, v1::PROMOTION_PHASE_RUNNING},
        PhaseCase{
            "FailedBeforeSucceeded", {kFailed, kSucceeded}, false, v1::PROMOTION_PHASE_FAILED},
        PhaseCase{"OnlyTheReportMaySaySucceeded", {kSucceeded}, true, v1::PROMOTION_PHASE_RUNNING},
        PhaseCase{"FailedOverridesAReport", {kFailed}, true, v1::PROMOTION_PHASE_FAILED}),
    [](const auto& test) { return test.param.name; });

TEST(PhaseMessageTest, IsThatOfTheFailedStep) {
  StageRecord record;
  MakeCurrent(record, "p1");
  AddStep(record, "a", kFailed, "one hook failed");
  AddStep(record, "b", kSucceeded, "fine");
  EXPECT_EQ(record.promotion.message, "one hook failed");
}

TEST(PhaseMessageTest, OfAReportStaysWhenTheStepsSucceed) {
  StageRecord record;
  ASSERT_TRUE(ReportPromotion(record, "p1", v1::PROMOTION_PHASE_ERRORED, "no git", kNow));
  AddStep(record, "a", kSucceeded, "fine");
  EXPECT_EQ(record.promotion.phase, v1::PROMOTION_PHASE_ERRORED);
  EXPECT_EQ(record.promotion.message, "no git");
}

constexpr auto kPhaseUnspecified = v1::PROMOTION_PHASE_UNSPECIFIED;
constexpr auto kPhaseRunning = v1::PROMOTION_PHASE_RUNNING;
constexpr auto kPhaseSucceeded = v1::PROMOTION_PHASE_SUCCEEDED;
constexpr auto kPhaseFailed = v1::PROMOTION_PHASE_FAILED;
constexpr auto kPhaseErrored = v1::PROMOTION_PHASE_ERRORED;
constexpr auto kPhaseAborted = v1::PROMOTION_PHASE_ABORTED;

struct ReportCase {
  const char* name;
  v1::PromotionPhase before;  // of p2, the current promotion after p1; unspecified: there is none
  const char* promotion;
  v1::PromotionPhase phase;
  bool heard;
};

class ReportPromotionTest : public ::testing::TestWithParam<ReportCase> {};

TEST_P(ReportPromotionTest, FollowsTheTable) {
  StageRecord record;
  if (GetParam().before != kPhaseUnspecified) {
    MakeCurrent(record, "p1");
    MakeCurrent(record, "p2");
    record.promotion.phase = GetParam().before;
    EnsureStep(record, "update", "argocd-update", "hash");
  }
  const StageRecord before = record;
  EXPECT_EQ(ReportPromotion(record, GetParam().promotion, GetParam().phase, "because",
                            kNow + absl::Milliseconds(999)),
            GetParam().heard);
  if (!GetParam().heard) {
    EXPECT_EQ(record, before);
    return;
  }
  const PromotionRecord expected = {.name = GetParam().promotion,
                                    .phase = GetParam().phase,
                                    .message = "because",
                                    .update_time = kNow,
                                    .reported = true};
  EXPECT_EQ(record.promotion, expected);
  const bool same = before.promotion.name == GetParam().promotion;
  EXPECT_EQ(record.steps, same ? before.steps : std::vector<StepRecord>());
  EXPECT_EQ(IsSuperseded(record, "p2"), !same && !before.promotion.name.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Reports, ReportPromotionTest,
    ::testing::Values(
        ReportCase{"RunningOfTheFirst", kPhaseUnspecified, "p3", kPhaseRunning, true},
        ReportCase{"SucceededOfTheFirst", kPhaseUnspecified, "p3", kPhaseSucceeded, true},
        ReportCase{"AbortedOfTheFirst", kPhaseUnspecified, "p3", kPhaseAborted, true},
        ReportCase{"RunningOfANewOneWhileRunning", kPhaseRunning, "p3", kPhaseRunning, true},
        ReportCase{"SucceededOfANewOneWhileRunning", kPhaseRunning, "p3", kPhaseSucceeded, false},
        ReportCase{"FailedOfANewOneWhileRunning", kPhaseRunning, "p3", kPhaseFailed, false},
        ReportCase{"ErroredOfANewOneWhileRunning", kPhaseRunning, "p3", kPhaseErrored, false},
        ReportCase{"AbortedOfANewOneWhileRunning", kPhaseRunning, "p3", kPhaseAborted, false},
        ReportCase{"SucceededOfANewOneAfterSuccess", kPhaseSucceeded, "p3", kPhaseSucceeded, true},
        ReportCase{"FailedOfANewOneAfterFailure", kPhaseFailed, "p3", kPhaseFailed, true},
        ReportCase{"ErroredOfANewOneAfterAnError", kPhaseErrored, "p3", kPhaseErrored, true},
        ReportCase{"AbortedOfANewOneAfterAnAbort", kPhaseAborted, "p3", kPhaseAborted, true},
        ReportCase{"RunningOfTheCurrentAgain", kPhaseRunning, "p2", kPhaseRunning, true},
        ReportCase{"RunningOfTheCurrentThatEnded", kPhaseFailed, "p2", kPhaseRunning, true},
        ReportCase{"SucceededOfTheCurrent", kPhaseRunning, "p2", kPhaseSucceeded, true},
        ReportCase{"FailedOfTheCurrent", kPhaseRunning, "p2", kPhaseFailed, true},
        ReportCase{"ErroredOfTheCurrent", kPhaseRunning, "p2", kPhaseErrored, true},
        ReportCase{"AbortedOfTheCurrent", kPhaseRunning, "p2", kPhaseAborted, true},
        ReportCase{"RunningOfASupersededOne", kPhaseRunning, "p1", kPhaseRunning, false},
        ReportCase{"RunningOfASupersededOneAfterSuccess", kPhaseSucceeded, "p1", kPhaseRunning,
                   false},
        ReportCase{"FailedOfASupersededOneAfterSuccess", kPhaseSucceeded, "p1", kPhaseFailed,
                   false}),
    [](const auto& test) { return test.param.name; });

TEST(ReportPromotionTest, TheSameReportAgainMovesTheTime) {
  StageRecord record;
  ASSERT_TRUE(ReportPromotion(record, "p1", kPhaseRunning, "tests", kNow));
  StageRecord expected = record;
  expected.promotion.update_time = kNow + absl::Minutes(1);
  ASSERT_TRUE(ReportPromotion(record, "p1", kPhaseRunning, "tests", kNow + absl::Minutes(1)));
  EXPECT_EQ(record, expected);
}

TEST(ReportPromotionTest, CutsTheMessage) {
  StageRecord record;
  ASSERT_TRUE(ReportPromotion(record, "p1", kPhaseFailed, std::string(2000, 'x'), kNow));
  EXPECT_THAT(record.promotion.message, SizeIs(kMaxMessageBytes));
}

TEST(ReportPromotionTest, OnlyAnotherReportCanSaySucceededAfterIt) {
  StageRecord record;
  ASSERT_TRUE(ReportPromotion(record, "p1", kPhaseRunning, "", kNow));
  AddStep(record, "a", kSucceeded);
  EXPECT_EQ(record.promotion.phase, kPhaseRunning);
  ASSERT_TRUE(ReportPromotion(record, "p1", kPhaseSucceeded, "", kNow));
  EXPECT_EQ(record.promotion.phase, kPhaseSucceeded);
  AddStep(record, "b", kRunning);
  EXPECT_EQ(record.promotion.phase, kPhaseRunning);
  AddStep(record, "b", kSucceeded);
  EXPECT_EQ(record.promotion.phase, kPhaseRunning);
}

TEST(ReportPromotionTest, WhatWentWrongAsAWholeStaysSoWhateverStepsAnswer) {
  StageRecord record;
  ASSERT_TRUE(ReportPromotion(record, "p1", kPhaseRunning, "", kNow));
  AddStep(record, "a", kRunning);
  ASSERT_TRUE(ReportPromotion(record, "p1", kPhaseFailed, "stopped by bob", kNow));
  AddStep(record, "b", kRunning);
  AddStep(record, "b", kSucceeded);
  EXPECT_EQ(record.promotion.phase, kPhaseFailed);
  EXPECT_EQ(record.promotion.message, "stopped by bob");
  // What has succeeded as a whole is not under way again because of an abandoned step.
  ASSERT_TRUE(ReportPromotion(record, "p1", kPhaseSucceeded, "", kNow));
  AddStep(record, "c", kSucceeded);
  EXPECT_EQ(record.promotion.phase, kPhaseSucceeded);
}

TEST(ReadRecordTest, BringsOrderIntoWhatOthersWrote) {
  const auto record = Read(nlohmann::json::parse(R"({
      "promotion": {"name": "", "phase": "Running"},
      "healthChecks": [{"namespace": "argocd", "name": "b"},
                       {"namespace": "argocd", "name": "a", "promotion": "p1"},
                       {"namespace": "argocd", "name": "a", "promotion": "p2"}],
      "indicators": [{"name": "y"}, {"name": "x"}, {"name": "y", "message": "the last"}],
      "steps": [{"name": "s", "applications": [
          {"namespace": "argocd", "name": "b", "attempt": 4294967296},
          {"namespace": "argocd", "name": "a", "attempt": -1}]}]})"));
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_EQ(record->promotion, PromotionRecord());
  ASSERT_THAT(record->health_checks, SizeIs(2));
  EXPECT_EQ(record->health_checks[0].application.name, "a");
  EXPECT_EQ(record->health_checks[0].promotion, "p2");
  ASSERT_THAT(record->indicators, SizeIs(2));
  EXPECT_EQ(record->indicators[1].message, "the last");
  const auto& applications = record->steps[0].applications;
  EXPECT_EQ(applications[0].attempts.last, 0);
  EXPECT_EQ(applications[1].attempts.last, 1'000'000);
}

TEST(ReportIndicatorTest, KeepsThemInOrderAndReplacesThemWhole) {
  StageRecord record;
  ReportIndicator(record, "load", v1::HEALTH_STATE_HEALTHY, "", std::nullopt, kNow);
  ReportIndicator(record, "canary", v1::HEALTH_STATE_UNHEALTHY, "5xx", absl::Minutes(1), kNow);
  ReportIndicator(record, "smoke", v1::HEALTH_STATE_UNKNOWN, "", absl::Minutes(1), kNow);
  ReportIndicator(record, "canary", v1::HEALTH_STATE_HEALTHY, "", std::nullopt,
                  kNow + absl::Seconds(5));
  const IndicatorRecord canary = {.name = "canary",
                                  .state = v1::HEALTH_STATE_HEALTHY,
                                  .message = "",
                                  .report_time = kNow + absl::Seconds(5),
                                  .expire_time = std::nullopt};
  ASSERT_THAT(record.indicators, SizeIs(3));
  EXPECT_EQ(record.indicators[0], canary);
  EXPECT_EQ(record.indicators[1].name, "load");
  EXPECT_EQ(record.indicators[2].name, "smoke");
}

TEST(ReportIndicatorTest, CutsTheMessage) {
  StageRecord record;
  ReportIndicator(record, "load", v1::HEALTH_STATE_UNHEALTHY, std::string(2000, 'x'), std::nullopt,
                  kNow);
  EXPECT_THAT(record.indicators[0].message, SizeIs(kMaxMessageBytes));
}

TEST(ReportIndicatorTest, NeverExpiresBeforeItsTtl) {
  const absl::Time end_of_time =
      absl::FromCivil(absl::CivilSecond(9999, 12, 31, 23, 59, 59), absl::UTCTimeZone());
  struct {
    const char* name;
    absl::Duration since;  // kNow, when it is reported
    absl::Duration ttl;
    absl::Time expire_time;
  } const cases[] = {
      {"whole seconds", absl::ZeroDuration(), absl::Seconds(30), kNow + absl::Seconds(30)},
      {"reported within a second", absl::Milliseconds(1), absl::Seconds(30),
       kNow + absl::Seconds(31)},
      {"a fraction", absl::ZeroDuration(), absl::Milliseconds(1500), kNow + absl::Seconds(2)},
      {"fractions that add up", absl::Milliseconds(500), absl::Milliseconds(1500),
       kNow + absl::Seconds(2)},
      {"nothing", absl::ZeroDuration(), absl::ZeroDuration(), kNow},
      {"less than nothing", absl::ZeroDuration(), absl::Hours(-1), kNow},
      {"ten thousand years", absl::ZeroDuration(), absl::Seconds(315'576'000'000), end_of_time},
      {"for ever", absl::ZeroDuration(), absl::InfiniteDuration(), end_of_time},
  };
  for (const auto& c : cases) {
    StageRecord record;
    ReportIndicator(record, "load", v1::HEALTH_STATE_HEALTHY, "", c.ttl, kNow + c.since);
    EXPECT_EQ(record.indicators[0].expire_time, c.expire_time) << c.name;
    EXPECT_EQ(record.indicators[0].report_time, kNow) << c.name;
    const absl::StatusOr<StageRecord> read = Read(WriteRecord(record));
    ASSERT_TRUE(read.ok()) << c.name << read.status();
    EXPECT_EQ(*read, record) << c.name;
  }
}

TEST(RemoveIndicatorTest, TellsWhetherThereWasOne) {
  StageRecord record;
  EXPECT_FALSE(RemoveIndicator(record, "load"));
  ReportIndicator(record, "canary", v1::HEALTH_STATE_HEALTHY, "", std::nullopt, kNow);
  ReportIndicator(record, "load", v1::HEALTH_STATE_HEALTHY, "", std::nullopt, kNow);
  EXPECT_FALSE(RemoveIndicator(record, "d"));
  EXPECT_TRUE(RemoveIndicator(record, "canary"));
  EXPECT_FALSE(RemoveIndicator(record, "canary"));
  ASSERT_THAT(record.indicators, SizeIs(1));
  EXPECT_EQ(record.indicators[0].name, "load");
}

TEST(StepTest, OfAnotherPromotionIsNotFound) {
  StageRecord record;
  MakeCurrent(record, "p1");
  AddStep(record, "update", kSucceeded);
  EXPECT_NE(FindStep(record, "p1", "update"), nullptr);
  EXPECT_EQ(FindStep(record, "p1", "other"), nullptr);
  EXPECT_EQ(FindStep(record, "p2", "update"), nullptr);
}

TEST(StepTest, AnotherConfigurationStartsAnewBehindTheAttemptsMade) {
  StageRecord record;
  MakeCurrent(record, "p1");
  StepRecord& step = AddStep(record, "update", kSucceeded, "done");
  EnsureApplication(step, kApp).attempts = {.last = 2, .done = true};
  const StepRecord& changed = EnsureStep(record, "update", "argocd-update", "another hash");
  EXPECT_EQ(changed.status, v1::STEP_STATUS_UNSPECIFIED);
  EXPECT_EQ(changed.message, "");
  EXPECT_EQ(changed.applications[0].attempts.earlier, 2);
  EXPECT_EQ(changed.applications[0].attempts.made(), 0);
  EXPECT_FALSE(changed.applications[0].attempts.done);
}

TEST(AttemptsTest, AStepStartsCountingAfterTheOthersOfItsPromotion) {
  StageRecord record;
  MakeCurrent(record, "p1");
  EnsureApplication(EnsureStep(record, "a", "argocd-update", "h"), kApp).attempts = {.last = 2,
                                                                                     .done = true};
  EnsureApplication(EnsureStep(record, "b", "argocd-update", "h"), kApp).attempts = {.earlier = 2,
                                                                                     .last = 3};

  struct {
    const char* promotion;
    const char* step;
    const char* config_hash;
    ApplicationName name;
    AttemptRecord expected;
  } const cases[] = {
      {"p1", "a", "h", kApp, {.last = 2, .done = true, .others = 3}},
      {"p1", "b", "h", kApp, {.earlier = 2, .last = 3, .others = 2}},
      // Nothing on record: behind everything made before.
      {"p1", "c", "h", kApp, {.earlier = 3, .last = 3, .others = 3}},
      {"p1", "c", "h", kOther, {}},
      // Another configuration: what was made for the old one is not its own.
      {"p1", "b", "new", kApp, {.earlier = 3, .last = 3, .others = 2}},
      {"p1", "a", "new", kApp, {.earlier = 3, .last = 3, .others = 3}},
      {"p2", "a", "h", kApp, {}},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(AttemptsOf(record, c.promotion, c.step, c.config_hash, c.name), c.expected)
        << c.promotion << " " << c.step << " " << c.config_hash << " " << ToString(c.name);
  }
}

TEST(AttemptsTest, AStepWhoseOnlyAttemptWasGivenBackStartsBehindTheOthersToo) {
  StageRecord record;
  MakeCurrent(record, "p1");
  EnsureApplication(EnsureStep(record, "a", "argocd-update", "h"), kApp).attempts = {.last = 0};
  EnsureApplication(EnsureStep(record, "b", "argocd-update", "h"), kApp).attempts = {.last = 1};
  EXPECT_EQ(AttemptsOf(record, "p1", "a", "h", kApp).earlier, 1);
}

TEST(ApplicationTest, AreKeptInOrder) {
  StepRecord step;
  EnsureApplication(step, {"b", "x"});
  EnsureApplication(step, {"a", "y"});
  EnsureApplication(step, {"a", "x"});
  EnsureApplication(step, {"a", "y"});
  std::vector<std::string> names;
  for (const auto& application : step.applications) names.push_back(ToString(application.name));
  EXPECT_THAT(names, ElementsAre("a/x", "a/y", "b/x"));
}

std::vector<std::string> Checks(const StageRecord& record) {
  std::vector<std::string> checks;
  for (const HealthCheckRecord& check : record.health_checks) {
    std::string text = check.application.name + " by " + check.promotion + ":";
    for (const std::string& revision : check.desired_revisions) text += " " + revision + ";";
    checks.push_back(text);
  }
  return checks;
}

TEST(HealthCheckTest, ReplacesTheEntryOfTheSameApplication) {
  StageRecord record;
  MakeCurrent(record, "p1");
  RegisterHealthCheck(record, Check(kApp, {"v1"}));
  RegisterHealthCheck(record, Check(kOther, {"w1"}));
  MakeCurrent(record, "p2");
  RegisterHealthCheck(record, Check(kApp, {""}));
  EXPECT_THAT(Checks(record), ElementsAre("bank by p1: w1;", "shop by p2: ;"));
}

TEST(HealthCheckTest, WithinOnePromotionTheLaterNonEmptyRevisionWinsPerSource) {
  StageRecord record;
  MakeCurrent(record, "p1");
  RegisterHealthCheck(record, Check(kApp, {"v1", "", "x1"}));
  RegisterHealthCheck(record, Check(kApp, {"", "w1", "x2"}));
  EXPECT_THAT(Checks(record), ElementsAre("shop by p1: v1; w1; x2;"));
}

TEST(HealthCheckTest, ADifferentNumberOfSourcesReplacesTheEntry) {
  StageRecord record;
  MakeCurrent(record, "p1");
  RegisterHealthCheck(record, Check(kApp, {"v1", "w1"}));
  RegisterHealthCheck(record, Check(kApp, {""}));
  EXPECT_THAT(Checks(record), ElementsAre("shop by p1: ;"));
}

TEST(HealthCheckTest, APromotionThatSucceededAsAWholeDropsThoseOfOlderOnes) {
  StageRecord record;
  MakeCurrent(record, "p1");
  RegisterHealthCheck(record, Check(kOther, {"w1"}));
  MakeCurrent(record, "p2");
  RegisterHealthCheck(record, Check(kApp, {"v2"}));
  AddStep(record, "a", kRunning);
  EXPECT_THAT(Checks(record), SizeIs(2));
  AddStep(record, "a", kSucceeded);
  EXPECT_THAT(Checks(record), ElementsAre("shop by p2: v2;"));
}

TEST(HealthCheckTest, AReportOfSuccessDropsThoseOfOlderPromotions) {
  struct {
    v1::PromotionPhase phase;
    bool drops;
  } const cases[] = {{kPhaseRunning, false},
                     {kPhaseFailed, false},
                     {kPhaseErrored, false},
                     {kPhaseAborted, false},
                     {kPhaseSucceeded, true}};
  for (const auto& c : cases) {
    StageRecord record;
    MakeCurrent(record, "p1");
    RegisterHealthCheck(record, Check(kOther, {"w1"}));
    MakeCurrent(record, "p2");
    RegisterHealthCheck(record, Check(kApp, {"v2"}));
    ASSERT_TRUE(ReportPromotion(record, "p2", c.phase, "", kNow));
    EXPECT_THAT(record.health_checks, SizeIs(c.drops ? 1 : 2)) << ToWord(c.phase);
    EXPECT_EQ(record.health_checks.back().promotion, "p2") << ToWord(c.phase);
  }
}

TEST(HealthCheckTest, ThoseRegisteredAfterTheReportOfSuccessDropOlderOnesToo) {
  StageRecord record;
  MakeCurrent(record, "p1");
  RegisterHealthCheck(record, Check(kOther, {"w1"}));
  MakeCurrent(record, "p2");
  ASSERT_TRUE(ReportPromotion(record, "p2", kPhaseSucceeded, "", kNow));
  EXPECT_THAT(Checks(record), ElementsAre("bank by p1: w1;"));
  RegisterHealthCheck(record, Check(kApp, {"v2"}));
  AddStep(record, "a", kSucceeded);
  EXPECT_THAT(Checks(record), ElementsAre("shop by p2: v2;"));
}

TEST(HealthCheckTest, AReportedPromotionDropsNoneBeforeItIsReportedSucceeded) {
  StageRecord record;
  MakeCurrent(record, "p1");
  RegisterHealthCheck(record, Check(kOther, {"w1"}));
  ASSERT_TRUE(ReportPromotion(record, "p2", kPhaseRunning, "", kNow));
  RegisterHealthCheck(record, Check(kApp, {"v2"}));
  AddStep(record, "a", kSucceeded);
  EXPECT_THAT(record.health_checks, SizeIs(2));
}

TEST(HealthCheckTest, APromotionThatRegisteredNoneDropsNone) {
  StageRecord record;
  MakeCurrent(record, "p1");
  RegisterHealthCheck(record, Check(kOther, {"w1"}));
  MakeCurrent(record, "p2");
  AddStep(record, "a", kSucceeded);
  EXPECT_THAT(Checks(record), ElementsAre("bank by p1: w1;"));
}

TEST(CutMessageTest, CutsBetweenCharacters) {
  EXPECT_EQ(CutMessage("short"), "short");
  EXPECT_EQ(CutMessage(std::string(2000, 'x')), std::string(kMaxMessageBytes, 'x'));
  const std::string snowman = "\xE2\x98\x83";
  std::string long_text = "x";
  while (long_text.size() < 2000) long_text += snowman;
  // 1 + 341 * 3 = 1024, so one byte less would leave half a snowman.
  EXPECT_EQ(CutMessage(long_text).size(), 1024U);
  EXPECT_EQ(CutMessage(long_text.substr(1)).size(), 1023U);
}

TEST(EnumNamesTest, AreSpelledAsKubernetesSpellsThem) {
  EXPECT_EQ(ToWord(v1::STEP_REASON_OTHER_OPERATION_RUNNING), "OtherOperationRunning");
  EXPECT_EQ(ToWord(v1::PROMOTION_PHASE_ABORTED), "Aborted");
  EXPECT_EQ(ToWord(v1::HEALTH_STATE_NOT_APPLICABLE), "NotApplicable");
  EXPECT_EQ(ToWord(v1::STEP_STATUS_UNSPECIFIED), "");
  for (int i = 1; i <= v1::StepReason_MAX; ++i) {
    const auto reason = static_cast<v1::StepReason>(i);
    EXPECT_EQ(StepReasonFromWord(ToWord(reason)), reason);
  }
  EXPECT_EQ(StepStatusFromWord("running"), std::nullopt);
}

StepRecord EndedWait(const std::string& name, int applications = 1) {
  StepRecord wait{.step = name,
                  .uses = "argocd-wait",
                  .config_hash = "hash",
                  .status = v1::STEP_STATUS_SUCCEEDED,
                  .reason = v1::STEP_REASON_UNSPECIFIED,
                  .message = "",
                  .applications = {}};
  for (int i = 0; i < applications; ++i) {
    EnsureApplication(wait, {"argocd", "app" + std::to_string(i)});
  }
  return wait;
}

TEST(EndedWaitTest, IsFoundByPromotionAndStepAndReplacedByItsLike) {
  StageRecord record;
  RecordEndedWait(record, "p1", EndedWait("wait"));
  EXPECT_NE(FindEndedWait(record, "p1", "wait"), nullptr);
  EXPECT_EQ(FindEndedWait(record, "p2", "wait"), nullptr);
  EXPECT_EQ(FindEndedWait(record, "p1", "other"), nullptr);
  RecordEndedWait(record, "p1", EndedWait("wait", 2));
  EXPECT_THAT(record.ended_waits, ::testing::SizeIs(1));
  EXPECT_THAT(FindEndedWait(record, "p1", "wait")->applications, ::testing::SizeIs(2));
}

TEST(EndedWaitTest, TheOldestGo) {
  StageRecord record;
  for (std::size_t i = 0; i <= kMaxEndedWaits; ++i) {
    RecordEndedWait(record, "p" + std::to_string(i), EndedWait("wait"));
  }
  EXPECT_THAT(record.ended_waits, ::testing::SizeIs(kMaxEndedWaits));
  EXPECT_EQ(FindEndedWait(record, "p0", "wait"), nullptr);
  EXPECT_NE(FindEndedWait(record, "p1", "wait"), nullptr);
  const std::string last = "p" + std::to_string(kMaxEndedWaits);
  RecordEndedWait(record, "large", EndedWait("wait", kMaxEndedWaitApplications - 1));
  EXPECT_THAT(record.ended_waits, ::testing::SizeIs(2));
  EXPECT_NE(FindEndedWait(record, last, "wait"), nullptr);
  RecordEndedWait(record, "larger", EndedWait("wait", kMaxEndedWaitApplications + 1));
  EXPECT_THAT(record.ended_waits, ::testing::SizeIs(1));
  EXPECT_NE(FindEndedWait(record, "larger", "wait"), nullptr);
}

TEST(EndedWaitTest, BecomesAStepOfItsPromotionWhenThatBecomesCurrent) {
  StageRecord record;
  MakeCurrent(record, "p1");
  RecordEndedWait(record, "p2", EndedWait("wait"));
  MakeCurrent(record, "p2");
  EXPECT_TRUE(record.ended_waits.empty());
  ASSERT_NE(FindStep(record, "p2", "wait"), nullptr);
  EXPECT_EQ(*FindStep(record, "p2", "wait"), EndedWait("wait"));
  // And is kept when it no longer is, unlike steps that may not go on.
  AddStep(record, "update", v1::STEP_STATUS_SUCCEEDED);
  MakeCurrent(record, "p3");
  EXPECT_NE(FindEndedWait(record, "p2", "wait"), nullptr);
  EXPECT_EQ(FindEndedWait(record, "p2", "update"), nullptr);
}

TEST(ReportIndicatorTest, SaidAgainItIsReportedSinceTheFirstTime) {
  StageRecord record;
  const auto report = [&](v1::HealthState state, absl::Time now) {
    EXPECT_TRUE(ReportIndicator(record, "canary", state, "", absl::Minutes(1), now));
    return record.indicators[0].report_time;
  };
  EXPECT_EQ(report(v1::HEALTH_STATE_UNHEALTHY, kNow), kNow);
  EXPECT_EQ(report(v1::HEALTH_STATE_UNHEALTHY, kNow + absl::Seconds(59)), kNow);
  EXPECT_EQ(record.indicators[0].expire_time, kNow + absl::Seconds(119));
  EXPECT_EQ(report(v1::HEALTH_STATE_HEALTHY, kNow + absl::Seconds(60)), kNow + absl::Seconds(60));
  // It had expired.
  EXPECT_EQ(report(v1::HEALTH_STATE_HEALTHY, kNow + absl::Seconds(120)), kNow + absl::Seconds(120));
}

TEST(ReportIndicatorTest, AStageHasABoundedNumber) {
  StageRecord record;
  const auto report = [&](std::size_t i) {
    return ReportIndicator(record, "i" + std::to_string(i), v1::HEALTH_STATE_HEALTHY, "",
                           std::nullopt, kNow);
  };
  for (std::size_t i = 0; i < kMaxIndicators; ++i) ASSERT_TRUE(report(i));
  EXPECT_FALSE(report(kMaxIndicators));
  EXPECT_TRUE(report(0));
  EXPECT_TRUE(RemoveIndicator(record, "i1"));
  EXPECT_TRUE(report(kMaxIndicators));
  EXPECT_THAT(record.indicators, ::testing::SizeIs(kMaxIndicators));
}

}  // namespace
}  // namespace gantry::stages
