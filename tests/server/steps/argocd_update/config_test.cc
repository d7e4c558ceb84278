// SPDX-License-Identifier: Apache-2.0
#include "server/steps/argocd_update/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/steps/config/config_text.h"
#include "tests/server/steps/violation_printer.h"

namespace gantry::steps {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::string_view kLabelKey =
    "expected a label key: at most 63 letters, digits, '-', '_' and '.', with a letter or digit at "
    "both ends; before them, if wanted, a DNS-1123 subdomain and '/'";
constexpr std::string_view kLabelValue =
    "expected a label value: empty, or at most 63 letters, digits, '-', '_' and '.', with a letter "
    "or digit at both ends";
constexpr std::string_view kName =
    "expected the name of an Application, a DNS-1123 subdomain: lower-case letters, digits, '-' "
    "and '.', with a letter or digit at both ends and around each '.'";
constexpr std::string_view kNamespace =
    "expected the name of a namespace, a DNS-1123 label: lower-case letters, digits and '-', with "
    "a letter or digit at both ends";

std::string Found(std::string_view what, std::string_view expected) {
  return "found " + std::string(what) + ", " + std::string(expected);
}

// The schema by itself, as users get it.
bool SchemaAccepts(const json& config) {
  static const ConfigSchema& schema = *new ConfigSchema(ArgocdUpdateConfigSchema(), {});
  return schema.SchemaAccepts(config);
}

// What a case varies stands in the place of $ in one of these.
constexpr std::string_view kWhole = "$";
constexpr std::string_view kEntry = R"({"apps": [$]})";
constexpr std::string_view kNamed = R"({"apps": [{"name": "a", $}]})";
constexpr std::string_view kSelector = R"({"apps": [{"selector": $}]})";
constexpr std::string_view kLabels = R"({"apps": [{"selector": {"matchLabels": $}}]})";
constexpr std::string_view kExpression = R"({"apps": [{"selector": {"matchExpressions": [$]}}]})";
constexpr std::string_view kSource = R"({"apps": [{"name": "a", "sources": [$]}]})";
constexpr std::string_view kKustomize =
    R"({"apps": [{"name": "a", "sources": [{"repoURL": "r", "kustomize": $}]}]})";
constexpr std::string_view kKustomizeImage =
    R"({"apps": [{"name": "a", "sources": [{"repoURL": "r", "kustomize": {"images": [$]}}]}]})";
constexpr std::string_view kHelm =
    R"({"apps": [{"name": "a", "sources": [{"repoURL": "r", "helm": $}]}]})";
constexpr std::string_view kHelmImage =
    R"({"apps": [{"name": "a", "sources": [{"repoURL": "r", "helm": {"images": [$]}}]}]})";

json Config(std::string_view frame, std::string_view varied) {
  const size_t place = frame.find('$');
  std::string text(frame.substr(0, place));
  text += varied;
  text += frame.substr(place + 1);
  return json::parse(text);
}

std::string Repeat(char c, size_t count) { return std::string(count, c); }
std::string Quoted(const std::string& text) { return "\"" + text + "\""; }
std::string Cut(char c) { return "\"" + std::string(60, c) + "…\""; }

struct Accepted {
  std::string_view name;
  std::string_view frame;
  std::string varied;
};

void ExpectAccepted(const std::vector<Accepted>& cases) {
  for (const Accepted& c : cases) {
    const json config = Config(c.frame, c.varied);
    ArgocdUpdateConfig parsed;
    EXPECT_THAT(ParseArgocdUpdateConfig(config, parsed), IsEmpty()) << c.name;
    EXPECT_FALSE(parsed.apps.empty()) << c.name;
    EXPECT_TRUE(SchemaAccepts(config)) << c.name;
  }
}

enum class By { kSchema, kRule };  // whether the schema alone refuses it

struct Refused {
  std::string_view name;
  By by;
  std::string_view frame;
  std::string varied;
  std::vector<Violation> violations;
};

void ExpectRefused(const std::vector<Refused>& cases) {
  for (const Refused& c : cases) {
    const json config = Config(c.frame, c.varied);
    ArgocdUpdateConfig parsed;
    EXPECT_EQ(ParseArgocdUpdateConfig(config, parsed), c.violations) << c.name;
    EXPECT_EQ(parsed, ArgocdUpdateConfig{}) << c.name;
    EXPECT_EQ(SchemaAccepts(config), c.by == By::kRule) << c.name;
  }
}

TEST(ArgocdUpdateConfigTest, Apps) {
  ExpectAccepted({
      {"one", kEntry, R"({"name": "a"})"},
      {"several", kEntry, R"({"name": "a"}, {"name": "b"})"},
      {"the same twice", kEntry, R"({"name": "a"}, {"name": "a"})"},
      {"as many as there may be", kEntry,
       [] {
         std::string entries = R"({"name": "a"})";
         for (int i = 1; i < 1000; ++i) entries += R"(, {"name": "a"})";
         return entries;
       }()},
  });
  ExpectRefused({
      {"missing",
       By::kSchema,
       kWhole,
       "{}",
       {{"apps", "missing, expected a list of at least 1 item"}}},
      {"null",
       By::kSchema,
       kWhole,
       R"({"apps": null})",
       {{"apps", "found null, expected a list of at least 1 item: give it a value"}}},
      {"empty",
       By::kSchema,
       kWhole,
       R"({"apps": []})",
       {{"apps", "found an empty list, expected at least 1 item"}}},
      {"not a list",
       By::kSchema,
       kWhole,
       R"({"apps": {"name": "a"}})",
       {{"apps",
         "found an object with 1 field, expected a list of at least 1 item: begin each "
         "item with \"- \" in YAML"}}},
      {"too many",
       By::kSchema,
       kEntry,
       [] {
         std::string entries = "null";
         for (int i = 1; i < 1001; ++i) entries += ", null";
         return entries;
       }(),
       {{"apps", "found a list of 1001 items, expected at most 1000 items"}}},
      {"unknown field",
       By::kSchema,
       kWhole,
       R"({"apps": [{"name": "a"}], "retries": 3})",
       {{"retries", "unknown field, expected apps"}}},
      {"another letter case",
       By::kSchema,
       kWhole,
       R"({"Apps": [{"name": "a"}]})",
       {{"Apps", "unknown field: did you mean apps?"},
        {"apps", "missing, expected a list of at least 1 item"}}},
      {"an item of another type",
       By::kSchema,
       kEntry,
       R"("a", {"name": "a"}, null)",
       {{"apps[0]", "found the string \"a\", expected an object"},
        {"apps[2]", "found null, expected an object: give it a value"}}},
      {"unknown fields of an entry",
       By::kSchema,
       kNamed,
       R"("Name": "b", "nmespace": "b", "foo": 1, "a/b": 1)",
       {{"apps[0].Name", "unknown field: did you mean name?"},
        {R"(apps[0]["a/b"])", "unknown field, expected name, namespace, selector or sources"},
        {"apps[0].foo", "unknown field, expected name, namespace, selector or sources"},
        {"apps[0].nmespace", "unknown field: did you mean namespace?"}}},
  });
}

TEST(ArgocdUpdateConfigTest, NameOrSelector) {
  ExpectAccepted({
      {"name", kEntry, R"({"name": "a"})"},
      {"selector", kEntry, R"({"selector": {"matchLabels": {"a": "b"}}})"},
      {"a name with all a name may have", kEntry, R"({"name": "7a-b.c0"})"},
      {"the longest name", kEntry, R"({"name": ")" + Repeat('a', 253) + R"("})"},
  });
  ExpectRefused({
      {"neither",
       By::kRule,
       kEntry,
       "{}",
       {{"apps[0]", "found neither name nor selector, expected exactly one of them"}}},
      {"neither in one of three",
       By::kRule,
       kEntry,
       R"({"name": "a"}, {"namespace": "b"}, {"name": "c"})",
       {{"apps[1]", "found neither name nor selector, expected exactly one of them"}}},
      {"both",
       By::kRule,
       kNamed,
       R"("selector": {"matchLabels": {"a": "b"}})",
       {{"apps[0]", "found both name and selector, expected exactly one of them"}}},
      {"both, and both are wrong",
       By::kSchema,
       kEntry,
       R"({"name": "", "selector": {}})",
       {{"apps[0]", "found both name and selector, expected exactly one of them"},
        {"apps[0].name", "found an empty string, expected a string of 1 to 253 characters"},
        {"apps[0].selector",
         "found no criterion, expected at least one in matchLabels or matchExpressions"}}},
      {"empty name",
       By::kSchema,
       kEntry,
       R"({"name": ""})",
       {{"apps[0].name", "found an empty string, expected a string of 1 to 253 characters"}}},
      {"null name",
       By::kSchema,
       kEntry,
       R"({"name": null})",
       {{"apps[0].name",
         "found null, expected a string of 1 to 253 characters: give it a value or "
         "leave it out"}}},
      {"null name beside a selector",
       By::kSchema,
       kEntry,
       R"({"name": null, "selector": {"matchLabels": {"a": "b"}}})",
       {{"apps[0].name",
         "found null, expected a string of 1 to 253 characters: give it a value or "
         "leave it out"}}},
      {"null selector beside a name",
       By::kSchema,
       kNamed,
       R"("selector": null)",
       {{"apps[0].selector", "found null, expected an object: give it a value or leave it out"}}},
      {"a number",
       By::kSchema,
       kEntry,
       R"({"name": 42.0})",
       {{"apps[0].name",
         "found the number 42, expected a string of 1 to 253 characters: quote it in YAML"}}},
      {"too long",
       By::kSchema,
       kEntry,
       R"({"name": ")" + Repeat('a', 254) + R"("})",
       {{"apps[0].name",
         "found " + Cut('a') + " (254 characters), expected a string of 1 to 253 characters"}}},
      {"upper case",
       By::kRule,
       kEntry,
       R"({"name": "A"})",
       {{"apps[0].name", Found("\"A\"", kName)}}},
      {"another path",
       By::kRule,
       kEntry,
       R"({"name": "../../secrets/x"})",
       {{"apps[0].name", Found("\"../../secrets/x\"", kName)}}},
      {"a query",
       By::kRule,
       kEntry,
       R"({"name": "a?watch=true"})",
       {{"apps[0].name", Found("\"a?watch=true\"", kName)}}},
      {"only a dot",
       By::kRule,
       kEntry,
       R"({"name": "."})",
       {{"apps[0].name", Found("\".\"", kName)}}},
      {"a line break",
       By::kRule,
       kEntry,
       R"({"name": "a\n"})",
       {{"apps[0].name", Found(R"("a\n")", kName)}}},
      {"a zero character",
       By::kRule,
       kEntry,
       R"({"name": "a\u0000b"})",
       {{"apps[0].name", R"(found "a\u0000b", expected no character U+0000)"}}},
      {"selector is no object",
       By::kSchema,
       kSelector,
       R"("a=b")",
       {{"apps[0].selector", "found the string \"a=b\", expected an object"}}},
  });
}

TEST(ArgocdUpdateConfigTest, Namespace) {
  ExpectAccepted({
      {"not given", kEntry, R"({"name": "a"})"},
      {"given", kNamed, R"("namespace": "7-a")"},
      {"the longest", kNamed, R"("namespace": ")" + Repeat('a', 63) + "\""},
  });
  ExpectRefused({
      {"empty",
       By::kSchema,
       kNamed,
       R"("namespace": "")",
       {{"apps[0].namespace", "found an empty string, expected a string of 1 to 63 characters"}}},
      {"null",
       By::kSchema,
       kNamed,
       R"("namespace": null)",
       {{"apps[0].namespace",
         "found null, expected a string of 1 to 63 characters: give it a value "
         "or leave it out"}}},
      {"all",
       By::kRule,
       kNamed,
       R"("namespace": "*")",
       {{"apps[0].namespace", Found("\"*\"", kNamespace)}}},
      {"a dot",
       By::kRule,
       kNamed,
       R"("namespace": "a.b")",
       {{"apps[0].namespace", Found("\"a.b\"", kNamespace)}}},
      {"a slash",
       By::kRule,
       kNamed,
       R"("namespace": "a/b")",
       {{"apps[0].namespace", Found("\"a/b\"", kNamespace)}}},
      {"too long",
       By::kSchema,
       kNamed,
       R"("namespace": ")" + Repeat('a', 64) + "\"",
       {{"apps[0].namespace",
         "found " + Cut('a') + " (64 characters), expected a string of 1 to 63 characters"}}},
      {"a list",
       By::kSchema,
       kNamed,
       R"("namespace": ["a", "b"])",
       {{"apps[0].namespace", "found a list of 2 items, expected a string of 1 to 63 characters"}}},
  });
}

