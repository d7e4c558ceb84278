// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/gantryctl/yaml.h"
#include "tests/client/answers.h"
#include "tests/client/scripted_service.h"
#include "tests/client/unused_port.h"

// gantryctl as a program, against a service over the network.
namespace gantry::gantryctl {
namespace {

using client::Answer;
using client::GrpcError;
using client::HealthScript;
using client::Page;
using client::Running;
using client::ScriptedService;
using client::Stage;
using client::Synced;
using client::UnusedPort;
using client::Updated;
using client::WireAnswer;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kStep[] = "uses: argocd-update\nconfig: {apps: [{name: a}]}\n";

struct Outcome {
  int exit_code = -1;  // -1: it did not exit by itself
  std::string out;
  std::string err;
};

struct Invocation {
  std::vector<std::string> arguments;
  std::string input = kStep;
  std::vector<std::string> environment;  // NAME=value
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  std::vector<int> closed;  // of its standard descriptors
  // Called while the program runs, with its process id.
  std::function<void(pid_t)> meanwhile;
  // Texts to wait for on its standard output, one after the other, and what is done when each has
  // come.
  std::vector<std::pair<std::string, std::function<void(pid_t)>>> once_printed;
};

// One end for the program, one for the test; both are closed at the end of it.
struct Channel {
  int mine = -1;
  int its = -1;

  // What it writes comes to the test, through a pipe or a terminal.
  static Channel FromIt(bool terminal) {
    Channel channel;
    if (terminal) {
      EXPECT_EQ(openpty(&channel.mine, &channel.its, nullptr, nullptr, nullptr), 0);
    } else {
      int ends[2] = {-1, -1};
      EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
      channel.mine = ends[0];
      channel.its = ends[1];
    }
    return channel;
  }
  static Channel ToIt() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    return {ends[1], ends[0]};
  }
};

// Calls `on_out` whenever there is more in `out`.
void ReadAll(int out_fd, std::string& out, int err_fd, std::string& err,
             const std::function<void()>& on_out) {
  pollfd polled[2] = {{out_fd, POLLIN, 0}, {err_fd, POLLIN, 0}};
  std::string* const texts[2] = {&out, &err};
  int open = 2;
  while (open > 0) {
    if (poll(polled, 2, -1) < 0 && errno != EINTR) break;
    for (int i = 0; i < 2; ++i) {
      if (polled[i].fd < 0 || polled[i].revents == 0) continue;
      char buffer[4096];
      const ssize_t size = read(polled[i].fd, buffer, sizeof buffer);
      if (size > 0) {
        texts[i]->append(buffer, static_cast<std::size_t>(size));
        if (i == 0) on_out();
      } else if (size == 0 || errno != EINTR) {
        // A terminal ends with EIO once nobody has the other end.
        polled[i].fd = -1;
        --open;
      }
    }
  }
}

Outcome Gantryctl(const Invocation& invocation) {
  std::vector<std::string> words = {GANTRYCTL_PATH};
  words.insert(words.end(), invocation.arguments.begin(), invocation.arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<std::string> variables = invocation.environment;
  variables.push_back("TERM=xterm");
  std::vector<char*> envp;
  for (std::string& variable : variables) envp.push_back(variable.data());
  envp.push_back(nullptr);

  const Channel in = Channel::ToIt();
  const Channel out = Channel::FromIt(invocation.out_is_terminal);
  const Channel err = Channel::FromIt(invocation.err_is_terminal);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.its, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.its, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.its, STDERR_FILENO);
  for (const int fd : {in.mine, in.its, out.mine, out.its, err.mine, err.its}) {
    posix_spawn_file_actions_addclose(&actions, fd);
  }
  for (const int fd : invocation.closed) posix_spawn_file_actions_addclose(&actions, fd);
  // Whoever runs the test may ignore signals; the program should not.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t signals;
  sigfillset(&signals);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);

