// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd_standin/reconcile.h"

#include <gtest/gtest.h>

namespace gantry::argocd_standin {
namespace {

using nlohmann::json;

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);
constexpr absl::Duration kSync = absl::Seconds(3);

json Application() {
  return {{"metadata",
           {{"name", "web"},
            {"resourceVersion", "7"},
            {"annotations", {{"argocd.argoproj.io/refresh", "hard"}}}}},
          {"spec", {{"source", {{"repoURL", "r"}, {"targetRevision", "v2"}}}}},
          {"operation", {{"sync", json::object()}}}};
}

json Apply(json application, const json& patch) {
  application.merge_patch(patch);
  return application;
}

TEST(NextPatchTest, NothingToDoWithoutAnOperation) {
  json application = Application();
  application.erase("operation");
  EXPECT_FALSE(NextPatch(application, kNow, kSync));
  application["operation"] = nullptr;
  EXPECT_FALSE(NextPatch(application, kNow, kSync));
}

TEST(NextPatchTest, TakesUpAnOperationThenWaitsThenCompletesIt) {
  const auto taken = NextPatch(Application(), kNow, kSync);
  ASSERT_TRUE(taken);
  EXPECT_EQ((*taken)["metadata"]["resourceVersion"], "7");
  const json running = Apply(Application(), *taken);
  EXPECT_EQ(running["status"]["operationState"]["phase"], "Running");
  EXPECT_TRUE(running.contains("operation"));

  EXPECT_FALSE(NextPatch(running, kNow + absl::Seconds(2), kSync));

  const auto completed = NextPatch(running, kNow + kSync, kSync);
  ASSERT_TRUE(completed);
  const json done = Apply(running, *completed);
  EXPECT_FALSE(done.contains("operation"));
  EXPECT_FALSE(done["metadata"]["annotations"].contains("argocd.argoproj.io/refresh"));
  EXPECT_EQ(done["status"]["operationState"]["phase"], "Succeeded");
  EXPECT_EQ(done["status"]["operationState"]["operation"], Application()["operation"]);
  EXPECT_EQ(done["status"]["operationState"]["syncResult"]["revision"], ResolveRevision("v2"));
  EXPECT_EQ(done["status"]["operationState"]["syncResult"]["source"]["targetRevision"], "v2");
  EXPECT_EQ(done["status"]["sync"]["status"], "Synced");
  EXPECT_FALSE(NextPatch(done, kNow + kSync, kSync));
}

TEST(NextPatchTest, DoesNotTakeTheStateOfAnEarlierOperationForThisOne) {
  json application = Application();
  application["status"]["operationState"] = {{"phase", "Running"},
                                             {"startedAt", "2020-01-01T00:00:00Z"},
                                             {"operation", {{"sync", {{"prune", true}}}}}};
  const auto patch = NextPatch(application, kNow, kSync);
  ASSERT_TRUE(patch);
  EXPECT_EQ((*patch)["status"]["operationState"]["phase"], "Running");
}

TEST(NextPatchTest, SeveralSourcesHaveSeveralRevisions) {
  json application = Application();
  application["spec"] = {{"sources",
                          {{{"repoURL", "r"}, {"targetRevision", "v2"}},
                           {{"repoURL", "c"}, {"chart", "c"}, {"targetRevision", "1.2.3"}}}}};
  application["status"]["operationState"] = {{"phase", "Running"},
                                             {"startedAt", "2020-01-01T00:00:00Z"},
                                             {"operation", application["operation"]}};
  const auto patch = NextPatch(application, kNow, kSync);
  ASSERT_TRUE(patch);
  EXPECT_EQ((*patch)["status"]["operationState"]["syncResult"]["revisions"],
            json({ResolveRevision("v2"), "1.2.3"}));
}

TEST(ResolveRevisionTest, ACommitIsItselfAndANameAlwaysTheSameCommit) {
  const std::string commit(40, 'a');
  EXPECT_EQ(ResolveRevision(commit), commit);
  EXPECT_EQ(ResolveRevision("v2").size(), 40U);
  EXPECT_EQ(ResolveRevision("v2"), ResolveRevision("v2"));
  EXPECT_NE(ResolveRevision("v2"), ResolveRevision("v3"));
  EXPECT_EQ(ResolveRevision("").size(), 40U);
}

}  // namespace
}  // namespace gantry::argocd_standin
