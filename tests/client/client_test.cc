// SPDX-License-Identifier: Apache-2.0
#include "gantry/client/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "gantry/client/errors.h"
#include "tests/client/answers.h"
#include "tests/client/scripted_connection.h"

namespace gantry::client {
namespace {

using ::testing::ElementsAre;

// The waits of each request, zero where it has none.
std::vector<absl::Duration> Waits(const ScriptedConnection& connection) {
  std::vector<absl::Duration> waits;
  for (const v1::RunStepRequest& request : connection.requests) {
    waits.push_back(absl::Seconds(request.wait().seconds()) +
                    absl::Nanoseconds(request.wait().nanos()));
  }
  return waits;
}

absl::Status SlowOnAConnection() {
  absl::Status error = absl::DeadlineExceededError("Deadline Exceeded");
  MarkConnected(error);
  return error;
}

struct LoopCase {
  std::string name;
  std::vector<ScriptedAnswer> script;
  std::vector<absl::Duration> sleeps;  // exactly these, in this order
  Ending ending = Ending::kVerdict;
  absl::Duration timeout = absl::Minutes(5);
  double random = 0;
  absl::Duration hold = absl::ZeroDuration();
};

std::vector<LoopCase> LoopCases() {
  const v1::RunStepResponse succeeded = Answer(v1::STEP_STATUS_SUCCEEDED);
  const absl::Status busy = Error(grpc::StatusCode::RESOURCE_EXHAUSTED, "busy");
  const double top = 1;
  return {
      {"SucceededAtOnce", {{succeeded}}, {}},
      {"FailedIsAVerdict", {{Answer(v1::STEP_STATUS_FAILED)}}, {}},
      {"ErroredIsAVerdict", {{Answer(v1::STEP_STATUS_ERRORED)}}, {}},
      {"AbortedIsAVerdict", {{Answer(v1::STEP_STATUS_ABORTED)}}, {}},
      {"RunningUsesRetryAfter",
       {{Running(2 * kSecond)}, {Running(5 * kSecond)}, {succeeded}},
       {2 * kSecond, 5 * kSecond}},
      {"RetryAfterIsSpreadUpwards",
       {{Running(2 * kSecond)}, {succeeded}},
       {absl::Milliseconds(2500)},
       Ending::kVerdict,
       absl::Minutes(5),
       top},
      {"RunningWithoutRetryAfterBacksOff",
       {{Running()}, {Running()}, {Running()}, {Running()}, {Running()}, {Running()}, {succeeded}},
       {kSecond / 2, kSecond, 2 * kSecond, 4 * kSecond, 5 * kSecond, 5 * kSecond}},
      {"TheBackoffEndsAtTenSeconds",
       {{Running()}, {Running()}, {Running()}, {Running()}, {Running()}, {Running()}, {succeeded}},
       {kSecond, 2 * kSecond, 4 * kSecond, 8 * kSecond, 10 * kSecond, 10 * kSecond},
       Ending::kVerdict,
       absl::Minutes(5),
       top},
      {"AStatusFromTheFutureIsRunning",
       {{Answer(v1::STEP_STATUS_UNSPECIFIED)},
        {Answer(static_cast<v1::StepStatus>(77))},
        {succeeded}},
       {kSecond / 2, kSecond}},
      {"ErrorsOfTheServiceBackOff",
       {{KubernetesDown()}, {busy}, {SlowOnAConnection()}, {succeeded}},
       {kSecond / 2, kSecond, 2 * kSecond}},
      {"AServiceThatEndsWithACallInItsHandsIsAskedAgain",
       {{Running(kSecond)}, {Error(grpc::StatusCode::CANCELLED, "CANCELLED")}, {succeeded}},
       {kSecond, kSecond / 2}},
      {"RetryInfoIsHonored",
       {{KubernetesDown(7 * kSecond)}, {KubernetesDown(7 * kSecond)}, {succeeded}},
       {7 * kSecond, 7 * kSecond}},
      {"RetryInfoIsSpreadUpwards",
       {{KubernetesDown(8 * kSecond)}, {succeeded}},
       {10 * kSecond},
       Ending::kVerdict,
       absl::Minutes(5),
       top},
      {"AShortRetryInfoDoesNotUndoTheBackoff",
       {{KubernetesDown(kSecond)},
        {KubernetesDown(kSecond)},
        {KubernetesDown(kSecond)},
        {succeeded}},
       {kSecond, kSecond, 2 * kSecond}},
      {"AnAnswerResetsTheBackoffOfErrors",
       {{KubernetesDown()},
        {KubernetesDown()},
        {Running(kSecond)},
        {KubernetesDown()},
        {succeeded}},
       {kSecond / 2, kSecond, kSecond, kSecond / 2}},
      {"AServiceThatNeverAnsweredIsGivenUpAfterTenSeconds",
       {{Refused()}},
       {kSecond / 2, kSecond, 2 * kSecond, 4 * kSecond, absl::Milliseconds(2500)},
       Ending::kUnreachable},
      {"OrAfterTheTimeoutIfThatIsSooner",
       {{Refused()}},
       {kSecond / 2, kSecond, kSecond / 2},
       Ending::kUnreachable,
       2 * kSecond},
      {"AnAddressThatSwallowsConnectionsIsGivenUp",
       {{Running(), absl::Hours(1)}},
       {},
       Ending::kUnreachable},
      {"AServiceThatIsSlowIsNotGivenUp",
       {{SlowOnAConnection(), 11 * kSecond}, {succeeded}},
       {kSecond / 2}},
      {"AnOutageAfterAnAnswerIsWaitedOut",
       {{Running(kSecond)}, {Refused(), 20 * kSecond}, {Refused(), 20 * kSecond}, {succeeded}},
       {kSecond, kSecond / 2, kSecond}},
      {"AnOutageUntilTheTimeoutIsUnreachable",
       {{Running(kSecond)}, {Refused()}},
       {kSecond, kSecond / 2, kSecond, 2 * kSecond, 4 * kSecond, 5 * kSecond, 5 * kSecond,
        kSecond + kSecond / 2},
       Ending::kUnreachable,
       20 * kSecond},
      {"AnErrorOfTheServiceCountsAsAnAnswer",
       {{KubernetesDown(20 * kSecond)}, {Refused(), 20 * kSecond}, {succeeded}},
       {20 * kSecond, kSecond}},
      {"AServiceThatCannotJudgeIsATimeout",
       {{KubernetesDown(6 * kSecond)}},
       {6 * kSecond, 6 * kSecond, 3 * kSecond},
       Ending::kTimedOut,
       15 * kSecond},
      {"RunningUntilTheTimeout",
       {{Running(4 * kSecond)}},
       {4 * kSecond, 4 * kSecond, 2 * kSecond},
       Ending::kTimedOut,
       10 * kSecond},
      {"ARetryAfterBeyondTheTimeoutEndsWithALastLook",
       {{Running(absl::Hours(1))}, {succeeded}},
       {10 * kSecond},
       Ending::kVerdict,
       10 * kSecond},
      {"PermissionDeniedIsRefused",
       {{Error(grpc::StatusCode::PERMISSION_DENIED, "no")}},
       {},
       Ending::kRefused},
      {"InvalidArgumentIsRefused",
       {{Running(kSecond)}, {Error(grpc::StatusCode::INVALID_ARGUMENT, "no")}},
       {kSecond},
       Ending::kRefused},
      {"AHeldCallIsFollowedAtOnce",
       {{Running(3 * kSecond)},
        {Running(3 * kSecond), 5 * kSecond},
        {Running(3 * kSecond), 5 * kSecond},
        {succeeded, kSecond}},
       {absl::ZeroDuration(), absl::ZeroDuration(), absl::ZeroDuration()},
       Ending::kVerdict,
       absl::Minutes(5),
       0,
       5 * kSecond},
      {"CallsThatAreNotHeldToTheEndAreASecondApart",
       {{Running(3 * kSecond)},
        {Running(3 * kSecond), kSecond / 5},
        {Running(3 * kSecond), 2 * kSecond},
        {succeeded}},
       {absl::ZeroDuration(), absl::Milliseconds(800), absl::ZeroDuration()},
       Ending::kVerdict,
       absl::Minutes(5),
       0,
       5 * kSecond},
  };
}

class LoopTest : public ::testing::TestWithParam<LoopCase> {};

TEST_P(LoopTest, SleepsExactlyThisAndEndsSo) {
  FakeTiming timing(GetParam().random);
  const auto connection = std::make_shared<ScriptedConnection>(GetParam().script, timing);
  RunStepOptions options;
  options.timeout = GetParam().timeout;
  options.hold = GetParam().hold;
  options.timing = &timing;

  const RunStepResult result = Client(connection).RunStepUntilDone({}, options);

  EXPECT_EQ(timing.sleeps, GetParam().sleeps);
  EXPECT_EQ(result.ending, GetParam().ending);
}

INSTANTIATE_TEST_SUITE_P(Cases, LoopTest, ::testing::ValuesIn(LoopCases()),
                         [](const auto& test) { return test.param.name; });

// What a loop over a script did.
struct Loop {
  explicit Loop(std::vector<ScriptedAnswer> script)
      : connection(std::make_shared<ScriptedConnection>(std::move(script), timing)) {
    options.timing = &timing;
  }
  RunStepResult Run(v1::RunStepRequest request = {}) {
    return Client(connection)
        .RunStepUntilDone(std::move(request), options, [this](const RunStepProgress& now) {
          progress.push_back(now);
          if (now.error != nullptr) errors.push_back(*now.error);
        });
  }

