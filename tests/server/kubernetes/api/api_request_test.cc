// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/api/api_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/kubernetes/api/error.h"

namespace gantry::kubernetes {
namespace {

using ::testing::HasSubstr;

constexpr Resource kApplications = {"argoproj.io", "v1alpha1", "applications"};
constexpr Resource kEvents = {"", "v1", "events"};

ApiTarget Target(Verb verb, const Resource& resource, std::string_view ns, std::string_view name) {
  ApiTarget target;
  target.verb = verb;
  target.resource = resource;
  target.ns = ns;
  target.name = name;
  return target;
}

TEST(BuildPathTest, SpellsTheApisPaths) {
  EXPECT_EQ(*BuildPath(Target(Verb::kGet, kApplications, "argocd", "guestbook")),
            "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/guestbook");
  EXPECT_EQ(*BuildPath(Target(Verb::kCreate, kEvents, "argocd", "")),
            "/api/v1/namespaces/argocd/events");
  EXPECT_EQ(*BuildPath(Target(Verb::kList, kApplications, "", "")),
            "/apis/argoproj.io/v1alpha1/applications");
  EXPECT_EQ(*BuildPath(Target(Verb::kWatch, kApplications, "argocd", "")),
            "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications");
}

TEST(BuildPathTest, TheNameToCreateIsNotPartOfThePath) {
  EXPECT_EQ(*BuildPath(Target(Verb::kCreate, kEvents, "argocd", "guestbook.1")),
            "/api/v1/namespaces/argocd/events");
}

TEST(BuildPathTest, AResourceWithoutNamespacesHasNone) {
  ApiTarget target = Target(Verb::kCreate, {"authentication.k8s.io", "v1", "tokenreviews"}, "", "");
  target.namespaced = false;
  EXPECT_EQ(*BuildPath(target), "/apis/authentication.k8s.io/v1/tokenreviews");
  EXPECT_EQ(Describe(target), "create tokenreviews.authentication.k8s.io");
}

TEST(BuildPathTest, ASubresourceComesLast) {
  ApiTarget target = Target(Verb::kPatch, kApplications, "argocd", "guestbook");
  target.subresource = "status";
  EXPECT_EQ(*BuildPath(target),
            "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/guestbook/status");
}

TEST(BuildPathTest, EverythingIsPercentEncoded) {
  EXPECT_EQ(*BuildPath(Target(Verb::kGet, kEvents, "a b", "x?y#z\xc3\xa9")),
            "/api/v1/namespaces/a%20b/events/x%3Fy%23z%C3%A9");
  ApiTarget list = Target(Verb::kList, kEvents, "argocd", "");
  list.query = {{"labelSelector", "a in (b,c),d!=e"}, {"continue", "x+/="}};
  EXPECT_EQ(*BuildPath(list),
            "/api/v1/namespaces/argocd/events?labelSelector=a%20in%20%28b%2Cc%29%2Cd%21%3De"
            "&continue=x%2B%2F%3D");
}

struct RefusedCase {
  const char* name;
  Verb verb;
  std::string ns;
  std::string object;
  std::string reason;
};

class RefusedPathTest : public ::testing::TestWithParam<RefusedCase> {};

TEST_P(RefusedPathTest, IsRefused) {
  const auto path =
      BuildPath(Target(GetParam().verb, kApplications, GetParam().ns, GetParam().object));
  ASSERT_FALSE(path.ok()) << *path;
  EXPECT_EQ(KindOf(path.status()), ErrorKind::kRefused);
  EXPECT_TRUE(CertainlyNotWritten(path.status()));
  EXPECT_THAT(std::string(path.status().message()), HasSubstr(GetParam().reason));
}

INSTANTIATE_TEST_SUITE_P(
    All, RefusedPathTest,
    ::testing::ValuesIn(std::vector<RefusedCase>{
        {"EmptyName", Verb::kGet, "argocd", "", "the name \"\" is empty"},
        {"EmptyNamespace", Verb::kGet, "", "guestbook", "the namespace \"\" is empty"},
        {"EmptyNamespaceToCreateIn", Verb::kCreate, "", "", "the namespace \"\" is empty"},
        {"ThisFolder", Verb::kDelete, "argocd", ".", "is a relative path"},
        {"ParentFolder", Verb::kPatch, "argocd", "..", "is a relative path"},
        {"Slash", Verb::kPatch, "argocd", "a/status", "contains '/'"},
        {"Percent", Verb::kPatch, "argocd", "a%2fb", "contains '%'"},
        {"NamespaceWithSlash", Verb::kList, "../secrets", "", "contains '/'"},
        {"NamespaceThatIsAParent", Verb::kWatch, "..", "", "is a relative path"},
        {"NamespaceWithPercent", Verb::kCreate, "%2e", "", "contains '%'"},
    }),
    [](const auto& test) { return test.param.name; });

TEST(DescribeTest, NamesVerbResourceAndObject) {
  EXPECT_EQ(Describe(Target(Verb::kPatch, kApplications, "argocd", "guestbook")),
            "patch applications.argoproj.io argocd/guestbook");
  EXPECT_EQ(Describe(Target(Verb::kList, kApplications, "argocd", "")),
            "list applications.argoproj.io in namespace argocd");
  EXPECT_EQ(Describe(Target(Verb::kList, kEvents, "", "")), "list events in all namespaces");
  EXPECT_EQ(Describe(Target(Verb::kGet, kEvents, "argocd", "a\nb")), "get events argocd/a\\nb");
  ApiTarget status = Target(Verb::kPatch, kApplications, "argocd", "guestbook");
  status.subresource = "status";
  EXPECT_EQ(Describe(status), "patch applications.argoproj.io/status argocd/guestbook");
}

TEST(VerbTest, EachHasItsMethod) {
  const std::vector<std::tuple<Verb, std::string, std::string, bool>> expected = {
      {Verb::kGet, "get", "GET", true},           {Verb::kList, "list", "GET", true},
      {Verb::kWatch, "watch", "GET", true},       {Verb::kCreate, "create", "POST", false},
      {Verb::kUpdate, "update", "PUT", false},    {Verb::kPatch, "patch", "PATCH", false},
      {Verb::kDelete, "delete", "DELETE", false},
  };
  for (const auto& [verb, name, method, is_read] : expected) {
    EXPECT_EQ(VerbName(verb), name);
    EXPECT_EQ(MethodOf(verb), method);
    EXPECT_EQ(IsRead(verb), is_read);
  }
}

}  // namespace
}  // namespace gantry::kubernetes
