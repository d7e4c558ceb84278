// SPDX-License-Identifier: Apache-2.0
#include "base/left_right.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <map>
#include <thread>
#include <utility>
#include <vector>

namespace gantry::base {
namespace {

TEST(LeftRightTest, WhatWasWrittenIsReadFromBothCopies) {
  LeftRight<std::map<int, int>> value;
  for (int i = 0; i < 5; ++i) {
    value.Write([i](std::map<int, int>& map) { map[i] = i * i; });
    // Each write makes the other copy the current one.
    EXPECT_EQ(value.Read([](const std::map<int, int>& map) { return map.size(); }),
              static_cast<std::size_t>(i) + 1);
    EXPECT_EQ(value.Read([i](const std::map<int, int>& map) { return map.at(i); }), i * i);
  }
}

TEST(LeftRightTest, AReaderKeepsItsCopyWhileAWriterWaits) {
  LeftRight<int> value;
  std::latch reading(1);
  std::latch go_on(1);
  std::thread reader([&] {
    value.Read([&](const int& number) {
      reading.count_down();
      go_on.wait();
      EXPECT_EQ(number, 0);
      return 0;
    });
  });
  reading.wait();
  std::atomic<bool> written{false};
  std::thread writer([&] {
    value.Write([](int& number) { ++number; });
    written = true;
  });
  // New readers are not held up by either, and see the new value as soon as it is there.
  while (value.Read([](const int& number) { return number; }) != 1) std::this_thread::yield();
  EXPECT_FALSE(written);
  go_on.count_down();
  reader.join();
  writer.join();
  EXPECT_EQ(value.Read([](const int& number) { return number; }), 1);
}

TEST(LeftRightTest, ReadersNeverSeeHalfAChange) {
  LeftRight<std::pair<int, std::vector<int>>> value;
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  for (int t = 0; t < 3; ++t) {
    readers.emplace_back([&] {
      int last = 0;
      while (!stop) {
        const int seen = value.Read([](const auto& copy) {
          EXPECT_EQ(copy.second.size(), static_cast<std::size_t>(copy.first));
          return copy.first;
        });
        EXPECT_GE(seen, last);
        last = seen;
      }
    });
  }
  std::vector<std::thread> writers;
  for (int t = 0; t < 2; ++t) {
    writers.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        value.Write([](auto& copy) {
          ++copy.first;
          copy.second.push_back(copy.first);
        });
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(value.Read([](const auto& copy) { return copy.first; }), 400);
}

}  // namespace
}  // namespace gantry::base
