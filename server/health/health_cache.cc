// SPDX-License-Identifier: Apache-2.0
#include "server/health/health_cache.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/time_util.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/strings.h"
#include "base/text.h"
#include "server/authorization/authorized_stage.h"

namespace gantry::health {
namespace {

using cache::CachedApplicationPtr;
using cache::CachedStage;
using cache::Freshness;
using google::protobuf::internal::WireFormatLite;

// All three messages that carry a StageHealth have it as field 1.
static_assert(v1::GetStageHealthResponse::kHealthFieldNumber == 1);
static_assert(v1::ListStageHealthResponse::kStagesFieldNumber == 1);
static_assert(v1::WatchStageHealthResponse::kUpdatedFieldNumber == 1);

std::string AsField(const v1::StageHealth& health) {
  std::string field;
  google::protobuf::io::StringOutputStream stream(&field);
  google::protobuf::io::CodedOutputStream output(&stream);
  // Maps and unknown fields there are none, so equal messages have equal bytes.
  output.WriteTag(WireFormatLite::MakeTag(1, WireFormatLite::WIRETYPE_LENGTH_DELIMITED));
  output.WriteVarint32(static_cast<std::uint32_t>(health.ByteSizeLong()));
  health.SerializeToCodedStream(&output);
  return field;
}

void AddSource(Freshness::Source source, std::vector<Freshness::Source>& sources) {
  if (std::find(sources.begin(), sources.end(), source) == sources.end()) {
    sources.push_back(source);
  }
}

// Finds evidence for one judgement, keeps it alive for so long, and notes where it came from.
class EvidenceFinder {
 public:
  // `stored` is the status of the Stage that is judged, if it has one.
  EvidenceFinder(const HealthCache::Dependencies& dependencies, const stages::StageStatus* stored)
      : deps_(dependencies), stored_(stored) {}

  // Evidence counts as stale, too, when this source is.
  void DependOn(Freshness::Source source) {
    AddSource(source, sources_);
    const Freshness::Reading reading = deps_.caches.freshness.Read(source);
    if (reading.stale) stale_since_ = reading.observed_time;
  }
  std::optional<absl::Time> stale_since() const { return stale_since_; }

  // Applications that do not authorize this Stage are hidden.
  void HideFromOthersThan(const StageName& stage) { only_for_ = &stage; }

  Evidence Find(const argocd::ApplicationName& name) {
    Evidence evidence;
    const std::optional<Freshness::Source> source = deps_.caches.SourceOf(name.ns);
    const auto found =
        source ? deps_.caches.applications.Look(name) : cache::ApplicationCache::Found();
    evidence.unknown_since = UnknownSince(name, source, found.absent_since);
    if (!source) {
      evidence.why_absent = base::StrCat("namespace ", name.ns,
                                         " is not watched by this server (--watch-namespaces)");
      return evidence;
    }
    AddSource(*source, sources_);
    const Freshness::Reading reading = deps_.caches.freshness.Read(*source);
    if (reading.stale) evidence.stale_since = reading.observed_time;
    if (stale_since_) {
      evidence.stale_since = std::min(*stale_since_, evidence.stale_since.value_or(*stale_since_));
    }
    stale_ = stale_ || evidence.stale_since;
    if (found.object != nullptr && Hides(*found.object)) return evidence;
    evidence.application = found.object.get();
    if (found.object != nullptr) kept_.push_back(found.object);
    return evidence;
  }

  const std::vector<Freshness::Source>& sources() const { return sources_; }
  bool stale() const { return stale_ || stale_since_.has_value(); }

 private:
  // Each replica learned at a moment of its own that the Application is gone, and one that was
  // started later never did. What is stored all of them see; until it is, this server's own time
  // counts: that of the deletion, or since when it looks. A caller's own checks are not told of a
  // deletion: an Application that was hidden from the caller may be the one that is gone.
  absl::Time UnknownSince(const argocd::ApplicationName& name,
                          std::optional<Freshness::Source> source,
                          std::optional<absl::Time> deleted) const {
    const absl::Time looking =
        deps_.caches.freshness.SyncedAt(source.value_or(deps_.caches.stage_source()));
    if (stored_ == nullptr) return looking;
    for (const auto& application : stored_->applications) {
      if (application.name == name && application.state == v1::HEALTH_STATE_UNKNOWN &&
          application.since) {
        return *application.since;
      }
    }
    return deleted.value_or(looking);
  }

  bool Hides(const argocd::ObservedApplication& application) const {
    if (only_for_ == nullptr) return false;
    std::optional<std::string> annotation;
    if (application.authorized_stage) annotation = application.authorized_stage->str();
    return !authorization::AuthorizeStage(annotation, only_for_->project, only_for_->stage)
                .authorized;
  }

