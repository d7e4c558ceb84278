// SPDX-License-Identifier: Apache-2.0
// The service over a real connection, with a step runner that does what each test says.
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/server/service/service_fixture.h"

namespace gantry::service {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::SizeIs;

TEST_F(ServiceTest, HandsTheRequestToItsRunnerAndTheVerdictBack) {
  v1::RunStepRequest seen;
  std::string caller;
  behaviour_ = [&](const steps::StepCall& call, base::Context&) {
    seen = *call.request;
    caller = call.caller;
    v1::RunStepResponse response;
    response.set_status(v1::STEP_STATUS_RUNNING);
    response.set_reason(v1::STEP_REASON_OPERATION_RUNNING);
    response.set_message("syncing");
    return response;
  };
  v1::RunStepRequest request = GoodRequest();
  request.set_actor("somebody");
  request.set_dry_run(true);
  (*request.mutable_config()->mutable_fields())["a"].set_string_value("b");
  grpc::ClientContext context;
  v1::RunStepResponse response;
  ASSERT_TRUE(stub_->RunStep(&context, request, &response).ok());
  EXPECT_EQ(seen.SerializeAsString(), request.SerializeAsString());
  EXPECT_EQ(caller, "anonymous");
  EXPECT_EQ(response.status(), v1::STEP_STATUS_RUNNING);
  EXPECT_EQ(response.reason(), v1::STEP_REASON_OPERATION_RUNNING);
  EXPECT_EQ(response.message(), "syncing");
}

TEST_F(ServiceTest, AStepWithoutANameIsNamedByItsKind) {
  std::string step;
  behaviour_ = [&](const steps::StepCall& call, base::Context&) {
    step = call.request->step();
    return Succeeded();
  };
  v1::RunStepRequest request = GoodRequest();
  request.clear_step();
  ASSERT_TRUE(RunStep(request).ok());
  EXPECT_EQ(step, "fake");
}

TEST_F(ServiceTest, ALargeConfigurationPasses) {
  std::size_t size = 0;
  behaviour_ = [&](const steps::StepCall& call, base::Context&) {
    size = call.request->config().fields().at("a").string_value().size();
    return Succeeded();
  };
  v1::RunStepRequest request = GoodRequest();
  (*request.mutable_config()->mutable_fields())["a"].set_string_value(std::string(1 << 20, 'x'));
  EXPECT_TRUE(RunStep(request).ok());
  EXPECT_EQ(size, std::size_t{1} << 20);
}

TEST_F(ServiceTest, ATooLargeRequestIsRefusedUnread) {
  v1::RunStepRequest request = GoodRequest();
  (*request.mutable_config()->mutable_fields())["a"].set_string_value(std::string(5 << 20, 'x'));
  EXPECT_EQ(RunStep(request).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(RunStep(GoodRequest()).ok());
}

TEST_F(ServiceTest, CompressedRequestsAreRefusedRatherThanUnpackedWithoutLimit) {
  v1::RunStepRequest request = GoodRequest();
  (*request.mutable_config()->mutable_fields())["a"].set_string_value(std::string(64 << 20, 'x'));
  for (const auto algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    grpc::ClientContext context;
    context.set_compression_algorithm(algorithm);
    v1::RunStepResponse response;
    const grpc::Status status = stub_->RunStep(&context, request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
    EXPECT_THAT(status.error_message(), HasSubstr("is disabled"));
  }
  EXPECT_TRUE(RunStep(GoodRequest()).ok());
}

TEST_F(ServiceTest, EveryViolationIsToldAndNoRunnerIsCalled) {
  bool called = false;
  behaviour_ = [&](const steps::StepCall&, base::Context&) {
    called = true;
    return Succeeded();
  };
  v1::RunStepRequest request;
  request.set_stage("Prod");
  request.set_uses("unknown");
  const grpc::Status status = RunStep(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ErrorOf(status).reason, "gantry.dev/INVALID_REQUEST");
  std::vector<std::string> fields;
  for (const auto& [field, description] : Violations(status)) fields.push_back(field);
  EXPECT_THAT(fields, ElementsAre("project", "stage", "promotion", "uses"));
  EXPECT_THAT(status.error_message(), HasSubstr("uses: expected one of fake; found \"unknown\""));
  EXPECT_FALSE(called);
}

TEST_F(ServiceTest, TheLongestErrorsReachTheCaller) {
  // Beyond 8 KiB of trailers the client would see RESOURCE_EXHAUSTED instead.
  std::string umlauts;
  for (int i = 0; i < 5000; ++i) umlauts += "\xc3\xa4";
  v1::RunStepRequest request;
  request.set_project(umlauts);
  request.set_stage(umlauts);
  request.set_promotion(umlauts + "\n");
  request.set_step(umlauts + "\n");
  request.set_uses(umlauts);
  request.set_actor(umlauts + "\n");
  for (int i = 0; i < 20; ++i) {
    (*request.mutable_config()->mutable_fields())[std::to_string(i) + umlauts];
    (*request.mutable_previous_output()->mutable_fields())[std::to_string(i) + umlauts];
  }
  const grpc::Status status = RunStep(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
  EXPECT_FALSE(Violations(status).empty());
}

TEST_F(ServiceTest, BytesThatAreNoMessageAreTold) {
  google::protobuf::Struct deep;
  google::protobuf::Value* value = &(*deep.mutable_fields())["a"];
  for (int i = 0; i < 200; ++i) value = value->mutable_list_value()->add_values();
  v1::RunStepRequest nested = GoodRequest();
  *nested.mutable_config() = deep;

  struct {
    const char* name;
    std::string bytes;
    std::string field;
    std::string description;
  } const table[] = {
      {"Garbage", "\xff\xff\xff\xff", "", "no gantry.v1.RunStepRequest"},
      {"CutOff", GoodRequest().SerializeAsString() + "\x32\x05", "", "cut off"},
      {"NotUtf8", GoodRequest().SerializeAsString() + "\x3a\x02\xc3\x28", "actor", "not UTF-8"},
      {"NestedTooDeep", nested.SerializeAsString(), "config", "nested deeper than 100 levels"},
  };
  for (const auto& c : table) {
    const grpc::Status status = RunStepBytes(c.bytes);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << c.name;
    const auto violations = Violations(status);
    ASSERT_THAT(violations, SizeIs(1)) << c.name;
    EXPECT_EQ(violations[0].first, c.field) << c.name;
    EXPECT_THAT(violations[0].second, HasSubstr(c.description)) << c.name;
  }
  EXPECT_TRUE(RunStepBytes(GoodRequest().SerializeAsString()).ok());
}

TEST_F(ServiceTest, NoBytesAtAllLackEveryRequiredField) {
  const grpc::Status status = RunStepBytes("");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(Violations(status), SizeIs(4));
}

TEST_F(ServiceTest, ARunnersErrorKeepsItsDetails) {
  behaviour_ = [](const steps::StepCall&, base::Context&) -> RunResult {
    base::ErrorInfo info;
    info.reason = "KUBERNETES_UNREACHABLE";
    info.retry_delay = absl::Seconds(3);
    return base::WithErrorInfo(absl::UnavailableError("connection refused"), info);
  };
  const grpc::Status status = RunStep(GoodRequest());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "connection refused");
  EXPECT_EQ(ErrorOf(status).reason, "gantry.dev/KUBERNETES_UNREACHABLE");
  EXPECT_TRUE(ErrorOf(status).retry);
}

TEST_F(ServiceTest, SomebodyElsesDeadlineIsNotTheCallers) {
  behaviour_ = [](const steps::StepCall&, base::Context&) -> RunResult {
    return absl::DeadlineExceededError("the API server took too long");
  };
  const grpc::Status status = RunStep(GoodRequest());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(ErrorOf(status).retry);
}

TEST_F(ServiceTest, ARunnerThatThrowsDoesNotEndTheProcess) {
  behaviour_ = [](const steps::StepCall&, base::Context&) -> RunResult {
    throw std::runtime_error("boom");
  };
  const grpc::Status status = RunStep(GoodRequest());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(status.error_message(), Not(HasSubstr("boom")));
  EXPECT_EQ(ErrorOf(status).reason, "gantry.dev/INTERNAL");
}

TEST_F(ServiceTest, TheCallersCancellationReachesTheContext) {
  Event begun;
  std::promise<absl::Status> ended;
  behaviour_ = [&](const steps::StepCall&, base::Context& context) -> RunResult {
    begun.Set();
    const absl::Status status = WaitUntilItEnds(context);
    ended.set_value(status);
    return status;
  };
  grpc::ClientContext context;
  v1::RunStepResponse response;
  const v1::RunStepRequest request = GoodRequest();
  std::promise<grpc::Status> seen;
  stub_->async()->RunStep(&context, &request, &response,
                          [&seen](grpc::Status status) { seen.set_value(std::move(status)); });
  begun.Wait();
  context.TryCancel();
  EXPECT_EQ(ended.get_future().get().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(seen.get_future().get().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(ServiceTest, TheCallersDeadlineReachesTheContext) {
  std::promise<absl::Duration> left;
  behaviour_ = [&](const steps::StepCall&, base::Context& context) -> RunResult {
    left.set_value(context.Remaining());
    return Succeeded();
  };
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::hours(5));
  v1::RunStepResponse response;
  ASSERT_TRUE(stub_->RunStep(&context, GoodRequest(), &response).ok());
  const absl::Duration seen = left.get_future().get();
  EXPECT_GT(seen, absl::Hours(4));
  EXPECT_LT(seen, absl::Hours(6));  // on the wire long timeouts are rounded up
}

TEST_F(ServiceTest, TheDeadlineEndsTheCall) {
  std::promise<absl::Status> ended;
  behaviour_ = [&](const steps::StepCall&, base::Context& context) -> RunResult {
    const absl::Status status = WaitUntilItEnds(context);
    ended.set_value(status);
    return status;
  };
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(500));
  v1::RunStepResponse response;
  EXPECT_EQ(stub_->RunStep(&context, GoodRequest(), &response).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_FALSE(ended.get_future().get().ok());
}

TEST_F(ServiceTest, ACallWithoutADeadlineGetsOneThatLeavesRoomForItsWait) {
  std::promise<absl::Duration> left;
  behaviour_ = [&](const steps::StepCall&, base::Context& context) -> RunResult {
    left.set_value(context.Remaining());
    return Succeeded();
  };
  v1::RunStepRequest request = GoodRequest();
  request.mutable_wait()->set_seconds(600);
  ASSERT_TRUE(RunStep(request).ok());
  const absl::Duration seen = left.get_future().get();
  EXPECT_GT(seen, absl::Minutes(10));
  EXPECT_LE(seen, absl::Minutes(12));
}

class NoTimeTest : public ServiceTest {
 protected:
  static ServiceSetup NoTime() {
    ServiceSetup setup;
    setup.limits.default_deadline = absl::ZeroDuration();
    return setup;
  }
  NoTimeTest() : ServiceTest(NoTime()) {}
};

TEST_F(NoTimeTest, ACallThatEndedInTheQueueIsNotBegun) {
  bool called = false;
  behaviour_ = [&](const steps::StepCall&, base::Context&) {
    called = true;
    return Succeeded();
  };
  const grpc::Status status = RunStep(GoodRequest());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_THAT(status.error_message(), HasSubstr("the call gave no deadline and took longer"));
  EXPECT_FALSE(called);
}

class BusyTest : public ServiceTest {
 protected:
  static ServiceSetup OneWorker() {
    ServiceSetup setup;
    setup.workers = 1;
    setup.queued = 1;
    return setup;
  }
  BusyTest() : ServiceTest(OneWorker()) {}
};

TEST_F(BusyTest, MoreThanTheQueueHoldsIsRefused) {
  Event begun;
  Event release;
  behaviour_ = [&](const steps::StepCall&, base::Context&) {
    begun.Set();
    release.Wait();
    return Succeeded();
  };
  const v1::RunStepRequest request = GoodRequest();
  struct Pending {
    grpc::ClientContext context;
    v1::RunStepResponse response;
  } calls[3];
  Results<grpc::Status> results;
  const auto start = [&](Pending& call) {
    stub_->async()->RunStep(&call.context, &request, &call.response,
                            [&results](grpc::Status status) { results.Add(std::move(status)); });
  };
  start(calls[0]);
  begun.Wait();
  // One of these is queued, whichever arrives first; the other finds no room.
  start(calls[1]);
  start(calls[2]);
  const grpc::Status refused = results.WaitFor(1)[0];
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ErrorOf(refused).reason, "gantry.dev/TOO_MANY_STEPS");
  EXPECT_TRUE(ErrorOf(refused).retry);
  release.Set();
  const auto all = results.WaitFor(3);
  EXPECT_TRUE(all[1].ok()) << all[1].error_message();
  EXPECT_TRUE(all[2].ok()) << all[2].error_message();
}

TEST_F(ServiceTest, AGoodRequestIdIsSentBack) {
  struct {
    const char* name;
    std::string sent;
    std::string expected;
  } const table[] = {
      {"None", "", "c0000000c0000000c0000000c0000000"},
      {"Good", "req-1 {x}", "req-1 {x}"},
      {"Longest", std::string(128, 'r'), std::string(128, 'r')},
      {"TooLong", std::string(129, 'r'), "c0000000c0000000c0000000c0000000"},
  };
  for (const auto& c : table) {
    for (const bool good_request : {true, false}) {
      grpc::ClientContext context;
      if (!c.sent.empty()) context.AddMetadata("x-request-id", c.sent);
      v1::RunStepResponse response;
      EXPECT_EQ(
          stub_->RunStep(&context, good_request ? GoodRequest() : v1::RunStepRequest(), &response)
              .ok(),
          good_request);
      const auto& metadata = context.GetServerInitialMetadata();
      const auto found = metadata.find("x-request-id");
      ASSERT_NE(found, metadata.end()) << c.name;
      EXPECT_EQ(std::string(found->second.data(), found->second.size()), c.expected) << c.name;
    }
  }
}

TEST_F(ServiceTest, EveryLineOfACallSaysWhoseItIs) {
  behaviour_ = [](const steps::StepCall& call, base::Context&) {
    call.log.Debug("working");
    v1::RunStepResponse response;
    response.set_status(v1::STEP_STATUS_ERRORED);
    response.set_reason(v1::STEP_REASON_NOT_AUTHORIZED);
    return response;
  };
  v1::RunStepRequest request = GoodRequest();
  (*request.mutable_config()->mutable_fields())["token"].set_string_value("sesame");
  grpc::ClientContext context;
  context.AddMetadata("x-request-id", "req-1");
  v1::RunStepResponse response;
  ASSERT_TRUE(stub_->RunStep(&context, request, &response).ok());
  const auto lines = LogLines();
  ASSERT_THAT(lines, SizeIs(2));
  for (const auto& line : lines) {
    EXPECT_EQ(line.at("request_id"), "req-1");
    EXPECT_EQ(line.at("method"), "RunStep");
    EXPECT_EQ(line.at("project"), "team-a");
    EXPECT_EQ(line.at("stage"), "prod");
    EXPECT_EQ(line.at("promotion"), "p1");
    EXPECT_EQ(line.at("step"), "sync");
  }
  EXPECT_EQ(lines[0].at("message"), "working");
  EXPECT_EQ(lines[1].at("message"), "step evaluated");
  EXPECT_EQ(lines[1].at("level"), "info");
  EXPECT_EQ(lines[1].at("code"), "OK");
  EXPECT_EQ(lines[1].at("status"), "ERRORED");
  EXPECT_EQ(lines[1].at("reason"), "NOT_AUTHORIZED");
  EXPECT_THAT(lines[1].at("duration_ms").get<std::string>(), MatchesRegex("[0-9]+\\.[0-9]+"));
  EXPECT_THAT(log_.str(), Not(HasSubstr("sesame")));
}

TEST_F(ServiceTest, AnErrorIsOneWarning) {
  behaviour_ = [](const steps::StepCall&, base::Context&) -> RunResult {
    return absl::UnavailableError("connection refused");
  };
  EXPECT_FALSE(RunStep(GoodRequest()).ok());
  const auto lines = LogLines();
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_EQ(lines[0].at("level"), "warning");
  EXPECT_EQ(lines[0].at("code"), "UNAVAILABLE");
  EXPECT_EQ(lines[0].at("error"), "connection refused");
  EXPECT_EQ(lines[0].at("promotion"), "p1");
}

TEST_F(ServiceTest, ARefusedRequestCannotFillTheLog) {
  v1::RunStepRequest request = GoodRequest();
  request.set_project(std::string(1 << 20, 'A'));
  request.set_promotion(std::string(1 << 20, '\n'));
  EXPECT_FALSE(RunStep(request).ok());
  const auto lines = LogLines();
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(log_.str(), SizeIs(::testing::Lt(4096u)));
}

TEST_F(ServiceTest, BytesThatAreNoMessageAreToldByEveryMethod) {
  Fill();
  struct {
    const char* method;
    std::string bytes;
    const char* field;
  } const table[] = {
      {"RunStep", "\xff\xff", ""},
      {"GetStageHealth", "\xff\xff", ""},
      {"GetStageHealth", "\x0a\x02\xc3\x28", "project"},
      {"ListStageHealth", "\xff\xff", ""},
      {"ListStageHealth", "\x22\x02\xc3\x28", "page_token"},
      {"WatchStageHealth", "\xff\xff", ""},
      {"WatchStageHealth", "\x12\x02\xc3\x28", "stage"},
      {"ReportPromotion", "\xff\xff", ""},
      {"ReportPromotion", "\x2a\x02\xc3\x28", "message"},
      {"ReportIndicator", "\xff\xff", ""},
      {"ReportIndicator", "\x1a\x02\xc3\x28", "name"},
      {"ListStepKinds", "\xff\xff", ""},
  };
  for (const auto& c : table) {
    const grpc::Status status = CallService(c.method, c.bytes);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << c.method;
    EXPECT_THAT(ViolatedFields(status), ElementsAre(c.field)) << c.method;
  }
  EXPECT_EQ(CallService("NoSuchMethod", "").error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_TRUE(RunStep(GoodRequest()).ok());
}

TEST_F(ServiceTest, EveryMethodSendsTheRequestIdBack) {
  Fill();
  PutStage("team-a", "prod", Indicator("Healthy"));
  Evaluate();
  const auto id_of = [](const grpc::ClientContext& context) {
    const auto found = context.GetServerInitialMetadata().find("x-request-id");
    return found == context.GetServerInitialMetadata().end()
               ? std::string()
               : std::string(found->second.data(), found->second.size());
  };
  const auto check = [&](const char* method, const auto& call) {
    grpc::ClientContext context;
    context.AddMetadata("x-request-id", "req-7");
    EXPECT_TRUE(call(&context).ok()) << method;
    EXPECT_EQ(id_of(context), "req-7") << method;
  };
  check("GetStageHealth", [&](grpc::ClientContext* context) {
    v1::GetStageHealthRequest request;
    request.set_project("team-a");
    request.set_stage("prod");
    v1::GetStageHealthResponse response;
    return stub_->GetStageHealth(context, request, &response);
  });
  check("ListStageHealth", [&](grpc::ClientContext* context) {
    v1::ListStageHealthResponse response;
    return stub_->ListStageHealth(context, {}, &response);
  });
  check("ListStepKinds", [&](grpc::ClientContext* context) {
    v1::ListStepKindsResponse response;
    return stub_->ListStepKinds(context, {}, &response);
  });
  check("ReportPromotion", [&](grpc::ClientContext* context) {
    v1::ReportPromotionRequest request;
    request.set_project("team-a");
    request.set_stage("prod");
    request.set_promotion("p1");
    request.set_phase(v1::PROMOTION_PHASE_RUNNING);
    v1::ReportPromotionResponse response;
    return stub_->ReportPromotion(context, request, &response);
  });
  check("ReportIndicator", [&](grpc::ClientContext* context) {
    v1::ReportIndicatorRequest request;
    request.set_project("team-a");
    request.set_stage("prod");
    request.set_name("tests");
    v1::ReportIndicatorResponse response;
    return stub_->ReportIndicator(context, request, &response);
  });
}

TEST_F(ServiceTest, StepKindsAreListedWithTheirSchemas) {
  grpc::ClientContext context;
  v1::ListStepKindsResponse response;
  ASSERT_TRUE(stub_->ListStepKinds(&context, {}, &response).ok());
  ASSERT_EQ(response.kinds_size(), 1);
  const v1::StepKind& kind = response.kinds(0);
  EXPECT_EQ(kind.uses(), "fake");
  EXPECT_EQ(kind.description(), "Does what a test says.");
  const auto& schema = kind.config_schema().fields();
  ASSERT_EQ(schema.count("type"), 1u);
  EXPECT_EQ(schema.at("type").string_value(), "object");
  EXPECT_EQ(schema.at("properties")
                .struct_value()
                .fields()
                .at("apps")
                .struct_value()
                .fields()
                .at("minItems")
                .number_value(),
            1);
  EXPECT_EQ(kind.default_timeout().seconds(), 300);
  EXPECT_EQ(kind.default_timeout().nanos(), 0);
}

TEST_F(ServiceTest, TheEndOfEveryStepIsToldOnce) {
  v1::RunStepRequest request = GoodRequest();
  EXPECT_TRUE(RunStep(request).ok());
  behaviour_ = [](const steps::StepCall&, base::Context&) -> RunResult {
    return absl::UnavailableError("connection refused");
  };
  request.set_promotion("p2");
  EXPECT_FALSE(RunStep(request).ok());
  // What was refused is no step.
  EXPECT_FALSE(RunStep(v1::RunStepRequest()).ok());
  server_->Shutdown(absl::Hours(1));
  EXPECT_THAT(step_ends_.WaitFor(0), ElementsAre("p1: STEP_STATUS_SUCCEEDED", "p2: UNAVAILABLE"));
}

// grpc.health.v1.HealthCheckRequest and -Response are one field each.
std::string HealthRequest(const std::string& service) {
  return "\x0a" + std::string(1, static_cast<char>(service.size())) + service;
}
const std::string kServing = "\x08\x01";
const std::string kNotServing = "\x08\x02";

TEST_F(ServiceTest, HealthFollowsTheServer) {
  for (const bool serving : {true, false, true}) {
    server_->SetServing(serving);
    for (const std::string service : {"", "gantry.v1.PromotionStepService"}) {
      std::string response;
      ASSERT_TRUE(Call("/grpc.health.v1.Health/Check", HealthRequest(service), &response).ok());
      EXPECT_EQ(response, serving ? kServing : kNotServing) << service;
    }
  }
  EXPECT_EQ(Call("/grpc.health.v1.Health/Check", HealthRequest("other")).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

// A stream by its method's name, one operation at a time.
class Stream {
 public:
  Stream(const std::shared_ptr<grpc::Channel>& channel, const std::string& method)
      : stub_(channel), stream_(stub_.PrepareCall(&context_, method, &queue_)) {
    stream_->StartCall(nullptr);
    Wait();
  }
  ~Stream() {
    context_.TryCancel();
    Finish();
    queue_.Shutdown();
    void* tag = nullptr;
    bool good = false;
    while (queue_.Next(&tag, &good)) {
    }
  }

  void Write(const std::string& bytes) {
    stream_->Write(Bytes(bytes), nullptr);
    Wait();
  }
  // Nothing when the stream has ended.
  std::optional<std::string> Read() {
    grpc::ByteBuffer bytes;
    stream_->Read(&bytes, nullptr);
    if (!Wait()) return std::nullopt;
    return Text(bytes);
  }
  grpc::Status Finish() {
    if (!finished_) {
      stream_->Finish(&finished_.emplace(), nullptr);
      Wait();
    }
    return *finished_;
  }

 private:
  bool Wait() {
    void* tag = nullptr;
    bool good = false;
    return queue_.Next(&tag, &good) && good;
  }

  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  grpc::GenericStub stub_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
  std::optional<grpc::Status> finished_;
};

TEST_F(ServiceTest, ReflectionListsTheService) {
  Stream stream(channel_, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
  stream.Write(std::string("\x3a\x00", 2));  // list_services: ""
  const auto answer = stream.Read();
  ASSERT_TRUE(answer.has_value());
  EXPECT_THAT(*answer, HasSubstr("gantry.v1.PromotionStepService"));
  EXPECT_THAT(*answer, HasSubstr("grpc.health.v1.Health"));
}

TEST_F(ServiceTest, ManyReflectionStreamsDoNotKeepStepsFromRunning) {
  std::vector<std::unique_ptr<Stream>> streams;
  for (int i = 0; i < 20; ++i) {
    streams.push_back(std::make_unique<Stream>(
        channel_, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"));
  }
  EXPECT_TRUE(RunStep(GoodRequest()).ok());
}

TEST_F(ServiceTest, CallsInProgressFinishBeforeTheServerStops) {
  Event begun;
  Event release;
  behaviour_ = [&](const steps::StepCall&, base::Context&) {
    begun.Set();
    release.Wait();
    return Succeeded();
  };
  std::promise<grpc::Status> first;
  std::thread caller([&] { first.set_value(RunStep(GoodRequest())); });
  begun.Wait();
  Stream health(channel_, "/grpc.health.v1.Health/Watch");
  health.Write(HealthRequest(""));
  EXPECT_EQ(health.Read(), kServing);

  std::thread stopper([this] { server_->Shutdown(absl::Hours(1)); });
  EXPECT_EQ(health.Read(), kNotServing);
  grpc::ClientContext context;
  v1::RunStepResponse response;
  const auto stub = v1::PromotionStepService::NewStub(NewChannel());
  // Refused by the service, or by a port that is closed already.
  EXPECT_EQ(stub->RunStep(&context, GoodRequest(), &response).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  release.Set();
  const grpc::Status status = first.get_future().get();
  EXPECT_TRUE(status.ok()) << status.error_message();
  caller.join();
  // Within the hour, although the health stream stays open.
  stopper.join();
}

TEST_F(ServiceTest, ACallDuringDrainingIsRefusedWithDetails) {
  service_->calls().StartDraining();
  const grpc::Status status = RunStep(GoodRequest());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ErrorOf(status).reason, "gantry.dev/SERVER_DRAINING");
  EXPECT_TRUE(ErrorOf(status).retry);
}

TEST_F(ServiceTest, CallsLeftAtTheEndOfDrainingAreCancelled) {
  Event begun;
  std::promise<absl::Status> ended;
  behaviour_ = [&](const steps::StepCall&, base::Context& context) -> RunResult {
    begun.Set();
    const absl::Status status = WaitUntilItEnds(context);
    ended.set_value(status);
    return status;
  };
  std::promise<grpc::Status> seen;
  std::thread caller([&] { seen.set_value(RunStep(GoodRequest())); });
  begun.Wait();
  server_->Shutdown(absl::ZeroDuration());
  EXPECT_EQ(ended.get_future().get().code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(seen.get_future().get().ok());
  caller.join();
}

TEST_F(ServiceTest, NoAnswerIsLostWhileTheServerStops) {
  constexpr std::size_t kCalls = 4;
  Results<int> begun;
  Event release;
  behaviour_ = [&](const steps::StepCall&, base::Context&) {
    begun.Add(0);
    release.Wait();
    return Succeeded();
  };
  const v1::RunStepRequest request = GoodRequest();
  struct Pending {
    grpc::ClientContext context;
    v1::RunStepResponse response;
  } calls[kCalls];
  Results<grpc::Status> results;
  for (Pending& call : calls) {
    stub_->async()->RunStep(&call.context, &request, &call.response,
                            [&results](grpc::Status status) { results.Add(std::move(status)); });
  }
  begun.WaitFor(kCalls);
  std::thread stopper([this] { server_->Shutdown(absl::Hours(1)); });
  release.Set();
  for (const grpc::Status& status : results.WaitFor(kCalls)) {
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
  stopper.join();
}

TEST_F(ServiceTest, CancellationMayRaceWithTheEndOfTheCall) {
  behaviour_ = [](const steps::StepCall&, base::Context& context) -> RunResult {
    if (absl::Status status = context.Check(); !status.ok()) return status;
    return Succeeded();
  };
  const v1::RunStepRequest request = GoodRequest();
  for (int round = 0; round < 50; ++round) {
    struct Pending {
      grpc::ClientContext context;
      v1::RunStepResponse response;
    } calls[8];
    Results<grpc::Status> results;
    for (Pending& call : calls) {
      stub_->async()->RunStep(&call.context, &request, &call.response,
                              [&results](grpc::Status status) { results.Add(std::move(status)); });
    }
    if (round % 2 == 1) results.WaitFor(1);
    for (Pending& call : calls) call.context.TryCancel();
    for (const grpc::Status& status : results.WaitFor(8)) {
      EXPECT_THAT(status.error_code(), AnyOf(grpc::StatusCode::OK, grpc::StatusCode::CANCELLED));
    }
  }
  EXPECT_TRUE(RunStep(GoodRequest()).ok());
}

TEST_F(ServiceTest, StoppingMayRaceWithNewCalls) {
  std::vector<std::thread> callers;
  Results<int> first;
  for (int t = 0; t < 4; ++t) {
    callers.emplace_back([this, &first] {
      const auto stub = v1::PromotionStepService::NewStub(NewChannel());
      while (true) {
        grpc::ClientContext context;
        v1::RunStepResponse response;
        const grpc::Status status = stub->RunStep(&context, GoodRequest(), &response);
        first.Add(0);
        if (!status.ok()) return;
      }
    });
  }
  first.WaitFor(20);
  server_->Shutdown(absl::Hours(1));
  for (std::thread& caller : callers) caller.join();
}

TEST_F(ServiceTest, ShutdownTwiceIsOnce) {
  server_->Shutdown(absl::Hours(1));
  server_->Shutdown(absl::Hours(1));
}

TEST_F(ServiceTest, APortInUseIsOneSentence) {
  PromotionStepServiceImpl other(Dependencies(), ServiceLimits(), observability::Logger());
  ServerOptions options;
  options.host = "127.0.0.1";
  options.port = server_->port();
  const auto second = Server::Start(options, other);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().message(), "cannot listen on 127.0.0.1 port " +
                                           std::to_string(server_->port()) +
                                           " (--listen): Address already in use");
}

}  // namespace
}  // namespace gantry::service
