// SPDX-License-Identifier: Apache-2.0
#include "server/steps/config/config_schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tests/server/steps/violation_printer.h"

namespace gantry::steps {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// The field's whole schema is `schema`.
std::vector<Violation> CheckField(std::string_view schema, const json& value) {
  const std::string text =
      R"({"type": "object", "additionalProperties": false, "properties": {"f": )" +
      std::string(schema) + "}}";
  return ConfigSchema(text, {}).Check({{"f", value}});
}

TEST(ConfigSchemaTest, AcceptsWhatTheSchemaAllows) {
  const struct {
    std::string_view name;
    std::string_view schema;
    std::string_view value;
  } cases[] = {
      {"any", R"({})", "[1, {}, null]"},
      {"string", R"({"type": "string"})", R"("")"},
      {"shortest", R"({"type": "string", "minLength": 2})", R"("ab")"},
      {"longest, in characters", R"({"type": "string", "maxLength": 2})", R"("書書")"},
      {"enum", R"({"type": "string", "enum": ["a", "b"]})", R"("b")"},
      {"boolean", R"({"type": "boolean"})", "false"},
      {"number", R"({"type": "number"})", "1.5"},
      {"empty list", R"({"type": "array", "items": {"type": "string"}})", "[]"},
      {"list", R"({"type": "array", "minItems": 1, "maxItems": 2, "uniqueItems": true})",
       R"(["a", "A"])"},
      {"object", R"({"type": "object", "required": ["a"], "properties": {"a": {}}})",
       R"({"a": null, "more": 1})"},
      {"map", R"({"type": "object", "additionalProperties": {"type": "string"}})",
       R"({"a": "", "b/c": "x"})"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(CheckField(c.schema, json::parse(c.value)), IsEmpty()) << c.name;
  }
}

TEST(ConfigSchemaTest, SaysWhatWasFoundAndWhatIsExpected) {
  const struct {
    std::string_view name;
    std::string_view schema;
    json value;
    std::vector<Violation> violations;
  } cases[] = {
      {"number for a string",
       R"({"type": "string"})",
       1.0,
       {{"f", "found the number 1, expected a string: quote it in YAML"}}},
      {"boolean for a string",
       R"({"type": "string"})",
       true,
       {{"f", "found true, expected a string: quote it in YAML"}}},
      {"list for a string",
       R"({"type": "string"})",
       json::array({1, 2}),
       {{"f", "found a list of 2 items, expected a string"}}},
      {"null",
       R"({"type": "string", "minLength": 1})",
       nullptr,
       {{"f", "found null, expected a string that is not empty: give it a value or leave it out"}}},
      {"string for a boolean",
       R"({"type": "boolean"})",
       "true",
       {{"f", "found the string \"true\", expected true or false: leave out the quotes"}}},
      {"number for a boolean",
       R"({"type": "boolean"})",
       1,
       {{"f", "found the number 1, expected true or false"}}},
      {"string for a number",
       R"({"type": "number"})",
       "1",
       {{"f", "found the string \"1\", expected a number"}}},
      {"object for a list",
       R"({"type": "array"})",
       json::object(),
       {{"f", "found an empty object, expected a list: begin each item with \"- \" in YAML"}}},
      {"string for an object",
       R"({"type": "object", "required": ["b", "a"]})",
       "x",
       {{"f", "found the string \"x\", expected an object with b and a"}}},
      {"string for a map",
       R"({"type": "object", "additionalProperties": {"type": "string"}})",
       "x",
       {{"f", "found the string \"x\", expected an object whose fields are each a string"}}},
      {"too short",
       R"({"type": "string", "minLength": 2, "maxLength": 5})",
       "a",
       {{"f", "found \"a\" (1 character), expected a string of 2 to 5 characters"}}},
      {"empty",
       R"({"type": "string", "minLength": 1})",
       "",
       {{"f", "found an empty string, expected a string that is not empty"}}},
      {"too long",
       R"({"type": "string", "maxLength": 1})",
       "書書",
       {{"f", "found \"書書\" (2 characters), expected a string of at most 1 character"}}},
      {"not UTF-8",
       R"({"type": "string"})",
       "a\xff",
       {{"f", R"(found "a\xff", which is not valid UTF-8, expected a string)"}}},
      {"more continuation bytes than a table has room for",
       R"({"type": "string", "maxLength": 9})",
       "\xc3" + std::string(50, '\x80'),
       {{"f", "found \"À" +
                  [] {
                    std::string bytes;
                    for (int i = 0; i < 49; ++i) bytes += "\\x80";
                    return bytes;
                  }() +
                  "\", which is not valid UTF-8, expected a string of at most 9 characters"}}},
      {"a zero character",
       R"({"type": "string", "maxLength": 1})",
       std::string("\0abc", 4),
       {{"f", R"(found "\u0000abc", expected no character U+0000)"}}},
      {"enum",
       R"({"type": "string", "enum": ["health", "sync"]})",
       "Sync",
       {{"f", "found the string \"Sync\", expected one of health or sync: did you mean sync?"}}},
      {"enum, nothing near",
       R"({"type": "string", "enum": ["health", "sync", "operation"]})",
       "x",
       {{"f", "found the string \"x\", expected one of health, sync or operation"}}},
      {"too few items",
       R"({"type": "array", "minItems": 2})",
       json::array({1}),
       {{"f", "found a list of 1 item, expected at least 2 items"}}},
      {"too many items, which are not looked at",
       R"({"type": "array", "maxItems": 1, "items": {"type": "string"}})",
       json::array({1, 2}),
       {{"f", "found a list of 2 items, expected at most 1 item"}}},
      {"items",
       R"({"type": "array", "items": {"type": "string"}})",
       json::array({1, "a", nullptr}),
       {{"f[0]", "found the number 1, expected a string: quote it in YAML"},
        {"f[2]", "found null, expected a string: give it a value"}}},
      {"repeated items",
       R"({"type": "array", "uniqueItems": true, "items": {"type": "string"}})",
       json::array({"a", "b", "a", "a", 1}),
       {{"f[2]", "found the string \"a\" again, it is f[0] already, expected each once"},
        {"f[3]", "found the string \"a\" again, it is f[0] already, expected each once"},
        {"f[4]", "found the number 1, expected a string: quote it in YAML"}}},
      {"missing fields",
       R"({"type": "object", "required": ["b", "a", "c"],
           "properties": {"a": {"type": "string"}, "b": {"type": "boolean"}}})",
       json::object(),
       {{"f.a", "missing, expected a string"},
        {"f.b", "missing, expected true or false"},
        {"f.c", "missing, expected a value"}}},
      {"a required field is null",
       R"({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}})",
       {{"a", nullptr}},
       {{"f.a", "found null, expected a string: give it a value"}}},
      {"unknown fields",
       R"({"type": "object", "additionalProperties": false, "properties": {"repoURL": {}, "tag": {}}})",
       {{"repoUrl", 1}, {"zone", 1}},
       {{"f.repoUrl", "unknown field: did you mean repoURL?"},
        {"f.zone", "unknown field, expected repoURL or tag"}}},
      {"what stands in an unknown field is not looked at",
       R"({"type": "object", "additionalProperties": false, "properties": {"a": {}}})",
       {{"x", {{"y", nullptr}}}},
       {{"f.x", "unknown field, expected a"}}},
      {"values of a map",
       R"({"type": "object", "additionalProperties": {"type": "string"}})",
       {{"a", 1}, {"b", "x"}},
       {{"f.a", "found the number 1, expected a string: quote it in YAML"}}},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(CheckField(c.schema, c.value), c.violations) << c.name;
  }
}

