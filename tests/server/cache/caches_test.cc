// SPDX-License-Identifier: Apache-2.0
#include "server/cache/caches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/fake_clock.h"
#include "tests/fakes/watched_caches.h"

namespace gantry::cache {
namespace {

using nlohmann::json;
using testing::WatchedCaches;

json ApplicationJson(const std::string& ns) {
  return {{"metadata",
           {{"namespace", ns}, {"name", "web"}, {"uid", ns + "-web"}, {"resourceVersion", "1"}}}};
}

TEST(CachesTest, EachNamespaceIsASourceOfItsOwn) {
  testing::FakeClock clock;
  const Caches caches({"argocd", "team-a"}, absl::Seconds(60), clock);
  EXPECT_EQ(caches.freshness.all().size(), 3U);
  ASSERT_TRUE(caches.SourceOf("argocd").has_value());
  ASSERT_TRUE(caches.SourceOf("team-a").has_value());
  EXPECT_NE(caches.SourceOf("argocd"), caches.SourceOf("team-a"));
  EXPECT_NE(caches.SourceOf("argocd"), caches.stage_source());
  EXPECT_EQ(caches.SourceOf("elsewhere"), std::nullopt);
  EXPECT_FALSE(caches.IsFresh("elsewhere"));
}

TEST(CachesTest, AllNamespacesAreOneSource) {
  testing::FakeClock clock;
  const Caches caches({}, absl::Seconds(60), clock);
  EXPECT_EQ(caches.freshness.all().size(), 2U);
  EXPECT_EQ(caches.SourceOf("argocd"), caches.SourceOf("anything"));
}

TEST(CachesTest, FindsOnlyWhatIsSyncedAndFresh) {
  testing::FakeClock clock;
  WatchedCaches watches({"argocd", "team-a"}, clock);
  Caches& caches = watches.caches;
  for (const char* ns : {"argocd", "team-a"}) watches.PutApplication(ApplicationJson(ns));
  watches.PutStage({{"metadata", {{"name", "shop.prod"}, {"uid", "s"}, {"resourceVersion", "2"}}}});
  const StageName stage{"shop", "prod"};
  watches.UpToDate();
  EXPECT_EQ(caches.FindFresh(argocd::ApplicationName{"argocd", "web"}), nullptr);  // not synced
  EXPECT_EQ(caches.FindFresh(stage), nullptr);
  watches.SinkOf("argocd").EndList("");
  EXPECT_NE(caches.FindFresh(argocd::ApplicationName{"argocd", "web"}), nullptr);
  EXPECT_EQ(caches.FindFresh(argocd::ApplicationName{"team-a", "web"}), nullptr);
  watches.Sync();
  EXPECT_NE(caches.FindFresh(argocd::ApplicationName{"team-a", "web"}), nullptr);
  EXPECT_NE(caches.FindFresh(stage), nullptr);
  EXPECT_EQ(caches.FindFresh(StageName{"shop", "test"}), nullptr);

  clock.Advance(WatchedCaches::kLimit + absl::Seconds(1));
  watches.SinkOf("team-a").UpToDate(clock.SinceBoot());
  EXPECT_EQ(caches.FindFresh(argocd::ApplicationName{"argocd", "web"}), nullptr);  // stale
  EXPECT_NE(caches.FindFresh(argocd::ApplicationName{"team-a", "web"}), nullptr);
  EXPECT_EQ(caches.FindFresh(stage), nullptr);
  EXPECT_NE(caches.applications.Find({"argocd", "web"}), nullptr);
}

}  // namespace
}  // namespace gantry::cache
