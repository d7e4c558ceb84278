// SPDX-License-Identifier: Apache-2.0
//
// The parts of the simulator that are pure: selectors, patches, schemas, roles, tokens of lists.
#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "tests/simulator/http_server.h"
#include "tests/simulator/list_options.h"
#include "tests/simulator/objects.h"
#include "tests/simulator/patch.h"
#include "tests/simulator/rbac.h"
#include "tests/simulator/schema.h"
#include "tests/simulator/selectors.h"

namespace gantry::simulator {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

template <typename T>
std::string MessageOf(const Result<T>& result) {
  return result.ok() ? "" : result.error().body.value("message", "");
}

// ---- selectors ---------------------------------------------------------------------

struct SelectorCase {
  const char* name;
  const char* selector;
  StringMap labels;
  bool matches;
};

TEST(LabelSelectorTest, Matches) {
  const StringMap labels = {{"app", "web"}, {"n", "5"}, {"a.b/c", ""}};
  const SelectorCase cases[] = {{"Empty", "", labels, true},
                                {"Equal", "app=web", labels, true},
                                {"EqualTwice", "app == web , n=5", labels, true},
                                {"NotEqual", "app!=web", labels, false},
                                {"NotEqualOfWhatIsNotThere", "other!=web", labels, true},
                                {"In", "app in (api, web)", labels, true},
                                {"NotIn", "app notin (api,web)", labels, false},
                                {"NotInOfWhatIsNotThere", "other notin (a)", labels, true},
                                {"Exists", "a.b/c", labels, true},
                                {"ExistsNot", "!app", labels, false},
                                {"Greater", "n>4", labels, true},
                                {"NotGreater", "n>5", labels, false},
                                {"Less", "n<6", labels, true},
                                {"LessOfText", "app<6", labels, false},
                                {"EmptyValue", "a.b/c=", labels, true},
                                {"OneOfTwoDoesNot", "app=web,n=6", labels, false}};
  for (const SelectorCase& tested : cases) {
    SCOPED_TRACE(tested.name);
    const Result<LabelSelector> selector = LabelSelector::Parse(tested.selector);
    ASSERT_TRUE(selector.ok()) << MessageOf(selector);
    EXPECT_EQ(selector->Matches(tested.labels), tested.matches);
  }
}

TEST(LabelSelectorTest, RefusesWhatIsNone) {
  for (const char* text : {"=", "a==b==c", "a in b", "a in (b", "a in (b c)", "a,", ",a", "a>x",
                           "a=-b-", "-a", "a b", "!", "a=b)", "/a", "A_/a"}) {
    const Result<LabelSelector> selector = LabelSelector::Parse(text);
    EXPECT_FALSE(selector.ok()) << text;
    if (!selector.ok()) {
      EXPECT_EQ(selector.error().code, 400) << text;
    }
  }
}

TEST(FieldSelectorTest, MatchesWhatIsSupported) {
  const auto supported = [](const std::string& field) { return field != "spec.x"; };
  const StringMap fields = {{"metadata.name", "a"}};
  const std::pair<const char*, bool> cases[] = {
      {"metadata.name=a", true},       {"metadata.name==a", true}, {"metadata.name!=a", false},
      {"metadata.name=a,type=", true}, {"type!=Normal", true},     {"", true}};
  for (const auto& [text, matches] : cases) {
    const Result<FieldSelector> selector = FieldSelector::Parse(text, supported);
    ASSERT_TRUE(selector.ok()) << text;
    EXPECT_EQ(selector->Matches(fields), matches) << text;
  }
  EXPECT_EQ(MessageOf(FieldSelector::Parse("spec.x=1", supported)),
            "field label not supported: spec.x");
  EXPECT_THAT(MessageOf(FieldSelector::Parse("spec", supported)), HasSubstr("can't understand"));
}

// ---- patches -----------------------------------------------------------------------

TEST(PatchTest, MergesAsTheRfcSays) {
  const json object = json::parse(R"({"a": {"b": 1, "c": 2}, "l": [1, 2]})");
  const Result<json> patched =
      ApplyMergePatch(object, R"({"a": {"b": null, "d": {"e": null}}, "l": [3]})");
  ASSERT_TRUE(patched.ok());
  EXPECT_EQ(*patched, json::parse(R"({"a": {"c": 2, "d": {}}, "l": [3]})"));
  for (const char* none : {"{", "[]", "null", "5"}) {
    EXPECT_EQ(ApplyMergePatch(object, none).error().code, 400) << none;
  }
}

struct PatchCase {
  const char* name;
  const char* patch;
  const char* expected;  // null: refused
};

TEST(PatchTest, AppliesJsonPatches) {
  const json object = json::parse(R"({"a": {"b": 1}, "l": [1, 2]})");
  const PatchCase cases[] = {
      {"Add", R"([{"op":"add","path":"/a/c","value":2}])", R"({"a":{"b":1,"c":2},"l":[1,2]})"},
      {"AddWithoutParent", R"([{"op":"add","path":"/x/c","value":2}])", nullptr},
      {"Append", R"([{"op":"add","path":"/l/-","value":3}])", R"({"a":{"b":1},"l":[1,2,3]})"},
      {"AddAtTheEnd", R"([{"op":"add","path":"/l/2","value":3}])", R"({"a":{"b":1},"l":[1,2,3]})"},
      {"AddBeyondTheEnd", R"([{"op":"add","path":"/l/3","value":3}])", nullptr},
      {"AddAtNoIndex", R"([{"op":"add","path":"/l/x","value":3}])", nullptr},
      {"Remove", R"([{"op":"remove","path":"/l/0"}])", R"({"a":{"b":1},"l":[2]})"},
      {"RemoveNothing", R"([{"op":"remove","path":"/a/x"}])", nullptr},
      {"ReplaceNothing", R"([{"op":"replace","path":"/a/x","value":1}])",
       R"({"a":{"b":1,"x":1},"l":[1,2]})"},
      {"ReplaceBeyondTheEnd", R"([{"op":"replace","path":"/l/2","value":1}])", nullptr},
      {"Move", R"([{"op":"move","from":"/a/b","path":"/c"}])", R"({"a":{},"c":1,"l":[1,2]})"},
      {"MoveNothing", R"([{"op":"move","from":"/a/x","path":"/c"}])", nullptr},
      {"MoveIntoItself", R"([{"op":"move","from":"/a","path":"/a/c"}])", nullptr},
      {"CopyNothing", R"([{"op":"copy","from":"/a/x","path":"/c"}])",
       R"({"a":{"b":1},"c":null,"l":[1,2]})"},
      {"Test", R"([{"op":"test","path":"/a","value":{"b":1}}])", R"({"a":{"b":1},"l":[1,2]})"},
      {"TestFails", R"([{"op":"test","path":"/a/b","value":2}])", nullptr},
      {"TestOfNothingForNull", R"([{"op":"test","path":"/a/x","value":null}])",
       R"({"a":{"b":1},"l":[1,2]})"},
      {"NoPath", R"([{"op":"add","value":1}])", nullptr},
      {"WholeDocument", R"([{"op":"replace","path":"","value":1}])", nullptr},
      {"ThroughAScalar", R"([{"op":"add","path":"/a/b/c","value":1}])", nullptr},
      {"UnknownOperation", R"([{"op":"odd","path":"/a"}])", nullptr}};
  for (const PatchCase& tested : cases) {
    SCOPED_TRACE(tested.name);
    const Result<json> patched = ApplyJsonPatch(object, tested.patch);
    ASSERT_EQ(patched.ok(), tested.expected != nullptr) << MessageOf(patched);
    if (tested.expected != nullptr) {
      EXPECT_EQ(*patched, json::parse(tested.expected));
    } else {
      EXPECT_EQ(patched.error().code, 422);
    }
  }
  // These are none.
  for (const char* none : {"[1]", "{}", "5", "["}) {
    EXPECT_EQ(ApplyJsonPatch(object, none).error().code, 400) << none;
  }
}

// ---- schemas -----------------------------------------------------------------------

Schema TestSchema() {
  return Schema(json::parse(R"({
    "type": "object",
    "properties": {
      "spec": {
        "type": "object",
        "required": ["name"],
        "properties": {
          "name": {"type": "string", "maxLength": 5},
          "count": {"type": "integer", "minimum": 1, "default": 3},
          "ratio": {"type": "number"},
          "phase": {"type": "string", "enum": ["", "On"]},
          "time": {"type": "string", "format": "date-time", "nullable": true},
          "list": {"type": "array", "items": {"type": "object", "required": ["k"],
                   "properties": {"k": {"type": "string"}}}},
          "map": {"type": "object", "additionalProperties": {"type": "string"}},
          "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}})"));
}

TEST(SchemaTest, DropsUnknownFieldsAndNullsAndSetsDefaults) {
  json object = json::parse(R"({"apiVersion": "v", "metadata": {"x": null}, "extra": 1,
      "spec": {"name": null, "odd": 1, "time": null, "list": [{"k": "a", "o": 1}],
               "map": {"m": "a"}, "open": {"x": null, "y": {"z": 1}}}})");
  TestSchema().Normalize(object);
  EXPECT_EQ(object, json::parse(R"({"apiVersion": "v", "metadata": {"x": null},
      "spec": {"count": 3, "time": null, "list": [{"k": "a"}], "map": {"m": "a"},
               "open": {"x": null, "y": {"z": 1}}}})"));
}

TEST(SchemaTest, NamesEachFieldThatDoesNotFit) {
  const auto fields = [](const char* spec) {
    std::vector<std::string> texts;
    for (const Cause& cause : TestSchema().Validate({{"spec", json::parse(spec)}})) {
      texts.push_back(cause.field + ": " + cause.message);
    }
    return texts;
  };
  EXPECT_THAT(fields(R"({"name": "a", "ratio": 1, "time": "2024-01-01T00:00:00.5+01:00"})"),
              IsEmpty());
  EXPECT_THAT(fields("{}"), ElementsAre("spec.name: Required value"));
  EXPECT_THAT(fields("[]"), ElementsAre("spec: Invalid value: \"array\": spec in body must be of "
                                        "type object: \"array\""));
  EXPECT_THAT(
      fields(R"({"name": 1, "count": 0, "phase": "Off", "list": [{}], "map": {"m": 1}})"),
      ElementsAre("spec.count: Invalid value: 0: spec.count in body should be greater than or "
                  "equal to 1",
                  "spec.list[0].k: Required value",
                  "spec.map.m: Invalid value: \"integer\": spec.map.m in body must be of type "
                  "string: \"integer\"",
                  "spec.name: Invalid value: \"integer\": spec.name in body must be of type "
                  "string: \"integer\"",
                  "spec.phase: Unsupported value: \"Off\": supported values: \"\", \"On\""));
  EXPECT_THAT(fields(R"({"name": "a", "count": 1.5, "time": "now"})"),
              ElementsAre(HasSubstr("must be of type integer: \"number\""),
                          HasSubstr("must be of type date-time: \"now\"")));
}

// ---- roles -------------------------------------------------------------------------

class RbacTest : public ::testing::Test {
 protected:
  RbacTest() {
    rbac_.Put("Role", json::parse(R"({"metadata": {"namespace": "a", "name": "r"}, "rules": [
        {"apiGroups": ["g"], "resources": ["things", "others/status"], "verbs": ["get"]},
        {"apiGroups": ["g"], "resources": ["named"], "resourceNames": ["n"], "verbs": ["*"]}]})"));
    rbac_.Put("RoleBinding", json::parse(R"({"metadata": {"namespace": "a", "name": "b"},
        "roleRef": {"kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s"}]})"));
    rbac_.Put("ClusterRole", json::parse(R"({"metadata": {"name": "c"}, "rules": [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["list"]},
        {"nonResourceURLs": ["/api/*", "/x"], "verbs": ["get"]}]})"));
    rbac_.Put("ClusterRoleBinding", json::parse(R"({"metadata": {"name": "cb"},
        "roleRef": {"kind": "ClusterRole", "name": "c"},
        "subjects": [{"kind": "Group", "name": "team"}]})"));
  }

