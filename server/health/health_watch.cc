// SPDX-License-Identifier: Apache-2.0
#include "server/health/health_watch.h"

#include <limits>
#include <utility>

namespace gantry::health {

void HealthWatch::Begin() {
  const HealthCache::Page all =
      cache_.ListAfter(std::nullopt, project_, {}, std::numeric_limits<std::size_t>::max());
  base::MutexLock lock(mutex_);
  for (const StageSnapshotPtr& snapshot : all.stages) {
    if (Covers(snapshot->name)) initial_.insert(snapshot->name);
  }
  begun_ = true;
}

std::optional<HealthWatch::Event> HealthWatch::Next() {
  while (true) {
    StageName name;
    bool initial = false;
    {
      base::MutexLock lock(mutex_);
      initial = !initial_.empty();
      std::set<StageName>& from = initial ? initial_ : changed_;
      if (!initial && begun_ && !synced_) {
        synced_ = true;
        return Event{};
      }
      if (from.empty()) {
        waiting_ = true;
        return std::nullopt;
      }
      name = std::move(from.extract(from.begin()).value());
      // What has changed before its first turn is told once.
      if (initial) changed_.erase(name);
    }
    StageSnapshotPtr snapshot = cache_.Find(name);
    if (snapshot != nullptr) return Event{Event::Kind::kUpdated, name, std::move(snapshot)};
    // The reader never heard of a Stage that went before its first turn.
    if (!initial) return Event{Event::Kind::kDeleted, std::move(name), nullptr};
  }
}

void HealthWatch::OnPublished(const std::vector<StageName>& stages) {
  bool news = false;
  {
    base::MutexLock lock(mutex_);
    for (const StageName& name : stages) {
      if (Covers(name) && !initial_.contains(name)) changed_.insert(name);
    }
    news = waiting_ && !changed_.empty();
    if (news) waiting_ = false;
  }
  if (news) on_news_();
}

}  // namespace gantry::health
