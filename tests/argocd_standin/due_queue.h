// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_ARGOCD_STANDIN_DUE_QUEUE_H_
#define GANTRY_TESTS_ARGOCD_STANDIN_DUE_QUEUE_H_

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace gantry::argocd_standin {

// Hands out keys when they are due, each to one worker at a time: what is added to a key that is
// being worked on waits until that is done. A key is in it once, at the earliest time it was added
// for. Owned by a Controller; any thread.
template <typename Key>
class DueQueue {
 public:
  // `clock` outlives it.
  explicit DueQueue(const base::Clock& clock) : clock_(clock) {}

  void Add(const Key& key, absl::Duration delay = absl::ZeroDuration()) {
    base::MutexLock lock(mutex_);
    const absl::Duration due = clock_.SinceBoot() + delay;
    const auto [place, added] = due_.try_emplace(key, due);
    if (!added) {
      if (place->second <= due) return;
      order_.erase({place->second, key});
      place->second = due;
    }
    order_.insert({due, key});
    changed_.NotifyOne();
  }

  // The first key that is due, which is worked on from now until Done; nothing when none is.
  std::optional<Key> TryNext() {
    base::MutexLock lock(mutex_);
    return TakeLocked();
  }

  // The same, waiting for one; nothing after Close.
  std::optional<Key> Next() {
    base::MutexLock lock(mutex_);
    while (!closed_) {
      if (auto key = TakeLocked()) return key;
      const auto next = FirstLocked();
      if (next == order_.end()) {
        changed_.Wait(mutex_);
      } else {
        // The clock may have jumped when the wait ends: it is looked at again.
        const absl::Duration left = next->first - clock_.SinceBoot();
        changed_.WaitUntil(mutex_, std::chrono::steady_clock::now() +
                                       absl::ToChronoNanoseconds(std::min(left, kLongestWait)));
      }
    }
    return std::nullopt;
  }

  void Done(const Key& key) {
    base::MutexLock lock(mutex_);
    in_work_.erase(key);
    changed_.NotifyOne();
  }

  // How long until a key is due; zero or less when one is, infinite when there is none.
  absl::Duration TimeLeft() {
    base::MutexLock lock(mutex_);
    const auto next = FirstLocked();
    return next == order_.end() ? absl::InfiniteDuration() : next->first - clock_.SinceBoot();
  }

  // Ends all waiting, for good.
  void Close() {
    base::MutexLock lock(mutex_);
    closed_ = true;
    changed_.NotifyAll();
  }

 private:
  using Order = std::set<std::pair<absl::Duration, Key>>;
  static constexpr absl::Duration kLongestWait = absl::Minutes(1);

  // The first that nobody works on.
  typename Order::iterator FirstLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    auto first = order_.begin();
    while (first != order_.end() && in_work_.count(first->second) > 0) ++first;
    return first;
  }

  std::optional<Key> TakeLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto first = FirstLocked();
    if (first == order_.end() || first->first > clock_.SinceBoot()) return std::nullopt;
    const Key key = first->second;
    order_.erase(first);
    due_.erase(key);
    in_work_.insert(key);
    return key;
  }

  const base::Clock& clock_;
  base::Mutex mutex_;
  base::ConditionVariable changed_;
  std::map<Key, absl::Duration> due_ ABSL_GUARDED_BY(mutex_);
  Order order_ ABSL_GUARDED_BY(mutex_);
  std::set<Key> in_work_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace gantry::argocd_standin

#endif  // GANTRY_TESTS_ARGOCD_STANDIN_DUE_QUEUE_H_
