// SPDX-License-Identifier: Apache-2.0
#include "base/interned_string.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace gantry::base {
namespace {

TEST(InternedStringTest, EqualStringsAreOne) {
  const std::size_t before = InternedString::Count();
  {
    const InternedString a(std::string("a-") + "text");
    const InternedString b("a-text");
    EXPECT_EQ(a, b);
    EXPECT_EQ(a.view().data(), b.view().data());
    EXPECT_EQ(InternedString::Count(), before + 1);
    const InternedString other("another-text");
    EXPECT_NE(a, other);
    EXPECT_EQ(InternedString::Count(), before + 2);
  }
  EXPECT_EQ(InternedString::Count(), before);
}

TEST(InternedStringTest, TheEmptyStringIsKeptNowhere) {
  const std::size_t before = InternedString::Count();
  const InternedString none;
  const InternedString empty("");
  EXPECT_EQ(none, empty);
  EXPECT_TRUE(empty.empty());
  EXPECT_EQ(empty.view(), "");
  EXPECT_EQ(empty.str(), "");
  EXPECT_EQ(InternedString::Count(), before);
}

TEST(InternedStringTest, KeepsZeroCharacters) {
  const std::string text("a\0b", 3);
  EXPECT_EQ(InternedString(text).view(), text);
  EXPECT_NE(InternedString(text), InternedString("a"));
}

TEST(InternedStringTest, CopiesAndMovesLikeAValue) {
  const std::size_t before = InternedString::Count();
  InternedString a("copied");
  InternedString b = a;
  EXPECT_EQ(b, a);
  InternedString c = std::move(b);
  EXPECT_EQ(c.view(), "copied");
  InternedString d("replaced");
  d = c;
  EXPECT_EQ(d.view(), "copied");
  const InternedString& itself = d;
  d = itself;
  EXPECT_EQ(d.view(), "copied");
  d = InternedString("new");
  EXPECT_EQ(d.view(), "new");
  d = InternedString();
  EXPECT_TRUE(d.empty());
  a = d;
  c = d;
  EXPECT_EQ(InternedString::Count(), before);
}

TEST(InternedStringTest, IsOrderedAsItsText) {
  std::vector<InternedString> strings = {InternedString("c"), InternedString("a"), InternedString(),
                                         InternedString("b")};
  std::sort(strings.begin(), strings.end());
  std::string joined;
  for (const InternedString& string : strings) joined += string.str() + ",";
  EXPECT_EQ(joined, ",a,b,c,");
  EXPECT_TRUE(InternedString("a") == "a");
  EXPECT_FALSE(InternedString("a") == "b");
}

TEST(InternedStringTest, HandlesComeAndGoOnManyThreads) {
  const std::size_t before = InternedString::Count();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < 2000; ++i) {
        const InternedString a("shared-" + std::to_string(i % 3));
        InternedString b = a;
        b = InternedString("shared-" + std::to_string((i + 1) % 3));
        ASSERT_NE(a, b);
        ASSERT_EQ(a.view().substr(0, 7), "shared-");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(InternedString::Count(), before);
}

}  // namespace
}  // namespace gantry::base