TEST(ArgocdUpdateConfigTest, SelectorMatchLabels) {
  ExpectAccepted({
      {"one", kLabels, R"({"a": "b"})"},
      {"a prefix and an empty value", kLabels, R"({"app.kubernetes.io/name": ""})"},
      {"the longest value", kLabels, R"({"a": ")" + Repeat('b', 63) + R"("})"},
      {"none, but an expression", kSelector,
       R"({"matchLabels": {}, "matchExpressions": [{"key": "a", "operator": "Exists"}]})"},
      {"as long as a selector may be", kLabels,
       [] {
         // 4096 = 62 * 66 + 4: a label of 66 characters with its comma, and one of 4.
         std::string labels = R"("aa": "b")";
         for (int i = 10; i < 72; ++i) {
           labels += R"(, "k)" + std::to_string(i) + R"(": ")" + Repeat('v', 61) + "\"";
         }
         return "{" + labels + "}";
       }()},
  });
  ExpectRefused({
      {"no criterion",
       By::kRule,
       kSelector,
       "{}",
       {{"apps[0].selector",
         "found no criterion, expected at least one in matchLabels or matchExpressions"}}},
      {"no label and no expression",
       By::kRule,
       kSelector,
       R"({"matchLabels": {}, "matchExpressions": []})",
       {{"apps[0].selector",
         "found no criterion, expected at least one in matchLabels or matchExpressions"}}},
      {"unknown field",
       By::kSchema,
       kSelector,
       R"({"matchLabel": {"a": "b"}})",
       {{"apps[0].selector",
         "found no criterion, expected at least one in matchLabels or matchExpressions"},
        {"apps[0].selector.matchLabel", "unknown field: did you mean matchLabels?"}}},
      {"null",
       By::kSchema,
       kLabels,
       "null",
       {{"apps[0].selector.matchLabels",
         "found null, expected an object whose fields are each a string of at most 63 characters: "
         "give it a value or leave it out"}}},
      {"a list",
       By::kSchema,
       kLabels,
       "[]",
       {{"apps[0].selector",
         "found no criterion, expected at least one in matchLabels or matchExpressions"},
        {"apps[0].selector.matchLabels",
         "found an empty list, expected an object whose fields are "
         "each a string of at most 63 characters"}}},
      {"values that are no strings",
       By::kSchema,
       kLabels,
       R"({"a": 1, "b": true, "c": null, "d": {}})",
       {{"apps[0].selector.matchLabels.a",
         "found the number 1, expected a string of at most 63 characters: quote it in YAML"},
        {"apps[0].selector.matchLabels.b",
         "found true, expected a string of at most 63 characters: quote it in YAML"},
        {"apps[0].selector.matchLabels.c",
         "found null, expected a string of at most 63 characters: give it a value"},
        {"apps[0].selector.matchLabels.d",
         "found an empty object, expected a string of at most 63 characters"}}},
      {"a value that is none",
       By::kRule,
       kLabels,
       R"({"a": "b c"})",
       {{"apps[0].selector.matchLabels.a", Found("\"b c\"", kLabelValue)}}},
      {"another criterion in a value",
       By::kRule,
       kLabels,
       R"({"a": "b,c=d"})",
       {{"apps[0].selector.matchLabels.a", Found("\"b,c=d\"", kLabelValue)}}},
      {"a value too long",
       By::kSchema,
       kLabels,
       R"({"a": ")" + Repeat('b', 64) + R"("})",
       {{"apps[0].selector.matchLabels.a",
         "found " + Cut('b') + " (64 characters), expected a string of at most 63 characters"}}},
      {"keys that are none",
       By::kRule,
       kLabels,
       R"({"": "x", "a b": "x", "A/b": "x"})",
       {{R"(apps[0].selector.matchLabels[""])", Found("\"\"", kLabelKey)},
        {R"(apps[0].selector.matchLabels["A/b"])", Found("\"A/b\"", kLabelKey)},
        {R"(apps[0].selector.matchLabels["a b"])", Found("\"a b\"", kLabelKey)}}},
      {"a key too long",
       By::kRule,
       kLabels,
       "{" + Quoted(Repeat('k', 64)) + R"(: "x"})",
       {{"apps[0].selector.matchLabels[" + Cut('k') + "]", Found(Cut('k'), kLabelKey)}}},
      {"neither key nor value",
       By::kSchema,
       kLabels,
       R"({"!a": 1})",
       {{R"(apps[0].selector.matchLabels["!a"])", Found("\"!a\"", kLabelKey)},
        {R"(apps[0].selector.matchLabels["!a"])",
         "found the number 1, expected a string of at most 63 characters: quote it in YAML"}}},
      {"longer than a selector may be",
       By::kRule,
       kLabels,
       [] {
         std::string labels = R"("aa": "bb")";
         for (int i = 10; i < 72; ++i) {
           labels += R"(, "k)" + std::to_string(i) + R"(": ")" + Repeat('v', 61) + "\"";
         }
         return "{" + labels + "}";
       }(),
       {{"apps[0].selector",
         "found a selector of 4097 characters in the API's query syntax, "
         "expected at most 4096"}}},
  });
}