  Outcome outcome;
  pid_t pid = 0;
  const int spawned =
      posix_spawn(&pid, GANTRYCTL_PATH, &actions, &attributes, argv.data(), envp.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  for (const int fd : {in.its, out.its, err.its}) close(fd);
  EXPECT_EQ(spawned, 0);
  if (spawned == 0) {
    for (std::size_t at = 0; at < invocation.input.size();) {
      const ssize_t size =
          write(in.mine, invocation.input.data() + at, invocation.input.size() - at);
      if (size <= 0) break;  // it has read enough
      at += static_cast<std::size_t>(size);
    }
    close(in.mine);
    if (invocation.meanwhile) invocation.meanwhile(pid);
    std::size_t awaited = 0;
    const auto& once_printed = invocation.once_printed;
    ReadAll(out.mine, outcome.out, err.mine, outcome.err, [&] {
      for (; awaited < once_printed.size() &&
             outcome.out.find(once_printed[awaited].first) != std::string::npos;
           ++awaited) {
        once_printed[awaited].second(pid);
      }
    });
    int status = 0;
    waitpid(pid, &status, 0);
    if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
  } else {
    close(in.mine);
  }
  close(out.mine);
  close(err.mine);
  return outcome;
}

std::vector<std::string> RunStep(const std::string& address,
                                 const std::vector<std::string>& more = {"-"}) {
  std::vector<std::string> arguments = {"run-step",    "--project", "demo",     "--stage", "prod",
                                        "--promotion", "p-1",       "--server", address};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

class ProcessTest : public ::testing::Test {
 protected:
  // A program that stops reading must not end the test.
  ProcessTest() { signal(SIGPIPE, SIG_IGN); }
};

constexpr absl::Duration kSoon = absl::Milliseconds(1);

TEST_F(ProcessTest, AStepIsFollowedFromStandardInputToItsVerdict) {
  ScriptedService service(
      {Running(kSoon), Running(kSoon), Answer(v1::STEP_STATUS_SUCCEEDED, "done")});
  Invocation invocation;
  invocation.arguments = RunStep(service.address(), {"-o", "json", "-"});
  const Outcome outcome = Gantryctl(invocation);

  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out, nullptr, false),
            nlohmann::json::parse(R"({"status": "STEP_STATUS_SUCCEEDED", "message": "done"})"));
  EXPECT_THAT(outcome.err, HasSubstr("RUNNING (OPERATION_RUNNING): an operation runs\n"));
  ASSERT_EQ(service.requests().size(), 3u);
  EXPECT_EQ(service.requests()[0].uses(), "argocd-update");
  EXPECT_EQ(service.requests()[0].stage(), "prod");
  EXPECT_THAT(service.user_agent(), StartsWith("gantryctl/"));
}

TEST_F(ProcessTest, AFileIsReadAndItsErrorsToldWithItsName) {
  const std::string file = ::testing::TempDir() + "/gantryctl_process_test_step.yaml";
  ScriptedService service({Answer(v1::STEP_STATUS_SUCCEEDED)});
  Invocation invocation;
  invocation.arguments = RunStep(service.address(), {file});
  std::ofstream(file) << kStep;
  EXPECT_EQ(Gantryctl(invocation).exit_code, 0);
  std::ofstream(file) << "uses: [";
  const Outcome broken = Gantryctl(invocation);
  unlink(file.c_str());
  EXPECT_EQ(broken.exit_code, 2);
  EXPECT_THAT(broken.err, StartsWith("gantryctl: " + file + ":"));
  EXPECT_EQ(service.requests().size(), 1u);
}

