// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/gantryctl/render.h"
#include "client/gantryctl/run.h"
#include "tests/client/answers.h"
#include "tests/client/scripted_connection.h"

// gantryctl health as a whole, inside this process.
namespace gantry::gantryctl {
namespace {

using client::Deleted;
using client::Error;
using client::KubernetesDown;
using client::Page;
using client::Refused;
using client::Stage;
using client::Synced;
using client::Updated;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr char kHeader[] = "PROJECT  STAGE  STATE    PROMOTION  SINCE  ISSUES\n";

class HealthTest : public ::testing::Test {
 protected:
  HealthTest() {
    world_.environment = [](const std::string&) -> std::optional<std::string> {
      return std::nullopt;
    };
    world_.write_out = [this](const std::string& text) {
      out_ += text;
      if (on_out_) on_out_();
      return !out_is_full_;
    };
    world_.write_err = [this](const std::string& text) { err_ += text; };
    world_.connect = [this](const ServiceFlags& flags) {
      address_ = flags.server;
      return connection_;
    };
    world_.on_asking = [this] { told_.push_back("asking"); };
    world_.on_watching = [this](std::function<void()> stop) {
      told_.push_back("watching");
      stop_ = std::move(stop);
    };
    world_.timing = &timing_;
  }

  int Health(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"health"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return gantryctl::Run(arguments, world_);
  }