TEST(ConfigSchemaTest, TheWholeConfigurationHasNoName) {
  const ConfigSchema schema(R"({"type": "object", "required": ["a"]})", {});
  EXPECT_THAT(schema.Check(5), ElementsAre(Violation{"",
                                                     "found the number 5, expected an object "
                                                     "with a"}));
}

TEST(ConfigSchemaTest, QuotesFieldNamesThatAreNoPlainWords) {
  const ConfigSchema schema(R"({"type": "object", "additionalProperties": {"type": "boolean"}})",
                            {});
  const struct {
    std::string name;
    std::string field;
  } cases[] = {
      {"plain", "plain"},
      {"with-hyphen_and_7", "with-hyphen_and_7"},
      {"7", R"(["7"])"},
      {"", R"([""])"},
      {"example.com/a", R"(["example.com/a"])"},
      {"a b", R"(["a b"])"},
      {"a\"]\n", R"(["a\"]\n"])"},
      {"\xff", R"(["\xff"])"},
      {std::string("a\0b", 3), R"(["a\u0000b"])"},
      {std::string(100, 'x'), "[\"" + std::string(60, 'x') + "…\"]"},
  };
  for (const auto& c : cases) {
    const std::vector<Violation> violations = schema.Check({{c.name, 1}});
    ASSERT_EQ(violations.size(), 1u) << c.field;
    EXPECT_EQ(violations[0].field, c.field);
  }
}

