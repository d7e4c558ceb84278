// SPDX-License-Identifier: Apache-2.0
#include "server/health/health_metrics.h"

#include <limits>
#include <utility>

#include "server/observability/metrics.h"
#include "server/stages/enum_names.h"

namespace gantry::health {

using observability::GaugeValue;
using prometheus::MetricFamily;
using prometheus::MetricType;

std::vector<MetricFamily> CollectHealthMetrics(const HealthCache& health,
                                               const cache::Caches& caches) {
  MetricFamily states{"gantry_stage_health_state",
                      "The health of a Stage: 1 for the state it is in, 0 for the others.",
                      MetricType::Gauge,
                      {}};
  const HealthCache::Page page =
      health.ListAfter(std::nullopt, "", {}, std::numeric_limits<std::size_t>::max());
  const Readings readings = caches.freshness.ReadEach();
  for (const StageSnapshotPtr& snapshot : page.stages) {
    const v1::HealthState current = health.Show(snapshot, readings).snapshot->state;
    for (const auto state :
         {v1::HEALTH_STATE_HEALTHY, v1::HEALTH_STATE_NOT_APPLICABLE, v1::HEALTH_STATE_PROGRESSING,
          v1::HEALTH_STATE_UNKNOWN, v1::HEALTH_STATE_UNHEALTHY}) {
      states.metric.push_back(GaugeValue({{"project", snapshot->name.project},
                                          {"stage", snapshot->name.stage},
                                          {"state", stages::ToWord(state)}},
                                         state == current ? 1 : 0));
    }
  }
  const cache::Freshness::Reading reading = caches.freshness.ReadAll();
  return {
      std::move(states),
      {"gantry_cache_synced",
       "1 once everything that is watched was read completely, else 0.",
       MetricType::Gauge,
       {GaugeValue({}, caches.freshness.AllSynced() ? 1 : 0)}},
      {"gantry_cache_objects",
       "Objects in the caches.",
       MetricType::Gauge,
       {GaugeValue({{"resource", "applications"}}, static_cast<double>(caches.applications.size())),
        GaugeValue({{"resource", "stagehealths"}}, static_cast<double>(caches.stages.size()))}},
      {"gantry_cache_last_contact_timestamp_seconds",
       "What happened before this time (since unix epoch in seconds) is in all caches.",
       MetricType::Gauge,
       {GaugeValue({}, absl::ToDoubleSeconds(reading.observed_time - absl::UnixEpoch()))}},
  };
}

}  // namespace gantry::health
