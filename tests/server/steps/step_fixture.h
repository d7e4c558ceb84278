// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SERVER_STEPS_STEP_FIXTURE_H_
#define GANTRY_TESTS_SERVER_STEPS_STEP_FIXTURE_H_

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/kubernetes/api/error.h"
#include "server/kubernetes/api/event_recorder.h"
#include "server/stages/stage_store.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_kubernetes.h"
#include "tests/fakes/watched_caches.h"
#include "tests/server/steps/expect_answer.h"
#include "tests/server/steps/step_driver.h"

namespace gantry::steps {

// What the tests of steps with caches share: an API server, the caches that its watches fill when
// a test says so, and one request. Namespace "argocd" is watched.
class StepFixture : public ::testing::Test {
 protected:
  using json = nlohmann::json;
  using FakeKubernetes = gantry::testing::FakeKubernetes;

  class FixedRandom final : public base::Random {
   public:
    double Uniform() override { return 0.5; }
  };
  class NoSleep final : public base::Sleeper {
   public:
    absl::Status Sleep(absl::Duration duration, base::Context& context) override {
      delays.push_back(duration);
      return context.Check();
    }
    std::vector<absl::Duration> delays;
  };
  class NoEvents final : public kubernetes::EventRecorder {
   public:
    void Record(const kubernetes::ObjectReference&, const std::string&,
                const std::string&) override {}
  };

  StepFixture() {
    request_.set_project("shop");
    request_.set_stage("prod");
    request_.set_promotion("p1");
    request_.set_step("step");
    stages_.SetListener([this](const stages::StoredStage& stage) {
      cache::PutOwnWrite(watches_.caches.stages, stage);
    });
  }

  void Configure(const std::string& config) {
    request_.clear_config();
    ASSERT_TRUE(
        google::protobuf::util::JsonStringToMessage(config, request_.mutable_config()).ok());
  }

  void Put(const json& application) { kubernetes_.Put("applications", application); }
  json Read(const std::string& name) { return kubernetes_.Read("applications", "argocd", name); }
  json StageObject() { return kubernetes_.Read("stagehealths", "gantry-system", "shop.prod"); }
  json StageSpec() {
    const json stage = StageObject();
    return stage.is_null() ? json() : stage.at("spec");
  }

  // The watches bring all there is, and are up to date.
  void Watch(const std::vector<std::string>& applications = {"web"}) {
    for (const std::string& name : applications) {
      if (const json object = Read(name); !object.is_null()) watches_.PutApplication(object);
    }
    if (const json stage = StageObject(); !stage.is_null()) watches_.PutStage(stage);
    watches_.Sync();
  }

  std::string Time(absl::Duration from_now = absl::ZeroDuration()) const {
    return absl::FormatTime(absl::RFC3339_sec, clock_.Now() + from_now, absl::UTCTimeZone());
  }

  absl::StatusOr<v1::RunStepResponse> TryRun(StepDriver& step) {
    base::Context context;
    return step.Run(request_, context, log_);
  }
  v1::RunStepResponse Run(StepDriver& step) {
    absl::StatusOr<v1::RunStepResponse> response = TryRun(step);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? *response : v1::RunStepResponse();
  }
  std::size_t CallCount() { return kubernetes_.calls().size(); }
  // How many calls to the API server one run makes.
  std::size_t CallsOf(StepDriver& step, v1::RunStepResponse* response = nullptr) {
    const std::size_t before = CallCount();
    v1::RunStepResponse answer = Run(step);
    if (response != nullptr) *response = std::move(answer);
    return CallCount() - before;
  }

  FakeKubernetes kubernetes_;
  gantry::testing::FakeClock clock_;
  FixedRandom random_;
  NoSleep sleeper_;
  NoEvents events_;
  observability::Logger log_;
  stages::StageStore stages_{kubernetes_, "gantry-system"};
  base::WorkerPool helpers_{2, 16};
  gantry::testing::WatchedCaches watches_{{"argocd"}, clock_};
  v1::RunStepRequest request_;
};

}  // namespace gantry::steps

#endif  // GANTRY_TESTS_SERVER_STEPS_STEP_FIXTURE_H_
