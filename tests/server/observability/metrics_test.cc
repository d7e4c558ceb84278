// SPDX-License-Identifier: Apache-2.0
#include "server/observability/metrics.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_split.h"

namespace gantry::observability {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

const absl::Time kStarted = absl::FromUnixSeconds(1'700'000'000);

std::vector<std::string> Lines(const std::string& text) {
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

// The lines of one family, without its comments.
std::vector<std::string> Series(const Metrics& metrics, const std::string& family) {
  std::vector<std::string> series;
  for (const std::string& line : Lines(metrics.Serialize())) {
    if (line.starts_with(family)) series.push_back(line);
  }
  return series;
}

TEST(Metrics, TellTheVersion) {
  const Metrics metrics("1.2.3", kStarted);
  EXPECT_THAT(Series(metrics, "gantry_build_info"),
              ElementsAre("gantry_build_info{version=\"1.2.3\"} 1"));
}

TEST(Metrics, CountersCountByLabels) {
  Metrics metrics("1", kStarted);
  metrics.watch_events().Increment({{"resource", "applications"}, {"type", "ADDED"}});
  metrics.watch_events().Increment({{"resource", "applications"}, {"type", "ADDED"}});
  metrics.watch_events().Increment({{"resource", "stagehealths"}, {"type", "ADDED"}});
  EXPECT_THAT(Series(metrics, "gantry_watch_events_total"),
              ElementsAre("gantry_watch_events_total{resource=\"applications\",type=\"ADDED\"} 2",
                          "gantry_watch_events_total{resource=\"stagehealths\",type=\"ADDED\"} 1"));
  const std::vector<std::string> lines = Lines(metrics.Serialize());
  EXPECT_THAT(lines, Contains("# TYPE gantry_watch_events_total counter"));
  EXPECT_THAT(lines, Contains("# HELP gantry_watch_events_total Events that the watches on the "
                              "Kubernetes API brought."));
}

TEST(Metrics, WhatIsDeclaredIsThereAtZero) {
  Metrics metrics("1", kStarted);
  EXPECT_THAT(Series(metrics, "gantry_conflicts_total"), ElementsAre("gantry_conflicts_total 0"));
  metrics.step_runs().Declare({{"uses", "argocd-update"}});
  metrics.step_runs().Increment({{"uses", "argocd-update"}});
  metrics.step_runs().Declare({{"uses", "argocd-update"}});
  EXPECT_THAT(Series(metrics, "gantry_step_runs_total"),
              ElementsAre("gantry_step_runs_total{uses=\"argocd-update\"} 1"));
}

TEST(Metrics, NoFamilyIsEmpty) {
  Metrics metrics("1", kStarted);
  metrics.AddCollector([] {
    return std::vector<prometheus::MetricFamily>{
        {"empty", "Has no series.", prometheus::MetricType::Gauge, {}}};
  });
  const std::string text = metrics.Serialize();
  EXPECT_THAT(text, Not(HasSubstr("empty")));
  EXPECT_THAT(text, Not(HasSubstr("gantry_step_duration_seconds")));
  // Each comment about a type is followed by a series of that name.
  const std::vector<std::string> lines = Lines(text);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!lines[i].starts_with("# TYPE ")) continue;
    const std::vector<std::string> words = absl::StrSplit(lines[i], ' ');
    ASSERT_LT(i + 1, lines.size());
    EXPECT_TRUE(lines[i + 1].starts_with(words[2])) << lines[i];
  }
}

TEST(Metrics, NoFamilyComesTwice) {
  Metrics metrics("1", kStarted);
  metrics.ObserveStep("argocd-update", absl::Seconds(1));
  metrics.ObserveStep("argocd-wait", absl::Seconds(1));
  std::set<std::string> names;
  for (const std::string& line : Lines(metrics.Serialize())) {
    if (!line.starts_with("# TYPE ")) continue;
    EXPECT_TRUE(names.insert(line).second) << line;
  }
  EXPECT_THAT(names, Contains("# TYPE gantry_step_duration_seconds histogram"));
}

TEST(Metrics, LabelsAreEscaped) {
  Metrics metrics("1\"\\\n", kStarted);
  EXPECT_THAT(Series(metrics, "gantry_build_info"),
              ElementsAre("gantry_build_info{version=\"1\\\"\\\\\\n\"} 1"));
}

TEST(Metrics, TheBucketsOfAHistogramAddUp) {
  Metrics metrics("1", kStarted);
  // At a bound, between bounds, beyond the last, and a clock that went backwards.
  metrics.propagation().Observe(absl::Milliseconds(1));
  metrics.propagation().Observe(absl::Milliseconds(2));
  metrics.propagation().Observe(absl::Milliseconds(2));
  metrics.propagation().Observe(absl::Hours(1));
  metrics.propagation().Observe(-absl::Seconds(1));
  EXPECT_THAT(
      Series(metrics, "gantry_propagation_seconds"),
      ElementsAre("gantry_propagation_seconds_count 5", "gantry_propagation_seconds_sum 3600.005",
                  "gantry_propagation_seconds_bucket{le=\"0.0005\"} 1",
                  "gantry_propagation_seconds_bucket{le=\"0.001\"} 2",
                  "gantry_propagation_seconds_bucket{le=\"0.0025\"} 4",
                  "gantry_propagation_seconds_bucket{le=\"0.005\"} 4",
                  "gantry_propagation_seconds_bucket{le=\"0.01\"} 4",
                  "gantry_propagation_seconds_bucket{le=\"0.025\"} 4",
                  "gantry_propagation_seconds_bucket{le=\"0.05\"} 4",
                  "gantry_propagation_seconds_bucket{le=\"0.1\"} 4",
                  "gantry_propagation_seconds_bucket{le=\"0.25\"} 4",
                  "gantry_propagation_seconds_bucket{le=\"0.5\"} 4",
                  "gantry_propagation_seconds_bucket{le=\"1\"} 4",
                  "gantry_propagation_seconds_bucket{le=\"2.5\"} 4",
                  "gantry_propagation_seconds_bucket{le=\"5\"} 4",
                  "gantry_propagation_seconds_bucket{le=\"10\"} 4",
                  "gantry_propagation_seconds_bucket{le=\"30\"} 4",
                  "gantry_propagation_seconds_bucket{le=\"60\"} 4",
                  "gantry_propagation_seconds_bucket{le=\"300\"} 4",
                  "gantry_propagation_seconds_bucket{le=\"600\"} 4",
                  "gantry_propagation_seconds_bucket{le=\"+Inf\"} 5"));
}

TEST(Metrics, EachKindOfStepHasItsOwnDurations) {
  Metrics metrics("1", kStarted);
  metrics.ObserveStep("argocd-update", absl::Seconds(1));
  metrics.ObserveStep("argocd-wait", absl::Seconds(2));
  metrics.ObserveStep("argocd-wait", absl::Seconds(3));
  const std::vector<std::string> lines = Lines(metrics.Serialize());
  EXPECT_THAT(lines, AllOf(Contains("gantry_step_duration_seconds_count{uses=\"argocd-update\"} 1"),
                           Contains("gantry_step_duration_seconds_sum{uses=\"argocd-update\"} 1"),
                           Contains("gantry_step_duration_seconds_count{uses=\"argocd-wait\"} 2"),
                           Contains("gantry_step_duration_seconds_sum{uses=\"argocd-wait\"} 5")));
}

TEST(Metrics, CollectorsAreAskedByEachScrape) {
  Metrics metrics("1", kStarted);
  int scrapes = 0;
  metrics.AddCollector([&scrapes] {
    return std::vector<prometheus::MetricFamily>{
        {"scrapes", "How often.", prometheus::MetricType::Gauge, {GaugeValue({}, ++scrapes)}}};
  });
  EXPECT_THAT(Series(metrics, "scrapes"), ElementsAre("scrapes 1"));
  EXPECT_THAT(Series(metrics, "scrapes"), ElementsAre("scrapes 2"));
}

double ValueOf(const Metrics& metrics, const std::string& name) {
  const std::vector<std::string> series = Series(metrics, name + " ");
  if (series.size() != 1) {
    ADD_FAILURE() << name << " is there " << series.size() << " times";
    return 0;
  }
  return std::strtod(series[0].substr(name.size() + 1).c_str(), nullptr);
}

TEST(Metrics, TellAboutTheProcess) {
  const Metrics metrics("1", kStarted);
  EXPECT_GT(ValueOf(metrics, "process_cpu_seconds_total"), 0);
  EXPECT_GT(ValueOf(metrics, "process_max_fds"), 0);
  EXPECT_GT(ValueOf(metrics, "process_resident_memory_bytes"), 1 << 20);
  EXPECT_GE(ValueOf(metrics, "process_virtual_memory_bytes"),
            ValueOf(metrics, "process_resident_memory_bytes"));
  EXPECT_EQ(ValueOf(metrics, "process_start_time_seconds"), 1'700'000'000);

  const double before = ValueOf(metrics, "process_open_fds");
  const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(ValueOf(metrics, "process_open_fds"), before + 1);
  close(fd);
  EXPECT_EQ(ValueOf(metrics, "process_open_fds"), before);
}

TEST(Metrics, MayBeCountedAndReadAtOnce) {
  Metrics metrics("1", kStarted);
  constexpr int kEach = 1000;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&metrics, t] {
      for (int i = 0; i < kEach; ++i) {
        metrics.conflicts().Increment({});
        metrics.step_runs().Increment({{"uses", std::to_string(t)}});
        metrics.ObserveStep(std::to_string(i % 3), absl::Milliseconds(i));
        metrics.propagation().Observe(absl::Milliseconds(i));
      }
    });
  }
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(metrics.Serialize().empty());
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ValueOf(metrics, "gantry_conflicts_total"), 4 * kEach);
  EXPECT_EQ(ValueOf(metrics, "gantry_propagation_seconds_count"), 4 * kEach);
  EXPECT_THAT(Series(metrics, "gantry_step_runs_total"), SizeIs(4));
}

