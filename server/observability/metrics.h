// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_OBSERVABILITY_METRICS_H_
#define GANTRY_SERVER_OBSERVABILITY_METRICS_H_

#include <prometheus/metric_family.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/mutex.h"

namespace gantry::observability {

using Labels = std::map<std::string, std::string>;

// One metric with labels and a value, for collectors.
prometheus::ClientMetric GaugeValue(const Labels& labels, double value);
prometheus::ClientMetric CounterValue(const Labels& labels, double value);

// Counts, by labels. Any thread; a lock is held for the lookup alone.
class CounterFamily {
 public:
  CounterFamily(std::string name, std::string help)
      : name_(std::move(name)), help_(std::move(help)) {}

  // Makes the series known at zero, so that its first increase is seen as one.
  void Declare(const Labels& labels) { Add(labels, 0); }
  void Increment(const Labels& labels) { Add(labels, 1); }
  prometheus::MetricFamily Collect() const;

 private:
  void Add(const Labels& labels, std::uint64_t by);

  const std::string name_;
  const std::string help_;
  mutable base::Mutex mutex_;
  std::map<Labels, std::uint64_t> counts_ ABSL_GUARDED_BY(mutex_);
};

// How long things take. Any thread, without a lock.
class DurationHistogram {
 public:
  DurationHistogram() = default;
  void Observe(absl::Duration duration);
  prometheus::ClientMetric Collect(const Labels& labels) const;

 private:
  // 0.5 ms to 10 minutes, and beyond.
  static constexpr std::array<double, 18> kBounds = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                                     0.05,   0.1,   0.25,   0.5,   1,    2.5,
                                                     5,      10,    30,     60,    300,  600};
  std::array<std::atomic<std::uint64_t>, kBounds.size() + 1> buckets_{};
  std::atomic<std::uint64_t> sum_nanoseconds_{0};
};

// All metrics of the process, as Prometheus reads them: what is counted here, and what collectors
// read at the moment of the scrape from where it is kept anyway. Owned by the wiring. Collectors
// are added before anything is served; any thread otherwise.
class Metrics {
 public:
  // `version` is that of the program; `started` when the process did.
  Metrics(std::string version, absl::Time started);

  // gantry_watch_events_total{resource,type}, gantry_watch_restarts_total{resource,reason}
  CounterFamily& watch_events() { return watch_events_; }
  CounterFamily& watch_restarts() { return watch_restarts_; }
  // gantry_step_runs_total{uses,status,reason}, gantry_step_duration_seconds{uses}
  CounterFamily& step_runs() { return step_runs_; }
  void ObserveStep(const std::string& uses, absl::Duration duration);
  // gantry_conflicts_total
  CounterFamily& conflicts() { return conflicts_; }
  // gantry_propagation_seconds
  DurationHistogram& propagation() { return propagation_; }

  using Collector = std::function<std::vector<prometheus::MetricFamily>()>;
  void AddCollector(Collector collector) { collectors_.push_back(std::move(collector)); }

  // In Prometheus' text format.
  std::string Serialize() const;

 private:
  const std::string version_;
  const absl::Time started_;
  CounterFamily watch_events_;
  CounterFamily watch_restarts_;
  CounterFamily step_runs_;
  CounterFamily conflicts_;
  DurationHistogram propagation_;
  mutable base::Mutex mutex_;
  std::map<std::string, std::unique_ptr<DurationHistogram>> step_durations_ ABSL_GUARDED_BY(mutex_);
  std::vector<Collector> collectors_;
};

}  // namespace gantry::observability

#endif  // GANTRY_SERVER_OBSERVABILITY_METRICS_H_
