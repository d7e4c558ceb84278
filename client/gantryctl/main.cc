// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <grpc/support/log.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "client/gantryctl/progress.h"
#include "client/gantryctl/run.h"
#include "client/gantryctl/transport.h"
#include "gantry/client/connection.h"

namespace {

enum class Phase { kNothingSent, kDryRun, kCalling, kAsking, kWatching };
std::atomic<Phase> phase = Phase::kNothingSent;

// What ends the watch that goes on; empty when there is none, or it was told to end. Taken by the
// thread that waits for signals, which may be alive when main is through; hence never destroyed.
std::function<void()> TakeWatchStop(std::function<void()> replacement = nullptr) {
  static auto& mutex = *new std::mutex;
  static auto& stop = *new std::function<void()>;
  const std::lock_guard<std::mutex> lock(mutex);
  std::swap(stop, replacement);
  return replacement;
}

// Gives descriptors that the caller has closed a file, so that nothing else takes their place and
// gets what is meant for people. What is read from or written to them still fails.
void HoldStandardDescriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) return;
  }
}

// In main it would be too late: gRPC's library opens descriptors as it is loaded.
__attribute__((section(".preinit_array"),
               used)) void (*hold_standard_descriptors)() = HoldStandardDescriptors;

bool WriteTo(int fd, const std::string& text) {
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t written = write(fd, text.data() + at, text.size() - at);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    at += static_cast<std::size_t>(written);
  }
  return true;
}

absl::Status SystemError() {
  const int code = errno;
  return absl::UnknownError(std::generic_category().message(code));
}

absl::StatusOr<std::string> Read(const std::string& file, std::size_t limit) {
  const bool standard_input = file == "-";
  FILE* const stream = standard_input ? stdin : std::fopen(file.c_str(), "rb");
  if (stream == nullptr) return SystemError();
  std::string text;
  char buffer[65536];
  while (text.size() <= limit) {
    const std::size_t size = std::fread(buffer, 1, sizeof buffer, stream);
    if (size == 0) break;
    text.append(buffer, size);
  }
  const absl::Status error = std::ferror(stream) != 0 ? SystemError() : absl::OkStatus();
  if (!standard_input) std::fclose(stream);
  if (!error.ok()) return error;
  return text;
}

std::size_t TerminalWidth() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

// Waits for a signal that asks the program to stop, says what that means, and stops it. A watch is
// asked to end, so that what it is writing is written; a second signal stops it the hard way.
void StopOnSignal(const sigset_t& signals) {
  int signal = 0;
  if (sigwait(&signals, &signal) != 0) return;
  if (const std::function<void()> stop_watch = TakeWatchStop()) {
    stop_watch();
    if (sigwait(&signals, &signal) != 0) return;
  }
  std::string text = isatty(STDERR_FILENO) != 0 ? gantry::gantryctl::kClearLine : "";
  switch (phase.load()) {
    case Phase::kNothingSent:
      text += "gantryctl: interrupted; nothing was sent to the service.\n";
      break;
    case Phase::kDryRun:
      text += "gantryctl: interrupted; a dry run changes nothing.\n";
      break;
    case Phase::kCalling:
      text +=
          "gantryctl: interrupted; the step goes on in the cluster. Run the same command again "
          "to follow it.\n";
      break;
    case Phase::kAsking:
    case Phase::kWatching:
      text += "gantryctl: interrupted.\n";
      break;
  }
  WriteTo(STDERR_FILENO, text);
  _exit(128 + signal);
}

}  // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): what gets here may end the process.
int main(int argc, char** argv) {
  // Before any other thread starts, so that all of them leave these signals to the one that waits.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals] { StopOnSignal(signals); }).detach();

  // gRPC logs of failed handshakes what the errors tell in turn.
  if (std::getenv("GRPC_VERBOSITY") == nullptr) gpr_set_log_function([](gpr_log_func_args*) {});

  gantry::gantryctl::World world;
  world.environment = [](const std::string& name) -> std::optional<std::string> {
    const char* const value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
  world.read = Read;
  world.write_out = [](const std::string& text) { return WriteTo(STDOUT_FILENO, text); };
  world.write_err = [](const std::string& text) { WriteTo(STDERR_FILENO, text); };
  world.out_is_terminal = isatty(STDOUT_FILENO) != 0;
  world.err_is_terminal = isatty(STDERR_FILENO) != 0;
  world.terminal_width = TerminalWidth;
  world.connect = [](const gantry::gantryctl::ServiceFlags& flags)
      -> absl::StatusOr<std::shared_ptr<gantry::client::Connection>> {
    absl::StatusOr<gantry::client::ChannelOptions> options =
        gantry::gantryctl::MakeChannelOptions(flags, Read);
    if (!options.ok()) return options.status();
    options->user_agent = "gantryctl/" GANTRY_VERSION;
    return gantry::client::Connect(flags.server, *options);
  };
  world.probe = [](const gantry::gantryctl::ServiceFlags& flags) {
    const auto material = gantry::gantryctl::ReadTlsMaterial(flags, Read);
    if (!material.ok()) return gantry::gantryctl::Finding();
    return gantry::gantryctl::Probe(flags, *material, absl::Seconds(1));
  };
  world.on_calling = [](bool dry_run) { phase = dry_run ? Phase::kDryRun : Phase::kCalling; };
  world.on_asking = [] { phase = Phase::kAsking; };
  world.on_watching = [](std::function<void()> stop) {
    TakeWatchStop(std::move(stop));
    phase = Phase::kWatching;
  };
  return gantry::gantryctl::Run(std::vector<std::string>(argv + 1, argv + argc), world);
}
