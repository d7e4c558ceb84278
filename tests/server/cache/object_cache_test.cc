// SPDX-License-Identifier: Apache-2.0
#include "server/cache/object_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/fakes/fake_clock.h"

namespace gantry::cache {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Thing {
  std::string name;
  std::string uid;
  std::string resource_version;
  std::string content = {};

  const std::string& key() const { return name; }
  bool SaysTheSame(const Thing& other) const {
    return name == other.name && uid == other.uid && content == other.content;
  }
};
using Cache = ObjectCache<std::string, Thing>;

class ObjectCacheTest : public ::testing::Test {
 protected:
  ObjectCacheTest() {
    cache_.SetListener([this](const std::string& key) { told_.push_back(key); });
  }

  static Cache::Ptr Make(const std::string& name, const std::string& version,
                         const std::string& content = "", const std::string& uid = "u1") {
    return std::make_shared<const Thing>(Thing{name, uid, version, content});
  }
  void Put(const std::string& name, const std::string& version, const std::string& content = "",
           const std::string& uid = "u1") {
    cache_.Put(Make(name, version, content, uid), list_);
  }
  void OwnWrite(const std::string& name, const std::string& version,
                const std::string& content = "", const std::string& uid = "u1",
                bool creates = false) {
    cache_.PutOwnWrite(Make(name, version, content, uid), creates);
  }
  // "version content", or "none".
  std::string Known(const std::string& name) const {
    const Cache::Ptr found = cache_.Find(name);
    return found == nullptr ? "none" : found->resource_version + " " + found->content;
  }
  std::vector<std::string> Told() { return std::exchange(told_, {}); }
  static bool Everything(const std::string&) { return true; }

