// SPDX-License-Identifier: Apache-2.0
// ReportPromotion and ReportIndicator over a real connection, on a fake API server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "base/text.h"
#include "server/kubernetes/api/error.h"
#include "tests/server/service/service_fixture.h"

namespace gantry::service {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class ReportTest : public ServiceTest {
 protected:
  ReportTest() {
    promotion_.set_project("team-a");
    promotion_.set_stage("prod");
    promotion_.set_promotion("p1");
    promotion_.set_phase(v1::PROMOTION_PHASE_RUNNING);
    indicator_.set_project("team-a");
    indicator_.set_stage("prod");
    indicator_.set_name("smoke");
    indicator_.set_state(v1::HEALTH_STATE_UNHEALTHY);
    indicator_.set_message("3 of 9 failed");
    kubernetes_.before = [this](const testing::FakeKubernetes::Call& call) {
      return before_ ? before_(call) : absl::OkStatus();
    };
  }

  grpc::Status Report(const v1::ReportPromotionRequest& request) {
    grpc::ClientContext context;
    v1::ReportPromotionResponse response;
    return stub_->ReportPromotion(&context, request, &response);
  }
  grpc::Status Report(const v1::ReportIndicatorRequest& request) {
    grpc::ClientContext context;
    v1::ReportIndicatorResponse response;
    return stub_->ReportIndicator(&context, request, &response);
  }

  nlohmann::json Spec() {
    const nlohmann::json object = kubernetes_.Read("stagehealths", kNamespace, "team-a.prod");
    return object.is_null() ? nlohmann::json() : object.at("spec");
  }

  // Set while no call is in progress.
  std::function<absl::Status(const testing::FakeKubernetes::Call&)> before_;
  v1::ReportPromotionRequest promotion_;
  v1::ReportIndicatorRequest indicator_;
};

TEST_F(ReportTest, AReportMakesTheStageKnown) {
  Fill();
  ASSERT_TRUE(Report(promotion_).ok());
  EXPECT_EQ(Spec().at("project"), "team-a");
  EXPECT_EQ(Spec().at("stage"), "prod");
  EXPECT_EQ(Spec().at("promotion").at("name"), "p1");
  EXPECT_EQ(Spec().at("promotion").at("phase"), "Running");
  EXPECT_EQ(Spec().at("promotion").at("reported"), true);

  // Known here at once, whatever the watch does.
  Evaluate();
  const health::StageSnapshotPtr snapshot = health_.Find({"team-a", "prod"});
  ASSERT_NE(snapshot, nullptr);
  EXPECT_EQ(snapshot->state, v1::HEALTH_STATE_UNKNOWN);
  EXPECT_EQ(snapshot->Health().promotion().name(), "p1");
}

TEST_F(ReportTest, AReportMayBeRepeatedAndOverrides) {
  ASSERT_TRUE(Report(promotion_).ok());
  ASSERT_TRUE(Report(promotion_).ok());
  promotion_.set_phase(v1::PROMOTION_PHASE_ERRORED);
  promotion_.set_message("the cluster burns");
  ASSERT_TRUE(Report(promotion_).ok());
  EXPECT_EQ(Spec().at("promotion").at("phase"), "Errored");
  EXPECT_EQ(Spec().at("promotion").at("message"), "the cluster burns");
}

TEST_F(ReportTest, AReportOnAPromotionThatIsNotCurrentChangesNothing) {
  ASSERT_TRUE(Report(promotion_).ok());
  const nlohmann::json before = Spec();
  promotion_.set_promotion("p0");
  promotion_.set_phase(v1::PROMOTION_PHASE_FAILED);
  ASSERT_TRUE(Report(promotion_).ok());
  EXPECT_EQ(Spec(), before);
  EXPECT_EQ(kubernetes_.Count("patch", "stagehealths"), 0u);
}

TEST_F(ReportTest, AnIndicatorIsSetReplacedAndRemoved) {
  Fill();
  indicator_.mutable_ttl()->set_seconds(90);
  ASSERT_TRUE(Report(indicator_).ok());
  ASSERT_THAT(Spec().at("indicators"), SizeIs(1));
  EXPECT_EQ(Spec().at("indicators")[0].at("name"), "smoke");
  EXPECT_EQ(Spec().at("indicators")[0].at("state"), "Unhealthy");
  EXPECT_EQ(Spec().at("indicators")[0].at("message"), "3 of 9 failed");
  EXPECT_EQ(Spec().at("indicators")[0].at("expireTime"),
            base::UtcTime(clock_.Now() + absl::Seconds(90)));
  Evaluate();
  EXPECT_EQ(health_.Find({"team-a", "prod"})->state, v1::HEALTH_STATE_UNHEALTHY);

  indicator_.set_state(v1::HEALTH_STATE_HEALTHY);
  indicator_.clear_ttl();
  indicator_.clear_message();
  ASSERT_TRUE(Report(indicator_).ok());
  ASSERT_THAT(Spec().at("indicators"), SizeIs(1));
  EXPECT_EQ(Spec().at("indicators")[0].at("state"), "Healthy");
  EXPECT_EQ(Spec().at("indicators")[0].count("expireTime"), 0u);
  Evaluate();
  EXPECT_EQ(health_.Find({"team-a", "prod"})->state, v1::HEALTH_STATE_HEALTHY);

  indicator_.set_state(v1::HEALTH_STATE_UNSPECIFIED);
  ASSERT_TRUE(Report(indicator_).ok());
  EXPECT_THAT(Spec().at("indicators"), SizeIs(0));
}

TEST_F(ReportTest, OneIndicatorTooManyIsRefusedUntilAnotherIsRemoved) {
  nlohmann::json spec = Indicator("Healthy");
  for (std::size_t i = 1; i < stages::kMaxIndicators; ++i) {
    spec["indicators"].push_back({{"name", absl::StrCat("i", i)}, {"state", "Healthy"}});
  }
  kubernetes_.Put("stagehealths", StageObject("team-a", "prod", spec, 1));
  indicator_.set_name("one-more");
  const grpc::Status refused = Report(indicator_);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("team-a/prod has 100 indicators"));
  EXPECT_EQ(kubernetes_.Count("patch", "stagehealths"), 0u);
  v1::ReportIndicatorRequest removal = indicator_;
  removal.set_name("i1");
  removal.set_state(v1::HEALTH_STATE_UNSPECIFIED);
  ASSERT_TRUE(Report(removal).ok());
  EXPECT_TRUE(Report(indicator_).ok());
}

