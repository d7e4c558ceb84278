// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/progress.h"

#include <chrono>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/durations.h"
#include "client/gantryctl/render.h"
#include "client/gantryctl/text.h"

namespace gantry::gantryctl {
namespace {

class PlainProgress : public Progress {
 public:
  explicit PlainProgress(Write write) : write_(std::move(write)) {}

  void Show(absl::Duration elapsed, const std::string& line) override {
    if (line == last_) return;
    last_ = line;
    write_(absl::StrCat("[", base::FormatGoDuration(absl::Trunc(elapsed, absl::Seconds(1))), "] ",
                        line, "\n"));
  }
  void Finish() override {}

 private:
  const Write write_;
  std::string last_;
};

// Keeps the time on the line going while the thread that follows the step is held in a call. Owned
// by the command; Show and Finish are called on one thread, the writing is done by a second one.
class TerminalProgress : public Progress {
 public:
  TerminalProgress(Write write, std::function<std::size_t()> width)
      : write_(std::move(write)), width_(std::move(width)), thread_([this] { Run(); }) {}
  ~TerminalProgress() override { Finish(); }

  void Show(absl::Duration elapsed, const std::string& line) override {
    const absl::MutexLock lock(&mutex_);
    started_ = Clock::now() - absl::ToChronoNanoseconds(elapsed);
    line_ = line;
    changed_ = true;
  }

  void Finish() override {
    if (!thread_.joinable()) return;
    {
      const absl::MutexLock lock(&mutex_);
      finished_ = true;
    }
    thread_.join();
  }

 private:
  using Clock = std::chrono::steady_clock;

  // What to write next: waits until there is news or a second is over.
  struct Next {
    bool finished = false;
    std::string line;
    absl::Duration elapsed;
  };
  Next Await() {
    const absl::MutexLock lock(&mutex_);
    const auto news = [this]()
                          ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return changed_ || finished_; };
    mutex_.AwaitWithTimeout(absl::Condition(&news), absl::Seconds(1));
    changed_ = false;
    return {finished_, line_, absl::FromChrono(Clock::now() - started_)};
  }

  void Run() {
    bool shown = false;
    for (Next next = Await(); !next.finished; next = Await()) {
      if (next.line.empty()) continue;
      write_(absl::StrCat(kClearLine, TerminalLine(next.elapsed, next.line, width_())));
      shown = true;
    }
    if (shown) write_(kClearLine);
  }

  const Write write_;
  const std::function<std::size_t()> width_;
  absl::Mutex mutex_;
  std::string line_ ABSL_GUARDED_BY(mutex_);
  Clock::time_point started_ ABSL_GUARDED_BY(mutex_){};
  bool changed_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace

std::string ProgressLine(const client::RunStepProgress& progress, const std::string& address) {
  if (progress.error != nullptr) {
    return absl::StrCat(progress.service_answered ? std::string("the service cannot tell yet")
                                                  : absl::StrCat("nothing answers at ", address),
                        ", trying again: ", ErrorLine(*progress.error));
  }
  return progress.response != nullptr ? VerdictLine(*progress.response) : "";
}

std::string TerminalLine(absl::Duration elapsed, const std::string& line, std::size_t width) {
  const std::string text =
      absl::StrCat(base::FormatGoDuration(absl::Trunc(elapsed, absl::Seconds(1))), "  ", line);
  // A terminal goes to the next line when the last column is filled.
  return CutTo(text, width > 1 ? width - 1 : 1);
}

std::unique_ptr<Progress> MakePlainProgress(Write write) {
  return std::make_unique<PlainProgress>(std::move(write));
}

std::unique_ptr<Progress> MakeTerminalProgress(Write write, std::function<std::size_t()> width) {
  return std::make_unique<TerminalProgress>(std::move(write), std::move(width));
}

}  // namespace gantry::gantryctl
