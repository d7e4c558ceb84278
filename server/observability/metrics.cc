// SPDX-License-Identifier: Apache-2.0
#include "server/observability/metrics.h"

#include <dirent.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <utility>

namespace gantry::observability {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

std::vector<ClientMetric::Label> ToLabels(const Labels& labels) {
  std::vector<ClientMetric::Label> converted;
  for (const auto& [name, value] : labels) converted.push_back({name, value});
  return converted;
}

MetricFamily Gauge(const char* name, const char* help, double value) {
  return {name, help, MetricType::Gauge, {GaugeValue({}, value)}};
}

double OpenFiles() {
  DIR* folder = opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  // Not ".", "..", and the folder itself.
  double count = -3;
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

// Those of Prometheus' own client libraries.
std::vector<MetricFamily> ProcessFamilies(absl::Time started) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  double virtual_pages = 0;
  double resident_pages = 0;
  std::ifstream("/proc/self/statm") >> virtual_pages >> resident_pages;
  const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
  return {
      {"process_cpu_seconds_total",
       "Total user and system CPU time spent in seconds.",
       MetricType::Counter,
       {CounterValue({}, seconds(usage.ru_utime) + seconds(usage.ru_stime))}},
      Gauge("process_open_fds", "Number of open file descriptors.", OpenFiles()),
      Gauge("process_max_fds", "Maximum number of open file descriptors.",
            static_cast<double>(files.rlim_cur)),
      Gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", virtual_pages * page),
      Gauge("process_resident_memory_bytes", "Resident memory size in bytes.",
            resident_pages * page),
      Gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
            absl::ToDoubleSeconds(started - absl::UnixEpoch())),
  };
}

}  // namespace

ClientMetric GaugeValue(const Labels& labels, double value) {
  ClientMetric metric;
  metric.label = ToLabels(labels);
  metric.gauge.value = value;
  return metric;
}

ClientMetric CounterValue(const Labels& labels, double value) {
  ClientMetric metric;
  metric.label = ToLabels(labels);
  metric.counter.value = value;
  return metric;
}

void CounterFamily::Add(const Labels& labels, std::uint64_t by) {
  base::MutexLock lock(mutex_);
  counts_[labels] += by;
}

MetricFamily CounterFamily::Collect() const {
  MetricFamily family{name_, help_, MetricType::Counter, {}};
  base::MutexLock lock(mutex_);
  for (const auto& [labels, count] : counts_) {
    family.metric.push_back(CounterValue(labels, static_cast<double>(count)));
  }
  return family;
}

void DurationHistogram::Observe(absl::Duration duration) {
  const double seconds = absl::ToDoubleSeconds(duration);
  const auto* const bound = std::lower_bound(kBounds.begin(), kBounds.end(), seconds);
  buckets_[static_cast<std::size_t>(bound - kBounds.begin())].fetch_add(1,
                                                                        std::memory_order_relaxed);
  sum_nanoseconds_.fetch_add(
      static_cast<std::uint64_t>(std::max<std::int64_t>(0, absl::ToInt64Nanoseconds(duration))),
      std::memory_order_relaxed);
}

ClientMetric DurationHistogram::Collect(const Labels& labels) const {
  ClientMetric metric;
  metric.label = ToLabels(labels);
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    count += buckets_[i].load(std::memory_order_relaxed);
    ClientMetric::Bucket bucket;
    bucket.cumulative_count = count;
    bucket.upper_bound = i < kBounds.size() ? kBounds[i] : std::numeric_limits<double>::infinity();
    metric.histogram.bucket.push_back(bucket);
  }
  metric.histogram.sample_count = count;
  metric.histogram.sample_sum =
      static_cast<double>(sum_nanoseconds_.load(std::memory_order_relaxed)) / 1e9;
  return metric;
}

Metrics::Metrics(std::string version, absl::Time started)
    : version_(std::move(version)),
      started_(started),
      watch_events_("gantry_watch_events_total",
                    "Events that the watches on the Kubernetes API brought."),
      watch_restarts_("gantry_watch_restarts_total",
                      "Watches and lists on the Kubernetes API that were begun again, by why."),
      step_runs_("gantry_step_runs_total", "Calls of RunStep, by kind of step and result."),
      conflicts_("gantry_conflicts_total",
                 "Writes that the Kubernetes API refused because somebody else was faster.") {
  conflicts_.Declare({});
}

void Metrics::ObserveStep(const std::string& uses, absl::Duration duration) {
  DurationHistogram* histogram = nullptr;
  {
    base::MutexLock lock(mutex_);
    auto& found = step_durations_[uses];
    if (found == nullptr) found = std::make_unique<DurationHistogram>();
    histogram = found.get();
  }
  histogram->Observe(duration);
}

std::string Metrics::Serialize() const {
  std::vector<MetricFamily> families;
  families.push_back({"gantry_build_info",
                      "The version of this program; always 1.",
                      MetricType::Gauge,
                      {GaugeValue({{"version", version_}}, 1)}});
  for (const Collector& collector : collectors_) {
    for (MetricFamily& family : collector()) families.push_back(std::move(family));
  }
  for (const CounterFamily* counters :
       {&watch_events_, &watch_restarts_, &step_runs_, &conflicts_}) {
    families.push_back(counters->Collect());
  }
  families.push_back({"gantry_propagation_seconds",
                      "From the arrival of a change until the health that follows is published.",
                      MetricType::Histogram,
                      {propagation_.Collect({})}});
  MetricFamily durations{"gantry_step_duration_seconds",
                         "How long calls of RunStep took, the time that callers asked to wait "
                         "included.",
                         MetricType::Histogram,
                         {}};
  {
    base::MutexLock lock(mutex_);
    for (const auto& [uses, histogram] : step_durations_) {
      durations.metric.push_back(histogram->Collect({{"uses", uses}}));
    }
  }
  families.push_back(std::move(durations));
  for (MetricFamily& family : ProcessFamilies(started_)) families.push_back(std::move(family));
  // A family without a series has nothing to say.
  std::erase_if(families, [](const MetricFamily& family) { return family.metric.empty(); });
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace gantry::observability
