// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/step_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gantry/v1/promotion_step_service.pb.h"

namespace gantry::gantryctl {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> Formatted(const std::vector<Remark>& remarks) {
  std::vector<std::string> texts;
  for (const Remark& remark : remarks) texts.push_back(remark.Format("f"));
  return texts;
}

std::string Repeated(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

// Protobuf's own conversion does not go as deep as its messages.
nlohmann::json ToJson(const google::protobuf::Value& value) {
  switch (value.kind_case()) {
    case google::protobuf::Value::kNullValue:
      return nullptr;
    case google::protobuf::Value::kBoolValue:
      return value.bool_value();
    case google::protobuf::Value::kNumberValue:
      return value.number_value();
    case google::protobuf::Value::kStringValue:
      return value.string_value();
    case google::protobuf::Value::kListValue: {
      nlohmann::json list = nlohmann::json::array();
      for (const auto& item : value.list_value().values()) list.push_back(ToJson(item));
      return list;
    }
    case google::protobuf::Value::kStructValue: {
      nlohmann::json object = nlohmann::json::object();
      for (const auto& [key, item] : value.struct_value().fields()) object[key] = ToJson(item);
      return object;
    }
    case google::protobuf::Value::KIND_NOT_SET:
      break;
  }
  return "a value without a kind";
}

struct AcceptCase {
  std::string name;
  std::string text;
  std::string uses;
  std::string alias;
  std::string config;                 // as JSON
  std::vector<std::string> warnings;  // the beginning of each
};

class StepFileAcceptTest : public ::testing::TestWithParam<AcceptCase> {};

TEST_P(StepFileAcceptTest, IsThisStep) {
  const StepFile file = ParseStepFile(GetParam().text);
  ASSERT_TRUE(file.step) << ::testing::PrintToString(Formatted(file.errors));
  EXPECT_THAT(Formatted(file.errors), IsEmpty());
  EXPECT_EQ(file.step->uses, GetParam().uses);
  EXPECT_EQ(file.step->alias, GetParam().alias);
  google::protobuf::Value config;
  *config.mutable_struct_value() = file.step->config;
  EXPECT_EQ(ToJson(config), nlohmann::json::parse(GetParam().config));
  const std::vector<std::string> warnings = Formatted(file.warnings);
  ASSERT_EQ(warnings.size(), GetParam().warnings.size()) << ::testing::PrintToString(warnings);
  for (std::size_t i = 0; i < warnings.size(); ++i) {
    EXPECT_THAT(warnings[i], ::testing::StartsWith(GetParam().warnings[i]));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, StepFileAcceptTest,
    ::testing::ValuesIn(std::vector<AcceptCase>{
        {"AsInKargo",
         "uses: argocd-update\nas: deploy\nconfig:\n  apps:\n  - name: guestbook\n    sources:\n"
         "    - repoURL: https://example.com/x.git\n      desiredRevision: 5f3c9d2a\n"
         "      updateTargetRevision: true\n",
         "argocd-update",
         "deploy",
         R"({"apps":[{"name":"guestbook","sources":[{"repoURL":"https://example.com/x.git",
             "desiredRevision":"5f3c9d2a","updateTargetRevision":true}]}]})",
         {}},
        {"AsJson",
         R"({"uses": "argocd-wait", "config": {"apps": [{"name": "a"}], "waitFor": ["health"]}})",
         "argocd-wait",
         "",
         R"({"apps":[{"name":"a"}],"waitFor":["health"]})",
         {}},
        {"WithoutConfig", "uses: argocd-update\n", "argocd-update", "", "{}", {}},
        {"NullIsNotGiven",
         "uses: u\nas: ~\nconfig:\nif:\ntask:\nvars: ~\nretry:\ncontinueOnError:\n",
         "u",
         "",
         "{}",
         {}},
        {"AQuotedRevisionStaysAString",
         "uses: u\nconfig: {desiredRevision: \"0123\"}",
         "u",
         "",
         R"({"desiredRevision":"0123"})",
         {}},
        {"AKindOnlyTheServiceKnows", "uses: something-new", "something-new", "", "{}", {}},
        {"FieldsOnlyTheServiceKnows",
         "uses: u\nconfig: {frob: [null, {}]}",
         "u",
         "",
         R"({"frob":[null,{}]})",
         {}},
        {"ADollarIsNoExpression",
         "uses: u\nconfig: {a: '$x ${y} {{z}}'}",
         "u",
         "",
         R"({"a":"$x ${y} {{z}}"})",
         {}},
        {"HarmlessFieldsAreWarnedAbout",
         "uses: u\nretry:\n  timeout: 5m\nvars:\n- name: x\n  value: ${{ y }}\ncontinueOnError: "
         "true\n",
         "u",
         "",
         "{}",
         {"f:2:1: `retry` has no effect: ", "f:4:1: `vars` has no effect: ",
          "f:7:1: `continueOnError` has no effect: "}},
        {"AsDeepAsAMessageCanBe",
         "uses: u\nconfig: " + Repeated("{a: ", 32) + "{a: 1}" + Repeated("}", 32),
         "u",
         "",
         Repeated("{\"a\": ", 32) + "{\"a\": 1}" + Repeated("}", 32),
         {}},
    }),
    [](const auto& test) { return test.param.name; });