  bool May(const std::string& user, const Attributes& attributes) const {
    return rbac_.Decide({user, "", {}}, attributes).allowed;
  }

  Rbac rbac_;
};

TEST_F(RbacTest, ABindingGrantsInItsNamespaceWhatTheRoleSays) {
  EXPECT_TRUE(May("u", {"get", "g", "things", "", "a", "x", ""}));
  EXPECT_FALSE(May("u", {"get", "g", "things", "", "b", "x", ""}));
  EXPECT_FALSE(May("u", {"get", "g", "things", "", "", "x", ""}));
  EXPECT_FALSE(May("u", {"list", "g", "things", "", "a", "", ""}));
  EXPECT_FALSE(May("u", {"get", "h", "things", "", "a", "x", ""}));
  EXPECT_FALSE(May("u", {"get", "g", "things", "status", "a", "x", ""}));
  EXPECT_TRUE(May("u", {"get", "g", "others", "status", "a", "x", ""}));
  EXPECT_FALSE(May("u", {"get", "g", "others", "", "a", "x", ""}));
  EXPECT_TRUE(May("u", {"delete", "g", "named", "", "a", "n", ""}));
  EXPECT_FALSE(May("u", {"delete", "g", "named", "", "a", "m", ""}));
  EXPECT_FALSE(May("v", {"get", "g", "things", "", "a", "x", ""}));
  EXPECT_TRUE(May("system:serviceaccount:a:s", {"get", "g", "things", "", "a", "x", ""}));
  EXPECT_FALSE(May("system:serviceaccount:b:s", {"get", "g", "things", "", "a", "x", ""}));
}