TEST(ArgocdUpdateConfigTest, SelectorMatchExpressions) {
  ExpectAccepted({
      {"In", kExpression, R"({"key": "a", "operator": "In", "values": ["x", ""]})"},
      {"NotIn", kExpression, R"({"key": "a", "operator": "NotIn", "values": ["x"]})"},
      {"Exists", kExpression, R"({"key": "b.c/a", "operator": "Exists"})"},
      {"Exists, no values", kExpression, R"({"key": "a", "operator": "Exists", "values": []})"},
      {"DoesNotExist", kExpression, R"({"key": "a", "operator": "DoesNotExist"})"},
      {"DoesNotExist, no values", kExpression,
       R"({"key": "a", "operator": "DoesNotExist", "values": []})"},
      {"none, but a label", kSelector, R"({"matchLabels": {"a": "b"}, "matchExpressions": []})"},
      {"the longest key", kExpression,
       R"({"key": ")" + Repeat('a', 253) + "/" + Repeat('b', 63) + R"(", "operator": "Exists"})"},
  });
  const std::string at = "apps[0].selector.matchExpressions[0]";
  ExpectRefused({
      {"empty",
       By::kSchema,
       kExpression,
       "{}",
       {{at + ".key", "missing, expected a string of 1 to 317 characters"},
        {at + ".operator", "missing, expected one of In, NotIn, Exists or DoesNotExist"}}},
      {"not an object",
       By::kSchema,
       kExpression,
       R"x("a in (b)")x",
       {{at, "found the string \"a in (b)\", expected an object with key and operator"}}},
      {"not a list",
       By::kSchema,
       kSelector,
       R"({"matchExpressions": {"key": "a"}})",
       {{"apps[0].selector.matchExpressions",
         "found an object with 1 field, expected a list: begin "
         "each item with \"- \" in YAML"}}},
      {"unknown field",
       By::kSchema,
       kExpression,
       R"({"key": "a", "operator": "In", "value": "x", "values": ["x"]})",
       {{at + ".value", "unknown field: did you mean values?"}}},
      {"operator in another letter case",
       By::kSchema,
       kExpression,
       R"({"key": "a", "operator": "in", "values": ["x"]})",
       {{at + ".operator",
         "found the string \"in\", expected one of In, NotIn, Exists or DoesNotExist: did you mean "
         "In?"}}},
      {"unknown operator",
       By::kSchema,
       kExpression,
       R"({"key": "a", "operator": "Gt", "values": []})",
       {{at + ".operator",
         "found the string \"Gt\", expected one of In, NotIn, Exists or DoesNotExist"}}},
      {"empty operator",
       By::kSchema,
       kExpression,
       R"({"key": "a", "operator": ""})",
       {{at + ".operator",
         "found an empty string, expected one of In, NotIn, Exists or DoesNotExist"}}},
      {"operator of another type",
       By::kSchema,
       kExpression,
       R"({"key": "a", "operator": [[[[]]]], "values": ["x"]})",
       {{at + ".operator",
         "found a list of 1 item, expected one of In, NotIn, Exists or DoesNotExist"}}},
      {"In without values",
       By::kRule,
       kExpression,
       R"({"key": "a", "operator": "In"})",
       {{at + ".values", "missing, expected at least one value for the operator In"}}},
      {"NotIn with no value",
       By::kRule,
       kExpression,
       R"({"key": "a", "operator": "NotIn", "values": []})",
       {{at + ".values",
         "found an empty list, expected at least one value for the operator NotIn"}}},
      {"In with null",
       By::kSchema,
       kExpression,
       R"({"key": "a", "operator": "In", "values": null})",
       {{at + ".values", "found null, expected a list: give it a value or leave it out"}}},
      {"In with one that is no list",
       By::kSchema,
       kExpression,
       R"({"key": "a", "operator": "In", "values": "x"})",
       {{at + ".values",
         "found the string \"x\", expected a list: begin each item with \"- \" in YAML"}}},
      {"Exists with values",
       By::kRule,
       kExpression,
       R"({"key": "a", "operator": "Exists", "values": ["x", "y"]})",
       {{at + ".values", "found a list of 2 items, expected no values for the operator Exists"}}},
      {"DoesNotExist with a value",
       By::kRule,
       kExpression,
       R"({"key": "a", "operator": "DoesNotExist", "values": [""]})",
       {{at + ".values",
         "found a list of 1 item, expected no values for the operator DoesNotExist"}}},
      {"empty key",
       By::kSchema,
       kExpression,
       R"({"key": "", "operator": "Exists"})",
       {{at + ".key", "found an empty string, expected a string of 1 to 317 characters"}}},
      {"a key that is none",
       By::kRule,
       kExpression,
       R"({"key": "a/b/c", "operator": "Exists"})",
       {{at + ".key", Found("\"a/b/c\"", kLabelKey)}}},
      {"a key too long",
       By::kSchema,
       kExpression,
       R"({"key": ")" + Repeat('k', 318) + R"(", "operator": "Exists"})",
       {{at + ".key",
         "found " + Cut('k') + " (318 characters), expected a string of 1 to 317 characters"}}},
      {"values that are none",
       By::kSchema,
       kExpression,
       R"({"key": "a", "operator": "In", "values": ["x", 1.5, "-", null, "y"]})",
       {{at + ".values[1]",
         "found the number 1.5, expected a string of at most 63 characters: quote it in YAML"},
        {at + ".values[2]", Found("\"-\"", kLabelValue)},
        {at + ".values[3]",
         "found null, expected a string of at most 63 characters: give it a value"}}},
  });
}

