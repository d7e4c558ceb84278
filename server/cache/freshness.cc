// SPDX-License-Identifier: Apache-2.0
#include "server/cache/freshness.h"

#include <algorithm>

#include "base/strings.h"

namespace gantry::cache {
namespace {

std::string Seconds(absl::Duration duration) {
  return absl::FormatDuration(absl::Trunc(duration, absl::Seconds(1)));
}

void TakeOlder(const Freshness::Reading& reading, Freshness::Reading& oldest) {
  oldest.observed_time = std::min(oldest.observed_time, reading.observed_time);
  oldest.age = std::max(oldest.age, reading.age);
  oldest.stale = oldest.stale || reading.stale;
  oldest.stale_at = std::min(oldest.stale_at, reading.stale_at);
}

}  // namespace

Freshness::Source Freshness::AddSource(std::string resource, std::string scope) {
  State& state = sources_.emplace_back();
  state.resource = std::move(resource);
  state.scope = std::move(scope);
  all_.push_back(sources_.size() - 1);
  return all_.back();
}

void Freshness::UpToDate(Source source, absl::Duration time) {
  State& state = sources_[source];
  const std::int64_t boot = absl::ToInt64Nanoseconds(time);
  // One watch reports for one source, so nobody else moves it.
  if (boot <= state.boot.load(std::memory_order_relaxed)) return;
  const bool was_stale = Read(source).stale;
  const absl::Time wall = clock_.Now() - (clock_.SinceBoot() - time);
  state.wall.store(absl::ToUnixNanos(wall), std::memory_order_relaxed);
  state.boot.store(boot, std::memory_order_release);
  if (was_stale && listener_) listener_();
}

void Freshness::SetSynced(Source source) {
  std::int64_t not_synced = 0;
  if (!sources_[source].synced.compare_exchange_strong(not_synced,
                                                       absl::ToUnixNanos(clock_.Now()))) {
    return;
  }
  if (listener_) listener_();
}

absl::Time Freshness::SyncedAt(Source source) const {
  return absl::FromUnixNanos(sources_[source].synced.load(std::memory_order_acquire));
}

bool Freshness::IsSynced(Source source) const {
  return sources_[source].synced.load(std::memory_order_acquire) != 0;
}

bool Freshness::AllSynced() const {
  return std::all_of(all_.begin(), all_.end(), [&](Source source) { return IsSynced(source); });
}

Freshness::Reading Freshness::ReadAt(Source source, absl::Duration since_boot) const {
  const State& state = sources_[source];
  const absl::Duration boot = absl::Nanoseconds(state.boot.load(std::memory_order_acquire));
  Reading reading;
  reading.observed_time = absl::FromUnixNanos(state.wall.load(std::memory_order_relaxed));
  reading.age = std::max(absl::ZeroDuration(), since_boot - boot);
  reading.stale = reading.age > limit_;
  reading.stale_at = boot + limit_;
  return reading;
}

Freshness::Reading Freshness::Read(const std::vector<Source>& sources) const {
  if (sources.empty()) {
    Reading reading;
    reading.observed_time = clock_.Now();
    reading.stale_at = absl::InfiniteDuration();
    return reading;
  }
  const absl::Duration since_boot = clock_.SinceBoot();
  Reading oldest = ReadAt(sources[0], since_boot);
  for (std::size_t i = 1; i < sources.size(); ++i) {
    TakeOlder(ReadAt(sources[i], since_boot), oldest);
  }
  return oldest;
}

std::vector<Freshness::Reading> Freshness::ReadEach() const {
  const absl::Duration since_boot = clock_.SinceBoot();
  std::vector<Reading> readings;
  readings.reserve(all_.size());
  for (const Source source : all_) readings.push_back(ReadAt(source, since_boot));
  return readings;
}

Freshness::Reading Freshness::Oldest(const std::vector<Reading>& readings,
                                     const std::vector<Source>& sources) {
  Reading oldest = readings[sources[0]];
  for (std::size_t i = 1; i < sources.size(); ++i) TakeOlder(readings[sources[i]], oldest);
  return oldest;
}

std::string Freshness::WhyNotSynced() const {
  for (const Source source : all_) {
    if (!IsSynced(source)) {
      return base::StrCat("the first list of ", ResourceOf(source), " in ", ScopeOf(source),
                          " is not complete yet");
    }
  }
  return "";
}

std::string Freshness::WhyNotFresh() const {
  for (const Source source : all_) {
    const Reading reading = Read(source);
    if (!IsSynced(source) || !reading.stale) continue;
    return base::StrCat("nothing was heard of ", ResourceOf(source), " in ", ScopeOf(source),
                        " for ", Seconds(reading.age), ", the limit is ", Seconds(limit_));
  }
  return "";
}

}  // namespace gantry::cache
