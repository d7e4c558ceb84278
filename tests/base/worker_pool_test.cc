// SPDX-License-Identifier: Apache-2.0
#include "base/worker_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <vector>

#include "base/mutex.h"

namespace gantry::base {
namespace {

using ::testing::ElementsAre;

// The indexes a body was called with, in the order of the calls.
class Calls {
 public:
  void Add(std::size_t index) {
    MutexLock lock(mutex_);
    indexes_.push_back(index);
  }
  std::vector<std::size_t> indexes() const {
    MutexLock lock(mutex_);
    return indexes_;
  }

 private:
  mutable Mutex mutex_;
  std::vector<std::size_t> indexes_ ABSL_GUARDED_BY(mutex_);
};

TEST(WorkerPoolTest, ShutdownFinishesWhatWasTaken) {
  std::atomic<int> done{0};
  WorkerPool pool(2, 100);
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(pool.TrySubmit([&] { ++done; }));
  }
  pool.Shutdown();
  EXPECT_EQ(done, 50);
}

TEST(WorkerPoolTest, TakesNothingAfterShutdown) {
  WorkerPool pool(1, 10);
  pool.Shutdown();
  bool ran = false;
  EXPECT_FALSE(pool.TrySubmit([&] { ran = true; }));
  pool.Shutdown();
  EXPECT_FALSE(ran);
}

TEST(WorkerPoolTest, WhatWasAdmittedOnceIsTakenAlsoWhenTheQueueIsFull) {
  std::latch busy(1);
  std::latch go_on(1);
  std::atomic<int> done{0};
  WorkerPool pool(1, 1);
  ASSERT_TRUE(pool.TrySubmit([&] {
    busy.count_down();
    go_on.wait();
  }));
  busy.wait();
  ASSERT_TRUE(pool.TrySubmit([&] { ++done; }));
  EXPECT_FALSE(pool.TrySubmit([&] { ++done; }));
  EXPECT_TRUE(pool.SubmitAdmitted([&] { ++done; }));
  EXPECT_TRUE(pool.SubmitAdmitted([&] { ++done; }));
  go_on.count_down();
  pool.Shutdown();
  EXPECT_EQ(done, 3);
  EXPECT_FALSE(pool.SubmitAdmitted([&] { ++done; }));
  EXPECT_EQ(done, 3);
}

TEST(WorkerPoolTest, RefusesWhatDoesNotFitIntoTheQueue) {
  std::latch busy(1);
  std::latch go_on(1);
  std::atomic<int> done{0};
  WorkerPool pool(1, 2);
  ASSERT_TRUE(pool.TrySubmit([&] {
    busy.count_down();
    go_on.wait();
  }));
  busy.wait();
  EXPECT_TRUE(pool.TrySubmit([&] { ++done; }));
  EXPECT_TRUE(pool.TrySubmit([&] { ++done; }));
  EXPECT_FALSE(pool.TrySubmit([&] { ++done; }));
  go_on.count_down();
  pool.Shutdown();
  EXPECT_EQ(done, 2);
}

TEST(WorkerPoolTest, ItsThreadsWorkAtTheSameTime) {
  std::latch both(2);
  WorkerPool pool(2, 10);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(pool.TrySubmit([&] { both.arrive_and_wait(); }));
  }
  both.wait();
}

TEST(WorkerPoolTest, HasAtLeastOneThread) {
  std::latch ran(1);
  WorkerPool pool(0, 1);
  EXPECT_EQ(pool.threads(), 1u);
  ASSERT_TRUE(pool.TrySubmit([&] { ran.count_down(); }));
  ran.wait();
}

TEST(ParallelForTest, CallsTheBodyOncePerIndex) {
  WorkerPool pool(3, 100);
  std::vector<std::atomic<int>> calls(200);
  ParallelFor(pool, calls.size(), [&](std::size_t i) {
    ++calls[i];
    return true;
  });
  for (const auto& count : calls) EXPECT_EQ(count, 1);
}

TEST(ParallelForTest, NothingToDoIsNothingDone) {
  WorkerPool pool(1, 1);
  ParallelFor(pool, 0, [](std::size_t) {
    ADD_FAILURE();
    return true;
  });
}

// A pool whose threads are all taken must not hold up the caller.
TEST(ParallelForTest, TheCallerDoesAllOfItWhenThePoolIsBusy) {
  std::latch busy(1);
  std::latch go_on(1);
  WorkerPool pool(1, 10);
  ASSERT_TRUE(pool.TrySubmit([&] {
    busy.count_down();
    go_on.wait();
  }));
  busy.wait();
  Calls calls;
  ParallelFor(pool, 4, [&](std::size_t i) {
    calls.Add(i);
    return true;
  });
  EXPECT_THAT(calls.indexes(), ElementsAre(0, 1, 2, 3));
  go_on.count_down();
}

TEST(ParallelForTest, TheCallerDoesAllOfItAfterShutdown) {
  WorkerPool pool(2, 10);
  pool.Shutdown();
  Calls calls;
  ParallelFor(pool, 3, [&](std::size_t i) {
    calls.Add(i);
    return true;
  });
  EXPECT_THAT(calls.indexes(), ElementsAre(0, 1, 2));
}

TEST(ParallelForTest, HelpersTakePart) {
  WorkerPool pool(2, 10);
  std::latch both(2);
  ParallelFor(pool, 2, [&](std::size_t) {
    both.arrive_and_wait();
    return true;
  });
}

TEST(ParallelForTest, AfterFalseNoFurtherCallBegins) {
  WorkerPool pool(1, 10);
  pool.Shutdown();
  Calls calls;
  ParallelFor(pool, 10, [&](std::size_t i) {
    calls.Add(i);
    return i < 2;
  });
  EXPECT_THAT(calls.indexes(), ElementsAre(0, 1, 2));
}

// The second call begins before the first returns false, and is waited for.
TEST(ParallelForTest, ReturnsWhenTheCallsThatWereBegunHaveEnded) {
  WorkerPool pool(2, 10);
  std::latch both(2);
  std::atomic<int> ended{0};
  Calls calls;
  ParallelFor(pool, 10, [&](std::size_t i) {
    calls.Add(i);
    both.arrive_and_wait();
    ++ended;
    return false;
  });
  EXPECT_EQ(ended, 2);
  EXPECT_THAT(calls.indexes(), ::testing::UnorderedElementsAre(0, 1));
}

TEST(ParallelForTest, MayBeNested) {
  WorkerPool pool(2, 2);
  std::atomic<int> calls{0};
  ParallelFor(pool, 4, [&](std::size_t) {
    ParallelFor(pool, 4, [&](std::size_t) {
      ++calls;
      return true;
    });
    return true;
  });
  EXPECT_EQ(calls, 16);
}

}  // namespace
}  // namespace gantry::base