TEST(ArgocdUpdateConfigTest, Sources) {
  ExpectAccepted({
      {"not given", kEntry, R"({"name": "a"})"},
      {"one", kSource, R"({"repoURL": "r"})"},
      {"the same twice", kSource, R"({"repoURL": "r"}, {"repoURL": "r"})"},
      {"by selector", kEntry,
       R"({"selector": {"matchLabels": {"a": "b"}}, "sources": [{"repoURL": "r"}]})"},
  });
  ExpectRefused({
      {"empty",
       By::kSchema,
       kNamed,
       R"("sources": [])",
       {{"apps[0].sources", "found an empty list, expected at least 1 item"}}},
      {"null",
       By::kSchema,
       kNamed,
       R"("sources": null)",
       {{"apps[0].sources",
         "found null, expected a list of at least 1 item: give it a value or "
         "leave it out"}}},
      {"an object",
       By::kSchema,
       kNamed,
       R"("sources": {"repoURL": "r"})",
       {{"apps[0].sources",
         "found an object with 1 field, expected a list of at least 1 item: "
         "begin each item with \"- \" in YAML"}}},
      {"items of another type",
       By::kSchema,
       kSource,
       R"(null, {"repoURL": "r"}, "r")",
       {{"apps[0].sources[0]", "found null, expected an object with repoURL: give it a value"},
        {"apps[0].sources[2]", "found the string \"r\", expected an object with repoURL"}}},
      {"unknown field",
       By::kSchema,
       kSource,
       R"({"repoURL": "r", "revision": "v1"})",
       {{"apps[0].sources[0].revision",
         "unknown field, expected chart, desiredRevision, helm, "
         "kustomize, repoURL or updateTargetRevision"}}},
  });
}

