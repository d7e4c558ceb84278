// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "gantry/client/client.h"
#include "tests/client/answers.h"
#include "tests/client/scripted_connection.h"

// The calls that tell the health of Stages.
namespace gantry::client {
namespace {

using ::testing::ElementsAre;

struct Calls {
  Calls() { options.timing = &timing; }
  Client client() const { return Client(connection); }

  FakeTiming timing;
  std::shared_ptr<ScriptedConnection> connection =
      std::make_shared<ScriptedConnection>(std::vector<ScriptedAnswer>{}, timing);
  CallOptions options;
};

struct GetCase {
  std::string name;
  std::vector<Scripted<v1::GetStageHealthResponse>> script;
  std::vector<absl::Duration> sleeps;  // exactly these
  absl::StatusCode code = absl::StatusCode::kOk;
};

std::vector<GetCase> GetCases() {
  const v1::GetStageHealthResponse fine;
  const auto error = [](grpc::StatusCode code) { return Error(code, "no"); };
  return {
      {"AnAnswerAtOnce", {{fine}}, {}},
      {"WhatPassesIsRetried",
       {{KubernetesDown()}, {error(grpc::StatusCode::RESOURCE_EXHAUSTED)}, {Refused()}, {fine}},
       {kSecond / 2, kSecond, 2 * kSecond}},
      {"RetryInfoIsHonored", {{KubernetesDown(7 * kSecond)}, {fine}}, {7 * kSecond}},
      {"AnAddressThatSwallowsConnectionsIsGivenUp",
       {{fine, 40 * kSecond}, {fine}},
       {},
       absl::StatusCode::kDeadlineExceeded},
      {"AnUnknownStageIsNot",
       {{error(grpc::StatusCode::NOT_FOUND)}},
       {},
       absl::StatusCode::kNotFound},
      {"NorAreRefusals",
       {{error(grpc::StatusCode::PERMISSION_DENIED)}},
       {},
       absl::StatusCode::kPermissionDenied},
      {"NorMalformedRequests",
       {{error(grpc::StatusCode::INVALID_ARGUMENT)}},
       {},
       absl::StatusCode::kInvalidArgument},
      {"AServiceThatNeverAnsweredIsGivenUpAfterTenSeconds",
       {{Refused()}},
       {kSecond / 2, kSecond, 2 * kSecond, 4 * kSecond, absl::Milliseconds(2500)},
       absl::StatusCode::kUnavailable},
      {"OneThatCannotAnswerAfterTheTimeout",
       {{KubernetesDown(20 * kSecond)}},
       {20 * kSecond, 10 * kSecond},
       absl::StatusCode::kUnavailable},
  };
}

class GetTest : public ::testing::TestWithParam<GetCase> {};

TEST_P(GetTest, SleepsExactlyThisAndEndsSo) {
  Calls calls;
  calls.connection->get.script = GetParam().script;
  std::vector<absl::Duration> told;
  calls.options.on_failed_attempt = [&told](const FailedAttempt& failed) {
    told.push_back(failed.next_attempt);
  };
  const auto response = calls.client().GetStageHealth({}, calls.options);
  EXPECT_EQ(response.status().code(), GetParam().code) << response.status();
  EXPECT_EQ(calls.timing.sleeps, GetParam().sleeps);
  EXPECT_EQ(told, GetParam().sleeps);
}

INSTANTIATE_TEST_SUITE_P(Cases, GetTest, ::testing::ValuesIn(GetCases()),
                         [](const auto& test) { return test.param.name; });

TEST(GetStageHealthTest, TheRequestAndTheAnswerArePassedOn) {
  Calls calls;
  v1::GetStageHealthResponse answer;
  *answer.mutable_health() = Stage("shop", "prod");
  calls.connection->get.script = {{answer}};
  v1::GetStageHealthRequest request;
  request.set_stage("prod");
  const auto response = calls.client().GetStageHealth(request, calls.options);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->health().project(), "shop");
  EXPECT_EQ(calls.connection->get.requests[0].stage(), "prod");
  EXPECT_THAT(calls.connection->get.timeouts, ElementsAre(11 * kSecond));
}

TEST(GetStageHealthTest, AFailedAttemptSaysWhatIsKnown) {
  Calls calls;
  calls.connection->get.script = {{Refused()}, {KubernetesDown()}, {v1::GetStageHealthResponse()}};
  std::vector<FailedAttempt> failed;
  calls.options.on_failed_attempt = [&](const FailedAttempt& now) { failed.push_back(now); };
  ASSERT_TRUE(calls.client().GetStageHealth({}, calls.options).ok());
  ASSERT_EQ(failed.size(), 2u);
  EXPECT_EQ(failed[0].error, Refused());
  EXPECT_FALSE(failed[0].service_answered);
  EXPECT_EQ(failed[0].elapsed, absl::ZeroDuration());
  EXPECT_EQ(failed[1].error, KubernetesDown());
  EXPECT_TRUE(failed[1].service_answered);
  EXPECT_EQ(failed[1].elapsed, kSecond / 2);
}

std::vector<std::string> Tokens(const ScriptedConnection& connection) {
  std::vector<std::string> tokens;
  for (const auto& request : connection.list.requests) tokens.push_back(request.page_token());
  return tokens;
}

TEST(ListStageHealthTest, AllPagesAreOneAnswer) {
  Calls calls;
  v1::ListStageHealthResponse first = Page({Stage("a", "1"), Stage("a", "2")}, "t1");
  first.mutable_observed_time()->set_seconds(20);
  v1::ListStageHealthResponse second = Page({}, "t2");
  second.set_stale(true);
  second.mutable_observed_time()->set_seconds(10);
  second.mutable_observed_time()->set_nanos(5);
  v1::ListStageHealthResponse third = Page({Stage("b", "1")});
  third.mutable_observed_time()->set_seconds(10);
  third.mutable_observed_time()->set_nanos(6);
  calls.connection->list.script = {{first}, {second}, {third}};

  v1::ListStageHealthRequest request;
  request.set_project("a");
  request.set_page_size(2);
  const auto all = calls.client().ListStageHealth(request, calls.options);

  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->stages_size(), 3);
  EXPECT_EQ(all->stages(1).stage(), "2");
  EXPECT_EQ(all->stages(2).project(), "b");
  EXPECT_TRUE(all->stale());
  EXPECT_EQ(all->observed_time().seconds(), 10);
  EXPECT_EQ(all->observed_time().nanos(), 5);
  EXPECT_EQ(all->next_page_token(), "");
  EXPECT_THAT(Tokens(*calls.connection), ElementsAre("", "t1", "t2"));
  for (const auto& sent : calls.connection->list.requests) {
    EXPECT_EQ(sent.project(), "a");
    EXPECT_EQ(sent.page_size(), 2);
  }
}