TEST_F(ProcessTest, ExitCodesOfAnswers) {
  const struct {
    const char* name;
    std::vector<WireAnswer> script;
    std::vector<std::string> arguments;
    int exit_code;
    std::string out;  // a part of each
    std::string err;
  } cases[] = {
      {"Succeeded", {Answer(v1::STEP_STATUS_SUCCEEDED)}, {"-"}, 0, "SUCCEEDED", ""},
      {"DryRun", {Running()}, {"-", "--dry-run"}, 0, "dry run", ""},
      {"Failed", {Answer(v1::STEP_STATUS_FAILED)}, {"-"}, 1, "FAILED", ""},
      {"Errored", {Answer(v1::STEP_STATUS_ERRORED)}, {"-"}, 1, "ERRORED", ""},
      {"Aborted", {Answer(v1::STEP_STATUS_ABORTED)}, {"-"}, 1, "ABORTED", ""},
      {"PermissionDenied",
       {GrpcError(grpc::StatusCode::PERMISSION_DENIED, "not yours", {"NOT_ALLOWED", {}, {}})},
       {"-"},
       1,
       "",
       "PERMISSION_DENIED (NOT_ALLOWED): not yours"},
      {"InvalidArgument",
       {GrpcError(grpc::StatusCode::INVALID_ARGUMENT, "one field is wrong",
                  {"INVALID_REQUEST", std::nullopt, {{"stage", "too long"}}})},
       {"-"},
       2,
       "",
       "  stage: too long\n"},
      {"StillRunning",
       {Running(absl::Hours(1))},
       {"-", "--timeout", "1s"},
       3,
       "RUNNING",
       "the step is still running"},
      {"NotJudged",
       {GrpcError(grpc::StatusCode::UNAVAILABLE, "Kubernetes is away",
                  {"KUBERNETES_UNREACHABLE", {}, {}})},
       {"-", "--timeout", "1s"},
       3,
       "",
       "Kubernetes is away"},
  };
  for (const auto& test : cases) {
    ScriptedService service(test.script);
    Invocation invocation;
    invocation.arguments = RunStep(service.address(), test.arguments);
    const Outcome outcome = Gantryctl(invocation);
    EXPECT_EQ(outcome.exit_code, test.exit_code) << test.name << ": " << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr(test.out)) << test.name;
    EXPECT_THAT(outcome.err, HasSubstr(test.err)) << test.name;
  }
}

TEST_F(ProcessTest, WrongUsageReachesNoService) {
  ScriptedService service({Answer(v1::STEP_STATUS_SUCCEEDED)});
  const struct {
    const char* name;
    std::vector<std::string> arguments;
    std::string input;
    std::string err;
  } cases[] = {
      {"UnknownFlag", {"-", "--frob"}, kStep, "There is no flag \"--frob\""},
      {"NoSuchFile", {"/no/such/file"}, kStep, "/no/such/file cannot be read: No such file"},
      {"ADirectory", {"/"}, kStep, "/ cannot be read: Is a directory"},
      {"NothingOnStandardInput", {"-"}, "", "standard input: it holds nothing"},
      {"AListOfSteps", {"-"}, "- uses: a\n- uses: b\n", "it holds a list of 2 steps"},
      {"TooLarge", {"-"}, std::string(kMaxYamlBytes + 1000000, '\n'), "larger than 3 MiB"},
  };
  for (const auto& test : cases) {
    Invocation invocation;
    invocation.arguments = RunStep(service.address(), test.arguments);
    invocation.input = test.input;
    const Outcome outcome = Gantryctl(invocation);
    EXPECT_EQ(outcome.exit_code, 2) << test.name;
    EXPECT_EQ(outcome.out, "") << test.name;
    EXPECT_THAT(outcome.err, HasSubstr(test.err)) << test.name;
  }
  EXPECT_TRUE(service.requests().empty());
}

TEST_F(ProcessTest, AServiceThatIsNotThereIsNamed) {
  const UnusedPort port;
  ASSERT_TRUE(port.ok());
  Invocation invocation;
  invocation.arguments = RunStep(port.address(), {"-", "--timeout", "20ms"});
  const Outcome outcome = Gantryctl(invocation);
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("no Gantry service answers at " + port.address()));
}

