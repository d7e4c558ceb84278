// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_PENDING_CALLS_H_
#define GANTRY_SERVER_STEPS_PENDING_CALLS_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/context.h"
#include "base/mutex.h"
#include "server/argocd/application.h"
#include "server/cache/caches.h"
#include "server/steps/config/application_selection.h"

namespace gantry::steps {

// Long polls: holds calls of steps that are under way until something happens that may change their
// response, so that thousands can wait without a thread or a question to the API server. A pending
// call is an entry in a table; it is woken once, and whoever added it goes on from there.
//
// Owned by the wiring, which tells it of changes and gives it a thread for Run. Any thread.
class PendingCalls {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Id = std::uint64_t;
  enum class Reason {
    kChanged,   // one of its Applications, or its Stage's record: evaluate again
    kDue,       // its time has come
    kStopping,  // the server is about to stop: answer with what is known
  };
  // Called once, without a lock, on any thread. Must not block.
  using Wake = std::function<void(Reason reason)>;

  // How far the caches were when a call was evaluated: later changes wake it.
  struct Seen {
    std::uint64_t applications = 0;
    std::uint64_t stages = 0;
  };

  struct Interest {
    cache::StageName stage;
    std::vector<argocd::ApplicationName> applications;
    // Wakes it when an Application that is not one of those begins to match.
    std::vector<ApplicationSelection> selectors;
    Seen seen;
    TimePoint due;  // when it is woken in any case
  };

  explicit PendingCalls(const cache::Caches& caches) : caches_(caches) {}

  Seen Now() const { return {caches_.applications.changed(), caches_.stages.changed()}; }

  // A name for a call that will be added, for Withdraw.
  Id NewId() { return next_id_.fetch_add(1, std::memory_order_relaxed); }

  // Wakes at once, within this call, when something has changed since it was evaluated already, or
  // when `context`, that of the call, has ended. Otherwise `wake` is called later, or never after a
  // successful Withdraw.
  void Add(Id id, const Interest& interest, const base::Context& context, const Wake& wake);

  // True when the call was pending and is not any more; it will not be woken.
  bool Withdraw(Id id);

  void ApplicationChanged(const argocd::ApplicationName& name);
  void StageChanged(const cache::StageName& name);

  // Wakes those whose time has come; returns when the next one's will (TimePoint::max(): none).
  TimePoint WakeDue(TimePoint now);
  // Does so until the context ends.
  void Run(base::Context& context);

  // Wakes all, and from now on whoever is added.
  void Stop();

  std::size_t size() const;

 private:
  struct Entry {
    Interest interest;
    Wake wake;
  };
  using Table = std::unordered_map<Id, Entry>;

  bool HasChanged(const Interest& interest) const;
  // The calls that wait for others than those named, and whose selectors `name` matches now.
  std::vector<Id> MatchedLocked(const argocd::ApplicationName& name,
                                const argocd::Application& application) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  Wake TakeLocked(Table::iterator entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes and returns the wakes of those that `index` has under `key`.
  template <typename Key>
  std::vector<Wake> TakeLocked(const std::map<Key, std::set<Id>>& index, const Key& key)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const cache::Caches& caches_;
  std::atomic<Id> next_id_{1};
  mutable base::Mutex mutex_;
  base::ConditionVariable wake_timer_;
  Table pending_ ABSL_GUARDED_BY(mutex_);
  std::map<argocd::ApplicationName, std::set<Id>> by_application_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::set<Id>> by_selector_ ABSL_GUARDED_BY(mutex_);  // by namespace
  std::map<cache::StageName, std::set<Id>> by_stage_ ABSL_GUARDED_BY(mutex_);
  std::set<std::pair<TimePoint, Id>> by_time_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_PENDING_CALLS_H_