TEST(ArgocdUpdateConfigTest, SourceRepoUrl) {
  ExpectAccepted({
      {"https", kSource, R"({"repoURL": "https://example.com/a.git"})"},
      {"scp-like", kSource, R"({"repoURL": "git@example.com:a.git"})"},
      {"blanks, which are dropped when git URLs are compared", kSource,
       R"({"repoURL": " https://example.com/a \n"})"},
      {"the longest, in characters", kSource,
       [] {
         std::string url;
         for (int i = 0; i < 2048; ++i) url += "ü";
         return R"({"repoURL": ")" + url + R"("})";
       }()},
  });
  ExpectRefused({
      {"missing",
       By::kSchema,
       kSource,
       R"({"chart": "c"})",
       {{"apps[0].sources[0].repoURL", "missing, expected a string of 1 to 2048 characters"}}},
      {"missing in the second",
       By::kSchema,
       kSource,
       R"({"repoURL": "r"}, {})",
       {{"apps[0].sources[1].repoURL", "missing, expected a string of 1 to 2048 characters"}}},
      {"another letter case",
       By::kSchema,
       kSource,
       R"({"repoUrl": "r"})",
       {{"apps[0].sources[0].repoURL", "missing, expected a string of 1 to 2048 characters"},
        {"apps[0].sources[0].repoUrl", "unknown field: did you mean repoURL?"}}},
      {"empty",
       By::kSchema,
       kSource,
       R"({"repoURL": ""})",
       {{"apps[0].sources[0].repoURL",
         "found an empty string, expected a string of 1 to 2048 characters"}}},
      {"null",
       By::kSchema,
       kSource,
       R"({"repoURL": null})",
       {{"apps[0].sources[0].repoURL",
         "found null, expected a string of 1 to 2048 characters: give it a value"}}},
      {"too long",
       By::kSchema,
       kSource,
       R"({"repoURL": ")" + Repeat('r', 2049) + R"("})",
       {{"apps[0].sources[0].repoURL",
         "found " + Cut('r') + " (2049 characters), expected a string of 1 to 2048 characters"}}},
  });
}

TEST(ArgocdUpdateConfigTest, SourceChart) {
  ExpectAccepted({
      {"given", kSource, R"({"repoURL": "r", "chart": "c"})"},
      {"in a folder", kSource, R"({"repoURL": "r", "chart": "group/c"})"},
  });
  ExpectRefused({
      {"empty",
       By::kSchema,
       kSource,
       R"({"repoURL": "r", "chart": ""})",
       {{"apps[0].sources[0].chart",
         "found an empty string, expected a string of 1 to 512 characters"}}},
      {"null",
       By::kSchema,
       kSource,
       R"({"repoURL": "r", "chart": null})",
       {{"apps[0].sources[0].chart",
         "found null, expected a string of 1 to 512 characters: give it "
         "a value or leave it out"}}},
      {"control character",
       By::kRule,
       kSource,
       R"({"repoURL": "r", "chart": "c\u0085"})",
       {{"apps[0].sources[0].chart",
         R"(found "c\u0085", expected no control characters (such as a line break))"}}},
  });
}

TEST(ArgocdUpdateConfigTest, SourceDesiredRevision) {
  ExpectAccepted({
      {"given", kSource, R"({"repoURL": "r", "desiredRevision": "v1"})"},
      {"a range", kSource, R"({"repoURL": "r", "desiredRevision": ">= 1.2 < 2"})"},
  });
  ExpectRefused({
      {"empty",
       By::kSchema,
       kSource,
       R"({"repoURL": "r", "desiredRevision": ""})",
       {{"apps[0].sources[0].desiredRevision",
         "found an empty string, expected a string of 1 to 1024 characters"}}},
      {"null",
       By::kSchema,
       kSource,
       R"({"repoURL": "r", "desiredRevision": null})",
       {{"apps[0].sources[0].desiredRevision",
         "found null, expected a string of 1 to 1024 "
         "characters: give it a value or leave it out"}}},
      {"a version that YAML takes for a number",
       By::kSchema,
       kSource,
       R"({"repoURL": "r", "desiredRevision": 1.10})",
       {{"apps[0].sources[0].desiredRevision",
         "found the number 1.1, expected a string of 1 to 1024 characters: quote it in YAML"}}},
      {"a commit that YAML takes for a number",
       By::kSchema,
       kSource,
       R"({"repoURL": "r", "desiredRevision": 1234567.0})",
       {{"apps[0].sources[0].desiredRevision",
         "found the number 1234567, expected a string of 1 to 1024 characters: quote it in YAML"}}},
      {"line break",
       By::kRule,
       kSource,
       R"({"repoURL": "r", "desiredRevision": "v1\n"})",
       {{"apps[0].sources[0].desiredRevision",
         R"(found "v1\n", expected no control characters (such as a line break))"}}},
  });
}

TEST(ArgocdUpdateConfigTest, SourceUpdateTargetRevision) {
  ExpectAccepted({
      {"true", kSource,
       R"({"repoURL": "r", "desiredRevision": "v", "updateTargetRevision": true})"},
      {"false", kSource, R"({"repoURL": "r", "updateTargetRevision": false})"},
      {"false with a revision", kSource,
       R"({"repoURL": "r", "desiredRevision": "v", "updateTargetRevision": false})"},
  });
  const std::string at = "apps[0].sources[0].updateTargetRevision";
  ExpectRefused({
      {"true without a revision",
       By::kRule,
       kSource,
       R"({"repoURL": "r", "updateTargetRevision": true})",
       {{at, "found true, expected desiredRevision beside it: the revision to set"}}},
      {"true with an empty revision",
       By::kSchema,
       kSource,
       R"({"repoURL": "r", "desiredRevision": "", "updateTargetRevision": true})",
       {{"apps[0].sources[0].desiredRevision",
         "found an empty string, expected a string of 1 to 1024 characters"}}},
      {"a string",
       By::kSchema,
       kSource,
       R"({"repoURL": "r", "updateTargetRevision": "true"})",
       {{at, "found the string \"true\", expected true or false: leave out the quotes"}}},
      {"a number",
       By::kSchema,
       kSource,
       R"({"repoURL": "r", "updateTargetRevision": 1.0})",
       {{at, "found the number 1, expected true or false"}}},
      {"null",
       By::kSchema,
       kSource,
       R"({"repoURL": "r", "updateTargetRevision": null})",
       {{at, "found null, expected true or false: give it a value or leave it out"}}},
  });
}

TEST(ArgocdUpdateConfigTest, KustomizeImages) {
  ExpectAccepted({
      {"tag", kKustomizeImage, R"({"repoURL": "i", "tag": "v1"})"},
      {"digest", kKustomizeImage, R"({"repoURL": "i", "digest": "sha256:ab"})"},
      {"tag and an empty digest", kKustomizeImage,
       R"({"repoURL": "i", "tag": "v1", "digest": ""})"},
      {"digest and an empty tag", kKustomizeImage, R"({"repoURL": "i", "tag": "", "digest": "d"})"},
      {"newName alone", kKustomizeImage, R"({"repoURL": "i", "newName": "j"})"},
      {"newName, the others empty", kKustomizeImage,
       R"({"repoURL": "i", "newName": "j", "tag": "", "digest": ""})"},
      {"newName and tag", kKustomizeImage, R"({"repoURL": "i", "newName": "j", "tag": "v1"})"},
      {"newName and digest", kKustomizeImage, R"({"repoURL": "i", "newName": "j", "digest": "d"})"},
      {"a registry with a port", kKustomizeImage, R"({"repoURL": "h:5000/i", "tag": "v1"})"},
      {"several", kKustomizeImage,
       R"({"repoURL": "i", "tag": "v1"}, {"repoURL": "j", "tag": "v1"})"},
  });
  const std::string images = "apps[0].sources[0].kustomize.images";
  const std::string at = images + "[0]";
  ExpectRefused({
      {"kustomize null",
       By::kSchema,
       kKustomize,
       "null",
       {{"apps[0].sources[0].kustomize",
         "found null, expected an object with images: give it a value or leave it out"}}},
      {"images missing",
       By::kSchema,
       kKustomize,
       "{}",
       {{images, "missing, expected a list of at least 1 item"}}},
      {"images null",
       By::kSchema,
       kKustomize,
       R"({"images": null})",
       {{images, "found null, expected a list of at least 1 item: give it a value"}}},
      {"images empty",
       By::kSchema,
       kKustomize,
       R"({"images": []})",
       {{images, "found an empty list, expected at least 1 item"}}},
      {"unknown field",
       By::kSchema,
       kKustomize,
       R"({"images": [{"repoURL": "i", "tag": "v1"}], "image": 1})",
       {{"apps[0].sources[0].kustomize.image", "unknown field: did you mean images?"}}},
      {"an image as Argo CD writes it",
       By::kSchema,
       kKustomize,
       R"({"images": ["i:v1"]})",
       {{at, "found the string \"i:v1\", expected an object with repoURL"}}},
      {"both tag and digest",
       By::kRule,
       kKustomizeImage,
       R"({"repoURL": "i", "tag": "v1", "digest": "d"})",
       {{at, "found both tag and digest, expected one of them"}}},
      {"both tag and digest, and newName",
       By::kRule,
       kKustomizeImage,
       R"({"repoURL": "i", "newName": "j", "tag": "v1", "digest": "d"})",
       {{at, "found both tag and digest, expected one of them"}}},
      {"none of them",
       By::kRule,
       kKustomizeImage,
       R"({"repoURL": "i"})",
       {{at, "found neither tag, digest nor newName, expected tag or digest, or newName alone"}}},
      {"none of them but empty",
       By::kRule,
       kKustomizeImage,
       R"({"repoURL": "i", "tag": "", "digest": ""})",
       {{at, "found neither tag, digest nor newName, expected tag or digest, or newName alone"}}},
      {"the second image",
       By::kRule,
       kKustomizeImage,
       R"({"repoURL": "i", "tag": "v1"}, {"repoURL": "j"})",
       {{images + "[1]",
         "found neither tag, digest nor newName, expected tag or digest, or newName alone"}}},
      {"empty newName",
       By::kSchema,
       kKustomizeImage,
       R"({"repoURL": "i", "newName": ""})",
       {{at + ".newName", "found an empty string, expected a string of 1 to 512 characters"}}},
      {"null newName",
       By::kSchema,
       kKustomizeImage,
       R"({"repoURL": "i", "newName": null})",
       {{at + ".newName",
         "found null, expected a string of 1 to 512 characters: give it a value or "
         "leave it out"}}},
      {"a tag that YAML takes for a number",
       By::kSchema,
       kKustomizeImage,
       R"({"repoURL": "i", "tag": 1.10})",
       {{at + ".tag",
         "found the number 1.1, expected a string of at most 128 characters: quote it in YAML"}}},
      {"null tag",
       By::kSchema,
       kKustomizeImage,
       R"({"repoURL": "i", "tag": null})",
       {{at + ".tag",
         "found null, expected a string of at most 128 characters: give it a value or "
         "leave it out"}}},
      {"tag too long",
       By::kSchema,
       kKustomizeImage,
       R"({"repoURL": "i", "tag": ")" + Repeat('t', 129) + R"("})",
       {{at + ".tag",
         "found " + Cut('t') + " (129 characters), expected a string of at most 128 characters"}}},
      {"repoURL missing",
       By::kSchema,
       kKustomizeImage,
       R"({"newName": "i"})",
       {{at + ".repoURL", "missing, expected a string of 1 to 512 characters"}}},
      {"repoURL empty",
       By::kSchema,
       kKustomizeImage,
       R"({"repoURL": "", "tag": "v1"})",
       {{at + ".repoURL", "found an empty string, expected a string of 1 to 512 characters"}}},
      {"Argo CD's field names",
       By::kSchema,
       kKustomizeImage,
       R"({"name": "i", "newTag": "v1"})",
       {{at, "found neither tag, digest nor newName, expected tag or digest, or newName alone"},
        {at + ".name", "unknown field, expected digest, newName, repoURL or tag"},
        {at + ".newTag", "unknown field, expected digest, newName, repoURL or tag"},
        {at + ".repoURL", "missing, expected a string of 1 to 512 characters"}}},
      {"blanks",
       By::kRule,
       kKustomizeImage,
       R"({"repoURL": "i ", "newName": "\tj", "tag": "v\n1"})",
       {{at + ".newName", R"(found "\tj", expected no blanks and no unprintable characters)"},
        {at + ".repoURL", R"(found "i ", expected no blanks and no unprintable characters)"},
        {at + ".tag", R"(found "v\n1", expected no blanks and no unprintable characters)"}}},
      {"what nobody sees",
       By::kRule,
       kKustomizeImage,
       R"({"repoURL": "i", "digest": "d\u200b"})",
       {{at + ".digest", R"(found "d\u200b", expected no blanks and no unprintable characters)"}}},
  });
}

TEST(ArgocdUpdateConfigTest, HelmImages) {
  ExpectAccepted({
      {"key and value", kHelmImage, R"({"key": "image.tag", "value": "v1"})"},
      {"empty value", kHelmImage, R"({"key": "image.tag", "value": ""})"},
      {"a value with blanks", kHelmImage, R"({"key": "a b", "value": " v 1 "})"},
      {"several, the same key twice", kHelmImage,
       R"({"key": "k", "value": "a"}, {"key": "k", "value": "b"})"},
      {"beside kustomize", kSource,
       R"({"repoURL": "r", "helm": {"images": [{"key": "k", "value": ""}]},
           "kustomize": {"images": [{"repoURL": "i", "tag": "v"}]}})"},
  });
  const std::string images = "apps[0].sources[0].helm.images";
  const std::string at = images + "[0]";
  ExpectRefused({
      {"helm is a list",
       By::kSchema,
       kHelm,
       "[]",
       {{"apps[0].sources[0].helm", "found an empty list, expected an object with images"}}},
      {"images missing",
       By::kSchema,
       kHelm,
       "{}",
       {{images, "missing, expected a list of at least 1 item"}}},
      {"images empty",
       By::kSchema,
       kHelm,
       R"({"images": []})",
       {{images, "found an empty list, expected at least 1 item"}}},
      {"unknown field",
       By::kSchema,
       kHelm,
       R"({"images": [{"key": "k", "value": "v"}], "parameters": []})",
       {{"apps[0].sources[0].helm.parameters", "unknown field, expected images"}}},
      {"empty",
       By::kSchema,
       kHelmImage,
       "{}",
       {{at + ".key", "missing, expected a string of 1 to 512 characters"},
        {at + ".value", "missing, expected a string of at most 4096 characters"}}},
      {"empty key",
       By::kSchema,
       kHelmImage,
       R"({"key": "", "value": "v"})",
       {{at + ".key", "found an empty string, expected a string of 1 to 512 characters"}}},
      {"null value",
       By::kSchema,
       kHelmImage,
       R"({"key": "k", "value": null})",
       {{at + ".value",
         "found null, expected a string of at most 4096 characters: give it a value"}}},
      {"a value that is a number",
       By::kSchema,
       kHelmImage,
       R"({"key": "k", "value": 3})",
       {{at + ".value",
         "found the number 3, expected a string of at most 4096 characters: quote it in YAML"}}},
      {"a value too long",
       By::kSchema,
       kHelmImage,
       R"({"key": "k", "value": ")" + Repeat('v', 4097) + R"("})",
       {{at + ".value", "found " + Cut('v') +
                            " (4097 characters), expected a string of at most 4096 characters"}}},
      {"control characters",
       By::kRule,
       kHelmImage,
       R"({"key": "k\u007f", "value": "\u001b[2J"})",
       {{at + ".key", R"(found "k\u007f", expected no control characters (such as a line break))"},
        {at + ".value",
         R"(found "\u001b[2J", expected no control characters (such as a line break))"}}},
      {"unknown field of an image",
       By::kSchema,
       kHelmImage,
       R"({"key": "k", "Value": "v", "value": "v"})",
       {{at + ".Value", "unknown field: did you mean value?"}}},
  });
}

TEST(ArgocdUpdateConfigTest, ReadsEveryField) {
  const json input = json::parse(R"({"apps": [
      {"name": "one", "namespace": "team-a", "sources": [
        {"repoURL": "https://example.com/a.git", "desiredRevision": "v1", "updateTargetRevision": true,
         "kustomize": {"images": [{"repoURL": "i", "tag": "v1", "digest": ""},
                                  {"repoURL": "j", "newName": "k", "digest": "sha256:ab"}]}},
        {"repoURL": "https://charts.example.com", "chart": "c", "updateTargetRevision": false,
         "helm": {"images": [{"key": "image.tag", "value": "v1"}, {"key": "k", "value": ""}]}}]},
      {"selector": {"matchLabels": {"tier": "web", "app": "shop"},
                    "matchExpressions": [{"key": "e", "operator": "In", "values": ["a", "b"]},
                                         {"key": "f", "operator": "DoesNotExist"}]}}]})");
  ArgocdUpdateConfig expected;
  SourceUpdate first;
  first.repo_url = "https://example.com/a.git";
  first.desired_revision = "v1";
  first.update_target_revision = true;
  first.kustomize_images = {KustomizeImage{"i", "", "v1", ""},
                            KustomizeImage{"j", "k", "", "sha256:ab"}};
  SourceUpdate second;
  second.repo_url = "https://charts.example.com";
  second.chart = "c";
  second.helm_images = {HelmImage{"image.tag", "v1"}, HelmImage{"k", ""}};
  expected.apps.push_back({{"team-a", "one", ""}, {first, second}});
  using Operator = LabelCriterion::Operator;
  expected.apps.push_back({{"",
                            "",
                            "app=shop,tier=web,e in (a,b),!f",
                            {{"app", Operator::kEquals, {"shop"}},
                             {"tier", Operator::kEquals, {"web"}},
                             {"e", Operator::kIn, {"a", "b"}},
                             {"f", Operator::kDoesNotExist, {}}}},
                           {}});

  ArgocdUpdateConfig config;
  config.apps.resize(7);
  EXPECT_THAT(ParseArgocdUpdateConfig(input, config), IsEmpty());
  EXPECT_EQ(config, expected);
  // A configuration that is refused leaves it alone.
  EXPECT_EQ(ParseArgocdUpdateConfig(nlohmann::json::object(), config).size(), 1u);
  EXPECT_EQ(config, expected);
}

TEST(ArgocdUpdateConfigTest, ReportsAllInTheOrderOfTheConfiguration) {
  const json input = json::parse(R"({"zzz": 1, "aaa": 1, "apps": [
      {"sources": [{"repoURL": "", "kustomize": {"images": [{"repoURL": "i"}]}}, {"repoURL": 7}],
       "selector": {"matchExpressions": [{"key": "-", "operator": "In"}]},
       "namespace": "", "name": "A"},
      7,
      {"name": "b", "sources": [{"updateTargetRevision": true, "helm": {}, "chart": ""}]}]})");
  ArgocdUpdateConfig config;
  std::vector<std::string> fields;
  for (const Violation& violation : ParseArgocdUpdateConfig(input, config)) {
    fields.push_back(violation.field);
  }
  EXPECT_THAT(fields,
              ElementsAre("aaa", "apps[0]", "apps[0].name", "apps[0].namespace",
                          "apps[0].selector.matchExpressions[0].key",
                          "apps[0].selector.matchExpressions[0].values",
                          "apps[0].sources[0].kustomize.images[0]", "apps[0].sources[0].repoURL",
                          "apps[0].sources[1].repoURL", "apps[1]", "apps[2].sources[0].chart",
                          "apps[2].sources[0].helm.images", "apps[2].sources[0].repoURL",
                          "apps[2].sources[0].updateTargetRevision", "zzz"));
}

