// SPDX-License-Identifier: Apache-2.0
#include "server/steps/argocd_update/decide.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "tests/server/argocd/documents.h"

namespace gantry::steps {

std::ostream& operator<<(std::ostream& out, Decision::Kind kind) {
  constexpr const char* kNames[] = {
      "Done",     "OperationRunning",  "OtherOperationRunning", "AwaitingRetry",     "Write",
      "Deleting", "ReconcileDisabled", "OperationFailed",       "RevisionNotReached"};
  return out << kNames[static_cast<int>(kind)];
}

namespace {

using argocd::documents::ApplicationDocument;
using argocd::documents::json;
using argocd::documents::ParseDocument;
using ::testing::HasSubstr;
using Kind = Decision::Kind;
using Strings = std::vector<std::string>;

// Every test runs for promotion "p-1" at this time; operations finished an hour before it unless
// they say otherwise.
const absl::Time kNow =
    absl::FromCivil(absl::CivilSecond(2026, 3, 1, 12, 0, 0), absl::UTCTimeZone());

std::string TimeText(absl::Time time) {
  return absl::FormatTime(absl::RFC3339_full, time, absl::UTCTimeZone());
}

constexpr int kNoAttempt = -1;  // an operation without the entry `gantry.dev/attempt`

// Builders of the parts of an Application that are decided by.

json OperationBy(const char* promotion, int attempt = 1) {
  json operation = {
      {"initiatedBy", {{"username", "gantry"}, {"automated", true}}},
      {"info", json::array({{{"name", "Reason"}, {"value", "x"}},
                            {{"name", "kargo.akuity.io/promotion"}, {"value", promotion}}})},
      {"sync", json::object()}};
  if (attempt != kNoAttempt) {
    operation["info"].push_back(
        {{"name", "gantry.dev/attempt"}, {"value", std::to_string(attempt)}});
  }
  return operation;
}
json Ours(int attempt = 1) { return OperationBy("p-1", attempt); }
json OursWithAttempt(const char* text) {
  json operation = Ours(kNoAttempt);
  operation["info"].push_back({{"name", "gantry.dev/attempt"}, {"value", text}});
  return operation;
}
json AnotherPromotions() { return OperationBy("p-0", 1); }
json SelfHeal() { return {{"initiatedBy", {{"automated", true}}}, {"sync", json::object()}}; }
json Alices() { return {{"initiatedBy", {{"username", "alice"}}}, {"sync", json::object()}}; }

// `sync_result` is a JSON literal, or "" for none.
json State(const char* phase, json operation, std::string_view sync_result,
           absl::Duration finished_ago = absl::Hours(1)) {
  json state = {{"phase", phase},
                {"message", "Argo CD's words"},
                {"finishedAt", TimeText(kNow - finished_ago)},
                {"operation", std::move(operation)}};
  if (!sync_result.empty()) state["syncResult"] = json::parse(sync_result);
  return state;
}
json Unfinished(const char* phase, json operation) {
  return {{"phase", phase}, {"message", "Argo CD's words"}, {"operation", std::move(operation)}};
}

constexpr std::string_view kV1 = R"({"revision": "v1"})";
constexpr std::string_view kV2 = R"({"revision": "v2"})";

struct Case {
  std::string name;
  json operation = nullptr;  // `.operation`
  json state = nullptr;      // `.status.operationState`
  stages::AttemptRecord record = {};
  Strings desired = {"v2"};
  Strings given = {""};
  bool spec_differs = false;
  int max_attempts = 5;
  const char* changes = "{}";  // to the rest of the Application

  Kind expected = Kind::kDone;
  int attempt = 0;        // of kWrite and kAwaitingRetry
  int last_attempt = -1;  // -1: not looked at
  absl::Duration retry_after = absl::ZeroDuration();
  Strings message = {};  // parts of it
  Strings not_in_message = {};
};

// Two sources, and what they are at.
constexpr const char* kTwoSources =
    R"({"spec": {"sources": [{"repoURL": "a", "targetRevision": "main"},
                             {"repoURL": "b", "targetRevision": "1.*"}]}})";

void Check(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    json document = ApplicationDocument(c.changes);
    if (!c.operation.is_null()) document["operation"] = c.operation;
    if (!c.state.is_null()) document["status"]["operationState"] = c.state;
    const argocd::Application application = ParseDocument(document);
    ASSERT_EQ(application.sources.size(), c.desired.size());
    std::vector<argocd::DesiredSource> desired(c.desired.size());
    for (std::size_t i = 0; i < desired.size(); ++i) {
      desired[i].revision = c.desired[i];
      if (c.given != Strings{""}) desired[i].target_revision = c.given[i];
    }

    const Decision verdict = Decide({.application = application,
                                     .promotion = "p-1",
                                     .record = c.record,
                                     .desired_revisions = c.desired,
                                     .desired = desired,
                                     .spec_differs = c.spec_differs,
                                     .max_attempts = c.max_attempts,
                                     .now = kNow});
    EXPECT_EQ(verdict.kind, c.expected) << verdict.message;
    EXPECT_EQ(verdict.attempt, c.attempt);
    if (c.last_attempt >= 0) {
      EXPECT_EQ(verdict.last_attempt, c.last_attempt);
    }
    EXPECT_EQ(verdict.retry_after, c.retry_after);
    EXPECT_THAT(verdict.message, HasSubstr("argocd/shop"));
    for (const std::string& part : c.message) EXPECT_THAT(verdict.message, HasSubstr(part));
    for (const std::string& part : c.not_in_message) {
      EXPECT_THAT(verdict.message, ::testing::Not(HasSubstr(part)));
    }
  }
}

constexpr const char* kDeleting = R"({"metadata": {"deletionTimestamp": "2026-03-01T11:59:00Z"}})";
constexpr const char* kSkipReconcile =
    R"({"metadata": {"annotations": {"argocd.argoproj.io/skip-reconcile": "true"}}})";

// The table of the design, row by row. Of two rows that apply, the earlier one decides.

TEST(DecideTest, WhatIsRecordedAsDoneStaysDone) {
  Check({
      {.name = "nothing on the Application", .record = {.last = 1, .done = true}},
      {.name = "even when it is being deleted",
       .record = {.last = 1, .done = true},
       .changes = kDeleting},
      {.name = "even when an operation of ours is set",
       .operation = Ours(),
       .record = {.last = 1, .done = true}},
      {.name = "even when an operation of another is set",
       .operation = Alices(),
       .record = {.last = 1, .done = true}},
      {.name = "even when Argo CD failed since",
       .state = State("Failed", SelfHeal(), kV1),
       .record = {.last = 1, .done = true}},
      {.name = "even when the spec was changed back",
       .state = State("Succeeded", Alices(), kV1),
       .record = {.last = 1, .done = true},
       .given = {"v2"},
       .spec_differs = true,
       .changes = kSkipReconcile},
      {.name = "even after the last attempt",
       .state = State("Failed", Ours(5), kV1),
       .record = {.last = 5, .done = true}},
  });
}

