// SPDX-License-Identifier: Apache-2.0
#include "server/steps/pending_calls.h"

#include <algorithm>
#include <optional>

#include "server/steps/resolve.h"

namespace gantry::steps {
namespace {

// How late a cancelled context is noticed by the timer's thread, at most.
constexpr std::chrono::milliseconds kLongestSleep{200};

template <typename Key>
void Erase(std::map<Key, std::set<PendingCalls::Id>>& index, const Key& key, PendingCalls::Id id) {
  const auto found = index.find(key);
  if (found == index.end()) return;
  found->second.erase(id);
  if (found->second.empty()) index.erase(found);
}

}  // namespace

bool PendingCalls::HasChanged(const Interest& interest) const {
  if (caches_.stages.Look(interest.stage).changed > interest.seen.stages) return true;
  const auto changed = [&](const argocd::ApplicationName& name) {
    return caches_.applications.Look(name).changed > interest.seen.applications;
  };
  if (std::any_of(interest.applications.begin(), interest.applications.end(), changed)) return true;
  // What has begun to match a selector since has changed since.
  if (interest.selectors.empty() || caches_.applications.changed() == interest.seen.applications) {
    return false;
  }
  return std::any_of(interest.selectors.begin(), interest.selectors.end(),
                     [&](const ApplicationSelection& selector) {
                       const auto in_namespace = [&](const argocd::ApplicationName& name) {
                         return name.ns == selector.ns;
                       };
                       const auto all = caches_.applications.From({selector.ns, ""}, in_namespace);
                       return std::any_of(all.begin(), all.end(), [&](const auto& application) {
                         return changed(application->name) && Matches(selector, *application);
                       });
                     });
}

void PendingCalls::Add(Id id, const Interest& interest, const base::Context& context,
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
      for (const ApplicationSelection& selector : interest.selectors) {
        by_selector_[selector.ns].insert(id);
      }
      by_stage_[interest.stage].insert(id);
      by_time_.emplace(interest.due, id);
      if (by_time_.begin()->second == id) wake_timer_.NotifyOne();
      pending_.emplace(id, Entry{interest, wake});
    }
  }
  if (reason) return wake(*reason);
  // Looked at once the call can be found: what changes after this wakes it.
  if (HasChanged(interest) && Withdraw(id)) wake(Reason::kChanged);
}

PendingCalls::Wake PendingCalls::TakeLocked(Table::iterator entry) {
  const Id id = entry->first;
  const Interest& interest = entry->second.interest;
  for (const argocd::ApplicationName& name : interest.applications) {
    Erase(by_application_, name, id);
  }
  for (const ApplicationSelection& selector : interest.selectors) {
    Erase(by_selector_, selector.ns, id);
  }
  Erase(by_stage_, interest.stage, id);
  by_time_.erase({interest.due, id});
  Wake wake = std::move(entry->second.wake);
  pending_.erase(entry);
  return wake;
}

template <typename Key>
std::vector<PendingCalls::Wake> PendingCalls::TakeLocked(const std::map<Key, std::set<Id>>& index,
                                                         const Key& key) {
  std::vector<Wake> woken;
  const auto found = index.find(key);
  if (found == index.end()) return woken;
  // Taking one changes the index.
  const std::set<Id> ids = found->second;
  for (const Id id : ids) woken.push_back(TakeLocked(pending_.find(id)));
  return woken;
}

bool PendingCalls::Withdraw(Id id) {
  Wake unused;
  base::MutexLock lock(mutex_);
  const auto found = pending_.find(id);
  if (found == pending_.end()) return false;
  unused = TakeLocked(found);
  return true;
}

std::vector<PendingCalls::Id> PendingCalls::MatchedLocked(
    const argocd::ApplicationName& name, const argocd::Application& application) const {
  std::vector<Id> matched;
  const auto in_namespace = by_selector_.find(name.ns);
  if (in_namespace == by_selector_.end()) return matched;
  for (const Id id : in_namespace->second) {
    const std::vector<ApplicationSelection>& selectors = pending_.at(id).interest.selectors;
    if (std::any_of(selectors.begin(), selectors.end(), [&](const ApplicationSelection& selector) {
          return selector.ns == name.ns && Matches(selector, application);
        })) {
      matched.push_back(id);
    }
  }
  return matched;
}

void PendingCalls::ApplicationChanged(const argocd::ApplicationName& name) {
  const cache::CachedApplicationPtr application = caches_.applications.Find(name);
  std::vector<Wake> woken;
  {
    base::MutexLock lock(mutex_);
    woken = TakeLocked(by_application_, name);
    if (application != nullptr) {
      for (const Id id : MatchedLocked(name, *application)) {
        woken.push_back(TakeLocked(pending_.find(id)));
      }
    }
  }
  for (const Wake& wake : woken) wake(Reason::kChanged);
}

void PendingCalls::StageChanged(const cache::StageName& name) {
  std::vector<Wake> woken;
  {
    base::MutexLock lock(mutex_);
    woken = TakeLocked(by_stage_, name);
  }
  for (const Wake& wake : woken) wake(Reason::kChanged);
}

PendingCalls::TimePoint PendingCalls::WakeDue(TimePoint now) {
  std::vector<Wake> woken;
  TimePoint next = TimePoint::max();
  {
    base::MutexLock lock(mutex_);
    while (!by_time_.empty() && by_time_.begin()->first <= now) {
      woken.push_back(TakeLocked(pending_.find(by_time_.begin()->second)));
    }
    if (!by_time_.empty()) next = by_time_.begin()->first;
  }
  for (const Wake& wake : woken) wake(Reason::kDue);
  return next;
}

void PendingCalls::Run(base::Context& context) {
  while (context.Check().ok()) {
    const TimePoint now = std::chrono::steady_clock::now();
    const TimePoint next = WakeDue(now);
    base::MutexLock lock(mutex_);
    const bool as_before =
        by_time_.empty() ? next == TimePoint::max() : by_time_.begin()->first == next;
    if (as_before) wake_timer_.WaitUntil(mutex_, std::min(next, now + kLongestSleep));
  }
}

void PendingCalls::Stop() {
  std::vector<Wake> woken;
  {
    base::MutexLock lock(mutex_);
    stopping_ = true;
    while (!pending_.empty()) woken.push_back(TakeLocked(pending_.begin()));
  }
  for (const Wake& wake : woken) wake(Reason::kStopping);
}

std::size_t PendingCalls::size() const {
  base::MutexLock lock(mutex_);
  return pending_.size();
}

}  // namespace gantry::steps
