// SPDX-License-Identifier: Apache-2.0
#include "server/health/health_check_input.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::health {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

// What is wrong with an input, one case for each, stands in rules_test.cc.
TEST(HealthCheckInputTest, WhatIsWrittenIsReadTheSame) {
  const std::vector<CheckedApplication> applications = {
      {{"argocd", "web"}, {"v2", ""}}, {{"team-a", "api"}, {}}, {{"argocd", "api"}, {"1.2.3"}}};
  std::vector<std::string> issues;
  EXPECT_THAT(ReadInput(ToInput(applications), "input", "elsewhere", issues),
              ElementsAreArray(applications));
  EXPECT_THAT(issues, IsEmpty());
}

TEST(HealthCheckInputTest, TellsThePlaceOfWhatIsWrongAndReadsTheRest) {
  google::protobuf::Struct input = ToInput({{{"argocd", "web"}, {}}, {{"argocd", ""}, {}}});
  (*input.mutable_fields())["more"].set_bool_value(true);
  std::vector<std::string> issues;
  EXPECT_THAT(ReadInput(input, "here", "elsewhere", issues),
              ElementsAre(CheckedApplication{{"argocd", "web"}, {}}));
  EXPECT_THAT(issues, ElementsAre("here.more is not a field of a health check",
                                  "here.apps[1].name is empty"));
}

}  // namespace
}  // namespace gantry::health
