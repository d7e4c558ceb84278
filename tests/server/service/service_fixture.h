// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SERVER_SERVICE_SERVICE_FIXTURE_H_
#define GANTRY_TESTS_SERVER_SERVICE_SERVICE_FIXTURE_H_

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <functional>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "base/error_info.h"
#include "base/mutex.h"
#include "gantry/rpc/v1/error_details.pb.h"
#include "gantry/rpc/v1/status.pb.h"
#include "gantry/v1/promotion_step_service.grpc.pb.h"
#include "server/health/health_cache.h"
#include "server/observability/library_logs.h"
#include "server/service/promotion_step_service.h"
#include "server/service/server.h"
#include "server/stages/stage_store.h"
#include "server/steps/config/struct_json.h"
#include "server/steps/pending_calls.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_kubernetes.h"
#include "tests/fakes/watched_caches.h"

namespace gantry::service {

using RunResult = absl::StatusOr<v1::RunStepResponse>;
using Behaviour = std::function<RunResult(const steps::StepCall&, base::Context&)>;

inline v1::RunStepResponse Succeeded() {
  v1::RunStepResponse response;
  response.set_status(v1::STEP_STATUS_SUCCEEDED);
  return response;
}

// A kind of step in name only: FakeRunner does not parse its configurations.
class FakeKind final : public steps::StepKind {
 public:
  std::string_view uses() const override { return "fake"; }
  std::string_view description() const override { return "Does what a test says."; }
  std::string_view config_schema() const override {
    return R"({"type": "object", "properties": {"apps": {"minItems": 1}}})";
  }
  bool changes_applications() const override { return true; }
  Parsed Parse(const nlohmann::json&) const override { return {}; }
};

// Does what a test says, and waits for the Applications of the response. A retry of another length
// than a RUNNING step's usual one is due by the clock.
class FakeRunner final : public steps::StepRunner {
 public:
  explicit FakeRunner(const Behaviour& behaviour) : behaviour_(behaviour) {}

  steps::BegunStep Begin(const steps::StepKind&, const v1::RunStepRequest& request,
                         std::string caller, observability::Logger log) const override {
    steps::BegunStep begun;
    begun.call.request = &request;
    begun.call.caller = std::move(caller);
    begun.call.log = std::move(log);
    begun.call.previous_output = steps::ToJson(request.previous_output());
    return begun;
  }

  absl::StatusOr<steps::StepResult> Run(const steps::StepCall& call,
                                        base::Context& context) override {
    RunResult response = behaviour_(call, context);
    if (!response.ok()) return response.status();
    steps::StepResult result;
    for (const v1::ApplicationOutcome& outcome : response->applications()) {
      result.wake_on.applications.push_back({outcome.namespace_(), outcome.name()});
    }
    const absl::Duration retry = absl::Seconds(response->retry_after().seconds()) +
                                 absl::Nanoseconds(response->retry_after().nanos());
    if (retry != absl::Seconds(5)) result.wake_on.due = retry;
    result.response = *std::move(response);
    return result;
  }

 private:
  const Behaviour& behaviour_;
};

// Something that happens once and can be waited for.
class Event {
 public:
  void Set() {
    base::MutexLock lock(mutex_);
    set_ = true;
    changed_.NotifyAll();
  }
  void Wait() {
    base::MutexLock lock(mutex_);
    while (!set_) changed_.Wait(mutex_);
  }

 private:
  base::Mutex mutex_;
  base::ConditionVariable changed_;
  bool set_ ABSL_GUARDED_BY(mutex_) = false;
};

// Results of calls, in the order they end.
template <typename T>
class Results {
 public:
  void Add(T result) {
    base::MutexLock lock(mutex_);
    results_.push_back(std::move(result));
    changed_.NotifyAll();
  }
  std::vector<T> WaitFor(std::size_t count) {
    base::MutexLock lock(mutex_);
    while (results_.size() < count) changed_.Wait(mutex_);
    return results_;
  }

