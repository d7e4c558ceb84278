// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd_standin/label_selector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::argocd_standin {
namespace {

using nlohmann::json;

struct Case {
  const char* name;
  const char* selector;
  bool matches;  // an Application with the labels team=shop, tier=
};

class LabelSelectorTest : public ::testing::TestWithParam<Case> {};

TEST_P(LabelSelectorTest, Matches) {
  const json application = {{"metadata", {{"labels", {{"team", "shop"}, {"tier", ""}}}}}};
  const auto selector = LabelSelector::Parse(GetParam().selector);
  ASSERT_TRUE(selector.ok()) << selector.status();
  EXPECT_EQ(selector->Matches(application), GetParam().matches);
}

INSTANTIATE_TEST_SUITE_P(
    All, LabelSelectorTest,
    ::testing::Values(Case{"Everything", "", true}, Case{"Equal", "team=shop", true},
                      Case{"EqualTwice", "team==shop", true},
                      Case{"OtherValue", "team=bank", false},
                      Case{"NoSuchLabel", "app=shop", false}, Case{"Unequal", "team!=bank", true},
                      Case{"UnequalWithoutLabel", "app!=shop", true},
                      Case{"NotUnequal", "team!=shop", false}, Case{"Exists", "team", true},
                      Case{"ExistsNot", "!team", false}, Case{"AbsentExistsNot", "!app", true},
                      Case{"EmptyValue", "tier=", true}, Case{"All", "team=shop, tier", true},
                      Case{"NotAll", "team=shop,app", false}),
    [](const ::testing::TestParamInfo<Case>& instance) { return instance.param.name; });

TEST(LabelSelectorTextTest, WithoutLabelsNothingButTheAbsentMatches) {
  EXPECT_FALSE(LabelSelector::Parse("a=b")->Matches(json::object()));
  EXPECT_TRUE(LabelSelector::Parse("!a")->Matches({{"metadata", {{"labels", nullptr}}}}));
}

TEST(LabelSelectorTextTest, ATermThatIsNoneIsQuoted) {
  for (const char* text : {"a=b,,c=d", "=b", "!", "team in (a)", "!="}) {
    const auto selector = LabelSelector::Parse(text);
    ASSERT_FALSE(selector.ok()) << text;
    EXPECT_THAT(std::string(selector.status().message()), ::testing::HasSubstr("key=value"));
  }
}

}  // namespace
}  // namespace gantry::argocd_standin
