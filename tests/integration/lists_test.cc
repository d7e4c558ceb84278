// SPDX-License-Identifier: Apache-2.0
//
// How a server's caches are filled: by streamed lists, and by lists in pages where the API server
// has the feature gate WatchList off. Which of the two is expected depends on how the API server
// was started, so all of this has to be run with both.
#include <chrono>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/integration/integration_test.h"

namespace gantry::integration {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

class ListsTest : public IntegrationTest {
 protected:
  static void AwaitReady(Replica& gantry) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    std::pair<int, std::string> answer = gantry.server->Admin("/readyz");
    while (answer.first != 200) {
      if (std::chrono::steady_clock::now() > deadline) GiveUp("not ready: " + answer.second);
      answer = gantry.server->Admin("/readyz");
    }
  }

  // What was asked of all objects of a resource in a namespace, in the order in which it came.
  static std::vector<Exchange> Asked(Replica& gantry, const std::string& ns,
                                     const std::string& plural) {
    std::vector<Exchange> asked = gantry.proxy.Exchanges(
        {.method = "GET", .target = absl::StrCat("/namespaces/", ns, "/", plural, "\\?")});
    for (const Exchange& exchange : asked) {
      EXPECT_EQ(exchange.target.find("labelSelector="), std::string::npos) << exchange.target;
    }
    return asked;
  }

  // A watch that goes on from a version.
  static RequestPattern WatchOf(const std::string& ns, const std::string& plural) {
    return {.method = "GET",
            .target = absl::StrCat("/namespaces/", ns, "/", plural,
                                   "\\?watch=true&.*&resourceVersion=[0-9]+$")};
  }

  // Checks how the caches of a server that is ready were filled.
  static void ExpectFilled(Replica& gantry, const std::string& ns, const std::string& plural) {
    SCOPED_TRACE(plural);
    if (!StreamsLists()) gantry.proxy.AwaitAnswers(WatchOf(ns, plural), 1);
    const std::vector<Exchange> asked = Asked(gantry, ns, plural);
    ASSERT_THAT(asked, Not(IsEmpty()));
    EXPECT_THAT(asked[0].target, HasSubstr("watch=true"));
    EXPECT_THAT(asked[0].target, HasSubstr("sendInitialEvents=true"));
    EXPECT_THAT(asked[0].target, HasSubstr("resourceVersionMatch=NotOlderThan"));
    const std::string fallen_back = absl::StrCat(
        "gantry_watch_restarts_total{reason=\"not_streamed\",resource=\"", plural, "\"} 1");
    const std::string metrics = gantry.server->Admin("/metrics").second;
    if (StreamsLists()) {
      // The same watch goes on.
      EXPECT_THAT(asked, SizeIs(1));
      EXPECT_EQ(asked[0].status, 200);
      EXPECT_THAT(metrics, Not(HasSubstr("not_streamed")));
      return;
    }
    EXPECT_EQ(asked[0].status, 422);
    ASSERT_THAT(asked, SizeIs(3));
    EXPECT_THAT(asked[1].target, HasSubstr("limit=500"));
    EXPECT_EQ(asked[1].status, 200);
    EXPECT_EQ(asked[2].status, 200);
    EXPECT_THAT(metrics, HasSubstr(fallen_back));
  }
};

TEST_F(ListsTest, CachesAreFilledByStreamedListsOrByListsWhereThereAreNone) {
  const std::string app = CreateApplication();
  Replica gantry;
  AwaitReady(gantry);
  ExpectFilled(gantry, "argocd", "applications");
  ExpectFilled(gantry, "gantry-system", "stagehealths");
  // It has what was there, and what comes.
  const v1::RunStepRequest request = Request(UpdateTo(app));
  EXPECT_TRUE(
      Is(gantry.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  ArgoCd(api_, app).Work();
  EXPECT_TRUE(Is(gantry.RunStep(request), v1::STEP_STATUS_SUCCEEDED));
}

// All that comes of its streamed list is the bookmark.
TEST_F(ListsTest, ANamespaceWithoutApplicationsIsReadToItsEndToo) {
  const std::string ns = UniqueName("empty");
  api_.Create("/api/v1/namespaces", {{"metadata", {{"name", ns}}}});
  const std::string bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/";
  json binding = api_.Get(bindings + "argocd/rolebindings/gantry-applications");
  binding["metadata"] = {{"name", "gantry-applications"}, {"namespace", ns}};
  api_.Create(bindings + ns + "/rolebindings", binding);
  // The authorizer follows the bindings by a watch.
  const json review = {{"spec",
                        {{"user", "system:serviceaccount:gantry-system:gantry"},
                         {"resourceAttributes",
                          {{"verb", "watch"},
                           {"group", "argoproj.io"},
                           {"resource", "applications"},
                           {"namespace", ns}}}}}};
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!api_.Create("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
              .at("status")
              .at("allowed")) {
    if (std::chrono::steady_clock::now() > deadline) GiveUp("Gantry may not watch " + ns);
  }

  Replica gantry({absl::StrCat("--watch-namespaces=", ns)});
  AwaitReady(gantry);
  ExpectFilled(gantry, ns, "applications");
}

TEST_F(ListsTest, AWatchThatIsLostGoesOnFromTheEndOfItsList) {
  Replica gantry;
  AwaitReady(gantry);
  const RequestPattern watch = WatchOf("argocd", "applications");
  const std::size_t before = gantry.proxy.Exchanges(watch).size();
  gantry.proxy.CutConnections();
  gantry.proxy.AwaitAnswers(watch, before + 1);
  for (const Exchange& exchange : gantry.proxy.Exchanges(watch)) {
    EXPECT_EQ(exchange.status, 200) << exchange.target;
  }
  // No list was made again, of either kind.
  EXPECT_THAT(Asked(gantry, "argocd", "applications"), SizeIs(StreamsLists() ? 2 : before + 3));
  const std::string app = CreateApplication();
  EXPECT_TRUE(Is(gantry.RunStep(Request(UpdateTo(app))), v1::STEP_STATUS_RUNNING,
                 v1::STEP_REASON_OPERATION_RUNNING));
}

}  // namespace
}  // namespace gantry::integration
