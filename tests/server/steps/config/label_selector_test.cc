// SPDX-License-Identifier: Apache-2.0
#include "server/steps/config/label_selector.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace gantry::steps {
namespace {

using nlohmann::json;

struct Case {
  std::string_view name;
  std::string text;
  bool valid;
};

TEST(LabelSelectorTest, LabelKeys) {
  const Case cases[] = {
      {"a name", "app", true},
      {"all that a name may have", "A-b_c.7", true},
      {"a prefix", "app.kubernetes.io/name", true},
      {"63 characters", std::string(63, 'a'), true},
      {"64 characters", std::string(64, 'a'), false},
      {"the longest prefix", std::string(253, 'a') + "/" + std::string(63, 'b'), true},
      {"a longer prefix", std::string(254, 'a') + "/b", false},
      {"a longer name behind a prefix", "a/" + std::string(64, 'b'), false},
      {"an operator's name", "in", true},
      {"empty", "", false},
      {"empty prefix", "/a", false},
      {"empty name", "a/", false},
      {"two slashes", "a/b/c", false},
      {"upper case in the prefix", "A/b", false},
      {"underscore in the prefix", "a_b/c", false},
      {"hyphen first", "-a", false},
      {"underscore last", "a_", false},
      {"dot last", "a.", false},
      {"blank", "a b", false},
      {"exclamation mark", "!a", false},
      {"comma", "a,b", false},
      {"equals sign", "a=b", false},
      {"parenthesis", "a(", false},
      {"another script", "ä", false},
  };
  for (const Case& c : cases) EXPECT_EQ(IsLabelKey(c.text), c.valid) << c.name;
}

TEST(LabelSelectorTest, LabelValues) {
  const Case cases[] = {
      {"empty", "", true},
      {"all that a value may have", "A-b_c.7", true},
      {"63 characters", std::string(63, 'a'), true},
      {"64 characters", std::string(64, 'a'), false},
      {"a slash", "a/b", false},
      {"hyphen first", "-a", false},
      {"dot last", "a.", false},
      {"blank", " ", false},
      {"comma", "a,b", false},
      {"parenthesis", "a)", false},
      {"line break at the end", "a\n", false},
  };
  for (const Case& c : cases) EXPECT_EQ(IsLabelValue(c.text), c.valid) << c.name;
}

TEST(LabelSelectorTest, WritesTheQuerySyntax) {
  const struct {
    std::string_view name;
    std::string_view selector;
    std::string_view query;
  } cases[] = {
      {"one label", R"({"matchLabels": {"a": "1"}})", "a=1"},
      {"labels by key", R"({"matchLabels": {"c": "3", "a": "1", "B": "2"}})", "B=2,a=1,c=3"},
      {"an empty value", R"({"matchLabels": {"a": "", "b": "1"}})", "a=,b=1"},
      {"a prefix", R"({"matchLabels": {"example.com/a": "1"}})", "example.com/a=1"},
      {"In", R"({"matchExpressions": [{"key": "a", "operator": "In", "values": ["y", "x"]}]})",
       "a in (y,x)"},
      {"In one", R"({"matchExpressions": [{"key": "a", "operator": "In", "values": ["x"]}]})",
       "a in (x)"},
      {"In the empty value",
       R"({"matchExpressions": [{"key": "a", "operator": "In", "values": [""]}]})", "a in ()"},
      {"In the empty value and another",
       R"({"matchExpressions": [{"key": "a", "operator": "In", "values": ["", "x"]}]})",
       "a in (,x)"},
      {"NotIn",
       R"({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["x", "y"]}]})",
       "a notin (x,y)"},
      {"Exists", R"({"matchExpressions": [{"key": "a", "operator": "Exists"}]})", "a"},
      {"Exists, no values",
       R"({"matchExpressions": [{"key": "a", "operator": "Exists", "values": []}]})", "a"},
      {"DoesNotExist", R"({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]})", "!a"},
      {"all together, expressions as they come",
       R"({"matchExpressions": [{"key": "z", "operator": "Exists"},
                                {"key": "y", "operator": "DoesNotExist"},
                                {"key": "x", "operator": "In", "values": ["1", "2"]}],
           "matchLabels": {"b": "2", "a": "1"}})",
       "a=1,b=2,z,!y,x in (1,2)"},
      {"what would add a criterion", R"({"matchLabels": {"a": "1,b=2", "c,d": "1"}})", ""},
      {"nothing", "{}", ""},
      {"no object", "7", ""},
      {"nothing of the right type",
       R"({"matchLabels": {"a": 1}, "matchExpressions": [1, {"key": 1, "operator": "In"},
           {"key": "a", "operator": 1}, {"key": "a", "operator": "Near"}]})",
       ""},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(LabelSelectorQuery(json::parse(c.selector)), c.query) << c.name;
  }
}

}  // namespace
}  // namespace gantry::steps
