// SPDX-License-Identifier: Apache-2.0
// gantry-server: reads its options, runs the App, and stops it on a signal.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/strings.h"
#include "server/app/app.h"
#include "server/observability/library_logs.h"
#include "server/observability/log.h"
#include "server/options/options.h"

namespace gantry {
namespace {

using observability::Logger;

constexpr int kExitFailed = 1;
constexpr int kExitBadOptions = 2;

// Hears SIGTERM and SIGINT: the first asks the program to stop, the second ends it at once. Made
// before any other thread, so that all of them inherit the blocked signals; lives as long as the
// process.
class StopSignal {
 public:
  StopSignal() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::thread([signals, stop = std::move(stop_)]() mutable {
      int number = 0;
      sigwait(&signals, &number);
      stop.set_value(number);
      sigwait(&signals, &number);
      _exit(kExitFailed);
    }).detach();
  }

  // The number of the signal.
  int Wait() { return stopped_.get(); }

 private:
  std::promise<int> stop_;
  std::future<int> stopped_ = stop_.get_future();
};

int Fail(const Logger& log, const absl::Status& status) {
  log.Error("cannot start", {{"error", base::ToStd(status.message())}});
  return kExitFailed;
}

int Serve(const options::Options& options, const Logger& log, StopSignal& stop) {
  auto app = app::App::Start(options, log);
  if (!app.ok()) return Fail(log, app.status());
  const int signal = stop.Wait();
  log.Info("stopping: calls in progress may finish",
           {{"signal", sigdescr_np(signal)},
            {"drain_timeout", absl::FormatDuration(options.drain_timeout)}});
  (*app)->Drain();
  log.Info("stopped");
  return EXIT_SUCCESS;
}

std::optional<std::string> FromEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

// The distribution builds abseil without NDEBUG, so each absl::Mutex keeps a graph of the order in
// which mutexes are locked and searches it for cycles. gRPC locks dozens of them in each call: that
// is a sixth of the instructions of a GetStageHealth. A debug build keeps the search.
void StopLookingForDeadlocks() {
#ifdef NDEBUG
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
}

int Main(const std::vector<std::string>& arguments) {
  signal(SIGPIPE, SIG_IGN);
  StopLookingForDeadlocks();
  StopSignal stop;

  const options::ParseResult parsed =
      options::Parse(arguments, FromEnvironment, isatty(STDERR_FILENO) == 1);
  if (!parsed.options) {
    std::fputs(parsed.text.c_str(), stdout);
    for (const std::string& usage_error : parsed.usage_errors) {
      std::fprintf(stderr, "gantry-server: %s\n", usage_error.c_str());
    }
    return parsed.usage_errors.empty() ? EXIT_SUCCESS : kExitBadOptions;
  }
  const Logger log =
      observability::MakeLogger(parsed.options->log_format, parsed.options->log_level);
  observability::RedirectLibraryLogs(log);
  return Serve(*parsed.options, log, stop);
}

}  // namespace
}  // namespace gantry

// NOLINTNEXTLINE(bugprone-exception-escape): what gets here may end the process.
int main(int argc, char** argv) {
  return gantry::Main(std::vector<std::string>(argv + 1, argv + argc));
}