TEST(OtherCallsTest, AreRepeatedWhileTheServiceIsAway) {
  Calls calls;
  calls.connection->report_promotion.script = {{KubernetesDown()}, {v1::ReportPromotionResponse()}};
  calls.connection->report_indicator.script = {{KubernetesDown()}, {v1::ReportIndicatorResponse()}};
  v1::ListStepKindsResponse kinds;
  kinds.add_kinds()->set_uses("argocd-wait");
  calls.connection->kinds.script = {{KubernetesDown(4 * kSecond)}, {kinds}};

  v1::ReportPromotionRequest promotion;
  promotion.set_promotion("p-1");
  EXPECT_TRUE(calls.client().ReportPromotion(promotion, calls.options).ok());
  EXPECT_EQ(calls.connection->report_promotion.requests[1].promotion(), "p-1");
  v1::ReportIndicatorRequest indicator;
  indicator.set_name("smoke");
  EXPECT_TRUE(calls.client().ReportIndicator(indicator, calls.options).ok());
  EXPECT_EQ(calls.connection->report_indicator.requests[1].name(), "smoke");
  const auto answer = calls.client().ListStepKinds(calls.options);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->kinds(0).uses(), "argocd-wait");
  EXPECT_THAT(calls.timing.sleeps, ElementsAre(kSecond / 2, kSecond / 2, 4 * kSecond));
}

TEST(OtherCallsTest, RefusalsAreReturnedAtOnce) {
  Calls calls;
  const absl::Status denied = absl::PermissionDeniedError("not yours");
  calls.connection->report_promotion.script = {{denied}};
  calls.connection->report_indicator.script = {{denied}};
  calls.connection->kinds.script = {{denied}};
  EXPECT_EQ(calls.client().ReportPromotion({}, calls.options), denied);
  EXPECT_EQ(calls.client().ReportIndicator({}, calls.options), denied);
  EXPECT_EQ(calls.client().ListStepKinds(calls.options).status(), denied);
  EXPECT_TRUE(calls.timing.sleeps.empty());
}

TEST(ListStageHealthTest, AFailedPageIsAskedForAgainAndNoOther) {
  Calls calls;
  calls.connection->list.script = {{KubernetesDown()},
                                   {Page({Stage("a", "1")}, "t1")},
                                   {KubernetesDown()},
                                   {Page({Stage("a", "2")})}};
  const auto all = calls.client().ListStageHealth({}, calls.options);
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->stages_size(), 2);
  EXPECT_THAT(Tokens(*calls.connection), ElementsAre("", "", "t1", "t1"));
  EXPECT_THAT(calls.timing.sleeps, ElementsAre(kSecond / 2, kSecond / 2));
}

TEST(ListStageHealthTest, TheTimeoutIsForAllPages) {
  Calls calls;
  calls.connection->list.script = {{Page({}, "t1"), 20 * kSecond}, {KubernetesDown(), 9 * kSecond}};
  calls.options.unreachable_timeout = 30 * kSecond;
  const auto all = calls.client().ListStageHealth({}, calls.options);
  EXPECT_TRUE(absl::IsDeadlineExceeded(all.status())) << all.status();
  EXPECT_THAT(calls.connection->list.timeouts,
              ElementsAre(30 * kSecond, 11 * kSecond, absl::Milliseconds(1500)));
}

TEST(ListStageHealthTest, APartOfTheStagesIsNoAnswer) {
  Calls calls;
  calls.connection->list.script = {{Page({Stage("a", "1")}, "t1")},
                                   {Error(grpc::StatusCode::INVALID_ARGUMENT, "token too old")}};
  const auto all = calls.client().ListStageHealth({}, calls.options);
  EXPECT_TRUE(absl::IsInvalidArgument(all.status())) << all.status();
}

TEST(ListStageHealthTest, ATokenThatLeadsToItselfEndsIt) {
  Calls calls;
  calls.connection->list.script = {{Page({Stage("a", "1")}, "t1")}};
  const auto all = calls.client().ListStageHealth({}, calls.options);
  EXPECT_TRUE(absl::IsInternal(all.status())) << all.status();
  EXPECT_EQ(calls.connection->list.requests.size(), 2u);
}

}  // namespace
}  // namespace gantry::client