TEST(ArgocdUpdateConfigTest, TellsAThousandViolationsAndHowManyMore) {
  json config = {{"apps", json::array()}};
  for (int i = 0; i < 1000; ++i) config["apps"].push_back({{"name", i}});
  for (int i = 0; i < 37; ++i) config["unknown" + std::to_string(i)] = i;
  ArgocdUpdateConfig parsed;
  const std::vector<Violation> violations = ParseArgocdUpdateConfig(config, parsed);
  ASSERT_EQ(violations.size(), 1001u);
  EXPECT_EQ(violations[999],
            (Violation{"apps[999].name",
                       "found the number 999, expected a string of 1 to 253 characters: quote it "
                       "in YAML"}));
  EXPECT_EQ(violations[1000], (Violation{"", "37 more violations not shown"}));
}

TEST(ArgocdUpdateConfigTest, HasAVerdictOnWhatIsNoObject) {
  ExpectRefused({
      {"null", By::kSchema, kWhole, "null", {{"", "found null, expected an object with apps"}}},
      {"boolean", By::kSchema, kWhole, "true", {{"", "found true, expected an object with apps"}}},
      {"number",
       By::kSchema,
       kWhole,
       "-0.5",
       {{"", "found the number -0.5, expected an object with apps"}}},
      {"string",
       By::kSchema,
       kWhole,
       R"("apps")",
       {{"", "found the string \"apps\", expected an object with apps"}}},
      {"list",
       By::kSchema,
       kWhole,
       R"([{"apps": []}])",
       {{"", "found a list of 1 item, expected an object with apps"}}},
  });
}