  const HealthCache::Dependencies& deps_;
  const stages::StageStatus* const stored_;
  const StageName* only_for_ = nullptr;
  std::optional<absl::Time> stale_since_;
  bool stale_ = false;
  std::vector<Freshness::Source> sources_;
  std::vector<CachedApplicationPtr> kept_;
};

void MakeUnknown(const std::string& issue, v1::StageHealth& health) {
  health.set_state(Merge(health.state(), v1::HEALTH_STATE_UNKNOWN));
  health.add_issues(issue);
  // It is the first thing to know.
  auto& issues = *health.mutable_issues();
  std::rotate(issues.begin(), issues.end() - 1, issues.end());
}

}  // namespace

v1::StageHealth StageSnapshot::Health() const {
  v1::GetStageHealthResponse response;
  response.ParseFromString(field);
  return std::move(*response.mutable_health());
}

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

StageSnapshotPtr HealthCache::JudgeOne(const CachedStage& stage,
                                       std::optional<absl::Time>* next_expiry) const {
  EvidenceFinder finder(deps_, &stage.status);
  finder.DependOn(deps_.caches.stage_source());
  const StageJudgement judgement = JudgeStage(
      stage.record, [&](const argocd::ApplicationName& name) { return finder.Find(name); },
      deps_.clock.Now());
  if (next_expiry != nullptr) *next_expiry = judgement.next_expiry;

  auto snapshot = std::make_shared<StageSnapshot>();
  v1::StageHealth health = judgement.health;
  if (!stage.problem.empty()) {
    const bool stored = stage.status.state == v1::HEALTH_STATE_UNKNOWN;
    const absl::Time since =
        (stored ? stage.status.transition_time : std::nullopt)
            .value_or(deps_.caches.freshness.SyncedAt(deps_.caches.stage_source()));
    MakeUnknown(base::StrCat("the record of the Stage can't be understood, UNKNOWN since ",
                             base::UtcTime(since), ": ", stage.problem,
                             "; correct the StageHealth, or delete it to forget the Stage"),
                health);
  }
  if (finder.stale_since()) {
    MakeUnknown(base::StrCat("nothing was heard of the record of the Stage since ",
                             base::UtcTime(*finder.stale_since())),
                health);
  }
  snapshot->judged_stale = finder.stale();
  if (!snapshot->judged_stale) {
    snapshot->status_differs =
        stages::NextStatus(health, stage.status, deps_.clock.Now()) != stage.status;
    snapshot->wants_refresh = judgement.wants_refresh;
  }
  // What is stored of another state tells nothing about this one, until the leader has stored it.
  if (stage.status.transition_time && stage.status.state == health.state()) {
    *health.mutable_transition_time() = google::protobuf::util::TimeUtil::NanosecondsToTimestamp(
        absl::ToUnixNanos(*stage.status.transition_time));
  }
  snapshot->name = stage.key();
  snapshot->state = health.state();
  snapshot->field = AsField(health);
  snapshot->sources = finder.sources();
  return snapshot;
}

void HealthCache::AddDue(absl::Time now, Pending& pending) {
  const absl::Duration boot = deps_.clock.SinceBoot();
  std::vector<bool> stale;
  for (const Freshness::Source source : deps_.caches.freshness.all()) {
    stale.push_back(deps_.caches.freshness.Read(source).stale);
  }
  if (!ready() || stale != stale_sources_) {
    for (const auto& stage : deps_.caches.stages.All()) pending.stages.emplace(stage->key(), boot);
  }
  stale_sources_ = std::move(stale);
  for (const auto& [time, stage] : expiries_) {
    if (time > now) break;
    pending.stages.emplace(stage, boot);
  }
  for (const auto& [application, received] : pending.applications) {
    const auto stages = stages_of_.find(application);
    if (stages == stages_of_.end()) continue;
    for (const StageName& stage : stages->second) {
      absl::Duration& first = pending.stages.emplace(stage, received).first->second;
      first = std::min(first, received);
    }
  }
}

void HealthCache::Index(const StageName& name,
                        const std::vector<argocd::ApplicationName>& applications) {
  std::vector<argocd::ApplicationName>& indexed = watched_[name].applications;
  if (indexed == applications) return;
  for (const argocd::ApplicationName& application : indexed) {
    const auto found = stages_of_.find(application);
    if (found == stages_of_.end()) continue;
    found->second.erase(name);
    if (found->second.empty()) stages_of_.erase(found);
  }
  for (const argocd::ApplicationName& application : applications) {
    stages_of_[application].insert(name);
  }
  indexed = applications;
}

absl::Duration HealthCache::JudgeDue() {
  Pending pending;
  {
    base::MutexLock lock(mutex_);
    woken_ = false;
    // What changes before everything is there is judged with everything.
    if (!deps_.caches.freshness.AllSynced()) {
      pending_ = {};
      return absl::InfiniteDuration();
    }
    std::swap(pending, pending_);
  }
  AddDue(deps_.clock.Now(), pending);

  std::vector<std::pair<StageName, StageSnapshotPtr>> changes;  // null: gone
  std::vector<StageName> published;
  std::vector<StageName> noted;
  for (const auto& [name, received] : pending.stages) {
    // Indexed before it is judged: an Application that changes meanwhile is looked at again.
    const cache::CachedStagePtr stage = deps_.caches.stages.Find(name);
    const auto watched = watched_.find(name);
    if (watched != watched_.end() && watched->second.next_expiry) {
      expiries_.erase({*watched->second.next_expiry, name});
    }
    const StageSnapshotPtr before = Find(name);
    if (stage == nullptr) {
      Index(name, {});
      watched_.erase(name);
      if (before == nullptr) continue;
      changes.emplace_back(name, nullptr);
      published.push_back(name);
    } else {
      std::vector<argocd::ApplicationName> applications;
      for (const auto& check : stage->record.health_checks) {
        applications.push_back(check.application);
      }
      Index(name, applications);
      std::optional<absl::Time>& expiry = watched_[name].next_expiry;
      StageSnapshotPtr now = JudgeOne(*stage, &expiry);
      if (expiry) expiries_.emplace(*expiry, name);
      const bool same_bytes = before != nullptr && before->field == now->field;
      const bool same = same_bytes && before->judged_stale == now->judged_stale &&
                        before->status_differs == now->status_differs &&
                        before->sources == now->sources &&
                        before->wants_refresh == now->wants_refresh;
      if (same) continue;
      changes.emplace_back(name, std::move(now));
      (same_bytes ? noted : published).push_back(name);
    }
    if (deps_.on_propagated) deps_.on_propagated(deps_.clock.SinceBoot() - received);
  }

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
  if (!changes.empty()) {
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
  return UntilNextDue();
}

absl::Duration HealthCache::UntilNextDue() const {
  absl::Duration due = absl::InfiniteDuration();
  if (!expiries_.empty()) due = expiries_.begin()->first - deps_.clock.Now();
  for (const Freshness::Source source : deps_.caches.freshness.all()) {
    const Freshness::Reading reading = deps_.caches.freshness.Read(source);
    // Stale is what is older than the limit, not what is just as old.
    if (!stale_sources_[source]) {
      due = std::min(due, reading.stale_at - deps_.clock.SinceBoot() + absl::Milliseconds(1));
    }
  }
  return std::max(due, absl::ZeroDuration());
}

void HealthCache::Run(base::Context& context) {
  while (context.Check().ok()) {
    // Clocks may be set, and CLOCK_BOOTTIME goes on while the machine sleeps and waiting does not.
    const absl::Duration idle = std::min(JudgeDue(), absl::Seconds(1));
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
  Shown shown{std::move(snapshot), reading.observed_time, reading.stale};
  if (reading.stale && !shown.snapshot->judged_stale) {
    // The judge has not come to it yet: this process may have been stopped for a while.
    const cache::CachedStagePtr stage = deps_.caches.stages.Find(shown.snapshot->name);
    CachedStage gone;
    gone.record.project = shown.snapshot->name.project;
    gone.record.stage = shown.snapshot->name.stage;
    gone.problem = "it has just been deleted";
    shown.snapshot = JudgeOne(stage != nullptr ? *stage : gone, nullptr);
  }
  // What was judged stale says so until it is judged again.
  shown.stale = shown.stale || shown.snapshot->judged_stale;
  return shown;
}

HealthCache::Judged HealthCache::Judge(
    const StageName& name, const google::protobuf::RepeatedPtrField<v1::HealthCheck>& checks,
    const std::string& default_namespace) const {
  EvidenceFinder finder(deps_, nullptr);
  finder.HideFromOthersThan(name);
  Judged judged;
  judged.health = JudgeHealthChecks(
      name.project, name.stage, checks, default_namespace,
      [&](const argocd::ApplicationName& application) { return finder.Find(application); });
  const Freshness::Reading reading = deps_.caches.freshness.Read(finder.sources());
  judged.observed_time = reading.observed_time;
  judged.stale = finder.stale();
  return judged;
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
