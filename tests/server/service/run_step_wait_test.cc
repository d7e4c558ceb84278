// SPDX-License-Identifier: Apache-2.0
// RunStep with `wait`, over a real connection: calls that are held while their step is RUNNING.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/service/service_fixture.h"

namespace gantry::service {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::SizeIs;

// Waits for one Application's operation.
v1::RunStepResponse Running(const std::string& application,
                            absl::Duration retry_after = absl::Seconds(5)) {
  v1::RunStepResponse response;
  response.set_status(v1::STEP_STATUS_RUNNING);
  response.set_reason(v1::STEP_REASON_OPERATION_RUNNING);
  response.mutable_retry_after()->set_seconds(absl::ToInt64Seconds(retry_after));
  response.mutable_retry_after()->set_nanos(
      static_cast<int>(absl::ToInt64Nanoseconds(retry_after % absl::Seconds(1))));
  v1::ApplicationOutcome& outcome = *response.add_applications();
  outcome.set_namespace_("argocd");
  outcome.set_name(application);
  outcome.set_action(v1::ApplicationOutcome::ACTION_WAITED);
  return response;
}

v1::RunStepRequest WaitingRequest(const std::string& promotion = "p1", int seconds = 600) {
  v1::RunStepRequest request = GoodRequest();
  request.set_promotion(promotion);
  request.mutable_wait()->set_seconds(seconds);
  return request;
}

// A call in progress; cancelled when it goes.
class PendingStep {
 public:
  PendingStep(v1::PromotionStepService::Stub& stub, v1::RunStepRequest request,
              std::optional<std::chrono::milliseconds> deadline = std::nullopt)
      : request_(std::move(request)) {
    if (deadline) context_.set_deadline(std::chrono::system_clock::now() + *deadline);
    stub.async()->RunStep(&context_, &request_, &response_, [this](grpc::Status status) {
      status_ = std::move(status);
      ended_.Set();
    });
  }
  ~PendingStep() {
    Cancel();
    Wait();
  }
  PendingStep(const PendingStep&) = delete;
  PendingStep& operator=(const PendingStep&) = delete;

  void Cancel() { context_.TryCancel(); }
  const grpc::Status& Wait() {
    ended_.Wait();
    return status_;
  }
  // After Wait.
  const v1::RunStepResponse& response() const { return response_; }

 private:
  const v1::RunStepRequest request_;
  grpc::ClientContext context_;
  v1::RunStepResponse response_;
  grpc::Status status_;
  Event ended_;
};

class WaitTest : public ServiceTest {
 protected:
  explicit WaitTest(const ServiceSetup& setup = {}) : ServiceTest(setup) {
    timer_ = std::thread([this] { pending_.Run(timer_context_); });
    watched_.Sync();
    // Each promotion waits for the Application of its name until the test says otherwise, or the
    // Application has.
    behaviour_ = [this](const steps::StepCall& call, base::Context&) -> RunResult {
      const std::string promotion = call.request->promotion();
      looks_.Add(promotion);
      const auto application =
          watched_.caches.applications.Find(argocd::ApplicationName{"argocd", promotion});
      const bool healthy = application != nullptr && application->health_status.str() == "Healthy";
      return healthy ? Succeeded() : Running(promotion);
    };
  }

  ~WaitTest() override {
    server_.reset();
    timer_context_.Cancel();
    timer_.join();
  }

  void WaitUntilPending(std::size_t count) const {
    while (pending_.size() != count) std::this_thread::yield();
  }
  // How often each promotion was looked at.
  std::map<std::string, int> Looks() {
    std::map<std::string, int> looks;
    for (const std::string& promotion : looks_.WaitFor(0)) ++looks[promotion];
    return looks;
  }

