// SPDX-License-Identifier: Apache-2.0
#include "server/health/leader_work.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "base/strings.h"
#include "server/argocd/authorization.h"
#include "server/stages/stage_status.h"

namespace gantry::health {
namespace {

// How late the end of a term is noticed while nothing is due, at most.
constexpr std::chrono::milliseconds kLongestSleep{100};

}  // namespace

// Which Stages have changed since they were last looked at.
class LeaderWork::Changes final : public HealthListener {
 public:
  void OnPublished(const std::vector<StageName>& stages) override {
    {
      base::MutexLock lock(mutex_);
      changed_.insert(stages.begin(), stages.end());
    }
    wake_.NotifyOne();
  }

  void OnNoted(const std::vector<StageName>& stages) override { OnPublished(stages); }

  std::set<StageName> Take() {
    base::MutexLock lock(mutex_);
    return std::exchange(changed_, {});
  }

  void Wait(std::chrono::steady_clock::time_point until) {
    base::MutexLock lock(mutex_);
    if (changed_.empty()) wake_.WaitUntil(mutex_, until);
  }

 private:
  base::Mutex mutex_;
  base::ConditionVariable wake_;
  std::set<StageName> changed_ ABSL_GUARDED_BY(mutex_);
};

LeaderWork::LeaderWork(const Dependencies& dependencies, observability::Logger log)
    : deps_(dependencies), log_(std::move(log)), changes_(std::make_shared<Changes>()) {
  deps_.health.AddListener(changes_);
}

LeaderWork::~LeaderWork() { deps_.health.RemoveListener(changes_.get()); }

void LeaderWork::Lead(base::Context& term) {
  Begin();
  while (term.Check().ok()) {
    const absl::Duration idle = DoDue(term);
    const auto longest = std::min(idle, absl::FromChrono(kLongestSleep));
    changes_->Wait(std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(longest));
  }
}

void LeaderWork::Begin() {
  status_due_.clear();
  unreconciled_.clear();
  refresh_due_.clear();
  changes_->Take();
  std::vector<StageName> all;
  const auto page =
      deps_.health.ListAfter(std::nullopt, "", {}, std::numeric_limits<std::size_t>::max());
  for (const StageSnapshotPtr& snapshot : page.stages) all.push_back(snapshot->name);
  changes_->OnPublished(all);
}

void LeaderWork::TakeChanges() {
  const absl::Time now = deps_.clock.Now();
  bool other_refreshes = false;
  for (const StageName& name : changes_->Take()) {
    const StageSnapshotPtr snapshot = deps_.health.Find(name);
    if (snapshot != nullptr && snapshot->status_differs) {
      status_due_.emplace(name, now + kStatusDelay);
    } else {
      status_due_.erase(name);
    }
    if (snapshot == nullptr || snapshot->wants_refresh->empty()) {
      if (unreconciled_.erase(name) > 0) other_refreshes = true;
    } else if (SharedNames& known = unreconciled_[name]; known != snapshot->wants_refresh) {
      known = snapshot->wants_refresh;
      other_refreshes = true;
    }
  }
  if (other_refreshes) FindRefreshesDue(now);
}

void LeaderWork::FindRefreshesDue(absl::Time now) {
  // Those that are wanted, each with the time it is due; what is not wanted any more goes.
  std::map<argocd::ApplicationName, absl::Time> due;
  for (const auto& [stage, applications] : unreconciled_) {
    for (const argocd::ApplicationName& name : *applications) {
      const auto known = refresh_due_.find(name);
      if (known != refresh_due_.end()) {
        due.insert(*known);
        continue;
      }
      const auto application = deps_.caches.applications.Find(name);
      if (application == nullptr || !application->operation_state) continue;
      due.emplace(name, application->operation_state->finished_at.value_or(now) + kRefreshDelay);
    }
  }
  refresh_due_ = std::move(due);
}

absl::Duration LeaderWork::DoDue(base::Context& term) {
  TakeChanges();
  const absl::Time now = deps_.clock.Now();
  std::vector<StageName> stages;
  for (const auto& [name, due] : status_due_) {
    if (due <= now) stages.push_back(name);
  }
  for (const StageName& name : stages) {
    if (!term.Check().ok()) return absl::ZeroDuration();
    WriteStatus(name, term);
  }
  std::vector<argocd::ApplicationName> applications;
  for (const auto& [name, due] : refresh_due_) {
    if (due <= now) applications.push_back(name);
  }
  for (const argocd::ApplicationName& name : applications) {
    if (!term.Check().ok()) return absl::ZeroDuration();
    RequestRefresh(name, term);
  }

  absl::Time next = absl::InfiniteFuture();
  for (const auto& [name, due] : status_due_) next = std::min(next, due);
  for (const auto& [name, due] : refresh_due_) next = std::min(next, due);
  return std::max(absl::ZeroDuration(), next - deps_.clock.Now());
}

void LeaderWork::WriteStatus(const StageName& name, base::Context& term) {
  const absl::Time now = deps_.clock.Now();
  status_due_.erase(name);
  const StageSnapshotPtr snapshot = deps_.health.Find(name);
  const cache::CachedStagePtr stage = deps_.caches.stages.Find(name);
  if (snapshot == nullptr || stage == nullptr || snapshot->evaluated_stale) return;
  // An outage must not end in thousands of writes. When it is over before the next evaluation,
  // nothing is published that would bring this back.
  if (deps_.caches.freshness.Read(snapshot->sources).stale) {
    status_due_[name] = now + kStatusRetry;
    return;
  }
  const stages::StageStatus status = stages::NextStatus(snapshot->Health(), stage->status, now);
  if (status == stage->status) return;
  const absl::Status saved =
      deps_.stages.SaveStatus(name.project, name.stage, stage->resource_version, status, term);
  if (saved.ok()) return;
  // A change of the record that the watch has not brought yet is evaluated again when it does.
  const bool changed = absl::IsAborted(saved);
  status_due_[name] = now + (changed ? kStatusDelay : kStatusRetry);
  if (!changed && term.Check().ok()) {
    log_.Warning("the status of a Stage could not be written",
                 {{"project", name.project},
                  {"stage", name.stage},
                  {"error", base::ToStd(saved.message())}});
  }
}

bool LeaderWork::IsAuthorized(const cache::CachedApplication& application) const {
  return std::any_of(unreconciled_.begin(), unreconciled_.end(), [&](const auto& entry) {
    const auto& [stage, applications] = entry;
    return std::binary_search(applications->begin(), applications->end(), application.name) &&
           argocd::Authorizes(application, stage.project, stage.stage).authorized;
  });
}

void LeaderWork::RequestRefresh(const argocd::ApplicationName& name, base::Context& term) {
  absl::Time& due = refresh_due_[name];
  due = deps_.clock.Now() + kRefreshPeriod;
  const cache::CachedApplicationPtr application = deps_.caches.FindFresh(name);
  // What is asked for already, Argo CD will see when it comes.
  if (application == nullptr || application->refresh || !IsAuthorized(*application)) return;
  // It may be another operation than the one it was due for.
  if (application->operation_state && application->operation_state->finished_at) {
    const absl::Time earliest = *application->operation_state->finished_at + kRefreshDelay;
    if (deps_.clock.Now() < earliest) {
      due = earliest;
      return;
    }
  }
  if (!deps_.applications.MayRequestRefresh(name)) return;
  const absl::Status asked = deps_.applications.RequestRefresh(*application, term);
  if (absl::IsAborted(asked)) due = deps_.clock.Now() + kStatusDelay;
}

}  // namespace gantry::health