 private:
  base::Mutex mutex_;
  base::ConditionVariable changed_;
  std::vector<T> results_ ABSL_GUARDED_BY(mutex_);
};

// As a client sees the end of a call.
inline absl::Status WaitUntilItEnds(base::Context& context) {
  while (true) {
    if (absl::Status status = context.Check(); !status.ok()) return status;
    const auto left = absl::ToInt64Milliseconds(std::min(context.Remaining(), absl::Minutes(1)));
    pollfd waited{context.fd(), POLLIN, 0};
    poll(&waited, 1, static_cast<int>(left) + 1);
  }
}

inline grpc::ByteBuffer Bytes(const std::string& text) {
  const grpc::Slice slice(text);
  return grpc::ByteBuffer(&slice, 1);
}

inline std::string Text(const grpc::ByteBuffer& bytes) {
  grpc::Slice slice;
  EXPECT_TRUE(bytes.DumpToSingleSlice(&slice).ok());
  return std::string(reinterpret_cast<const char*>(slice.begin()), slice.size());
}

// Fields and what is said about them.
inline std::vector<std::pair<std::string, std::string>> Violations(const grpc::Status& status) {
  std::vector<std::pair<std::string, std::string>> violations;
  rpc::v1::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  for (const auto& any : details.details()) {
    if (any.type_url() != "type.googleapis.com/google.rpc.BadRequest") continue;
    rpc::v1::BadRequest detail;
    EXPECT_TRUE(detail.ParseFromString(any.value()));
    for (const auto& v : detail.field_violations()) {
      violations.emplace_back(v.field(), v.description());
    }
  }
  return violations;
}

inline std::vector<std::string> ViolatedFields(const grpc::Status& status) {
  std::vector<std::string> fields;
  for (const auto& [field, description] : Violations(status)) fields.push_back(field);
  return fields;
}

// Reason and domain as "gantry.dev/REASON", and whether it says when to come again.
struct Error {
  std::string reason;
  bool retry = false;
};

inline Error ErrorOf(const grpc::Status& status) {
  Error error;
  rpc::v1::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  EXPECT_EQ(details.code(), status.error_code());
  EXPECT_EQ(details.message(), status.error_message());
  for (const auto& any : details.details()) {
    if (any.type_url() == "type.googleapis.com/google.rpc.ErrorInfo") {
      rpc::v1::ErrorInfo detail;
      EXPECT_TRUE(detail.ParseFromString(any.value()));
      error.reason = detail.domain() + "/" + detail.reason();
    }
    error.retry |= any.type_url() == "type.googleapis.com/google.rpc.RetryInfo";
  }
  return error;
}

inline v1::RunStepRequest GoodRequest() {
  v1::RunStepRequest request;
  request.set_project("team-a");
  request.set_stage("prod");
  request.set_promotion("p1");
  request.set_step("sync");
  request.set_uses("fake");
  return request;
}

class FixedRandom final : public base::Random {
 public:
  double Uniform() override { return 0.75; }
};

// Returns at once and remembers for how long it was asked to wait.
class FakeSleeper final : public base::Sleeper {
 public:
  absl::Status Sleep(absl::Duration duration, base::Context& context) override {
    if (absl::Status ended = context.Check(); !ended.ok()) return ended;
    slept.Add(duration);
    return absl::OkStatus();
  }
  Results<absl::Duration> slept;
};

struct ServiceSetup {
  std::size_t workers = 4;
  std::size_t queued = 16;
  ServiceLimits limits;
};

// The service over a real connection, wired as the program does it, on a fake API server. The
// caches are empty and not filled, nothing is evaluated but by Evaluate(), and no time wakes a
// pending call.
class ServiceTest : public ::testing::Test {
 protected:
  static constexpr const char* kNamespace = "gantry";

  explicit ServiceTest(const ServiceSetup& setup = {}) : workers_(setup.workers, setup.queued) {
    observability::RedirectLibraryLogs(observability::Logger());
    cache::Caches& caches = watched_.caches;
    caches.applications.SetListener([this](const argocd::ApplicationName& name) {
      health_.ApplicationChanged(name);
      pending_.ApplicationChanged(name);
    });
    caches.stages.SetListener([this](const cache::StageName& name) {
      health_.StageChanged(name);
      pending_.StageChanged(name);
    });
    caches.freshness.SetListener([this] { health_.FreshnessChanged(); });
    stages_.SetListener([this](const stages::StoredStage& stage) {
      cache::PutOwnWrite(watched_.caches.stages, stage);
    });
    kinds_.Add(std::make_unique<FakeKind>());
    service_.emplace(Dependencies(), setup.limits,
                     observability::MakeLogger(observability::LogFormat::kJson,
                                               observability::LogLevel::kDebug, log_));
    ServerOptions options;
    options.host = "127.0.0.1";
    auto server = Server::Start(options, *service_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    server_->SetServing(true);
    channel_ = NewChannel();
    stub_ = v1::PromotionStepService::NewStub(channel_);
  }

  PromotionStepServiceImpl::Dependencies Dependencies() {
    return {kinds_,   runner_,
            workers_, pending_,
            stages_,  health_,
            clock_,   random_,
            sleeper_, [this](const StepEnd& end) { step_ends_.Add(Describe(end)); }};
  }

  static std::string Describe(const StepEnd& end) {
    return end.request.promotion() + ": " +
           (end.response != nullptr ? v1::StepStatus_Name(end.response->status())
                                    : absl::StatusCodeToString(end.error.code()));
  }

  // A connection of its own.
  std::shared_ptr<grpc::Channel> NewChannel(grpc::ChannelArguments arguments = {}) {
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(server_->port()),
                                     grpc::InsecureChannelCredentials(), arguments);
  }

