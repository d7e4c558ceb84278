// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_BASE_LEFT_RIGHT_H_
#define GANTRY_BASE_LEFT_RIGHT_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>

#include "base/mutex.h"

namespace gantry::base {

// A value that is read by many threads without a lock and without waiting, and changed now and
// then by one at a time. There are two copies: readers use one while the writer changes the other;
// then they change places, and when the last reader has left the old one it is changed too (the
// Left-Right technique). So a change is made twice, and must do the same both times. Any thread.
template <typename T>
class LeftRight {
 public:
  LeftRight() = default;
  LeftRight(const LeftRight&) = delete;
  LeftRight& operator=(const LeftRight&) = delete;

  // Calls `read` with the value and returns what that returns. It must not keep references into
  // the value, nor change it from within.
  template <typename Function>
  auto Read(const Function& read) const {
    const Reader reader(readers_[side_of_readers_.load()]);
    return read(copies_[current_.load()]);
  }

  // Calls `change` on each copy.
  template <typename Function>
  void Write(const Function& change) {
    MutexLock lock(mutex_);
    const std::size_t old = current_.load();
    const std::size_t next = 1 - old;
    change(copies_[next]);
    current_.store(next);
    // Readers that came before this may still be in the old copy. They are counted on one of two
    // sides; new ones are sent to the other, so that the count of the first can only fall.
    const std::size_t side = side_of_readers_.load();
    WaitUntilEmpty(readers_[1 - side]);
    side_of_readers_.store(1 - side);
    WaitUntilEmpty(readers_[side]);
    change(copies_[old]);
  }

 private:
  // Counters in cache lines of their own, so that readers on different cores don't slow each other
  // down.
  static constexpr std::size_t kCounters = 8;
  struct alignas(64) Counter {
    std::atomic<std::int64_t> readers{0};
  };
  using Counters = std::array<Counter, kCounters>;

  class Reader {
   public:
    explicit Reader(Counters& counters)
        : counter_(counters[std::hash<std::thread::id>()(std::this_thread::get_id()) % kCounters]) {
      counter_.readers.fetch_add(1);
    }
    ~Reader() { counter_.readers.fetch_sub(1); }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

   private:
    Counter& counter_;
  };

  static void WaitUntilEmpty(const Counters& counters) {
    for (const Counter& counter : counters) {
      while (counter.readers.load() != 0) std::this_thread::yield();
    }
  }

  Mutex mutex_;  // between writers
  std::array<T, 2> copies_{};
  std::atomic<std::size_t> current_{0};
  std::atomic<std::size_t> side_of_readers_{0};
  mutable std::array<Counters, 2> readers_;
};

}  // namespace gantry::base

#endif  // GANTRY_BASE_LEFT_RIGHT_H_