TEST(DecideTest, AnApplicationBeingDeleted) {
  Check({
      {.name = "to be written", .changes = kDeleting, .expected = Kind::kDeleting},
      {.name = "with an operation of ours",
       .operation = Ours(),
       .changes = kDeleting,
       .expected = Kind::kDeleting},
      {.name = "with an operation of another",
       .operation = Alices(),
       .changes = kDeleting,
       .expected = Kind::kDeleting},
      {.name = "with our operation Succeeded, before anyone recorded it",
       .state = State("Succeeded", Ours(), kV2),
       .record = {.last = 1},
       .changes = kDeleting,
       .expected = Kind::kDeleting},
      {.name = "and skipped",
       .changes = R"({"metadata": {"deletionTimestamp": "2026-03-01T11:59:00Z",
                      "annotations": {"argocd.argoproj.io/skip-reconcile": "true"}}})",
       .expected = Kind::kDeleting},
      {.name = "a null deletionTimestamp is none",
       .changes = R"({"metadata": {"deletionTimestamp": null}})",
       .expected = Kind::kWrite,
       .attempt = 1},
  });
}

TEST(DecideTest, AnOperationOfThisPromotionIsWaitedFor) {
  Check({
      {.name = "not taken up yet",
       .operation = Ours(),
       .record = {.last = 1},
       .expected = Kind::kOperationRunning,
       .not_in_message = {"Argo CD's words"}},
      {.name = "Running",
       .operation = Ours(),
       .state = Unfinished("Running", Ours()),
       .record = {.last = 1},
       .expected = Kind::kOperationRunning,
       .message = {"Argo CD's words"}},
      {.name = "Running with finishedAt waits for Argo CD's own retry",
       .operation = Ours(),
       .state = State("Running", Ours(), kV2),
       .record = {.last = 1},
       .expected = Kind::kOperationRunning,
       .message = {"Argo CD's words"}},
      {.name = "Terminating",
       .operation = Ours(),
       .state = Unfinished("Terminating", Ours()),
       .record = {.last = 1},
       .expected = Kind::kOperationRunning,
       .message = {"Argo CD's words"}},
      {.name = "the words of a completed operation of another are not about ours",
       .operation = Ours(),
       .state = State("Failed", SelfHeal(), kV1),
       .record = {.last = 1},
       .expected = Kind::kOperationRunning,
       .not_in_message = {"Argo CD's words"}},
      {.name = "the words of a completed operation of ours are quoted",
       .operation = Ours(2),
       .state = State("Failed", Ours(1), kV1),
       .record = {.last = 2},
       .expected = Kind::kOperationRunning,
       .message = {"Argo CD's words"}},
      {.name = "the words of an earlier step's operation that still runs are quoted",
       .operation = Ours(1),
       .state = Unfinished("Running", Ours(1)),
       .record = {.earlier = 1},
       .expected = Kind::kOperationRunning,
       .message = {"Argo CD's words"}},
      {.name = "without words there is nothing to quote",
       .operation = Ours(),
       .state = json::parse(R"({"phase": "Running", "message": ""})"),
       .record = {.last = 1},
       .expected = Kind::kOperationRunning,
       .not_in_message = {":"}},
      {.name = "although no attempt is on record",
       .operation = Ours(),
       .expected = Kind::kOperationRunning},
      {.name = "although it has no attempt",
       .operation = Ours(kNoAttempt),
       .expected = Kind::kOperationRunning},
      {.name = "although all attempts were made",
       .operation = Ours(5),
       .record = {.last = 5},
       .expected = Kind::kOperationRunning},
      {.name = "although Argo CD is told to skip the Application",
       .operation = Ours(),
       .record = {.last = 1},
       .changes = kSkipReconcile,
       .expected = Kind::kOperationRunning},
      {.name = "although the spec differs",
       .operation = Ours(),
       .record = {.last = 1},
       .given = {"v2"},
       .spec_differs = true,
       .expected = Kind::kOperationRunning},
      {.name = "although an earlier step of the promotion made it",
       .operation = Ours(1),
       .record = {.earlier = 1},
       .expected = Kind::kOperationRunning},
  });
}

TEST(DecideTest, AnyOtherOperationIsWaitedFor) {
  Check({
      {.name = "another promotion's",
       .operation = AnotherPromotions(),
       .expected = Kind::kOtherOperationRunning,
       .message = {"promotion p-0"}},
      {.name = "a promotion whose name begins like ours",
       .operation = OperationBy("p-10"),
       .expected = Kind::kOtherOperationRunning,
       .message = {"promotion p-10"}},
      {.name = "a user's",
       .operation = Alices(),
       .expected = Kind::kOtherOperationRunning,
       .message = {"alice"}},
      {.name = "Argo CD's own",
       .operation = SelfHeal(),
       .expected = Kind::kOtherOperationRunning,
       .message = {"automated"}},
      {.name = "an empty one is one",
       .operation = json::object(),
       .expected = Kind::kOtherOperationRunning,
       .message = {"unknown"}},
      {.name = "before the state of our completed one",
       .operation = SelfHeal(),
       .state = State("Succeeded", Ours(), kV2),
       .record = {.last = 1},
       .expected = Kind::kOtherOperationRunning},
      {.name = "after all our attempts",
       .operation = Alices(),
       .state = State("Failed", Ours(5), kV2),
       .record = {.last = 5},
       .expected = Kind::kOtherOperationRunning},
      {.name = "although Argo CD is told to skip the Application",
       .operation = Alices(),
       .changes = kSkipReconcile,
       .expected = Kind::kOtherOperationRunning},
  });
}

TEST(DecideTest, ANullOperationIsAbsent) {
  Check({
      {.name = "never synced",
       .changes = R"({"operation": null})",
       .expected = Kind::kWrite,
       .attempt = 1},
      {.name = "after ours Succeeded",
       .state = State("Succeeded", Ours(), kV2),
       .record = {.last = 1},
       .changes = R"({"operation": null})",
       .expected = Kind::kDone},
      {.name = "with a null state",
       .changes = R"({"operation": null, "status": {"operationState": null}})",
       .expected = Kind::kWrite,
       .attempt = 1},
  });
}

