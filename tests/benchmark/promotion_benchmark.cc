// SPDX-License-Identifier: Apache-2.0
//
// What promotions ask of the API server that $GANTRY_TEST_CONTROL_PLANE leads to, and how long they
// take: the requests of a promotion of 1, 10 and 50 Applications by name, from the first RunStep
// until SUCCEEDED and the status are written; and the time of one step that writes 100, 200 and 400
// Applications, against a client that does nothing but read and patch each.
//   gantry-sim run promotion_benchmark
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/integration/integration_test.h"

namespace gantry::integration {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

// No limit of our own is to be measured.
const std::vector<std::string> kFlags = {"--kube-qps=100000", "--kube-burst=100000"};

// One Stage of its own, and Applications that authorize it.
class Promotion : public IntegrationTest {
 public:
  void TestBody() override {}

  explicit Promotion(int count) {
    for (int i = 0; i < count; ++i) names_.push_back(CreateApplication());
  }

  v1::RunStepRequest RequestFor(const std::string& promotion) const {
    json apps = json::array();
    for (const std::string& name : names_) apps.push_back(UpdateTo(name)["apps"][0]);
    return Request({{"apps", apps}}, promotion);
  }

  void CompleteAll() {
    for (const std::string& name : names_) ArgoCd(api_, name).Work();
  }

  const std::vector<std::string>& names() const { return names_; }

 private:
  std::vector<std::string> names_;
};

void Require(const StepResult& result, v1::StepStatus status) {
  if (result.status.ok() && result.response.status() == status) return;
  std::fprintf(stderr, "a step did not end as expected: %s %s\n",
               result.status.error_message().c_str(),
               result.response.ShortDebugString().substr(0, 2000).c_str());
  std::exit(EXIT_FAILURE);
}

// "PATCH applications", or nothing for what is not the promotion's: watches, lists, leases.
std::string KindOf(const Exchange& exchange) {
  static const std::regex kPath(
      "/(applications|stagehealths|events|leases)(/[^/?]+)?(/status)?([?].*)?$");
  std::smatch parts;
  if (!std::regex_search(exchange.target, parts, kPath)) return "";
  if (parts[1] == "leases") return "";
  const bool of_all = exchange.method == "GET" && !parts[2].matched;
  if (of_all && !absl::StrContains(exchange.target, "labelSelector=")) return "";
  // Those that the leader asks for, and Argo CD would have made unnecessary.
  const bool refresh = parts[1] == "applications" && absl::StrContains(exchange.body, "\"normal\"");
  if (refresh) return "";
  return absl::StrCat(exchange.method, " ", parts[1].str(), parts[3].str());
}

// The leader alone writes statuses.
bool IsLeading(Replica& replica) {
  const std::vector<Exchange> exchanges = replica.proxy.Exchanges();
  return std::any_of(exchanges.begin(), exchanges.end(), [](const Exchange& exchange) {
    return exchange.method != "GET" && absl::StrContains(exchange.target, "/leases") &&
           exchange.status / 100 == 2;
  });
}

bool HasStoredStatus(Replica& replica) {
  const std::vector<Exchange> exchanges = replica.proxy.Exchanges();
  return std::any_of(exchanges.begin(), exchanges.end(), [](const Exchange& exchange) {
    return KindOf(exchange) == "PATCH stagehealths/status" && exchange.status / 100 == 2;
  });
}

void CountRequests(int applications) {
  Promotion promotion(applications);
  Replica replica(kFlags);
  while (replica.server->Admin("/readyz").first != 200 || !IsLeading(replica)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const v1::RunStepRequest request = promotion.RequestFor("p1");
  replica.AwaitSeen(request);
  const std::size_t before = replica.proxy.Exchanges().size();
  Require(replica.RunStep(request), v1::STEP_STATUS_RUNNING);
  // A real sync takes longer than the leader waits before it writes a status.
  while (!HasStoredStatus(replica)) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  promotion.CompleteAll();
  Require(replica.RunStep(request), v1::STEP_STATUS_SUCCEEDED);
  // Until nothing has come for three times as long as the leader waits before it writes a status.
  std::size_t seen = 0;
  for (int quiet = 0; quiet < 6;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    std::size_t now = 0;
    for (const Exchange& exchange : replica.proxy.Exchanges()) now += KindOf(exchange) != "";
    quiet = now == seen ? quiet + 1 : 0;
    seen = now;
  }
  std::map<std::string, int> counts;
  const std::vector<Exchange> exchanges = replica.proxy.Exchanges();
  for (std::size_t i = before; i < exchanges.size(); ++i) ++counts[KindOf(exchanges[i])];
  counts.erase("");
  int all = 0;
  std::string parts;
  for (const auto& [kind, count] : counts) {
    all += count;
    absl::StrAppend(&parts, parts.empty() ? "" : ", ", count, " ", kind);
  }
  std::printf("%4d Applications: %4d requests (%s)\n", applications, all, parts.c_str());
  // Lets go of the Lease.
  replica.server->Terminate();
}

double Milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

// Reads and patches each, one after the other on one connection.
double BareMilliseconds(const Promotion& promotion) {
  KubernetesApi api(ReadKubeconfig(ControlPlaneFile("gantry.kubeconfig")));
  const Clock::time_point begun = Clock::now();
  for (const std::string& name : promotion.names()) {
    const json application = api.Get(ApplicationPath(name));
    api.JsonPatch(ApplicationPath(name),
                  {{{"op", "replace"},
                    {"path", "/metadata/resourceVersion"},
                    {"value", application["metadata"]["resourceVersion"]}},
                   {{"op", "add"},
                    {"path", "/metadata/annotations/argocd.argoproj.io~1refresh"},
                    {"value", "hard"}},
                   {{"op", "add"},
                    {"path", "/operation"},
                    {"value", {{"sync", {{"revision", kNewRevision}}}}}}});
  }
  return Milliseconds(Clock::now() - begun);
}

void TimeWrites(int applications) {
  constexpr int kRounds = 5;
  std::vector<double> ours;
  std::vector<double> bare;
  GantryServer server(ControlPlaneFile("gantry.kubeconfig"), kFlags);
  while (server.Admin("/readyz").first != 200) {
  }
  for (int round = 0; round < kRounds; ++round) {
    const Promotion measured(applications);
    const v1::RunStepRequest request = measured.RequestFor("p1");
    const Clock::time_point begun = Clock::now();
    Require(server.RunStep(request, std::chrono::minutes(2)), v1::STEP_STATUS_RUNNING);
    ours.push_back(Milliseconds(Clock::now() - begun));
    bare.push_back(BareMilliseconds(Promotion(applications)));
  }
  std::sort(ours.begin(), ours.end());
  std::sort(bare.begin(), bare.end());
  std::printf("%4d Applications written: %8.1f ms, a bare client %8.1f ms: %.2f times\n",
              applications, ours[kRounds / 2], bare[kRounds / 2],
              ours[kRounds / 2] / bare[kRounds / 2]);
}

}  // namespace
}  // namespace gantry::integration

int main() {
  std::printf("requests of one promotion, by name:\n");
  for (const int applications : {1, 10, 50}) gantry::integration::CountRequests(applications);
  std::printf("one step that writes, the median of five:\n");
  for (const int applications : {100, 200, 400}) gantry::integration::TimeWrites(applications);
  return EXIT_SUCCESS;
}
