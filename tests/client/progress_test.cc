// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tests/client/answers.h"

namespace gantry::gantryctl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ProgressTest, TheLineSaysWhatIsWaitedFor) {
  const v1::RunStepResponse response = client::Running(absl::Seconds(1), "argocd/a:\nsyncing");
  const absl::Status down = client::KubernetesDown();
  const absl::Status refused = client::Refused();
  client::RunStepProgress progress;
  progress.response = &response;
  EXPECT_EQ(ProgressLine(progress, "here:1"), "RUNNING (OPERATION_RUNNING): argocd/a: syncing");

  progress.error = &down;
  progress.service_answered = true;
  EXPECT_EQ(ProgressLine(progress, "here:1"),
            "the service cannot tell yet, trying again: UNAVAILABLE (KUBERNETES_UNREACHABLE): the "
            "Kubernetes API cannot be reached");

  progress.error = &refused;
  progress.service_answered = false;
  EXPECT_EQ(ProgressLine(progress, "here:1"),
            "nothing answers at here:1, trying again: UNAVAILABLE: connection refused");
}

TEST(ProgressTest, ATerminalLineFits) {
  EXPECT_EQ(TerminalLine(absl::Seconds(65), "RUNNING", 80), "1m5s  RUNNING");
  // One column stays free: a terminal goes to the next line when the last one is filled.
  EXPECT_EQ(TerminalLine(absl::Seconds(5), "RUNNING: abcdef", 16), "5s  RUNNING:...");
  EXPECT_EQ(TerminalLine(absl::Seconds(5), "RUNNING", 1), ".");
}

TEST(ProgressTest, PlainLinesComeOnChangeOnly) {
  std::vector<std::string> lines;
  const auto progress =
      MakePlainProgress([&lines](const std::string& text) { lines.push_back(text); });
  progress->Show(absl::ZeroDuration(), "one");
  progress->Show(absl::Seconds(2), "one");
  progress->Show(absl::Seconds(4), "two");
  progress->Show(absl::Seconds(6), "one");
  progress->Finish();
  EXPECT_THAT(lines, ElementsAre("[0s] one\n", "[4s] two\n", "[6s] one\n"));
}

// Collects what a progress writes on its own thread.
class Screen {
 public:
  Write Writer() {
    return [this](const std::string& text) {
      const absl::MutexLock lock(&mutex_);
      writes_.push_back(text);
    };
  }
  // Returns once something with `part` was written so many times.
  void Await(const std::string& part, std::ptrdiff_t times = 1) {
    const absl::MutexLock lock(&mutex_);
    const auto there = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return std::count_if(writes_.begin(), writes_.end(), [&part](const std::string& text) {
               return text.find(part) != std::string::npos;
             }) >= times;
    };
    mutex_.Await(absl::Condition(&there));
  }
  std::vector<std::string> writes() {
    const absl::MutexLock lock(&mutex_);
    return writes_;
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::string> writes_ ABSL_GUARDED_BY(mutex_);
};

TEST(ProgressTest, ATerminalLineIsWrittenOverAndCleared) {
  Screen screen;
  const auto progress = MakeTerminalProgress(screen.Writer(), [] { return std::size_t{40}; });
  progress->Show(absl::Minutes(3), "first");
  screen.Await("first");
  progress->Show(absl::Minutes(5), "second");
  screen.Await("second");
  progress->Finish();

  const std::vector<std::string> writes = screen.writes();
  ASSERT_GE(writes.size(), 3u);
  for (const std::string& text : writes) {
    EXPECT_EQ(text.rfind(kClearLine, 0), 0u) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  }
  EXPECT_THAT(writes.front(), HasSubstr("3m"));
  EXPECT_EQ(writes.back(), kClearLine);
}

TEST(ProgressTest, TheTimeOnATerminalGoesOnByItself) {
  Screen screen;
  const auto progress = MakeTerminalProgress(screen.Writer(), [] { return std::size_t{40}; });
  progress->Show(absl::ZeroDuration(), "held");
  screen.Await("held", 2);
  progress->Finish();
  const std::vector<std::string> writes = screen.writes();
  ASSERT_GE(writes.size(), 2u);
  EXPECT_NE(writes[0], writes[1]);
}

TEST(ProgressTest, NothingIsClearedWhereNothingWasShown) {
  Screen screen;
  MakeTerminalProgress(screen.Writer(), [] { return std::size_t{40}; })->Finish();
  EXPECT_TRUE(screen.writes().empty());
}

}  // namespace
}  // namespace gantry::gantryctl