TEST_F(ReportTest, RemovingWhatIsNotThereIsNoErrorAndCreatesNothing) {
  indicator_.set_state(v1::HEALTH_STATE_UNSPECIFIED);
  ASSERT_TRUE(Report(indicator_).ok());
  EXPECT_TRUE(Spec().is_null());

  ASSERT_TRUE(Report(promotion_).ok());
  const nlohmann::json before = Spec();
  ASSERT_TRUE(Report(indicator_).ok());
  EXPECT_EQ(Spec(), before);
  EXPECT_EQ(kubernetes_.Count("patch", "stagehealths"), 0u);
}

TEST_F(ReportTest, WhoeverWasFasterIsRespected) {
  ASSERT_TRUE(Report(promotion_).ok());
  // Somebody else adds an indicator between the read and the write, twice.
  int conflicts = 2;
  before_ = [&](const testing::FakeKubernetes::Call& call) {
    if (call.Is("patch", "stagehealths") && conflicts > 0) {
      nlohmann::json object = kubernetes_.Read("stagehealths", kNamespace, "team-a.prod");
      object["spec"]["indicators"].push_back(
          {{"name", "other-" + std::to_string(conflicts--)}, {"state", "Healthy"}});
      kubernetes_.Put("stagehealths", object);
    }
    return absl::OkStatus();
  };
  ASSERT_TRUE(Report(indicator_).ok());
  std::vector<std::string> names;
  const nlohmann::json spec = Spec();
  for (const auto& indicator : spec.at("indicators")) names.push_back(indicator.at("name"));
  EXPECT_THAT(names, ::testing::UnorderedElementsAre("other-1", "other-2", "smoke"));
  EXPECT_EQ(Spec().at("promotion").at("name"), "p1");
  // 20 ms and 40 ms, times 1.25 by the fixed randomness.
  EXPECT_THAT(sleeper_.slept.WaitFor(2),
              ElementsAre(absl::Milliseconds(25), absl::Milliseconds(50)));
}

TEST_F(ReportTest, TwoWhoCreateTheRecordAtOnceBothSucceed) {
  bool first = true;
  before_ = [&](const testing::FakeKubernetes::Call& call) {
    if (call.verb == "create" && first) {
      first = false;
      kubernetes_.Put("stagehealths", StageObject("team-a", "prod", Indicator("Healthy"), 1));
    }
    return absl::OkStatus();
  };
  ASSERT_TRUE(Report(indicator_).ok());
  EXPECT_THAT(Spec().at("indicators"), SizeIs(2));
}

TEST_F(ReportTest, ARecordThatIsAlwaysContendedIsUnavailable) {
  ASSERT_TRUE(Report(promotion_).ok());
  before_ = [](const testing::FakeKubernetes::Call& call) {
    return call.Is("patch", "stagehealths")
               ? kubernetes::MakeError(
                     {.kind = kubernetes::ErrorKind::kConflict, .http_status = 409}, "conflict")
               : absl::OkStatus();
  };
  const grpc::Status status = Report(indicator_);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ErrorOf(status).reason, "gantry.dev/STAGE_RECORD_CONTENDED");
  EXPECT_TRUE(ErrorOf(status).retry);
}

