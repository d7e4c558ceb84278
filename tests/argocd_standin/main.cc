// SPDX-License-Identifier: Apache-2.0
// argocd-standin: plays Argo CD's part on Applications, where there is no Argo CD.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "server/base/clock.h"
#include "server/base/context.h"
#include "server/base/strings.h"
#include "server/kubernetes/kube_config.h"
#include "server/kubernetes/rest_client.h"
#include "tests/argocd_standin/reconcile.h"

namespace gantry::argocd_standin {
namespace {

constexpr kubernetes::Resource kApplications = {"argoproj.io", "v1alpha1", "applications"};
constexpr absl::Duration kInterval = absl::Milliseconds(250);

void ReconcileAll(kubernetes::Client& client, const std::string& ns, absl::Duration sync_duration,
                  base::Context& context) {
  std::vector<nlohmann::json> applications;
  const auto listed = client.List(
      kApplications, ns, {},
      [&](std::string_view item) {
        applications.push_back(nlohmann::json::parse(item, nullptr, false));
        return absl::OkStatus();
      },
      [&] { applications.clear(); }, context);
  if (!listed.ok()) {
    std::fprintf(stderr, "argocd-standin: %s\n", std::string(listed.status().message()).c_str());
    return;
  }
  for (const nlohmann::json& application : applications) {
    const auto patch = NextPatch(application, base::SystemClock().Now(), sync_duration);
    if (!patch) continue;
    const std::string name = application["metadata"]["name"];
    const std::string in = application["metadata"]["namespace"];
    const auto patched = client.MergePatch(kApplications, in, name, "", patch->dump(), context);
    // A conflict is looked at again in the next round.
    const std::string phase = (*patch)["status"]["operationState"]["phase"];
    std::fprintf(stderr, "argocd-standin: %s/%s %s%s\n", in.c_str(), name.c_str(), phase.c_str(),
                 patched.ok() ? "" : " (not stored, trying again)");
  }
}

int Main(int argc, char** argv) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  CLI::App app(
      "Plays Argo CD's part on Applications, where there is no Argo CD: takes up operations and "
      "completes them as Succeeded. Nothing is deployed. For demonstrations and tests; never run "
      "it beside a real Argo CD.");
  std::string kubeconfig;
  std::string ns = "argocd";
  double seconds = 3;
  app.add_option("--kubeconfig", kubeconfig, "The cluster with the Applications.")->required();
  app.add_option("--namespace", ns, "The Applications' namespace.")->capture_default_str();
  app.add_option("--sync-seconds", seconds, "How long an operation runs.")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  const auto config =
      kubernetes::LoadClusterConfig({kubeconfig, ""}, kubernetes::ProcessEnvironment());
  if (!config.ok()) {
    std::fprintf(stderr, "argocd-standin: %s\n", std::string(config.status().message()).c_str());
    return 1;
  }
  kubernetes::ClientOptions options;
  options.user_agent = "argocd-standin";
  auto client = kubernetes::MakeClient(*config, options);
  if (!client.ok()) {
    std::fprintf(stderr, "argocd-standin: %s\n", std::string(client.status().message()).c_str());
    return 1;
  }

  base::Context stop;
  std::thread waiter([&] {
    int number = 0;
    sigwait(&signals, &number);
    stop.Cancel();
  });
  while (base::SystemSleeper().Sleep(kInterval, stop).ok()) {
    ReconcileAll(**client, ns, absl::Seconds(seconds), stop);
  }
  waiter.join();
  return 0;
}

}  // namespace
}  // namespace gantry::argocd_standin

int main(int argc, char** argv) { return gantry::argocd_standin::Main(argc, argv); }
