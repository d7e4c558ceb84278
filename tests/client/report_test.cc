// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "client/gantryctl/run.h"
#include "tests/client/answers.h"
#include "tests/client/scripted_connection.h"

namespace gantry::gantryctl {
namespace {

using ::testing::HasSubstr;

class ReportTest : public ::testing::Test {
 protected:
  ReportTest() {
    world_.environment = [](const std::string&) -> std::optional<std::string> {
      return std::nullopt;
    };
    world_.write_out = [this](const std::string& text) {
      out_ += text;
      return true;
    };
    world_.write_err = [this](const std::string& text) { err_ += text; };
    world_.connect = [this](const ServiceFlags&) { return connection_; };
    world_.timing = &timing_;
    connection_->report_promotion.script = {{v1::ReportPromotionResponse()}};
    connection_->report_indicator.script = {{v1::ReportIndicatorResponse()}};
  }

  int Report(const std::string& what, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"report", what, "--project", "shop", "--stage", "prod"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    out_.clear();
    err_.clear();
    return gantryctl::Run(arguments, world_);
  }

  World world_;
  client::FakeTiming timing_;
  std::shared_ptr<client::ScriptedConnection> connection_ =
      std::make_shared<client::ScriptedConnection>(std::vector<client::ScriptedAnswer>{}, timing_);
  std::string out_;
  std::string err_;
};

TEST_F(ReportTest, APromotion) {
  EXPECT_EQ(Report("promotion", {"--promotion", "p-1", "--phase", "failed", "--message", "why"}),
            kExitSucceeded);
  EXPECT_EQ(out_, "Promotion p-1 of Stage shop/prod is reported as FAILED.\n");
  ASSERT_EQ(connection_->report_promotion.requests.size(), 1u);
  const v1::ReportPromotionRequest& request = connection_->report_promotion.requests[0];
  EXPECT_EQ(request.project(), "shop");
  EXPECT_EQ(request.stage(), "prod");
  EXPECT_EQ(request.promotion(), "p-1");
  EXPECT_EQ(request.phase(), v1::PROMOTION_PHASE_FAILED);
  EXPECT_EQ(request.message(), "why");
}

TEST_F(ReportTest, AnIndicator) {
  EXPECT_EQ(Report("indicator", {"--name", "smoke", "--state", "unhealthy", "--message", "why",
                                 "--ttl", "1m30.5s"}),
            kExitSucceeded);
  EXPECT_EQ(out_, "Indicator smoke of Stage shop/prod is reported as UNHEALTHY for 1m30s.\n");
  ASSERT_EQ(connection_->report_indicator.requests.size(), 1u);
  const v1::ReportIndicatorRequest& request = connection_->report_indicator.requests[0];
  EXPECT_EQ(request.name(), "smoke");
  EXPECT_EQ(request.state(), v1::HEALTH_STATE_UNHEALTHY);
  EXPECT_EQ(request.message(), "why");
  EXPECT_EQ(request.ttl().seconds(), 90);
  EXPECT_EQ(request.ttl().nanos(), 500000000);
}

TEST_F(ReportTest, AnIndicatorThatNeverExpiresAndOneThatIsRemoved) {
  EXPECT_EQ(Report("indicator", {"--name", "smoke", "--state", "healthy"}), kExitSucceeded);
  EXPECT_EQ(out_, "Indicator smoke of Stage shop/prod is reported as HEALTHY.\n");
  EXPECT_FALSE(connection_->report_indicator.requests[0].has_ttl());
  EXPECT_EQ(Report("indicator", {"--name", "smoke", "--remove", "-o", "table"}), kExitSucceeded);
  EXPECT_EQ(out_, "Indicator smoke of Stage shop/prod is removed.\n");
  EXPECT_EQ(connection_->report_indicator.requests[1].state(), v1::HEALTH_STATE_UNSPECIFIED);
}

TEST_F(ReportTest, ScriptsGetTheAnswer) {
  for (const std::string format : {"json", "yaml"}) {
    EXPECT_EQ(Report("promotion", {"--promotion", "p", "--phase", "running", "-o", format}),
              kExitSucceeded);
    EXPECT_EQ(out_, "{}\n");
  }
}

TEST_F(ReportTest, ErrorsNameWhatIsWrong) {
  connection_->report_promotion.script = {
      {client::Error(grpc::StatusCode::INVALID_ARGUMENT, "one field is wrong",
                     {"INVALID_REQUEST", std::nullopt, {{"promotion", "too long"}}})}};
  EXPECT_EQ(Report("promotion", {"--promotion", "p", "--phase", "running"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("  promotion: too long\n"));
  connection_->report_indicator.script = {{client::KubernetesDown()}};
  EXPECT_EQ(Report("indicator", {"--name", "n", "--remove"}), kExitFailed);
  EXPECT_THAT(err_, HasSubstr("could not record the report within 30s"));
  EXPECT_EQ(out_, "");
}

}  // namespace
}  // namespace gantry::gantryctl
