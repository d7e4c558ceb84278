// SPDX-License-Identifier: Apache-2.0
//
// What the health cache costs and how quick it is, on the API server that
// $GANTRY_TEST_CONTROL_PLANE leads to:
//   - memory: a server that finds APPLICATIONS Applications, against one that finds none
//   - propagation: from a change until WatchStageHealth tells it, against a plain watch on the API
//     server by the same process
//   health_benchmark [APPLICATIONS [CHANGES]]
#include <httplib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/integration/gantry_server.h"
#include "tests/integration/integration_test.h"

namespace gantry::integration {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr int kWriters = 8;
constexpr int kApplicationsPerStage = 10;

std::string Name(int number) { return absl::StrCat("bench-", number); }

// Of the size of a real one with 20 resources, some 13 KB.
json NewApplication(int number) {
  json resources = json::array();
  for (int i = 0; i < 20; ++i) {
    resources.push_back({{"group", "apps"},
                         {"version", "v1"},
                         {"kind", "Deployment"},
                         {"namespace", absl::StrCat("team-", number % 50)},
                         {"name", absl::StrCat("component-", i, "-of-", Name(number))},
                         {"status", "Synced"},
                         {"health", {{"status", "Healthy"}}},
                         {"syncWave", i}});
  }
  const json source = {
      {"repoURL", absl::StrCat("https://github.com/example/team-", number % 50, ".git")},
      {"path", absl::StrCat("apps/", Name(number))},
      {"targetRevision", kNewRevision},
      {"helm", {{"parameters", {{{"name", "image.tag"}, {"value", "v1.2.3"}}}}}}};
  json history = json::array();
  for (int i = 0; i < 10; ++i) {
    history.push_back({{"id", i},
                       {"revision", kNewRevision},
                       {"deployedAt", "2026-01-01T00:00:00Z"},
                       {"deployStartedAt", "2026-01-01T00:00:00Z"},
                       {"source", source}});
  }
  return {{"apiVersion", "argoproj.io/v1alpha1"},
          {"kind", "Application"},
          {"metadata",
           {{"name", Name(number)},
            {"namespace", "argocd"},
            {"labels",
             {{"team", absl::StrCat("team-", number % 50)},
              {"environment", "production"},
              {"app.kubernetes.io/name", Name(number)}}},
            {"annotations",
             {{"kargo.akuity.io/authorized-stage",
               absl::StrCat("bench:stage-", number / kApplicationsPerStage)}}}}},
          {"spec",
           {{"project", absl::StrCat("team-", number % 50)},
            {"source", source},
            {"destination",
             {{"namespace", absl::StrCat("team-", number % 50)},
              {"server", "https://kubernetes.default.svc"}}}}},
          {"status",
           {{"health", {{"status", "Healthy"}}},
            {"sync",
             {{"status", "Synced"},
              {"revision", kNewRevision},
              {"comparedTo",
               {{"source", source},
                {"destination", {{"namespace", absl::StrCat("team-", number % 50)}}}}}}},
            {"operationState",
             {{"phase", "Succeeded"},
              {"message", "successfully synced (all tasks run)"},
              {"operation",
               {{"sync", {{"revision", kNewRevision}}},
                {"initiatedBy", {{"username", "gantry"}}},
                {"info", {{{"name", "kargo.akuity.io/promotion"}, {"value", "release-1"}}}}}},
              {"startedAt", "2026-01-01T00:00:00Z"},
              {"finishedAt", "2026-01-01T00:00:10Z"},
              {"syncResult",
               {{"revision", kNewRevision}, {"source", source}, {"resources", resources}}}}},
            {"reconciledAt", "2026-01-01T00:01:00Z"},
            {"resources", resources},
            {"history", history}}}};
}

json NewStage(int number) {
  json checks = json::array();
  for (int i = 0; i < kApplicationsPerStage; ++i) {
    checks.push_back({{"namespace", "argocd"},
                      {"name", Name(number * kApplicationsPerStage + i)},
                      {"promotion", "release-1"},
                      {"desiredRevisions", {kNewRevision}}});
  }
  return {
      {"apiVersion", "gantry.dev/v1alpha1"},
      {"kind", "StageHealth"},
      {"metadata",
       {{"name", absl::StrCat("bench.stage-", number)}, {"namespace", "gantry-system"}}},
      {"spec",
       {{"project", "bench"},
        {"stage", absl::StrCat("stage-", number)},
        {"promotion",
         {{"name", "release-1"}, {"phase", "Succeeded"}, {"updateTime", "2026-01-01T00:00:00Z"}}},
        {"healthChecks", checks}}}};
}

KubernetesApi Admin() {
  return KubernetesApi(ReadKubeconfig(ControlPlaneFile("admin.kubeconfig")));
}

void InParallel(int count, const std::function<void(KubernetesApi& api, int i)>& body) {
  std::atomic<int> next{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kWriters; ++t) {
    threads.emplace_back([&] {
      KubernetesApi api = Admin();
      for (int i = next++; i < count; i = next++) body(api, i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

double Metric(GantryServer& server, const std::string& name) {
  const std::string metrics = server.Admin("/metrics").second;
  for (const absl::string_view line : absl::StrSplit(metrics, '\n')) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(line, absl::MaxSplits(' ', 1));
    if (parts.first == name) return std::stod(parts.second);
  }
  return -1;
}

void AwaitReady(GantryServer& server) {
  while (server.Admin("/readyz").first != 200) {
  }
}

// The moments at which something was heard, by what it was: the health that was written.
class Arrivals {
 public:
  void Add(const std::string& what) {
    std::lock_guard<std::mutex> lock(mutex_);
    times_.emplace(what, Clock::now());
    changed_.notify_all();
  }
  Clock::time_point WaitFor(const std::string& what) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(20),
                           [&] { return times_.count(what) > 0; })) {
      GiveUp(what + " was not heard of");
    }
    return times_.at(what);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Clock::time_point> times_;
};

double Percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1,
                         static_cast<std::size_t>(share * static_cast<double>(values.size())))];
}

