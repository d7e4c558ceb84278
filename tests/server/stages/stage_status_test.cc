// SPDX-License-Identifier: Apache-2.0
#include "server/stages/stage_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "server/kubernetes/api/json_text.h"
#include "server/stages/stage_record.h"

namespace gantry::stages {
namespace {

using nlohmann::json;
using ::testing::SizeIs;

const absl::Time kStatusNow = absl::FromUnixMillis(1'700'000'000'500);
const absl::Time kNowSecond = absl::FromUnixSeconds(1'700'000'000);
const absl::Time kLater = kStatusNow + absl::Minutes(1);

StageStatus ReadJson(const json& status) {
  return ReadStatus(kubernetes::JsonText(status.dump()).padded());
}

v1::StageHealth Health(v1::HealthState state, v1::HealthState application) {
  v1::StageHealth health;
  health.set_state(state);
  health.add_issues("an issue");
  v1::ApplicationHealth& web = *health.add_applications();
  web.set_namespace_("argocd");
  web.set_name("web");
  web.set_state(application);
  return health;
}

TEST(StageStatusTest, IsReadAsItWasWritten) {
  const StageStatus status = NextStatus(
      Health(v1::HEALTH_STATE_UNHEALTHY, v1::HEALTH_STATE_UNKNOWN), StageStatus(), kStatusNow);
  EXPECT_EQ(WriteStatus(status), json::parse(R"({
      "state": "Unhealthy", "issues": ["an issue"], "transitionTime": "2023-11-14T22:13:20Z",
      "applications": [{"namespace": "argocd", "name": "web", "state": "Unknown",
                        "since": "2023-11-14T22:13:20Z"}]})"));
  EXPECT_EQ(ReadJson(WriteStatus(status)), status);
  EXPECT_EQ(ReadJson(json::object()), StageStatus());
}

TEST(StageStatusTest, TheTransitionMovesWithTheStateAlone) {
  const StageStatus first = NextStatus(Health(v1::HEALTH_STATE_HEALTHY, v1::HEALTH_STATE_HEALTHY),
                                       StageStatus(), kStatusNow);
  EXPECT_EQ(first.transition_time, kNowSecond);
  v1::StageHealth other = Health(v1::HEALTH_STATE_HEALTHY, v1::HEALTH_STATE_HEALTHY);
  other.add_issues("another");
  const StageStatus second = NextStatus(other, first, kLater);
  EXPECT_EQ(second.transition_time, kNowSecond);
  EXPECT_THAT(second.issues, SizeIs(2));
  EXPECT_EQ(second.applications, first.applications);
  // The same again is the same, whatever the time.
  EXPECT_EQ(NextStatus(other, second, kLater + absl::Hours(1)), second);

  const StageStatus third =
      NextStatus(Health(v1::HEALTH_STATE_UNHEALTHY, v1::HEALTH_STATE_HEALTHY), second, kLater);
  EXPECT_EQ(third.transition_time, kNowSecond + absl::Minutes(1));
  EXPECT_EQ(third.applications[0].since, kNowSecond);
  const StageStatus fourth =
      NextStatus(Health(v1::HEALTH_STATE_UNHEALTHY, v1::HEALTH_STATE_UNHEALTHY), third,
                 kLater + absl::Minutes(1));
  EXPECT_EQ(fourth.transition_time, third.transition_time);
  EXPECT_EQ(fourth.applications[0].since, kNowSecond + absl::Minutes(2));
}

TEST(StageStatusTest, AMissingTransitionTimeIsMadeUpFor) {
  StageStatus stored;
  stored.state = v1::HEALTH_STATE_HEALTHY;
  const StageStatus next =
      NextStatus(Health(v1::HEALTH_STATE_HEALTHY, v1::HEALTH_STATE_HEALTHY), stored, kStatusNow);
  EXPECT_EQ(next.transition_time, kNowSecond);
}

TEST(StageStatusTest, IssuesAreBounded) {
  v1::StageHealth health;
  for (int i = 0; i < 50; ++i) health.add_issues(std::string(5000, 'x'));
  const StageStatus status = NextStatus(health, StageStatus(), kStatusNow);
  ASSERT_THAT(status.issues, SizeIs(kMaxStatusIssues));
  EXPECT_LE(status.issues[0].size(), kMaxMessageBytes);
}

TEST(StageStatusTest, WhatIsNotAsThisProgramWritesItCountsAsAbsent) {
  for (const char* text :
       {"7", "[]", "null", R"("x")", R"({"state": 7, "issues": "x", "applications": {}})",
        R"({"state": "Wonderful", "issues": [7, null]})", R"({"transitionTime": "yesterday"})",
        R"({"transitionTime": "infinite-future"})", R"({"transitionTime": "infinite-past"})",
        R"({"transitionTime": 7})"}) {
    EXPECT_EQ(ReadJson(json::parse(text)), StageStatus()) << text;
  }
  const StageStatus status = ReadJson(json::parse(R"({"applications": [7, {}, {"name": 7}]})"));
  ASSERT_THAT(status.applications, SizeIs(3));
  for (const auto& application : status.applications) {
    EXPECT_EQ(application, StageStatus::Application());
  }
}

}  // namespace
}  // namespace gantry::stages
