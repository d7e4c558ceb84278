// SPDX-License-Identifier: Apache-2.0
//
// Requests that are no good, on the wire or in what they say.
#include <algorithm>

#include "tests/integration/integration_test.h"

namespace gantry::integration {
namespace {

using nlohmann::json;
using testing::Contains;
using testing::HasSubstr;

std::vector<std::string> ViolatedFields(const grpc::Status& status) {
  std::vector<std::string> fields;
  const ErrorDetails details = DetailsOf(status);
  if (!details.bad_request) return fields;
  for (const auto& violation : details.bad_request->field_violations()) {
    EXPECT_NE(violation.description(), "");
    fields.push_back(violation.field());
  }
  return fields;
}

class RequestTest : public IntegrationTest {
 protected:
  // After whatever it was sent before, the server works as ever.
  void ExpectAlive(Replica& gantry) {
    const std::string app = CreateApplication();
    EXPECT_TRUE(Is(gantry.RunStep(Request(UpdateTo(app))), v1::STEP_STATUS_RUNNING,
                   v1::STEP_REASON_OPERATION_RUNNING));
    EXPECT_TRUE(HasOperation(Application(app), "p1", 1));
  }
};

TEST_F(RequestTest, EveryFieldThatIsWrongIsNamed) {
  Replica gantry;
  v1::RunStepRequest request = Request(UpdateTo("app"));
  request.set_project("Not A Label");
  request.set_stage("");
  request.set_promotion(std::string(254, 'p'));
  request.set_uses("argocd-upgrade");
  request.mutable_wait()->set_seconds(-1);

  const StepResult result = gantry.RunStep(request);

  EXPECT_TRUE(IsError(result, grpc::StatusCode::INVALID_ARGUMENT));
  EXPECT_THAT(ViolatedFields(result.status),
              testing::UnorderedElementsAre("project", "stage", "promotion", "uses", "wait"));
  EXPECT_TRUE(gantry.StepRequests().empty());
  EXPECT_FALSE(HasRecord());
}

TEST_F(RequestTest, AWaitAboveTheServersLimitIsRefused) {
  const std::string app = CreateApplication();
  Replica gantry({"--max-wait=30s"});
  v1::RunStepRequest request = Request(UpdateTo(app));
  request.mutable_wait()->set_seconds(31);
  const StepResult result = gantry.RunStep(request);
  EXPECT_TRUE(IsError(result, grpc::StatusCode::INVALID_ARGUMENT));
  EXPECT_THAT(ViolatedFields(result.status), testing::ElementsAre("wait"));
  EXPECT_TRUE(HasNoOperation(Application(app)));
}

TEST_F(RequestTest, BytesThatAreNotUtf8AreRefusedByField) {
  Replica gantry;
  std::string bytes = Request(UpdateTo("app"), "p1", "MARK").SerializeAsString();
  bytes.replace(bytes.find("MARK"), 4, "\xff\xfe\xc0\x80");
  const grpc::Status status = gantry.server->RunStepWithBytes(bytes);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
  EXPECT_THAT(ViolatedFields(status), Contains("step"));
  ExpectAlive(gantry);
}

TEST_F(RequestTest, BytesThatAreNoMessageAreRefused) {
  Replica gantry;
  for (const std::string& bytes : {std::string("\xff\xff\xff\xff\xff\xff"), std::string("\x0a\x7f"),
                                   std::string(100000, '\x0b')}) {
    const grpc::Status status = gantry.server->RunStepWithBytes(bytes);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
    EXPECT_FALSE(status.error_message().empty());
  }
  ExpectAlive(gantry);
}

TEST_F(RequestTest, AConfigurationThatIsNestedTooDeepIsRefusedByField) {
  Replica gantry;
  v1::RunStepRequest request = Request(json::object());
  google::protobuf::Struct* level = request.mutable_config();
  for (int depth = 0; depth < 1000; ++depth) {
    level = (*level->mutable_fields())["a"].mutable_struct_value();
  }
  const StepResult result = gantry.RunStep(request);
  EXPECT_TRUE(IsError(result, grpc::StatusCode::INVALID_ARGUMENT));
  EXPECT_THAT(ViolatedFields(result.status), Contains("config"));
  ExpectAlive(gantry);
}

TEST_F(RequestTest, AConfigurationOfAMegabyteIsJudged) {
  Replica gantry;
  json config = {{"apps", json::array()}};
  for (int i = 0; i < 25000; ++i) {
    config["apps"].push_back({{"name", ""}, {"sources", json::array()}, {"filler", "filler"}});
  }
  const v1::RunStepRequest request = Request(config);
  ASSERT_GT(request.ByteSizeLong(), std::size_t{1} << 20);
  const StepResult result = gantry.RunStep(request);
  EXPECT_TRUE(Is(result, v1::STEP_STATUS_FAILED, v1::STEP_REASON_INVALID_CONFIG));
  EXPECT_GT(result.response.violations_size(), 0);
  EXPECT_TRUE(gantry.StepRequests().empty());
  ExpectAlive(gantry);
}

TEST_F(RequestTest, AValueOfAMegabyteIsRefusedByItsField) {
  const std::string app = CreateApplication();
  const json before = Application(app);
  Replica gantry;
  const StepResult result = gantry.RunStep(Request(UpdateTo(app, std::string(1 << 20, 'r'))));
  EXPECT_TRUE(Is(result, v1::STEP_STATUS_FAILED, v1::STEP_REASON_INVALID_CONFIG));
  ASSERT_GT(result.response.violations_size(), 0);
  EXPECT_EQ(result.response.violations(0).field(), "apps[0].sources[0].desiredRevision");
  EXPECT_EQ(Application(app), before);
  ExpectAlive(gantry);
}

// Names that would lead out of the API's paths, if they were let.
TEST_F(RequestTest, NamesThatAreNoNamesReachNoPath) {
  Replica gantry;
  for (const char* name : {"../secrets/token", "a/b", "a%2fb", "..", "a?b", "a\r\nb", "ü"}) {
    json config = UpdateTo(name);
    EXPECT_TRUE(
        Is(gantry.RunStep(Request(config)), v1::STEP_STATUS_FAILED, v1::STEP_REASON_INVALID_CONFIG))
        << name;
    config = UpdateTo("app");
    config["apps"][0]["namespace"] = name;
    EXPECT_TRUE(
        Is(gantry.RunStep(Request(config)), v1::STEP_STATUS_FAILED, v1::STEP_REASON_INVALID_CONFIG))
        << name;
  }
  EXPECT_TRUE(gantry.StepRequests().empty());
  ExpectAlive(gantry);
}

}  // namespace
}  // namespace gantry::integration