  World world_;
  client::FakeTiming timing_;
  std::shared_ptr<client::ScriptedConnection> connection_ =
      std::make_shared<client::ScriptedConnection>(std::vector<client::ScriptedAnswer>{}, timing_);
  std::string address_;
  std::string out_;
  std::string err_;
  bool out_is_full_ = false;
  std::function<void()> on_out_;
  std::function<void()> stop_;
  std::vector<std::string> told_;
};

v1::GetStageHealthResponse One(bool stale = false) {
  v1::GetStageHealthResponse response;
  *response.mutable_health() = Stage("shop", "prod");
  response.set_stale(stale);
  response.mutable_observed_time()->set_seconds(1772366400);
  return response;
}

TEST_F(HealthTest, AllStagesOfAllPages) {
  connection_->list.script = {{Page({Stage("shop", "prod")}, "t1")},
                              {Page({Stage("shop", "test")})}};
  EXPECT_EQ(Health({"--server", "gantry:1"}), kExitSucceeded);
  EXPECT_EQ(out_, std::string(kHeader) +
                      "shop     prod   HEALTHY  -          -      -\n"
                      "shop     test   HEALTHY  -          -      -\n");
  EXPECT_EQ(err_, "");
  EXPECT_EQ(address_, "gantry:1");
  EXPECT_EQ(connection_->list.requests[0].project(), "");
  EXPECT_THAT(told_, ElementsAre("asking"));
}

TEST_F(HealthTest, TheStagesOfAProject) {
  connection_->list.script = {{Page({Stage("shop", "prod")})}};
  EXPECT_EQ(Health({"shop", "-o", "json"}), kExitSucceeded);
  EXPECT_EQ(connection_->list.requests[0].project(), "shop");
  EXPECT_EQ(nlohmann::json::parse(out_).at("stages").size(), 1u);
  out_.clear();
  EXPECT_EQ(Health({"shop", "-o", "yaml"}), kExitSucceeded);
  EXPECT_THAT(out_, StartsWith("stages:\n  - project: shop\n"));
}

TEST_F(HealthTest, NoStages) {
  connection_->list.script = {{Page({})}};
  EXPECT_EQ(Health({"shop"}), kExitSucceeded);
  EXPECT_EQ(out_, "");
  EXPECT_EQ(err_, "gantryctl: the service knows no Stages of project shop\n");
  EXPECT_EQ(Health({"-o", "json"}), kExitSucceeded);
  EXPECT_EQ(nlohmann::json::parse(out_).at("stages").size(), 0u);
}

TEST_F(HealthTest, OneStageInEveryFormat) {
  connection_->get.script = {{One()}};
  EXPECT_EQ(Health({"shop/prod"}), kExitSucceeded);
  EXPECT_EQ(out_, std::string(kHeader) + "shop     prod   HEALTHY  -          -      -\n");
  EXPECT_EQ(connection_->get.requests[0].project(), "shop");
  EXPECT_EQ(connection_->get.requests[0].stage(), "prod");
  EXPECT_THAT(connection_->get.requests[0].health_checks(), IsEmpty());
  EXPECT_THAT(connection_->list.requests, IsEmpty());

  out_.clear();
  EXPECT_EQ(Health({"shop/prod", "-o", "json"}), kExitSucceeded);
  EXPECT_EQ(nlohmann::json::parse(out_), nlohmann::json::parse(R"({
    "health": {"project": "shop", "stage": "prod", "state": "HEALTH_STATE_HEALTHY"},
    "observedTime": "2026-03-01T12:00:00Z"})"));
  out_.clear();
  EXPECT_EQ(Health({"shop/prod", "-o", "yaml"}), kExitSucceeded);
  EXPECT_THAT(out_, StartsWith("health:\n  project: shop\n"));
  EXPECT_EQ(err_, "");
}

TEST_F(HealthTest, ColorIsForTerminalsThatWantIt) {
  connection_->list.script = {{Page({Stage("shop", "prod")})}};
  const struct {
    const char* name;
    bool terminal;
    std::string variable;
    std::string value;
    bool color;
  } cases[] = {
      {"Terminal", true, "TERM", "xterm", true},     {"Pipe", false, "TERM", "xterm", false},
      {"NoColor", true, "NO_COLOR", "1", false},     {"EmptyNoColor", true, "NO_COLOR", "", true},
      {"DumbTerminal", true, "TERM", "dumb", false},
  };
  for (const auto& test : cases) {
    world_.out_is_terminal = test.terminal;
    world_.environment = [&test](const std::string& name) -> std::optional<std::string> {
      if (name != test.variable) return std::nullopt;
      return test.value;
    };
    out_.clear();
    EXPECT_EQ(Health(), kExitSucceeded);
    EXPECT_EQ(out_.find("\033[32mHEALTHY\033[0m") != std::string::npos, test.color) << test.name;
    EXPECT_EQ(out_.find('\033') != std::string::npos, test.color) << test.name;
  }
}

TEST_F(HealthTest, StaleEvidenceIsToldInEveryFormat) {
  v1::ListStageHealthResponse page = Page({Stage("shop", "prod")});
  page.set_stale(true);
  page.mutable_observed_time()->set_seconds(1772366400);
  connection_->list.script = {{page}};
  connection_->get.script = {{One(/*stale=*/true)}};
  for (const std::string name : {"shop", "shop/prod"}) {
    for (const std::string format : {"table", "json", "yaml"}) {
      err_.clear();
      EXPECT_EQ(Health({name, "-o", format}), kExitSucceeded);
      EXPECT_EQ(err_, "gantryctl: the evidence is stale: observed at 2026-03-01T12:00:00Z\n");
    }
  }
}

TEST_F(HealthTest, TheStateDoesNotChangeTheExitCode) {
  connection_->list.script = {{Page({Stage("shop", "prod", v1::HEALTH_STATE_UNHEALTHY)})}};
  EXPECT_EQ(Health(), kExitSucceeded);
}

TEST_F(HealthTest, AnUnknownStageBringsNearNames) {
  connection_->get.script = {
      {Error(grpc::StatusCode::NOT_FOUND, "no", {"STAGE_NOT_FOUND", {}, {}})}};
  connection_->list.script = {{Page({Stage("shop", "prod"), Stage("shop", "test")}, "more")}};
  EXPECT_EQ(Health({"shop/prdo"}), kExitFailed);
  EXPECT_EQ(out_, "");
  EXPECT_EQ(err_, "gantryctl: no Stage shop/prdo; did you mean shop/prod?\n");
  ASSERT_EQ(connection_->list.requests.size(), 1u);
  EXPECT_EQ(connection_->list.requests[0].project(), "");
  EXPECT_EQ(connection_->list.requests[0].page_size(), 1000);
}

TEST_F(HealthTest, AnUnknownStageIsToldWithoutNamesToo) {
  connection_->get.script = {{Error(grpc::StatusCode::NOT_FOUND, "no")}};
  connection_->list.script = {{KubernetesDown()}};
  EXPECT_EQ(Health({"shop/prdo"}), kExitFailed);
  EXPECT_THAT(err_, StartsWith("gantryctl: no Stage shop/prdo; the service knows a Stage once"));
  EXPECT_EQ(connection_->list.requests.size(), 1u);
}

TEST_F(HealthTest, WhatPassesIsWaitedForAndTold) {
  connection_->get.script = {{Refused()}, {KubernetesDown()}, {One()}};
  EXPECT_EQ(Health({"shop/prod"}), kExitSucceeded);
  EXPECT_EQ(err_,
            "[0s] nothing answers at 127.0.0.1:50051, trying again: UNAVAILABLE: connection "
            "refused\n"
            "[0s] the service cannot tell yet, trying again: UNAVAILABLE "
            "(KUBERNETES_UNREACHABLE): the Kubernetes API cannot be reached\n");
}

TEST_F(HealthTest, FailuresHaveTheirExitCodes) {
  const struct {
    const char* name;
    absl::Status error;
    int code;
    const char* err;  // a part
  } cases[] = {
      {"Unreachable", Refused(), kExitUnreachable, "no Gantry service answers at 127.0.0.1:50051"},
      {"CannotTell", KubernetesDown(), kExitFailed, "could not tell the health within 3s"},
      {"Denied", Error(grpc::StatusCode::PERMISSION_DENIED, "not yours"), kExitFailed,
       "refused the call: PERMISSION_DENIED: not yours"},
      {"Malformed", Error(grpc::StatusCode::INVALID_ARGUMENT, "bad name"), kExitUsage, "bad name"},
  };
  for (const auto& test : cases) {
    connection_->list.script = {{test.error}};
    connection_->get.script = {{test.error}};
    connection_->streams = {{{}, test.error}};
    for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
             {"--timeout", "3s"}, {"a/b", "--timeout", "3s"}, {"-w", "--timeout", "3s"}}) {
      err_.clear();
      EXPECT_EQ(Health(arguments), test.code) << test.name << ": " << err_;
      EXPECT_THAT(err_, HasSubstr(test.err)) << test.name;
      EXPECT_EQ(out_, "") << test.name;
    }
  }
}

