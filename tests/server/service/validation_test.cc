// SPDX-License-Identifier: Apache-2.0
#include "server/service/validation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <ostream>
#include <string>

namespace gantry::service {
namespace {

using base::ErrorInfo;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const std::vector<std::string_view> kKinds = {"argocd-update", "argocd-wait"};

v1::RunStepRequest GoodRequest() {
  v1::RunStepRequest request;
  request.set_project("team-a");
  request.set_stage("prod");
  request.set_promotion("p1");
  request.set_uses("argocd-update");
  return request;
}

struct ValidationCase {
  std::string name;
  std::function<void(v1::RunStepRequest&)> change;
  std::string field;        // empty: nothing is wrong
  std::string description;  // part of it
};

void PrintTo(const ValidationCase& c, std::ostream* out) { *out << c.name; }

void SetWait(v1::RunStepRequest& request, std::int64_t seconds, std::int32_t nanos) {
  request.mutable_wait()->set_seconds(seconds);
  request.mutable_wait()->set_nanos(nanos);
}

google::protobuf::Value Number(double number) {
  google::protobuf::Value value;
  value.set_number_value(number);
  return value;
}

class ValidateRunStepTest : public ::testing::TestWithParam<ValidationCase> {};

TEST_P(ValidateRunStepTest, Says) {
  const ValidationCase& c = GetParam();
  v1::RunStepRequest request = GoodRequest();
  c.change(request);
  const auto violations = ValidateRunStep(request, kKinds, absl::Minutes(10));
  if (c.field.empty()) {
    EXPECT_THAT(violations, IsEmpty());
    return;
  }
  ASSERT_THAT(violations, SizeIs(1));
  EXPECT_EQ(violations[0].field, c.field);
  EXPECT_THAT(violations[0].description, HasSubstr(c.description));
}

using R = v1::RunStepRequest&;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

INSTANTIATE_TEST_SUITE_P(
    Names, ValidateRunStepTest,
    ::testing::Values(
        ValidationCase{"Good", [](R) {}, "", ""},
        ValidationCase{"NoProject", [](R r) { r.clear_project(); }, "project",
                       "is required; expected a DNS"},
        ValidationCase{"ProjectUpperCase", [](R r) { r.set_project("Team"); }, "project",
                       "found \"Team\""},
        ValidationCase{"ProjectWithDot", [](R r) { r.set_project("a.b"); }, "project",
                       "found \"a.b\""},
        ValidationCase{"ProjectOf63", [](R r) { r.set_project(std::string(63, 'a')); }, "", ""},
        ValidationCase{"ProjectOf64", [](R r) { r.set_project(std::string(64, 'a')); }, "project",
                       "1 to 63 lower-case letters"},
        ValidationCase{"LongValueIsCut", [](R r) { r.set_project(std::string(1000, 'A')); },
                       "project", "AAA…\""},
        ValidationCase{"NoStage", [](R r) { r.clear_stage(); }, "stage",
                       "is required; expected a DNS"},
        ValidationCase{"StageWithDots", [](R r) { r.set_stage("prod.eu.1"); }, "", ""},
        ValidationCase{"StageWithEmptyPart", [](R r) { r.set_stage("prod..eu"); }, "stage",
                       "found \"prod..eu\""},
        ValidationCase{"ProjectAndStageOf252", [](R r) { r.set_stage(std::string(246, 's')); }, "",
                       ""},
        ValidationCase{"ProjectAndStageOf253", [](R r) { r.set_stage(std::string(247, 's')); },
                       "stage", "at most 252 characters together with the project, found 253"},
        ValidationCase{"NoPromotion", [](R r) { r.clear_promotion(); }, "promotion", "is required"},
        ValidationCase{"PromotionOf253", [](R r) { r.set_promotion(std::string(253, 'p')); }, "",
                       ""},
        ValidationCase{"PromotionOf254", [](R r) { r.set_promotion(std::string(254, 'p')); },
                       "promotion", "at most 253 characters, found 254"},
        ValidationCase{"PromotionOf253Umlauts",
                       [](R r) {
                         std::string name;
                         for (int i = 0; i < 253; ++i) name += "\xc3\xa4";
                         r.set_promotion(name);
                       },
                       "", ""},
        ValidationCase{"PromotionWithBlank", [](R r) { r.set_promotion("Release 7 / eu"); }, "",
                       ""},
        ValidationCase{"PromotionWithLineFeed", [](R r) { r.set_promotion("a\nb"); }, "promotion",
                       "no control characters"},
        ValidationCase{"PromotionWithNul", [](R r) { r.set_promotion(std::string("a\0b", 3)); },
                       "promotion", "no control characters"},
        ValidationCase{"PromotionWithC1", [](R r) { r.set_promotion("a\xc2\x85"); }, "promotion",
                       "no control characters"},
        ValidationCase{"NoStep", [](R r) { r.clear_step(); }, "", ""},
        ValidationCase{"StepOf253", [](R r) { r.set_step(std::string(253, 's')); }, "", ""},
        ValidationCase{"StepOf254", [](R r) { r.set_step(std::string(254, 's')); }, "step",
                       "at most 253 characters, found 254"},
        ValidationCase{"StepWithTab", [](R r) { r.set_step("a\tb"); }, "step",
                       "no control characters"},
        ValidationCase{"NoUses", [](R r) { r.clear_uses(); }, "uses",
                       "is required; expected one of argocd-update, argocd-wait"},
        ValidationCase{"UsesUnknown", [](R r) { r.set_uses("argocd-delete"); }, "uses",
                       "expected one of argocd-update, argocd-wait; found \"argocd-delete\""},
        ValidationCase{"UsesCaseMatters", [](R r) { r.set_uses("ArgoCD-Update"); }, "uses",
                       "expected one"},
        ValidationCase{"NoActor", [](R r) { r.clear_actor(); }, "", ""},
        ValidationCase{"ActorOf254", [](R r) { r.set_actor(std::string(254, 'a')); }, "actor",
                       "at most 253 characters, found 254"},
        ValidationCase{"ActorWithEscape", [](R r) { r.set_actor("\x1b[2J"); }, "actor",
                       "no control characters"}),
    [](const auto& c) { return c.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Wait, ValidateRunStepTest,
    ::testing::Values(
        ValidationCase{"Zero", [](R r) { SetWait(r, 0, 0); }, "", ""},
        ValidationCase{"AtTheLimit", [](R r) { SetWait(r, 600, 0); }, "", ""},
        ValidationCase{"AboveTheLimit", [](R r) { SetWait(r, 600, 1); }, "wait",
                       "expected 0 to 10m, found"},
        ValidationCase{"Negative", [](R r) { SetWait(r, -1, 0); }, "wait",
                       "expected 0 to 10m, found -1s"},
        ValidationCase{"NegativeNanos", [](R r) { SetWait(r, 0, -1); }, "wait", "found -1ns"},
        ValidationCase{"OppositeSigns", [](R r) { SetWait(r, 1, -1); }, "wait", "out of its range"},
        ValidationCase{"NanosTooLarge", [](R r) { SetWait(r, 1, 1'000'000'000); }, "wait",
                       "out of its range: 1 seconds and 1000000000 nanos"},
        ValidationCase{"SecondsTooLarge",
                       [](R r) { SetWait(r, std::numeric_limits<std::int64_t>::max(), 0); }, "wait",
                       "out of its range"},
        ValidationCase{"SecondsTooSmall",
                       [](R r) { SetWait(r, std::numeric_limits<std::int64_t>::min(), 0); }, "wait",
                       "out of its range"},
        ValidationCase{"NanosTooSmall",
                       [](R r) { SetWait(r, 0, std::numeric_limits<std::int32_t>::min()); }, "wait",
                       "out of its range"}),
    [](const auto& c) { return c.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Values, ValidateRunStepTest,
    ::testing::Values(
        ValidationCase{"FiniteNumbers",
                       [](R r) {
                         (*r.mutable_config()->mutable_fields())["a"] = Number(1e308);
                         (*r.mutable_config()->mutable_fields())["b"] = Number(-0.0);
                       },
                       "", ""},
        ValidationCase{"NanInConfig",
                       [](R r) { (*r.mutable_config()->mutable_fields())["a"] = Number(kNan); },
                       "config.a", "found NaN"},
        ValidationCase{
            "InfinityInPreviousOutput",
            [](R r) { (*r.mutable_previous_output()->mutable_fields())["a"] = Number(-kInfinity); },
            "previous_output.a", "found an infinity"},
        ValidationCase{"NanDeepInside",
                       [](R r) {
                         auto& apps =
                             *(*r.mutable_config()->mutable_fields())["apps"].mutable_list_value();
                         *apps.add_values() = Number(1);
                         auto& app = *apps.add_values()->mutable_struct_value();
                         (*app.mutable_fields())["x"] = Number(kNan);
                       },
                       "config.apps[1].x", "found NaN"},
        ValidationCase{"ValueWithoutKind",
                       [](R r) { (*r.mutable_config()->mutable_fields())["a"]; }, "config.a",
                       "no kind set"},
        ValidationCase{"NullIsAValue",
                       [](R r) {
                         (*r.mutable_config()->mutable_fields())["a"].set_null_value(
                             google::protobuf::NULL_VALUE);
                       },
                       "", ""}),
    [](const auto& c) { return c.param.name; });

// The requests about health and reports, as one table.
struct Told {
  std::string name;
  std::vector<ErrorInfo::FieldViolation> violations;
  std::string field;        // empty: nothing is wrong
  std::string description;  // part of it
};

void PrintTo(const Told& c, std::ostream* out) { *out << c.name; }

class ValidateOthersTest : public ::testing::TestWithParam<Told> {};

TEST_P(ValidateOthersTest, Says) {
  const Told& c = GetParam();
  if (c.field.empty()) {
    EXPECT_THAT(c.violations, IsEmpty());
    return;
  }
  ASSERT_THAT(c.violations, SizeIs(1));
  EXPECT_EQ(c.violations[0].field, c.field);
  EXPECT_THAT(c.violations[0].description, HasSubstr(c.description));
}

Told List(std::string name, const std::function<void(v1::ListStageHealthRequest&)>& change,
          std::string field = "", std::string description = "") {
  v1::ListStageHealthRequest request;
  change(request);
  return {std::move(name), ValidateListStageHealth(request), std::move(field),
          std::move(description)};
}

Told Promotion(std::string name, const std::function<void(v1::ReportPromotionRequest&)>& change,
               std::string field = "", std::string description = "") {
  v1::ReportPromotionRequest request;
  request.set_project("team-a");
  request.set_stage("prod");
  request.set_promotion("p1");
  request.set_phase(v1::PROMOTION_PHASE_RUNNING);
  change(request);
  return {std::move(name), ValidateReportPromotion(request), std::move(field),
          std::move(description)};
}

Told Indicator(std::string name, const std::function<void(v1::ReportIndicatorRequest&)>& change,
               std::string field = "", std::string description = "") {
  v1::ReportIndicatorRequest request;
  request.set_project("team-a");
  request.set_stage("prod");
  request.set_name("smoke");
  request.set_state(v1::HEALTH_STATE_HEALTHY);
  change(request);
  return {std::move(name), ValidateReportIndicator(request), std::move(field),
          std::move(description)};
}

Told Ttl(std::string name, std::int64_t seconds, std::int32_t nanos, std::string field = "",
         std::string description = "") {
  return Indicator(
      std::move(name),
      [=](auto& r) {
        r.mutable_ttl()->set_seconds(seconds);
        r.mutable_ttl()->set_nanos(nanos);
      },
      std::move(field), std::move(description));
}

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kTenYears = 10LL * 366 * 24 * 3600;

INSTANTIATE_TEST_SUITE_P(
    List, ValidateOthersTest,
    ::testing::Values(
        List("Empty", [](auto&) {}), List("Project", [](auto& r) { r.set_project("team-a"); }),
        List(
            "BadProject", [](auto& r) { r.set_project("a.b"); }, "project", "found \"a.b\""),
        List("AllStates",
             [](auto& r) {
               for (int state = 1; state <= 5; ++state) {
                 r.add_states(static_cast<v1::HealthState>(state));
               }
             }),
        List(
            "StateUnspecified", [](auto& r) { r.add_states(v1::HEALTH_STATE_UNSPECIFIED); },
            "states[0]", "expected one of HEALTH_STATE_HEALTHY, HEALTH_STATE_NOT_APPLICABLE"),
        List(
            "StateUnknown",
            [](auto& r) {
              r.add_states(v1::HEALTH_STATE_HEALTHY);
              r.add_states(static_cast<v1::HealthState>(6));
            },
            "states[1]", "found 6"),
        List("PageSize", [](auto& r) { r.set_page_size(100'000); }),
        List(
            "PageSizeNegative", [](auto& r) { r.set_page_size(-1); }, "page_size",
            "expected 0 or more, found -1"),
        List(
            "PageToken", [](auto& r) { r.set_page_token("x y"); }, "page_token",
            "expected next_page_token of an earlier page, or none; found \"x y\"")),
    [](const auto& c) { return c.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Promotion, ValidateOthersTest,
    ::testing::Values(
        Promotion("Good", [](auto&) {}),
        Promotion(
            "NoPromotion", [](auto& r) { r.clear_promotion(); }, "promotion", "is required"),
        Promotion(
            "ControlCharacter", [](auto& r) { r.set_promotion("a\nb"); }, "promotion",
            "no control characters"),
        Promotion("AnyMessage", [](auto& r) { r.set_message(std::string(100'000, '\n')); }),
        Promotion(
            "NoPhase", [](auto& r) { r.clear_phase(); }, "phase",
            "expected one of PROMOTION_PHASE_RUNNING"),
        Promotion(
            "UnknownPhase", [](auto& r) { r.set_phase(static_cast<v1::PromotionPhase>(-1)); },
            "phase", "found -1")),
    [](const auto& c) { return c.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Indicator, ValidateOthersTest,
    ::testing::Values(
        Indicator("Good", [](auto&) {}),
        Indicator(
            "NoName", [](auto& r) { r.clear_name(); }, "name", "is required"),
        Indicator("Removal", [](auto& r) { r.clear_state(); }),
        Indicator(
            "UnknownState", [](auto& r) { r.set_state(static_cast<v1::HealthState>(99)); }, "state",
            "found 99"),
        Ttl("OneNano", 0, 1), Ttl("TenYears", kTenYears, 0),
        Ttl("Zero", 0, 0, "ttl", "expected more than 0 and at most 10 years"),
        Ttl("Negative", -1, 0, "ttl", "found -1 seconds"), Ttl("NegativeNanos", 1, -1, "ttl", ""),
        Ttl("NanosTooLarge", 1, 1'000'000'000, "ttl", ""),
        Ttl("MoreThanTenYears", kTenYears + 1, 0, "ttl", ""), Ttl("Overflow", kMost, 0, "ttl", ""),
        Ttl("Underflow", std::numeric_limits<std::int64_t>::min(), 0, "ttl", "")),
    [](const auto& c) { return c.param.name; });

TEST(ValidateGetStageHealth, WantsAProjectAndAStage) {
  std::vector<std::string> fields;
  for (const auto& violation : ValidateGetStageHealth({})) fields.push_back(violation.field);
  EXPECT_THAT(fields, ElementsAre("project", "stage"));
}

TEST(ValidateWatchStageHealth, WantsAProjectWithAStage) {
  v1::WatchStageHealthRequest request;
  EXPECT_THAT(ValidateWatchStageHealth(request), IsEmpty());
  request.set_stage("prod");
  const auto violations = ValidateWatchStageHealth(request);
  ASSERT_THAT(violations, SizeIs(1));
  EXPECT_EQ(violations[0].field, "project");
  request.set_project("team-a");
  EXPECT_THAT(ValidateWatchStageHealth(request), IsEmpty());
  request.clear_stage();
  EXPECT_THAT(ValidateWatchStageHealth(request), IsEmpty());
}

TEST(ValidateListStageHealth, ManyBadStatesAreNotAllTold) {
  v1::ListStageHealthRequest request;
  for (int i = 0; i < 1000; ++i) request.add_states(v1::HEALTH_STATE_UNSPECIFIED);
  EXPECT_THAT(ValidateListStageHealth(request), SizeIs(10));
}

TEST(ValidateRunStep, TellsAllViolationsInTheOrderOfTheFields) {
  v1::RunStepRequest request;
  request.set_step("a\nb");
  request.set_actor(std::string(300, 'a') + "\n");
  (*request.mutable_config()->mutable_fields())["a"] = Number(kNan);
  (*request.mutable_previous_output()->mutable_fields())["b"] = Number(kNan);
  SetWait(request, -1, 0);
  std::vector<std::string> fields;
  for (const auto& violation : ValidateRunStep(request, kKinds, absl::Minutes(10))) {
    fields.push_back(violation.field);
  }
  EXPECT_THAT(fields, ElementsAre("project", "stage", "promotion", "step", "uses", "config.a",
                                  "actor", "actor", "previous_output.b", "wait"));
}

TEST(ValidateRunStep, ManyBadValuesAreNotAllTold) {
  v1::RunStepRequest request = GoodRequest();
  auto& list = *(*request.mutable_config()->mutable_fields())["a"].mutable_list_value();
  for (int i = 0; i < 1000; ++i) *list.add_values() = Number(kNan);
  const auto violations = ValidateRunStep(request, kKinds, absl::Minutes(10));
  ASSERT_THAT(violations, SizeIs(10));
  EXPECT_EQ(violations[9].field, "config.a[9]");
}

TEST(ValidateRunStep, SaysWhenTheServerKnowsNoKind) {
  const auto violations = ValidateRunStep(GoodRequest(), {}, absl::Minutes(10));
  ASSERT_THAT(violations, SizeIs(1));
  EXPECT_THAT(violations[0].description, HasSubstr("of which this server knows none"));
}

}  // namespace
}  // namespace gantry::service