// What `promtool check metrics` says about `text`, and its exit status.
std::pair<std::string, int> CheckByPrometheus(const std::string& text) {
  const std::string file = ::testing::TempDir() + "/metrics-XXXXXX";
  std::string input = file;
  const int in = mkstemp(input.data());
  EXPECT_GE(in, 0);
  EXPECT_EQ(write(in, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  EXPECT_EQ(lseek(in, 0, SEEK_SET), 0);
  int ends[2];
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  std::string words[] = {"promtool", "check", "metrics"};
  char* arguments[] = {words[0].data(), words[1].data(), words[2].data(), nullptr};
  pid_t pid = -1;
  const int failed = posix_spawnp(&pid, "promtool", &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string output;
  int status = -1;
  if (failed == 0) {
    char buffer[4096];
    for (ssize_t n = 0; (n = read(ends[0], buffer, sizeof buffer)) > 0;) {
      output.append(buffer, static_cast<std::size_t>(n));
    }
    waitpid(pid, &status, 0);
  } else {
    output = "promtool cannot be run; tools/install-packages.sh test installs it";
  }
  close(ends[0]);
  close(in);
  unlink(input.c_str());
  return {output, WIFEXITED(status) ? WEXITSTATUS(status) : -1};
}

TEST(Metrics, PrometheusFindsNothingWrong) {
  Metrics metrics("1.2.3", kStarted);
  metrics.watch_events().Increment({{"resource", "applications"}, {"type", "ADDED"}});
  metrics.watch_restarts().Increment({{"resource", "applications"}, {"reason", "expired"}});
  metrics.step_runs().Increment({{"uses", "argocd-update"}, {"status", "OK"}, {"reason", ""}});
  metrics.ObserveStep("argocd-update", absl::Seconds(1));
  metrics.ObserveStep("odd \"name\"\\\n\xc3\xa4", absl::Seconds(1));
  const auto [output, status] = CheckByPrometheus(metrics.Serialize());
  EXPECT_EQ(status, 0);
  EXPECT_EQ(output, "");
}

TEST(Metrics, PrometheusWouldFindWhatIsWrong) {
  const auto [output, status] = CheckByPrometheus("# TYPE things counter\nthings 1\n");
  EXPECT_NE(status, 0);
  EXPECT_THAT(output, HasSubstr("things"));
}

}  // namespace
}  // namespace gantry::observability
