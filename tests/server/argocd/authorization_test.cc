// SPDX-License-Identifier: Apache-2.0
#include "server/argocd/authorization.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::argocd {
namespace {

using ::testing::HasSubstr;

struct Case {
  const char* name;
  std::optional<std::string> annotation;
  bool authorized;
  const char* reason = "";  // a part of it
};

class AuthorizesTest : public ::testing::TestWithParam<Case> {};

TEST_P(AuthorizesTest, ByTheAnnotation) {
  Application application;
  if (GetParam().annotation) {
    application.authorized_stage = base::InternedString(*GetParam().annotation);
  }
  const Authorization result = Authorizes(application, "shop", "prod");
  EXPECT_EQ(result.authorized, GetParam().authorized) << result.reason;
  EXPECT_THAT(result.reason, HasSubstr(GetParam().reason));
  EXPECT_EQ(result.reason.empty(), result.authorized);
}

INSTANTIATE_TEST_SUITE_P(
    Annotations, AuthorizesTest,
    ::testing::Values(
        Case{"Absent", std::nullopt, false, "has no annotation"},
        Case{"Empty", "", false, "does not name shop:prod"}, Case{"Exact", "shop:prod", true},
        Case{"SecondOfTwo", "shop:test,shop:prod", true},
        Case{"BlanksAroundEntries", "  shop:test ,\t shop:prod \n", true},
        Case{"BlanksAroundHalves", "shop : prod", true},
        Case{"EmptyEntries", ",, shop:prod ,,", true},
        Case{"OnlyCommas", " , ,", false, "does not name shop:prod"},
        Case{"OtherStage", "shop:test", false, "is \"shop:test\" and does not name shop:prod"},
        Case{"OtherProject", "bank:prod", false, "does not name shop:prod"},
        Case{"Prefix", "shop:production", false, "does not name"},
        Case{"OtherCase", "Shop:Prod", false, "does not name"},
        Case{"InnerBlank", "shop:pr od", false, "does not name"},
        Case{"SecondColonBelongsToTheStage", "shop:prod:x", false, "does not name"},
        Case{"NoColon", "shop", false, "malformed entry \"shop\""},
        Case{"NoStage", "shop:", false, "malformed entry \"shop:\""},
        Case{"NoProject", ":prod", false, "malformed entry \":prod\""},
        Case{"OnlyColon", " : ", false, "malformed entry \":\""},
        Case{"WildcardStage", "shop:*", false, "malformed entry \"shop:*\""},
        Case{"WildcardProject", "*:prod", false, "malformed entry \"*:prod\""},
        Case{"WildcardInside", "shop:pr*d", false, "malformed entry \"shop:pr*d\""},
        Case{"MalformedAfterAMatch", "shop:prod,shop", false, "malformed entry \"shop\""},
        Case{"MalformedBeforeAMatch", "*, shop:prod", false, "malformed entry \"*\""},
        Case{"ControlCharactersAreEscaped", "shop\n\x01", false, "\"shop\\n\\x01\""}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace gantry::argocd