void MeasurePropagation(GantryServer& server, int applications, int changes) {
  Arrivals raw;
  Arrivals streamed;
  const ClusterAccess access = ReadKubeconfig(ControlPlaneFile("admin.kubeconfig"));
  const auto client = MakeHttpClient(access);
  client->set_read_timeout(std::chrono::minutes(5));
  std::atomic<bool> listening{false};
  // What is told apart by is a message that is written once.
  std::thread plain([&] {
    std::string rest;
    client->Get((ApplicationsPath() + "?watch=true&timeoutSeconds=300&resourceVersion=0").c_str(),
                httplib::Headers{{"Authorization", "Bearer " + access.token}},
                [&](const char* data, std::size_t size) {
                  rest.append(data, size);
                  std::size_t end = 0;
                  while ((end = rest.find('\n')) != std::string::npos) {
                    const std::size_t mark = rest.substr(0, end).find("change number ");
                    if (mark != std::string::npos) {
                      raw.Add(rest.substr(mark, rest.find('"', mark) - mark));
                    }
                    rest.erase(0, end + 1);
                  }
                  listening = true;
                  return true;
                });
  });
  auto stream = server.Watch("bench");
  stream->Await([](const auto& event) { return event.has_synced(); });
  std::thread follower([&] {
    while (const auto event = stream->Next()) {
      for (const auto& application : event->updated().applications()) {
        if (!application.health_message().empty()) streamed.Add(application.health_message());
      }
    }
  });
  while (!listening) {
  }

  KubernetesApi api = Admin();
  std::vector<double> from_write_raw;
  std::vector<double> from_write_streamed;
  std::vector<double> added;
  for (int i = 0; i < changes; ++i) {
    const std::string what = absl::StrCat("change number ", i, ".");
    const Clock::time_point begun = Clock::now();
    api.MergePatch(ApplicationPath(Name(i * 7 % applications)),
                   {{"status", {{"health", {{"status", "Degraded"}, {"message", what}}}}}});
    const auto milliseconds = [](Clock::duration duration) {
      return std::chrono::duration<double, std::milli>(duration).count();
    };
    const Clock::time_point heard_raw = raw.WaitFor(what);
    const Clock::time_point heard = streamed.WaitFor(what);
    from_write_raw.push_back(milliseconds(heard_raw - begun));
    from_write_streamed.push_back(milliseconds(heard - begun));
    added.push_back(milliseconds(heard - heard_raw));
  }
  const auto print = [](const char* name, const std::vector<double>& values) {
    std::printf("%-50s p50 %8.3f ms   p99 %8.3f ms\n", name, Percentile(values, 0.5),
                Percentile(values, 0.99));
  };
  print("from the write to a plain watch", from_write_raw);
  print("from the write to WatchStageHealth", from_write_streamed);
  print("from the plain watch's event to the stream's", added);
  std::printf("p99 against the plain watch: %.2f\n",
              Percentile(from_write_streamed, 0.99) / Percentile(from_write_raw, 0.99));
  stream->Cancel();
  client->stop();
  follower.join();
  plain.join();
}

int Main(int applications, int changes) {
  const std::string kubeconfig = ControlPlaneFile("gantry.kubeconfig");
  double empty = 0;
  {
    GantryServer server(kubeconfig);
    AwaitReady(server);
    empty = Metric(server, "process_resident_memory_bytes");
  }
  InParallel(applications,
             [](KubernetesApi& api, int i) { api.Create(ApplicationsPath(), NewApplication(i)); });
  InParallel(applications / kApplicationsPerStage,
             [](KubernetesApi& api, int i) { api.Create(StageHealthsPath(), NewStage(i)); });
  KubernetesApi api = Admin();
  std::printf("%d Applications of %zu bytes, %d Stages\n", applications,
              api.Get(ApplicationPath(Name(0))).dump().size(),
              applications / kApplicationsPerStage);
  GantryServer server(kubeconfig);
  AwaitReady(server);
  // Until the Stages are judged, and the leader has stored what they are.
  while (Metric(server, "gantry_propagation_seconds_count") <
         2.0 * applications / kApplicationsPerStage) {
  }
  const double full = Metric(server, "process_resident_memory_bytes");
  std::printf("resident: %.1f MiB with none, %.1f MiB with all: %.0f bytes per Application\n",
              empty / (1 << 20), full / (1 << 20), (full - empty) / applications);
  MeasurePropagation(server, applications, changes);
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace gantry::integration

int main(int argc, char** argv) {
  const int applications = argc > 1 ? std::atoi(argv[1]) : 5000;
  const int changes = argc > 2 ? std::atoi(argv[2]) : 1000;
  return gantry::integration::Main(std::max(applications, 10), std::max(changes, 1));
}
