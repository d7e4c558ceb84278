// SPDX-License-Identifier: Apache-2.0
#include "server/cache/application_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "tests/fakes/fake_clock.h"
#include "tests/fakes/watched_caches.h"

namespace gantry::cache {
namespace {

using kubernetes::EventType;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::WatchedCaches;

const argocd::ApplicationName kWeb = {"argocd", "web"};

json Application(const std::string& version = "7") {
  return {{"metadata",
           {{"namespace", "argocd"},
            {"name", "web"},
            {"uid", "u1"},
            {"resourceVersion", version},
            {"labels", {{"team", "shop"}}}}},
          {"status", {{"health", {{"status", "Healthy"}}}}}};
}

class ApplicationSinkTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::string> Put(const json& object) {
    return sink_.Put(EventType::kAdded, WatchedCaches::Text(object).padded());
  }
  absl::StatusOr<std::string> Delete(const json& object) {
    return sink_.Delete(WatchedCaches::Text(object).padded());
  }

  testing::FakeClock clock_;
  ApplicationCache cache_{clock_};
  Freshness freshness_{absl::Seconds(60), clock_};
  ApplicationSink sink_{cache_, freshness_, freshness_.AddSource("applications", "x"), "argocd"};
};

TEST_F(ApplicationSinkTest, KeepsWhatTheWatchBringsAndTellsItsVersion) {
  const auto version = Put(Application());
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(*version, "7");
  ASSERT_NE(cache_.Find(kWeb), nullptr);
  EXPECT_EQ(cache_.Find(kWeb)->health_status, "Healthy");
  EXPECT_EQ(cache_.Find(kWeb)->problem, "");
  const auto deleted = Delete(Application("9"));
  ASSERT_TRUE(deleted.ok()) << deleted.status();
  EXPECT_EQ(*deleted, "9");
  EXPECT_EQ(cache_.Find(kWeb), nullptr);
}

TEST_F(ApplicationSinkTest, AnObjectThatIsNotUnderstoodIsKeptWithItsProblem) {
  json object = Application();
  object["status"]["health"] = json::array();
  ASSERT_TRUE(Put(object).ok());
  ASSERT_NE(cache_.Find(kWeb), nullptr);
  EXPECT_THAT(cache_.Find(kWeb)->problem, HasSubstr("health"));
  ASSERT_TRUE(Put(Application("8")).ok());
  EXPECT_EQ(cache_.Find(kWeb)->problem, "");
}

TEST_F(ApplicationSinkTest, AnObjectWithoutMetadataEndsTheStream) {
  struct Case {
    const char* name;
    json object;
  };
  json no_name = Application();
  no_name["metadata"].erase("name");
  json no_namespace = Application();
  no_namespace["metadata"]["namespace"] = nullptr;
  json no_version = Application();
  no_version["metadata"]["resourceVersion"] = 7;
  for (const Case& c : {Case{"an array", json::array()}, Case{"null", nullptr},
                        Case{"empty", json::object()}, Case{"no name", no_name},
                        Case{"no namespace", no_namespace}, Case{"no version", no_version}}) {
    EXPECT_FALSE(Put(c.object).ok()) << c.name;
    EXPECT_FALSE(Delete(c.object).ok()) << c.name;
  }
  const kubernetes::JsonText broken(R"({"metadata": {"namespace)");
  EXPECT_FALSE(sink_.Put(EventType::kAdded, broken.padded()).ok());
  EXPECT_EQ(cache_.size(), 0U);
}

TEST_F(ApplicationSinkTest, AListDeletesInItsNamespaceOnly) {
  json elsewhere = Application();
  elsewhere["metadata"]["namespace"] = "team-a";
  ASSERT_TRUE(Put(Application()).ok());
  ASSERT_TRUE(Put(elsewhere).ok());  // as another watch would
  sink_.BeginList();
  EXPECT_FALSE(freshness_.AllSynced());
  sink_.EndList("");
  EXPECT_TRUE(freshness_.AllSynced());
  EXPECT_EQ(cache_.Find(kWeb), nullptr);
  EXPECT_NE(cache_.Find({"team-a", "web"}), nullptr);
}

TEST_F(ApplicationSinkTest, AListOfAllNamespacesDeletesInAll) {
  ApplicationSink all(cache_, freshness_, 0, "");
  ASSERT_TRUE(Put(Application()).ok());
  all.BeginList();
  all.EndList("");
  EXPECT_EQ(cache_.size(), 0U);
}

TEST_F(ApplicationSinkTest, IsUpToDateAsTheWatchSays) {
  EXPECT_TRUE(freshness_.ReadAll().stale);
  sink_.UpToDate(clock_.SinceBoot());
  EXPECT_FALSE(freshness_.ReadAll().stale);
}

TEST_F(ApplicationSinkTest, OnlyWhatSomebodyReadsIsAChange) {
  ASSERT_TRUE(Put(Application()).ok());
  std::vector<std::string> told;
  cache_.SetListener([&](const argocd::ApplicationName& name) { told.push_back(name.name); });
  json object = Application("8");
  object["status"]["resources"] = json::array({{{"kind", "Service"}}});
  object["metadata"]["managedFields"] = json::array({1, 2});
  ASSERT_TRUE(Put(object).ok());
  EXPECT_THAT(told, ElementsAre());
  EXPECT_EQ(cache_.Find(kWeb)->resource_version, "8");
  object["status"]["health"]["status"] = "Degraded";
  object["metadata"]["resourceVersion"] = "9";
  ASSERT_TRUE(Put(object).ok());
  EXPECT_THAT(told, ElementsAre("web"));
}

TEST_F(ApplicationSinkTest, TheAnswerToAWriteIsPutAtOnce) {
  ASSERT_TRUE(Put(Application()).ok());
  json answer = Application("12");
  answer["operation"] = {{"sync", json::object()}};
  PutOwnWrite(cache_, kubernetes::JsonText(answer.dump()));
  EXPECT_TRUE(cache_.Find(kWeb)->operation.has_value());
  ASSERT_TRUE(Put(Application("11")).ok());
  EXPECT_TRUE(cache_.Find(kWeb)->operation.has_value());
  ASSERT_TRUE(Put(Application("13")).ok());
  EXPECT_FALSE(cache_.Find(kWeb)->operation.has_value());
}

TEST_F(ApplicationSinkTest, AnAnswerThatIsNoApplicationIsLeftToTheWatch) {
  ASSERT_TRUE(Put(Application()).ok());
  const CachedApplicationPtr before = cache_.Find(kWeb);
  for (const char* answer : {"", "{}", "null", "[", R"({"kind": "Status"})"}) {
    PutOwnWrite(cache_, kubernetes::JsonText(answer));
    EXPECT_EQ(cache_.Find(kWeb), before) << answer;
  }
}

}  // namespace
}  // namespace gantry::cache
