// SPDX-License-Identifier: Apache-2.0
//
// Promotions from end to end: the server beside argocd-standin, a controller that plays Argo CD by
// itself. Each test has one of its own, which works on that test's Applications alone.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/integration/integration_test.h"

namespace gantry::integration {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kSelectorLabel[] = "standin-of";

// An argocd-standin process behind a proxy, which dies with the thread that made it.
class StandIn {
 public:
  explicit StandIn(const std::string& selector)
      : proxy(ReadKubeconfig(ControlPlaneFile("admin.kubeconfig"))),
        log_(absl::StrCat(TemporaryFolder(), "/", UniqueName("standin"), ".log")) {
    ClusterAccess access = ReadKubeconfig(ControlPlaneFile("admin.kubeconfig"));
    access.server = proxy.url();
    access.ca_file.clear();
    const std::string kubeconfig =
        absl::StrCat(TemporaryFolder(), "/", UniqueName("standin"), ".kubeconfig");
    WriteKubeconfig(access, kubeconfig);
    const char* given = std::getenv("ARGOCD_STANDIN");
    Start({given != nullptr ? given : ARGOCD_STANDIN_PROGRAM, "--kubeconfig=" + kubeconfig,
           "--selector=" + selector, "--sync-duration=100ms", "--refresh-delay=100ms",
           "--health-duration=100ms", "--resync=0s"});
  }

  ~StandIn() {
    Kill9();
    if (!testing::Test::HasFailure()) return;
    std::ostringstream log;
    log << std::ifstream(log_).rdbuf();
    std::cerr << "---- log of argocd-standin:\n" << log.str();
  }
  StandIn(const StandIn&) = delete;
  StandIn& operator=(const StandIn&) = delete;

  void Kill9() {
    if (pid_ < 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

  // Ends it as an operator would, and expects it to end well.
  void Terminate() {
    kill(pid_, SIGTERM);
    const int ended = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
    if (ended < 0) GiveUp("no pidfd");
    pollfd wanted = {ended, POLLIN, 0};
    const int limit = static_cast<int>(std::chrono::milliseconds(kPatience).count());
    const int events = poll(&wanted, 1, limit);
    close(ended);
    if (events != 1) GiveUp("argocd-standin does not end after SIGTERM");
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "wait status " << status;
  }

  HoldingProxy proxy;

 private:
  void Start(const std::vector<std::string>& arguments) {
    std::vector<char*> argv;
    for (const std::string& argument : arguments) {
      argv.push_back(const_cast<char*>(argument.c_str()));
    }
    argv.push_back(nullptr);
    const int log = open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0) GiveUp("could not make " + log_);
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ == 0) {
      // Other threads may hold any lock: system calls alone from here on.
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(127);
      signal(SIGPIPE, SIG_DFL);
      dup2(log, STDOUT_FILENO);
      dup2(log, STDERR_FILENO);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(log);
    if (pid_ < 0) GiveUp("could not fork");
  }

  const std::string log_;
  pid_t pid_ = -1;  // -1: it does not run any more
};

class StandinTest : public IntegrationTest {
 protected:
  static constexpr char kOrders[] = "standin.gantry.dev/";

  StandinTest() { standin_ = NewStandIn(); }

  std::unique_ptr<StandIn> NewStandIn() {
    return std::make_unique<StandIn>(absl::StrCat(kSelectorLabel, "=", stage_));
  }

  json Labelled() const { return {{"metadata", {{"labels", {{kSelectorLabel, stage_}}}}}}; }
  // An Application that the stand-in works on, under these orders.
  std::string NewApp(const json& orders = json::object(), const json& spec = json::object()) {
    json change = Labelled();
    for (const auto& [name, value] : orders.items()) {
      change["metadata"]["annotations"][kOrders + name] = value;
    }
    change["spec"] = spec;
    return CreateApplication(change);
  }
  // Gives an order; null takes it back.
  void Order(const std::string& app, const std::string& name, const json& value) {
    api_.MergePatch(ApplicationPath(app),
                    {{"metadata", {{"annotations", {{kOrders + name, value}}}}}});
  }

  // Waits, by the stand-in's writes, until the Application is as expected.
  json AwaitApplication(const std::string& app, const std::function<bool(const json&)>& expected) {
    while (true) {
      // Counted before the look: a write after it is not missed.
      const std::vector<Exchange> writes = standin_->proxy.Exchanges(WriteOf(app));
      const auto answered = std::count_if(writes.begin(), writes.end(),
                                          [](const Exchange& write) { return write.status != 0; });
      json application = Application(app);
      if (expected(application)) return application;
      standin_->proxy.AwaitAnswers(WriteOf(app), static_cast<std::size_t>(answered) + 1);
    }
  }
  json AwaitPhase(const std::string& app, const std::string& phase) {
    return AwaitApplication(app, [&](const json& application) {
      return application.value("/status/operationState/phase"_json_pointer, "") == phase;
    });
  }

