// SPDX-License-Identifier: Apache-2.0
//
// An API server that refuses, throttles, talks nonsense, hangs or cannot be reached.
#include "tests/integration/integration_test.h"

namespace gantry::integration {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class FailureTest : public IntegrationTest {
 protected:
  void ExpectStarted(Replica& gantry, const v1::RunStepRequest& request) {
    EXPECT_TRUE(
        Is(gantry.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  }
  static RequestPattern Always(RequestPattern pattern) {
    pattern.count = kAlways;
    return pattern;
  }
};

// ---- refused -----------------------------------------------------------------------

class RefusedTest : public FailureTest, public testing::WithParamInterface<int> {};

TEST_P(RefusedTest, ARefusedWriteIsErroredAndNoAttempt) {
  const std::string app = CreateApplication();
  const json before = Application(app);
  Replica gantry({"--max-sync-attempts=2"});
  gantry.proxy.Answer(Always(WriteOf(app)), Refusal(GetParam(), "Refused", "the webhook says no"));

  // More often than attempts are allowed.
  for (int call = 1; call <= 4; ++call) {
    const StepResult result = gantry.RunStep(Request(UpdateTo(app)));
    EXPECT_TRUE(Is(result, v1::STEP_STATUS_ERRORED, v1::STEP_REASON_WRITE_REFUSED));
    EXPECT_THAT(result.response.message(), HasSubstr("the webhook says no"));
    EXPECT_TRUE(result.response.has_retry_after());
  }
  EXPECT_EQ(Application(app), before);
  EXPECT_EQ(gantry.ApplicationWritesTried(), 4u);

  gantry.proxy.ClearRules();
  ExpectStarted(gantry, Request(UpdateTo(app)));
  EXPECT_TRUE(HasOperation(Application(app), "p1", 1));
}

INSTANTIATE_TEST_SUITE_P(HttpStatus, RefusedTest, testing::Values(403, 413, 422),
                         testing::PrintToStringParamName());

// One of them is refused while the others are under way or not yet begun: the outcomes tell which
// were written.
TEST_F(FailureTest, AfterARefusedWriteNoFurtherOneIsBegun) {
  constexpr std::size_t kApplications = 8;
  std::vector<std::string> apps;
  json config = {{"apps", json::array()}};
  for (std::size_t i = 0; i < kApplications; ++i) {
    apps.push_back(CreateApplication());
    config["apps"].push_back(UpdateTo(apps[i]).at("apps").at(0));
  }
  Replica gantry({"--step-workers=1"});
  gantry.proxy.Answer(WriteOf(apps[0]), Refusal(403, "Forbidden", "not this one"));

  const StepResult result = gantry.RunStep(Request(config));

  EXPECT_TRUE(Is(result, v1::STEP_STATUS_ERRORED, v1::STEP_REASON_WRITE_REFUSED));
  EXPECT_LT(gantry.ApplicationWritesTried(), kApplications);
  EXPECT_TRUE(HasNoOperation(Application(apps[0])));
  for (const std::string& app : apps) {
    EXPECT_EQ(OutcomeOf(result, app).action() == v1::ApplicationOutcome::ACTION_SYNC_STARTED,
              Application(app).contains("operation"));
  }

  ExpectStarted(gantry, Request(config));
  for (const std::string& app : apps) {
    EXPECT_TRUE(HasOperation(Application(app), "p1", 1));
    EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
  }
}

TEST_F(FailureTest, AServerWithoutRightsSaysSo) {
  const std::string app = CreateApplication();
  const json before = Application(app);
  Replica gantry({"--stage-namespace=gantry-system"}, "nobody.kubeconfig");
  gantry.ExpectForbidden();
  const StepResult result = gantry.RunStep(Request(UpdateTo(app)));
  EXPECT_TRUE(IsUnavailable(result));
  EXPECT_THAT(result.status.error_message(), HasSubstr("stagehealths"));
  EXPECT_EQ(Application(app), before);
}

// ---- passing failures --------------------------------------------------------------

TEST_F(FailureTest, AThrottledWriteIsMadeAgainWhenTheServerAllows) {
  const std::string app = CreateApplication();
  Replica gantry;
  CannedAnswer throttled = Refusal(429, "TooManyRequests", "slow down");
  throttled.headers = {{"Retry-After", "1"}};
  gantry.proxy.Answer(WriteOf(app), throttled);
  ExpectStarted(gantry, Request(UpdateTo(app)));
  EXPECT_TRUE(HasOperation(Application(app), "p1", 1));
  EXPECT_EQ(gantry.proxy.Exchanges(WriteOf(app)).size(), 2u);
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
}

// Its own backoff would have tried again long before the deadline.
TEST_F(FailureTest, AWriteIsNotMadeAgainBeforeTheServerAllows) {
  const std::string app = CreateApplication();
  const json before = Application(app);
  Replica gantry;
  CannedAnswer throttled = Refusal(429, "TooManyRequests", "slow down");
  throttled.headers = {{"Retry-After", "3600"}};
  gantry.proxy.Answer(Always(WriteOf(app)), throttled);
  const StepResult result =
      gantry.server->RunStep(Request(UpdateTo(app)), std::chrono::milliseconds(1500));
  EXPECT_FALSE(result.status.ok());
  EXPECT_EQ(gantry.proxy.Exchanges(WriteOf(app)).size(), 1u);
  EXPECT_EQ(Application(app), before);
}

struct UnusableCase {
  const char* name;
  int status;
  const char* body;
  const char* content_type = "application/json";
};
void PrintTo(const UnusableCase& tested, std::ostream* out) { *out << tested.name; }

// Nothing is decided on such an answer, whatever was asked for: an Application that is not seen is
// not one that is missing, and a record that is not seen may forbid to write.
class UnusableAnswerTest : public FailureTest, public testing::WithParamInterface<UnusableCase> {
 protected:
  CannedAnswer TheAnswer() const {
    return {.status = GetParam().status,
            .body = GetParam().body,
            .content_type = GetParam().content_type};
  }
};

TEST_P(UnusableAnswerTest, ToTheReadOfAnApplication) {
  const std::string app = CreateApplication();
  const json before = Application(app);
  Replica gantry;
  gantry.proxy.Answer(Always(ReadOf(app)), TheAnswer());
  EXPECT_TRUE(IsUnavailable(gantry.RunStep(Request(UpdateTo(app)))));
  EXPECT_EQ(Application(app), before);
  EXPECT_EQ(gantry.ApplicationWritesTried(), 0u);
  EXPECT_FALSE(HasRecord());
}

TEST_P(UnusableAnswerTest, ToTheReadOfTheRecord) {
  const std::string app = CreateApplication();
  const json before = Application(app);
  Replica gantry;
  gantry.proxy.Answer(Always(ReadOfRecord()), TheAnswer());
  // The record is read where nothing is written to it.
  v1::RunStepRequest request = Request(UpdateTo(app));
  request.set_dry_run(true);
  EXPECT_TRUE(IsUnavailable(gantry.RunStep(request)));
  EXPECT_EQ(Application(app), before);
  EXPECT_EQ(gantry.ApplicationWritesTried(), 0u);
  EXPECT_FALSE(HasRecord());
}

TEST_P(UnusableAnswerTest, ToTheSearchByLabels) {
  const std::string group = UniqueName("group");
  const std::string app = CreateApplication({{"metadata", {{"labels", {{"group", group}}}}}});
  const json before = Application(app);
  Replica gantry;
  gantry.proxy.Answer(Always({.method = "GET", .target = "/applications\\?.*labelSelector="}),
                      TheAnswer());
  EXPECT_TRUE(IsUnavailable(gantry.RunStep(
      Request({{"apps", json::array({{{"selector", {{"matchLabels", {{"group", group}}}}}}})}}))));
  EXPECT_EQ(Application(app), before);
  EXPECT_FALSE(HasRecord());
}

INSTANTIATE_TEST_SUITE_P(
    , UnusableAnswerTest,
    testing::Values(
        UnusableCase{"AWebPage", 200, "<html>Please log in</html>", "text/html"},
        UnusableCase{"NothingAtAll", 200, ""}, UnusableCase{"HalfAnObject", 200, "{\"metadata\":"},
        UnusableCase{"AnArray", 200, "[]"},
        UnusableCase{"AnUnknownResource", 404, "404 page not found\n", "text/plain"},
        UnusableCase{"Unauthorized", 401, R"({"kind":"Status","status":"Failure","code":401})"},
        UnusableCase{"Forbidden", 403, R"({"kind":"Status","status":"Failure","code":403})"},
        UnusableCase{"AnInternalError", 500, R"({"kind":"Status","status":"Failure","code":500})"},
        UnusableCase{"ABadGateway", 502, "<html>Bad Gateway</html>", "text/html"}),
    NameOf<UnusableCase>);

// An Application that cannot be understood must not be decided on.
TEST_F(FailureTest, AnApplicationOfTheWrongShapeIsUnavailable) {
  const std::string app = CreateApplication();
  json odd = Application(app);
  odd["spec"]["source"] = "not an object";
  Replica gantry;
  gantry.proxy.Answer(Always(ReadOf(app)), {.body = odd.dump()});
  EXPECT_TRUE(IsUnavailable(gantry.RunStep(Request(UpdateTo(app)))));
  EXPECT_TRUE(HasNoOperation(Application(app)));
  EXPECT_FALSE(HasRecord());
}

TEST_F(FailureTest, ARecordThatCannotBeUnderstoodIsUnavailable) {
  const std::string app = CreateApplication();
  Replica gantry;
  ExpectStarted(gantry, Request(UpdateTo(app)));
  api_.MergePatch(StageHealthPath(record_name()),
                  {{"spec", {{"steps", {{{"name", "argocd-update"}, {"status", "Nonsense"}}}}}}});
  const json record = Record();
  const json before = Application(app);
  const StepResult result = gantry.RunStep(Request(UpdateTo(app)));
  EXPECT_TRUE(IsUnavailable(result));
  EXPECT_THAT(result.status.error_message(), HasSubstr(record_name()));
  EXPECT_EQ(Record(), record);
  EXPECT_EQ(Application(app), before);
}

TEST_F(FailureTest, AServerThatIsOutOfReachIsUnavailable) {
  const std::string app = CreateApplication();
  const json before = Application(app);
  Replica gantry;
  gantry.proxy.GoAway();
  EXPECT_TRUE(IsUnavailable(gantry.server->RunStep(Request(UpdateTo(app)))));
  EXPECT_EQ(Application(app), before);
  EXPECT_FALSE(HasRecord());
}

TEST_F(FailureTest, AReadWhoseConnectionIsLostIsRepeated) {
  const std::string app = CreateApplication();
  Replica gantry;
  gantry.proxy.DropBefore(ReadOf(app));
  ExpectStarted(gantry, Request(UpdateTo(app)));
  EXPECT_TRUE(HasOperation(Application(app), "p1", 1));
}

// Its outcome is unknown: it is looked at before anything else.
TEST_F(FailureTest, AWriteWhoseAnswerIsLostIsFoundAndNotRepeated) {
  const std::string app = CreateApplication();
  Replica gantry;
  gantry.proxy.DropAfter(WriteOf(app));
  ExpectStarted(gantry, Request(UpdateTo(app)));
  EXPECT_TRUE(HasOperation(Application(app), "p1", 1));
  EXPECT_EQ(gantry.proxy.Exchanges(WriteOf(app)).size(), 1u);

  ArgoCd(api_, app).Work();
  EXPECT_TRUE(Is(gantry.RunStep(Request(UpdateTo(app))), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
}

TEST_F(FailureTest, AWriteThatWasLostOnItsWayIsMadeOnce) {
  const std::string app = CreateApplication();
  Replica gantry;
  gantry.proxy.DropBefore(WriteOf(app));
  ExpectStarted(gantry, Request(UpdateTo(app)));
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
  EXPECT_TRUE(Application(app).contains("operation"));
}

TEST_F(FailureTest, ARecordWhoseAnswerIsLostDoesNotStartASecondOperation) {
  const std::string app = CreateApplication();
  Replica gantry;
  gantry.proxy.DropAfter(CreationOfRecord());
  const StepResult first = gantry.RunStep(Request(UpdateTo(app)));
  if (!first.status.ok()) {
    EXPECT_TRUE(IsUnavailable(first));
    EXPECT_TRUE(HasNoOperation(Application(app)));
    ExpectStarted(gantry, Request(UpdateTo(app)));
  }
  EXPECT_TRUE(Application(app).contains("operation"));
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
}

// Some were written, another one could not be: the outcomes so far, and come again.
TEST_F(FailureTest, APassingFailureOfOneOfSeveralWritesIsRunning) {
  const std::string written = CreateApplication();
  const std::string failing = CreateApplication();
  json config = UpdateTo(written);
  config["apps"].push_back(UpdateTo(failing).at("apps").at(0));
  const json before = Application(failing);
  Replica gantry;
  gantry.proxy.Answer(Always(WriteOf(failing)), Refusal(500, "InternalError", "no leader"));

  const StepResult result = gantry.RunStep(Request(config));

  EXPECT_TRUE(Is(result, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  EXPECT_TRUE(result.response.has_retry_after());
  EXPECT_EQ(OutcomeOf(result, written).action(), v1::ApplicationOutcome::ACTION_SYNC_STARTED);
  EXPECT_NE(OutcomeOf(result, failing).action(), v1::ApplicationOutcome::ACTION_SYNC_STARTED);
  EXPECT_THAT(result.response.message(), HasSubstr("no leader"));
  EXPECT_TRUE(HasOperation(Application(written), "p1", 1));
  EXPECT_EQ(Application(failing), before);

  gantry.proxy.ClearRules();
  ExpectStarted(gantry, Request(config));
  EXPECT_TRUE(Application(failing).contains("operation"));
  EXPECT_EQ(gantry.OperationsWritten(written).size(), 1u);
  EXPECT_EQ(gantry.OperationsWritten(failing).size(), 1u);
}

// ---- what cannot be recorded -------------------------------------------------------

TEST_F(FailureTest, NothingIsWrittenThatCannotBeRecorded) {
  const std::string app = CreateApplication();
  const json before = Application(app);
  Replica gantry;
  gantry.proxy.Answer(Always(CreationOfRecord()), Refusal(403, "Forbidden", "not for you"));
  const StepResult result = gantry.RunStep(Request(UpdateTo(app)));
  EXPECT_TRUE(IsUnavailable(result));
  EXPECT_THAT(result.status.error_message(), HasSubstr("not for you"));
  EXPECT_EQ(Application(app), before);
  EXPECT_EQ(gantry.ApplicationWritesTried(), 0u);
}

TEST_F(FailureTest, SuccessIsNotSaidBeforeItIsRecorded) {
  const std::string app = CreateApplication();
  Replica gantry;
  ExpectStarted(gantry, Request(UpdateTo(app)));
  ArgoCd(api_, app).Work();
  gantry.proxy.Answer(Always(UpdateOfRecord()), Refusal(403, "Forbidden", "not for you"));

  EXPECT_TRUE(IsUnavailable(gantry.RunStep(Request(UpdateTo(app)))));
  EXPECT_EQ(Record().at("spec").at("steps").at(0).at("status"), "Running");

  gantry.proxy.ClearRules();
  EXPECT_TRUE(Is(gantry.RunStep(Request(UpdateTo(app))), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(Record().at("spec").at("steps").at(0).at("status"), "Succeeded");
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
}

// ---- a server that hangs -----------------------------------------------------------

struct HangCase {
  const char* name;
  bool at_write;
  bool cancelled;  // else the deadline passes
};

void PrintTo(const HangCase& tested, std::ostream* out) { *out << tested.name; }

class HangTest : public FailureTest, public testing::WithParamInterface<HangCase> {};

// The end of the call reaches the Kubernetes request that it waits for.
TEST_P(HangTest, TheCallEndsWithItsCallerAndSoDoesItsRequest) {
  const std::string app = CreateApplication();
  const json before = Application(app);
  Replica gantry;
  const auto hold = gantry.proxy.HoldBefore(GetParam().at_write ? WriteOf(app) : ReadOf(app));
  const auto call = gantry.server->StartStep(Request(UpdateTo(app)), GetParam().cancelled
                                                                         ? std::chrono::seconds(60)
                                                                         : std::chrono::seconds(1));
  hold->AwaitHeld();
  if (GetParam().cancelled) call->Cancel();
  hold->AwaitAbandoned();

  EXPECT_TRUE(IsError(call->Result(), GetParam().cancelled ? grpc::StatusCode::CANCELLED
                                                           : grpc::StatusCode::DEADLINE_EXCEEDED));
  EXPECT_EQ(Application(app), before);

  // The server is as good as before.
  hold->Release();
  ExpectStarted(gantry, Request(UpdateTo(app)));
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(, HangTest,
                         testing::Values(HangCase{"ADeadlineAtTheRead", false, false},
                                         HangCase{"ADeadlineAtTheWrite", true, false},
                                         HangCase{"ACancellationAtTheRead", false, true},
                                         HangCase{"ACancellationAtTheWrite", true, true}),
                         NameOf<HangCase>);

}  // namespace
}  // namespace gantry::integration