TEST_F(HealthTest, AResultThatCannotBePrintedIsNoSuccess) {
  out_is_full_ = true;
  connection_->get.script = {{One()}};
  connection_->list.script = {{Page({Stage("shop", "prod")})}};
  connection_->streams = {
      {{Updated(Stage("shop", "prod")), Synced(), Deleted("shop", "prod")}, {}}};
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{}, {"shop/prod"}, {"-w"}}) {
    err_.clear();
    EXPECT_EQ(Health(arguments), kExitFailed);
    EXPECT_EQ(err_, "gantryctl: standard output cannot be written\n");
  }
}

TEST_F(HealthTest, AWatchPrintsTheTableThenChangesUntilItsTimeout) {
  connection_->streams = {{{Updated(Stage("shop", "prod")), Synced(),
                            Updated(Stage("shop", "test")), Deleted("shop", "prod")},
                           {}}};
  EXPECT_EQ(Health({"shop", "--watch", "--timeout", "90s"}), kExitSucceeded);
  EXPECT_EQ(out_, std::string(kHeader) +
                      "shop     prod   HEALTHY  -          -      -\n"
                      "shop     test   HEALTHY  -          -      -\n"
                      "shop     prod   (deleted)  -          -      -\n");
  EXPECT_EQ(err_, "");
  EXPECT_EQ(connection_->watch_requests[0].project(), "shop");
  EXPECT_EQ(connection_->watch_requests[0].stage(), "");
  EXPECT_THAT(connection_->watch_timeouts, ElementsAre(absl::Seconds(90)));
  EXPECT_THAT(told_, ElementsAre("watching"));
}

TEST_F(HealthTest, AWatchOfAnUnknownStageBringsNearNamesOnce) {
  connection_->streams = {{{Synced()}, Refused()}, {{Synced()}, {}}};
  connection_->list.script = {{Page({Stage("shop", "prod")})}};
  EXPECT_EQ(Health({"shop/prdo", "-w", "--timeout", "90s"}), kExitSucceeded);
  EXPECT_THAT(err_, StartsWith("gantryctl: no Stage shop/prdo; did you mean shop/prod?\n"));
  EXPECT_EQ(connection_->list.requests.size(), 1u);
  EXPECT_EQ(Health({"shop/prdo", "--wait-for", "healthy", "--timeout", "9s"}), kExitStillRunning);
  EXPECT_THAT(err_,
              HasSubstr("gantryctl: shop/prdo is not known, and hence not HEALTHY, after 9s"));
}

TEST_F(HealthTest, StagesAreCompletedFromTheProjectOnTheLine) {
  connection_->list.script = {{Page({Stage("shop", "prod")})}};
  EXPECT_EQ(
      gantryctl::Run({"__complete", "--", "run-step", "--project", "shop", "--stage", ""}, world_),
      kExitSucceeded);
  EXPECT_EQ(out_, "prod\t\n");
  gantryctl::Run({"__complete", "--", "run-step", "--stage", ""}, world_);
  gantryctl::Run({"__complete", "--", "run-step", "--project", "shop", "--project", ""}, world_);
  ASSERT_EQ(connection_->list.requests.size(), 3u);
  EXPECT_EQ(connection_->list.requests[0].project(), "shop");
  EXPECT_EQ(connection_->list.requests[1].project(), "");
  EXPECT_EQ(connection_->list.requests[2].project(), "");
}