  testing::FakeClock clock_;
  Cache cache_{clock_};
  std::uint64_t list_ = 0;
  std::vector<std::string> told_;
};

TEST(IsOlderTest, ComparesNumbersAndTrustsNothingElse) {
  struct Case {
    const char* name;
    const char* a;
    const char* b;
    bool older;
  };
  for (const Case& c : {
           Case{"smaller", "9", "10", true},
           Case{"larger", "10", "9", false},
           Case{"equal", "10", "10", false},
           Case{"the largest", "18446744073709551614", "18446744073709551615", true},
           Case{"too large for a number", "5", "18446744073709551616", false},
           Case{"not a number", "a1", "a2", false},
           Case{"a number with more behind it", "1x", "2", false},
           Case{"the other is not a number", "1", "b", false},
           Case{"empty", "", "2", false},
           Case{"negative", "-1", "2", false},
           Case{"with a sign", "+1", "2", false},
       }) {
    EXPECT_EQ(kubernetes::IsOlder(c.a, c.b), c.older) << c.name;
  }
}

TEST_F(ObjectCacheTest, KeepsTheLatestAndTellsOfEachChangeOnce) {
  Put("a", "1", "x");
  Put("b", "2", "y");
  EXPECT_THAT(Told(), ElementsAre("a", "b"));
  Put("a", "3", "z");
  EXPECT_THAT(Told(), ElementsAre("a"));
  EXPECT_EQ(Known("a"), "3 z");
  EXPECT_EQ(cache_.size(), 2U);
  cache_.Delete("a", "u1");
  EXPECT_THAT(Told(), ElementsAre("a"));
  EXPECT_EQ(Known("a"), "none");
  EXPECT_EQ(cache_.size(), 1U);
}

TEST_F(ObjectCacheTest, AWriteThatSaysNothingNewIsKeptButNotTold) {
  Put("a", "1", "x");
  const std::uint64_t changed = cache_.changed();
  Told();
  Put("a", "2", "x");
  EXPECT_EQ(Known("a"), "2 x");  // our next write needs the resourceVersion
  EXPECT_THAT(Told(), IsEmpty());
  EXPECT_EQ(cache_.changed(), changed);
  EXPECT_EQ(cache_.Look("a").changed, changed);
}

TEST_F(ObjectCacheTest, AnOlderEventDoesNotUndoOurOwnWrite) {
  Put("a", "10", "x");
  OwnWrite("a", "12", "mine");
  EXPECT_THAT(Told(), ElementsAre("a", "a"));
  Put("a", "11", "theirs");
  EXPECT_EQ(Known("a"), "12 mine");
  EXPECT_THAT(Told(), IsEmpty());
  Put("a", "12", "mine");  // the event of our write itself
  EXPECT_THAT(Told(), IsEmpty());
  Put("a", "13", "theirs");
  EXPECT_EQ(Known("a"), "13 theirs");
}

TEST_F(ObjectCacheTest, AnOlderEventKeepsTheObjectThroughTheListThatBroughtIt) {
  Put("a", "10", "x");
  OwnWrite("a", "12", "mine");
  list_ = cache_.BeginList();
  Put("a", "11", "as listed");
  cache_.EndList(list_, "100", Everything);
  EXPECT_EQ(Known("a"), "12 mine");
}

TEST_F(ObjectCacheTest, OurOwnWriteDoesNotUndoNewerEvents) {
  Put("a", "20", "theirs");
  Told();
  OwnWrite("a", "12", "mine");
  EXPECT_EQ(Known("a"), "20 theirs");
  EXPECT_THAT(Told(), IsEmpty());
}

TEST_F(ObjectCacheTest, OurOwnWriteIsIgnoredForWhatIsNotThere) {
  OwnWrite("a", "12");
  EXPECT_EQ(Known("a"), "none");
  OwnWrite("a", "12", "", "u1", /*creates=*/true);
  EXPECT_EQ(Known("a"), "12 ");
  EXPECT_THAT(Told(), ElementsAre("a"));
}

TEST_F(ObjectCacheTest, WhatWasDeletedWhileOurWriteWasOnItsWayStaysDeleted) {
  Put("a", "10");
  cache_.Delete("a", "u1");
  Told();
  OwnWrite("a", "11", "mine", "u1", /*creates=*/true);
  EXPECT_EQ(Known("a"), "none");
  EXPECT_THAT(Told(), IsEmpty());
  // One that was made anew under the same name is another.
  OwnWrite("a", "13", "new", "u2", /*creates=*/true);
  EXPECT_EQ(Known("a"), "13 new");
}

TEST_F(ObjectCacheTest, OurOwnWriteOfAnEarlierObjectIsIgnored) {
  Put("a", "20", "new", "u2");
  OwnWrite("a", "30", "mine", "u1", /*creates=*/true);
  EXPECT_EQ(Known("a"), "20 new");
}

TEST_F(ObjectCacheTest, ANewUidIsAnotherObjectWhateverItsVersion) {
  Put("a", "10", "x", "u1");
  const std::uint64_t changed = cache_.changed();
  Told();
  Put("a", "5", "x", "u2");
  EXPECT_EQ(cache_.Find("a")->uid, "u2");
  EXPECT_GT(cache_.changed(), changed);
  EXPECT_THAT(Told(), ElementsAre("a"));
  // The end of the earlier one comes late.
  cache_.Delete("a", "u1");
  EXPECT_EQ(cache_.Find("a")->uid, "u2");
  EXPECT_THAT(Told(), IsEmpty());
}

TEST_F(ObjectCacheTest, VersionsThatAreNoNumbersAreTakenInTheirOrder) {
  Put("a", "b2", "x");
  Put("a", "b1", "y");
  EXPECT_EQ(Known("a"), "b1 y");
}

TEST_F(ObjectCacheTest, DeletingWhatIsNotThereIsNoChange) {
  cache_.Delete("a", "u1");
  EXPECT_THAT(Told(), IsEmpty());
  EXPECT_EQ(cache_.changed(), 0U);
}

TEST_F(ObjectCacheTest, ARelistDeletesWhatWentMissing) {
  Put("a", "1");
  Put("b", "2");
  Put("c", "3");
  Told();
  list_ = cache_.BeginList();
  Put("b", "2");
  EXPECT_EQ(cache_.size(), 3U);  // nothing goes before the list is complete
  cache_.EndList(list_, "100", Everything);
  EXPECT_THAT(Told(), ElementsAre("a", "c"));
  EXPECT_EQ(cache_.size(), 1U);
}

TEST_F(ObjectCacheTest, AListThatFailedMidwayDeletesNothingThatItsSuccessorBrings) {
  Put("a", "1");
  Put("b", "2");
  list_ = cache_.BeginList();
  Put("a", "1");
  list_ = cache_.BeginList();  // once more from the start
  Put("b", "2");
  cache_.EndList(list_, "100", Everything);
  EXPECT_EQ(Known("a"), "none");
  EXPECT_EQ(Known("b"), "2 ");
}

TEST_F(ObjectCacheTest, EachSourceDeletesOnlyOfItsOwnScope) {
  const auto in = [](char scope) {
    return [scope](const std::string& key) { return key.front() == scope; };
  };
  const std::uint64_t a1 = cache_.BeginList();
  const std::uint64_t b1 = cache_.BeginList();
  cache_.Put(Make("a1", "1"), a1);
  cache_.Put(Make("b1", "2"), b1);
  cache_.Put(Make("b2", "3"), b1);
  cache_.EndList(b1, "100", in('b'));
  cache_.EndList(a1, "100", in('a'));
  EXPECT_EQ(cache_.size(), 3U);

  // A lists again and finds nothing; B, whose last list is older, keeps what it has.
  const std::uint64_t a2 = cache_.BeginList();
  cache_.EndList(a2, "100", in('a'));
  EXPECT_EQ(Known("a1"), "none");
  EXPECT_EQ(cache_.size(), 2U);
  // What B's watch brings counts for B's last list, which is not over yet.
  cache_.Put(Make("b3", "4"), b1);
  const std::uint64_t b2 = cache_.BeginList();
  cache_.Put(Make("b1", "2"), b2);
  cache_.EndList(b2, "100", in('b'));
  EXPECT_EQ(Known("b1"), "2 ");
  EXPECT_EQ(Known("b2"), "none");
  EXPECT_EQ(Known("b3"), "none");
}

TEST_F(ObjectCacheTest, AListThatBeganBeforeOurOwnWriteDoesNotDeleteIt) {
  list_ = cache_.BeginList();
  OwnWrite("a", "5", "mine", "u1", /*creates=*/true);
  cache_.EndList(list_, "4", Everything);
  EXPECT_EQ(Known("a"), "5 mine");
  list_ = cache_.BeginList();
  cache_.EndList(list_, "100", Everything);
  EXPECT_EQ(Known("a"), "none");
}

TEST_F(ObjectCacheTest, AListThatWasMadeAfterOurOwnWriteAndIsWithoutItDeletesIt) {
  Put("a", "1");
  list_ = cache_.BeginList();
  OwnWrite("a", "5", "mine", "u1", /*creates=*/false);
  // Somebody deleted it before the API server made the list.
  cache_.EndList(list_, "7", Everything);
  EXPECT_EQ(Known("a"), "none");
}

TEST_F(ObjectCacheTest, TellsSinceWhenSomethingIsAbsent) {
  EXPECT_EQ(cache_.Look("a").absent_since, std::nullopt);
  EXPECT_EQ(cache_.Look("a").changed, 0U);
  Put("a", "1");
  EXPECT_EQ(cache_.Look("a").absent_since, std::nullopt);
  clock_.Advance(absl::Minutes(1));
  cache_.Delete("a", "u1");
  const absl::Time first = clock_.Now();
  clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(cache_.Look("a").absent_since, first);
  EXPECT_EQ(cache_.Look("a").object, nullptr);

  Put("a", "2", "", "u2");
  EXPECT_EQ(cache_.Look("a").absent_since, std::nullopt);
  cache_.Delete("a", "u2");
  EXPECT_EQ(cache_.Look("a").absent_since, clock_.Now());  // the last time counts
}

TEST_F(ObjectCacheTest, RemembersABoundedNumberOfDeletions) {
  for (int i = 0; i < 1025; ++i) {
    const std::string name = "n" + std::to_string(i);
    Put(name, "1", "", "u" + name);
    cache_.Delete(name, "u" + name);
  }
  EXPECT_EQ(cache_.Look("n0").absent_since, std::nullopt);
  EXPECT_EQ(cache_.Look("n1").absent_since, clock_.Now());
  EXPECT_EQ(cache_.Look("n1024").absent_since, clock_.Now());
}

TEST_F(ObjectCacheTest, ChangesAreNumbered) {
  EXPECT_EQ(cache_.changed(), 0U);
  Put("a", "1", "x");
  Put("b", "2", "x");
  EXPECT_EQ(cache_.Look("a").changed, 1U);
  EXPECT_EQ(cache_.Look("b").changed, 2U);
  Put("a", "3", "y");
  EXPECT_EQ(cache_.Look("a").changed, 3U);
  cache_.Delete("b", "u1");
  EXPECT_EQ(cache_.Look("b").changed, 4U);
  EXPECT_EQ(cache_.changed(), 4U);
}

TEST_F(ObjectCacheTest, GivesARangeInOrder) {
  for (const char* name : {"b2", "a1", "c1", "b1"}) Put(name, "1");
  std::vector<std::string> names;
  for (const Cache::Ptr& thing :
       cache_.From("b", [](const std::string& key) { return key.front() == 'b'; })) {
    names.push_back(thing->name);
  }
  EXPECT_THAT(names, ElementsAre("b1", "b2"));
  EXPECT_EQ(cache_.All().size(), 4U);
}

TEST_F(ObjectCacheTest, TheListenerMayLookIntoTheCache) {
  std::string seen;
  Cache cache(clock_);
  cache.SetListener([&](const std::string& key) {
    const Cache::Ptr found = cache.Find(key);
    seen += found == nullptr ? "-" : found->resource_version;
  });
  cache.Put(Make("a", "1"), 0);
  cache.Delete("a", "u1");
  cache.PutOwnWrite(Make("a", "2", "", "u2"), /*creates=*/true);
  cache.EndList(cache.BeginList(), "100", Everything);
  EXPECT_EQ(seen, "1-2-");
}

TEST_F(ObjectCacheTest, ManyThreadsMayChangeAndRead) {
  Cache cache(clock_);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 1; i <= 200; ++i) {
        const std::string name = "n" + std::to_string(i % 7);
        cache.Put(Make(name, std::to_string(i), std::to_string(t)), 0);
        cache.PutOwnWrite(Make(name, std::to_string(i + 1), "own"), false);
        cache.Look(name);
        cache.All();
        if (i % 10 == 0) cache.Delete(name, "u1");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(cache.size(), 7U);
  EXPECT_GT(cache.changed(), 0U);
}

}  // namespace
}  // namespace gantry::cache