TEST_F(RbacTest, AClustersBindingGrantsEverywhereAndPaths) {
  const User member{"m", "", {"team"}};
  EXPECT_TRUE(rbac_.Decide(member, {"list", "any", "any", "", "", "", ""}).allowed);
  EXPECT_TRUE(rbac_.Decide(member, {"get", "", "", "", "", "", "/api/v1"}).allowed);
  EXPECT_FALSE(rbac_.Decide(member, {"get", "", "", "", "", "", "/apis"}).allowed);
  EXPECT_EQ(rbac_.Decide(member, {"get", "", "", "", "", "", "/x"}).reason,
            "RBAC: allowed by ClusterRoleBinding \"cb\" of ClusterRole \"c\" to Group \"team\"");
}

TEST_F(RbacTest, MastersMayAllAndWhatIsRemovedGrantsNothing) {
  EXPECT_TRUE(rbac_.Decide({"x", "", {"system:masters"}}, {"any", "", "", "", "", "", ""}).allowed);
  rbac_.Remove("RoleBinding", "a", "b");
  EXPECT_FALSE(May("u", {"get", "g", "things", "", "a", "x", ""}));
}

// ---- the rest ----------------------------------------------------------------------

TEST(ContinueTokenTest, ComesBackAsItWas) {
  const Result<ContinueToken> token =
      ContinueToken::Decode(ContinueToken{17, "ns", "name"}.Encode(false), "");
  ASSERT_TRUE(token.ok());
  EXPECT_EQ(token->resource_version, 17u);
  EXPECT_EQ(token->ns, "ns");
  EXPECT_EQ(token->name, "name");
  const Result<ContinueToken> now =
      ContinueToken::Decode(ContinueToken{std::nullopt, "ns", "name"}.Encode(true), "ns");
  ASSERT_TRUE(now.ok());
  EXPECT_FALSE(now->resource_version);
  EXPECT_EQ(now->ns, "ns");
  for (const char* text : {"", "!", "abc", "e30", "W10"}) {
    EXPECT_FALSE(ContinueToken::Decode(text, "ns").ok()) << text;
  }
}