TEST(ArgocdUpdateConfigTest, HasAVerdictOnHugeAndDeepOnes) {
  ArgocdUpdateConfig parsed;

  const std::string megabyte(1 << 20, 'x');
  for (const std::string_view frame :
       {kSource, kKustomizeImage, kHelmImage, kLabels, kExpression}) {
    const json huge = Config(frame, "{" + Quoted(megabyte) + ": " + Quoted(megabyte) + "}");
    const std::vector<Violation> violations = ParseArgocdUpdateConfig(huge, parsed);
    ASSERT_FALSE(violations.empty());
    for (const Violation& violation : violations) {
      EXPECT_LT(violation.field.size(), 500u);
      EXPECT_LT(violation.description.size(), 500u);
    }
  }

  // Thousands of fields, each of them wrong.
  json unknown = json::object();
  json items = json::array();
  for (int i = 0; i < 20'000; ++i) {
    unknown["f" + std::to_string(i)] = nullptr;
    items.push_back(1);
  }
  EXPECT_EQ(ParseArgocdUpdateConfig(unknown, parsed).size(), kMaxViolations + 1);
  json config = Config(kLabels, "{}");
  config["apps"][0]["selector"]["matchLabels"] = std::move(unknown);
  EXPECT_EQ(ParseArgocdUpdateConfig(config, parsed).back(),
            (Violation{"", "19000 more violations not shown"}));
  config["apps"] = std::move(items);
  EXPECT_THAT(ParseArgocdUpdateConfig(config, parsed),
              ElementsAre(Violation{"apps",
                                    "found a list of 20000 items, expected at most 1000 "
                                    "items"}));

  // As deep as it comes, at each place that is looked at.
  constexpr size_t kDepth = 100'000;
  const std::string deep = Repeat('[', kDepth) + Repeat(']', kDepth);
  for (const std::string_view frame : {kWhole, kEntry, kSelector, kLabels, kExpression, kSource,
                                       kKustomize, kKustomizeImage, kHelm, kHelmImage}) {
    EXPECT_EQ(ParseArgocdUpdateConfig(Config(frame, deep), parsed).size(), 1u) << frame;
  }
  EXPECT_EQ(ParseArgocdUpdateConfig(Config(kNamed, "\"x\": " + deep), parsed).size(), 1u);
  EXPECT_EQ(ParseArgocdUpdateConfig(
                Config(kExpression, R"({"key": "a", "operator": )" + deep + "}"), parsed)
                .size(),
            1u);
}

