// SPDX-License-Identifier: Apache-2.0
#include "server/steps/parked_calls.h"

#include <algorithm>
#include <optional>

namespace gantry::steps {
namespace {

// How late a cancelled context is noticed by the timer's thread, at most.
constexpr std::chrono::milliseconds kLongestSleep{200};

template <typename Key>
void Erase(std::map<Key, std::set<ParkedCalls::Id>>& index, const Key& key, ParkedCalls::Id id) {
  const auto found = index.find(key);
  if (found == index.end()) return;
  found->second.erase(id);
  if (found->second.empty()) index.erase(found);
}

}  // namespace

bool ParkedCalls::HasChanged(const Interest& interest) const {
  if (caches_.stages.Look(interest.stage).changed > interest.seen.stages) return true;
  return std::any_of(interest.applications.begin(), interest.applications.end(),
                     [&](const argocd::ApplicationName& name) {
                       return caches_.applications.Look(name).changed > interest.seen.applications;
                     });
}

void ParkedCalls::Park(Id id, const Interest& interest, const base::Context& context,
                       const Wake& wake) {
  std::optional<Reason> reason;
  {
    base::MutexLock lock(mutex_);
    if (stopping_) {
      reason = Reason::kStopping;
    } else if (!context.Check().ok()) {
      reason = Reason::kDue;
    } else {
      for (const argocd::ApplicationName& name : interest.applications) {
        by_application_[name].insert(id);
      }
      by_stage_[interest.stage].insert(id);
      by_time_.emplace(interest.due, id);
      if (by_time_.begin()->second == id) wake_timer_.NotifyOne();
      parked_.emplace(id, Parked{interest, wake});
    }
  }
  if (reason) return wake(*reason);
  // Looked at once the call can be found: what changes after this wakes it.
  if (HasChanged(interest) && Unpark(id)) wake(Reason::kChanged);
}

ParkedCalls::Wake ParkedCalls::TakeLocked(Table::iterator parked) {
  const Id id = parked->first;
  const Interest& interest = parked->second.interest;
  for (const argocd::ApplicationName& name : interest.applications) {
    Erase(by_application_, name, id);
  }
  Erase(by_stage_, interest.stage, id);
  by_time_.erase({interest.due, id});
  Wake wake = std::move(parked->second.wake);
  parked_.erase(parked);
  return wake;
}

template <typename Key>
std::vector<ParkedCalls::Wake> ParkedCalls::TakeLocked(const std::map<Key, std::set<Id>>& index,
                                                       const Key& key) {
  std::vector<Wake> woken;
  const auto found = index.find(key);
  if (found == index.end()) return woken;
  // Taking one changes the index.
  const std::set<Id> ids = found->second;
  for (const Id id : ids) woken.push_back(TakeLocked(parked_.find(id)));
  return woken;
}

bool ParkedCalls::Unpark(Id id) {
  Wake unused;
  base::MutexLock lock(mutex_);
  const auto found = parked_.find(id);
  if (found == parked_.end()) return false;
  unused = TakeLocked(found);
  return true;
}

void ParkedCalls::ApplicationChanged(const argocd::ApplicationName& name) {
  std::vector<Wake> woken;
  {
    base::MutexLock lock(mutex_);
    woken = TakeLocked(by_application_, name);
  }
  for (const Wake& wake : woken) wake(Reason::kChanged);
}

void ParkedCalls::StageChanged(const cache::StageName& name) {
  std::vector<Wake> woken;
  {
    base::MutexLock lock(mutex_);
    woken = TakeLocked(by_stage_, name);
  }
  for (const Wake& wake : woken) wake(Reason::kChanged);
}

ParkedCalls::TimePoint ParkedCalls::WakeDue(TimePoint now) {
  std::vector<Wake> woken;
  TimePoint next = TimePoint::max();
  {
    base::MutexLock lock(mutex_);
    while (!by_time_.empty() && by_time_.begin()->first <= now) {
      woken.push_back(TakeLocked(parked_.find(by_time_.begin()->second)));
    }
    if (!by_time_.empty()) next = by_time_.begin()->first;
  }
  for (const Wake& wake : woken) wake(Reason::kDue);
  return next;
}

void ParkedCalls::Run(base::Context& context) {
  while (context.Check().ok()) {
    const TimePoint now = std::chrono::steady_clock::now();
    const TimePoint next = WakeDue(now);
    base::MutexLock lock(mutex_);
    const bool as_before =
        by_time_.empty() ? next == TimePoint::max() : by_time_.begin()->first == next;
    if (as_before) wake_timer_.WaitUntil(mutex_, std::min(next, now + kLongestSleep));
  }
}

void ParkedCalls::Stop() {
  std::vector<Wake> woken;
  {
    base::MutexLock lock(mutex_);
    stopping_ = true;
    while (!parked_.empty()) woken.push_back(TakeLocked(parked_.begin()));
  }
  for (const Wake& wake : woken) wake(Reason::kStopping);
}

std::size_t ParkedCalls::size() const {
  base::MutexLock lock(mutex_);
  return parked_.size();
}

}  // namespace gantry::steps
