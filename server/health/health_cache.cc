// SPDX-License-Identifier: Apache-2.0
#include "server/health/health_cache.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "server/health/evidence.h"
#include "server/health/stage_rules.h"

namespace gantry::health {

using cache::Freshness;

HealthCache::HealthCache(Dependencies dependencies) : deps_(std::move(dependencies)) {}

void HealthCache::ApplicationChanged(const argocd::ApplicationName& name) {
  {
    base::MutexLock lock(mutex_);
    pending_.applications.emplace(name, deps_.clock.SinceBoot());
    woken_ = true;
  }
  wake_.NotifyOne();
}

void HealthCache::StageChanged(const StageName& name) {
  {
    base::MutexLock lock(mutex_);
    pending_.stages.emplace(name, deps_.clock.SinceBoot());
    woken_ = true;
  }
  wake_.NotifyOne();
}

void HealthCache::FreshnessChanged() {
  {
    base::MutexLock lock(mutex_);
    woken_ = true;
  }
  wake_.NotifyOne();
}

std::string HealthCache::WhyNotReady() const {
  return ready() ? "" : "the health of the Stages is not evaluated yet";
}

HealthCache::AllDue HealthCache::FindDue(const Pending& pending, const Moment& moment) {
  AllDue all;
  for (const auto& [name, received] : pending.stages) {
    all[name] = {
        .received = received, .stage_changed = true, .other_evidence = false, .applications = {}};
  }
  const absl::Duration boot = deps_.clock.SinceBoot();
  const auto due = [&all](const StageName& name, absl::Duration received) -> Due& {
    Due& found = all.try_emplace(name, Due{.received = received,
                                           .stage_changed = false,
                                           .other_evidence = false,
                                           .applications = {}})
                     .first->second;
    found.received = std::min(found.received, received);
    return found;
  };
  std::vector<std::optional<absl::Time>> stale_since;
  for (const Freshness::Source source : deps_.caches.freshness.all()) {
    stale_since.push_back(StaleSince(moment.readings, source));
  }
  if (!ready()) {
    for (const auto& stage : deps_.caches.stages.All()) {
      due(stage->key(), boot).stage_changed = true;
    }
  } else if (stale_since != stale_since_) {
    for (const auto& [name, evaluator] : evaluators_) due(name, boot).other_evidence = true;
  }
  stale_since_ = std::move(stale_since);
  for (const auto& [time, stage] : expiries_) {
    if (time > moment.now) break;
    due(stage, boot);
  }
  for (const auto& [application, received] : pending.applications) {
    const auto stages = stages_of_.find(application);
    if (stages == stages_of_.end()) continue;
    for (const Dependent& dependent : stages->second) {
      due(dependent.evaluator->stage()->key(), received)
          .applications.push_back(dependent.application);
    }
  }
  return all;
}

void HealthCache::Index(StageEvaluator& evaluator, const stages::StageRecord* record) {
  using Checks = std::vector<const stages::HealthCheckRecord*>;
  const Checks indexed =
      evaluator.stage() != nullptr ? ChecksInOrder(evaluator.stage()->record) : Checks();
  const Checks checks = record != nullptr ? ChecksInOrder(*record) : Checks();
  const auto same = [](const auto* a, const auto* b) { return a->application == b->application; };
  if (std::equal(indexed.begin(), indexed.end(), checks.begin(), checks.end(), same)) return;
  for (const auto* check : indexed) {
    const auto found = stages_of_.find(check->application);
    if (found == stages_of_.end()) continue;
    std::erase_if(found->second, [&](const auto& known) { return known.evaluator == &evaluator; });
    if (found->second.empty()) stages_of_.erase(found);
  }
  for (std::size_t i = 0; i < checks.size(); ++i) {
    stages_of_[checks[i]->application].push_back({&evaluator, i});
  }
}

StageSnapshotPtr HealthCache::EvaluateStage(const StageName& name, const Due& due,
                                            const Moment& moment) {
  auto known = evaluators_.find(name);
  if (known != evaluators_.end() && known->second.next_expiry()) {
    expiries_.erase({*known->second.next_expiry(), name});
  }
  if (due.stage_changed) {
    cache::CachedStagePtr stage = deps_.caches.stages.Find(name);
    if (stage == nullptr) {
      if (known == evaluators_.end()) return nullptr;
      Index(known->second, nullptr);
      evaluators_.erase(known);
      return nullptr;
    }
    if (known == evaluators_.end()) known = evaluators_.try_emplace(name, deps_.caches).first;
    // Indexed before it is evaluated: an Application that changes meanwhile is looked at again.
    Index(known->second, &stage->record);
    known->second.SetStage(std::move(stage));
  }
  StageEvaluator& evaluator = known->second;
  if (due.other_evidence) evaluator.ExpectOtherEvidence();
  StageSnapshotPtr snapshot = evaluator.Evaluate(due.applications, moment);
  if (evaluator.next_expiry()) expiries_.emplace(*evaluator.next_expiry(), name);
  return snapshot;
}

absl::Duration HealthCache::EvaluateDue() {
  Pending pending;
  {
    base::MutexLock lock(mutex_);
    woken_ = false;
    // What changes before everything is there is evaluated with everything.
    if (!deps_.caches.freshness.AllSynced()) {
      pending_ = {};
      return absl::InfiniteDuration();
    }
    std::swap(pending, pending_);
  }
  const Moment moment{deps_.clock.Now(), deps_.caches.freshness.ReadEach()};
  std::vector<std::pair<StageName, StageSnapshotPtr>> changes;  // null: gone
  std::vector<StageName> published;
  std::vector<StageName> noted;
  for (const auto& [name, due] : FindDue(pending, moment)) {
    const StageSnapshotPtr before = Find(name);
    StageSnapshotPtr now = EvaluateStage(name, due, moment);
    if (now == before) continue;
    const bool same_bytes = before != nullptr && now != nullptr && SameBytes(*before, *now);
    (same_bytes ? noted : published).push_back(name);
    changes.emplace_back(name, std::move(now));
    if (deps_.on_propagated) deps_.on_propagated(deps_.clock.SinceBoot() - due.received);
  }
  Publish(changes, published, noted);
  return UntilNextDue();
}

void HealthCache::Publish(const std::vector<std::pair<StageName, StageSnapshotPtr>>& changes,
                          const std::vector<StageName>& published,
                          const std::vector<StageName>& noted) {
  if (!changes.empty()) {
    snapshots_.Write([&](Snapshots& snapshots) {
      for (const auto& [name, snapshot] : changes) {
        if (snapshot == nullptr) {
          snapshots.erase(name);
        } else {
          snapshots[name] = snapshot;
        }
      }
    });
  }
  ready_.store(true, std::memory_order_release);
  if (changes.empty()) return;
  std::shared_ptr<const Listeners> listeners;
  {
    base::MutexLock lock(listeners_mutex_);
    listeners = listeners_;
  }
  for (const auto& listener : *listeners) {
    if (!published.empty()) listener->OnPublished(published);
    if (!noted.empty()) listener->OnNoted(noted);
  }
}

absl::Duration HealthCache::UntilNextDue() const {
  absl::Duration due = absl::InfiniteDuration();
  if (!expiries_.empty()) due = expiries_.begin()->first - deps_.clock.Now();
  const absl::Duration boot = deps_.clock.SinceBoot();
  for (const Freshness::Source source : deps_.caches.freshness.all()) {
    // Stale is what is older than the limit, not what is just as old.
    if (!stale_since_[source]) {
      const Freshness::Reading reading = deps_.caches.freshness.Read(source);
      due = std::min(due, reading.stale_at - boot + absl::Milliseconds(1));
    }
  }
  return std::max(due, absl::ZeroDuration());
}

void HealthCache::Run(base::Context& context) {
  while (context.Check().ok()) {
    // Clocks may be set, and CLOCK_BOOTTIME goes on while the machine sleeps and waiting does not.
    const absl::Duration idle = std::min(EvaluateDue(), absl::Seconds(1));
    base::MutexLock lock(mutex_);
    const auto until = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(idle);
    while (!woken_ && context.Check().ok() && wake_.WaitUntil(mutex_, until)) {
    }
  }
}

StageSnapshotPtr HealthCache::Find(const StageName& name) const {
  return snapshots_.Read([&](const Snapshots& snapshots) -> StageSnapshotPtr {
    const auto found = snapshots.find(name);
    return found == snapshots.end() ? nullptr : found->second;
  });
}

HealthCache::Page HealthCache::ListAfter(const std::optional<StageName>& after,
                                         const std::string& project,
                                         const std::set<v1::HealthState>& states,
                                         std::size_t limit) const {
  const StageName first{project, ""};
  return snapshots_.Read([&](const Snapshots& snapshots) {
    Page page;
    auto place =
        after && *after >= first ? snapshots.upper_bound(*after) : snapshots.lower_bound(first);
    for (; place != snapshots.end(); ++place) {
      if (!project.empty() && place->first.project != project) break;
      if (!states.empty() && !states.contains(place->second->state)) continue;
      if (page.stages.size() == limit) {
        page.more = true;
        break;
      }
      page.stages.push_back(place->second);
    }
    return page;
  });
}

HealthCache::Shown HealthCache::Show(StageSnapshotPtr snapshot) const {
  const Freshness::Reading reading = deps_.caches.freshness.Read(snapshot->sources);
  return Show(std::move(snapshot), reading);
}

HealthCache::Shown HealthCache::Show(StageSnapshotPtr snapshot, const Readings& readings) const {
  const Freshness::Reading reading = Freshness::Oldest(readings, snapshot->sources);
  return Show(std::move(snapshot), reading);
}

HealthCache::Shown HealthCache::Show(StageSnapshotPtr snapshot,
                                     const Freshness::Reading& reading) const {
  Shown shown{std::move(snapshot), reading.observed_time, reading.stale};
  if (reading.stale && !shown.snapshot->evaluated_stale) {
    // The next evaluation is still to come: this process may have been stopped for a while.
    cache::CachedStagePtr stage = deps_.caches.stages.Find(shown.snapshot->name);
    if (stage == nullptr) {
      auto gone = std::make_shared<cache::CachedStage>();
      gone->record.project = shown.snapshot->name.project;
      gone->record.stage = shown.snapshot->name.stage;
      gone->problem = "it has just been deleted";
      stage = std::move(gone);
    }
    StageEvaluator evaluator(deps_.caches);
    evaluator.SetStage(std::move(stage));
    shown.snapshot = evaluator.Evaluate({}, {deps_.clock.Now(), deps_.caches.freshness.ReadEach()});
  }
  // What was evaluated on stale evidence says so until it is evaluated again.
  shown.stale = shown.stale || shown.snapshot->evaluated_stale;
  return shown;
}

HealthCache::CheckedHealth HealthCache::EvaluateChecks(
    const StageName& name, const google::protobuf::RepeatedPtrField<v1::HealthCheck>& checks,
    const std::string& default_namespace) const {
  const Readings readings = deps_.caches.freshness.ReadEach();
  std::vector<Freshness::Source> sources;
  std::vector<cache::CachedApplicationPtr> kept;
  CheckedHealth checked;
  checked.health = EvaluateHealthChecks(
      name.project, name.stage, checks, default_namespace,
      [&](const argocd::ApplicationName& application) {
        FoundEvidence found = FindAuthorizedEvidenceOf(application, deps_.caches, readings, name);
        if (const auto source = deps_.caches.SourceOf(application.ns)) sources.push_back(*source);
        kept.push_back(std::move(found.application));
        return std::move(found.evidence);
      });
  if (sources.empty()) {
    checked.observed_time = deps_.clock.Now();
    return checked;
  }
  const Freshness::Reading oldest = Freshness::Oldest(readings, sources);
  checked.observed_time = oldest.observed_time;
  checked.stale = oldest.stale;
  return checked;
}

void HealthCache::AddListener(std::shared_ptr<HealthListener> listener) {
  base::MutexLock lock(listeners_mutex_);
  auto listeners = std::make_shared<Listeners>(*listeners_);
  listeners->push_back(std::move(listener));
  listeners_ = std::move(listeners);
}

void HealthCache::RemoveListener(const HealthListener* listener) {
  // The last reference may be this one; what goes with it must not go under the lock.
  std::shared_ptr<const Listeners> old;
  base::MutexLock lock(listeners_mutex_);
  auto listeners = std::make_shared<Listeners>(*listeners_);
  std::erase_if(*listeners, [&](const auto& known) { return known.get() == listener; });
  old = std::exchange(listeners_, std::move(listeners));
}

}  // namespace gantry::health