  // A call that the server holds open until the step is through.
  static v1::RunStepRequest Waiting(v1::RunStepRequest request) {
    request.mutable_wait()->set_seconds(60);
    return request;
  }
  static StepResult RunToItsEnd(Replica& gantry, const v1::RunStepRequest& request) {
    return gantry.server->RunStep(Waiting(request), std::chrono::seconds(90));
  }
  v1::RunStepRequest WaitRequest(const std::string& app) const {
    v1::RunStepRequest request = Request({{"apps", json::array({{{"name", app}}})}}, "p1", "wait");
    request.set_uses("argocd-wait");
    return request;
  }

  // Calls until the server has seen what the step's message is expected to say; it is RUNNING all
  // the time.
  static void ExpectRunningWith(Replica& gantry, const v1::RunStepRequest& request,
                                const std::string& words) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (true) {
      const StepResult result = gantry.RunStep(request);
      ASSERT_TRUE(Is(result, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
      if (absl::StrContains(result.response.message(), words)) return;
      ASSERT_LT(std::chrono::steady_clock::now(), deadline)
          << "\"" << words << "\" is not in " << result.response.message();
    }
  }

  // The Stage's health, once all caches are filled: before, streams are refused.
  std::unique_ptr<HealthStream> Watch(Replica& gantry) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < deadline) {
      grpc::ClientContext context;
      v1::ListStageHealthResponse response;
      if (gantry.server->stub().ListStageHealth(&context, {}, &response).ok()) {
        return gantry.server->Watch(kProject, stage_);
      }
    }
    GiveUp("the server's caches are not filled");
  }

  std::unique_ptr<StandIn> standin_;
};

TEST_F(StandinTest, APromotionSucceedsAndTheStageTurnsHealthy) {
  const std::string app = NewApp();
  Replica gantry;
  const auto stream = Watch(gantry);
  const StepResult result = RunToItsEnd(gantry, Request(UpdateTo(app)));
  EXPECT_TRUE(Is(result, v1::STEP_STATUS_SUCCEEDED));
  const v1::StageHealth healthy = stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  EXPECT_THAT(healthy.issues(), IsEmpty());
  ASSERT_THAT(healthy.applications(), SizeIs(1));
  EXPECT_THAT(healthy.applications(0).observed_revisions(), ElementsAre(kNewRevision));
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);

  const json status = Application(app).at("status");
  EXPECT_EQ(status.at("history").back().at("revision"), kNewRevision);
  EXPECT_EQ(status.at("sync").at("comparedTo").at("source").at("targetRevision"), kNewRevision);
}

TEST_F(StandinTest, ATagIsReachedThoughItResolvesToACommit) {
  const std::string app = NewApp();
  Replica gantry;
  const auto stream = Watch(gantry);
  EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(UpdateTo(app, "v1.2.0"))), v1::STEP_STATUS_SUCCEEDED));
  const v1::StageHealth healthy = stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  ASSERT_THAT(healthy.applications(0).observed_revisions(), SizeIs(1));
  EXPECT_THAT(healthy.applications(0).observed_revisions(0),
              ::testing::MatchesRegex("[0-9a-f]{40}"));
}

TEST_F(StandinTest, SeveralSourcesAndAChartArePromotedTogether) {
  constexpr char kCharts[] = "https://charts.example.com";
  json application = NewApplication();
  application.merge_patch(Labelled());
  application["spec"].erase("source");
  application["spec"]["sources"] = {
      {{"repoURL", kRepository}, {"path", "deploy"}, {"targetRevision", "main"}},
      {{"repoURL", kCharts}, {"chart", "redis"}, {"targetRevision", "18.0.0"}}};
  api_.Create(ApplicationsPath(), application);
  const std::string app = application.at("metadata").at("name");
  Replica gantry;
  const auto stream = Watch(gantry);
  const StepResult result =
      RunToItsEnd(gantry, Request(Config(app, {{{"repoURL", kRepository},
                                                {"desiredRevision", kNewRevision},
                                                {"updateTargetRevision", true}},
                                               {{"repoURL", kCharts},
                                                {"chart", "redis"},
                                                {"desiredRevision", "18.1.0"},
                                                {"updateTargetRevision", true}}})));
  EXPECT_TRUE(Is(result, v1::STEP_STATUS_SUCCEEDED));
  const v1::StageHealth healthy = stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  EXPECT_THAT(healthy.applications(0).observed_revisions(), ElementsAre(kNewRevision, "18.1.0"));
}