TEST_F(ProcessTest, AServiceThatIsRestartedIsFoundAgain) {
  std::optional<ScriptedService> service;
  service.emplace(std::vector<WireAnswer>{Running(kSoon)});
  const std::string address = service->address();
  Invocation invocation;
  invocation.arguments = RunStep(address, {"-", "--timeout", "60s"});
  invocation.meanwhile = [&](pid_t) {
    service->AwaitCalls(1);
    service.reset();
    service.emplace(std::vector<WireAnswer>{Answer(v1::STEP_STATUS_SUCCEEDED)}, address);
  };
  const Outcome outcome = Gantryctl(invocation);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(service->requests().size(), 1u);
}

TEST_F(ProcessTest, APeerThatNeverSpeaksIsNoService) {
  const UnusedPort port(/*listening=*/true);
  ASSERT_TRUE(port.ok());
  Invocation invocation;
  invocation.arguments = RunStep(port.address(), {"-", "--timeout", "20ms"});
  EXPECT_EQ(Gantryctl(invocation).exit_code, 4);
}

TEST_F(ProcessTest, TheAddressIsTakenFromTheEnvironment) {
  ScriptedService service({Answer(v1::STEP_STATUS_SUCCEEDED)});
  Invocation invocation;
  invocation.arguments = {"run-step", "-"};
  invocation.environment = {"GANTRY_SERVER=" + service.address(), "GANTRY_PROJECT=demo",
                            "GANTRY_STAGE=prod", "GANTRY_PROMOTION=p-1"};
  EXPECT_EQ(Gantryctl(invocation).exit_code, 0);
  EXPECT_EQ(service.requests().size(), 1u);
}

TEST_F(ProcessTest, ColorIsForTerminalsAndNoColorTurnsItOff) {
  ScriptedService service({Answer(v1::STEP_STATUS_SUCCEEDED)});
  Invocation invocation;
  invocation.arguments = RunStep(service.address());
  EXPECT_EQ(Gantryctl(invocation).out, "Verdict:     SUCCEEDED\n");
  invocation.out_is_terminal = true;
  EXPECT_EQ(Gantryctl(invocation).out, "Verdict:     \033[32mSUCCEEDED\033[0m\r\n");
  invocation.environment = {"NO_COLOR=1"};
  EXPECT_EQ(Gantryctl(invocation).out, "Verdict:     SUCCEEDED\r\n");
}

TEST_F(ProcessTest, ATerminalShowsOneLineThatIsClearedAtTheEnd) {
  ScriptedService service({Running(absl::Milliseconds(500), "first"),
                           Running(absl::Milliseconds(500), "second"),
                           Answer(v1::STEP_STATUS_SUCCEEDED)});
  Invocation invocation;
  invocation.arguments = RunStep(service.address());
  invocation.err_is_terminal = true;
  const Outcome outcome = Gantryctl(invocation);
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.out, "Verdict:     SUCCEEDED\n");
  EXPECT_THAT(outcome.err, ContainsRegex("\r\033\\[K[0-9hms]+  RUNNING \\(OPERATION_RUNNING\\): "));
  EXPECT_THAT(outcome.err, Not(HasSubstr("\n")));
  EXPECT_THAT(outcome.err, ::testing::EndsWith("\r\033[K"));
}

TEST_F(ProcessTest, ASignalEndsTheWaitingAndSaysThatTheStepGoesOn) {
  for (const int stop : {SIGINT, SIGTERM}) {
    ScriptedService service({Running(absl::Hours(1))});
    Invocation invocation;
    invocation.arguments = RunStep(service.address(), {"-", "--timeout", "100h"});
    invocation.meanwhile = [&service, stop](pid_t pid) {
      service.AwaitCalls(1);
      kill(pid, stop);
    };
    const Outcome outcome = Gantryctl(invocation);
    EXPECT_EQ(outcome.exit_code, 128 + stop);
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.err, HasSubstr("goes on in the cluster"));
  }
}

