// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_HEALTH_HEALTH_METRICS_H_
#define GANTRY_SERVER_HEALTH_HEALTH_METRICS_H_

#include <prometheus/metric_family.h>

#include <vector>

#include "server/cache/caches.h"
#include "server/health/health_cache.h"

namespace gantry::health {

// What the caches and the health of the Stages are at the moment, as Prometheus reads it:
//   gantry_stage_health_state{project,stage,state}   1 for the state a Stage is in, 0 for others
//   gantry_cache_synced                              1 once all caches were filled
//   gantry_cache_objects{resource}
//   gantry_cache_last_contact_timestamp_seconds      of the watch that was heard of longest ago
std::vector<prometheus::MetricFamily> CollectHealthMetrics(const HealthCache& health,
                                                           const cache::Caches& caches);

}  // namespace gantry::health

#endif  // GANTRY_SERVER_HEALTH_HEALTH_METRICS_H_
