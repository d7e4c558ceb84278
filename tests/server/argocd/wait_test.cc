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
using Kind = WaitVerdict::Kind;
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
Change Problem() {
  return [](ObservedApplication& app) { app.problem = "status.health is a number"; };
}

const auto kUnreconciled = ReconciledAt(std::nullopt);

struct Case {
  const char* name;
  std::vector<Change> changes;
  WaitFor wait_for;
  const char* previous_health;
  Kind kind;
  bool wants_refresh;
  const char* message;  // a part of it
};

class JudgeWaitTest : public ::testing::TestWithParam<Case> {};

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

std::string NameOf(const ::testing::TestParamInfo<Case>& test) { return test.param.name; }

INSTANTIATE_TEST_SUITE_P(
    Ready, JudgeWaitTest,
    ::testing::Values(
        Case{"ByDefault", {Nothing()}, kDefault, "", Kind::kReady, false, "as awaited"},
        Case{"NothingAsked", {Sync(""), Health("")}, kNothing, "", Kind::kReady, false, ""},
        Case{"NeverOperated", {NeverOperated()}, kDefault, "", Kind::kReady, false, ""}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    Operation, JudgeWaitTest,
    ::testing::Values(
        Case{"Pending", {Pending()}, kDefault, "", Kind::kNotReady, false, "not complete"},
        Case{"PendingAndNeverOperated",
             {NeverOperated(), Pending()},
             kOperation,
             "",
             Kind::kNotReady,
             false,
             "not complete"},
        Case{"Running",
             {Unfinished("Running")},
             kOperation,
             "",
             Kind::kNotReady,
             false,
             "not complete, it is Running: 2 hooks left"},
        Case{"Terminating",
             {Unfinished("Terminating")},
             kOperation,
             "",
             Kind::kNotReady,
             false,
             "Terminating"},
        Case{"BeforeUnreconciled",
             {Pending(), kUnreconciled},
             kDefault,
             "",
             Kind::kNotReady,
             false,
             "not complete"},
        Case{"BeforeConditions",
             {Pending(), Condition("ComparisonError", "x")},
             kDefault,
             "",
             Kind::kNotReady,
             false,
             "not complete"},
        Case{"PendingIsNotAskedFor", {Pending()}, kHealth, "", Kind::kReady, false, ""},
        Case{"RunningIsNotAskedFor", {Unfinished("Running")}, kSync, "", Kind::kReady, false, ""}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    Unreconciled, JudgeWaitTest,
    ::testing::Values(
        Case{"Never", {kUnreconciled}, kHealth, "", Kind::kNotReady, true, "not been reconciled"},
        Case{"ASecondBefore",
             {ReconciledAt(kFinished - absl::Seconds(1))},
             kHealth,
             "",
             Kind::kNotReady,
             true,
             "not been reconciled"},
        Case{"InTheSameSecond", {ReconciledAt(kFinished)}, kDefault, "", Kind::kReady, false, ""},
        Case{"Suspended", {kUnreconciled}, kSuspended, "", Kind::kNotReady, true, "reconciled"},
        Case{"Degraded", {kUnreconciled}, kDegraded, "", Kind::kNotReady, true, "reconciled"},
        Case{"RefreshPending",
             {kUnreconciled, Refreshing()},
             kHealth,
             "",
             Kind::kNotReady,
             false,
             "reconciled"},
        Case{"SkippingReconcile",
             {kUnreconciled, SkippingReconcile()},
             kHealth,
             "",
             Kind::kNotReady,
             true,
             "argocd.argoproj.io/skip-reconcile"},
        Case{"BeforeConditions",
             {kUnreconciled, Condition("ComparisonError", "old")},
             kHealth,
             "",
             Kind::kNotReady,
             true,
             "reconciled"},
        Case{"BeforeRegression",
             {kUnreconciled, Health("Degraded")},
             kHealth,
             "Healthy",
             Kind::kNotReady,
             true,
             "reconciled"},
        Case{"SyncAlone",
             {kUnreconciled, Condition("ComparisonError", "old")},
             kSync,
             "",
             Kind::kReady,
             false,
             ""},
        Case{"SyncAloneNotSynced",
             {kUnreconciled, Sync("OutOfSync")},
             kSync,
             "",
             Kind::kNotReady,
             true,
             "is OutOfSync"},
        Case{"OperationAlone", {kUnreconciled}, kOperation, "", Kind::kReady, false, ""},
        Case{"WithoutAFinishedOperation",
             {kUnreconciled, Unfinished("Running")},
             kHealth,
             "",
             Kind::kReady,
             false,
             ""},
        Case{"NeverOperated",
             {kUnreconciled, NeverOperated()},
             kHealth,
             "",
             Kind::kReady,
             false,
             ""}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    Conditions, JudgeWaitTest,
    ::testing::Values(
        Case{"ComparisonError",
             {Condition("ComparisonError", "no such path")},
             kDefault,
             "",
             Kind::kCondition,
             false,
             "ComparisonError: no such path"},
        Case{"InvalidSpecError",
             {Condition("InvalidSpecError", "no such project")},
             kDefault,
             "",
             Kind::kCondition,
             false,
             "InvalidSpecError: no such project"},
        Case{"EachMessage",
             {Condition("ComparisonError", "one"), Condition("InvalidSpecError", "two")},
             kSync,
             "",
             Kind::kCondition,
             false,
             "ComparisonError: one; the condition InvalidSpecError: two"},
        Case{"AnotherType", {Condition("SyncError", "x")}, kDefault, "", Kind::kReady, false, ""},
        Case{"WhateverIsAskedFor",
             {Condition("ComparisonError", "x")},
             kNothing,
             "",
             Kind::kCondition,
             false,
             ""},
        Case{"BeforeRegression",
             {Condition("ComparisonError", "x"), Health("Degraded")},
             kHealth,
             "Healthy",
             Kind::kCondition,
             false,
             ""}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    Health, JudgeWaitTest,
    ::testing::Values(
        Case{"Progressing",
             {Health("Progressing")},
             kDefault,
             "",
             Kind::kNotReady,
             false,
             "is Progressing, waiting for it to be Healthy"},
        Case{"Empty",
             {Health("")},
             kHealth,
             "Healthy",
             Kind::kNotReady,
             false,
             "without a health assessment"},
        Case{"HealthyForSuspended",
             {Nothing()},
             kSuspended,
             "",
             Kind::kNotReady,
             false,
             "is Healthy, waiting for it to be Suspended"},
        Case{"HealthyForDegraded", {Nothing()}, kDegraded, "", Kind::kNotReady, false, "Healthy"},
        Case{"SuspendedForHealth", {Health("Suspended")}, kHealth, "", Kind::kNotReady, false, ""},
        Case{"SuspendedForSuspended",
             {Health("Suspended")},
             kSuspended,
             "",
             Kind::kReady,
             false,
             ""},
        Case{"SuspendedForEither",
             {Health("Suspended")},
             kHealthOrSuspended,
             "",
             Kind::kReady,
             false,
             ""},
        Case{"HealthyForEither", {Nothing()}, kHealthOrSuspended, "", Kind::kReady, false, ""},
        Case{"NeitherForEither",
             {Health("Missing")},
             kHealthOrSuspended,
             "",
             Kind::kNotReady,
             false,
             "waiting for it to be Healthy or Suspended"},
        Case{"DegradedForDegraded",
             {Health("Degraded")},
             kDegraded,
             "Healthy",
             Kind::kReady,
             false,
             ""},
        Case{"DegradedForSuspended",
             {Health("Degraded")},
             kSuspended,
             "Healthy",
             Kind::kNotReady,
             false,
             ""},
        Case{"NotAskedFor", {Health("Degraded")}, kSync, "Healthy", Kind::kReady, false, ""}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    Regression, JudgeWaitTest,
    ::testing::Values(
        Case{"FromHealthy",
             {Health("Degraded")},
             kDefault,
             "Healthy",
             Kind::kRegressed,
             false,
             "became Degraded from Healthy"},
        Case{"FromProgressing",
             {Health("Degraded")},
             kHealth,
             "Progressing",
             Kind::kRegressed,
             false,
             "from Progressing"},
        Case{"FromMissing", {Health("Degraded")}, kHealth, "Missing", Kind::kRegressed, false, ""},
        Case{"FromSuspended",
             {Health("Degraded")},
             kHealthOrSuspended,
             "Suspended",
             Kind::kRegressed,
             false,
             ""},
        Case{"FromDegraded",
             {Health("Degraded")},
             kHealth,
             "Degraded",
             Kind::kNotReady,
             false,
             "is Degraded"},
        Case{"FromUnknown", {Health("Degraded")}, kHealth, "Unknown", Kind::kNotReady, false, ""},
        Case{"FromNothing", {Health("Degraded")}, kHealth, "", Kind::kNotReady, false, ""},
        Case{"ToMissing", {Health("Missing")}, kHealth, "Healthy", Kind::kNotReady, false, ""},
        Case{"BeforeSync",
             {Health("Degraded"), Sync("OutOfSync")},
             kDefault,
             "Healthy",
             Kind::kRegressed,
             false,
             ""},
        Case{"IsNoneWhenDegradedIsAwaitedToo",
             {Health("Degraded")},
             kHealthOrDegraded,
             "Healthy",
             Kind::kReady,
             false,
             ""},
        Case{"IsNoneWhenDegradedIsAwaitedTooAndSyncIsNot",
             {Health("Degraded"), Sync("OutOfSync")},
             kHealthOrDegradedAndSync,
             "Healthy",
             Kind::kNotReady,
             false,
             "is OutOfSync"}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    Sync, JudgeWaitTest,
    ::testing::Values(
        Case{"OutOfSync",
             {Sync("OutOfSync")},
             kDefault,
             "",
             Kind::kNotReady,
             false,
             "is OutOfSync, waiting for it to be Synced"},
        Case{"Unknown", {Sync("Unknown")}, kSync, "", Kind::kNotReady, false, "is Unknown"},
        Case{"Empty", {Sync("")}, kSync, "", Kind::kNotReady, false, "not compared"},
        Case{"MustHoldBesidesHealth",
             {Health("Degraded"), Sync("OutOfSync")},
             kDegradedAndSync,
             "",
             Kind::kNotReady,
             false,
             "is OutOfSync"},
        Case{"NotAskedFor", {Sync("OutOfSync")}, kHealth, "", Kind::kReady, false, ""}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(Problem, JudgeWaitTest,
                         ::testing::Values(Case{"IsQuoted",
                                                {Problem()},
                                                kDefault,
                                                "",
                                                Kind::kNotReady,
                                                false,
                                                "status.health is a number"},
                                           Case{"BeforeConditions",
                                                {Problem(), Condition("ComparisonError", "x")},
                                                kNothing,
                                                "",
                                                Kind::kNotReady,
                                                false,
                                                "status.health is a number"},
                                           Case{"BeforeRegression",
                                                {Problem(), Health("Degraded")},
                                                kHealth,
                                                "Healthy",
                                                Kind::kNotReady,
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