  FakeTiming timing;
  std::shared_ptr<ScriptedConnection> connection;
  RunStepOptions options;
  std::vector<RunStepProgress> progress;
  std::vector<absl::Status> errors;
};

TEST(RunStepUntilDoneTest, TheOutputOfEachAnswerGoesIntoTheNextRequest) {
  v1::RunStepResponse first = Running(kSecond);
  (*first.mutable_output()->mutable_fields())["n"].set_number_value(1);
  v1::RunStepResponse second = Running(kSecond);
  (*second.mutable_output()->mutable_fields())["n"].set_number_value(2);
  Loop loop({{first}, {KubernetesDown()}, {second}, {Answer(v1::STEP_STATUS_SUCCEEDED)}});

  v1::RunStepRequest request;
  request.set_promotion("p-1");
  request.set_uses("argocd-wait");
  loop.Run(request);

  const auto& requests = loop.connection->requests;
  ASSERT_EQ(requests.size(), 4u);
  EXPECT_FALSE(requests[0].has_previous_output());
  EXPECT_EQ(requests[1].previous_output().fields().at("n").number_value(), 1);
  EXPECT_EQ(requests[2].previous_output().fields().at("n").number_value(), 1);
  EXPECT_EQ(requests[3].previous_output().fields().at("n").number_value(), 2);
  for (const v1::RunStepRequest& sent : requests) {
    EXPECT_EQ(sent.promotion(), "p-1");
    EXPECT_EQ(sent.uses(), "argocd-wait");
  }
}

TEST(RunStepUntilDoneTest, TheFirstCallAndThoseAfterErrorsAreNotHeld) {
  Loop loop({{Running(kSecond)},
             {Running(kSecond), 4 * kSecond},
             {KubernetesDown()},
             {Running(kSecond)},
             {Answer(v1::STEP_STATUS_SUCCEEDED)}});
  loop.options.hold = 4 * kSecond;
  loop.Run();
  EXPECT_THAT(Waits(*loop.connection), ElementsAre(absl::ZeroDuration(), 4 * kSecond, 4 * kSecond,
                                                   absl::ZeroDuration(), 4 * kSecond));
  EXPECT_FALSE(loop.connection->requests[0].has_wait());
}

TEST(RunStepUntilDoneTest, NoCallIsHeldBeyondTheTimeout) {
  Loop loop({{Running(kSecond)}, {Running(kSecond), 4 * kSecond}, {Running(), 2 * kSecond}});
  loop.options.hold = 4 * kSecond;
  loop.options.timeout = 6 * kSecond;
  EXPECT_EQ(loop.Run().ending, Ending::kTimedOut);
  EXPECT_THAT(Waits(*loop.connection), ElementsAre(absl::ZeroDuration(), 4 * kSecond, 2 * kSecond));
}

TEST(RunStepUntilDoneTest, AServiceThatAllowsNoSuchWaitIsNotAskedAgain) {
  Loop loop({{Running(kSecond)},
             {Error(grpc::StatusCode::INVALID_ARGUMENT, "one field is wrong",
                    {"INVALID_REQUEST", std::nullopt, {{"wait", "at most 1s"}}})},
             {Running(kSecond)},
             {Answer(v1::STEP_STATUS_SUCCEEDED)}});
  loop.options.hold = 5 * kSecond;
  EXPECT_EQ(loop.Run().ending, Ending::kVerdict);
  EXPECT_THAT(Waits(*loop.connection), ElementsAre(absl::ZeroDuration(), 5 * kSecond,
                                                   absl::ZeroDuration(), absl::ZeroDuration()));
  EXPECT_THAT(loop.timing.sleeps, ElementsAre(absl::ZeroDuration(), kSecond));
}

TEST(RunStepUntilDoneTest, AnotherWrongFieldBesideTheWaitIsRefused) {
  Loop loop({{Running(kSecond)},
             {Error(grpc::StatusCode::INVALID_ARGUMENT, "two fields are wrong",
                    {"INVALID_REQUEST", std::nullopt, {{"wait", "x"}, {"stage", "y"}}})}});
  EXPECT_EQ(loop.Run().ending, Ending::kRefused);
}

TEST(RunStepUntilDoneTest, CallsAreGivenTheTimeTheyAskToBeHeldAndSomeMore) {
  Loop loop(
      {{Running(kSecond)}, {Running(kSecond), 30 * kSecond}, {Answer(v1::STEP_STATUS_SUCCEEDED)}});
  loop.options.timeout = 80 * kSecond;
  loop.Run();
  // The first has the time after which a service that does not answer is given up, and the last
  // one what is left of the timeout; a second more each.
  EXPECT_THAT(loop.connection->timeouts, ElementsAre(11 * kSecond, 60 * kSecond, 51 * kSecond));
}

TEST(RunStepUntilDoneTest, ADryRunEndsWithItsFirstAnswer) {
  v1::RunStepRequest request;
  request.set_dry_run(true);
  Loop loop({{KubernetesDown()}, {Running(kSecond)}});
  const RunStepResult result = loop.Run(request);
  EXPECT_EQ(result.ending, Ending::kVerdict);
  EXPECT_EQ(result.response->status(), v1::STEP_STATUS_RUNNING);
  EXPECT_EQ(loop.connection->requests.size(), 2u);
}

TEST(RunStepUntilDoneTest, ProgressTellsOfEveryCallButTheLast) {
  Loop loop({{KubernetesDown(2 * kSecond)},
             {Refused()},
             {Running(3 * kSecond)},
             {Answer(v1::STEP_STATUS_SUCCEEDED)}});
  loop.Run();

  ASSERT_EQ(loop.progress.size(), 3u);
  EXPECT_EQ(loop.progress[0].elapsed, absl::ZeroDuration());
  EXPECT_EQ(loop.progress[0].next_call, 2 * kSecond);
  EXPECT_TRUE(loop.progress[0].service_answered);
  EXPECT_EQ(loop.progress[0].response, nullptr);
  EXPECT_EQ(loop.progress[1].elapsed, 2 * kSecond);
  EXPECT_FALSE(loop.progress[1].service_answered);
  EXPECT_EQ(loop.progress[2].elapsed, 3 * kSecond);
  EXPECT_EQ(loop.progress[2].next_call, absl::ZeroDuration());
  EXPECT_EQ(loop.progress[2].error, nullptr);
  EXPECT_NE(loop.progress[2].response, nullptr);
  EXPECT_THAT(loop.errors, ElementsAre(KubernetesDown(2 * kSecond), Refused()));
}

TEST(RunStepUntilDoneTest, TheResultKeepsWhatWasLastKnown) {
  Loop outage({{Running(kSecond, "syncing")}, {Refused()}});
  outage.options.timeout = 5 * kSecond;
  const RunStepResult unreachable = outage.Run();
  EXPECT_EQ(unreachable.ending, Ending::kUnreachable);
  ASSERT_TRUE(unreachable.response);
  EXPECT_EQ(unreachable.response->message(), "syncing");
  EXPECT_EQ(unreachable.error, Refused());
  EXPECT_EQ(unreachable.elapsed, 5 * kSecond);

  Loop recovered({{Refused()}, {Running(absl::Hours(1))}});
  recovered.options.timeout = 5 * kSecond;
  const RunStepResult timed_out = recovered.Run();
  EXPECT_EQ(timed_out.ending, Ending::kTimedOut);
  EXPECT_TRUE(timed_out.error.ok());
  EXPECT_TRUE(timed_out.response);
}

TEST(ClientTest, RunStepPassesTheCallOn) {
  FakeTiming timing;
  const auto connection = std::make_shared<ScriptedConnection>(
      std::vector<ScriptedAnswer>{{Running(kSecond)}, {KubernetesDown()}}, timing);
  const Client client(connection);
  v1::RunStepRequest request;
  request.set_stage("prod");

  const absl::StatusOr<v1::RunStepResponse> first = client.RunStep(request, 7 * kSecond);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->status(), v1::STEP_STATUS_RUNNING);
  EXPECT_EQ(connection->requests[0].stage(), "prod");
  EXPECT_EQ(connection->timeouts[0], 7 * kSecond);
  EXPECT_EQ(client.RunStep(request, kSecond).status(), KubernetesDown());
  EXPECT_TRUE(timing.sleeps.empty());
}

}  // namespace
}  // namespace gantry::client