TEST_F(HealthTest, AnUnknownProjectBringsNearNames) {
  connection_->list.script = {{Page({})}, {Page({Stage("shop", "prod")})}};
  EXPECT_EQ(Health({"shopp"}), kExitSucceeded);
  EXPECT_EQ(err_, "gantryctl: the service knows no Stages of project shopp; did you mean shop?\n");
  EXPECT_EQ(connection_->list.requests[1].project(), "");
}

TEST_F(HealthTest, WaitingInVainTellsTheLastState) {
  connection_->streams = {{{Updated(Stage("shop", "prod")), Synced()}, {}}};
  EXPECT_EQ(Health({"shop/prod", "--wait-for", "unhealthy", "--timeout", "1s"}), kExitStillRunning);
  EXPECT_EQ(err_, "gantryctl: shop/prod is HEALTHY, not UNHEALTHY, after 1s\n");
}

TEST_F(HealthTest, AWatchCanBeOfOneStageThatIsNotThereYet) {
  connection_->streams = {{{Synced(), Updated(Stage("shop", "prod"))}, {}}};
  EXPECT_EQ(Health({"shop/prod", "-w", "--timeout", "90s"}), kExitSucceeded);
  EXPECT_EQ(connection_->watch_requests[0].stage(), "prod");
  EXPECT_THAT(err_, StartsWith("gantryctl: no Stage shop/prod; the service knows a Stage once"));
  EXPECT_EQ(out_, std::string(kHeader) + "shop     prod   HEALTHY  -          -      -\n");
}

TEST_F(HealthTest, ABreakIsToldAndWhatChangedMeanwhileIsShown) {
  connection_->streams = {
      {{Updated(Stage("shop", "prod")), Updated(Stage("shop", "test")), Synced()}, Refused()},
      {{}, Refused()},
      {{Updated(Stage("shop", "test")), Synced()}, Refused()},
      {{Updated(Stage("shop", "test")), Synced()}, {}}};
  EXPECT_EQ(Health({"-w", "--timeout", "90s"}), kExitSucceeded);
  EXPECT_EQ(out_, std::string(kHeader) +
                      "shop     prod   HEALTHY  -          -      -\n"
                      "shop     test   HEALTHY  -          -      -\n"
                      "shop     prod   (deleted)  -          -      -\n");
  EXPECT_EQ(err_,
            "[0s] the watch broke, connecting again: UNAVAILABLE: connection refused\n"
            "[1s] watching again\n"
            "[1s] the watch broke, connecting again: UNAVAILABLE: connection refused\n"
            "[2s] watching again\n");
}

TEST_F(HealthTest, AWatchWhoseServiceIsAwayAtTheTimeoutIsUnreachable) {
  connection_->streams = {{{Synced()}, Refused()}, {{}, Refused()}};
  EXPECT_EQ(Health({"-w", "--timeout", "20s"}), kExitUnreachable);
  EXPECT_THAT(err_, HasSubstr("the service at 127.0.0.1:50051 does not answer any more"));
}

TEST_F(HealthTest, AWatchThatIsStoppedIsASuccess) {
  connection_->streams = {
      {{Updated(Stage("shop", "prod")), Synced(), Updated(Stage("shop", "test"))}, {}}};
  on_out_ = [this] { stop_(); };
  EXPECT_EQ(Health({"-w", "-o", "json"}), kExitSucceeded);
  EXPECT_EQ(nlohmann::json::parse(out_).at("updated").at("stage"), "prod");
  EXPECT_EQ(err_, "");
  EXPECT_THAT(connection_->watch_timeouts, ElementsAre(absl::InfiniteDuration()));
  stop_();  // a late signal does no harm
}

v1::StageHealth InState(v1::HealthState state) {
  v1::StageHealth health = Stage("shop", "prod");
  health.set_state(state);
  return health;
}