TEST(DecideTest, SkipReconcileForbidsAWriteAndNothingElse) {
  Check({
      {.name = "attempt 1",
       .changes = kSkipReconcile,
       .expected = Kind::kReconcileDisabled,
       .message = {"argocd.argoproj.io/skip-reconcile"}},
      {.name = "attempt 2",
       .state = State("Failed", Ours(), kV1),
       .record = {.last = 1},
       .changes = kSkipReconcile,
       .expected = Kind::kReconcileDisabled},
      {.name = "attempt 2, which would not be due yet",
       .state = State("Failed", Ours(), kV1, absl::Seconds(1)),
       .record = {.last = 1},
       .changes = kSkipReconcile,
       .expected = Kind::kReconcileDisabled},
      {.name = "an abandoned operation",
       .state = Unfinished("Running", Ours()),
       .record = {.last = 1},
       .changes = kSkipReconcile,
       .expected = Kind::kReconcileDisabled},
      {.name = "nothing is to be written: done",
       .state = State("Succeeded", Ours(), kV2),
       .record = {.last = 1},
       .changes = kSkipReconcile,
       .expected = Kind::kDone},
      {.name = "nothing is to be written: failed",
       .state = State("Failed", Ours(), kV2),
       .record = {.last = 1},
       .changes = kSkipReconcile,
       .expected = Kind::kOperationFailed},
      {.name = "nothing is to be written: no attempt left",
       .state = State("Succeeded", Ours(5), kV1),
       .record = {.last = 5},
       .changes = kSkipReconcile,
       .expected = Kind::kRevisionNotReached},
      {.name = "false",
       .changes =
           R"({"metadata": {"annotations": {"argocd.argoproj.io/skip-reconcile": "false"}}})",
       .expected = Kind::kWrite,
       .attempt = 1},
      {.name = "empty",
       .changes = R"({"metadata": {"annotations": {"argocd.argoproj.io/skip-reconcile": ""}}})",
       .expected = Kind::kWrite,
       .attempt = 1},
  });
}

