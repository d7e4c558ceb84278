// SPDX-License-Identifier: Apache-2.0
// gantry-sim: a simulated Kubernetes API server, by hand and for other programs' tests.
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "base/strings.h"
#include "tests/simulator/simulator.h"

namespace gantry::simulator {
namespace {

constexpr char kDescription[] =
    "gantry-sim: a SIMULATED Kubernetes API server for tests. It keeps everything in memory and "
    "nothing when it ends; no controller runs in it.";

constexpr char kFooter[] = R"(
By hand, as the administrator, on the same port:
  TOKEN=$(sed -n 's/^ *token: //p' DIR/admin.kubeconfig)
  sim() { curl -s --cacert DIR/ca.crt -H "Authorization: Bearer $TOKEN" "$(cat DIR/url)/simulator/$@"; }
  sim status
  sim faults -d '{"action": "error", "verb": "patch", "resource": "applications", "code": 429,
                  "retryAfterSeconds": 2, "count": 3}'
  sim faults -d '{"action": "delay", "delayMilliseconds": 500, "count": 10}'
  sim faults -d '{"action": "drop-before"}'    the connection is closed, nothing is done
  sim faults -d '{"action": "drop-after"}'     closed after it was done
  sim faults -d '{"action": "half", "verb": "watch"}'    half a line, then closed
  sim faults -X DELETE
  sim freeze -d '{"resource": "applications"}'    watches stay, and nothing comes (all without resource)
  sim unfreeze -d ''
  sim compact -d ''                            older watches and pages get 410
  sim cut -d ''                                all connections are closed
  sim restart -d '{"downMilliseconds": 2000, "keepObjects": true}'
See tests/simulator/README.md.)";

struct Flags {
  std::string folder;
  std::string listen = "127.0.0.1:0";
  bool http = false;
  std::size_t history = 10000;
  std::string bookmark_interval = "60s";
  bool refuse_initial_events = false;
  bool no_default_manifests = false;
  std::vector<std::string> manifests;
  int owner = 0;
  std::vector<std::string> command;
};

void Say(const std::string& text) { std::fprintf(stderr, "gantry-sim: %s\n", text.c_str()); }

absl::StatusOr<std::unique_ptr<Simulator>> StartWith(const Flags& flags) {
  SimulatorOptions options;
  const std::size_t colon = flags.listen.rfind(':');
  if (colon == std::string::npos ||
      !absl::SimpleAtoi(flags.listen.substr(colon + 1), &options.port) || options.port < 0 ||
      options.port > 65535) {
    return absl::InvalidArgumentError(
        base::StrCat("--listen is \"", flags.listen, "\", not an address such as 127.0.0.1:0"));
  }
  options.address = flags.listen.substr(0, colon);
  options.tls = !flags.http;
  options.history = flags.history;
  options.refuse_initial_events = flags.refuse_initial_events;
  options.default_manifests = !flags.no_default_manifests;
  absl::Duration interval;
  if (!absl::ParseDuration(flags.bookmark_interval, &interval) ||
      interval <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(base::StrCat("--bookmark-interval is \"",
                                                   flags.bookmark_interval,
                                                   "\", not a time such as 60s or 500ms"));
  }
  options.bookmark_interval = absl::ToChronoMilliseconds(interval);
  for (const std::string& path : flags.manifests) {
    std::ifstream file(path);
    std::ostringstream text;
    if (!file || !(text << file.rdbuf())) {
      return absl::NotFoundError(base::StrCat("cannot read --manifest ", path));
    }
    options.manifests.push_back({path, text.str()});
  }
  return Simulator::Start(std::move(options));
}

void Announce(const Simulator& simulator, const std::string& folder) {
  Say(base::StrCat("a SIMULATOR of a Kubernetes API server, which keeps nothing, at ",
                   simulator.url(), "; files in ", folder));
}

// A descriptor that is readable when one of the signals that this program handles came. They are
// blocked in all threads.
int SignalDescriptor() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signalfd(-1, &signals, SFD_CLOEXEC);
}

int NextSignal(int descriptor) {
  signalfd_siginfo info;
  return read(descriptor, &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo)
                                                             : SIGTERM;
}

int Serve(const Flags& flags) {
  const int signals = SignalDescriptor();
  int owner = -1;
  if (flags.owner != 0) {
    owner = static_cast<int>(syscall(SYS_pidfd_open, flags.owner, 0));
    if (owner < 0) {
      Say(base::StrCat("--owner ", flags.owner, ": no such process"));
      return 1;
    }
  }
  std::error_code error;
  std::filesystem::create_directories(flags.folder, error);
  const std::string folder = std::filesystem::absolute(flags.folder, error).string();
  const auto simulator = StartWith(flags);
  absl::Status status = simulator.status();
  if (status.ok()) status = (*simulator)->WriteFiles(folder);
  if (!status.ok()) {
    Say(std::string(status.message()));
    return 1;
  }
  Announce(**simulator, folder);
  std::printf("%s\n", (*simulator)->url().c_str());
  std::fflush(stdout);
  while (true) {
    pollfd watched[] = {{signals, POLLIN, 0}, {owner, POLLIN, 0}};
    if (poll(watched, 2, -1) < 0) continue;
    if (watched[1].revents != 0) break;
    if (watched[0].revents != 0 && NextSignal(signals) != SIGCHLD) break;
  }
  Say("ends; nothing is kept");
  return 0;
}