TEST_F(HealthTest, WaitingEndsWhenTheStageIsInThatState) {
  connection_->streams = {
      {{Updated(InState(v1::HEALTH_STATE_PROGRESSING)), Synced(),
        Updated(InState(v1::HEALTH_STATE_UNHEALTHY)), Updated(InState(v1::HEALTH_STATE_HEALTHY)),
        Updated(InState(v1::HEALTH_STATE_UNKNOWN))},
       {}}};
  EXPECT_EQ(Health({"shop/prod", "--wait-for", "healthy"}), kExitSucceeded);
  EXPECT_THAT(out_, HasSubstr("PROGRESSING"));
  EXPECT_THAT(out_, HasSubstr("UNHEALTHY"));
  EXPECT_THAT(out_, ::testing::Not(HasSubstr("UNKNOWN")));
  EXPECT_THAT(connection_->watch_timeouts, ElementsAre(absl::Minutes(5)));
}

TEST_F(HealthTest, WaitingEndsAtOnceWhenItIsSoAlready) {
  connection_->streams = {
      {{Updated(Stage("shop", "prod")), Synced(), Updated(InState(v1::HEALTH_STATE_UNKNOWN))}, {}}};
  EXPECT_EQ(Health({"shop/prod", "--wait-for", "healthy"}), kExitSucceeded);
  EXPECT_EQ(out_, std::string(kHeader) + "shop     prod   HEALTHY  -          -      -\n");
}

TEST_F(HealthTest, WhatWasReachedAndLostIsNotReached) {
  connection_->streams = {{{Synced()}, {}}};
  EXPECT_EQ(Health({"shop/prod", "--wait-for", "healthy", "--timeout", "9s"}), kExitStillRunning);
  connection_->streams = {
      {{Updated(Stage("shop", "prod")), Deleted("shop", "prod"), Synced()}, {}}};
  EXPECT_EQ(Health({"shop/prod", "--wait-for", "healthy", "--timeout", "9s"}), kExitStillRunning);
}

TEST_F(HealthTest, WaitingThatIsInterruptedIsNoSuccess) {
  connection_->streams = {{{Updated(InState(v1::HEALTH_STATE_UNKNOWN)), Synced()}, {}}};
  on_out_ = [this] { stop_(); };
  EXPECT_EQ(Health({"shop/prod", "--wait-for", "healthy"}), kExitInterrupted);
}

TEST_F(HealthTest, WaitingIsForOneStage) {
  EXPECT_EQ(Health({"shop", "--wait-for", "healthy"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("--wait-for is about one Stage"));
  err_.clear();
  EXPECT_EQ(Health({"shop/prod", "--wait-for", "fine"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("--wait-for is \"fine\"; expected healthy, not-applicable"));
}

// Some peers serve one connection at a time.
TEST_F(HealthTest, TheConnectionIsGoneBeforeSomebodyLooksWhoIsThere) {
  world_.read = [](const std::string&, std::size_t) -> absl::StatusOr<std::string> {
    return "uses: argocd-update\n";
  };
  std::weak_ptr<client::ScriptedConnection> connection;
  world_.connect = [&](const ServiceFlags&) {
    const absl::Status closed = absl::UnavailableError("Socket closed");
    auto made = std::make_shared<client::ScriptedConnection>(
        std::vector<client::ScriptedAnswer>{{closed}}, timing_);
    made->list.script = {{closed}};
    made->kinds.script = {{closed}};
    made->streams = {{{}, closed}};
    connection = made;
    return made;
  };
  bool probed = false;
  world_.probe = [&](const ServiceFlags&) {
    probed = true;
    EXPECT_TRUE(connection.expired());
    return Finding{Finding::Kind::kNoAnswer, ""};
  };
  const std::vector<std::string> commands[] = {
      {"health"},
      {"health", "--watch"},
      {"steps"},
      {"run-step", "--project", "a", "--stage", "b", "--promotion", "c", "step"}};
  for (const std::vector<std::string>& command : commands) {
    probed = false;
    err_.clear();
    EXPECT_EQ(gantryctl::Run(command, world_), kExitUnreachable) << command[0];
    EXPECT_TRUE(probed) << command[0];
    EXPECT_THAT(err_, HasSubstr("takes the connection and closes it")) << command[0];
  }
}

TEST_F(HealthTest, AWatchInYamlIsAStreamOfDocuments) {
  connection_->streams = {{{Updated(Stage("shop", "prod")), Synced()}, {}}};
  EXPECT_EQ(Health({"-w", "-o", "yaml", "--timeout", "5s"}), kExitSucceeded);
  EXPECT_EQ(out_,
            "---\nupdated:\n  project: shop\n  stage: prod\n  state: HEALTH_STATE_HEALTHY\n"
            "---\nsynced: {}\n");
}

}  // namespace
}  // namespace gantry::gantryctl
