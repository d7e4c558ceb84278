// SPDX-License-Identifier: Apache-2.0
//
// Many Applications and Stages at once, on a control plane of its own that goes away and comes
// back: whatever happened meanwhile, in the end everybody knows what is.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/argocd/application_reader.h"
#include "server/cache/caches.h"
#include "server/cache/watchers.h"
#include "server/kubernetes/api/api_connection.h"
#include "server/kubernetes/config/kube_config.h"
#include "tests/integration/integration_test.h"

namespace gantry::integration {
namespace {

using nlohmann::json;
using ::testing::IsEmpty;
using Seconds = std::chrono::seconds;
using SteadyClock = std::chrono::steady_clock;

constexpr int kApplications = 1000;
constexpr int kStages = 100;
constexpr int kWriters = 4;
constexpr Seconds kDuration{60};
// For everybody to come to the same end.
constexpr Seconds kSettling{90};

void ControlPlane(const std::string& command) {
  const char* folder = std::getenv("GANTRY_TEST_CONTROL_PLANE");
  const std::string line = absl::StrCat(CONTROL_PLANE_SCRIPT, " ", command, " ", folder);
  if (std::system(line.c_str()) != 0) GiveUp(line + " failed");
}

std::string KubeconfigOfGantry() { return ControlPlaneFile("gantry.kubeconfig"); }

std::string ApplicationName(int number) { return absl::StrCat("soak-", number); }
std::string StageName(int number) { return absl::StrCat("stage-", number); }

json NewApplication(int number) {
  return {{"apiVersion", "argoproj.io/v1alpha1"},
          {"kind", "Application"},
          {"metadata",
           {{"name", ApplicationName(number)},
            {"namespace", "argocd"},
            {"annotations",
             {{"kargo.akuity.io/authorized-stage",
               absl::StrCat(kProject, ":", StageName(number % kStages))}}}}},
          {"spec",
           {{"project", "default"},
            {"destination", {{"namespace", "shop"}, {"server", "https://kubernetes.default.svc"}}},
            {"source",
             {{"repoURL", kRepository}, {"path", "deploy"}, {"targetRevision", kNewRevision}}}}}};
}

// Checks a tenth of the Applications of one Stage and its neighbours.
json NewStage(int number) {
  json checks = json::array();
  std::set<std::string> names;
  for (int i = 0; i < kApplications / kStages; ++i) {
    names.insert(ApplicationName(number + i * kStages));
  }
  names.insert(ApplicationName((number + 1) % kStages));
  for (const std::string& name : names) {
    checks.push_back({{"namespace", "argocd"},
                      {"name", name},
                      {"promotion", "p1"},
                      {"desiredRevisions", {kNewRevision}}});
  }
  return {
      {"apiVersion", "gantry.dev/v1alpha1"},
      {"kind", "StageHealth"},
      {"metadata",
       {{"name", absl::StrCat(kProject, ".", StageName(number))}, {"namespace", "gantry-system"}}},
      {"spec",
       {{"project", kProject},
        {"stage", StageName(number)},
        {"promotion",
         {{"name", "p1"}, {"phase", "Succeeded"}, {"updateTime", "2026-01-01T00:00:00Z"}}},
        {"healthChecks", checks}}}};
}

// Something that Argo CD, or somebody else, may do to an Application.
json RandomChange(std::mt19937& random) {
  const auto pick = [&](std::initializer_list<const char*> words) {
    return *(words.begin() + random() % words.size());
  };
  switch (random() % 6) {
    case 0:
      return {
          {"status",
           {{"health",
             {{"status", pick({"Healthy", "Healthy", "Degraded", "Progressing", "Missing"})}}}}}};
    case 1: {
      const char* revision = pick({kNewRevision, kNewRevision, kOtherRevision});
      return {{"status",
               {{"sync", {{"status", pick({"Synced", "OutOfSync"})}, {"revision", revision}}},
                {"reconciledAt", SecondsAgo(0)}}}};
    }
    case 2:
      return {{"operation", {{"sync", {{"revision", kNewRevision}}}}}};
    case 3:
      return {{"operation", nullptr},
              {"status",
               {{"operationState",
                 {{"phase", pick({"Succeeded", "Failed", "Error"})},
                  {"operation", {{"sync", json::object()}}},
                  {"startedAt", SecondsAgo(2)},
                  {"finishedAt", SecondsAgo(1)},
                  {"syncResult",
                   {{"revision", kNewRevision}, {"source", {{"repoURL", kRepository}}}}}}}}}};
    case 4:
      return {{"status",
               {{"conditions", random() % 4 == 0
                                   ? json::array({{{"type", "ComparisonError"},
                                                   {"message", "repository not accessible"}}})
                                   : json::array()}}}};
    default:
      // The status ticks, and nothing anybody reads has changed.
      return {{"status", {{"observedAt", SecondsAgo(0)}}}};
  }
}

// Follows one stream and keeps what it last said of each Stage, on a thread of its own.
class Follower {
 public:
  explicit Follower(GantryServer& server) : stream_(server.Watch(kProject)) {
    thread_ = std::thread([this] {
      while (auto event = stream_->Next()) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (event->has_updated()) known_[event->updated().stage()] = Text(event->updated());
        if (event->has_deleted()) known_.erase(event->deleted().stage());
      }
    });
  }
  ~Follower() {
    stream_->Cancel();
    thread_.join();
  }