TEST_F(ReportTest, AnUnreachableKubernetesIsUnavailable) {
  before_ = [](const testing::FakeKubernetes::Call&) {
    return kubernetes::MakeError({.kind = kubernetes::ErrorKind::kUnreachable},
                                 "get stagehealths: connection refused");
  };
  for (const grpc::Status& status : {Report(promotion_), Report(indicator_)}) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(ErrorOf(status).reason, "gantry.dev/KUBERNETES_UNREACHABLE");
    EXPECT_TRUE(ErrorOf(status).retry);
    EXPECT_THAT(status.error_message(), HasSubstr("connection refused"));
  }
  before_ = nullptr;
  EXPECT_TRUE(Report(promotion_).ok());
}

TEST_F(ReportTest, ARefusedWriteIsUnavailableAndNotTheCallersFault) {
  before_ = [](const testing::FakeKubernetes::Call& call) {
    return call.verb == "create"
               ? kubernetes::MakeError(
                     {.kind = kubernetes::ErrorKind::kForbidden, .http_status = 403}, "forbidden")
               : absl::OkStatus();
  };
  const grpc::Status status = Report(indicator_);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ErrorOf(status).reason, "gantry.dev/KUBERNETES_FORBIDDEN");
}

TEST_F(ReportTest, ARecordThatIsNotUnderstoodIsUnavailableAndKept) {
  kubernetes_.Put("stagehealths", StageObject("team-a", "prod", {{"indicators", "yesterday"}}, 1));
  const grpc::Status status = Report(indicator_);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ErrorOf(status).reason, "gantry.dev/KUBERNETES_OBJECT_NOT_UNDERSTOOD");
  EXPECT_EQ(Spec().at("indicators"), "yesterday");
}

TEST_F(ReportTest, TheCallersCancellationReachesKubernetes) {
  Event begun;
  Event release;
  before_ = [&](const testing::FakeKubernetes::Call&) {
    begun.Set();
    release.Wait();
    return absl::OkStatus();
  };
  grpc::ClientContext context;
  v1::ReportIndicatorResponse response;
  std::promise<grpc::Status> seen;
  stub_->async()->ReportIndicator(&context, &indicator_, &response, [&seen](grpc::Status status) {
    seen.set_value(std::move(status));
  });
  begun.Wait();
  context.TryCancel();
  EXPECT_EQ(seen.get_future().get().error_code(), grpc::StatusCode::CANCELLED);
  release.Set();
  server_->Shutdown(absl::Hours(1));
}

TEST_F(ReportTest, DuringDrainingNothingIsTaken) {
  service_->StartDraining();
  for (const grpc::Status& status : {Report(promotion_), Report(indicator_)}) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(ErrorOf(status).reason, "gantry.dev/SERVER_DRAINING");
  }
  EXPECT_THAT(kubernetes_.calls(), SizeIs(0));
}

TEST_F(ReportTest, BadReportsAreToldAndNotRecorded) {
  using P = v1::ReportPromotionRequest&;
  struct {
    const char* name;
    std::function<void(P)> change;
    const char* field;
  } const promotions[] = {
      {"Project", [](P r) { r.clear_project(); }, "project"},
      {"Stage", [](P r) { r.set_stage("Prod"); }, "stage"},
      {"NoPromotion", [](P r) { r.clear_promotion(); }, "promotion"},
      {"LongPromotion", [](P r) { r.set_promotion(std::string(254, 'p')); }, "promotion"},
      {"NoPhase", [](P r) { r.clear_phase(); }, "phase"},
      {"UnknownPhase", [](P r) { r.set_phase(static_cast<v1::PromotionPhase>(6)); }, "phase"},
  };
  for (const auto& c : promotions) {
    v1::ReportPromotionRequest request = promotion_;
    c.change(request);
    const grpc::Status status = Report(request);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << c.name;
    EXPECT_THAT(ViolatedFields(status), ElementsAre(c.field)) << c.name;
  }
  using I = v1::ReportIndicatorRequest&;
  struct {
    const char* name;
    std::function<void(I)> change;
    const char* field;
  } const indicators[] = {
      {"Project", [](I r) { r.set_project("a.b"); }, "project"},
      {"Stage", [](I r) { r.clear_stage(); }, "stage"},
      {"NoName", [](I r) { r.clear_name(); }, "name"},
      {"LongName", [](I r) { r.set_name(std::string(254, 'n')); }, "name"},
      {"UnknownState", [](I r) { r.set_state(static_cast<v1::HealthState>(6)); }, "state"},
      {"ZeroTtl", [](I r) { r.mutable_ttl(); }, "ttl"},
      {"NegativeTtl", [](I r) { r.mutable_ttl()->set_seconds(-1); }, "ttl"},
  };
  for (const auto& c : indicators) {
    v1::ReportIndicatorRequest request = indicator_;
    c.change(request);
    const grpc::Status status = Report(request);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << c.name;
    EXPECT_THAT(ViolatedFields(status), ElementsAre(c.field)) << c.name;
  }
  EXPECT_THAT(kubernetes_.calls(), SizeIs(0));
}

}  // namespace
}  // namespace gantry::service