TEST(StepFileTest, WhatIsAcceptedCanBeReadByProtobuf) {
  for (const std::string& config : {"{a: " + Repeated("{a: ", 32) + "1" + Repeated("}", 33),
                                    "{a: " + Repeated("[", 48) + "1" + Repeated("]", 48) + "}"}) {
    const StepFile file = ParseStepFile("uses: u\nconfig: " + config);
    ASSERT_TRUE(file.step) << ::testing::PrintToString(Formatted(file.errors));
    v1::RunStepRequest request;
    *request.mutable_config() = file.step->config;
    v1::RunStepRequest read;
    EXPECT_TRUE(read.ParseFromString(request.SerializeAsString())) << config;
  }
}

struct RefuseCase {
  std::string name;
  std::string text;
  std::vector<std::string> errors;  // a part of each
};

class StepFileRefuseTest : public ::testing::TestWithParam<RefuseCase> {};

TEST_P(StepFileRefuseTest, SaysEveryError) {
  const StepFile file = ParseStepFile(GetParam().text);
  EXPECT_FALSE(file.step);
  const std::vector<std::string> errors = Formatted(file.errors);
  ASSERT_EQ(errors.size(), GetParam().errors.size()) << ::testing::PrintToString(errors);
  for (std::size_t i = 0; i < errors.size(); ++i) {
    EXPECT_THAT(errors[i], HasSubstr(GetParam().errors[i]));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, StepFileRefuseTest,
    ::testing::ValuesIn(std::vector<RefuseCase>{
        {"Empty", "", {"f: it holds nothing; expected one step"}},
        {"AListOfSteps",
         "- uses: argocd-update\n- uses: argocd-wait\n",
         {"f:1:1: it holds a list of 2 steps; expected one step"}},
        {"AListOfOneStep", "- uses: argocd-update\n", {"it holds a list of 1 steps"}},
        {"StepsBelowAKey", "steps:\n- uses: u\n", {"this is a list of steps", "`uses` is missing"}},
        {"SeveralDocuments",
         "uses: u\n---\nuses: v\n",
         {"f:3:1: it holds 2 documents, and this is the second"}},
        {"APromotion",
         "apiVersion: kargo.akuity.io/v1alpha1\nkind: Promotion\nspec: {}\n",
         {"a Kubernetes object of kind Promotion"}},
        {"AWord", "argocd-update", {"it holds a string"}},
        {"NotYaml", "uses: [", {"this is no YAML"}},
        {"NoUses", "config: {}", {"f:1:1: `uses` is missing"}},
        {"NullUses", "uses:\n", {"`uses` is missing"}},
        {"EmptyUses", "uses: ''\n", {"f:1:7: `uses` is empty"}},
        {"UsesIsNoString", "uses: [u]\n", {"`uses` is a list; expected a string"}},
        {"AliasIsNoString", "uses: u\nas: 7\n", {"f:2:5: `as` is a number; expected a string"}},
        {"ConfigIsNoMapping", "uses: u\nconfig: [1]\n", {"`config` is a list; expected a mapping"}},
        {"UnknownField", "uses: u\nwith: {}\n", {"f:2:1: a step has no field \"with\""}},
        {"NameIsWrittenAs", "uses: u\nname: x\n", {"the step's name is written as `as`"}},
        {"If", "uses: u\nif: ${{ success() }}\n", {"f:2:1: `if` is a condition that only an"}},
        {"Task", "task: {name: t}\nuses: u\n", {"f:1:1: `task` stands for the steps of"}},
        {"ExpressionsEverywhere",
         "uses: ${{ a }}\nas: x-${{ b }}\nconfig:\n  apps:\n  - name: ${{ c }}\n    ${{ d }}: 1\n",
         {"f:1:7: `uses` is the expression ${{ a }}; gantryctl does not evaluate",
          "f:2:5: `as` is the expression x-${{ b }}", "`config.apps[0].name` is the expression",
          "f:6:5: `config.apps[0]` is the expression ${{ d }}"}},
        {"AnExpressionInJson",
         R"({"uses":"u","config":{"a":"\u0024{{ x }}"}})",
         {"`config.a` is the expression ${{ x }}"}},
        {"NoMoreThanTenAreTold",
         "uses: u\nconfig: [\n" + Repeated("x,", 1) + "]\n" +
             "a: 1\nb: 1\nc: 1\nd: 1\ne: 1\nf: 1\n"
             "g: 1\nh: 1\ni: 1\nj: 1\nk: 1\n",
         {"config", "\"a\"", "\"b\"", "\"c\"", "\"d\"", "\"e\"", "\"f\"", "\"g\"", "\"h\"",
          "\"i\""}},
        {"TooDeepForAMessage",
         "uses: u\nconfig: " + Repeated("{a: ", 33) + "{a: 1}" + Repeated("}", 33),
         {"`config` is nested too deep"}},
        {"ListsTooDeepForAMessage",
         "uses: u\nconfig: {a: " + Repeated("[", 49) + Repeated("]", 49) + "}",
         {"`config` is nested too deep"}},
    }),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace gantry::gantryctl
