// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/gantryctl/render.h"
#include "tests/client/answers.h"
#include "tests/client/scripted_connection.h"

// gantryctl as a whole, inside this process.
namespace gantry::gantryctl {
namespace {

using client::Answer;
using client::Error;
using client::KubernetesDown;
using client::Refused;
using client::Running;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

// A world with one file, a scripted service and a fake clock.
class RunTest : public ::testing::Test {
 protected:
  RunTest() {
    world_.environment = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = variables_.find(name);
      if (found == variables_.end()) return std::nullopt;
      return found->second;
    };
    world_.read = [this](const std::string& file, std::size_t) -> absl::StatusOr<std::string> {
      if (file != "step.yaml" && file != "-") return absl::NotFoundError("No such file");
      return file_;
    };
    world_.write_out = [this](const std::string& text) {
      out_ += text;
      return !out_is_full_;
    };
    world_.write_err = [this](const std::string& text) { err_ += text; };
    world_.terminal_width = [] { return std::size_t{200}; };
    world_.connect = [this](const ServiceFlags& flags) {
      address_ = flags.server;
      return connection_;
    };
    world_.on_calling = [this](bool dry_run) { called_with_dry_run_.push_back(dry_run); };
    world_.timing = &timing_;
  }

  int RunStep(std::vector<client::ScriptedAnswer> script,
              const std::vector<std::string>& more = {"step.yaml"}) {
    connection_ = std::make_shared<client::ScriptedConnection>(std::move(script), timing_);
    std::vector<std::string> arguments = {"run-step", "--project",   "demo", "--stage",
                                          "prod",     "--promotion", "p-1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return gantryctl::Run(arguments, world_);
  }

  World world_;
  std::map<std::string, std::string> variables_;
  std::string file_ = "uses: argocd-update\nas: deploy\nconfig: {apps: [{name: a}]}\n";
  client::FakeTiming timing_;
  std::shared_ptr<client::ScriptedConnection> connection_;
  std::string address_;
  std::string out_;
  std::string err_;
  bool out_is_full_ = false;
  std::vector<bool> called_with_dry_run_;
};

TEST_F(RunTest, TheRequestSaysWhatTheFlagsAndTheFileSay) {
  EXPECT_EQ(RunStep({{Answer(v1::STEP_STATUS_SUCCEEDED)}},
                    {"step.yaml", "--actor", "ann", "--server", "gantry:1"}),
            kExitSucceeded);
  ASSERT_EQ(connection_->requests.size(), 1u);
  const v1::RunStepRequest& request = connection_->requests[0];
  EXPECT_EQ(request.project(), "demo");
  EXPECT_EQ(request.stage(), "prod");
  EXPECT_EQ(request.promotion(), "p-1");
  EXPECT_EQ(request.step(), "deploy");
  EXPECT_EQ(request.uses(), "argocd-update");
  EXPECT_EQ(request.actor(), "ann");
  EXPECT_FALSE(request.dry_run());
  EXPECT_FALSE(request.has_wait());
  EXPECT_EQ(request.config().fields().at("apps").list_value().values_size(), 1);
  EXPECT_EQ(address_, "gantry:1");
  EXPECT_THAT(called_with_dry_run_, ::testing::ElementsAre(false));
  EXPECT_EQ(out_, "Verdict:     SUCCEEDED\n");
  EXPECT_EQ(err_, "");
}

TEST_F(RunTest, TheStepFlagWinsOverTheAlias) {
  RunStep({{Answer(v1::STEP_STATUS_SUCCEEDED)}}, {"step.yaml", "--step", "other"});
  EXPECT_EQ(connection_->requests[0].step(), "other");
}

TEST_F(RunTest, WithoutAnAliasTheStepHasNoNameOfItsOwn) {
  file_ = "uses: argocd-update\n";
  RunStep({{Answer(v1::STEP_STATUS_SUCCEEDED)}});
  EXPECT_EQ(connection_->requests[0].step(), "");
  EXPECT_TRUE(connection_->requests[0].has_config());
}

TEST_F(RunTest, TheResultAloneGoesToStandardOutput) {
  EXPECT_EQ(RunStep({{KubernetesDown()}, {Running()}, {Answer(v1::STEP_STATUS_SUCCEEDED)}},
                    {"-o", "json", "step.yaml"}),
            kExitSucceeded);
  EXPECT_EQ(nlohmann::json::parse(out_).at("status"), "STEP_STATUS_SUCCEEDED");
  EXPECT_EQ(err_,
            "[0s] the service cannot tell yet, trying again: UNAVAILABLE "
            "(KUBERNETES_UNREACHABLE): the Kubernetes API cannot be reached\n"
            "[0s] RUNNING (OPERATION_RUNNING): an operation runs\n");
}

TEST_F(RunTest, AFailedStepIsPrintedToo) {
  EXPECT_EQ(RunStep({{Answer(v1::STEP_STATUS_FAILED, "too bad")}}, {"-o", "yaml", "step.yaml"}),
            kExitFailed);
  EXPECT_EQ(out_, "status: STEP_STATUS_FAILED\nmessage: too bad\n");
}

TEST_F(RunTest, AtTheTimeoutTheLatestAnswerIsTheResult) {
  EXPECT_EQ(RunStep({{Running(absl::Seconds(4))}}, {"--timeout", "10s", "step.yaml"}),
            kExitStillRunning);
  EXPECT_THAT(out_, HasSubstr("RUNNING\n"));
  EXPECT_THAT(err_, HasSubstr("gantryctl: the step is still running after 10s"));
}

TEST_F(RunTest, AtTheTimeoutWithoutAnAnswerThereIsNoResult) {
  EXPECT_EQ(RunStep({{KubernetesDown()}}, {"--timeout", "15s", "step.yaml"}), kExitStillRunning);
  EXPECT_EQ(out_, "");
  EXPECT_THAT(err_, HasSubstr("could not evaluate the step within 15s"));
}

TEST_F(RunTest, AnUnreachableServiceIsGivenUpLongBeforeTheTimeout) {
  EXPECT_EQ(RunStep({{Refused()}}), kExitUnreachable);
  EXPECT_EQ(out_, "");
  EXPECT_THAT(err_, HasSubstr("no Gantry service answers at 127.0.0.1:50051, tried for 10s"));
}

TEST_F(RunTest, AnOutageUntilTheTimeoutHasNoResult) {
  EXPECT_EQ(RunStep({{Running()}, {Refused()}}, {"--timeout", "60s", "step.yaml"}),
            kExitUnreachable);
  EXPECT_EQ(out_, "");
  EXPECT_THAT(err_, HasSubstr("does not answer any more"));
  EXPECT_GE(timing_.sleeps.size(), 8u);
}

TEST_F(RunTest, ARefusedCallHasNoResult) {
  EXPECT_EQ(
      RunStep({{Error(grpc::StatusCode::PERMISSION_DENIED, "not yours", {"NOT_ALLOWED", {}, {}})}}),
      kExitFailed);
  EXPECT_EQ(out_, "");
  EXPECT_THAT(err_, StartsWith("gantryctl: the service at 127.0.0.1:50051 refused the call: "
                               "PERMISSION_DENIED (NOT_ALLOWED): not yours\n"));
}

TEST_F(RunTest, AMalformedRequestIsAMatterOfUsage) {
  EXPECT_EQ(RunStep({{Error(grpc::StatusCode::INVALID_ARGUMENT, "one field is wrong",
                            {"INVALID_REQUEST", std::nullopt, {{"uses", "no such kind"}}})}}),
            kExitUsage);
  EXPECT_THAT(err_, HasSubstr("  uses: no such kind\n"));
}

TEST_F(RunTest, ADryRunAsksOnceAndShowsThePatches) {
  v1::RunStepResponse response = Answer(v1::STEP_STATUS_RUNNING);
  v1::ApplicationOutcome& application = *response.add_applications();
  application.set_namespace_("argocd");
  application.set_name("a");
  application.set_patch("[]");
  EXPECT_EQ(RunStep({{response}}, {"--dry-run", "step.yaml"}), kExitSucceeded);
  EXPECT_EQ(connection_->requests.size(), 1u);
  EXPECT_TRUE(connection_->requests[0].dry_run());
  EXPECT_THAT(called_with_dry_run_, ::testing::ElementsAre(true));
  EXPECT_THAT(out_, HasSubstr("Patch for argocd/a:\n[]\n"));
  EXPECT_EQ(err_, "");

  EXPECT_EQ(RunStep({{Answer(v1::STEP_STATUS_ERRORED)}}, {"--dry-run", "step.yaml"}), kExitFailed);
}

TEST_F(RunTest, ErrorsInTheFileAreToldWithTheirPlaces) {
  file_ = "uses: argocd-update\nif: x\nconfig: {a: '${{ b }}'}\n";
  EXPECT_EQ(RunStep({{Answer(v1::STEP_STATUS_SUCCEEDED)}}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("gantryctl: step.yaml:2:1: `if` is a condition"));
  EXPECT_THAT(err_, HasSubstr("gantryctl: step.yaml:3:13: `config.a` is the expression"));
  EXPECT_THAT(connection_->requests, IsEmpty());
  EXPECT_THAT(called_with_dry_run_, IsEmpty());
  EXPECT_EQ(out_, "");

  err_.clear();
  EXPECT_EQ(RunStep({{Answer(v1::STEP_STATUS_SUCCEEDED)}}, {"-"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("gantryctl: standard input:2:1: "));
}

TEST_F(RunTest, AFileThatCannotBeReadIsNamed) {
  EXPECT_EQ(RunStep({{Answer(v1::STEP_STATUS_SUCCEEDED)}}, {"other.yaml"}), kExitUsage);
  EXPECT_EQ(err_,
            "gantryctl: other.yaml cannot be read: No such file; expected a file that holds a "
            "step\n");
}

TEST_F(RunTest, WarningsDoNotStopTheStep) {
  file_ = "uses: argocd-update\nretry: {timeout: 1m}\n";
  EXPECT_EQ(RunStep({{Answer(v1::STEP_STATUS_SUCCEEDED)}}), kExitSucceeded);
  EXPECT_THAT(err_, HasSubstr("gantryctl: warning: step.yaml:2:1: `retry` has no effect"));
}

TEST_F(RunTest, ColorIsForTerminalsOnlyAndCanBeTurnedOff) {
  const auto colored = [this](bool terminal, std::map<std::string, std::string> variables,
                              const std::string& format = "table") {
    out_.clear();
    world_.out_is_terminal = terminal;
    variables_ = std::move(variables);
    RunStep({{Answer(v1::STEP_STATUS_SUCCEEDED)}}, {"step.yaml", "-o", format});
    return out_.find('\033') != std::string::npos;
  };
  EXPECT_TRUE(colored(true, {}));
  EXPECT_TRUE(colored(true, {{"NO_COLOR", ""}, {"TERM", "xterm"}}));
  EXPECT_FALSE(colored(true, {{"NO_COLOR", "1"}}));
  EXPECT_FALSE(colored(true, {{"TERM", "dumb"}}));
  EXPECT_FALSE(colored(false, {}));
  EXPECT_FALSE(colored(true, {}, "json"));
  EXPECT_FALSE(colored(true, {}, "yaml"));
}

TEST_F(RunTest, AVerdictThatCannotBePrintedIsNoSuccess) {
  out_is_full_ = true;
  EXPECT_EQ(RunStep({{Answer(v1::STEP_STATUS_SUCCEEDED)}}), kExitFailed);
  EXPECT_THAT(err_, HasSubstr("standard output cannot be written; the verdict is: SUCCEEDED"));
}

TEST_F(RunTest, UsageErrorsAreToldAndNothingIsDone) {
  EXPECT_EQ(RunStep({{Answer(v1::STEP_STATUS_SUCCEEDED)}}, {"--frob", "step.yaml"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("gantryctl: There is no flag \"--frob\""));
  EXPECT_THAT(connection_->requests, IsEmpty());
}

TEST_F(RunTest, HelpAndVersionGoToStandardOutput) {
  EXPECT_EQ(gantryctl::Run({"--help"}, world_), kExitSucceeded);
  EXPECT_THAT(out_, HasSubstr("run-step"));
  out_.clear();
  EXPECT_EQ(gantryctl::Run({"version"}, world_), kExitSucceeded);
  EXPECT_THAT(out_, ::testing::StartsWith("gantryctl "));
  EXPECT_EQ(err_, "");
}

}  // namespace
}  // namespace gantry::gantryctl