int Run(const Flags& flags) {
  const int signals = SignalDescriptor();
  std::string folder = (std::filesystem::temp_directory_path() / "gantry-sim.XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) {
    Say(base::StrCat("cannot make a folder ", folder, ": ", std::strerror(errno)));
    return 1;
  }
  const auto simulator = StartWith(flags);
  absl::Status status = simulator.status();
  if (status.ok()) status = (*simulator)->WriteFiles(folder);
  int result = 1;
  if (!status.ok()) {
    Say(std::string(status.message()));
  } else {
    Announce(**simulator, folder);
    setenv("GANTRY_TEST_CONTROL_PLANE", folder.c_str(), 1);
    setenv("KUBECONFIG", base::StrCat(folder, "/admin.kubeconfig").c_str(), 1);
    std::vector<char*> arguments;
    for (const std::string& argument : flags.command) {
      arguments.push_back(const_cast<char*>(argument.c_str()));
    }
    arguments.push_back(nullptr);
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child == 0) {
      // Other threads may hold any lock: system calls alone from here on.
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(127);
      sigset_t none;
      sigemptyset(&none);
      sigprocmask(SIG_SETMASK, &none, nullptr);
      execvp(arguments[0], arguments.data());
      constexpr char kWhy[] = "gantry-sim: the command could not be executed\n";
      if (write(STDERR_FILENO, kWhy, sizeof kWhy - 1) < 0) _exit(126);
      _exit(127);
    }
    int ended = 0;
    while (child > 0) {
      const int signal = NextSignal(signals);
      if (signal != SIGCHLD) {
        kill(child, signal);
        continue;
      }
      if (waitpid(child, &ended, WNOHANG) == child) {
        result = WIFEXITED(ended) ? WEXITSTATUS(ended) : 128 + WTERMSIG(ended);
        break;
      }
    }
    if (child < 0) Say(base::StrCat("cannot fork: ", std::strerror(errno)));
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  return result;
}

void AddFlags(CLI::App& app, Flags& flags) {
  app.add_option("--listen", flags.listen, "Address and port (0: any) to listen on")
      ->capture_default_str();
  app.add_flag("--http", flags.http, "Plain HTTP instead of HTTPS");
  app.add_option("--history", flags.history, "Changes that are kept of each resource")
      ->capture_default_str();
  app.add_option("--bookmark-interval", flags.bookmark_interval,
                 "How often watches get a bookmark that allow it")
      ->capture_default_str();
  app.add_flag("--refuse-initial-events", flags.refuse_initial_events,
               "Answer sendInitialEvents with 422, as without the feature gate WatchList");
  app.add_flag("--no-default-manifests", flags.no_default_manifests,
               "Begin without Gantry's definitions, namespaces and roles");
  app.add_option("--manifest", flags.manifests,
                 "YAML or JSON file with objects to begin with, their status included; repeatable")
      ->expected(1)
      ->take_all();
}

int Main(int argc, char** argv) {
  CLI::App app(kDescription, "gantry-sim");
  app.footer(kFooter);
  app.require_subcommand(1);
  Flags flags;
  CLI::App* const serve = app.add_subcommand(
      "serve", "Serve until SIGTERM or SIGINT; DIR gets kubeconfigs, url, ca.crt and tokens.csv");
  AddFlags(*serve, flags);
  serve->add_option("--dir", flags.folder, "The folder DIR, made when it is not there")->required();
  serve->add_option("--owner", flags.owner, "End when the process of this id ends");
  CLI::App* const run = app.add_subcommand(
      "run",
      "Run COMMAND with a simulator of its own: DIR in GANTRY_TEST_CONTROL_PLANE, the "
      "administrator's kubeconfig in KUBECONFIG; its exit code is passed on");
  AddFlags(*run, flags);
  run->add_option("command", flags.command, "COMMAND [ARG...]")->required();
  run->prefix_command();
  run->positionals_at_end();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  if (run->parsed()) {
    for (const std::string& rest : run->remaining()) flags.command.push_back(rest);
    return Run(flags);
  }
  return Serve(flags);
}

}  // namespace
}  // namespace gantry::simulator

int main(int argc, char** argv) { return gantry::simulator::Main(argc, argv); }