TEST_F(ProcessTest, ASignalDuringADryRunSaysThatNothingChanged) {
  ScriptedService service({Running()});
  service.SwallowCalls();
  Invocation invocation;
  invocation.arguments = RunStep(service.address(), {"-", "--dry-run"});
  invocation.meanwhile = [&service](pid_t pid) {
    service.AwaitCalls(1);
    kill(pid, SIGINT);
  };
  const Outcome outcome = Gantryctl(invocation);
  EXPECT_EQ(outcome.exit_code, 130);
  EXPECT_THAT(outcome.err, HasSubstr("a dry run changes nothing"));
}

Invocation Health(const std::string& address, const std::vector<std::string>& more = {}) {
  Invocation invocation;
  invocation.arguments = {"health", "--server", address};
  invocation.arguments.insert(invocation.arguments.end(), more.begin(), more.end());
  return invocation;
}

TEST_F(ProcessTest, TheHealthOfAllStagesIsPrinted) {
  ScriptedService service(
      HealthScript{{}, {Page({Stage("shop", "prod")}, "t1"), Page({Stage("shop", "test")})}, {}});
  const Outcome outcome = Gantryctl(Health(service.address()));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out,
            "PROJECT  STAGE  STATE    PROMOTION  SINCE  ISSUES\n"
            "shop     prod   HEALTHY  -          -      -\n"
            "shop     test   HEALTHY  -          -      -\n");
  EXPECT_EQ(outcome.err, "");
  ASSERT_EQ(service.list_requests().size(), 2u);
  EXPECT_EQ(service.list_requests()[1].page_token(), "t1");
}

TEST_F(ProcessTest, ExitCodesOfHealth) {
  v1::GetStageHealthResponse unhealthy;
  *unhealthy.mutable_health() = Stage("shop", "prod", v1::HEALTH_STATE_UNHEALTHY);
  const struct {
    const char* name;
    HealthScript script;
    std::vector<std::string> arguments;
    int exit_code;
    std::string out;  // a part of each
    std::string err;
  } cases[] = {
      {"Unhealthy", {{unhealthy}, {}, {}}, {"shop/prod"}, 0, "UNHEALTHY", ""},
      {"UnknownStage",
       {{GrpcError(grpc::StatusCode::NOT_FOUND, "no such Stage", {"STAGE_NOT_FOUND", {}, {}})},
        {Page({Stage("shop", "prod")})},
        {}},
       {"shop/prdo"},
       1,
       "",
       "gantryctl: no Stage shop/prdo; did you mean shop/prod?\n"},
      {"PermissionDenied",
       {{}, {GrpcError(grpc::StatusCode::PERMISSION_DENIED, "not yours")}, {}},
       {"shop"},
       1,
       "",
       "PERMISSION_DENIED: not yours"},
      {"AWatchThatIsDenied",
       {{}, {}, {{{}, GrpcError(grpc::StatusCode::PERMISSION_DENIED, "not yours")}}},
       {"-w"},
       1,
       "",
       "PERMISSION_DENIED: not yours"},
      {"Malformed",
       {{},
        {GrpcError(grpc::StatusCode::INVALID_ARGUMENT, "one field is wrong",
                   {"INVALID_REQUEST", std::nullopt, {{"project", "too long"}}})},
        {}},
       {"shop"},
       2,
       "",
       "  project: too long\n"},
      {"WrongFlags", {}, {"a/b/c"}, 2, "", "The Stage is \"a/b/c\""},
  };
  for (const auto& test : cases) {
    ScriptedService service(test.script);
    const Outcome outcome = Gantryctl(Health(service.address(), test.arguments));
    EXPECT_EQ(outcome.exit_code, test.exit_code) << test.name << ": " << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr(test.out)) << test.name;
    EXPECT_THAT(outcome.err, HasSubstr(test.err)) << test.name;
  }
}

