// SPDX-License-Identifier: Apache-2.0
#include "server/argocd/wait.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace gantry::argocd {

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
using Change = std::function<void(ObservedApplication&)>;

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
ObservedApplication WellApplication() {
  ObservedApplication application;
  application.name = {"argocd", "shop"};
  application.sync_status = InternedString("Synced");
  application.health_status = InternedString("Healthy");
  application.reconciled_at = kFinished + absl::Seconds(1);
  ObservedOperationState state;
  state.phase = InternedString("Succeeded");
  state.started_at = kFinished - absl::Seconds(10);
  state.finished_at = kFinished;
  application.operation_state = state;
  return application;
}

Change Nothing() {
  return [](ObservedApplication&) {};
}
Change Health(const char* status) {
  return [status](ObservedApplication& app) { app.health_status = InternedString(status); };
}
Change Sync(const char* status) {
  return [status](ObservedApplication& app) { app.sync_status = InternedString(status); };
}
Change ReconciledAt(std::optional<absl::Time> time) {
  return [time](ObservedApplication& app) { app.reconciled_at = time; };
}
Change Pending() {
  return [](ObservedApplication& app) { app.operation.emplace(); };
}
Change Unfinished(const char* phase) {
  return [phase](ObservedApplication& app) {
    app.operation_state->phase = InternedString(phase);
    app.operation_state->message = "2 hooks left";
    app.operation_state->finished_at.reset();
  };
}
Change NeverOperated() {
  return [](ObservedApplication& app) { app.operation_state.reset(); };
}
Change Condition(const char* type, const char* message) {
  return [type, message](ObservedApplication& app) {
    app.conditions.push_back({.type = InternedString(type), .message = message});
  };
}
Change Refreshing() {
  return [](ObservedApplication& app) { app.refresh = InternedString("normal"); };
}
Change SkippingReconcile() {
  return [](ObservedApplication& app) { app.skip_reconcile = true; };
}
Change Broken() {
  return [](ObservedApplication& app) { app.problem = "status.health is a number"; };
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

class JudgeWaitTest : public ::testing::TestWithParam<WaitCase> {};

TEST_P(JudgeWaitTest, FollowsTheRules) {
  ObservedApplication application = WellApplication();
  for (const Change& change : GetParam().changes) change(application);
  const WaitVerdict verdict =
      JudgeWait(application, GetParam().wait_for, GetParam().previous_health);
  EXPECT_EQ(verdict.kind, GetParam().kind);
  EXPECT_EQ(verdict.wants_refresh, GetParam().wants_refresh);
  EXPECT_THAT(verdict.message,
              AllOf(HasSubstr("Application argocd/shop "), HasSubstr(GetParam().message)));
}

std::string NameOf(const ::testing::TestParamInfo<WaitCase>& test) { return test.param.name; }

INSTANTIATE_TEST_SUITE_P(
    Ready, JudgeWaitTest,
    ::testing::Values(
        WaitCase{"ByDefault", {Nothing()}, kDefault, "", WaitKind::kReady, false, "as awaited"},
        WaitCase{"NothingAsked", {Sync(""), Health("")}, kNothing, "", WaitKind::kReady, false, ""},
        WaitCase{"NeverOperated", {NeverOperated()}, kDefault, "", WaitKind::kReady, false, ""}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    Operation, JudgeWaitTest,
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
    Unreconciled, JudgeWaitTest,
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
    Conditions, JudgeWaitTest,
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
    Health, JudgeWaitTest,
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
    Regression, JudgeWaitTest,
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
    Sync, JudgeWaitTest,
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

INSTANTIATE_TEST_SUITE_P(Problem, JudgeWaitTest,
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
  ObservedApplication application = WellApplication();
  application.health_status = InternedString("Degraded");
  application.health_message = "1 of 3 replicas";
  EXPECT_THAT(JudgeWait(application, kHealth, "Healthy").message, HasSubstr(": 1 of 3 replicas"));
  EXPECT_THAT(JudgeWait(application, kHealth, "").message, HasSubstr(": 1 of 3 replicas"));
}

TEST(WaitMessageTest, DoesNotQuoteAnOperationBeforeTheOneAwaited) {
  ObservedApplication application = WellApplication();
  application.operation.emplace();
  application.operation_state->message = "of the one before";
  EXPECT_THAT(JudgeWait(application, kOperation, "").message, Not(HasSubstr("of the one before")));
}

}  // namespace
}  // namespace gantry::argocd