TEST(QueryTest, IsDecoded) {
  EXPECT_THAT(QueryParameters("a=1&b=x%20y+z&c&=d&&e=%zz%"),
              ElementsAre(Pair("a", "1"), Pair("b", "x y z"), Pair("c", ""), Pair("", "d"),
                          Pair("e", "%zz%")));
}

TEST(YamlTest, ScalarsHaveTheirTypes) {
  const auto documents = ParseYaml("a: 1\nb: \"1\"\nc: true\nd: ~\ne: 1.5\nf: text\n---\n[x]\n");
  ASSERT_TRUE(documents.ok());
  EXPECT_THAT(*documents, ElementsAre(json::parse(R"({"a": 1, "b": "1", "c": true, "d": null,
                                          "e": 1.5, "f": "text"})"),
                                      json::parse(R"(["x"])")));
  EXPECT_FALSE(ParseYaml("a: [").ok());
}

TEST(DepthTest, LevelsAreCountedOutsideOfTexts) {
  const std::string most(kMaxDepth, '[');
  const struct {
    const char* name;
    std::string text;
    bool too_deep;
  } cases[] = {
      {"Empty", "", false},
      {"AsManyAsAllowed", most + std::string(kMaxDepth, ']'), false},
      {"OneMore", "{\"a\":" + most, true},
      {"SideBySide", most + std::string(kMaxDepth, ']') + most, false},
      {"InAText", "[\"" + most + "\\\"" + most + "\"]", false},
      {"BehindAText", "[\"\\\\\"," + most, true},
      {"ClosedTooOften", "]]]" + most + "[", true},
  };
  for (const auto& tested : cases) {
    EXPECT_EQ(NestsTooDeep(tested.text), tested.too_deep) << tested.name;
  }
  EXPECT_EQ(DepthOf(json::parse("1")), 0u);
  EXPECT_EQ(DepthOf(json::parse("{}")), 1u);
  EXPECT_EQ(DepthOf(json::parse(R"({"a": [1, {"b": []}], "c": 1})")), 4u);
}

TEST(DepthTest, APatchCannotBuildWhatABodyCouldNotHave) {
  const json object = {
      {"a", json::parse(std::string(kMaxDepth - 1, '[') + std::string(kMaxDepth - 1, ']'))},
      {"b", json::object()}};
  EXPECT_TRUE(ApplyJsonPatch(object, R"([{"op": "copy", "from": "/a", "path": "/c"}])").ok());
  for (const char* patch : {R"([{"op": "copy", "from": "/a", "path": "/b/c"}])",
                            R"([{"op": "move", "from": "/a", "path": "/b/c"}])",
                            R"([{"op": "replace", "path": "/a/0", "value": [[]]},
                                {"op": "copy", "from": "/a", "path": "/a/0"},
                                {"op": "copy", "from": "/a", "path": "/b/c"},
                                {"op": "copy", "from": "/b", "path": "/a/0/-"},
                                {"op": "move", "from": "/nothing", "path": "/b"}])"}) {
    EXPECT_FALSE(ApplyJsonPatch(object, patch).ok()) << patch;
  }
}

}  // namespace
}  // namespace gantry::simulator