  // When the state changed is stored a moment after; everything else has to agree.
  static std::string Text(v1::StageHealth health) {
    health.clear_transition_time();
    return health.DebugString();
  }

  std::map<std::string, std::string> Known() {
    std::lock_guard<std::mutex> lock(mutex_);
    return known_;
  }

 private:
  std::unique_ptr<HealthStream> stream_;
  std::mutex mutex_;
  std::map<std::string, std::string> known_;
  std::thread thread_;
};

std::map<std::string, std::string> ListAll(GantryServer& server) {
  std::map<std::string, std::string> all;
  v1::ListStageHealthRequest request;
  request.set_project(kProject);
  do {
    grpc::ClientContext context;
    v1::ListStageHealthResponse response;
    if (!server.stub().ListStageHealth(&context, request, &response).ok()) return {};
    for (const v1::StageHealth& stage : response.stages()) {
      all[stage.stage()] = Follower::Text(stage);
    }
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return all;
}

// Until `holds`, or time is up.
testing::AssertionResult Eventually(const std::function<std::string()>& why_not) {
  const auto deadline = SteadyClock::now() + kSettling;
  std::string why;
  do {
    why = why_not();
    if (why.empty()) return testing::AssertionSuccess();
  } while (SteadyClock::now() < deadline);
  return testing::AssertionFailure() << why;
}

std::string Difference(const std::map<std::string, std::string>& found,
                       const std::map<std::string, std::string>& expected) {
  for (const auto& [name, text] : expected) {
    const auto known = found.find(name);
    if (known == found.end()) return name + " is missing";
    if (known->second != text) {
      return absl::StrCat(name, " differs: found\n", known->second, "expected\n", text);
    }
  }
  return found.size() == expected.size() ? "" : "there are Stages that should not be";
}

class SoakTest : public testing::Test {
 protected:
  static KubernetesApi Admin() {
    return KubernetesApi(ReadKubeconfig(ControlPlaneFile("admin.kubeconfig")));
  }

  static void InParallel(int count, const std::function<void(KubernetesApi& api, int i)>& body) {
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

  // Changes Applications and Stages at random until told to stop. Requests fail while the API
  // server is away.
  static void Disturb(unsigned seed, const std::atomic<bool>& stop, std::atomic<int>& changes) {
    std::mt19937 random(seed);
    KubernetesApi api = Admin();
    while (!stop) {
      const int number = static_cast<int>(random() % kApplications);
      try {
        if (random() % 200 == 0) {
          api.Delete(ApplicationPath(ApplicationName(number)));
          if (random() % 2 == 0) api.Create(ApplicationsPath(), NewApplication(number));
        } else if (random() % 400 == 0) {
          const int stage = static_cast<int>(random() % kStages);
          api.Delete(StageHealthPath(absl::StrCat(kProject, ".", StageName(stage))));
          api.Create(StageHealthsPath(), NewStage(stage));
        } else {
          api.MergePatch(ApplicationPath(ApplicationName(number)), RandomChange(random));
        }
        ++changes;
      } catch (const std::exception&) {
        // The API server is away, or the Application is.
      }
    }
  }

  // What the API server says there is, by name, as this program keeps it.
  static std::map<std::string, argocd::Application> Live(KubernetesApi& api) {
    std::map<std::string, argocd::Application> live;
    for (const json& item : api.List(ApplicationsPath())) {
      const kubernetes::JsonText text(item.dump());
      argocd::Application application;
      EXPECT_TRUE(argocd::ReadApplication(text.padded(), application).ok());
      live[application.name.name] = application;
    }
    return live;
  }
};

TEST_F(SoakTest, EverybodyKnowsWhatIsAfterAMinuteOfChangesAndOutages) {
  InParallel(kApplications,
             [](KubernetesApi& api, int i) { api.Create(ApplicationsPath(), NewApplication(i)); });
  InParallel(kStages,
             [](KubernetesApi& api, int i) { api.Create(StageHealthsPath(), NewStage(i)); });

  // The caches themselves, in this process, to compare them field by field.
  cache::Caches caches({"argocd"}, absl::Minutes(2), base::SystemClock());
  const auto config =
      kubernetes::LoadClusterConfig({KubeconfigOfGantry(), ""}, kubernetes::ProcessEnvironment());
  ASSERT_TRUE(config.ok()) << config.status();
  auto connection = kubernetes::MakeApiConnection(*config, {});
  ASSERT_TRUE(connection.ok()) << connection.status();
  std::mutex restarts_mutex;
  std::map<std::string, int> restarts;
  cache::Watchers::Observers observers;
  observers.on_restart = [&](std::string_view resource, std::string_view reason) {
    std::lock_guard<std::mutex> lock(restarts_mutex);
    ++restarts[absl::StrCat(std::string(resource), " ", std::string(reason))];
  };
  cache::Watchers watchers(caches, *connection, "gantry-system", *connection, observers,
                           observability::Logger());

  GantryServer one(KubeconfigOfGantry());
  GantryServer two(KubeconfigOfGantry());
  ASSERT_TRUE(Eventually([&] { return ListAll(one).size() == kStages ? "" : "not filled"; }));
  ASSERT_TRUE(Eventually([&] { return ListAll(two).size() == kStages ? "" : "not filled"; }));
  std::vector<std::unique_ptr<Follower>> followers;
  for (GantryServer* server : {&one, &one, &two, &two}) {
    followers.push_back(std::make_unique<Follower>(*server));
  }

  std::atomic<bool> stop{false};
  std::atomic<int> changes{0};
  std::vector<std::thread> writers;
  const unsigned seed = std::random_device()();
  RecordProperty("seed", std::to_string(seed));
  const auto begin = SteadyClock::now();
  for (unsigned i = 0; i < kWriters; ++i) {
    writers.emplace_back([&, i] { Disturb(seed + i, stop, changes); });
  }
  // What happens to the control plane meanwhile, each at its time.
  const std::vector<std::pair<int, std::vector<const char*>>> timeline = {
      {10, {"stop-apiserver"}},
      {14, {"start-apiserver"}},
      {25, {"compact"}},
      {35, {"stop-apiserver", "compact", "start-apiserver"}},
      {static_cast<int>(kDuration.count()), {}},
  };
  for (const auto& [second, commands] : timeline) {
    std::this_thread::sleep_until(begin + Seconds(second));
    for (const char* command : commands) ControlPlane(command);
  }
  stop = true;
  for (std::thread& writer : writers) writer.join();
  std::cerr << "seed " << seed << ", " << changes << " changes; watches begun again:";
  {
    std::lock_guard<std::mutex> lock(restarts_mutex);
    for (const auto& [reason, count] : restarts) std::cerr << " " << reason << ": " << count << ";";
    EXPECT_GT(restarts.size(), 2u) << "the outages were not felt";
  }
  std::cerr << "\n";
  EXPECT_GT(changes, kApplications);

  KubernetesApi api = Admin();
  EXPECT_TRUE(Eventually([&]() -> std::string {
    const auto live = Live(api);
    if (caches.applications.size() != live.size()) {
      return absl::StrCat("the cache has ", caches.applications.size(), " Applications, not ",
                          live.size());
    }
    for (const auto& [name, application] : live) {
      const auto cached = caches.applications.Find({"argocd", name});
      if (cached == nullptr) return name + " is not in the cache";
      if (static_cast<const argocd::Application&>(*cached) != application) {
        return absl::StrCat(name, " differs: resourceVersion ", cached->resource_version,
                            " in the cache, ", application.resource_version, " live");
      }
    }
    return "";
  }));

  // A server that was not there has nothing but a fresh list.
  GantryServer fresh(KubeconfigOfGantry());
  EXPECT_TRUE(Eventually([&]() -> std::string {
    const auto expected = ListAll(fresh);
    if (expected.empty()) return "the fresh server is not ready";
    if (std::string why = Difference(ListAll(one), expected); !why.empty()) return "one: " + why;
    if (std::string why = Difference(ListAll(two), expected); !why.empty()) return "two: " + why;
    for (const auto& follower : followers) {
      if (std::string why = Difference(follower->Known(), expected); !why.empty()) {
        return "a stream: " + why;
      }
    }
    return "";
  }));
}

int PendingCalls(GantryServer& server) {
  const std::string metrics = server.Admin("/metrics").second;
  for (const absl::string_view line : absl::StrSplit(metrics, '\n')) {
    int count = 0;
    if (std::sscanf(std::string(line).c_str(), "gantry_steps_pending %d", &count) == 1)
      return count;
  }
  return -1;
}

int ThreadsOf(pid_t pid) {
  std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
  std::string line;
  while (std::getline(status, line)) {
    if (line.rfind("Threads:", 0) == 0) return std::stoi(line.substr(8));
  }
  return -1;
}

TEST_F(SoakTest, TwoThousandCallsWaitWithoutAThreadAndEndWithOneChangeEach) {
  constexpr int kCalls = 2000;
  const std::string prefix = UniqueName("pending");
  const auto name = [&](int i) { return absl::StrCat(prefix, "-", i); };
  InParallel(kCalls, [&](KubernetesApi& api, int i) {
    json application = NewApplication(0);
    application["metadata"]["name"] = name(i);
    application["status"] = {{"health", {{"status", "Progressing"}}},
                             {"sync", {{"status", "Synced"}, {"revision", kNewRevision}}}};
    api.Create(ApplicationsPath(), application);
  });
  GantryServer server(KubeconfigOfGantry(), {"--kube-qps=10000", "--kube-burst=10000"});
  const int threads_before = ThreadsOf(server.pid());

  struct Call {
    grpc::ClientContext context;
    v1::RunStepRequest request;
    v1::RunStepResponse response;
    grpc::Status status;
  };
  std::mutex mutex;
  std::condition_variable changed;
  int ended = 0;
  // A connection carries a thousand calls.
  constexpr int kChannels = 4;
  std::vector<std::unique_ptr<v1::PromotionStepService::Stub>> stubs;
  for (int i = 0; i < kChannels; ++i) stubs.push_back(server.NewStub());
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < kCalls; ++i) {
    auto& call = *calls.emplace_back(std::make_unique<Call>());
    call.request.set_project(kProject);
    call.request.set_stage(name(i));
    call.request.set_promotion("p1");
    call.request.set_uses("argocd-wait");
    auto& app = *(*call.request.mutable_config()->mutable_fields())["apps"]
                     .mutable_list_value()
                     ->add_values()
                     ->mutable_struct_value()
                     ->mutable_fields();
    app["name"].set_string_value(name(i));
    call.request.mutable_wait()->set_seconds(300);
    call.context.set_deadline(std::chrono::system_clock::now() + Seconds(320));
  }
  // As many at once as the workers' queue takes; those that wait are in nobody's way.
  for (int i = 0; i < kCalls; ++i) {
    Call& call = *calls[static_cast<std::size_t>(i)];
    stubs[static_cast<std::size_t>(i % kChannels)]->async()->RunStep(
        &call.context, &call.request, &call.response, [&, i](grpc::Status status) {
          std::lock_guard<std::mutex> lock(mutex);
          calls[static_cast<std::size_t>(i)]->status = std::move(status);
          ++ended;
          changed.notify_all();
        });
    const auto pending = [&] { return PendingCalls(server); };
    if (i % 100 == 99) {
      ASSERT_TRUE(Eventually([&] {
        return pending() == i + 1 ? ""
                                  : absl::StrCat(pending(), " of ", i + 1, " calls are pending");
      }));
    }
  }
  EXPECT_EQ(ended, 0);
  // gRPC has threads of its own, as many as there are cores, some of which come and go.
  EXPECT_LT(ThreadsOf(server.pid()), threads_before + 32);

  InParallel(kCalls, [&](KubernetesApi& api, int i) {
    api.MergePatch(ApplicationPath(name(i)), {{"status", {{"health", {{"status", "Healthy"}}}}}});
  });
  {
    std::unique_lock<std::mutex> lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, kSettling, [&] { return ended == kCalls; }))
        << ended << " of " << kCalls << " calls have ended";
  }
  int succeeded = 0;
  for (const auto& call : calls) {
    EXPECT_TRUE(call->status.ok()) << call->status.error_message();
    if (call->response.status() == v1::STEP_STATUS_SUCCEEDED) ++succeeded;
  }
  EXPECT_EQ(succeeded, kCalls);
}

}  // namespace
}  // namespace gantry::integration
