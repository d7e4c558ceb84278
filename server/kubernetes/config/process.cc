// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/config/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>

#include "base/strings.h"

namespace gantry::kubernetes {
namespace {

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  ~FileDescriptor() { Close(); }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }
  void Set(int fd) {
    Close();
    fd_ = fd;
  }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

std::vector<std::string> Variables(
    const std::vector<std::pair<std::string, std::string>>& changes) {
  std::vector<std::string> result;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('='));
    const bool replaced = std::any_of(changes.begin(), changes.end(),
                                      [&](const auto& change) { return change.first == name; });
    if (!replaced) result.emplace_back(text);
  }
  for (const auto& [name, value] : changes) result.push_back(base::StrCat(name, "=", value));
  return result;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Starts the program; its process id, or minus the error number.
pid_t Spawn(const ProcessOptions& options, int output) {
  std::vector<std::string> arguments = {options.command};
  arguments.insert(arguments.end(), options.arguments.begin(), options.arguments.end());
  std::vector<std::string> environment = Variables(options.environment);

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);

  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // What this process ignores or blocks is no business of the program.
  sigset_t signals;
  sigfillset(&signals);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);

  pid_t pid = -1;
  const int error = posix_spawnp(&pid, options.command.c_str(), &files, &attributes,
                                 Pointers(arguments).data(), Pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return error == 0 ? pid : -error;
}

// Waits up to `longest` for `fd` (may be -1) to be readable or the context to end.
void WaitFor(int fd, base::Context& context, absl::Duration longest) {
  std::array<pollfd, 2> waited = {pollfd{fd, POLLIN, 0}, pollfd{context.fd(), POLLIN, 0}};
  const absl::Duration wait = std::min(context.Remaining(), longest);
  const auto milliseconds = absl::ToInt64Milliseconds(absl::Ceil(wait, absl::Milliseconds(1)));
  poll(waited.data(), waited.size(), static_cast<int>(std::max<std::int64_t>(milliseconds, 1)));
}

class ChildProcess {
 public:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}
  // A child that is still there is killed with all its offspring.
  ~ChildProcess() {
    if (ended_) return;
    kill(-pid_, SIGKILL);
    while (waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
    }
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  bool Ended() {
    if (!ended_) ended_ = waitpid(pid_, &status_, WNOHANG) == pid_;
    return ended_;
  }
  int ExitCode() const {
    return WIFSIGNALED(status_) ? 128 + WTERMSIG(status_) : WEXITSTATUS(status_);
  }

 private:
  const pid_t pid_;
  int status_ = 0;
  bool ended_ = false;
};

}  // namespace

absl::StatusOr<ProcessResult> RunProcess(const ProcessOptions& options, base::Context& context) {
  const auto interrupted = [&](const absl::Status& status) {
    return absl::Status(status.code(), base::StrCat("the command ", options.command,
                                                    " was killed: ", status.message()));
  };
  if (absl::Status status = context.Check(); !status.ok()) return status;
  std::array<int, 2> ends = {-1, -1};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return absl::ResourceExhaustedError(base::StrCat("cannot run the command ", options.command,
                                                     ": ", std::generic_category().message(errno)));
  }
  FileDescriptor reading(ends[0]);
  FileDescriptor writing(ends[1]);
  fcntl(reading.get(), F_SETFL, O_NONBLOCK);
  const pid_t pid = Spawn(options, writing.get());
  writing.Close();
  if (pid < 0) {
    const absl::StatusCode code =
        pid == -ENOENT ? absl::StatusCode::kNotFound : absl::StatusCode::kFailedPrecondition;
    return absl::Status(code, base::StrCat("cannot run the command ", options.command, ": ",
                                           std::generic_category().message(-pid)));
  }
  ChildProcess child(pid);
  ProcessResult result;
  std::array<char, 16384> buffer;
  while (true) {
    const ssize_t count = read(reading.get(), buffer.data(), buffer.size());
    if (count == 0) break;
    if (count > 0) {
      result.output.append(buffer.data(), static_cast<std::size_t>(count));
      if (result.output.size() > options.max_output_bytes) {
        return absl::ResourceExhaustedError(base::StrCat("the command ", options.command,
                                                         " was killed: it printed more than ",
                                                         options.max_output_bytes, " bytes"));
      }
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) break;
    if (absl::Status status = context.Check(); !status.ok()) return interrupted(status);
    WaitFor(reading.get(), context, absl::Minutes(1));
  }
  // The output is closed as a rule by the program's end, which follows at once.
  for (absl::Duration pause = absl::Milliseconds(1); !child.Ended();
       pause = std::min(pause * 2, absl::Milliseconds(100))) {
    if (absl::Status status = context.Check(); !status.ok()) return interrupted(status);
    WaitFor(-1, context, pause);
  }
  result.exit_code = child.ExitCode();
  return result;
}

}  // namespace gantry::kubernetes
