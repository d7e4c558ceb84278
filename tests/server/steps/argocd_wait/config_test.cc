// SPDX-License-Identifier: Apache-2.0
#include "server/steps/argocd_wait/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/server/steps/violation_printer.h"

namespace gantry::steps {
namespace {

using nlohmann::json;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

TEST(ArgocdWaitConfigTest, ReadsWhatToWaitFor) {
  struct Case {
    const char* wait_for;  // empty: not given
    WaitFor expected;
  };
  for (const Case& c :
       {Case{"", {.health = true, .sync = true, .operation = true}},
        Case{R"(["health"])", {.health = true}}, Case{R"(["sync"])", {.sync = true}},
        Case{R"(["operation"])", {.operation = true}},
        Case{R"(["suspended"])", {.suspended = true}}, Case{R"(["degraded"])", {.degraded = true}},
        Case{R"(["degraded", "suspended", "operation", "sync", "health"])",
             {.health = true,
             .sync = true,
             .operation = true,
             .suspended = true,
             .degraded = true}}}) {
    json config = json::parse(R"({"apps": [{"name": "web"}]})");
    if (*c.wait_for != '\0') config["waitFor"] = json::parse(c.wait_for);
    ArgocdWaitConfig read;
    EXPECT_THAT(ParseArgocdWaitConfig(config, read), IsEmpty()) << c.wait_for;
    EXPECT_EQ(read.wait_for, c.expected) << c.wait_for;
  }
}

TEST(ArgocdWaitConfigTest, ReadsWhichApplications) {
  ArgocdWaitConfig read;
  EXPECT_THAT(ParseArgocdWaitConfig(json::parse(R"({"apps": [
                  {"name": "web"}, {"name": "api", "namespace": "team-a"},
                  {"selector": {"matchLabels": {"a": "b"}}}]})"),
                                    read),
              IsEmpty());
  ASSERT_EQ(read.apps.size(), 3U);
  EXPECT_EQ(read.apps[0].name, "web");
  EXPECT_EQ(read.apps[0].ns, "");
  EXPECT_EQ(read.apps[1].ns, "team-a");
  EXPECT_EQ(read.apps[2].name, "");
  EXPECT_EQ(read.apps[2].label_selector, "a=b");
}

TEST(ArgocdWaitConfigTest, EveryViolationIsReportedWithItsPath) {
  struct Case {
    const char* name;
    const char* config;
    std::vector<std::string> fields;
  };
  for (const Case& c : std::vector<Case>{
           {"no object", "[]", {""}},
           {"no apps", "{}", {"apps"}},
           {"empty apps", R"({"apps": []})", {"apps"}},
           {"neither name nor selector", R"({"apps": [{}]})", {"apps[0]"}},
           {"both",
            R"({"apps": [{"name": "a", "selector": {"matchLabels": {"a": "b"}}}]})",
            {"apps[0]"}},
           {"empty name", R"({"apps": [{"name": ""}]})", {"apps[0].name"}},
           {"a name that is none", R"({"apps": [{"name": "a/b"}]})", {"apps[0].name"}},
           {"empty namespace",
            R"({"apps": [{"name": "a", "namespace": ""}]})",
            {"apps[0].namespace"}},
           {"no criterion", R"({"apps": [{"selector": {}}]})", {"apps[0].selector"}},
           {"sources are another kind's",
            R"({"apps": [{"name": "a", "sources": []}]})",
            {"apps[0].sources"}},
           {"unknown field", R"({"apps": [{"name": "a"}], "timeout": "5m"})", {"timeout"}},
           {"nothing to wait for", R"({"apps": [{"name": "a"}], "waitFor": []})", {"waitFor"}},
           {"null", R"({"apps": [{"name": "a"}], "waitFor": null})", {"waitFor"}},
           {"no list", R"({"apps": [{"name": "a"}], "waitFor": "health"})", {"waitFor"}},
           {"an unknown word",
            R"({"apps": [{"name": "a"}], "waitFor": ["health", "Healthy"]})",
            {"waitFor[1]"}},
           {"twice the same",
            R"({"apps": [{"name": "a"}], "waitFor": ["sync", "sync"]})",
            {"waitFor[1]"}},
           {"several",
            R"({"apps": [{"name": ""}, {}], "waitFor": [7], "x": 1})",
            {"apps[0].name", "apps[1]", "waitFor[0]", "x"}},
       }) {
    ArgocdWaitConfig read;
    std::vector<std::string> fields;
    for (const Violation& violation : ParseArgocdWaitConfig(json::parse(c.config), read)) {
      EXPECT_NE(violation.description, "") << c.name;
      fields.push_back(violation.field);
    }
    EXPECT_THAT(fields, ElementsAreArray(c.fields)) << c.name;
    EXPECT_EQ(read, ArgocdWaitConfig()) << c.name;
  }
}

TEST(ArgocdWaitConfigTest, TheSchemaIsJsonThatSaysWhatItIsAbout) {
  const json schema = json::parse(ArgocdWaitConfigSchema());
  EXPECT_EQ(schema.at("title"), "Configuration of argocd-wait");
}

}  // namespace
}  // namespace gantry::steps