  grpc::Status RunStep(const v1::RunStepRequest& request) {
    grpc::ClientContext context;
    v1::RunStepResponse response;
    return stub_->RunStep(&context, request, &response);
  }

  // A unary call by its name, with any bytes.
  grpc::Status Call(const std::string& method, const std::string& request,
                    std::string* response = nullptr) {
    grpc::ClientContext context;
    grpc::GenericStub stub(channel_);
    const grpc::ByteBuffer sent = Bytes(request);
    grpc::ByteBuffer received;
    std::promise<grpc::Status> ended;
    stub.UnaryCall(&context, method, grpc::StubOptions(), &sent, &received,
                   [&ended](grpc::Status status) { ended.set_value(std::move(status)); });
    grpc::Status status = ended.get_future().get();
    if (status.ok() && response != nullptr) *response = Text(received);
    return status;
  }
  grpc::Status CallService(const std::string& method, const std::string& request,
                           std::string* response = nullptr) {
    return Call("/gantry.v1.PromotionStepService/" + method, request, response);
  }
  grpc::Status RunStepBytes(const std::string& bytes) { return CallService("RunStep", bytes); }

  // The record of a Stage as the watch brings it; `spec` may be partial.
  static nlohmann::json StageObject(const std::string& project, const std::string& stage,
                                    const nlohmann::json& spec, int version) {
    return {{"metadata",
             {{"name", project + "." + stage},
              {"namespace", kNamespace},
              {"uid", "uid-" + project + "." + stage},
              {"resourceVersion", std::to_string(version)}}},
            {"spec", spec}};
  }
  // One indicator makes a Stage have a state.
  static nlohmann::json Indicator(const std::string& state, const std::string& message = "") {
    return {{"indicators", {{{"name", "tests"}, {"state", state}, {"message", message}}}}};
  }
  void PutStage(const std::string& project, const std::string& stage, const nlohmann::json& spec) {
    watched_.PutStage(StageObject(project, stage, spec, ++version_));
  }
  void DeleteStage(const std::string& project, const std::string& stage) {
    watched_.DeleteStage(StageObject(project, stage, nlohmann::json::object(), ++version_));
  }
  void PutApplication(const std::string& name, const std::string& health) {
    watched_.PutApplication(
        {{"metadata",
          {{"name", name},
           {"namespace", "argocd"},
           {"uid", "uid-" + name},
           {"resourceVersion", std::to_string(++version_)},
           {"annotations", {{"kargo.akuity.io/authorized-stage", "team-a:prod"}}}}},
         {"spec", {{"source", {{"repoURL", "https://git/" + name}}}}},
         {"status",
          {{"health", {{"status", health}}},
           {"sync", {{"status", "Synced"}, {"revision", "v1"}}}}}});
  }
  // All watches have brought everything.
  void Fill() {
    watched_.Sync();
    Evaluate();
  }
  void Evaluate() { health_.EvaluateDue(); }

  // Shut down first, so that no call still writes.
  std::vector<nlohmann::json> LogLines() {
    server_->Shutdown(absl::Hours(1));
    std::vector<nlohmann::json> lines;
    for (const auto line : absl::StrSplit(log_.str(), '\n', absl::SkipEmpty())) {
      lines.push_back(nlohmann::json::parse(std::string(line)));
    }
    return lines;
  }

  Behaviour behaviour_ = [](const steps::StepCall&, base::Context&) { return Succeeded(); };
  std::ostringstream log_;
  FixedRandom random_;
  FakeSleeper sleeper_;
  testing::FakeClock clock_;
  testing::FakeKubernetes kubernetes_;
  testing::WatchedCaches watched_{{}, clock_};
  int version_ = 1000;
  health::HealthCache health_{{watched_.caches, clock_, {}}};
  steps::PendingCalls pending_{watched_.caches};
  stages::StageStore stages_{kubernetes_, kNamespace};
  Results<std::string> step_ends_;
  steps::StepKinds kinds_;
  FakeRunner runner_{behaviour_};
  base::WorkerPool workers_;
  std::optional<PromotionStepServiceImpl> service_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::PromotionStepService::Stub> stub_;
};

}  // namespace gantry::service

#endif  // GANTRY_TESTS_SERVER_SERVICE_SERVICE_FIXTURE_H_