TEST(DecideTest, WithoutACompletedOperationItIsWritten) {
  Check({
      {.name = "never synced", .expected = Kind::kWrite, .attempt = 1},
      {.name = "never synced, nothing desired",
       .desired = {""},
       .expected = Kind::kWrite,
       .attempt = 1},
      {.name = "an empty state", .state = json::object(), .expected = Kind::kWrite, .attempt = 1},
      {.name = "an abandoned operation of ours",
       .state = Unfinished("Running", Ours()),
       .record = {.last = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "an abandoned operation of ours that had finished once",
       .state = State("Running", Ours(), kV2),
       .record = {.last = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "an abandoned operation of ours, Terminating",
       .state = State("Terminating", Ours(), kV2),
       .record = {.last = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "an abandoned operation of another",
       .state = Unfinished("Running", Alices()),
       .expected = Kind::kWrite,
       .attempt = 1},
      {.name = "an abandoned operation of another, after our attempt",
       .state = State("Running", Alices(), kV2),
       .record = {.last = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "a phase nobody knows",
       .state = State("Synced", Ours(), kV2),
       .record = {.last = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "a phase in other case",
       .state = State("succeeded", Ours(), kV2),
       .record = {.last = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "an attempt on record and the state gone",
       .record = {.last = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
  });
}

TEST(DecideTest, ACompletedOperationOfAnother) {
  Check({
      {.name = "another promotion's",
       .state = State("Succeeded", AnotherPromotions(), kV1),
       .expected = Kind::kWrite,
       .attempt = 1},
      {.name = "nobody's that is known",
       .state = State("Succeeded", nullptr, kV1),
       .expected = Kind::kWrite,
       .attempt = 1},
      {.name = "one that has reached all, but none of ours was attempted",
       .state = State("Succeeded", AnotherPromotions(), kV2),
       .expected = Kind::kWrite,
       .attempt = 1},
      {.name = "a user's that has reached all, but none of ours was attempted",
       .state = State("Succeeded", Alices(), kV2),
       .expected = Kind::kWrite,
       .attempt = 1},

      {.name = "Argo CD's self-heal came after us",
       .state = State("Succeeded", SelfHeal(), kV2),
       .record = {.last = 1},
       .expected = Kind::kDone},
      {.name = "another promotion came after us",
       .state = State("Succeeded", AnotherPromotions(), kV2),
       .record = {.last = 1},
       .expected = Kind::kDone},
      {.name = "it came after the last of our attempts",
       .state = State("Succeeded", SelfHeal(), kV2),
       .record = {.last = 5},
       .expected = Kind::kDone},
      {.name = "it came a moment ago",
       .state = State("Succeeded", SelfHeal(), kV2, absl::ZeroDuration()),
       .record = {.last = 1},
       .expected = Kind::kDone},
      {.name = "it reached all by name",
       .state = State("Succeeded", SelfHeal(),
                      R"({"revision": "5f3a", "source": {"targetRevision": "v2"}})"),
       .record = {.last = 1},
       .expected = Kind::kDone},

      {.name = "it reached something else",
       .state = State("Succeeded", SelfHeal(), kV1),
       .record = {.last = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "it reached half",
       .state = State("Succeeded", SelfHeal(), R"({"revisions": ["v2", "w1"]})"),
       .record = {.last = 1},
       .desired = {"v2", "w2"},
       .changes = kTwoSources,
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "it Failed",
       .state = State("Failed", SelfHeal(), kV2),
       .record = {.last = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "it ended in Error",
       .state = State("Error", SelfHeal(), kV2),
       .record = {.last = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "it has no result",
       .state = State("Succeeded", SelfHeal(), ""),
       .record = {.last = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "nothing is desired, so nothing proves ours done",
       .state = State("Succeeded", SelfHeal(), kV2),
       .record = {.last = 1},
       .desired = {""},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "the spec lacks what we write: a crash came between the record and the write",
       .state = State("Succeeded", AnotherPromotions(), kV2),
       .record = {.last = 1},
       .spec_differs = true,
       .expected = Kind::kWrite,
       .attempt = 2},
  });
}

TEST(DecideTest, ACompletedOperationOfThisPromotion) {
  Check({
      {.name = "Succeeded, no result",
       .state = State("Succeeded", Ours(), ""),
       .record = {.last = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "Succeeded, no result, nothing desired",
       .state = State("Succeeded", Ours(), ""),
       .record = {.last = 1},
       .desired = {""},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "Failed, no result",
       .state = State("Failed", Ours(), ""),
       .record = {.last = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "Error, no result, nothing desired",
       .state = State("Error", Ours(), ""),
       .record = {.last = 1},
       .desired = {""},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "Failed, not reached",
       .state = State("Failed", Ours(), kV1),
       .record = {.last = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "Error, not reached",
       .state = State("Error", Ours(), kV1),
       .record = {.last = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "Failed, one of two not reached",
       .state = State("Failed", Ours(), R"({"revisions": ["v2", "w1"]})"),
       .record = {.last = 1},
       .desired = {"v2", "w2"},
       .changes = kTwoSources,
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "Failed, reached",
       .state = State("Failed", Ours(), kV2),
       .record = {.last = 1},
       .expected = Kind::kOperationFailed,
       .message = {"Failed", "Argo CD's words"}},
      {.name = "Error, reached",
       .state = State("Error", Ours(), kV2),
       .record = {.last = 1},
       .expected = Kind::kOperationFailed,
       .message = {"Error", "Argo CD's words"}},
      {.name = "Failed, nothing desired",
       .state = State("Failed", Ours(), kV1),
       .record = {.last = 1},
       .desired = {""},
       .expected = Kind::kOperationFailed,
       .message = {"Argo CD's words"}},
      {.name = "Failed a moment ago, reached",
       .state = State("Failed", Ours(), kV2, absl::ZeroDuration()),
       .record = {.last = 1},
       .expected = Kind::kOperationFailed},
      {.name = "Succeeded, not reached",
       .state = State("Succeeded", Ours(), kV1),
       .record = {.last = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "Succeeded, one of two not reached",
       .state = State("Succeeded", Ours(), R"({"revisions": ["v1", "w2"]})"),
       .record = {.last = 1},
       .desired = {"v2", "w2"},
       .changes = kTwoSources,
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "Succeeded, reached",
       .state = State("Succeeded", Ours(), kV2),
       .record = {.last = 1}},
      {.name = "Succeeded, nothing desired",
       .state = State("Succeeded", Ours(), kV1),
       .record = {.last = 1},
       .desired = {""}},
      {.name = "Succeeded, reached, on the last attempt",
       .state = State("Succeeded", Ours(5), kV2),
       .record = {.last = 5}},
      {.name = "Succeeded, reached, with the record lost",
       .state = State("Succeeded", Ours(), kV2)},
      {.name = "Succeeded, reached, without the entry of the attempt",
       .state = State("Succeeded", Ours(kNoAttempt), kV2),
       .record = {.last = 1}},
  });
}

// A revision is reached when...

TEST(DecideTest, ReachedOneSource) {
  const auto succeeded = [](std::string_view result) { return State("Succeeded", Ours(), result); };
  const auto failed = [](std::string_view result) { return State("Failed", Ours(), result); };
  const stages::AttemptRecord once = {.last = 1};
  constexpr Kind kNotReached = Kind::kWrite;
  Check({
      {.name = "revision equals it", .state = succeeded(kV2), .record = once},
      {.name = "revisions equals it",
       .state = succeeded(R"({"revisions": ["v2"]})"),
       .record = once},
      {.name = "revisions before revision",
       .state = succeeded(R"({"revision": "v2", "revisions": ["v1"]})"),
       .record = once,
       .expected = kNotReached,
       .attempt = 2},
      {.name = "revision where revisions is empty",
       .state = succeeded(R"({"revision": "v2", "revisions": []})"),
       .record = once},
      {.name = "revision where revisions is null",
       .state = succeeded(R"({"revision": "v2", "revisions": null})"),
       .record = once},
      {.name = "nothing observed",
       .state = succeeded("{}"),
       .record = once,
       .expected = kNotReached,
       .attempt = 2},
      {.name = "it begins like it",
       .state = succeeded(R"({"revision": "v2.1"})"),
       .record = once,
       .expected = kNotReached,
       .attempt = 2},
      {.name = "in other case",
       .state = succeeded(R"({"revision": "V2"})"),
       .record = once,
       .expected = kNotReached,
       .attempt = 2},

      {.name = "the source names it, Succeeded",
       .state = succeeded(R"({"revision": "5f3a", "source": {"targetRevision": "v2"}})"),
       .record = once},
      {.name = "the only one of sources names it, Succeeded",
       .state = succeeded(R"({"revision": "5f3a", "sources": [{"targetRevision": "v2"}]})"),
       .record = once},
      {.name = "sources before source",
       .state = succeeded(R"({"revision": "5f3a", "source": {"targetRevision": "v2"},
                              "sources": [{"targetRevision": "v1"}]})"),
       .record = once,
       .expected = kNotReached,
       .attempt = 2},
      {.name = "source where sources is empty",
       .state =
           succeeded(R"({"revision": "5f3a", "source": {"targetRevision": "v2"}, "sources": []})"),
       .record = once},
      {.name = "the source names another",
       .state = succeeded(R"({"revision": "5f3a", "source": {"targetRevision": "main"}})"),
       .record = once,
       .expected = kNotReached,
       .attempt = 2},
      {.name = "the source names it, but Failed",
       .state = failed(R"({"revision": "5f3a", "source": {"targetRevision": "v2"}})"),
       .record = once,
       .expected = kNotReached,
       .attempt = 2},
      {.name = "observed, although the source names another",
       .state = succeeded(R"({"revision": "v2", "source": {"targetRevision": "main"}})"),
       .record = once},
      {.name = "observed, Failed, although the source names another",
       .state = failed(R"({"revision": "v2", "source": {"targetRevision": "main"}})"),
       .record = once,
       .expected = Kind::kOperationFailed},
      {.name = "the spec names it, which proves nothing",
       .state = succeeded(R"({"revision": "5f3a"})"),
       .record = once,
       .changes = R"({"spec": {"source": {"targetRevision": "v2"}}})",
       .expected = kNotReached,
       .attempt = 2},
  });
}

TEST(DecideTest, ReachedSeveralSources) {
  const auto succeeded = [](std::string_view result) { return State("Succeeded", Ours(), result); };
  std::vector<Case> cases = {
      {.name = "both observed", .state = succeeded(R"({"revisions": ["v2", "w2"]})")},
      {.name = "observed in the other order",
       .state = succeeded(R"({"revisions": ["w2", "v2"]})"),
       .expected = Kind::kWrite},
      {.name = "both by name", .state = succeeded(R"({"revisions": ["5f", "6e"],
                              "sources": [{"targetRevision": "v2"}, {"targetRevision": "w2"}]})")},
      {.name = "one observed, one by name", .state = succeeded(R"({"revisions": ["v2", "6e"],
                              "sources": [{"targetRevision": "x"}, {"targetRevision": "w2"}]})")},
      {.name = "one by name, the other not at all",
       .state = succeeded(R"({"revisions": ["5f", "6e"],
                              "sources": [{"targetRevision": "v2"}, {"targetRevision": "x"}]})"),
       .expected = Kind::kWrite},
      {.name = "only one desired, and observed",
       .state = succeeded(R"({"revisions": ["anything", "w2"]})"),
       .desired = {"", "w2"}},
      {.name = "only one desired, the other observed",
       .state = succeeded(R"({"revisions": ["w2", "anything"]})"),
       .desired = {"", "w2"},
       .expected = Kind::kWrite},

      {.name = "one revision for two sources",
       .state = succeeded(R"({"revisions": ["v2"]})"),
       .expected = Kind::kWrite},
      {.name = "one revision for two sources, only the first desired",
       .state = succeeded(R"({"revisions": ["v2"]})"),
       .desired = {"v2", ""},
       .expected = Kind::kWrite},
      {.name = "the single form for two sources",
       .state = succeeded(R"({"revision": "v2", "source": {"targetRevision": "v2"}})"),
       .desired = {"v2", ""},
       .expected = Kind::kWrite},
      {.name = "three revisions for two sources",
       .state = succeeded(R"({"revisions": ["v2", "w2", "x2"]})"),
       .expected = Kind::kWrite},
      {.name = "one synced source for two",
       .state = succeeded(R"({"revisions": ["5f", "6e"], "sources": [{"targetRevision": "v2"}]})"),
       .desired = {"v2", ""},
       .expected = Kind::kWrite},
      {.name = "three synced sources for two",
       .state = succeeded(R"({"revisions": ["5f", "6e"],
                              "sources": [{"targetRevision": "v2"}, {"targetRevision": "w2"}, {}]})"),
       .expected = Kind::kWrite},
      {.name = "no counts at all", .state = succeeded("{}"), .expected = Kind::kWrite},
      {.name = "a wrong count, nothing desired",
       .state = succeeded(R"({"revisions": ["a", "b", "c"]})"),
       .desired = {"", ""}},
      {.name = "no counts, nothing desired", .state = succeeded("{}"), .desired = {"", ""}},
      {.name = "a wrong count, Failed, nothing desired",
       .state = State("Failed", Ours(), R"({"revisions": ["a"]})"),
       .desired = {"", ""},
       .expected = Kind::kOperationFailed},
  };
  for (Case& c : cases) {
    c.changes = kTwoSources;
    c.record = {.last = 1};
    if (c.desired.size() == 1) c.desired = {"v2", "w2"};
    if (c.expected == Kind::kWrite) c.attempt = 2;
  }
  Check(cases);
}

TEST(DecideTest, SeveralRevisionsForOneSource) {
  Check({
      {.name = "two for one",
       .state = State("Succeeded", Ours(), R"({"revision": "v2", "revisions": ["v2", "w2"]})"),
       .record = {.last = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "two synced sources for one",
       .state = State("Succeeded", Ours(), R"({"revision": "5f",
            "sources": [{"targetRevision": "v2"}, {"targetRevision": "v2"}]})"),
       .record = {.last = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
  });
}

TEST(DecideTest, AnApplicationWithoutSources) {
  Check({
      {.name = "never synced",
       .desired = {},
       .given = {},
       .changes = R"({"spec": {"source": null}})",
       .expected = Kind::kWrite,
       .attempt = 1},
      {.name = "Succeeded",
       .state = State("Succeeded", Ours(), kV1),
       .record = {.last = 1},
       .desired = {},
       .given = {},
       .changes = R"({"spec": {"source": null}})"},
  });
}

// Attempts.

TEST(DecideTest, TheNumberOfTheNextAttempt) {
  Check({
      {.name = "none before", .expected = Kind::kWrite, .attempt = 1},
      {.name = "only on record",
       .state = State("Succeeded", AnotherPromotions(), kV1),
       .record = {.last = 2},
       .expected = Kind::kWrite,
       .attempt = 3},
      {.name = "only in the operation",
       .state = State("Succeeded", Ours(2), kV1),
       .expected = Kind::kWrite,
       .attempt = 3},
      {.name = "the record is larger",
       .state = State("Succeeded", Ours(1), kV1),
       .record = {.last = 3},
       .expected = Kind::kWrite,
       .attempt = 4},
      {.name = "the operation is larger",
       .state = State("Succeeded", Ours(3), kV1),
       .record = {.last = 1},
       .expected = Kind::kWrite,
       .attempt = 4},
      {.name = "an abandoned operation's counts, too",
       .state = Unfinished("Running", Ours(3)),
       .record = {.last = 1},
       .expected = Kind::kWrite,
       .attempt = 4},
      {.name = "without the entry it is attempt 1",
       .state = State("Succeeded", Ours(kNoAttempt), kV1),
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "without the entry, the record is larger",
       .state = State("Succeeded", Ours(kNoAttempt), kV1),
       .record = {.last = 2},
       .expected = Kind::kWrite,
       .attempt = 3},
      {.name = "another promotion's does not count",
       .state = State("Succeeded", OperationBy("p-0", 4), kV1),
       .expected = Kind::kWrite,
       .attempt = 1},
      {.name = "an entry without a promotion does not count",
       .state = State("Succeeded", json::parse(R"({"info": [
            {"name": "gantry.dev/attempt", "value": "4"}]})"),
                      kV1),
       .expected = Kind::kWrite,
       .attempt = 1},
  });
}

TEST(DecideTest, AnAttemptThatIsNoNumberIsAttempt1) {
  for (const char* text : {"", " ", "x", "2x", "0x2", "1.5", "0", "-1", "-2147483648", "2147483648",
                           "99999999999999999999999999", "1e3", "two"}) {
    Check({{.name = std::string("\"") + text + "\"",
            .state = State("Succeeded", OursWithAttempt(text), kV1),
            .expected = Kind::kWrite,
            .attempt = 2}});
  }
}

TEST(DecideTest, AHugeAttemptIsTheLast) {
  const std::string most = std::to_string(std::numeric_limits<int>::max());
  Check({
      {.name = "in the operation",
       .state = State("Succeeded", OursWithAttempt(most.c_str()), kV1),
       .expected = Kind::kRevisionNotReached},
      {.name = "on record",
       .record = {.last = std::numeric_limits<int>::max()},
       .expected = Kind::kRevisionNotReached},
      {.name = "in the operation that reached all",
       .state = State("Succeeded", OursWithAttempt(most.c_str()), kV2),
       .expected = Kind::kDone},
  });
}

TEST(DecideTest, TheNextAttemptWaitsTwiceAsLongEachTime) {
  const auto failed = [](int attempt, absl::Duration ago) {
    return State("Failed", Ours(attempt), kV1, ago);
  };
  Check({
      {.name = "the second, a second after the first",
       .state = failed(1, absl::Seconds(1)),
       .record = {.last = 1},
       .expected = Kind::kAwaitingRetry,
       .attempt = 2,
       .retry_after = absl::Seconds(9),
       .message = {"2026-03-01T12:00:09Z"}},
      {.name = "the second, a millisecond early",
       .state = failed(1, absl::Milliseconds(9'999)),
       .record = {.last = 1},
       .expected = Kind::kAwaitingRetry,
       .attempt = 2,
       .retry_after = absl::Milliseconds(1)},
      {.name = "the second, exactly due",
       .state = failed(1, absl::Seconds(10)),
       .record = {.last = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "the third, early",
       .state = failed(2, absl::Seconds(19)),
       .record = {.last = 2},
       .expected = Kind::kAwaitingRetry,
       .attempt = 3,
       .retry_after = absl::Seconds(1)},
      {.name = "the third, exactly due",
       .state = failed(2, absl::Seconds(20)),
       .record = {.last = 2},
       .expected = Kind::kWrite,
       .attempt = 3},
      {.name = "the fourth, early",
       .state = failed(3, absl::Seconds(39)),
       .record = {.last = 3},
       .expected = Kind::kAwaitingRetry,
       .attempt = 4,
       .retry_after = absl::Seconds(1)},
      {.name = "the fourth, exactly due",
       .state = failed(3, absl::Seconds(40)),
       .record = {.last = 3},
       .expected = Kind::kWrite,
       .attempt = 4},
      {.name = "the fifth, early",
       .state = failed(4, absl::Seconds(79)),
       .record = {.last = 4},
       .expected = Kind::kAwaitingRetry,
       .attempt = 5,
       .retry_after = absl::Seconds(1)},
      {.name = "the fifth, exactly due",
       .state = failed(4, absl::Seconds(80)),
       .record = {.last = 4},
       .expected = Kind::kWrite,
       .attempt = 5},
      {.name = "finished in the future, by a clock that is ahead of ours",
       .state = failed(1, -absl::Seconds(5)),
       .record = {.last = 1},
       .expected = Kind::kAwaitingRetry,
       .attempt = 2,
       .retry_after = absl::Seconds(15)},
      {.name = "Succeeded and not reached waits, too",
       .state = State("Succeeded", Ours(), kV1, absl::Seconds(4)),
       .record = {.last = 1},
       .expected = Kind::kAwaitingRetry,
       .attempt = 2,
       .retry_after = absl::Seconds(6)},
      {.name = "without a result it waits, too",
       .state = State("Error", Ours(), "", absl::Seconds(4)),
       .record = {.last = 1},
       .expected = Kind::kAwaitingRetry,
       .attempt = 2,
       .retry_after = absl::Seconds(6)},
      {.name = "after a self-heal that replaced our state it waits, too",
       .state = State("Failed", SelfHeal(), kV2, absl::Seconds(4)),
       .record = {.last = 1},
       .expected = Kind::kAwaitingRetry,
       .attempt = 2,
       .retry_after = absl::Seconds(6)},
      {.name = "the larger of record and operation says how long",
       .state = failed(1, absl::Seconds(15)),
       .record = {.last = 2},
       .expected = Kind::kAwaitingRetry,
       .attempt = 3,
       .retry_after = absl::Seconds(5)},
      {.name = "the first waits for nothing",
       .state = State("Failed", AnotherPromotions(), kV1, absl::ZeroDuration()),
       .expected = Kind::kWrite,
       .attempt = 1},
      {.name = "without finishedAt there is nothing to wait for",
       .state = Unfinished("Running", Ours()),
       .record = {.last = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "without a state there is nothing to wait for",
       .record = {.last = 4},
       .expected = Kind::kWrite,
       .attempt = 5},
  });
}

TEST(DecideTest, AfterTheLastAttempt) {
  Check({
      {.name = "one is left",
       .state = State("Succeeded", Ours(4), kV1),
       .record = {.last = 4},
       .expected = Kind::kWrite,
       .attempt = 5},
      {.name = "Succeeded, not reached",
       .state = State("Succeeded", Ours(5), kV1),
       .record = {.last = 5},
       .expected = Kind::kRevisionNotReached,
       .message = {"\"v2\"", "\"v1\""}},
      {.name = "says all that was desired and observed",
       .state = State("Succeeded", Ours(5), R"({"revisions": ["v1", "w2"]})"),
       .record = {.last = 5},
       .desired = {"v2", "w2"},
       .changes = kTwoSources,
       .expected = Kind::kRevisionNotReached,
       .message = {"\"v2\"", "\"w2\"", "\"v1\""}},
      {.name = "Succeeded, no result",
       .state = State("Succeeded", Ours(5), ""),
       .record = {.last = 5},
       .expected = Kind::kRevisionNotReached,
       .message = {"\"v2\"", "none"}},
      {.name = "Failed",
       .state = State("Failed", Ours(5), kV1),
       .record = {.last = 5},
       .expected = Kind::kOperationFailed,
       .message = {"Failed", "Argo CD's words"}},
      {.name = "Error, no result",
       .state = State("Error", Ours(5), ""),
       .record = {.last = 5},
       .expected = Kind::kOperationFailed,
       .message = {"Error", "Argo CD's words"}},
      {.name = "a moment ago: there is nothing to wait for",
       .state = State("Succeeded", Ours(5), kV1, absl::ZeroDuration()),
       .record = {.last = 5},
       .expected = Kind::kRevisionNotReached},
      {.name = "abandoned",
       .state = Unfinished("Running", Ours(5)),
       .record = {.last = 5},
       .expected = Kind::kRevisionNotReached,
       .message = {"\"v2\"", "none"}},
      {.name = "the state gone",
       .record = {.last = 5},
       .expected = Kind::kRevisionNotReached,
       .message = {"\"v2\"", "none"}},
      {.name = "a self-heal reached something else",
       .state = State("Succeeded", SelfHeal(), kV1),
       .record = {.last = 5},
       .expected = Kind::kRevisionNotReached,
       .message = {"\"v2\"", "\"v1\""}},
      {.name = "a self-heal Failed",
       .state = State("Failed", SelfHeal(), kV2),
       .record = {.last = 5},
       .expected = Kind::kOperationFailed,
       .message = {"Failed", "Argo CD's words"}},
      {.name = "a self-heal ended in Error, nothing desired",
       .state = State("Error", SelfHeal(), kV2),
       .record = {.last = 5},
       .desired = {""},
       .expected = Kind::kOperationFailed,
       .message = {"Error", "Argo CD's words"}},
      {.name = "nothing desired",
       .state = State("Succeeded", SelfHeal(), kV1),
       .record = {.last = 5},
       .desired = {""},
       .expected = Kind::kRevisionNotReached},
      {.name = "the operation alone says that it was the last",
       .state = State("Succeeded", Ours(5), kV1),
       .expected = Kind::kRevisionNotReached},
      {.name = "more than the limit, which was lowered since",
       .state = State("Succeeded", Ours(4), kV1),
       .record = {.last = 4},
       .max_attempts = 3,
       .expected = Kind::kRevisionNotReached},
      {.name = "a limit of one, before it",
       .max_attempts = 1,
       .expected = Kind::kWrite,
       .attempt = 1},
      {.name = "a limit of one, after it",
       .state = State("Succeeded", Ours(1), kV1),
       .record = {.last = 1},
       .max_attempts = 1,
       .expected = Kind::kRevisionNotReached},
      {.name = "another promotion's last attempt is not ours",
       .state = State("Failed", OperationBy("p-0", 5), kV1),
       .expected = Kind::kWrite,
       .attempt = 1},
  });
}

TEST(DecideTest, ATargetRevisionThatWasPutBack) {
  // The Applications' source is at "main".
  constexpr const char* kOwned = R"({"metadata": {"ownerReferences": [
      {"kind": "ApplicationSet", "name": "shops", "controller": true}]}})";
  constexpr const char* kParent = R"({"metadata": {"annotations": {
      "argocd.argoproj.io/tracking-id": "root:argoproj.io/Application:argocd/shop"}}})";
  Check({
      {.name = "Succeeded, not reached",
       .state = State("Succeeded", Ours(), kV1),
       .record = {.last = 1},
       .given = {"v2"},
       .spec_differs = true,
       .changes = kOwned,
       .expected = Kind::kRevisionNotReached,
       .message = {"\"v2\"", "\"v1\"", "\"main\"", "ApplicationSet shops"}},
      {.name = "by a parent Application",
       .state = State("Succeeded", Ours(), kV1),
       .record = {.last = 1},
       .given = {"v2"},
       .spec_differs = true,
       .changes = kParent,
       .expected = Kind::kRevisionNotReached,
       .message = {"Application root"}},
      {.name = "by nobody known",
       .state = State("Succeeded", Ours(), kV1),
       .record = {.last = 1},
       .given = {"v2"},
       .spec_differs = true,
       .expected = Kind::kRevisionNotReached,
       .message = {"\"main\""}},
      {.name = "Failed, not reached",
       .state = State("Failed", Ours(), kV1),
       .record = {.last = 1},
       .given = {"v2"},
       .spec_differs = true,
       .changes = kOwned,
       .expected = Kind::kOperationFailed,
       .message = {"Argo CD's words", "ApplicationSet shops"}},
      {.name = "no result",
       .state = State("Succeeded", Ours(), ""),
       .record = {.last = 1},
       .given = {"v2"},
       .spec_differs = true,
       .expected = Kind::kRevisionNotReached},
      {.name = "a moment ago: there is nothing to wait for",
       .state = State("Succeeded", Ours(), kV1, absl::ZeroDuration()),
       .record = {.last = 1},
       .given = {"v2"},
       .spec_differs = true,
       .expected = Kind::kRevisionNotReached},
      {.name = "of the second source",
       .state = State("Succeeded", Ours(), R"({"revisions": ["v2", "w1"]})"),
       .record = {.last = 1},
       .desired = {"v2", "w2"},
       .given = {"main", "w2"},
       .spec_differs = true,
       .changes = kTwoSources,
       .expected = Kind::kRevisionNotReached,
       .message = {"\"w2\"", "\"1.*\""}},
      {.name = "all was reached before it was put back",
       .state = State("Succeeded", Ours(), kV2),
       .record = {.last = 1},
       .given = {"v2"},
       .spec_differs = true,
       .expected = Kind::kDone},

      {.name = "it is still there",
       .state = State("Succeeded", Ours(), kV1),
       .record = {.last = 1},
       .given = {"main"},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "none was given",
       .state = State("Succeeded", Ours(), kV1),
       .record = {.last = 1},
       .given = {""},
       .spec_differs = true,
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "the completed operation is another promotion's",
       .state = State("Succeeded", AnotherPromotions(), kV1),
       .record = {.last = 1},
       .given = {"v2"},
       .spec_differs = true,
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "the operation did not complete",
       .state = Unfinished("Running", Ours()),
       .record = {.last = 1},
       .given = {"v2"},
       .spec_differs = true,
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "before the first attempt it was never given",
       .state = State("Succeeded", Alices(), kV1),
       .given = {"v2"},
       .spec_differs = true,
       .expected = Kind::kWrite,
       .attempt = 1},
  });
}

// Several steps of one promotion can be about one Application. Their attempts are numbered
// through, and each makes its own operation.

TEST(DecideTest, AnOperationOfAnEarlierStepIsAForeignOne) {
  Check({
      {.name = "it Succeeded with what we desire",
       .state = State("Succeeded", Ours(1), kV2),
       .record = {.earlier = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "it Succeeded, nothing desired",
       .state = State("Succeeded", Ours(1), kV2),
       .record = {.earlier = 1},
       .desired = {""},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "it Failed",
       .state = State("Failed", Ours(1), kV2),
       .record = {.earlier = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "it was the earlier step's last attempt",
       .state = State("Failed", Ours(5), kV1),
       .record = {.earlier = 5},
       .expected = Kind::kWrite,
       .attempt = 6},
      {.name = "it was not the last of the earlier steps",
       .state = State("Succeeded", Ours(1), kV2),
       .record = {.earlier = 3},
       .expected = Kind::kWrite,
       .attempt = 4},
      {.name = "it has no attempt, so it is attempt 1",
       .state = State("Succeeded", Ours(kNoAttempt), kV2),
       .record = {.earlier = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "it finished this moment, which our first attempt need not wait for",
       .state = State("Succeeded", Ours(1), kV2, absl::ZeroDuration()),
       .record = {.earlier = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "it lacks the targetRevision that we give",
       .state = State("Succeeded", Ours(1), kV1),
       .record = {.earlier = 1},
       .given = {"v2"},
       .spec_differs = true,
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "it is abandoned",
       .state = Unfinished("Running", Ours(1)),
       .record = {.earlier = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "after our recorded attempt it counts as a self-heal does",
       .state = State("Succeeded", Ours(1), kV2),
       .record = {.earlier = 1, .last = 2},
       .expected = Kind::kDone},
      {.name = "but not while the spec lacks what we write",
       .state = State("Succeeded", Ours(1), kV2),
       .record = {.earlier = 1, .last = 2},
       .spec_differs = true,
       .expected = Kind::kWrite,
       .attempt = 3},
  });
}

TEST(DecideTest, OnlyAStepsOwnAttemptsCount) {
  Check({
      {.name = "ours Succeeded",
       .state = State("Succeeded", Ours(4), kV2),
       .record = {.earlier = 3, .last = 4},
       .expected = Kind::kDone},
      {.name = "ours Succeeded, with our record lost",
       .state = State("Succeeded", Ours(4), kV2),
       .record = {.earlier = 3},
       .expected = Kind::kDone},
      {.name = "ours Failed",
       .state = State("Failed", Ours(4), kV2),
       .record = {.earlier = 3, .last = 4},
       .expected = Kind::kOperationFailed},
      {.name = "our second is due ten seconds after our first",
       .state = State("Failed", Ours(4), kV1, absl::Seconds(10)),
       .record = {.earlier = 3, .last = 4},
       .expected = Kind::kWrite,
       .attempt = 5},
      {.name = "and not before",
       .state = State("Failed", Ours(4), kV1, absl::Seconds(9)),
       .record = {.earlier = 3, .last = 4},
       .expected = Kind::kAwaitingRetry,
       .attempt = 5,
       .retry_after = absl::Seconds(1)},
      {.name = "four of ours are not all",
       .state = State("Failed", Ours(7), kV1),
       .record = {.earlier = 3, .last = 7},
       .expected = Kind::kWrite,
       .attempt = 8},
      {.name = "five of ours are all",
       .state = State("Failed", Ours(8), kV1),
       .record = {.earlier = 3, .last = 8},
       .expected = Kind::kOperationFailed},
      {.name = "five of ours are all, by the record alone",
       .state = State("Succeeded", SelfHeal(), kV1),
       .record = {.earlier = 3, .last = 8},
       .expected = Kind::kRevisionNotReached},
  });
}

TEST(DecideTest, AnOperationOfAStepInBetweenIsAForeignOne) {
  // We made attempt 1, another step of the promotion made attempt 2.
  const stages::AttemptRecord between = {.last = 1, .others = 2};
  Check({
      {.name = "it Failed",
       .state = State("Failed", Ours(2), kV2),
       .record = between,
       .expected = Kind::kWrite,
       .attempt = 3},
      {.name = "it Succeeded with something else",
       .state = State("Succeeded", Ours(2), kV1),
       .record = between,
       .expected = Kind::kWrite,
       .attempt = 3},
      {.name = "it Succeeded with what we desire, as a self-heal does",
       .state = State("Succeeded", Ours(2), kV2),
       .record = between,
       .expected = Kind::kDone},
      {.name = "it Succeeded with what we desire and undid the rest",
       .state = State("Succeeded", Ours(2), kV2),
       .record = between,
       .spec_differs = true,
       .expected = Kind::kWrite,
       .attempt = 3},
      {.name = "it Succeeded with what we desire, before our first attempt",
       .state = State("Succeeded", Ours(2), kV2),
       .record = {.others = 2},
       .expected = Kind::kWrite,
       .attempt = 3},
      {.name = "ours, before it",
       .state = State("Failed", Ours(1), kV2),
       .record = between,
       .expected = Kind::kOperationFailed},
      {.name = "ours, after it",
       .state = State("Failed", Ours(3), kV2),
       .record = between,
       .expected = Kind::kOperationFailed},
      {.name = "no attempt gets a number that another step has used",
       .state = State("Succeeded", Ours(1), kV1),
       .record = {.last = 1, .others = 4},
       .expected = Kind::kWrite,
       .attempt = 5},
  });
}

TEST(DecideTest, AttemptsThatWereCertainlyNotMadeDoNotCount) {
  Check({
      {.name = "one more is left",
       .state = State("Failed", Ours(5), kV1),
       .record = {.last = 5, .unmade = 1},
       .expected = Kind::kWrite,
       .attempt = 6},
      {.name = "none is left",
       .state = State("Failed", Ours(6), kV1),
       .record = {.last = 6, .unmade = 1},
       .expected = Kind::kOperationFailed},
      {.name = "none is left, after those of an earlier step",
       .state = State("Failed", Ours(9), kV1),
       .record = {.earlier = 3, .last = 9, .unmade = 1},
       .expected = Kind::kOperationFailed},
      {.name = "the delay is that after the first",
       .state = State("Failed", Ours(2), kV1, absl::Seconds(9)),
       .record = {.last = 2, .unmade = 1},
       .expected = Kind::kAwaitingRetry,
       .attempt = 3,
       .retry_after = absl::Seconds(1)},
      {.name = "there is no delay before the first that is made",
       .state = State("Failed", AnotherPromotions(), kV1, absl::ZeroDuration()),
       .record = {.last = 1, .unmade = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "what Argo CD did after none of them proves nothing",
       .state = State("Succeeded", SelfHeal(), kV2),
       .record = {.last = 1, .unmade = 1},
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "what Argo CD did after one that was made does",
       .state = State("Succeeded", SelfHeal(), kV2),
       .record = {.last = 2, .unmade = 1},
       .expected = Kind::kDone},
  });
}

TEST(DecideTest, WithoutARecordOfTheAttemptTheSpecHasToShowIt) {
  Check({
      {.name = "the spec holds what we write",
       .state = State("Succeeded", Ours(1), kV2),
       .expected = Kind::kDone},
      {.name = "it does not",
       .state = State("Succeeded", Ours(1), kV2),
       .spec_differs = true,
       .expected = Kind::kWrite,
       .attempt = 2},
      {.name = "it does not, and an earlier attempt is on record",
       .state = State("Succeeded", Ours(2), kV2),
       .record = {.last = 1},
       .spec_differs = true,
       .expected = Kind::kWrite,
       .attempt = 3},
      {.name = "it does not any more, and the attempt is on record",
       .state = State("Succeeded", Ours(2), kV2),
       .record = {.last = 2},
       .spec_differs = true,
       .expected = Kind::kDone},
  });
}

TEST(DecideTest, TellsTheLastAttemptKnownForTheRecord) {
  Check({
      {.name = "none", .expected = Kind::kWrite, .attempt = 1, .last_attempt = 0},
      {.name = "on record",
       .record = {.last = 2},
       .expected = Kind::kWrite,
       .attempt = 3,
       .last_attempt = 2},
      {.name = "by the operation found",
       .state = State("Succeeded", Ours(2), kV2),
       .expected = Kind::kDone,
       .last_attempt = 2},
      {.name = "the larger of both",
       .state = State("Failed", Ours(1), kV1, absl::ZeroDuration()),
       .record = {.last = 2},
       .expected = Kind::kAwaitingRetry,
       .attempt = 3,
       .last_attempt = 2,
       .retry_after = absl::Seconds(20)},
      {.name = "not that of another promotion",
       .state = State("Succeeded", OperationBy("p-0", 4), kV1),
       .expected = Kind::kWrite,
       .attempt = 1,
       .last_attempt = 0},
      {.name = "not that of an earlier step",
       .state = State("Succeeded", Ours(2), kV2),
       .record = {.earlier = 2, .last = 2},
       .expected = Kind::kWrite,
       .attempt = 3,
       .last_attempt = 2},
      {.name = "not that of a step in between",
       .state = State("Succeeded", Ours(2), kV1),
       .record = {.last = 1, .others = 2},
       .expected = Kind::kWrite,
       .attempt = 3,
       .last_attempt = 1},
      {.name = "when it is done already",
       .record = {.last = 3, .done = true},
       .expected = Kind::kDone,
       .last_attempt = 3},
  });
}

TEST(IsCompletedTest, Phases) {
  for (const char* phase : {"Succeeded", "Failed", "Error"})
    EXPECT_TRUE(argocd::IsCompleted(phase));
  for (const char* phase : {"Running", "Terminating", "", "succeeded", "Succeeded ", "Unknown"}) {
    EXPECT_FALSE(argocd::IsCompleted(phase)) << phase;
  }
}

TEST(AttemptDelayTest, DoublesFromTenSecondsAndNeverOverflows) {
  EXPECT_EQ(AttemptDelay(1), absl::Seconds(10));
  EXPECT_EQ(AttemptDelay(2), absl::Seconds(20));
  EXPECT_EQ(AttemptDelay(3), absl::Seconds(40));
  EXPECT_EQ(AttemptDelay(4), absl::Seconds(80));
  EXPECT_EQ(AttemptDelay(10), absl::Seconds(5120));
  absl::Duration last = AttemptDelay(20);
  for (const int attempts : {21, 31, 32, 33, 63, 64, 65, std::numeric_limits<int>::max()}) {
    EXPECT_GE(AttemptDelay(attempts), last) << attempts;
    EXPECT_LT(AttemptDelay(attempts), absl::Hours(24 * 365 * 10)) << attempts;
    last = AttemptDelay(attempts);
  }
}

}  // namespace
}  // namespace gantry::steps
