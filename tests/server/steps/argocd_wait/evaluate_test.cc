// SPDX-License-Identifier: Apache-2.0
#include "server/steps/argocd_wait/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace gantry::steps {

std::ostream& operator<<(std::ostream& out, WaitVerdict::Kind kind) {
  constexpr const char* kNames[] = {"Ready", "NotReady", "Condition", "Regressed"};
  return out << kNames[static_cast<int>(kind)];
}

namespace {

using base::InternedString;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using WaitKind = WaitVerdict::Kind;
using Change = std::function<void(argocd::Application&)>;

const absl::Time kFinished = absl::FromUnixSeconds(1'700'000'000);

constexpr WaitFor kDefault = {.health = true, .sync = true, .operation = true};
constexpr WaitFor kHealth = {.health = true};
constexpr WaitFor kSync = {.sync = true};
constexpr WaitFor kOperation = {.operation = true};
constexpr WaitFor kSuspended = {.suspended = true};
constexpr WaitFor kDegraded = {.degraded = true};
constexpr WaitFor kHealthOrSuspended = {.health = true, .suspended = true};
constexpr WaitFor kHealthOrDegraded = {.health = true, .degraded = true};
constexpr WaitFor kDegradedAndSync = {.sync = true, .degraded = true};
constexpr WaitFor kHealthOrDegradedAndSync = {.health = true, .sync = true, .degraded = true};
constexpr WaitFor kNothing = {};

// Synced, Healthy, and reconciled after its last operation.
argocd::Application WellApplication() {
  argocd::Application application;
  application.name = {"argocd", "shop"};
  application.sync_status = InternedString("Synced");
  application.health_status = InternedString("Healthy");
  application.reconciled_at = kFinished + absl::Seconds(1);
  argocd::OperationState state;
  state.phase = InternedString("Succeeded");
  state.started_at = kFinished - absl::Seconds(10);
  state.finished_at = kFinished;
  application.operation_state = state;
  return application;
}

Change Nothing() {
  return [](argocd::Application&) {};
}
Change Health(const char* status) {
  return [status](argocd::Application& app) { app.health_status = InternedString(status); };
}
Change Sync(const char* status) {
  return [status](argocd::Application& app) { app.sync_status = InternedString(status); };
}
Change ReconciledAt(std::optional<absl::Time> time) {
  return [time](argocd::Application& app) { app.reconciled_at = time; };
}
Change Pending() {
  return [](argocd::Application& app) { app.operation.emplace(); };
}
Change Unfinished(const char* phase) {
  return [phase](argocd::Application& app) {
    app.operation_state->phase = InternedString(phase);
    app.operation_state->message = "2 hooks left";
    app.operation_state->finished_at.reset();
  };
}
Change NeverOperated() {
  return [](argocd::Application& app) { app.operation_state.reset(); };
}
Change Condition(const char* type, const char* message) {
  return [type, message](argocd::Application& app) {
    app.conditions.push_back({.type = InternedString(type), .message = message});
  };
}
Change Refreshing() {
  return [](argocd::Application& app) { app.refresh = InternedString("normal"); };
}
Change SkippingReconcile() {
  return [](argocd::Application& app) { app.skip_reconcile = true; };
}
Change Broken() {
  return [](argocd::Application& app) { app.problem = "status.health is a number"; };
}

const auto kUnreconciled = ReconciledAt(std::nullopt);

struct WaitCase {
  const char* name;
  std::vector<Change> changes;
  WaitFor wait_for;
  const char* previous_health;
  WaitKind kind;
  bool wants_refresh;
  const char* message;  // a part of it
};

class EvaluateWaitTest : public ::testing::TestWithParam<WaitCase> {};

TEST_P(EvaluateWaitTest, FollowsTheRules) {
  argocd::Application application = WellApplication();
  for (const Change& change : GetParam().changes) change(application);
  const WaitVerdict verdict =
      EvaluateWait(application, GetParam().wait_for, GetParam().previous_health);
  EXPECT_EQ(verdict.kind, GetParam().kind);
  EXPECT_EQ(verdict.wants_refresh, GetParam().wants_refresh);
  EXPECT_THAT(verdict.message,
              AllOf(HasSubstr("Application argocd/shop "), HasSubstr(GetParam().message)));
}

std::string NameOf(const ::testing::TestParamInfo<WaitCase>& test) { return test.param.name; }

INSTANTIATE_TEST_SUITE_P(
    Ready, EvaluateWaitTest,
    ::testing::Values(
        WaitCase{"ByDefault", {Nothing()}, kDefault, "", WaitKind::kReady, false, "as awaited"},
        WaitCase{"NothingAsked", {Sync(""), Health("")}, kNothing, "", WaitKind::kReady, false, ""},
        WaitCase{"NeverOperated", {NeverOperated()}, kDefault, "", WaitKind::kReady, false, ""}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    Operation, EvaluateWaitTest,
    ::testing::Values(
        WaitCase{"Pending", {Pending()}, kDefault, "", WaitKind::kNotReady, false, "not complete"},
        WaitCase{"PendingAndNeverOperated",
                 {NeverOperated(), Pending()},
                 kOperation,
                 "",
                 WaitKind::kNotReady,
                 false,
                 "not complete"},
        WaitCase{"Running",
                 {Unfinished("Running")},
                 kOperation,
                 "",
                 WaitKind::kNotReady,
                 false,
                 "not complete, it is Running: 2 hooks left"},
        WaitCase{"Terminating",
                 {Unfinished("Terminating")},
                 kOperation,
                 "",
                 WaitKind::kNotReady,
                 false,
                 "Terminating"},
        WaitCase{"BeforeUnreconciled",
                 {Pending(), kUnreconciled},
                 kDefault,
                 "",
                 WaitKind::kNotReady,
                 false,
                 "not complete"},
        WaitCase{"BeforeConditions",
                 {Pending(), Condition("ComparisonError", "x")},
                 kDefault,
                 "",
                 WaitKind::kNotReady,
                 false,
                 "not complete"},
        WaitCase{"PendingIsNotAskedFor", {Pending()}, kHealth, "", WaitKind::kReady, false, ""},
        WaitCase{"RunningIsNotAskedFor",
                 {Unfinished("Running")},
                 kSync,
                 "",
                 WaitKind::kReady,
                 false,
                 ""}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    Unreconciled, EvaluateWaitTest,
    ::testing::Values(
        WaitCase{"Never",
                 {kUnreconciled},
                 kHealth,
                 "",
                 WaitKind::kNotReady,
                 true,
                 "not been reconciled"},
        WaitCase{"ASecondBefore",
                 {ReconciledAt(kFinished - absl::Seconds(1))},
                 kHealth,
                 "",
                 WaitKind::kNotReady,
                 true,
                 "not been reconciled"},
        WaitCase{"InTheSameSecond",
                 {ReconciledAt(kFinished)},
                 kDefault,
                 "",
                 WaitKind::kReady,
                 false,
                 ""},
        WaitCase{
            "Suspended", {kUnreconciled}, kSuspended, "", WaitKind::kNotReady, true, "reconciled"},
        WaitCase{
            "Degraded", {kUnreconciled}, kDegraded, "", WaitKind::kNotReady, true, "reconciled"},
        WaitCase{"RefreshPending",
                 {kUnreconciled, Refreshing()},
                 kHealth,
                 "",
                 WaitKind::kNotReady,
                 false,
                 "reconciled"},
        WaitCase{"SkippingReconcile",
                 {kUnreconciled, SkippingReconcile()},
                 kHealth,
                 "",
                 WaitKind::kNotReady,
                 true,
                 "argocd.argoproj.io/skip-reconcile"},
        WaitCase{"BeforeConditions",
                 {kUnreconciled, Condition("ComparisonError", "old")},
                 kHealth,
                 "",
                 WaitKind::kNotReady,
                 true,
                 "reconciled"},
        WaitCase{"BeforeRegression",
                 {kUnreconciled, Health("Degraded")},
                 kHealth,
                 "Healthy",
                 WaitKind::kNotReady,
                 true,
                 "reconciled"},
        WaitCase{"SyncAlone",
                 {kUnreconciled, Condition("ComparisonError", "old")},
                 kSync,
                 "",
                 WaitKind::kReady,
                 false,
                 ""},
        WaitCase{"SyncAloneNotSynced",
                 {kUnreconciled, Sync("OutOfSync")},
                 kSync,
                 "",
                 WaitKind::kNotReady,
                 true,
                 "is OutOfSync"},
        WaitCase{"OperationAlone", {kUnreconciled}, kOperation, "", WaitKind::kReady, false, ""},
        WaitCase{"WithoutAFinishedOperation",
                 {kUnreconciled, Unfinished("Running")},
                 kHealth,
                 "",
                 WaitKind::kReady,
                 false,
                 ""},
        WaitCase{"NeverOperated",
                 {kUnreconciled, NeverOperated()},
                 kHealth,
                 "",
                 WaitKind::kReady,
                 false,
                 ""}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    Conditions, EvaluateWaitTest,
    ::testing::Values(WaitCase{"ComparisonError",
                               {Condition("ComparisonError", "no such path")},
                               kDefault,
                               "",
                               WaitKind::kCondition,
                               false,
                               "ComparisonError: no such path"},
                      WaitCase{"InvalidSpecError",
                               {Condition("InvalidSpecError", "no such project")},
                               kDefault,
                               "",
                               WaitKind::kCondition,
                               false,
                               "InvalidSpecError: no such project"},
                      WaitCase{"EachMessage",
                               {Condition("ComparisonError", "one"),
                                Condition("InvalidSpecError", "two")},
                               kSync,
                               "",
                               WaitKind::kCondition,
                               false,
                               "ComparisonError: one; the condition InvalidSpecError: two"},
                      WaitCase{"AnotherType",
                               {Condition("SyncError", "x")},
                               kDefault,
                               "",
                               WaitKind::kReady,
                               false,
                               ""},
                      WaitCase{"WhateverIsAskedFor",
                               {Condition("ComparisonError", "x")},
                               kNothing,
                               "",
                               WaitKind::kCondition,
                               false,
                               ""},
                      WaitCase{"BeforeRegression",
                               {Condition("ComparisonError", "x"), Health("Degraded")},
                               kHealth,
                               "Healthy",
                               WaitKind::kCondition,
                               false,
                               ""}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    Health, EvaluateWaitTest,
    ::testing::Values(
        WaitCase{"Progressing",
                 {Health("Progressing")},
                 kDefault,
                 "",
                 WaitKind::kNotReady,
                 false,
                 "is Progressing, waiting for it to be Healthy"},
        WaitCase{"Empty",
                 {Health("")},
                 kHealth,
                 "Healthy",
                 WaitKind::kNotReady,
                 false,
                 "without a health assessment"},
        WaitCase{"HealthyForSuspended",
                 {Nothing()},
                 kSuspended,
                 "",
                 WaitKind::kNotReady,
                 false,
                 "is Healthy, waiting for it to be Suspended"},
        WaitCase{"HealthyForDegraded",
                 {Nothing()},
                 kDegraded,
                 "",
                 WaitKind::kNotReady,
                 false,
                 "Healthy"},
        WaitCase{"SuspendedForHealth",
                 {Health("Suspended")},
                 kHealth,
                 "",
                 WaitKind::kNotReady,
                 false,
                 ""},
        WaitCase{"SuspendedForSuspended",
                 {Health("Suspended")},
                 kSuspended,
                 "",
                 WaitKind::kReady,
                 false,
                 ""},
        WaitCase{"SuspendedForEither",
                 {Health("Suspended")},
                 kHealthOrSuspended,
                 "",
                 WaitKind::kReady,
                 false,
                 ""},
        WaitCase{
            "HealthyForEither", {Nothing()}, kHealthOrSuspended, "", WaitKind::kReady, false, ""},
        WaitCase{"NeitherForEither",
                 {Health("Missing")},
                 kHealthOrSuspended,
                 "",
                 WaitKind::kNotReady,
                 false,
                 "waiting for it to be Healthy or Suspended"},
        WaitCase{"DegradedForDegraded",
                 {Health("Degraded")},
                 kDegraded,
                 "Healthy",
                 WaitKind::kReady,
                 false,
                 ""},
        WaitCase{"DegradedForSuspended",
                 {Health("Degraded")},
                 kSuspended,
                 "Healthy",
                 WaitKind::kNotReady,
                 false,
                 ""},
        WaitCase{
            "NotAskedFor", {Health("Degraded")}, kSync, "Healthy", WaitKind::kReady, false, ""}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    Regression, EvaluateWaitTest,
    ::testing::Values(
        WaitCase{"FromHealthy",
                 {Health("Degraded")},
                 kDefault,
                 "Healthy",
                 WaitKind::kRegressed,
                 false,
                 "became Degraded from Healthy"},
        WaitCase{"FromProgressing",
                 {Health("Degraded")},
                 kHealth,
                 "Progressing",
                 WaitKind::kRegressed,
                 false,
                 "from Progressing"},
        WaitCase{"FromMissing",
                 {Health("Degraded")},
                 kHealth,
                 "Missing",
                 WaitKind::kRegressed,
                 false,
                 ""},
        WaitCase{"FromSuspended",
                 {Health("Degraded")},
                 kHealthOrSuspended,
                 "Suspended",
                 WaitKind::kRegressed,
                 false,
                 ""},
        WaitCase{"FromDegraded",
                 {Health("Degraded")},
                 kHealth,
                 "Degraded",
                 WaitKind::kNotReady,
                 false,
                 "is Degraded"},
        WaitCase{"FromUnknown",
                 {Health("Degraded")},
                 kHealth,
                 "Unknown",
                 WaitKind::kNotReady,
                 false,
                 ""},
        WaitCase{"FromNothing", {Health("Degraded")}, kHealth, "", WaitKind::kNotReady, false, ""},
        WaitCase{
            "ToMissing", {Health("Missing")}, kHealth, "Healthy", WaitKind::kNotReady, false, ""},
        WaitCase{"BeforeSync",
                 {Health("Degraded"), Sync("OutOfSync")},
                 kDefault,
                 "Healthy",
                 WaitKind::kRegressed,
                 false,
                 ""},
        WaitCase{"IsNoneWhenDegradedIsAwaitedToo",
                 {Health("Degraded")},
                 kHealthOrDegraded,
                 "Healthy",
                 WaitKind::kReady,
                 false,
                 ""},
        WaitCase{"IsNoneWhenDegradedIsAwaitedTooAndSyncIsNot",
                 {Health("Degraded"), Sync("OutOfSync")},
                 kHealthOrDegradedAndSync,
                 "Healthy",
                 WaitKind::kNotReady,
                 false,
                 "is OutOfSync"}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    Sync, EvaluateWaitTest,
    ::testing::Values(
        WaitCase{"OutOfSync",
                 {Sync("OutOfSync")},
                 kDefault,
                 "",
                 WaitKind::kNotReady,
                 false,
                 "is OutOfSync, waiting for it to be Synced"},
        WaitCase{"Unknown", {Sync("Unknown")}, kSync, "", WaitKind::kNotReady, false, "is Unknown"},
        WaitCase{"Empty", {Sync("")}, kSync, "", WaitKind::kNotReady, false, "not compared"},
        WaitCase{"MustHoldBesidesHealth",
                 {Health("Degraded"), Sync("OutOfSync")},
                 kDegradedAndSync,
                 "",
                 WaitKind::kNotReady,
                 false,
                 "is OutOfSync"},
        WaitCase{"NotAskedFor", {Sync("OutOfSync")}, kHealth, "", WaitKind::kReady, false, ""}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(Problem, EvaluateWaitTest,
                         ::testing::Values(WaitCase{"IsQuoted",
                                                    {Broken()},
                                                    kDefault,
                                                    "",
                                                    WaitKind::kNotReady,
                                                    false,
                                                    "status.health is a number"},
                                           WaitCase{"BeforeConditions",
                                                    {Broken(), Condition("ComparisonError", "x")},
                                                    kNothing,
                                                    "",
                                                    WaitKind::kNotReady,
                                                    false,
                                                    "status.health is a number"},
                                           WaitCase{"BeforeRegression",
                                                    {Broken(), Health("Degraded")},
                                                    kHealth,
                                                    "Healthy",
                                                    WaitKind::kNotReady,
                                                    false,
                                                    "status.health is a number"}),
                         NameOf);

TEST(WaitMessageTest, QuotesArgoCdsExplanationOfTheHealth) {
  argocd::Application application = WellApplication();
  application.health_status = InternedString("Degraded");
  application.health_message = "1 of 3 replicas";
  EXPECT_THAT(EvaluateWait(application, kHealth, "Healthy").message,
              HasSubstr(": 1 of 3 replicas"));
  EXPECT_THAT(EvaluateWait(application, kHealth, "").message, HasSubstr(": 1 of 3 replicas"));
}

TEST(WaitMessageTest, DoesNotQuoteAnOperationBeforeTheOneAwaited) {
  argocd::Application application = WellApplication();
  application.operation.emplace();
  application.operation_state->message = "of the one before";
  EXPECT_THAT(EvaluateWait(application, kOperation, "").message,
              Not(HasSubstr("of the one before")));
}

}  // namespace
}  // namespace gantry::steps
