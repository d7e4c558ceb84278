// SPDX-License-Identifier: Apache-2.0
#include "tests/simulator/store.h"

#include <gmock/gmock.h>

#include <string>
#include <thread>
#include <vector>

namespace gantry::simulator {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kThings[] = "things";
const auto kAll = [](const Entry&) { return true; };

class StoreTest : public ::testing::Test {
 protected:
  EntryPtr Put(const std::string& ns, const std::string& name, const EntryPtr& expected = nullptr,
               const std::string& text = "x") {
    Draft draft;
    draft.ns = ns;
    draft.name = name;
    draft.head = "{\"v\":\"";
    draft.tail = "\",\"t\":\"" + text + "\"}";
    return store_.Put(kThings, expected, draft);
  }
  std::vector<std::string> Names(std::optional<std::uint64_t> at = std::nullopt,
                                 const std::string& ns = "") const {
    std::vector<std::string> names;
    const auto page = store_.List(kThings, ns, kAll, at, 0, std::nullopt);
    if (!page) return {"gone"};
    for (const EntryPtr& entry : page->entries) names.push_back(entry->ns + "/" + entry->name);
    return names;
  }
  // What is there already.
  Store::Changes Since(std::uint64_t version) {
    return store_.Since(kThings, version, std::chrono::steady_clock::now());
  }

  Store store_{4};
};

TEST_F(StoreTest, AnEntryHasItsVersionInItsText) {
  const EntryPtr entry = Put("a", "x");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->resource_version, store_.revision());
  EXPECT_EQ(entry->json, "{\"v\":\"" + std::to_string(store_.revision()) + "\",\"t\":\"x\"}");
  EXPECT_EQ(entry->JsonAt(1234567), "{\"v\":\"1234567\",\"t\":\"x\"}");
  EXPECT_EQ(store_.Get(kThings, "a", "x"), entry);
  EXPECT_EQ(store_.Get(kThings, "b", "x"), nullptr);
}

TEST_F(StoreTest, AWriteThatExpectsAnotherVersionDoesNothing) {
  const EntryPtr first = Put("a", "x");
  EXPECT_EQ(Put("a", "x"), nullptr);
  const EntryPtr second = Put("a", "x", first);
  ASSERT_TRUE(second);
  EXPECT_EQ(Put("a", "x", first), nullptr);
  EXPECT_FALSE(store_.Remove(kThings, first));
  EXPECT_EQ(store_.Get(kThings, "a", "x"), second);
  EXPECT_TRUE(store_.Remove(kThings, second));
  EXPECT_EQ(Put("a", "x", second), nullptr);
}

TEST_F(StoreTest, AListIsOfAnyMomentThatTheHistoryReachesBackTo) {
  const std::uint64_t empty = store_.revision();
  const EntryPtr x = Put("a", "x");
  const std::uint64_t with_x = store_.revision();
  Put("b", "y");
  const std::uint64_t with_both = store_.revision();
  store_.Remove(kThings, x);
  Put("a", "z");
  EXPECT_THAT(Names(), ElementsAre("a/z", "b/y"));
  EXPECT_THAT(Names(with_both), ElementsAre("a/x", "b/y"));
  EXPECT_THAT(Names(with_x), ElementsAre("a/x"));
  EXPECT_THAT(Names(empty), IsEmpty());
  EXPECT_THAT(Names(with_both, "a"), ElementsAre("a/x"));
  Put("c", "w");
  EXPECT_THAT(Names(empty), ElementsAre("gone"));
  EXPECT_THAT(Names(with_x), ElementsAre("a/x"));
  store_.Compact();
  EXPECT_THAT(Names(with_x), ElementsAre("gone"));
  EXPECT_THAT(Names(store_.revision()), ElementsAre("a/z", "b/y", "c/w"));
}

TEST_F(StoreTest, PagesFollowEachOther) {
  for (const char* name : {"1", "2", "3"}) Put("a", name);
  const auto first = store_.List(kThings, "a", kAll, std::nullopt, 2, std::nullopt);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->entries.size(), 2u);
  EXPECT_TRUE(first->more);
  EXPECT_EQ(first->remaining, 1u);
  const auto second = store_.List(kThings, "a", kAll, first->resource_version, 2,
                                  std::pair<std::string, std::string>("a", "2"));
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->more);
  ASSERT_EQ(second->entries.size(), 1u);
  EXPECT_EQ(second->entries[0]->name, "3");
}

TEST_F(StoreTest, ChangesComeInOrderUntilTheyAreForgotten) {
  const std::uint64_t start = store_.revision();
  EntryPtr entry = Put("a", "x");
  for (int i = 0; i < 3; ++i) entry = Put("a", "x", entry);
  Store::Changes changes = Since(start);
  ASSERT_EQ(changes.changes.size(), 4u);
  EXPECT_EQ(changes.changes[0].before, nullptr);
  EXPECT_EQ(changes.changes[3].after, entry);
  EXPECT_EQ(changes.changes[3].before, changes.changes[2].after);
  EXPECT_EQ(changes.up_to, store_.revision());
  store_.Remove(kThings, entry);
  changes = Since(entry->resource_version);
  ASSERT_EQ(changes.changes.size(), 1u);
  EXPECT_EQ(changes.changes[0].before, entry);
  EXPECT_EQ(changes.changes[0].after, nullptr);
  EXPECT_TRUE(Since(start).expired);
  EXPECT_FALSE(Since(start + 1).expired);
}

TEST_F(StoreTest, WhoeverWaitsIsWoken) {
  const auto late = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  const std::uint64_t start = store_.revision();
  std::thread writer([&] { Put("a", "x"); });
  EXPECT_EQ(store_.Since(kThings, start, late).changes.size(), 1u);
  writer.join();
}

TEST_F(StoreTest, AfterACompactionNobodyBeginsWithAnOlderVersionButFollowersGoOn) {
  const EntryPtr other = Put("a", "x");
  const std::uint64_t followed = store_.revision();
  ASSERT_TRUE(store_.Put("others", nullptr, Draft{"a", "y", "", {}, {}, "", ""}));
  store_.Compact();
  EXPECT_EQ(store_.Oldest(kThings), store_.revision());
  EXPECT_EQ(store_.Oldest("none"), store_.revision());
  // Nothing has happened to these since.
  EXPECT_FALSE(Since(followed).expired);
  EXPECT_TRUE(Since(followed - 1).expired);
}

}  // namespace
}  // namespace gantry::simulator
