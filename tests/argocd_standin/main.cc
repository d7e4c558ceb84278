// SPDX-License-Identifier: Apache-2.0
// argocd-standin: plays Argo CD's part on Applications, where there is no Argo CD.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/durations.h"
#include "base/strings.h"
#include "server/kubernetes/api/api_connection.h"
#include "server/kubernetes/api/rest_client.h"
#include "server/kubernetes/config/kube_config.h"
#include "server/kubernetes/watch/reflector.h"
#include "server/observability/log.h"
#include "tests/argocd_standin/controller.h"
#include "tests/argocd_standin/orders.h"

namespace gantry::argocd_standin {
namespace {

using observability::LogFormat;
using observability::Logger;
using observability::LogLevel;

constexpr int kExitFailed = 1;
constexpr int kWorkers = 4;

struct Flags {
  std::string kubeconfig;
  std::string context;
  std::string namespaces = "argocd";
  std::string selector;
  Settings settings;
  LogFormat log_format = LogFormat::kText;
};

std::string Footer() {
  std::string text =
      "Durations are written as Go writes them: 500ms, 3s, 1m30s.\n\n"
      "Annotations on an Application tell the stand-in how to behave, until they are removed:\n";
  for (const OrderHelp& help : OrderHelps()) {
    base::StrAppend(&text, "  ", kOrderPrefix, help.name, ": ", help.value, "\n      ",
                    help.meaning, "\n");
  }
  return text;
}

void AddDuration(CLI::App& app, const std::string& name, absl::Duration& duration,
                 const std::string& help) {
  app.add_option_function<std::string>(
         name,
         [&duration, name](const std::string& text) {
           const auto parsed = base::ParseGoDuration(text);
           if (!parsed) {
             throw CLI::ValidationError(
                 name, "\"" + text + "\" is no duration with its unit, such as 500ms or 3s");
           }
           duration = *parsed;
         },
         help)
      ->type_name("DURATION")
      ->default_str(absl::FormatDuration(duration));
}

std::vector<std::string> Namespaces(const std::string& text) {
  if (text == "*") return {""};
  return absl::StrSplit(text, ',', absl::SkipWhitespace());
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "argocd-standin: %s\n", std::string(status.message()).c_str());
  return kExitFailed;
}

kubernetes::ReflectorOptions WatchOptions(const std::string& ns, const Logger& log) {
  kubernetes::ReflectorOptions options;
  options.on_restart = [ns, log](kubernetes::RestartReason reason, const absl::Status& why) {
    switch (reason) {
      case kubernetes::RestartReason::kEnded:
      case kubernetes::RestartReason::kExpired:
      case kubernetes::RestartReason::kNotStreamed:
        return;
      default:
        log.Warning("the watch failed and begins again",
                    {{"namespace", ns}, {"error", base::ToStd(why.message())}});
    }
  };
  return options;
}

int Run(const Flags& flags, const sigset_t& signals) {
  const Logger log = observability::MakeLogger(flags.log_format, LogLevel::kInfo);
  auto selector = LabelSelector::Parse(flags.selector);
  if (!selector.ok()) return Fail(selector.status());
  const std::vector<std::string> namespaces = Namespaces(flags.namespaces);
  if (namespaces.empty()) {
    return Fail(absl::InvalidArgumentError("--namespaces names no namespace; \"*\" means all"));
  }
  const auto config = kubernetes::LoadClusterConfig({flags.kubeconfig, flags.context},
                                                    kubernetes::ProcessEnvironment());
  if (!config.ok()) return Fail(config.status());
  kubernetes::ClientOptions client_options;
  client_options.user_agent = "argocd-standin";
  client_options.qps = 0;
  client_options.on_warning = [log](std::string_view message) { log.Warning(message); };
  auto connection = kubernetes::MakeApiConnection(*config, client_options);
  if (!connection.ok()) return Fail(connection.status());
  kubernetes::RestClient client(*connection);

  Controller controller({client, base::SystemClock(), log}, flags.settings, *std::move(selector));
  base::Context stop;
  std::vector<std::unique_ptr<kubernetes::ObjectSink>> sinks;
  std::vector<std::unique_ptr<kubernetes::Reflector>> reflectors;
  std::vector<std::thread> threads;
  for (const std::string& ns : namespaces) {
    sinks.push_back(controller.NewSink(ns));
    reflectors.push_back(std::make_unique<kubernetes::Reflector>(
        *connection, kApplications, ns, *sinks.back(), WatchOptions(ns, log)));
    threads.emplace_back([&stop, reflector = reflectors.back().get()] { reflector->Run(stop); });
  }
  for (int i = 0; i < kWorkers; ++i) threads.emplace_back([&] { controller.Work(stop); });
  log.Info("playing Argo CD", {{"server", config->server}, {"namespaces", flags.namespaces}});

  int number = 0;
  sigwait(&signals, &number);
  stop.Cancel();
  controller.Close();
  for (std::thread& thread : threads) thread.join();
  return 0;
}

int Main(int argc, char** argv) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  // Before any other thread is made, so that all of them inherit it.
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  Flags flags;
  CLI::App app(
      "Plays Argo CD's part on Applications, where there is no Argo CD: takes up operations, ends\n"
      "them, compares and judges the Applications. Nothing is deployed, no repository is looked "
      "at:\n"
      "revisions and resources are made up. For demonstrations and tests. Never run it beside a\n"
      "real Argo CD: both would work on the same Applications.");
  app.footer(Footer());
  app.add_option("--kubeconfig", flags.kubeconfig, "The cluster with the Applications.")
      ->required();
  app.add_option("--context", flags.context,
                 "A context of the kubeconfig instead of its current one.");
  app.add_option("--namespaces,--namespace", flags.namespaces,
                 "The Applications' namespaces, separated by commas; * means all.")
      ->capture_default_str();
  app.add_option("--selector", flags.selector,
                 "Only Applications with these labels: key=value, key!=value, key and !key, "
                 "separated by commas. Default: all.");
  AddDuration(app, "--sync-duration", flags.settings.sync_duration, "How long an operation runs.");
  AddDuration(app, "--refresh-delay", flags.settings.refresh_delay,
              "From an operation's end until the comparison after it.");
  AddDuration(app, "--health-duration", flags.settings.health_duration,
              "From a successful operation's end until the Application is Healthy.");
  AddDuration(app, "--resync", flags.settings.resync,
              "The longest time between comparisons; 0s: they come only when there is a reason.");
  app.add_option("--log-format", flags.log_format, "How lines are logged: json or text.")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, LogFormat>{{"json", LogFormat::kJson}, {"text", LogFormat::kText}}))
      ->option_text("FORMAT=text");
  CLI11_PARSE(app, argc, argv);
  return Run(flags, signals);
}

}  // namespace
}  // namespace gantry::argocd_standin

int main(int argc, char** argv) { return gantry::argocd_standin::Main(argc, argv); }
