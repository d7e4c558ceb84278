// SPDX-License-Identifier: Apache-2.0
//
// What others change, and what is interrupted, between the requests of a step. In all of this no
// attempt's operation is started twice, and none of a promotion that a newer one has superseded.
#include <algorithm>

#include "tests/integration/integration_test.h"

namespace gantry::integration {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class RaceTest : public IntegrationTest {
 protected:
  void ExpectStarted(Replica& gantry, const v1::RunStepRequest& request) {
    EXPECT_TRUE(
        Is(gantry.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  }
};

// ---- what changes between the read and the write -----------------------------------

TEST_F(RaceTest, AnAuthorizationTakenBackBeforeTheWriteIsRespected) {
  const std::string app = CreateApplication();
  Replica gantry;
  gantry.proxy.RunBefore(WriteOf(app), [&] {
    api_.MergePatch(
        ApplicationPath(app),
        {{"metadata", {{"annotations", {{"kargo.akuity.io/authorized-stage", nullptr}}}}}});
  });

  EXPECT_TRUE(Is(gantry.RunStep(Request(UpdateTo(app))), v1::STEP_STATUS_ERRORED,
                 v1::STEP_REASON_NOT_AUTHORIZED));

  const json after = Application(app);
  EXPECT_TRUE(HasNoOperation(after));
  EXPECT_EQ(after.at("spec").at("source").at("targetRevision"), "main");
  EXPECT_TRUE(gantry.OperationsWritten(app).empty());
}

// A patch whose places are gone is refused by the API server, before it compares versions.
TEST_F(RaceTest, AStateThatIsClearedBeforeTheWriteIsAConflictLikeAnyOther) {
  const std::string app = CreateApplication();
  ArgoCd(api_, app).SelfHeal();
  const json operation = {{"initiatedBy", {{"username", "mallory"}}}, {"sync", json::object()}};
  Replica gantry;
  // As Argo CD's own API server starts an operation.
  gantry.proxy.RunBefore(WriteOf(app), [&] {
    api_.MergePatch(ApplicationPath(app),
                    {{"operation", operation}, {"status", {{"operationState", nullptr}}}});
  });

  EXPECT_TRUE(Is(gantry.RunStep(Request(UpdateTo(app))), v1::STEP_STATUS_RUNNING,
                 v1::STEP_REASON_OTHER_OPERATION_RUNNING));

  EXPECT_EQ(Application(app).at("operation"), operation);
}

TEST_F(RaceTest, SourcesThatAreReplacedBeforeTheWriteAreAConflictLikeAnyOther) {
  const std::string app = CreateApplicationWithSources(
      {{{"repoURL", "https://github.com/example/other"}, {"targetRevision", "v1"}, {"path", "b"}},
       {{"repoURL", kRepository}, {"targetRevision", "main"}, {"path", "a"}}});
  Replica gantry;
  gantry.proxy.RunBefore(WriteOf(app), [&] {
    api_.MergePatch(
        ApplicationPath(app),
        {{"spec",
          {{"sources", json::array({{{"repoURL", kRepository}, {"targetRevision", "main"}}})}}}});
  });
  ExpectStarted(gantry, Request(UpdateTo(app)));
  EXPECT_EQ(Application(app).at("spec").at("sources").at(0).at("targetRevision"), kNewRevision);
  EXPECT_TRUE(HasOperation(Application(app), "p1", 1));
}

TEST_F(RaceTest, AnOperationThatAppearsBeforeTheWriteIsNotOverwritten) {
  const std::string app = CreateApplication();
  const json operation = {{"initiatedBy", {{"username", "mallory"}}}, {"sync", json::object()}};
  Replica gantry;
  gantry.proxy.RunBefore(WriteOf(app), [&] {
    api_.MergePatch(ApplicationPath(app), {{"operation", operation}});
  });

  EXPECT_TRUE(Is(gantry.RunStep(Request(UpdateTo(app))), v1::STEP_STATUS_RUNNING,
                 v1::STEP_REASON_OTHER_OPERATION_RUNNING));

  EXPECT_EQ(Application(app).at("operation"), operation);
  EXPECT_TRUE(gantry.OperationsWritten(app).empty());
}

TEST_F(RaceTest, AnApplicationThatIsDeletedBeforeTheWriteIsNotFound) {
  const std::string app = CreateApplication();
  Replica gantry;
  gantry.proxy.RunBefore(WriteOf(app), [&] { api_.Delete(ApplicationPath(app)); });
  EXPECT_TRUE(Is(gantry.RunStep(Request(UpdateTo(app))), v1::STEP_STATUS_ERRORED,
                 v1::STEP_REASON_APPLICATION_NOT_FOUND));
  EXPECT_FALSE(api_.Find(ApplicationPath(app)));
}

// Another Application under the same name is not the one that was read.
TEST_F(RaceTest, AnApplicationThatIsMadeAnewBeforeTheWriteIsJudgedAnew) {
  const std::string app = CreateApplication();
  Replica gantry;
  gantry.proxy.RunBefore(WriteOf(app), [&] {
    json fresh = NewApplication();
    fresh["metadata"]["name"] = app;
    fresh["metadata"]["annotations"] = {{"kargo.akuity.io/authorized-stage", "shop:elsewhere"}};
    api_.Delete(ApplicationPath(app));
    api_.Create(ApplicationsPath(), fresh);
  });
  EXPECT_TRUE(Is(gantry.RunStep(Request(UpdateTo(app))), v1::STEP_STATUS_ERRORED,
                 v1::STEP_REASON_NOT_AUTHORIZED));
  EXPECT_TRUE(HasNoOperation(Application(app)));
}

TEST_F(RaceTest, ALabelTakenAwayBeforeTheWriteEndsTheSelection) {
  const std::string group = UniqueName("group");
  const json label = {{"metadata", {{"labels", {{"group", group}}}}}};
  const std::string leaving = CreateApplication(label);
  const std::string staying = CreateApplication(label);
  Replica gantry;
  gantry.proxy.RunBefore(WriteOf(leaving), [&] {
    api_.MergePatch(ApplicationPath(leaving), {{"metadata", {{"labels", nullptr}}}});
  });

  const StepResult result = gantry.RunStep(
      Request({{"apps", json::array({{{"selector", {{"matchLabels", {{"group", group}}}}}}})}}));

  EXPECT_TRUE(Is(result, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  EXPECT_EQ(OutputOf(result).at("apps"),
            (json::array({{{"name", staying}, {"namespace", "argocd"}}})));
  EXPECT_TRUE(HasNoOperation(Application(leaving)));
  EXPECT_TRUE(HasOperation(Application(staying), "p1", 1));
}

TEST_F(RaceTest, AChangeThatMattersToNobodyIsFollowedByAnotherTry) {
  const std::string app = CreateApplication();
  Replica gantry;
  gantry.proxy.RunBefore(WriteOf(app), [&] {
    api_.MergePatch(ApplicationPath(app), {{"metadata", {{"labels", {{"touched", "yes"}}}}}});
  });
  ExpectStarted(gantry, Request(UpdateTo(app)));
  EXPECT_TRUE(HasOperation(Application(app), "p1", 1));
  EXPECT_EQ(gantry.proxy.Exchanges(WriteOf(app)).size(), 2u);
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
}

TEST_F(RaceTest, AfterFiveConflictsTheCallerIsAskedToComeAgain) {
  const std::string app = CreateApplication();
  int touched = 0;
  Replica gantry;
  RequestPattern every_write = WriteOf(app);
  every_write.count = kAlways;
  gantry.proxy.RunBefore(every_write, [&] {
    api_.MergePatch(ApplicationPath(app),
                    {{"metadata", {{"labels", {{"touched", std::to_string(++touched)}}}}}});
  });

  const StepResult result = gantry.RunStep(Request(UpdateTo(app)));

  ASSERT_TRUE(result.status.ok());
  EXPECT_EQ(result.response.status(), v1::STEP_STATUS_RUNNING);
  EXPECT_TRUE(result.response.has_retry_after());
  EXPECT_TRUE(HasNoOperation(Application(app)));
  EXPECT_EQ(gantry.proxy.Exchanges(WriteOf(app)).size(), 5u);

  // None of this was an attempt.
  gantry.proxy.ClearRules();
  ExpectStarted(gantry, Request(UpdateTo(app)));
  EXPECT_TRUE(HasOperation(Application(app), "p1", 1));
}

// Whoever deletes the record has the Stage forgotten. What has been begun is known by the
// operation.
TEST_F(RaceTest, ARecordThatIsDeletedBeforeTheWriteDoublesNothing) {
  const std::string app = CreateApplication();
  Replica gantry;
  gantry.proxy.RunAfter(CreationOfRecord(), [&] { api_.Delete(StageHealthPath(record_name())); });
  ExpectStarted(gantry, Request(UpdateTo(app)));
  const StepResult again = gantry.RunStep(Request(UpdateTo(app)));
  EXPECT_TRUE(Is(again, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
  EXPECT_TRUE(HasOperation(Application(app), "p1", 1));
}

// ---- the same step at once ---------------------------------------------------------

TEST_F(RaceTest, ConcurrentCallsOnTwoServersStartOneOperation) {
  Replica one;
  Replica two;
  for (int round = 1; round <= 20; ++round) {
    SCOPED_TRACE(round);
    const std::string stage = UniqueName("stage");
    const std::string app = CreateApplication(
        {{"metadata", {{"annotations", {{"kargo.akuity.io/authorized-stage", "shop:" + stage}}}}}});
    // The state of an earlier operation is one more thing that a write takes away.
    if (round % 2 == 0) ArgoCd(api_, app).SelfHeal({.finished_at = SecondsAgo(kHour)});
    v1::RunStepRequest request = Request(UpdateTo(app));
    request.set_stage(stage);

    std::vector<std::unique_ptr<PendingStep>> calls;
    for (Replica* replica : {&one, &two, &one, &two}) calls.push_back(replica->StartStep(request));
    for (const auto& call : calls) {
      ASSERT_TRUE(call->Result().status.ok()) << call->Result().status.error_message();
      EXPECT_EQ(call->Result().response.status(), v1::STEP_STATUS_RUNNING);
    }

    EXPECT_EQ(one.OperationsWritten(app).size() + two.OperationsWritten(app).size(), 1u);
    ArgoCd(api_, app).Work();
    EXPECT_TRUE(Is(one.RunStep(request), v1::STEP_STATUS_SUCCEEDED));
    EXPECT_TRUE(Is(two.RunStep(request), v1::STEP_STATUS_SUCCEEDED));
    EXPECT_EQ(one.OperationsWritten(app).size() + two.OperationsWritten(app).size(), 1u);
  }
}

TEST_F(RaceTest, ConcurrentPromotionsOnTwoServersStartOneOperationAtATime) {
  Replica one;
  Replica two;
  for (int round = 1; round <= 10; ++round) {
    SCOPED_TRACE(round);
    const std::string stage = UniqueName("stage");
    const std::string app = CreateApplication(
        {{"metadata", {{"annotations", {{"kargo.akuity.io/authorized-stage", "shop:" + stage}}}}}});
    ArgoCd(api_, app).SelfHeal({.finished_at = SecondsAgo(kHour)});
    v1::RunStepRequest p1 = Request(UpdateTo(app), "p1");
    v1::RunStepRequest p2 = Request(UpdateTo(app, kOtherRevision), "p2");
    p1.set_stage(stage);
    p2.set_stage(stage);
    const auto call1 = one.StartStep(p1);
    const auto call2 = two.StartStep(p2);
    ASSERT_TRUE(call1->Result().status.ok()) << call1->Result().status.error_message();
    ASSERT_TRUE(call2->Result().status.ok()) << call2->Result().status.error_message();
    const auto written = [&] {
      return one.OperationsWritten(app).size() + two.OperationsWritten(app).size();
    };
    ASSERT_EQ(written(), 1u);
    ArgoCd(api_, app).Work();

    // Whichever is asked first succeeds or takes over; then the other one is out of the way.
    const std::string first =
        InfoOf(Application(app).at("status").at("operationState").at("operation"),
               "kargo.akuity.io/promotion");
    const bool p1_was_first = first == "p1";
    const v1::RunStepRequest& other = p1_was_first ? p2 : p1;
    const StepResult taking_over = two.RunStep(other);
    if (taking_over.response.status() == v1::STEP_STATUS_ABORTED) {
      EXPECT_EQ(written(), 1u);
      EXPECT_TRUE(Is(one.RunStep(p1_was_first ? p1 : p2), v1::STEP_STATUS_SUCCEEDED));
    } else {
      EXPECT_TRUE(Is(taking_over, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
      EXPECT_EQ(written(), 2u);
      // A server whose watch has not brought the record yet may still say that it waits.
      const auto deadline = std::chrono::steady_clock::now() + kPatience;
      StepResult superseded = one.RunStep(p1_was_first ? p1 : p2);
      while (superseded.response.reason() == v1::STEP_REASON_OTHER_OPERATION_RUNNING &&
             std::chrono::steady_clock::now() < deadline) {
        superseded = one.RunStep(p1_was_first ? p1 : p2);
      }
      EXPECT_TRUE(Is(superseded, v1::STEP_STATUS_ABORTED, v1::STEP_REASON_PROMOTION_SUPERSEDED));
      EXPECT_EQ(written(), 2u);
      EXPECT_TRUE(HasOperation(Application(app), other.promotion(), 1));
    }
  }
}

// ---- points at which a step is interrupted ------------------------------------------

// The record itself is not read before it is written: it is taken from the watch.
enum class Place { kReadOfApplication, kRecording, kWrite };

struct Point {
  const char* name;
  Place place;
  int occurrence;
  bool after;  // the API server has answered, the server does not know yet
};

void PrintTo(const Point& point, std::ostream* out) { *out << point.name; }

class PointTest : public RaceTest, public testing::WithParamInterface<Point> {
 protected:
  // `recorded`: the Stage has a record already, so that recording updates it.
  std::shared_ptr<Hold> HoldAt(Replica& gantry, const std::string& app, bool recorded) const {
    const Point& point = GetParam();
    RequestPattern pattern;
    switch (point.place) {
      case Place::kReadOfApplication:
        pattern = ReadOf(app);
        break;
      case Place::kRecording:
        pattern = recorded ? UpdateOfRecord() : CreationOfRecord();
        break;
      case Place::kWrite:
        pattern = WriteOf(app);
        break;
    }
    pattern.first = point.occurrence;
    return point.after ? gantry.proxy.HoldAfter(pattern) : gantry.proxy.HoldBefore(pattern);
  }
};

class KillTest : public PointTest {};

// kill -9 there, and the same call on a new server.
TEST_P(KillTest, OneOperationIsStarted) {
  const std::string app = CreateApplication();
  const v1::RunStepRequest request = Request(UpdateTo(app));
  Replica killed;
  const auto hold = HoldAt(killed, app, /*recorded=*/false);
  const auto call = killed.StartStep(request);
  hold->AwaitHeld();
  killed.server->Kill9();
  EXPECT_TRUE(IsError(call->Result(), grpc::StatusCode::UNAVAILABLE));
  hold->Release();

  Replica successor;
  ExpectStarted(successor, request);

  EXPECT_EQ(killed.OperationsWritten(app).size() + successor.OperationsWritten(app).size(), 1u);
  const json pending = Application(app);
  ASSERT_TRUE(pending.contains("operation"));
  EXPECT_EQ(InfoOf(pending.at("operation"), "kargo.akuity.io/promotion"), "p1");
  EXPECT_EQ(
      std::to_string(
          Record().at("spec").at("steps").at(0).at("applications").at(0).at("attempt").get<int>()),
      InfoOf(pending.at("operation"), "gantry.dev/attempt"));

  ArgoCd(api_, app).Work();
  EXPECT_TRUE(Is(successor.RunStep(request), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(killed.OperationsWritten(app).size() + successor.OperationsWritten(app).size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(
    , KillTest,
    testing::Values(Point{"AfterReadingTheApplication", Place::kReadOfApplication, 1, true},
                    Point{"BeforeRecordingTheAttempt", Place::kRecording, 1, false},
                    Point{"AfterRecordingTheAttempt", Place::kRecording, 1, true},
                    Point{"BeforeWritingTheOperation", Place::kWrite, 1, false},
                    Point{"AfterWritingTheOperation", Place::kWrite, 1, true}),
    NameOf<Point>);

class KillAtSuccessTest : public PointTest {};

TEST_P(KillAtSuccessTest, TheStepSucceedsOnceMoreWithItsHealthCheckRegistered) {
  const std::string app = CreateApplication();
  const v1::RunStepRequest request = Request(UpdateTo(app));
  Replica killed;
  ExpectStarted(killed, request);
  ArgoCd(api_, app).Work();
  const auto hold = HoldAt(killed, app, /*recorded=*/true);
  const auto call = killed.StartStep(request);
  hold->AwaitHeld();
  killed.server->Kill9();
  EXPECT_TRUE(IsError(call->Result(), grpc::StatusCode::UNAVAILABLE));
  hold->Release();
  const json before = Application(app);

  Replica successor;
  const StepResult result = successor.RunStep(request);

  EXPECT_TRUE(Is(result, v1::STEP_STATUS_SUCCEEDED));
  EXPECT_TRUE(result.response.has_health_check());
  EXPECT_EQ(Application(app), before);
  EXPECT_EQ(successor.ApplicationWritesTried(), 0u);
  const json spec = Record().at("spec");
  EXPECT_EQ(spec.at("promotion").at("phase"), "Succeeded");
  EXPECT_EQ(spec.at("healthChecks").at(0).at("name"), app);
}

INSTANTIATE_TEST_SUITE_P(, KillAtSuccessTest,
                         testing::Values(Point{"AfterReadingTheApplication",
                                               Place::kReadOfApplication, 1, true},
                                         Point{"BeforeRecordingIt", Place::kRecording, 1, false},
                                         Point{"AfterRecordingIt", Place::kRecording, 1, true}),
                         NameOf<Point>);

class SupersededTest : public PointTest {
 protected:
  // A promotion p1 that is the current one, and about to make its second attempt.
  void MakeCurrent(Replica& gantry, const std::string& app) {
    ExpectStarted(gantry, Request(UpdateTo(app, kOtherRevision), "p1"));
    ArgoCd(api_, app).Work({.phase = "Failed",
                            .revisions = {"0000000000000000000000000000000000000000"},
                            .finished_at = SecondsAgo(kHour)});
  }
};

// An older promotion stands still at that point while a newer one takes over.
TEST_P(SupersededTest, TheOlderPromotionWritesNothingMore) {
  const std::string app = CreateApplication();
  const v1::RunStepRequest older_step = Request(UpdateTo(app, kOtherRevision), "p1");
  Replica older;
  Replica newer;
  MakeCurrent(older, app);
  const std::size_t written_before = older.OperationsWritten(app).size();
  const auto hold = HoldAt(older, app, /*recorded=*/true);
  const auto call = older.StartStep(older_step);
  hold->AwaitHeld();

  ExpectStarted(newer, Request(UpdateTo(app), "p2"));
  const json of_the_newer_one = Application(app);
  EXPECT_TRUE(HasOperation(of_the_newer_one, "p2", 1));
  hold->Release();
  const StepResult late = call->Result();

  ASSERT_TRUE(late.status.ok()) << late.status.error_message();
  EXPECT_TRUE(Is(late, v1::STEP_STATUS_ABORTED, v1::STEP_REASON_PROMOTION_SUPERSEDED));
  EXPECT_THAT(late.response.message(), HasSubstr("p2"));
  const StepResult later = older.RunStep(older_step);
  EXPECT_TRUE(Is(later, v1::STEP_STATUS_ABORTED, v1::STEP_REASON_PROMOTION_SUPERSEDED));
  EXPECT_THAT(later.response.message(), HasSubstr("p2"));
  EXPECT_EQ(Application(app), of_the_newer_one);
  EXPECT_EQ(older.OperationsWritten(app).size(), written_before);
  EXPECT_EQ(Record().at("spec").at("promotion").at("name"), "p2");

  ArgoCd(api_, app).Work();
  EXPECT_TRUE(Is(newer.RunStep(Request(UpdateTo(app), "p2")), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_TRUE(
      Is(older.RunStep(older_step), v1::STEP_STATUS_ABORTED, v1::STEP_REASON_PROMOTION_SUPERSEDED));
}

INSTANTIATE_TEST_SUITE_P(
    , SupersededTest,
    testing::Values(Point{"AfterReadingTheApplication", Place::kReadOfApplication, 1, true},
                    Point{"BeforeRecordingTheAttempt", Place::kRecording, 1, false},
                    Point{"AfterRecordingTheAttempt", Place::kRecording, 1, true},
                    Point{"BeforeWritingTheOperation", Place::kWrite, 1, false}),
    NameOf<Point>);

class SupersededElsewhereTest : public PointTest {};

// The newer promotion writes to another Application: nothing about this one tells that the older
// one is outdated, but the Stage's record does.
TEST_P(SupersededElsewhereTest, TheOlderPromotionWritesNothingMore) {
  const std::string app = CreateApplication();
  const std::string other = CreateApplication();
  const v1::RunStepRequest older_step = Request(UpdateTo(app), "p1", "second");
  Replica older;
  Replica newer;
  ExpectStarted(older, Request(UpdateTo(other), "p1", "first"));
  ArgoCd(api_, other).Work();
  const json before = Application(app);
  const auto hold = HoldAt(older, app, /*recorded=*/true);
  const auto call = older.StartStep(older_step);
  hold->AwaitHeld();

  ExpectStarted(newer, Request(UpdateTo(other, kOtherRevision), "p2"));
  hold->Release();

  EXPECT_TRUE(Is(call->Result(), v1::STEP_STATUS_ABORTED, v1::STEP_REASON_PROMOTION_SUPERSEDED));
  EXPECT_EQ(Application(app), before);
  EXPECT_EQ(older.proxy.Exchanges(WriteOf(app)).size(), 0u);
  EXPECT_EQ(Record().at("spec").at("promotion").at("name"), "p2");
}

INSTANTIATE_TEST_SUITE_P(
    , SupersededElsewhereTest,
    testing::Values(Point{"AfterReadingTheApplication", Place::kReadOfApplication, 1, true},
                    Point{"BeforeRecordingTheAttempt", Place::kRecording, 1, false},
                    Point{"AfterRecordingTheAttempt", Place::kRecording, 1, true}),
    NameOf<Point>);

class TakeoverTest : public RaceTest {};

// The older one's operation is there already: the newer one cannot take it back, and waits.
TEST_F(TakeoverTest, AnOperationThatTheOlderPromotionHasJustWrittenIsWaitedFor) {
  const std::string app = CreateApplication();
  const v1::RunStepRequest older_step = Request(UpdateTo(app, kOtherRevision), "p1");
  const v1::RunStepRequest newer_step = Request(UpdateTo(app), "p2");
  Replica older;
  Replica newer;
  const auto hold = older.proxy.HoldAfter(WriteOf(app));
  const auto call = older.StartStep(older_step);
  hold->AwaitHeld();
  EXPECT_TRUE(Is(newer.RunStep(newer_step), v1::STEP_STATUS_RUNNING,
                 v1::STEP_REASON_OTHER_OPERATION_RUNNING));
  hold->Release();
  EXPECT_TRUE(Is(call->Result(), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));

  ArgoCd(api_, app).Work();
  ExpectStarted(newer, newer_step);
  EXPECT_TRUE(HasOperation(Application(app), "p2", 1));
  EXPECT_TRUE(
      Is(older.RunStep(older_step), v1::STEP_STATUS_ABORTED, v1::STEP_REASON_PROMOTION_SUPERSEDED));
  EXPECT_TRUE(HasOperation(Application(app), "p2", 1));
}

// The newer one has been recorded and is about to write, when a write of the older one arrives that
// was under way: one of the two gets through, and in the end the Application is the newer one's.
TEST_F(TakeoverTest, AWriteOfTheOlderPromotionThatWasUnderWayIsWrittenOverInTheEnd) {
  const std::string app = CreateApplication();
  const v1::RunStepRequest older_step = Request(UpdateTo(app, kOtherRevision), "p1");
  const v1::RunStepRequest newer_step = Request(UpdateTo(app), "p2");
  Replica older;
  Replica newer;
  const auto older_hold = older.proxy.HoldBefore(WriteOf(app));
  const auto older_call = older.StartStep(older_step);
  older_hold->AwaitHeld();
  const auto newer_hold = newer.proxy.HoldBefore(WriteOf(app));
  const auto newer_call = newer.StartStep(newer_step);
  newer_hold->AwaitHeld();

  older_hold->Release();
  ASSERT_TRUE(older_call->Result().status.ok());
  newer_hold->Release();
  EXPECT_TRUE(
      Is(newer_call->Result(), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OTHER_OPERATION_RUNNING));
  EXPECT_TRUE(HasOperation(Application(app), "p1", 1));

  ArgoCd(api_, app).Work();
  EXPECT_TRUE(
      Is(older.RunStep(older_step), v1::STEP_STATUS_ABORTED, v1::STEP_REASON_PROMOTION_SUPERSEDED));
  ExpectStarted(newer, newer_step);
  ArgoCd(api_, app).Work();
  EXPECT_TRUE(Is(newer.RunStep(newer_step), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(Application(app).at("spec").at("source").at("targetRevision"), kNewRevision);
}

// A verdict that is reached before anything is recorded changes nothing about the Stage.
TEST_F(TakeoverTest, ACallThatMayNotTouchTheApplicationDoesNotSupersede) {
  const std::string app = CreateApplication();
  const std::string foreign = CreateApplication({{"metadata", {{"annotations", nullptr}}}});
  Replica gantry;
  ExpectStarted(gantry, Request(UpdateTo(app), "p1"));
  const json record = Record();
  EXPECT_TRUE(Is(gantry.RunStep(Request(UpdateTo(foreign), "p2")), v1::STEP_STATUS_ERRORED,
                 v1::STEP_REASON_NOT_AUTHORIZED));
  EXPECT_EQ(Record(), record);
  ArgoCd(api_, app).Work();
  EXPECT_TRUE(Is(gantry.RunStep(Request(UpdateTo(app), "p1")), v1::STEP_STATUS_SUCCEEDED));
}

TEST_F(TakeoverTest, ThePromotionIsLookedAtAgainInTheWriteThatRecordsSuccess) {
  const std::string app = CreateApplication();
  const std::string other = CreateApplication();
  const v1::RunStepRequest older_step = Request(UpdateTo(app), "p1");
  Replica older;
  Replica newer;
  ExpectStarted(older, older_step);
  ArgoCd(api_, app).Work();
  const auto hold = older.proxy.HoldBefore(UpdateOfRecord());
  const auto call = older.StartStep(older_step);
  hold->AwaitHeld();
  ExpectStarted(newer, Request(UpdateTo(other), "p2"));
  const json record = Record();
  hold->Release();
  EXPECT_TRUE(Is(call->Result(), v1::STEP_STATUS_ABORTED, v1::STEP_REASON_PROMOTION_SUPERSEDED));
  EXPECT_EQ(Record(), record);
}

}  // namespace
}  // namespace gantry::integration
