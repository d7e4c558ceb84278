// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/health/stage_rules.h"
#include "tests/server/health/states.h"

namespace gantry::health {
namespace {

using argocd::Application;
using argocd::ApplicationName;
using argocd::Operation;
using argocd::OperationState;
using base::InternedString;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Strings = std::vector<std::string>;

constexpr v1::HealthState kStates[] = {kHealthy, kNotApplicable, kProgressing, kUnknown,
                                       kUnhealthy};

absl::Time At(int hour, int minute, int second = 0) {
  return absl::FromCivil(absl::CivilSecond(2026, 3, 1, hour, minute, second), absl::UTCTimeZone());
}

const absl::Time kCreated = At(8, 0);
const absl::Time kStarted = At(9, 59);
const absl::Time kFinished = At(10, 0);
const absl::Time kReconciled = At(10, 1);
const absl::Time kDeleted = At(11, 0);
const absl::Time kStale = At(11, 30);
const absl::Time kAbsent = At(11, 40);
const absl::Time kNow = At(12, 0);

const ApplicationName kShop = {"argocd", "shop"};

InternedString Text(const std::string& text) { return InternedString(text); }

std::vector<InternedString> Texts(const Strings& texts) {
  std::vector<InternedString> interned;
  for (const std::string& text : texts) interned.push_back(Text(text));
  return interned;
}

// Sources of which only the target revision is known.
argocd::Sources Targets(const std::vector<std::string>& texts) {
  std::vector<argocd::Source> sources;
  for (const std::string& text : texts) {
    sources.emplace_back().target_revision = InternedString(text);
  }
  return argocd::Sources(std::move(sources));
}

argocd::Source MakeSource(const char* repo_url, const char* chart = "") {
  argocd::Source source;
  source.repo_url = Text(repo_url);
  source.chart = Text(chart);
  return source;
}

// Synced to "v2", Healthy, and reconciled after the operation that did so.
Application WellApplication(const ApplicationName& name = kShop) {
  Application application;
  application.name = name;
  application.uid = "u-1";
  application.resource_version = "100";
  application.created_at = kCreated;
  application.sources = argocd::Sources({MakeSource("https://git/shop")});
  application.sync_status = Text("Synced");
  application.sync_revisions = Texts({"v2"});
  application.compared_sources = Targets({"main"});
  application.health_status = Text("Healthy");
  application.reconciled_at = kReconciled;
  OperationState& state = application.operation_state.emplace();
  state.phase = Text("Succeeded");
  state.started_at = kStarted;
  state.finished_at = kFinished;
  state.sync_result = argocd::Deployed{.revisions = Texts({"v2"}), .sources = Targets({"main"})};
  return application;
}

// Changes of the well Application, each to one thing.
using Change = std::function<void(Application&)>;

Change Health(const char* status, const char* message = "") {
  return [=](Application& app) {
    app.health_status = Text(status);
    app.health_message = message;
  };
}
Change Sync(const char* status) {
  return [=](Application& app) { app.sync_status = Text(status); };
}
Change ReconciledAt(std::optional<absl::Time> time) {
  return [=](Application& app) { app.reconciled_at = time; };
}
Change RefreshPending() {
  return [](Application& app) { app.refresh = Text("hard"); };
}
Change Condition(const char* type, const char* message) {
  return
      [=](Application& app) { app.conditions.push_back({.type = Text(type), .message = message}); };
}
Change Deleting() {
  return [](Application& app) { app.deletion_requested_at = kDeleted; };
}
Change Problem(const char* problem) {
  return [=](Application& app) { app.problem = problem; };
}
Change SkippingReconcile() {
  return [](Application& app) { app.skip_reconcile = true; };
}
Change PendingSync() {
  return [](Application& app) {
    app.operation.emplace();
    app.operation->has_sync = true;
  };
}
Change PendingOther() {
  return [](Application& app) { app.operation.emplace(); };
}
Change NeverOperated() {
  return [](Application& app) { app.operation_state.reset(); };
}
Change CreationUnknown() {
  return [](Application& app) { app.created_at.reset(); };
}
Change Phase(const char* phase) {
  return [=](Application& app) { app.operation_state->phase = Text(phase); };
}
Change Unfinished() {
  return [](Application& app) { app.operation_state->finished_at.reset(); };
}
Change StartUnknown() {
  return [](Application& app) { app.operation_state->started_at.reset(); };
}
Change Sources(const std::vector<argocd::Source>& sources) {
  return [=](Application& app) { app.sources = argocd::Sources(sources); };
}
Change Observed(const Strings& revisions) {
  return [=](Application& app) { app.sync_revisions = Texts(revisions); };
}
Change ComparedTo(const Strings& target_revisions) {
  return [=](Application& app) { app.compared_sources = Targets(target_revisions); };
}
Change Deployed(const Strings& revisions, const Strings& target_revisions) {
  return [=](Application& app) {
    app.operation_state->sync_result =
        argocd::Deployed{.revisions = Texts(revisions), .sources = Targets(target_revisions)};
  };
}
Change DeployedNothing() {
  return [](Application& app) { app.operation_state->sync_result.reset(); };
}

// A git source and a chart, synced to "v2" and "1.2.3".
Change TwoSources() {
  return [](Application& app) {
    app.sources =
        argocd::Sources({MakeSource("https://git/shop"), MakeSource("https://charts", "db")});
    app.sync_revisions = Texts({"v2", "1.2.3"});
    app.compared_sources = Targets({"main", "1.x"});
    app.operation_state->sync_result =
        argocd::Deployed{.revisions = Texts({"v2", "1.2.3"}), .sources = Targets({"main", "1.x"})};
  };
}

Application Changed(const std::vector<Change>& changes) {
  Application application = WellApplication();
  for (const Change& change : changes) change(application);
  return application;
}

Evidence Seen(const Application& application,
              std::optional<absl::Time> stale_since = std::nullopt) {
  Evidence evidence;
  evidence.application = &application;
  evidence.stale_since = stale_since;
  return evidence;
}
Evidence NotSeen(std::optional<absl::Time> absent_since = std::nullopt,
                 std::optional<absl::Time> stale_since = std::nullopt, const char* why = "") {
  Evidence evidence;
  evidence.unknown_since = absent_since;
  evidence.stale_since = stale_since;
  evidence.why_absent = why;
  return evidence;
}

struct Case {
  const char* name;
  std::vector<Change> changes;
  Strings desired;
  v1::HealthState state;
  Strings issues;
  bool wants_refresh = false;
};

std::string NameOf(const ::testing::TestParamInfo<Case>& test) { return test.param.name; }

class EvaluateApplicationTest : public ::testing::TestWithParam<Case> {};

TEST_P(EvaluateApplicationTest, FollowsTheTable) {
  const Application application = Changed(GetParam().changes);
  const ApplicationEvaluation evaluation =
      EvaluateApplication(kShop, GetParam().desired, Seen(application));
  EXPECT_EQ(evaluation.health.state(), GetParam().state);
  EXPECT_THAT(evaluation.health.issues(), ElementsAreArray(GetParam().issues));
  EXPECT_EQ(evaluation.wants_refresh, GetParam().wants_refresh);
  EXPECT_EQ(evaluation.health.namespace_(), "argocd");
  EXPECT_EQ(evaluation.health.name(), "shop");
  EXPECT_THAT(evaluation.health.desired_revisions(), ElementsAreArray(GetParam().desired));
}

// Argo CD rewrites idle Applications every few minutes; none of it is news.
TEST_P(EvaluateApplicationTest, IsTheSameWhenOnlyTheClockMovesOn) {
  Application application = Changed(GetParam().changes);
  const ApplicationEvaluation before =
      EvaluateApplication(kShop, GetParam().desired, Seen(application));
  application.resource_version = "101";
  const bool reconciled_later = application.reconciled_at && application.operation_state &&
                                *application.reconciled_at > kFinished;
  if (reconciled_later) *application.reconciled_at += absl::Minutes(3);
  const ApplicationEvaluation after =
      EvaluateApplication(kShop, GetParam().desired, Seen(application));
  EXPECT_EQ(before.health.SerializeAsString(), after.health.SerializeAsString());
  EXPECT_EQ(before.wants_refresh, after.wants_refresh);
}

// Evidence that is not to be trusted comes before everything that is found in it.
TEST_P(EvaluateApplicationTest, IsUnknownOnStaleEvidence) {
  const Application application = Changed(GetParam().changes);
  const ApplicationEvaluation evaluation =
      EvaluateApplication(kShop, GetParam().desired, Seen(application, kStale));
  EXPECT_EQ(evaluation.health.state(), kUnknown);
  EXPECT_THAT(evaluation.health.issues(),
              ElementsAre("Application argocd/shop: nothing was heard of it since "
                          "2026-03-01T11:30:00Z"));
  EXPECT_FALSE(evaluation.wants_refresh);
}

constexpr char kBeingDeleted[] =
    "Application argocd/shop is being deleted since "
    "2026-03-01T11:00:00Z";
constexpr char kUnreconciled[] =
    "Application argocd/shop has not been reconciled since its operation finished at "
    "2026-03-01T10:00:00Z; waiting for Argo CD to refresh it";
constexpr char kSkipped[] =
    "Application argocd/shop has not been reconciled since its operation finished at "
    "2026-03-01T10:00:00Z, because the annotation argocd.argoproj.io/skip-reconcile: \"true\" "
    "tells Argo CD to skip it; remove that";
constexpr char kComparisonError[] =
    "Application argocd/shop has the condition ComparisonError: no such path";
constexpr char kOperationPending[] =
    "Application argocd/shop is being synced: an operation is pending, the one before it finished "
    "at 2026-03-01T10:00:00Z";
constexpr char kOperationRunning[] =
    "Application argocd/shop is being synced since 2026-03-01T09:59:00Z: its operation is not "
    "complete";
constexpr char kAtV1[] =
    "Application argocd/shop: source https://git/shop is at revision \"v1\", expected \"v2\"";

INSTANTIATE_TEST_SUITE_P(
    Problem, EvaluateApplicationTest,
    ::testing::Values(
        Case{"IsQuoted",
             {Problem("status.sync is a number")},
             {},
             kUnknown,
             {"Application argocd/shop could not be understood: status.sync is a number"}},
        Case{"ComesBeforeWhatFollows",
             {Problem("x"), Deleting(), Health("Degraded"), ReconciledAt(std::nullopt)},
             {"v2"},
             kUnknown,
             {"Application argocd/shop could not be understood: x"}}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    Deleting, EvaluateApplicationTest,
    ::testing::Values(Case{"IsUnknown", {Deleting()}, {"v2"}, kUnknown, {kBeingDeleted}},
                      Case{"ComesBeforeReconciliation",
                           {Deleting(), ReconciledAt(std::nullopt)},
                           {},
                           kUnknown,
                           {kBeingDeleted}},
                      Case{"ComesBeforeConditions",
                           {Deleting(), Condition("ComparisonError", "x")},
                           {},
                           kUnknown,
                           {kBeingDeleted}}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    Unreconciled, EvaluateApplicationTest,
    ::testing::Values(
        Case{"Never", {ReconciledAt(std::nullopt)}, {}, kUnknown, {kUnreconciled}, true},
        Case{"ASecondBefore",
             {ReconciledAt(kFinished - absl::Seconds(1))},
             {},
             kUnknown,
             {kUnreconciled},
             true},
        Case{"InTheSameSecondAndSynced", {ReconciledAt(kFinished)}, {"v2"}, kHealthy, {}},
        Case{"InTheSameSecondAndSyncedWithARefreshPending",
             {ReconciledAt(kFinished), RefreshPending()},
             {"v2"},
             kUnknown,
             {kUnreconciled},
             true},
        Case{"ASecondAfterWithARefreshPending",
             {ReconciledAt(kFinished + absl::Seconds(1)), RefreshPending()},
             {"v2"},
             kHealthy,
             {}},
        Case{"InTheSameSecondAndOutOfSync",
             {ReconciledAt(kFinished), Sync("OutOfSync")},
             {},
             kUnknown,
             {kUnreconciled},
             true},
        Case{"InTheSameSecondAndSyncUnknown",
             {ReconciledAt(kFinished), Sync("Unknown")},
             {},
             kUnknown,
             {kUnreconciled},
             true},
        Case{"InTheSameSecondAndNotCompared",
             {ReconciledAt(kFinished), Sync("")},
             {},
             kUnknown,
             {kUnreconciled},
             true},
        Case{"ASecondAfterAndOutOfSync",
             {ReconciledAt(kFinished + absl::Seconds(1)), Sync("OutOfSync")},
             {},
             kHealthy,
             {}},
        Case{"SyncedAndBefore",
             {ReconciledAt(kFinished - absl::Seconds(1)), Sync("Synced")},
             {"v2"},
             kUnknown,
             {kUnreconciled},
             true},
        Case{"AfterAFailedOperation",
             {Phase("Failed"), ReconciledAt(std::nullopt)},
             {},
             kUnknown,
             {kUnreconciled},
             true},
        Case{"WhileARetryIsAwaited",
             {Phase("Running"), PendingSync(), ReconciledAt(std::nullopt)},
             {"v2"},
             kUnknown,
             {kUnreconciled},
             true},
        Case{"SkippingReconcile",
             {SkippingReconcile(), ReconciledAt(std::nullopt)},
             {},
             kUnknown,
             {kSkipped},
             false},
        Case{"SkippingReconcileButReconciled", {SkippingReconcile()}, {"v2"}, kHealthy, {}},
        Case{"ComesBeforeConditions",
             {ReconciledAt(std::nullopt), Condition("ComparisonError", "old")},
             {},
             kUnknown,
             {kUnreconciled},
             true},
        Case{"WithoutAnOperation", {NeverOperated(), ReconciledAt(std::nullopt)}, {}, kHealthy, {}},
        Case{"WhileTheOperationRuns",
             {Phase("Running"), Unfinished(), ReconciledAt(std::nullopt)},
             {},
             kHealthy,
             {}}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    Conditions, EvaluateApplicationTest,
    ::testing::Values(
        Case{"ComparisonError",
             {Condition("ComparisonError", "no such path")},
             {},
             kUnhealthy,
             {kComparisonError}},
        Case{"OnePerConditionInOrder",
             {Condition("InvalidSpecError", ""), Condition("ComparisonError", "no such path")},
             {},
             kUnhealthy,
             {kComparisonError, "Application argocd/shop has the condition InvalidSpecError"}},
        Case{"AnotherType", {Condition("SyncError", "x")}, {"v2"}, kHealthy, {}},
        Case{"ComesBeforeRevisions",
             {Condition("ComparisonError", "no such path"), PendingSync(), Observed({"v1"})},
             {"v2"},
             kUnhealthy,
             {kComparisonError}}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    BeingSynced, EvaluateApplicationTest,
    ::testing::Values(
        Case{"OperationPending", {PendingSync()}, {"v2"}, kUnknown, {kOperationPending}},
        Case{"OperationPendingThatIsNoSync", {PendingOther()}, {"v2"}, kHealthy, {}},
        Case{"NotBegun",
             {PendingSync(), NeverOperated()},
             {"v2"},
             kUnknown,
             {"Application argocd/shop is being synced: its operation has not begun yet; the "
              "Application was created at 2026-03-01T08:00:00Z"}},
        Case{"NeverSynced",
             {NeverOperated()},
             {"v2"},
             kUnknown,
             {"Application argocd/shop has not been synced yet: there is no operation on record; "
              "the Application was created at 2026-03-01T08:00:00Z"}},
        Case{"NeverSyncedAndNobodyKnowsSinceWhen",
             {NeverOperated(), CreationUnknown()},
             {"v2"},
             kUnknown,
             {"Application argocd/shop has not been synced yet: there is no operation on "
              "record"}},
        Case{"Running",
             {PendingSync(), Phase("Running"), Unfinished()},
             {"v2"},
             kUnknown,
             {kOperationRunning}},
        Case{"RunningAndAbandoned",
             {Phase("Running"), Unfinished()},
             {"v2"},
             kUnknown,
             {kOperationRunning}},
        Case{"RunningAndNobodyKnowsSinceWhen",
             {Phase("Running"), Unfinished(), StartUnknown()},
             {"v2"},
             kUnknown,
             {"Application argocd/shop is being synced: its operation is not complete"}},
        Case{"RetryAwaited",
             {PendingSync(), Phase("Running")},
             {"v2"},
             kUnknown,
             {kOperationRunning}},
        Case{"ComesBeforeCounts",
             {PendingSync(), Observed({})},
             {"v2"},
             kUnknown,
             {kOperationPending}},
        Case{"ComesBeforeHealth",
             {PendingSync(), Health("Degraded")},
             {"v2"},
             kUnknown,
             {kOperationPending}},
        Case{"NothingIsDesired", {PendingSync(), NeverOperated()}, {}, kHealthy, {}},
        Case{"NothingIsDesiredOfAnySource", {PendingSync()}, {""}, kHealthy, {}}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    Counts, EvaluateApplicationTest,
    ::testing::Values(
        Case{"FewerSources",
             {},
             {"v2", ""},
             kUnknown,
             {"Application argocd/shop has 1 source and 1 observed revision since its operation "
              "finished at 2026-03-01T10:00:00Z, but 2 desired revisions to compare them with"}},
        Case{"MoreSources",
             {TwoSources()},
             {"v2"},
             kUnknown,
             {"Application argocd/shop has 2 sources and 2 observed revisions since its operation "
              "finished at 2026-03-01T10:00:00Z, but 1 desired revision to compare them with"}},
        Case{"NothingObserved",
             {Observed({})},
             {"v2"},
             kUnknown,
             {"Application argocd/shop has 1 source and 0 observed revisions since its operation "
              "finished at 2026-03-01T10:00:00Z, but 1 desired revision to compare them with"}},
        Case{"MoreObservedThanSources",
             {Observed({"v2", "v3"})},
             {"v2"},
             kUnknown,
             {"Application argocd/shop has 1 source and 2 observed revisions since its operation "
              "finished at 2026-03-01T10:00:00Z, but 1 desired revision to compare them with"}},
        Case{"NoSources",
             {Sources({})},
             {"v2"},
             kUnknown,
             {"Application argocd/shop has 0 sources and 1 observed revision since its operation "
              "finished at 2026-03-01T10:00:00Z, but 1 desired revision to compare them with"}},
        Case{"DoNotMatterWhenNothingIsDesired", {TwoSources(), Observed({})}, {""}, kHealthy, {}}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    Revisions, EvaluateApplicationTest,
    ::testing::Values(
        Case{"Observed", {}, {"v2"}, kHealthy, {}},
        Case{"NotObserved", {Observed({"v1"})}, {"v2"}, kUnhealthy, {kAtV1}},
        Case{"NamedAsTheTargetRevision", {}, {"main"}, kHealthy, {}},
        Case{"NamedAsTheTargetRevisionOfAnotherNumberOfSources",
             {Observed({"v1"}), ComparedTo({"v2", "v2"})},
             {"v2"},
             kUnhealthy,
             {kAtV1}},
        Case{
            "NothingIsComparedTo", {Observed({"v1"}), ComparedTo({})}, {"v2"}, kUnhealthy, {kAtV1}},
        Case{"EachSource",
             {TwoSources()},
             {"v3", "2.0.0"},
             kUnhealthy,
             {"Application argocd/shop: source 1 https://git/shop is at revision \"v2\", expected "
              "\"v3\"",
              "Application argocd/shop: source 2 https://charts chart db is at revision "
              "\"1.2.3\", expected \"2.0.0\""}},
        Case{"OnlyThoseDesired",
             {TwoSources()},
             {"", "2.0.0"},
             kUnhealthy,
             {"Application argocd/shop: source 2 https://charts chart db is at revision "
              "\"1.2.3\", expected \"2.0.0\""}},
        Case{"ThatOfAnotherSourceDoesNotCount",
             {TwoSources()},
             {"", "v2"},
             kUnhealthy,
             {"Application argocd/shop: source 2 https://charts chart db is at revision "
              "\"1.2.3\", expected \"v2\""}},
        Case{"OneObservedAndOneNamed", {TwoSources()}, {"v2", "1.x"}, kHealthy, {}},
        Case{"ComeBeforeHealth",
             {Observed({"v1"}), Health("Degraded")},
             {"v2"},
             kUnhealthy,
             {kAtV1}},
        Case{"NothingIsDesired", {Observed({"v1"})}, {}, kHealthy, {}},
        Case{"NothingIsDesiredOfAnySource", {Observed({"v1"})}, {""}, kHealthy, {}}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    Deployed, EvaluateApplicationTest,
    ::testing::Values(
        Case{"OutOfSyncButDeployed", {Sync("OutOfSync")}, {"v2"}, kHealthy, {}},
        Case{"OutOfSyncAndDeployedByName", {Sync("OutOfSync")}, {"main"}, kHealthy, {}},
        Case{"FailedButDeployed", {Sync("OutOfSync"), Phase("Failed")}, {"v2"}, kHealthy, {}},
        Case{"FailedAndOnlyNamed",
             {Sync("OutOfSync"), Phase("Failed")},
             {"main"},
             kUnhealthy,
             {"Application argocd/shop has sync status OutOfSync, and its last operation (Failed) "
              "deployed "
              "revision \"v2\" of source https://git/shop, expected \"main\""}},
        Case{"AnotherRevision",
             {Sync("OutOfSync"), Deployed({"v1"}, {"main"})},
             {"v2"},
             kUnhealthy,
             {"Application argocd/shop has sync status OutOfSync, and its last operation "
              "(Succeeded) deployed "
              "revision \"v1\" of source https://git/shop, expected \"v2\""}},
        Case{"AnotherRevisionAndSyncUnknown",
             {Sync("Unknown"), Deployed({"v1"}, {"main"})},
             {"v2"},
             kUnhealthy,
             {"Application argocd/shop has sync status Unknown, and its last operation (Succeeded) "
              "deployed "
              "revision \"v1\" of source https://git/shop, expected \"v2\""}},
        Case{"AnotherRevisionAndNotCompared",
             {Sync(""), Deployed({"v1"}, {"main"})},
             {"v2"},
             kUnhealthy,
             {"Application argocd/shop is not compared with its sources, and its last operation "
              "(Succeeded) deployed revision \"v1\" of source https://git/shop, expected \"v2\""}},
        Case{"AnotherRevisionButSynced", {Deployed({"v1"}, {"main"})}, {"v2"}, kHealthy, {}},
        Case{"AnotherNumberOfSources",
             {Sync("OutOfSync"), Deployed({"v2", "v2"}, {})},
             {"v2"},
             kUnhealthy,
             {"Application argocd/shop has sync status OutOfSync, and its last operation "
              "(Succeeded) deployed "
              "2 revisions instead of 1 of source https://git/shop, expected \"v2\""}},
        Case{"Nothing",
             {Sync("OutOfSync"), Phase("Error"), DeployedNothing()},
             {"v2"},
             kUnhealthy,
             {"Application argocd/shop has sync status OutOfSync, and its last operation (Error) "
              "deployed no "
              "revision, expected \"v2\""}},
        Case{"GivenUp",
             {Sync("OutOfSync"), Phase("Running")},
             {"v2"},
             kUnhealthy,
             {"Application argocd/shop has sync status OutOfSync, and its last operation was given "
              "up before it "
              "was complete, expected \"v2\""}},
        Case{"OneOfTwoSources",
             {TwoSources(), Sync("OutOfSync"), Deployed({"v2", "1.0.0"}, {"main", "1.x"})},
             {"v2", "1.2.3"},
             kUnhealthy,
             {"Application argocd/shop has sync status OutOfSync, and its last operation "
              "(Succeeded) deployed "
              "revision \"1.0.0\" of source 2 https://charts chart db, expected \"1.2.3\""}},
        Case{"ComesBeforeHealth",
             {Sync("OutOfSync"), Deployed({"v1"}, {"main"}), Health("Progressing")},
             {"v2"},
             kUnhealthy,
             {"Application argocd/shop has sync status OutOfSync, and its last operation "
              "(Succeeded) deployed "
              "revision \"v1\" of source https://git/shop, expected \"v2\""}},
        Case{"NothingIsDesired", {Sync("OutOfSync"), Deployed({"v1"}, {})}, {}, kHealthy, {}}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    Health, EvaluateApplicationTest,
    ::testing::Values(
        Case{"Healthy", {}, {}, kHealthy, {}},
        Case{"Empty",
             {Health("")},
             {"v2"},
             kProgressing,
             {"Application argocd/shop is progressing: Argo CD has not assessed its health yet"}},
        Case{"Progressing",
             {Health("Progressing")},
             {"v2"},
             kProgressing,
             {"Application argocd/shop has health status Progressing"}},
        Case{"Suspended",
             {Health("Suspended", "paused")},
             {},
             kProgressing,
             {"Application argocd/shop has health status Suspended: paused"}},
        Case{"Degraded",
             {Health("Degraded", "1 of 3 replicas")},
             {"v2"},
             kUnhealthy,
             {"Application argocd/shop has health status Degraded: 1 of 3 replicas"}},
        Case{"Missing",
             {Health("Missing")},
             {},
             kUnhealthy,
             {"Application argocd/shop has health status Missing"}},
        Case{"Unknown",
             {Health("Unknown")},
             {},
             kUnhealthy,
             {"Application argocd/shop has health status Unknown"}},
        Case{"OfANewerArgoCd",
             {Health("Tired")},
             {},
             kUnhealthy,
             {"Application argocd/shop has health status Tired"}}),
    NameOf);

struct AbsentCase {
  const char* name;
  Evidence evidence;
  const char* issue;
};

class AbsentApplicationTest : public ::testing::TestWithParam<AbsentCase> {};

TEST_P(AbsentApplicationTest, IsUnknown) {
  const ApplicationEvaluation evaluation = EvaluateApplication(kShop, {"v2"}, GetParam().evidence);
  EXPECT_EQ(evaluation.health.state(), kUnknown);
  EXPECT_THAT(evaluation.health.issues(), ElementsAre(GetParam().issue));
  EXPECT_THAT(evaluation.health.desired_revisions(), ElementsAre("v2"));
  EXPECT_FALSE(evaluation.wants_refresh);
}

INSTANTIATE_TEST_SUITE_P(
    Evidence, AbsentApplicationTest,
    ::testing::Values(
        AbsentCase{"SinceNobodyKnowsWhen", NotSeen(), "unable to find Application argocd/shop"},
        AbsentCase{"SinceATime", NotSeen(kAbsent),
                   "unable to find Application argocd/shop, UNKNOWN since 2026-03-01T11:40:00Z"},
        AbsentCase{"ForAReason",
                   NotSeen(std::nullopt, std::nullopt, "namespace argocd is not watched"),
                   "unable to find Application argocd/shop: namespace argocd is not watched"},
        AbsentCase{"AndStale", NotSeen(kAbsent, kStale),
                   "Application argocd/shop: nothing was heard of it since "
                   "2026-03-01T11:30:00Z"}),
    [](const auto& test) { return test.param.name; });

TEST(ApplicationWordsTest, AreArgoCds) {
  const Application application =
      Changed({TwoSources(), Health("Degraded", "no pods"), Sync("OutOfSync"), Phase("Failed")});
  const Evidence kinds[] = {Seen(application), Seen(application, kStale)};
  for (const Evidence& evidence : kinds) {
    for (const v1::ApplicationHealth& health :
         {EvaluateApplication(kShop, {"v2", ""}, evidence).health,
          DescribeApplication(kShop, {"v2", ""}, "why", evidence)}) {
      EXPECT_EQ(health.health_status(), "Degraded");
      EXPECT_EQ(health.health_message(), "no pods");
      EXPECT_EQ(health.sync_status(), "OutOfSync");
      EXPECT_EQ(health.operation_phase(), "Failed");
      EXPECT_THAT(health.observed_revisions(), ElementsAre("v2", "1.2.3"));
      EXPECT_THAT(health.desired_revisions(), ElementsAre("v2", ""));
    }
  }
}

TEST(ApplicationWordsTest, AreNotTakenFromWhatWasNotUnderstood) {
  const Application application = Changed({Problem("x")});
  const v1::ApplicationHealth health = EvaluateApplication(kShop, {}, Seen(application)).health;
  EXPECT_EQ(health.health_status(), "");
  EXPECT_EQ(health.sync_status(), "");
  EXPECT_EQ(health.operation_phase(), "");
  EXPECT_THAT(health.observed_revisions(), IsEmpty());
}

TEST(DescribeApplicationTest, TellsWhyAndWhatIsWrongWithTheEvidence) {
  const Application degraded = Changed({Health("Degraded"), Condition("ComparisonError", "x")});
  const Application odd = Changed({Problem("x")});
  const std::string stale =
      "Application argocd/shop: nothing was heard of it since 2026-03-01T11:30:00Z";
  struct {
    const char* name;
    Evidence evidence;
    Strings further;
  } const cases[] = {
      {"there", Seen(degraded), {}},
      {"stale", Seen(degraded, kStale), {stale}},
      {"absent",
       NotSeen(kAbsent),
       {"unable to find Application argocd/shop, UNKNOWN since 2026-03-01T11:40:00Z"}},
      {"absent and stale",
       NotSeen(std::nullopt, kStale),
       {stale, "unable to find Application argocd/shop"}},
      {"not understood", Seen(odd), {"Application argocd/shop could not be understood: x"}},
  };
  for (const auto& c : cases) {
    const v1::ApplicationHealth health = DescribeApplication(kShop, {"v2"}, "why", c.evidence);
    EXPECT_EQ(health.state(), kUnknown) << c.name;
    Strings expected = {"why"};
    expected.insert(expected.end(), c.further.begin(), c.further.end());
    EXPECT_THAT(health.issues(), ElementsAreArray(expected)) << c.name;
  }
}

TEST(MergeTest, TakesTheMoreSevereOfEveryPair) {
  for (std::size_t a = 0; a < std::size(kStates); ++a) {
    for (std::size_t b = 0; b < std::size(kStates); ++b) {
      EXPECT_EQ(Merge(kStates[a], kStates[b]), kStates[std::max(a, b)]) << a << " " << b;
    }
    EXPECT_EQ(Merge(v1::HEALTH_STATE_UNSPECIFIED, kStates[a]), kStates[a]);
    EXPECT_EQ(Merge(kStates[a], v1::HEALTH_STATE_UNSPECIFIED), kStates[a]);
  }
}

// A Stage, the Applications that there are, and its evaluation.
class StageTest : public ::testing::Test {
 protected:
  StageTest() {
    record_.project = "shop";
    record_.stage = "prod";
  }

  void AddApplication(const ApplicationName& name, const std::vector<Change>& changes = {}) {
    Application application = WellApplication(name);
    for (const Change& change : changes) change(application);
    applications_[name] = std::move(application);
  }
  void AddCheck(const ApplicationName& name, const Strings& desired = {"v2"}) {
    record_.health_checks.push_back(
        {.application = name, .promotion = "p1", .desired_revisions = desired});
  }
  void SetPromotion(v1::PromotionPhase phase, const std::string& message = "") {
    record_.promotion = {.name = "p1",
                         .phase = phase,
                         .message = message,
                         .update_time = At(11, 50),
                         .reported = false};
  }
  void AddIndicator(const std::string& name, v1::HealthState state, const std::string& message = "",
                    std::optional<absl::Time> expire_time = std::nullopt) {
    record_.indicators.push_back({.name = name,
                                  .state = state,
                                  .message = message,
                                  .report_time = At(11, 55),
                                  .expire_time = expire_time});
  }

  Evidence Find(const ApplicationName& name) {
    const auto found = applications_.find(name);
    return found == applications_.end() ? NotSeen(kAbsent) : Seen(found->second);
  }
  StageEvaluation Evaluate(absl::Time now = kNow) {
    return EvaluateStage(
        record_, [this](const ApplicationName& name) { return Find(name); }, now);
  }

  stages::StageRecord record_;
  std::map<ApplicationName, Application> applications_;
};

// An Application, a promotion or an indicator that is in the state; nothing yields NOT_APPLICABLE
// but an indicator.
Change ApplicationIn(v1::HealthState state) {
  switch (state) {
    case kProgressing:
      return Health("Progressing");
    case kUnknown:
      return Deleting();
    case kUnhealthy:
      return Health("Degraded");
    default:
      return Health("Healthy");
  }
}
v1::PromotionPhase PhaseThatImplies(v1::HealthState state) {
  switch (state) {
    case kUnknown:
      return v1::PROMOTION_PHASE_ABORTED;
    case kUnhealthy:
      return v1::PROMOTION_PHASE_FAILED;
    default:
      return v1::PROMOTION_PHASE_SUCCEEDED;
  }
}

TEST_F(StageTest, IsAsBadAsTheWorstOfItsParts) {
  for (const v1::HealthState application : {kHealthy, kProgressing, kUnknown, kUnhealthy}) {
    for (const v1::HealthState promotion : {kHealthy, kUnknown, kUnhealthy}) {
      for (const v1::HealthState indicator : kStates) {
        record_.health_checks.clear();
        record_.indicators.clear();
        AddApplication(kShop, {ApplicationIn(application)});
        AddCheck(kShop);
        SetPromotion(PhaseThatImplies(promotion));
        AddIndicator("canary", indicator);
        EXPECT_EQ(Evaluate().health.state(), Merge(Merge(application, promotion), indicator))
            << application << " " << promotion << " " << indicator;
      }
    }
  }
}

TEST_F(StageTest, IsAsBadAsTheWorseOfTwoApplications) {
  const ApplicationName other = {"argocd", "bank"};
  AddCheck(kShop);
  AddCheck(other);
  for (const v1::HealthState a : {kHealthy, kProgressing, kUnknown, kUnhealthy}) {
    for (const v1::HealthState b : {kHealthy, kProgressing, kUnknown, kUnhealthy}) {
      AddApplication(kShop, {ApplicationIn(a)});
      AddApplication(other, {ApplicationIn(b)});
      EXPECT_EQ(Evaluate().health.state(), Merge(a, b)) << a << " " << b;
    }
  }
}

TEST_F(StageTest, IsAsBadAsTheWorseOfTwoIndicators) {
  for (const v1::HealthState a : kStates) {
    for (const v1::HealthState b : kStates) {
      record_.indicators.clear();
      AddIndicator("a", a);
      AddIndicator("b", b);
      EXPECT_EQ(Evaluate().health.state(), Merge(a, b)) << a << " " << b;
    }
  }
}

struct FromBeforeCase {
  const char* name;
  const char* seen_version;  // the evidence is of "100" and finished at 10:00
  std::optional<absl::Time> seen_finished_at;
  std::vector<Change> changes;
  v1::HealthState expected;
};

class FromBeforeTest : public StageTest, public ::testing::WithParamInterface<FromBeforeCase> {};

// A registered check says what was read when the step had succeeded.
TEST_P(FromBeforeTest, OlderEvidenceTellsNothingOfWhatWasPromoted) {
  AddApplication(kShop, GetParam().changes);
  AddCheck(kShop);
  SetPromotion(v1::PROMOTION_PHASE_SUCCEEDED);
  record_.health_checks[0].resource_version = GetParam().seen_version;
  record_.health_checks[0].finished_at = GetParam().seen_finished_at;
  const StageEvaluation evaluation = Evaluate();
  EXPECT_EQ(evaluation.health.state(), GetParam().expected);
  EXPECT_EQ(evaluation.health.applications(0).state(), GetParam().expected);
  if (GetParam().expected == kUnknown) {
    EXPECT_THAT(evaluation.health.issues(),
                ElementsAre("Application argocd/shop was last heard of before promotion p1 "
                            "succeeded, UNKNOWN since 2026-03-01T11:50:00Z: waiting for the watch "
                            "to bring resourceVersion 101, it is at 100"));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Evidence, FromBeforeTest,
    ::testing::Values(
        FromBeforeCase{"FromBefore", "101", kFinished + absl::Seconds(1), {}, kUnknown},
        FromBeforeCase{"WithoutAnyOperation",
                       "101",
                       kFinished,
                       {[](Application& app) { app.operation_state.reset(); }},
                       kUnknown},
        FromBeforeCase{"TheSameVersion", "100", kFinished + absl::Seconds(1), {}, kHealthy},
        FromBeforeCase{"ANewerOne", "99", kFinished + absl::Seconds(1), {}, kHealthy},
        FromBeforeCase{"AnOlderVersionAfterTheSameOperation", "101", kFinished, {}, kHealthy},
        FromBeforeCase{"ARecordOfAnOlderGantry", "", std::nullopt, {}, kHealthy}),
    [](const auto& test) { return test.param.name; });

TEST_F(StageTest, WithoutAnythingIsHealthy) {
  const StageEvaluation evaluation = Evaluate();
  EXPECT_EQ(evaluation.health.project(), "shop");
  EXPECT_EQ(evaluation.health.stage(), "prod");
  EXPECT_EQ(evaluation.health.state(), kHealthy);
  EXPECT_THAT(evaluation.health.issues(), IsEmpty());
  EXPECT_FALSE(evaluation.health.has_promotion());
  EXPECT_FALSE(evaluation.health.has_transition_time());
  EXPECT_THAT(evaluation.wants_refresh, IsEmpty());
  EXPECT_EQ(evaluation.next_expiry, std::nullopt);
}

TEST_F(StageTest, TellsItsIssuesInOrder) {
  SetPromotion(v1::PROMOTION_PHASE_FAILED, "a hook failed");
  AddIndicator("load", kProgressing, "warming up");
  AddIndicator("canary", kUnhealthy, "5xx");
  AddIndicator("smoke", kHealthy, "fine");
  AddCheck({"b", "x"});
  AddCheck({"a", "y"}, {"v3"});
  AddCheck({"a", "x"});
  AddApplication({"b", "x"}, {Health("Degraded")});
  AddApplication({"a", "y"}, {Observed({"v1"})});
  AddApplication({"a", "x"},
                 {Condition("ComparisonError", "one"), Condition("InvalidSpecError", "two")});
  const v1::StageHealth health = Evaluate().health;
  EXPECT_THAT(
      health.issues(),
      ElementsAre(
          "promotion p1 failed: a hook failed",
          "Application a/x has the condition ComparisonError: one",
          "Application a/x has the condition InvalidSpecError: two",
          "Application a/y: source https://git/shop is at revision \"v1\", expected \"v3\"",
          "Application b/x has health status Degraded",
          "indicator canary is Unhealthy, reported since 2026-03-01T11:55:00Z: 5xx",
          "indicator load is Progressing, reported since 2026-03-01T11:55:00Z: warming up"));
  Strings applications;
  for (const auto& application : health.applications()) {
    applications.push_back(application.namespace_() + "/" + application.name());
  }
  EXPECT_THAT(applications, ElementsAre("a/x", "a/y", "b/x"));
  Strings indicators;
  for (const auto& indicator : health.indicators()) indicators.push_back(indicator.name());
  EXPECT_THAT(indicators, ElementsAre("canary", "load", "smoke"));
}

struct PromotionCase {
  const char* name;
  v1::PromotionPhase phase;
  const char* message;
  v1::HealthState state;
  Strings issues;
};

class PromotionTest : public StageTest, public ::testing::WithParamInterface<PromotionCase> {};

TEST_P(PromotionTest, CountsByItsPhase) {
  SetPromotion(GetParam().phase, GetParam().message);
  const v1::StageHealth health = Evaluate().health;
  EXPECT_EQ(health.state(), GetParam().state);
  EXPECT_THAT(health.issues(), ElementsAreArray(GetParam().issues));
  EXPECT_EQ(health.promotion().name(), "p1");
  EXPECT_EQ(health.promotion().phase(), GetParam().phase);
  EXPECT_EQ(health.promotion().message(), GetParam().message);
  EXPECT_EQ(health.promotion().update_time().seconds(), absl::ToUnixSeconds(At(11, 50)));
  EXPECT_EQ(health.promotion().update_time().nanos(), 0);
}

TEST_P(PromotionTest, LetsTheChecksBeEvaluatedUnlessItIsRunning) {
  SetPromotion(GetParam().phase, GetParam().message);
  AddCheck(kShop);
  AddApplication(kShop, {Health("Degraded")});
  const v1::StageHealth health = Evaluate().health;
  const bool running = GetParam().phase == v1::PROMOTION_PHASE_RUNNING;
  EXPECT_EQ(health.state(), running ? kUnknown : kUnhealthy);
  EXPECT_EQ(health.applications(0).state(), running ? kUnknown : kUnhealthy);
  EXPECT_EQ(health.applications(0).health_status(), "Degraded");
  Strings issues = GetParam().issues;
  if (!running) issues.emplace_back("Application argocd/shop has health status Degraded");
  EXPECT_THAT(health.issues(), ElementsAreArray(issues));
}

INSTANTIATE_TEST_SUITE_P(
    Phases, PromotionTest,
    ::testing::Values(
        PromotionCase{"Running",
                      v1::PROMOTION_PHASE_RUNNING,
                      "tests",
                      kUnknown,
                      {"the Stage cannot be assessed while promotion p1 is in progress, last heard "
                       "of at 2026-03-01T11:50:00Z"}},
        PromotionCase{"Succeeded", v1::PROMOTION_PHASE_SUCCEEDED, "fine", kHealthy, {}},
        PromotionCase{"Failed",
                      v1::PROMOTION_PHASE_FAILED,
                      "a hook failed",
                      kUnhealthy,
                      {"promotion p1 failed: a hook failed"}},
        PromotionCase{
            "FailedInSilence", v1::PROMOTION_PHASE_FAILED, "", kUnhealthy, {"promotion p1 failed"}},
        PromotionCase{"Errored",
                      v1::PROMOTION_PHASE_ERRORED,
                      "no git",
                      kUnhealthy,
                      {"promotion p1 ended in an error: no git"}},
        PromotionCase{"Aborted",
                      v1::PROMOTION_PHASE_ABORTED,
                      "by hand",
                      kUnknown,
                      {"promotion p1 was aborted, last heard of at 2026-03-01T11:50:00Z: by hand"}},
        PromotionCase{"InNoPhase",
                      v1::PROMOTION_PHASE_UNSPECIFIED,
                      "",
                      kUnknown,
                      {"the phase of promotion p1 is not known, last heard of at "
                       "2026-03-01T11:50:00Z"}}),
    [](const auto& test) { return test.param.name; });

TEST_F(StageTest, DoesNotNameATimeOfThePromotionThatIsNotKnown) {
  SetPromotion(v1::PROMOTION_PHASE_RUNNING);
  record_.promotion.update_time = absl::UnixEpoch();
  const v1::StageHealth health = Evaluate().health;
  EXPECT_THAT(health.issues(),
              ElementsAre("the Stage cannot be assessed while promotion p1 is in progress"));
  EXPECT_FALSE(health.promotion().has_update_time());
}

TEST_F(StageTest, WhilePromotingTellsOnlyWhatIsWrongWithTheEvidence) {
  SetPromotion(v1::PROMOTION_PHASE_RUNNING);
  AddCheck(kShop);
  AddCheck({"argocd", "bank"});
  AddApplication(kShop, {ReconciledAt(std::nullopt)});
  const StageEvaluation evaluation = Evaluate();
  EXPECT_THAT(evaluation.health.issues(),
              ElementsAre("the Stage cannot be assessed while promotion p1 is in progress, last "
                          "heard of at 2026-03-01T11:50:00Z",
                          "unable to find Application argocd/bank, UNKNOWN since "
                          "2026-03-01T11:40:00Z"));
  EXPECT_THAT(evaluation.wants_refresh, IsEmpty());
  ASSERT_THAT(evaluation.health.applications(), SizeIs(2));
  EXPECT_THAT(evaluation.health.applications(1).issues(),
              ElementsAre("Application argocd/shop is not evaluated while promotion p1 is in "
                          "progress, last heard of at 2026-03-01T11:50:00Z"));
}

TEST_F(StageTest, CountsIndicatorsWhilePromoting) {
  SetPromotion(v1::PROMOTION_PHASE_RUNNING);
  AddIndicator("canary", kUnhealthy);
  EXPECT_EQ(Evaluate().health.state(), kUnhealthy);
}

TEST_F(StageTest, NamesTheApplicationsToBeRefreshed) {
  AddCheck({"argocd", "a"});
  AddCheck({"argocd", "b"});
  AddCheck({"argocd", "c"});
  AddApplication({"argocd", "a"}, {ReconciledAt(std::nullopt)});
  AddApplication({"argocd", "b"});
  AddApplication({"argocd", "c"}, {ReconciledAt(kFinished - absl::Seconds(1))});
  EXPECT_THAT(Evaluate().wants_refresh,
              ElementsAre(ApplicationName{"argocd", "a"}, ApplicationName{"argocd", "c"}));
}

struct IndicatorCase {
  const char* name;
  v1::HealthState state;
  const char* message;
  std::optional<absl::Time> expire_time;
  v1::HealthState expected;
  Strings issues;
  bool expires;  // in the future
};

class IndicatorTest : public StageTest, public ::testing::WithParamInterface<IndicatorCase> {};

TEST_P(IndicatorTest, CountsUntilItExpires) {
  AddIndicator("canary", GetParam().state, GetParam().message, GetParam().expire_time);
  const StageEvaluation evaluation = Evaluate();
  EXPECT_EQ(evaluation.health.state(), GetParam().expected);
  EXPECT_THAT(evaluation.health.issues(), ElementsAreArray(GetParam().issues));
  const v1::HealthIndicator& told = evaluation.health.indicators(0);
  EXPECT_EQ(told.name(), "canary");
  EXPECT_EQ(told.state(), GetParam().expected);
  EXPECT_EQ(told.message(), GetParam().message);
  EXPECT_EQ(told.has_expire_time(), GetParam().expire_time.has_value());
  if (GetParam().expire_time) {
    EXPECT_EQ(told.expire_time().seconds(), absl::ToUnixSeconds(*GetParam().expire_time));
  }
  EXPECT_EQ(evaluation.next_expiry, GetParam().expires ? GetParam().expire_time : std::nullopt);
}

INSTANTIATE_TEST_SUITE_P(
    Indicators, IndicatorTest,
    ::testing::Values(
        IndicatorCase{"Healthy", kHealthy, "fine", std::nullopt, kHealthy, {}, false},
        IndicatorCase{"NotApplicable",
                      kNotApplicable,
                      "no traffic",
                      std::nullopt,
                      kNotApplicable,
                      {"indicator canary is NotApplicable, reported since 2026-03-01T11:55:00Z: no "
                       "traffic"},
                      false},
        IndicatorCase{"Progressing",
                      kProgressing,
                      "",
                      std::nullopt,
                      kProgressing,
                      {"indicator canary is Progressing, reported since 2026-03-01T11:55:00Z"},
                      false},
        IndicatorCase{"Unknown",
                      kUnknown,
                      "",
                      std::nullopt,
                      kUnknown,
                      {"indicator canary is Unknown, reported since 2026-03-01T11:55:00Z"},
                      false},
        IndicatorCase{"Unhealthy",
                      kUnhealthy,
                      "5xx",
                      std::nullopt,
                      kUnhealthy,
                      {"indicator canary is Unhealthy, reported since 2026-03-01T11:55:00Z: 5xx"},
                      false},
        IndicatorCase{
            "InNoState",
            v1::HEALTH_STATE_UNSPECIFIED,
            "",
            std::nullopt,
            kUnknown,
            {"indicator canary is in no known state, reported since 2026-03-01T11:55:00Z"},
            false},
        IndicatorCase{"BeforeItExpires", kHealthy, "fine", At(12, 0, 1), kHealthy, {}, true},
        IndicatorCase{"WhenItExpires",
                      kHealthy,
                      "fine",
                      kNow,
                      kUnknown,
                      {"indicator canary expired at 2026-03-01T12:00:00Z; it was Healthy, reported "
                       "since 2026-03-01T11:55:00Z: fine"},
                      false},
        IndicatorCase{"LongExpired",
                      kUnhealthy,
                      "5xx",
                      At(11, 56),
                      kUnknown,
                      {"indicator canary expired at 2026-03-01T11:56:00Z; it was Unhealthy, "
                       "reported since 2026-03-01T11:55:00Z: 5xx"},
                      false}),
    [](const auto& test) { return test.param.name; });

TEST_F(StageTest, DoesNotNameATimeOfAReportThatIsNotKnown) {
  AddIndicator("canary", kUnknown);
  record_.indicators[0].report_time = absl::UnixEpoch();
  EXPECT_THAT(Evaluate().health.issues(), ElementsAre("indicator canary is Unknown"));
}

TEST_F(StageTest, TellsWhenTheNextIndicatorExpires) {
  AddIndicator("a", kHealthy, "", At(13, 0));
  AddIndicator("b", kHealthy, "", At(12, 30));
  AddIndicator("c", kHealthy, "", At(11, 0));
  AddIndicator("d", kHealthy);
  AddIndicator("e", kHealthy, "", At(12, 45));
  EXPECT_EQ(Evaluate().next_expiry, At(12, 30));
  EXPECT_EQ(Evaluate(At(12, 30)).next_expiry, At(12, 45));
  EXPECT_EQ(Evaluate(At(14, 0)).next_expiry, std::nullopt);
}

TEST_F(StageTest, IsTheSameWhenOnlyTheClockMovesOn) {
  AddIndicator("canary", kUnhealthy, "5xx");
  AddIndicator("load", kHealthy, "", At(11, 0));
  SetPromotion(v1::PROMOTION_PHASE_ABORTED, "by hand");
  AddCheck(kShop);
  AddCheck({"argocd", "bank"});
  AddApplication(kShop);
  const std::string before = Evaluate().health.SerializeAsString();
  applications_[kShop].resource_version = "101";
  *applications_[kShop].reconciled_at += absl::Minutes(3);
  record_.promotion.reported = true;
  EXPECT_EQ(Evaluate(kNow + absl::Hours(5)).health.SerializeAsString(), before);
}

// The checks that a caller brings, as JSON.
class HealthChecksTest : public StageTest {
 protected:
  void AddHealthCheck(const std::string& uses, const std::string& input) {
    v1::HealthCheck& check = *checks_.Add();
    check.set_uses(uses);
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(input, check.mutable_input()).ok())
        << input;
  }
  v1::StageHealth EvaluateChecks() {
    return EvaluateHealthChecks("shop", "prod", checks_, "argocd",
                                [this](const ApplicationName& name) { return Find(name); });
  }

  google::protobuf::RepeatedPtrField<v1::HealthCheck> checks_;
};

TEST_F(HealthChecksTest, WithoutAnyIsHealthy) {
  const v1::StageHealth health = EvaluateChecks();
  EXPECT_EQ(health.state(), kHealthy);
  EXPECT_EQ(health.project(), "shop");
  EXPECT_EQ(health.stage(), "prod");
  EXPECT_THAT(health.issues(), IsEmpty());
}

TEST_F(HealthChecksTest, EvaluatesTheApplicationsInOrder) {
  AddApplication(kShop);
  AddApplication({"apps", "a"}, {Health("Progressing")});
  AddHealthCheck("argocd-update",
                 R"({"apps": [{"name": "shop", "namespace": "argocd", "desiredRevisions": ["v2"]},
                              {"name": "a", "namespace": "apps"}]})");
  AddHealthCheck("argocd-update", R"({"apps": [{"name": "bank", "desiredRevisions": [""]}]})");
  const v1::StageHealth health = EvaluateChecks();
  EXPECT_EQ(health.state(), kUnknown);
  EXPECT_THAT(health.issues(), ElementsAre("Application apps/a has health status Progressing",
                                           "unable to find Application argocd/bank, UNKNOWN since "
                                           "2026-03-01T11:40:00Z"));
  ASSERT_THAT(health.applications(), SizeIs(3));
  EXPECT_EQ(health.applications(0).name(), "a");
  EXPECT_EQ(health.applications(0).state(), kProgressing);
  EXPECT_EQ(health.applications(1).name(), "bank");
  EXPECT_EQ(health.applications(1).namespace_(), "argocd");
  EXPECT_EQ(health.applications(2).name(), "shop");
  EXPECT_EQ(health.applications(2).state(), kHealthy);
  EXPECT_FALSE(health.has_promotion());
  EXPECT_THAT(health.indicators(), IsEmpty());
}

TEST_F(HealthChecksTest, MergesTheSameApplicationPerSource) {
  struct {
    const char* name;
    std::vector<const char*> revisions;
    Strings desired;
  } const cases[] = {
      {"once", {R"(["v1", ""])"}, {"v1", ""}},
      {"the later one wins", {R"(["v1"])", R"(["v2"])"}, {"v2"}},
      {"an empty one does not", {R"(["v1", ""])", R"(["", "w1"])"}, {"v1", "w1"}},
      {"of three", {R"(["v1", ""])", R"(["", "w1"])", R"(["v2", ""])"}, {"v2", "w1"}},
      {"nor none", {R"(["v1"])", "[]"}, {"v1"}},
      {"nor several empty ones", {R"(["v1"])", R"(["", ""])"}, {"v1"}},
      {"none first", {"[]", R"(["v1"])"}, {"v1"}},
      {"another number replaces", {R"(["v1", "w1"])", R"(["v2"])"}, {"v2"}},
  };
  for (const auto& c : cases) {
    checks_.Clear();
    for (const char* revisions : c.revisions) {
      AddHealthCheck(
          "argocd-update",
          std::string(R"({"apps": [{"name": "shop", "desiredRevisions": )") + revisions + "}]}");
    }
    const v1::StageHealth health = EvaluateChecks();
    ASSERT_THAT(health.applications(), SizeIs(1)) << c.name;
    EXPECT_THAT(health.applications(0).desired_revisions(), ElementsAreArray(c.desired)) << c.name;
  }
}

struct MalformedCase {
  const char* name;
  const char* uses;
  const char* input;
  Strings issues;
};

class MalformedCheckTest : public HealthChecksTest,
                           public ::testing::WithParamInterface<MalformedCase> {};

TEST_P(MalformedCheckTest, IsUnknownAndSaysWhatIsWrong) {
  AddHealthCheck(GetParam().uses, GetParam().input);
  v1::StageHealth health = EvaluateChecks();
  EXPECT_EQ(health.state(), kUnknown);
  EXPECT_THAT(health.issues(), ElementsAreArray(GetParam().issues));
  EXPECT_THAT(health.applications(), IsEmpty());

  // Nor does a good one beside it help.
  AddApplication(kShop);
  AddHealthCheck("argocd-update", R"({"apps": [{"name": "shop", "desiredRevisions": ["v2"]}]})");
  health = EvaluateChecks();
  EXPECT_EQ(health.state(), kUnknown);
  EXPECT_THAT(health.issues(), ElementsAreArray(GetParam().issues));
  ASSERT_THAT(health.applications(), SizeIs(1));
  EXPECT_EQ(health.applications(0).state(), kHealthy);
}

constexpr char kUpdate[] = "argocd-update";

INSTANTIATE_TEST_SUITE_P(
    Checks, MalformedCheckTest,
    ::testing::Values(
        MalformedCase{"UnknownUses",
                      "http",
                      R"({"apps": [{"name": "shop"}]})",
                      {"health_checks[0].uses is \"http\", expected argocd-update"}},
        MalformedCase{
            "NoUses", "", "{}", {"health_checks[0].uses is \"\", expected argocd-update"}},
        MalformedCase{"NoInput",
                      kUpdate,
                      "{}",
                      {"health_checks[0].input.apps is missing, expected a list of Applications"}},
        MalformedCase{"NullApps",
                      kUpdate,
                      R"({"apps": null})",
                      {"health_checks[0].input.apps is missing, expected a list of Applications"}},
        MalformedCase{"AppsAreText",
                      kUpdate,
                      R"({"apps": "shop"})",
                      {"health_checks[0].input.apps is not a list"}},
        MalformedCase{"NoApps",
                      kUpdate,
                      R"({"apps": []})",
                      {"health_checks[0].input.apps is empty, expected at least one Application"}},
        MalformedCase{"AppIsText",
                      kUpdate,
                      R"({"apps": ["shop"]})",
                      {"health_checks[0].input.apps[0] is not an object"}},
        MalformedCase{"NoName",
                      kUpdate,
                      R"({"apps": [{"namespace": "argocd"}]})",
                      {"health_checks[0].input.apps[0].name is missing, expected a text"}},
        MalformedCase{"EmptyName",
                      kUpdate,
                      R"({"apps": [{"name": ""}]})",
                      {"health_checks[0].input.apps[0].name is empty"}},
        MalformedCase{"NameIsANumber",
                      kUpdate,
                      R"({"apps": [{"name": 1}]})",
                      {"health_checks[0].input.apps[0].name is not a text"}},
        MalformedCase{"EmptyNamespace",
                      kUpdate,
                      R"({"apps": [{"name": "shop", "namespace": ""}]})",
                      {"health_checks[0].input.apps[0].namespace is empty"}},
        MalformedCase{"NamespaceIsAnObject",
                      kUpdate,
                      R"({"apps": [{"name": "shop", "namespace": {}}]})",
                      {"health_checks[0].input.apps[0].namespace is not a text"}},
        MalformedCase{"RevisionsAreText",
                      kUpdate,
                      R"({"apps": [{"name": "shop", "desiredRevisions": "v2"}]})",
                      {"health_checks[0].input.apps[0].desiredRevisions is not a list"}},
        MalformedCase{"RevisionIsNull",
                      kUpdate,
                      R"({"apps": [{"name": "shop", "desiredRevisions": ["v2", null]}]})",
                      {"health_checks[0].input.apps[0].desiredRevisions[1] is not a text"}},
        MalformedCase{"OtherFields",
                      kUpdate,
                      R"({"zeal": 1, "apps": [{"name": ""}], "all": true})",
                      {"health_checks[0].input.all is not a field of a health check",
                       "health_checks[0].input.zeal is not a field of a health check",
                       "health_checks[0].input.apps[0].name is empty"}}),
    [](const auto& test) { return test.param.name; });

TEST_F(HealthChecksTest, AMisspelledFieldDoesNotMakeAnApplicationHealthy) {
  AddApplication(kShop);
  AddHealthCheck(kUpdate, R"({"apps": [{"name": "shop", "desiredRevision": ["v9"]}]})");
  const v1::StageHealth health = EvaluateChecks();
  EXPECT_EQ(health.state(), kUnknown);
  EXPECT_THAT(health.issues(), ElementsAre(HasSubstr("apps[0].desiredRevision is not a field")));
}

}  // namespace
}  // namespace gantry::health