TEST_F(ProcessTest, AServiceThatIsNotThereTellsNoHealth) {
  const UnusedPort port;
  ASSERT_TRUE(port.ok());
  for (const std::vector<std::string>& more :
       std::vector<std::vector<std::string>>{{"--timeout", "20ms"}, {"-w", "--timeout", "20ms"}}) {
    const Outcome outcome = Gantryctl(Health(port.address(), more));
    EXPECT_EQ(outcome.exit_code, 4);
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.err, HasSubstr("no Gantry service answers at " + port.address()));
  }
}

TEST_F(ProcessTest, HowTheConnectionIsSecuredIsLookedAt) {
  ScriptedService service(HealthScript{{}, {Page({Stage("shop", "prod")})}, {}});
  const Outcome mismatch =
      Gantryctl(Health(service.address(), {"--plaintext=false", "--timeout", "20ms"}));
  EXPECT_EQ(mismatch.exit_code, 4);
  EXPECT_THAT(mismatch.err, HasSubstr("speaks plain text and was called with TLS"));
  // gRPC's own log, which is not for people.
  EXPECT_THAT(mismatch.err, Not(HasSubstr("ssl_transport_security")));

  const Outcome no_file = Gantryctl(Health(service.address(), {"--ca-file", "/no/such/file"}));
  EXPECT_EQ(no_file.exit_code, 2);
  EXPECT_EQ(no_file.err,
            "gantryctl: --ca-file /no/such/file cannot be read: No such file or directory; "
            "expected the certificates of certificate authorities, in PEM\n");

  Invocation token = Health(service.address(), {"--plaintext"});
  token.environment = {"GANTRY_TOKEN=secret"};
  EXPECT_EQ(Gantryctl(token).exit_code, 0);
}

TEST_F(ProcessTest, ReportsReachTheService) {
  ScriptedService service({Answer(v1::STEP_STATUS_SUCCEEDED)});
  Invocation invocation;
  invocation.environment = {"GANTRY_SERVER=" + service.address(), "GANTRY_PROJECT=shop",
                            "GANTRY_STAGE=prod"};
  invocation.arguments = {"report", "promotion", "--promotion", "p-1", "--phase", "running"};
  EXPECT_EQ(Gantryctl(invocation).out,
            "Promotion p-1 of Stage shop/prod is reported as RUNNING.\n");
  invocation.arguments = {"report", "indicator", "--name", "smoke", "--state", "healthy"};
  EXPECT_EQ(Gantryctl(invocation).exit_code, 0);
  ASSERT_EQ(service.promotion_reports().size(), 1u);
  EXPECT_EQ(service.promotion_reports()[0].stage(), "prod");
  ASSERT_EQ(service.indicator_reports().size(), 1u);
  EXPECT_EQ(service.indicator_reports()[0].state(), v1::HEALTH_STATE_HEALTHY);
}

TEST_F(ProcessTest, AWatchFollowsARestartedServiceUntilASignalEndsIt) {
  for (const int stop : {SIGINT, SIGTERM}) {
    std::optional<ScriptedService> service;
    service.emplace(
        HealthScript{{},
                     {},
                     {{{Updated(Stage("shop", "prod")), Updated(Stage("shop", "test")), Synced()},
                       std::nullopt}}});
    const std::string address = service->address();
    Invocation invocation = Health(address, {"--watch"});
    invocation.once_printed = {
        {"shop     test   HEALTHY",
         [&](pid_t) {
           service.reset();
           service.emplace(
               HealthScript{{}, {}, {{{Updated(Stage("shop", "prod")), Synced()}, std::nullopt}}},
               address);
         }},
        {"(deleted)", [stop](pid_t pid) { kill(pid, stop); }}};
    const Outcome outcome = Gantryctl(invocation);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(outcome.out,
              "PROJECT  STAGE  STATE    PROMOTION  SINCE  ISSUES\n"
              "shop     prod   HEALTHY  -          -      -\n"
              "shop     test   HEALTHY  -          -      -\n"
              "shop     test   (deleted)  -          -      -\n");
    EXPECT_THAT(outcome.err, HasSubstr("the watch broke, connecting again: "));
  }
}