  Results<std::string> looks_;
  base::Context timer_context_;
  std::thread timer_;
};

TEST_F(WaitTest, AChangeOfItsApplicationWakesACallAndNoOther) {
  PendingStep shop(*stub_, WaitingRequest("shop"));
  PendingStep cart(*stub_, WaitingRequest("cart"));
  WaitUntilPending(2);
  PutApplication("mail", "Healthy");
  PutApplication("shop", "Healthy");
  ASSERT_TRUE(shop.Wait().ok()) << shop.Wait().error_message();
  EXPECT_EQ(shop.response().status(), v1::STEP_STATUS_SUCCEEDED);
  EXPECT_EQ(pending_.size(), 1u);
  EXPECT_EQ(Looks(), (std::map<std::string, int>{{"cart", 1}, {"shop", 2}}));

  // A change that does not end it makes it pending again.
  PutApplication("cart", "Progressing");
  looks_.WaitFor(4);
  WaitUntilPending(1);
  PutApplication("cart", "Healthy");
  ASSERT_TRUE(cart.Wait().ok());
  EXPECT_EQ(cart.response().status(), v1::STEP_STATUS_SUCCEEDED);
  EXPECT_EQ(Looks(), (std::map<std::string, int>{{"cart", 3}, {"shop", 2}}));
}

TEST_F(WaitTest, TheEndOfItsApplicationWakesACall) {
  PutApplication("shop", "Progressing");
  behaviour_ = [this](const steps::StepCall&, base::Context&) -> RunResult {
    const auto found = watched_.caches.applications.Find(argocd::ApplicationName{"argocd", "shop"});
    if (found != nullptr) return Running("shop");
    v1::RunStepResponse response;
    response.set_status(v1::STEP_STATUS_ERRORED);
    return response;
  };
  PendingStep call(*stub_, WaitingRequest());
  WaitUntilPending(1);
  watched_.DeleteApplication({{"metadata",
                               {{"name", "shop"},
                                {"namespace", "argocd"},
                                {"uid", "uid-shop"},
                                {"resourceVersion", std::to_string(++version_)}}}});
  ASSERT_TRUE(call.Wait().ok());
  EXPECT_EQ(call.response().status(), v1::STEP_STATUS_ERRORED);
}

TEST_F(WaitTest, AChangeOfItsStageWakesACall) {
  std::atomic<bool> superseded{false};
  behaviour_ = [&](const steps::StepCall&, base::Context&) -> RunResult {
    if (!superseded) return Running("shop");
    v1::RunStepResponse response;
    response.set_status(v1::STEP_STATUS_ABORTED);
    return response;
  };
  PendingStep call(*stub_, WaitingRequest());
  WaitUntilPending(1);
  superseded = true;
  PutStage("team-a", "test", Indicator("Healthy"));
  EXPECT_EQ(pending_.size(), 1u);
  PutStage("team-a", "prod", Indicator("Healthy"));
  ASSERT_TRUE(call.Wait().ok());
  EXPECT_EQ(call.response().status(), v1::STEP_STATUS_ABORTED);
}

TEST_F(WaitTest, AReportByAnotherCallWakesACall) {
  std::atomic<bool> superseded{false};
  behaviour_ = [&](const steps::StepCall&, base::Context&) -> RunResult {
    return superseded ? Succeeded() : Running("shop");
  };
  PendingStep call(*stub_, WaitingRequest());
  WaitUntilPending(1);
  superseded = true;
  v1::ReportPromotionRequest report;
  report.set_project("team-a");
  report.set_stage("prod");
  report.set_promotion("p2");
  report.set_phase(v1::PROMOTION_PHASE_RUNNING);
  grpc::ClientContext context;
  v1::ReportPromotionResponse response;
  ASSERT_TRUE(stub_->ReportPromotion(&context, report, &response).ok());
  EXPECT_TRUE(call.Wait().ok());
}

TEST_F(WaitTest, WhenTheWaitIsOverItIsAnsweredWithWhatIsKnown) {
  v1::RunStepRequest request = WaitingRequest("shop", 0);
  request.mutable_wait()->set_nanos(50'000'000);
  PendingStep call(*stub_, request);
  ASSERT_TRUE(call.Wait().ok());
  EXPECT_EQ(call.response().status(), v1::STEP_STATUS_RUNNING);
  EXPECT_EQ(call.response().reason(), v1::STEP_REASON_OPERATION_RUNNING);
  EXPECT_EQ(call.response().retry_after().seconds(), 5);
  ASSERT_THAT(call.response().applications(), SizeIs(1));
  EXPECT_EQ(Looks(), (std::map<std::string, int>{{"shop", 1}}));
  EXPECT_EQ(pending_.size(), 0u);
}

TEST_F(WaitTest, WithoutAWaitItIsAnsweredAtOnce) {
  for (const bool zero : {false, true}) {
    v1::RunStepRequest request = GoodRequest();
    if (zero) request.mutable_wait();
    PendingStep call(*stub_, request);
    ASSERT_TRUE(call.Wait().ok());
    EXPECT_EQ(call.response().status(), v1::STEP_STATUS_RUNNING);
  }
  EXPECT_THAT(looks_.WaitFor(0), SizeIs(2));
}

TEST_F(WaitTest, ADryRunIsAnsweredAtOnce) {
  v1::RunStepRequest request = WaitingRequest();
  request.set_dry_run(true);
  PendingStep call(*stub_, request);
  ASSERT_TRUE(call.Wait().ok());
  EXPECT_EQ(call.response().status(), v1::STEP_STATUS_RUNNING);
  EXPECT_THAT(looks_.WaitFor(0), SizeIs(1));
}

TEST_F(WaitTest, OtherVerdictsAreNotWaitedFor) {
  for (const auto verdict : {v1::STEP_STATUS_SUCCEEDED, v1::STEP_STATUS_FAILED,
                             v1::STEP_STATUS_ERRORED, v1::STEP_STATUS_ABORTED}) {
    behaviour_ = [verdict](const steps::StepCall&, base::Context&) -> RunResult {
      v1::RunStepResponse response = Running("shop");
      response.set_status(verdict);
      return response;
    };
    PendingStep call(*stub_, WaitingRequest());
    ASSERT_TRUE(call.Wait().ok());
    EXPECT_EQ(call.response().status(), verdict);
  }
}

TEST_F(WaitTest, TheNextLookKnowsTheAnswerToTheLastOne) {
  std::vector<std::string> seen;
  behaviour_ = [&](const steps::StepCall& call, base::Context&) -> RunResult {
    const nlohmann::json& output = call.previous_output;
    seen.push_back(output.value("n", "none"));
    v1::RunStepResponse response =
        seen.size() < 3 ? Running("shop", absl::Milliseconds(1)) : Succeeded();
    (*response.mutable_output()->mutable_fields())["n"].set_string_value(
        absl::StrCat("answer ", seen.size()));
    return response;
  };
  v1::RunStepRequest request = WaitingRequest();
  (*request.mutable_previous_output()->mutable_fields())["n"].set_string_value("given");
  PendingStep call(*stub_, request);
  ASSERT_TRUE(call.Wait().ok());
  EXPECT_THAT(seen, ElementsAre("given", "answer 1", "answer 2"));
  EXPECT_EQ(call.response().output().fields().at("n").string_value(), "answer 3");
}

TEST_F(WaitTest, WhatBecomesDueByItselfIsLookedAtAgain) {
  struct {
    const char* name;
    v1::StepReason reason;
    absl::Duration retry_after;
  } const table[] = {
      {"TheNextAttempt", v1::STEP_REASON_AWAITING_RETRY, absl::Milliseconds(20)},
      {"APassingFailure", v1::STEP_REASON_OPERATION_RUNNING, absl::Milliseconds(20)},
  };
  for (const auto& c : table) {
    std::atomic<int> looks{0};
    behaviour_ = [&](const steps::StepCall&, base::Context&) -> RunResult {
      if (++looks == 2) return Succeeded();
      v1::RunStepResponse response = Running("shop", c.retry_after);
      response.set_reason(c.reason);
      return response;
    };
    PendingStep call(*stub_, WaitingRequest());
    ASSERT_TRUE(call.Wait().ok()) << c.name;
    EXPECT_EQ(call.response().status(), v1::STEP_STATUS_SUCCEEDED) << c.name;
  }
}

TEST_F(WaitTest, ARetryThatIsDueAfterTheWaitIsLeftToTheCaller) {
  behaviour_ = [](const steps::StepCall&, base::Context&) -> RunResult {
    v1::RunStepResponse response = Running("shop", absl::Hours(1));
    response.set_reason(v1::STEP_REASON_AWAITING_RETRY);
    return response;
  };
  v1::RunStepRequest request = WaitingRequest("p1", 0);
  request.mutable_wait()->set_nanos(20'000'000);
  PendingStep call(*stub_, request);
  ASSERT_TRUE(call.Wait().ok());
  EXPECT_EQ(call.response().status(), v1::STEP_STATUS_RUNNING);
  EXPECT_EQ(call.response().retry_after().seconds(), 3600);
}

TEST_F(WaitTest, AChangeDuringTheLookIsNotMissed) {
  // The first look decides on what it read before the change came.
  std::atomic<int> looks{0};
  behaviour_ = [&](const steps::StepCall&, base::Context&) -> RunResult {
    if (++looks == 2) return Succeeded();
    PutApplication("shop", "Healthy");
    return Running("shop");
  };
  PendingStep application(*stub_, WaitingRequest());
  ASSERT_TRUE(application.Wait().ok());
  EXPECT_EQ(application.response().status(), v1::STEP_STATUS_SUCCEEDED);

  looks = 0;
  behaviour_ = [&](const steps::StepCall&, base::Context&) -> RunResult {
    if (++looks == 2) return Succeeded();
    PutStage("team-a", "prod", Indicator("Healthy"));
    return Running("cart");
  };
  PendingStep stage(*stub_, WaitingRequest());
  ASSERT_TRUE(stage.Wait().ok());
  EXPECT_EQ(stage.response().status(), v1::STEP_STATUS_SUCCEEDED);
}

TEST_F(WaitTest, AnErrorOfALaterLookIsTheAnswer) {
  std::atomic<int> looks{0};
  behaviour_ = [&](const steps::StepCall&, base::Context&) -> RunResult {
    if (++looks == 1) return Running("shop");
    base::ErrorInfo info;
    info.reason = "KUBERNETES_UNREACHABLE";
    return base::WithErrorInfo(absl::UnavailableError("connection refused"), info);
  };
  PendingStep call(*stub_, WaitingRequest());
  WaitUntilPending(1);
  PutApplication("shop", "Healthy");
  EXPECT_EQ(call.Wait().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ErrorOf(call.Wait()).reason, "gantry.dev/KUBERNETES_UNREACHABLE");
}

TEST_F(WaitTest, ACallerThatGoesLeavesNothingBehind) {
  {
    PendingStep call(*stub_, WaitingRequest("shop"));
    WaitUntilPending(1);
    call.Cancel();
    EXPECT_EQ(call.Wait().error_code(), grpc::StatusCode::CANCELLED);
    WaitUntilPending(0);
  }
  PutApplication("shop", "Healthy");
  const auto lines = LogLines();
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_EQ(lines[0].at("code"), "CANCELLED");
  EXPECT_THAT(step_ends_.WaitFor(0), ElementsAre("shop: CANCELLED"));
  EXPECT_EQ(Looks(), (std::map<std::string, int>{{"shop", 1}}));
}

TEST_F(WaitTest, TheDeadlineOfTheCallEndsTheWait) {
  PendingStep call(*stub_, WaitingRequest("shop"), std::chrono::milliseconds(300));
  EXPECT_EQ(call.Wait().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  WaitUntilPending(0);
  server_->Shutdown(absl::Hours(1));
  // By the server's clock the caller may have gone just before its deadline.
  EXPECT_THAT(step_ends_.WaitFor(1),
              ElementsAre(AnyOf("shop: DEADLINE_EXCEEDED", "shop: CANCELLED")));
}

TEST_F(WaitTest, AConnectionThatBreaksLeavesNothingBehind) {
  auto channel = NewChannel();
  auto stub = v1::PromotionStepService::NewStub(channel);
  std::vector<std::unique_ptr<PendingStep>> calls;
  for (int i = 0; i < 10; ++i) {
    calls.push_back(std::make_unique<PendingStep>(*stub, WaitingRequest(absl::StrCat("a", i))));
  }
  WaitUntilPending(10);
  calls.clear();
  stub.reset();
  channel.reset();
  WaitUntilPending(0);
  EXPECT_TRUE(RunStep(GoodRequest()).ok());
}

TEST_F(WaitTest, DrainingAnswersWhoWaitsWithWhatIsKnown) {
  PendingStep shop(*stub_, WaitingRequest("shop"));
  PendingStep cart(*stub_, WaitingRequest("cart"));
  WaitUntilPending(2);
  server_->Shutdown(absl::Hours(1));
  for (PendingStep* call : {&shop, &cart}) {
    ASSERT_TRUE(call->Wait().ok()) << call->Wait().error_message();
    EXPECT_EQ(call->response().status(), v1::STEP_STATUS_RUNNING);
    EXPECT_THAT(call->response().applications(), SizeIs(1));
  }
  EXPECT_EQ(Looks(), (std::map<std::string, int>{{"cart", 1}, {"shop", 1}}));
}

TEST_F(WaitTest, WhoWouldWaitDuringDrainingIsAnsweredAtOnce) {
  Event begun;
  Event release;
  behaviour_ = [&](const steps::StepCall&, base::Context&) -> RunResult {
    begun.Set();
    release.Wait();
    return Running("shop");
  };
  PendingStep call(*stub_, WaitingRequest());
  begun.Wait();
  service_->StartDraining();
  release.Set();
  ASSERT_TRUE(call.Wait().ok());
  EXPECT_EQ(call.response().status(), v1::STEP_STATUS_RUNNING);
}

class OneWorkerTest : public WaitTest {
 protected:
  static ServiceSetup OneWorker() {
    ServiceSetup setup;
    setup.workers = 1;
    setup.queued = 100;
    return setup;
  }
  OneWorkerTest() : WaitTest(OneWorker()) {}
};

TEST_F(OneWorkerTest, AHundredWaitAndOthersAreServed) {
  constexpr int kCalls = 100;
  std::vector<std::unique_ptr<PendingStep>> calls;
  for (int i = 0; i < kCalls; ++i) {
    calls.push_back(std::make_unique<PendingStep>(*stub_, WaitingRequest(absl::StrCat("a", i))));
  }
  WaitUntilPending(kCalls);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(RunStep(GoodRequest()).ok());
  // All at once: more than the queue takes, but they were admitted.
  for (int i = 0; i < kCalls; ++i) PutApplication(absl::StrCat("a", i), "Healthy");
  for (const auto& call : calls) {
    ASSERT_TRUE(call->Wait().ok()) << call->Wait().error_message();
    EXPECT_EQ(call->response().status(), v1::STEP_STATUS_SUCCEEDED);
  }
  EXPECT_EQ(pending_.size(), 0u);
}

class SmallQueueTest : public WaitTest {
 protected:
  static ServiceSetup SmallQueue() {
    ServiceSetup setup;
    setup.workers = 1;
    setup.queued = 1;
    return setup;
  }
  SmallQueueTest() : WaitTest(SmallQueue()) {}
};

TEST_F(SmallQueueTest, AFullQueueDoesNotEndWhoWaits) {
  PendingStep first(*stub_, WaitingRequest("shop"));
  WaitUntilPending(1);
  PendingStep second(*stub_, WaitingRequest("cart"));
  WaitUntilPending(2);
  Event begun;
  Event release;
  const Behaviour by_application = behaviour_;
  behaviour_ = [&](const steps::StepCall& call, base::Context& context) -> RunResult {
    if (call.request->promotion() != "block") return by_application(call, context);
    begun.Set();
    release.Wait();
    return Succeeded();
  };
  PendingStep blocking(*stub_, WaitingRequest("block"));
  begun.Wait();
  // The one worker is busy, and both are woken.
  PutApplication("shop", "Healthy");
  PutApplication("cart", "Healthy");
  release.Set();
  EXPECT_TRUE(first.Wait().ok()) << first.Wait().error_message();
  EXPECT_TRUE(second.Wait().ok()) << second.Wait().error_message();
  EXPECT_TRUE(blocking.Wait().ok());
}

class RaceTest : public WaitTest {
 protected:
  // Calls that their callers have left may still wait for a worker.
  static ServiceSetup LongQueue() {
    ServiceSetup setup;
    setup.queued = 1000;
    return setup;
  }
  RaceTest() : WaitTest(LongQueue()) {}
};

TEST_F(RaceTest, WakingMayRaceWithCancellationAndTheEndOfTheWait) {
  for (int round = 0; round < 20; ++round) {
    const std::size_t before = looks_.WaitFor(0).size();
    std::vector<std::unique_ptr<PendingStep>> calls;
    for (int i = 0; i < 8; ++i) {
      v1::RunStepRequest request = WaitingRequest(absl::StrCat("r", round, "-", i), i % 4);
      // Some are about to be over already.
      if (i % 4 == 0) request.mutable_wait()->set_nanos(1'000'000 * round);
      calls.push_back(std::make_unique<PendingStep>(*stub_, request));
    }
    // Every other time the first is pending, or answered, before they are cancelled.
    if (round % 2 == 0) looks_.WaitFor(before + 1);
    std::thread canceller([&] {
      for (const auto& call : calls) call->Cancel();
    });
    for (int i = 0; i < 8; ++i) PutApplication(absl::StrCat("r", round, "-", i), "Healthy");
    canceller.join();
    for (const auto& call : calls) {
      EXPECT_THAT(call->Wait().error_code(),
                  AnyOf(grpc::StatusCode::OK, grpc::StatusCode::CANCELLED))
          << call->Wait().error_message();
    }
    calls.clear();
  }
  WaitUntilPending(0);
  EXPECT_TRUE(RunStep(GoodRequest()).ok());
}

TEST_F(WaitTest, StoppingMayRaceWithWaiting) {
  std::vector<std::unique_ptr<PendingStep>> calls;
  for (int i = 0; i < 16; ++i) {
    calls.push_back(std::make_unique<PendingStep>(*stub_, WaitingRequest(absl::StrCat("a", i))));
  }
  looks_.WaitFor(4);
  std::thread stopper([this] { server_->Shutdown(absl::Hours(1)); });
  for (int i = 0; i < 16; ++i) PutApplication(absl::StrCat("a", i), "Healthy");
  std::vector<grpc::StatusCode> codes;
  for (const auto& call : calls) codes.push_back(call->Wait().error_code());
  stopper.join();
  const std::map<std::string, int> looks = Looks();
  for (std::size_t i = 0; i < codes.size(); ++i) {
    if (looks.count(absl::StrCat("a", i)) != 0) {
      EXPECT_EQ(codes[i], grpc::StatusCode::OK) << "call " << i << " was begun";
    } else {
      // Refused by the service; or by gRPC, which cuts off what it has not handed over to us when
      // the last call of ours has ended.
      EXPECT_THAT(codes[i], AnyOf(grpc::StatusCode::UNAVAILABLE, grpc::StatusCode::CANCELLED))
          << "call " << i << " was not begun";
    }
  }
  EXPECT_EQ(pending_.size(), 0u);
}

}  // namespace
}  // namespace gantry::service