// Values that no JSON text holds, but a program may.
TEST(ArgocdUpdateConfigTest, HasAVerdictOnWhatJsonTextCannotSay) {
  ArgocdUpdateConfig parsed;
  const auto with_name = [](const json& name) { return json{{"apps", {{{"name", name}}}}}; };
  EXPECT_THAT(ParseArgocdUpdateConfig(with_name(std::numeric_limits<double>::quiet_NaN()), parsed),
              ElementsAre(Violation{"apps[0].name",
                                    "found the number NaN, expected a string of 1 to 253 "
                                    "characters: quote it in YAML"}));
  EXPECT_THAT(ParseArgocdUpdateConfig(with_name(json::binary({1})), parsed),
              ElementsAre(Violation{"apps[0].name",
                                    "found a value that JSON does not have, expected "
                                    "a string of 1 to 253 characters"}));
  EXPECT_THAT(ParseArgocdUpdateConfig(with_name("a\xff"), parsed),
              ElementsAre(Violation{"apps[0].name", R"(found "a\xff", which is not valid UTF-8, )"
                                                    "expected a string of 1 to 253 characters"}));
  EXPECT_THAT(ParseArgocdUpdateConfig({{"apps", {{{"name", "a"}}}}, {"\xff", 1}}, parsed),
              ElementsAre(Violation{R"(["\xff"])", "unknown field, expected apps"}));
  EXPECT_EQ(ParseArgocdUpdateConfig(json(json::value_t::discarded), parsed).size(), 1u);
}

// Every value of every type in the place of every value of a configuration that has all fields:
// a verdict, and what is accepted is accepted by the schema alone.
TEST(ArgocdUpdateConfigTest, NothingIsAcceptedThatTheSchemaRefuses) {
  const json full = json::parse(R"({"apps": [
      {"name": "a", "namespace": "n", "sources": [
        {"repoURL": "r", "chart": "c", "desiredRevision": "v", "updateTargetRevision": true,
         "kustomize": {"images": [{"repoURL": "i", "newName": "j", "tag": "t", "digest": ""}]},
         "helm": {"images": [{"key": "k", "value": "v"}]}}]},
      {"selector": {"matchLabels": {"a": "b"},
                    "matchExpressions": [{"key": "e", "operator": "In", "values": ["a"]}]}}]})");
  ArgocdUpdateConfig parsed;
  ASSERT_THAT(ParseArgocdUpdateConfig(full, parsed), IsEmpty());
  const std::vector<json> replacements = {nullptr,
                                          true,
                                          false,
                                          0,
                                          1.5,
                                          "",
                                          "a",
                                          "A b",
                                          "\n",
                                          std::string(5000, 'a'),
                                          "\u00e4",
                                          json::array(),
                                          json::array({nullptr}),
                                          json::array({"a"}),
                                          json::array({json::object()}),
                                          json::object(),
                                          json{{"a", "b"}},
                                          json{{"images", json::array()}}};
  size_t accepted = 0;
  size_t refused = 0;
  const json leaves = full.flatten();
  for (const auto& [pointer, leaf] : leaves.items()) {
    // Each value on the way to a leaf, too.
    for (json::json_pointer place(pointer); !place.empty(); place.pop_back()) {
      for (const json& replacement : replacements) {
        json config = full;
        config[place] = replacement;
        const std::vector<Violation> violations = ParseArgocdUpdateConfig(config, parsed);
        if (violations.empty()) {
          EXPECT_TRUE(SchemaAccepts(config)) << config;
          ++accepted;
        } else {
          ++refused;
        }
        std::set<std::pair<std::string, std::string>> distinct;
        for (const Violation& violation : violations) {
          EXPECT_TRUE(distinct.emplace(violation.field, violation.description).second)
              << violation.field << " twice in " << config;
        }
      }
    }
  }
  EXPECT_GT(accepted, 10u);
  EXPECT_GT(refused, 100u);
}

TEST(ArgocdUpdateConfigTest, TheSchemaIsFitForUsers) {
  const json schema = json::parse(ArgocdUpdateConfigSchema());
  EXPECT_EQ(schema.value("$schema", ""), "http://json-schema.org/draft-07/schema#");

  // Of a kind that valijson's std::regex can't fall over, and that a user understands.
  const std::set<std::string> known = {
      "$schema",   "title", "description",          "type",     "default",  "properties",
      "required",  "items", "additionalProperties", "minItems", "maxItems", "minLength",
      "maxLength", "enum"};
  size_t described = 0;
  const std::function<void(const json&, const std::string&)> visit = [&](const json& node,
                                                                         const std::string& place) {
    for (const auto& [keyword, value] : node.items()) {
      EXPECT_TRUE(known.contains(keyword)) << place << ": " << keyword;
    }
    EXPECT_FALSE(node.value("title", "").empty()) << place;
    EXPECT_FALSE(node.value("description", "").empty()) << place;
    ++described;
    const std::string type = node.at("type");
    if (type == "string") {
      EXPECT_TRUE(node.contains("maxLength") || node.contains("enum")) << place;
    } else if (type == "array") {
      EXPECT_TRUE(node.contains("maxItems")) << place;
      visit(node.at("items"), place + "[]");
    } else if (type == "object") {
      const json& others = node.at("additionalProperties");
      if (others.is_object()) {
        visit(others, place + ".*");
      } else {
        EXPECT_EQ(others, false) << place;
        for (const auto& [name, property] : node.at("properties").items()) {
          visit(property, place + "." + name);
        }
      }
    }
  };
  visit(schema, "");
  EXPECT_GT(described, 20u);
}

}  // namespace
}  // namespace gantry::steps