TEST_F(ProcessTest, AWatchInJsonEndsAtItsTimeout) {
  ScriptedService service(
      HealthScript{{}, {}, {{{Updated(Stage("shop", "prod")), Synced()}, std::nullopt}}});
  const Outcome outcome =
      Gantryctl(Health(service.address(), {"shop", "-w", "-o", "json", "--timeout", "3s"}));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out,
            "{\"updated\":{\"project\":\"shop\",\"stage\":\"prod\","
            "\"state\":\"HEALTH_STATE_HEALTHY\"}}\n{\"synced\":{}}\n");
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(service.watch_requests()[0].project(), "shop");
}

TEST_F(ProcessTest, ASignalWhileTheHealthIsAskedFor) {
  ScriptedService service(
      HealthScript{{},
                   {GrpcError(grpc::StatusCode::UNAVAILABLE, "come back tomorrow",
                              {"CACHES_NOT_FILLED", absl::Hours(24), {}})},
                   {}});
  Invocation invocation = Health(service.address(), {"--timeout", "100h"});
  invocation.meanwhile = [&service](pid_t pid) {
    service.AwaitListCalls(1);
    kill(pid, SIGINT);
  };
  const Outcome outcome = Gantryctl(invocation);
  EXPECT_EQ(outcome.exit_code, 130);
  EXPECT_THAT(outcome.err, HasSubstr("gantryctl: interrupted.\n"));
}

TEST_F(ProcessTest, TheVersionIsPrinted) {
  Invocation invocation;
  invocation.arguments = {"version"};
  const Outcome outcome = Gantryctl(invocation);
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.out, ContainsRegex("^gantryctl [0-9.]+\n$"));
}

TEST_F(ProcessTest, AFullStandardOutputIsNoSuccess) {
  const int full = open("/dev/full", O_WRONLY);
  ASSERT_GE(full, 0) << "there is no /dev/full here";
  close(full);
  ScriptedService service({Answer(v1::STEP_STATUS_SUCCEEDED)});
  const std::string command = std::string("echo 'uses: argocd-update' | '") + GANTRYCTL_PATH +
                              "' run-step --project demo --stage prod --promotion p-1 --server " +
                              service.address() + " - > /dev/full 2> /dev/null";
  const int status = std::system(command.c_str());
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 1);
}

// Otherwise the connection gets the number of one, and what is meant for people.
TEST_F(ProcessTest, ADescriptorThatIsClosedIsLeftToNothingElse) {
  HealthScript script;
  script.watch = {{{Updated(Stage("shop", "prod")), Synced()}, std::nullopt}};
  ScriptedService service({}, "127.0.0.1:0", script);
  Invocation invocation;
  invocation.arguments = {"health", "--watch", "--server", service.address()};
  invocation.input = "";
  invocation.closed = {STDIN_FILENO, STDERR_FILENO};
  std::vector<std::string> files;
  invocation.once_printed = {
      {"shop", [&](pid_t pid) {
         for (const int fd : invocation.closed) {
           char file[256];
           const std::string link = "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd);
           const ssize_t size = readlink(link.c_str(), file, sizeof file);
           files.emplace_back(file, static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
         }
         kill(pid, SIGINT);
       }}};
  EXPECT_EQ(Gantryctl(invocation).exit_code, 0);
  EXPECT_EQ(files, (std::vector<std::string>{"/dev/null", "/dev/null"}));
}

TEST_F(ProcessTest, AClosedStandardOutputIsNoSuccess) {
  HealthScript script;
  script.list = {Page({Stage("shop", "prod")})};
  ScriptedService service({}, "127.0.0.1:0", script);
  Invocation invocation;
  invocation.arguments = {"health", "--server", service.address()};
  invocation.input = "";
  invocation.closed = {STDIN_FILENO, STDOUT_FILENO};
  const Outcome outcome = Gantryctl(invocation);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("standard output cannot be written"));
}

}  // namespace
}  // namespace gantry::gantryctl
