// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd_standin/orders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::argocd_standin {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

Orders Read(const json& annotations) {
  return OrdersOf({{"metadata", {{"annotations", annotations}}}});
}

TEST(OrdersTest, WithoutAnnotationsThereAreNone) {
  for (const json& application : {json(), json::object(), json{{"metadata", 7}},
                                  json{{"metadata", {{"annotations", "a"}}}}}) {
    const Orders orders = OrdersOf(application);
    EXPECT_FALSE(orders.fail || orders.error || orders.hang != Hang::kNot || orders.sync_window ||
                 orders.degrade || orders.drift || orders.self_heal || orders.deployed ||
                 orders.lose_sync_result || orders.no_reconcile || orders.sync_duration);
    EXPECT_EQ(orders.health + orders.condition + orders.revision, "");
    EXPECT_THAT(orders.problems, IsEmpty());
  }
}

TEST(OrdersTest, EachIsRead) {
  json annotations = {{"other.example.com/fail", "no"}};
  for (const OrderHelp& help : OrderHelps()) {
    std::string value = std::string(help.value) == "true" ? "true" : "is " + std::string(help.name);
    if (help.name == "sync-duration") value = "1m30s";
    if (help.name == "condition") value = "ComparisonError=a=b";
    annotations["standin.gantry.dev/" + std::string(help.name)] = value;
  }
  const Orders orders = Read(annotations);
  EXPECT_EQ(orders.fail, "is fail");
  EXPECT_EQ(orders.error, "is error");
  EXPECT_EQ(orders.drift, "is drift");
  EXPECT_EQ(orders.health, "is health");
  EXPECT_EQ(orders.revision, "is revision");
  EXPECT_EQ(orders.condition, "ComparisonError");
  EXPECT_EQ(orders.condition_message, "a=b");
  EXPECT_EQ(orders.sync_duration, absl::Seconds(90));
  EXPECT_EQ(orders.hang, Hang::kSync);
  EXPECT_TRUE(orders.degrade && orders.sync_window && orders.self_heal && orders.deployed &&
              orders.lose_sync_result && orders.no_reconcile);
  EXPECT_THAT(orders.problems, IsEmpty());
}

TEST(OrdersTest, SomeHaveFurtherValues) {
  EXPECT_EQ(Read({{"standin.gantry.dev/hang", "hook"}}).hang, Hang::kHook);
  EXPECT_EQ(Read({{"standin.gantry.dev/hang", "false"}}).hang, Hang::kNot);
  EXPECT_EQ(Read({{"standin.gantry.dev/drift", "false"}}).drift, std::nullopt);
  EXPECT_TRUE(Read({{"standin.gantry.dev/degrade", ""}}).degrade);
  const Orders named = Read({{"standin.gantry.dev/revision", "main=c1, v1 =c2"}});
  EXPECT_EQ(named.revision, "");
  EXPECT_THAT(named.revisions, ElementsAre(Pair("main", "c1"), Pair("v1", "c2")));
}

TEST(OrdersTest, WhatIsNotUnderstoodIsSaidAndCountsForNothing) {
  const Orders orders = Read({{"standin.gantry.dev/condition", "ComparisonError"},
                              {"standin.gantry.dev/drift", "false"},
                              {"standin.gantry.dev/hang", "yes"},
                              {"standin.gantry.dev/heal", "true"},
                              {"standin.gantry.dev/sync-duration", "5"}});
  EXPECT_FALSE(orders.hang != Hang::kNot || orders.drift || orders.sync_duration);
  EXPECT_EQ(orders.condition, "");
  EXPECT_THAT(orders.problems,
              ElementsAre(HasSubstr("hang is \"yes\""), HasSubstr("sync-duration is \"5\""),
                          HasSubstr("condition is \"ComparisonError\""),
                          HasSubstr("standin.gantry.dev/heal is not one")));
}

}  // namespace
}  // namespace gantry::argocd_standin