TEST_F(StandinTest, AFailedOperationFailsTheStepInArgoCdsWords) {
  const std::string app = NewApp({{"fail", "the quota is exhausted"}});
  Replica gantry;
  const StepResult result = RunToItsEnd(gantry, Request(UpdateTo(app)));
  EXPECT_TRUE(Is(result, v1::STEP_STATUS_FAILED, v1::STEP_REASON_OPERATION_FAILED));
  EXPECT_THAT(result.response.message(), HasSubstr("the quota is exhausted"));
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
}

TEST_F(StandinTest, TheRetriesOfAnOperationAreWaitedFor) {
  const std::string app =
      NewApp({{"fail", "the quota is exhausted"}},
             {{"syncPolicy", {{"retry", {{"limit", 2}, {"backoff", {{"duration", "1ms"}}}}}}}});
  Replica gantry;
  const StepResult result = RunToItsEnd(gantry, Request(UpdateTo(app)));
  EXPECT_TRUE(Is(result, v1::STEP_STATUS_FAILED, v1::STEP_REASON_OPERATION_FAILED));
  EXPECT_THAT(result.response.message(), HasSubstr("the quota is exhausted (retried 2 times)"));
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
}

TEST_F(StandinTest, AnOperationThatHangsStaysRunningUntilItIsFreed) {
  const std::string app = NewApp({{"hang", "true"}});
  Replica gantry;
  const v1::RunStepRequest request = Request(UpdateTo(app));
  EXPECT_TRUE(
      Is(gantry.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  AwaitApplication(app, [](const json& application) {
    return application.contains("/status/operationState/syncResult"_json_pointer);
  });
  ExpectRunningWith(gantry, request, "waiting for healthy state of apps/Deployment/" + app);

  const auto call = gantry.server->StartStep(Waiting(request), std::chrono::seconds(90));
  Order(app, "hang", nullptr);
  EXPECT_TRUE(Is(call->Result(), v1::STEP_STATUS_SUCCEEDED));
}

TEST_F(StandinTest, AnOperationThatWaitsForAHookSaysSoAndFailsWhenItIsTerminated) {
  const std::string app = NewApp({{"hang", "hook"}});
  Replica gantry;
  const v1::RunStepRequest request = Request(UpdateTo(app));
  EXPECT_TRUE(
      Is(gantry.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  AwaitApplication(app, [](const json& application) {
    return application.contains("/status/operationState/syncResult"_json_pointer);
  });
  ExpectRunningWith(gantry, request,
                    "waiting for completion of hook batch/Job/" + app + "-presync");
  // As Argo CD's API server does it.
  api_.MergePatch(ApplicationPath(app),
                  {{"status", {{"operationState", {{"phase", "Terminating"}}}}}});
  const StepResult result = RunToItsEnd(gantry, request);
  EXPECT_TRUE(Is(result, v1::STEP_STATUS_FAILED, v1::STEP_REASON_OPERATION_FAILED));
  EXPECT_THAT(result.response.message(), HasSubstr("Operation terminated"));
  EXPECT_FALSE(Application(app).at("status").contains("history"));
}

TEST_F(StandinTest, AnOperationBlockedByASyncWindowStaysRunningAndSaysSo) {
  const std::string app = NewApp({{"sync-window", "true"}});
  Replica gantry;
  const v1::RunStepRequest request = Request(UpdateTo(app));
  EXPECT_TRUE(
      Is(gantry.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  AwaitPhase(app, "Running");
  ExpectRunningWith(gantry, request, "blocked by sync window");

  const auto call = gantry.server->StartStep(Waiting(request), std::chrono::seconds(90));
  Order(app, "sync-window", nullptr);
  EXPECT_TRUE(Is(call->Result(), v1::STEP_STATUS_SUCCEEDED));
}

TEST_F(StandinTest, ADegradedApplicationMakesTheStageUnhealthyUntilItRecovers) {
  const std::string app = NewApp();
  Replica gantry;
  const auto stream = Watch(gantry);
  EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(UpdateTo(app))), v1::STEP_STATUS_SUCCEEDED));
  stream->AwaitState(v1::HEALTH_STATE_HEALTHY);

  Order(app, "degrade", "the container crashes");
  const v1::StageHealth unhealthy = stream->AwaitState(v1::HEALTH_STATE_UNHEALTHY);
  ASSERT_THAT(unhealthy.issues(), SizeIs(1));
  EXPECT_THAT(unhealthy.issues(0), AllOf(HasSubstr(app), HasSubstr("Degraded")));

  Order(app, "degrade", nullptr);
  EXPECT_THAT(stream->AwaitState(v1::HEALTH_STATE_HEALTHY).issues(), IsEmpty());
}

TEST_F(StandinTest, AnAutomatedSyncRightAfterOursTakesNothingAway) {
  const std::string app = NewApp({{"self-heal", "true"}});
  Replica gantry;
  const auto stream = Watch(gantry);
  const v1::RunStepRequest request = Request(UpdateTo(app));
  EXPECT_TRUE(Is(RunToItsEnd(gantry, request), v1::STEP_STATUS_SUCCEEDED));
  stream->AwaitState(v1::HEALTH_STATE_HEALTHY);
  AwaitApplication(app, [](const json& application) {
    return application.value("/status/operationState/operation/initiatedBy/automated"_json_pointer,
                             false) &&
           application.value("/status/operationState/phase"_json_pointer, "") == "Succeeded";
  });
  EXPECT_TRUE(Is(gantry.RunStep(request), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
}

// Nobody asked while our operation was the last one: the answer is the same.
TEST_F(StandinTest, AnAutomatedSyncThatHidOurSuccessIsNotFoughtOver) {
  const std::string app = NewApp({{"self-heal", "true"}});
  Replica gantry;
  const v1::RunStepRequest request = Request(UpdateTo(app));
  EXPECT_TRUE(
      Is(gantry.RunStep(request), v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING));
  AwaitApplication(app, [](const json& application) {
    return application.value("/status/operationState/operation/initiatedBy/automated"_json_pointer,
                             false) &&
           !application.at("status").at("operationState").at("operation").contains("info") &&
           application.value("/status/operationState/phase"_json_pointer, "") == "Succeeded";
  });
  EXPECT_TRUE(Is(gantry.RunStep(request), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
}

TEST_F(StandinTest, WaitingEndsWhenTheApplicationIsSyncedAndHealthy) {
  const std::string app = NewApp();
  Replica gantry;
  EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(UpdateTo(app))), v1::STEP_STATUS_SUCCEEDED));
  const StepResult result = RunToItsEnd(gantry, WaitRequest(app));
  EXPECT_TRUE(Is(result, v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(OutputOf(result).at("healthStatus").at("argocd/" + app), "Healthy");
  const json status = Application(app).at("status");
  EXPECT_EQ(status.at("sync").at("status"), "Synced");
  EXPECT_GE(status.at("reconciledAt"), status.at("operationState").at("finishedAt"));
}

TEST_F(StandinTest, WaitingFailsOnAComparisonError) {
  const std::string app = NewApp({{"condition", "ComparisonError=no such path: deploy"}});
  Replica gantry;
  const StepResult result = RunToItsEnd(gantry, WaitRequest(app));
  EXPECT_TRUE(Is(result, v1::STEP_STATUS_FAILED, v1::STEP_REASON_APPLICATION_CONDITION));
  EXPECT_THAT(result.response.message(), HasSubstr("no such path: deploy"));
}

TEST_F(StandinTest, WhoeverTakesOverFromAStandInThatDiedEndsItsOperation) {
  const std::string app = NewApp({{"hang", "true"}});
  Replica gantry;
  const auto call =
      gantry.server->StartStep(Waiting(Request(UpdateTo(app))), std::chrono::seconds(90));
  AwaitPhase(app, "Running");
  standin_->Kill9();
  Order(app, "hang", nullptr);
  standin_ = NewStandIn();
  EXPECT_TRUE(Is(call->Result(), v1::STEP_STATUS_SUCCEEDED));
  EXPECT_EQ(gantry.OperationsWritten(app).size(), 1u);
}

TEST_F(StandinTest, AStandInThatLostItsConnectionsGoesOn) {
  const std::string app = NewApp();
  Replica gantry;
  AwaitApplication(app, [](const json& application) { return application.contains("status"); });
  standin_->proxy.CutConnections();
  EXPECT_TRUE(Is(RunToItsEnd(gantry, Request(UpdateTo(app))), v1::STEP_STATUS_SUCCEEDED));
}

TEST_F(StandinTest, AStandInEndsWellAfterSigterm) {
  const std::string app = NewApp({{"hang", "true"}});
  api_.MergePatch(ApplicationPath(app), {{"operation", {{"sync", json::object()}}}});
  AwaitPhase(app, "Running");
  standin_->Terminate();
}

TEST_F(StandinTest, OtherApplicationsAreNoneOfItsBusiness) {
  const std::string other = CreateApplication();
  const json before = Application(other);
  const std::string app = NewApp();
  AwaitApplication(app, [](const json& application) { return application.contains("status"); });
  standin_->Terminate();
  EXPECT_EQ(Application(other), before);
}

}  // namespace
}  // namespace gantry::integration
