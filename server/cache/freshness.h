// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_CACHE_FRESHNESS_H_
#define GANTRY_SERVER_CACHE_FRESHNESS_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"

namespace gantry::cache {

// How recent what the watches have brought is, so that nothing is vouched for on old evidence. Each
// watch is a source of its own: an Application's evidence is as fresh as the watch of its
// namespace. Age is computed when it is asked for, by a clock that also runs while the process or
// the machine is stopped.
//
// Owned by the wiring, which adds all sources before anything else is called; after that any
// thread, without a lock.
class Freshness {
 public:
  using Source = std::size_t;

  // Evidence older than `limit` is stale.
  Freshness(absl::Duration limit, const base::Clock& clock) : limit_(limit), clock_(clock) {}

  // `resource` and `scope` are for messages: "applications", "namespace argocd".
  Source AddSource(std::string resource, std::string scope);

  // All that happened before `time` (since boot) is in the cache. Older reports change nothing.
  void UpToDate(Source source, absl::Duration time);
  // The first list is complete.
  void SetSynced(Source source);
  // When it was; the epoch before.
  absl::Time SyncedAt(Source source) const;
  // Told, on the watch's thread, when a source is synced or was stale and is heard of again. Set
  // before anything else is called.
  void SetListener(std::function<void()> listener) { listener_ = std::move(listener); }

  struct Reading {
    absl::Time observed_time;  // what happened before it is taken into account
    bool stale = false;
    absl::Duration age;
    // When it will be stale if nothing more is heard (since boot).
    absl::Duration stale_at;
  };
  Reading Read(Source source) const { return ReadAt(source, clock_.SinceBoot()); }
  // The oldest of several; of none, as fresh as can be.
  Reading Read(const std::vector<Source>& sources) const;
  Reading ReadAll() const { return Read(all_); }
  // Each source, at one moment, for whoever looks at many things at once. A source is the number of
  // its reading.
  std::vector<Reading> ReadEach() const;
  // The oldest of those in `readings` that are among `sources`, of which there is one at least.
  static Reading Oldest(const std::vector<Reading>& readings, const std::vector<Source>& sources);
  const std::vector<Source>& all() const { return all_; }

  bool IsSynced(Source source) const;
  bool AllSynced() const;
  const std::string& ResourceOf(Source source) const { return sources_[source].resource; }
  const std::string& ScopeOf(Source source) const { return sources_[source].scope; }
  absl::Duration limit() const { return limit_; }

  // Why the server cannot vouch for its caches, in words; empty when it can.
  std::string WhyNotSynced() const;
  std::string WhyNotFresh() const;

 private:
  struct State {
    std::string resource;
    std::string scope;
    // When the first list was complete, in nanoseconds; 0: it is not.
    std::atomic<std::int64_t> synced{0};
    // When it was last up to date, by both clocks, in nanoseconds.
    std::atomic<std::int64_t> boot{0};
    std::atomic<std::int64_t> wall{0};
  };

  Reading ReadAt(Source source, absl::Duration since_boot) const;

  const absl::Duration limit_;
  const base::Clock& clock_;
  std::function<void()> listener_;
  std::deque<State> sources_;
  std::vector<Source> all_;
};

}  // namespace gantry::cache

#endif  // GANTRY_SERVER_CACHE_FRESHNESS_H_
