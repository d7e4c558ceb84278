// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/config/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "tests/server/kubernetes/temporary_folder.h"

namespace gantry::kubernetes {
namespace {

using ::testing::HasSubstr;

class ProcessTest : public ::testing::Test {
 protected:
  ProcessOptions Shell(const std::string& commands) const {
    ProcessOptions options;
    options.command = "sh";
    options.arguments = {"-c", commands};
    return options;
  }

  TemporaryFolder folder_;
  base::Context context_;
};

TEST_F(ProcessTest, CollectsTheOutput) {
  const auto result = RunProcess(Shell("printf 'a\\nb'; exit 0"), context_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->exit_code, 0);
  EXPECT_EQ(result->output, "a\nb");
}

TEST_F(ProcessTest, ALotOfOutputIsComplete) {
  const auto result = RunProcess(Shell("head -c 900000 /dev/zero"), context_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output.size(), 900'000u);
}

TEST_F(ProcessTest, TellsTheExitCodeAndTheSignal) {
  EXPECT_EQ(RunProcess(Shell("echo x; exit 7"), context_)->exit_code, 7);
  EXPECT_EQ(RunProcess(Shell("kill -TERM $$"), context_)->exit_code, 128 + SIGTERM);
}

TEST_F(ProcessTest, AddsToTheEnvironmentAndReplacesInIt) {
  ProcessOptions options = Shell("printf '%s|%s|%s' \"$GANTRY_A\" \"$HOME\" \"${PATH:+there}\"");
  options.environment = {{"GANTRY_A", "1 2"}, {"HOME", "/nowhere"}};
  EXPECT_EQ(RunProcess(options, context_)->output, "1 2|/nowhere|there");
}

TEST_F(ProcessTest, ThereIsNothingToRead) {
  EXPECT_EQ(RunProcess(Shell("cat; echo end"), context_)->output, "end\n");
}

TEST_F(ProcessTest, OpenFilesAreNotInherited) {
  const int open_file = dup(STDIN_FILENO);
  ASSERT_GT(open_file, 2);
  ProcessOptions options = Shell("[ -e /proc/self/fd/" + std::to_string(open_file) +
                                 " ] && echo inherited || echo closed");
  EXPECT_EQ(RunProcess(options, context_)->output, "closed\n");
  close(open_file);
}

TEST_F(ProcessTest, ACommandThatIsNotThereIsNamed) {
  ProcessOptions options;
  options.command = "gantry-test-no-such-command";
  const auto result = RunProcess(options, context_);
  EXPECT_TRUE(absl::IsNotFound(result.status()));
  EXPECT_THAT(std::string(result.status().message()),
              HasSubstr("cannot run the command gantry-test-no-such-command: No such file"));
}

TEST_F(ProcessTest, ACommandThatCannotBeRunIsNamed) {
  ProcessOptions options;
  options.command = folder_.Write("data", "not a program");
  const auto result = RunProcess(options, context_);
  EXPECT_TRUE(absl::IsFailedPrecondition(result.status()));
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("Permission denied"));
}

TEST_F(ProcessTest, TooMuchOutputEndsIt) {
  ProcessOptions options = Shell("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxx; done");
  options.max_output_bytes = 1000;
  EXPECT_TRUE(absl::IsResourceExhausted(RunProcess(options, context_).status()));
}

TEST_F(ProcessTest, TheDeadlineEndsIt) {
  base::Context context(absl::Milliseconds(50));
  EXPECT_TRUE(
      absl::IsDeadlineExceeded(RunProcess(Shell("exec tail -f /dev/null"), context).status()));
}

TEST_F(ProcessTest, TheDeadlineEndsOneThatHasClosedItsOutput) {
  base::Context context(absl::Milliseconds(50));
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      RunProcess(Shell("exec > /dev/null; exec tail -f /dev/null"), context).status()));
}

// Its offspring would otherwise go on for ever. They hold a pipe open: its end is their end.
TEST_F(ProcessTest, CancellationEndsAllOfItsGroup) {
  const std::string fifo = folder_.path() + "/alive";
  ASSERT_EQ(std::system(("mkfifo " + fifo).c_str()), 0);
  base::Context context;
  // Opening a named pipe for reading returns once the offspring has opened it for writing; the
  // reading ends when the last of them has gone.
  std::thread watcher([&] {
    FILE* pipe = fopen(fifo.c_str(), "r");
    context.Cancel();
    while (fgetc(pipe) != EOF) {
    }
    fclose(pipe);
  });
  const auto result =
      RunProcess(Shell("(tail -f /dev/null) 9> " + fifo + " & exec tail -f /dev/null"), context);
  EXPECT_TRUE(absl::IsCancelled(result.status()));
  watcher.join();
}

TEST_F(ProcessTest, AnEndedContextStartsNothing) {
  context_.Cancel();
  const auto result = RunProcess(Shell("echo x > " + folder_.path() + "/ran"), context_);
  EXPECT_TRUE(absl::IsCancelled(result.status()));
  EXPECT_EQ(folder_.Read("ran"), "");
}

TEST_F(ProcessTest, SignalsThatThisProcessIgnoresReachTheProgram) {
  const auto before = signal(SIGPIPE, SIG_IGN);
  const auto result = RunProcess(Shell("kill -PIPE $$; echo survived"), context_);
  signal(SIGPIPE, before);
  EXPECT_EQ(result->exit_code, 128 + SIGPIPE);
}

}  // namespace
}  // namespace gantry::kubernetes