// What the walk knows nothing of is refused all the same, in valijson's words.
TEST(ConfigSchemaTest, TheSchemaHasTheLastWord) {
  const ConfigSchema schema(
      R"({"type": "object", "properties": {"list": {"type": "array", "items": {
            "type": "object", "maxProperties": 1}}}})",
      {});
  EXPECT_THAT(schema.Check({{"list", {{{"a", 1}}}}}), IsEmpty());
  const json refused = {{"list", {{{"a", 1}}, {{"a", 1}, {"b", 2}}}}};
  const std::vector<Violation> violations = schema.Check(refused);
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations[0].field, "list[1]");
  EXPECT_NE(violations[0].description, "");
  EXPECT_FALSE(schema.SchemaAccepts(refused));
}

TEST(ConfigSchemaTest, RulesSeeWhatTheSchemaAllows) {
  const ConfigSchema schema(
      R"({"type": "object",
          "properties": {"list": {"type": "array", "items": {"type": "string", "maxLength": 3}},
                         "map": {"type": "object", "additionalProperties": {"type": "string"}}}})",
      {{"", [](const json&, const ConfigPath& path,
               ViolationList& violations) { violations.Add(path, [] { return "whole"; }); }},
       {"list",
        [](const json& list, const ConfigPath& path, ViolationList& violations) {
          violations.Add(ConfigPath(path, list.size() - 1), [] { return "last"; });
        }},
       {"list[]",
        [](const json& item, const ConfigPath& path, ViolationList& violations) {
          violations.Add(path, [&] { return "item " + item.get<std::string>(); });
        }},
       {"map.*", [](const json& value, const ConfigPath& path, ViolationList& violations) {
          violations.Add(path, [&] { return "value " + value.get<std::string>(); });
        }}});
  EXPECT_THAT(
      schema.Check({{"map", {{"a", "x"}, {"b", 1}}}, {"list", {"one", 2, "three", "six"}}}),
      ElementsAre(Violation{"", "whole"}, Violation{"list[0]", "item one"},
                  Violation{"list[1]",
                            "found the number 2, expected a string of at most 3 "
                            "characters: quote it in YAML"},
                  Violation{"list[2]",
                            "found \"three\" (5 characters), expected a string of at "
                            "most 3 characters"},
                  Violation{"list[3]", "last"}, Violation{"list[3]", "item six"},
                  Violation{"map.a", "value x"},
                  Violation{"map.b", "found the number 1, expected a string: quote it in YAML"}));
  EXPECT_THAT(schema.Check(7),
              ElementsAre(Violation{"", "found the number 7, expected an object"}));
}

using ConfigSchemaDeathTest = ::testing::Test;

TEST(ConfigSchemaDeathTest, AProgrammingErrorEndsTheProcess) {
  const auto rule = [](const json&, const ConfigPath&, ViolationList&) {};
  EXPECT_DEATH(ConfigSchema("{", {}), "");
  EXPECT_DEATH(ConfigSchema(R"({"type": "integer"})", {}), "");
  EXPECT_DEATH(ConfigSchema(R"({"type": "object"})", {{"nowhere", rule}}), "");
}

TEST(ViolationListTest, OrdersIndexesAsNumbers) {
  ViolationList list;
  const ConfigPath root;
  for (const size_t index : {10, 9, 100, 0}) list.Add(ConfigPath(root, index), [] { return "x"; });
  list.Add(root, [] { return "x"; });
  EXPECT_THAT(std::move(list).Take(),
              ElementsAre(Violation{"", "x"}, Violation{"[0]", "x"}, Violation{"[9]", "x"},
                          Violation{"[10]", "x"}, Violation{"[100]", "x"}));
}

TEST(ViolationListTest, KeepsAHundredAndCountsTheOthers) {
  for (const size_t count : {size_t{0}, kMaxViolations, kMaxViolations + 1, kMaxViolations + 2}) {
    ViolationList list;
    size_t described = 0;
    for (size_t i = 0; i < count; ++i) {
      list.Add(ConfigPath(ConfigPath(), i), [&] {
        ++described;
        return "x";
      });
    }
    const size_t kept = std::min(count, kMaxViolations);
    EXPECT_EQ(described, kept);
    const std::vector<Violation> violations = std::move(list).Take();
    ASSERT_EQ(violations.size(), count > kept ? kept + 1 : kept);
    if (count == kMaxViolations + 1) {
      EXPECT_EQ(violations.back(), (Violation{"", "1 more violation not shown"}));
    } else if (count > kept) {
      EXPECT_EQ(violations.back(), (Violation{"", "2 more violations not shown"}));
    }
  }
}

}  // namespace
}  // namespace gantry::steps
