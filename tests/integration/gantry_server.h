// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_INTEGRATION_GANTRY_SERVER_H_
#define GANTRY_TESTS_INTEGRATION_GANTRY_SERVER_H_

#include <grpcpp/grpcpp.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gantry/rpc/v1/error_details.pb.h"
#include "gantry/v1/promotion_step_service.grpc.pb.h"
#include "gantry/v1/promotion_step_service.pb.h"

namespace gantry::integration {

// What a call of RunStep came to.
struct StepResult {
  grpc::Status status;
  v1::RunStepResponse response;
};

// The details of a gRPC error, as far as they came with it.
struct ErrorDetails {
  std::optional<rpc::v1::ErrorInfo> error_info;
  std::optional<rpc::v1::BadRequest> bad_request;
  std::optional<rpc::v1::RetryInfo> retry_info;
};
ErrorDetails DetailsOf(const grpc::Status& status);

// A call of RunStep that is under way on a thread of its own. The destructor cancels it.
class PendingStep {
 public:
  PendingStep(v1::PromotionStepService::Stub& stub, v1::RunStepRequest request,
              std::chrono::milliseconds timeout);
  ~PendingStep();
  PendingStep(const PendingStep&) = delete;
  PendingStep& operator=(const PendingStep&) = delete;

  void Cancel() { context_.TryCancel(); }
  // Waits for the end of the call.
  const StepResult& Result();

 private:
  const v1::RunStepRequest request_;
  grpc::ClientContext context_;
  StepResult result_;
  std::thread thread_;
};

// A stream of WatchStageHealth. The destructor cancels it.
class HealthStream {
 public:
  // Covers a project, or one Stage of it; with an empty project all.
  HealthStream(v1::PromotionStepService::Stub& stub, const std::string& project,
               const std::string& stage);
  ~HealthStream();
  HealthStream(const HealthStream&) = delete;
  HealthStream& operator=(const HealthStream&) = delete;

  // The next event, or nothing when the stream has ended or none comes for a long time.
  std::optional<v1::WatchStageHealthResponse> Next();
  // Reads until an event is as expected and returns it; ends the test when none is. `seen` is
  // called with each event before.
  v1::WatchStageHealthResponse Await(
      const std::function<bool(const v1::WatchStageHealthResponse& event)>& expected,
      const std::function<void(const v1::WatchStageHealthResponse& event)>& seen = nullptr);
  v1::StageHealth AwaitState(v1::HealthState state);
  // Ends the stream; any thread.
  void Cancel() { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::WatchStageHealthResponse>> reader_;
};

// A gantry-server process, which dies with the thread that made it: make it on the test's own.
class GantryServer {
 public:
  // Starts it with `flags` besides those for addresses and the kubeconfig, and waits until it
  // serves.
  GantryServer(const std::string& kubeconfig, const std::vector<std::string>& flags = {});
  // Kills it when it still runs; shows its log when the test has failed.
  ~GantryServer();
  GantryServer(const GantryServer&) = delete;
  GantryServer& operator=(const GantryServer&) = delete;

  // By default the deadline is one that no call should ever reach.
  StepResult RunStep(const v1::RunStepRequest& request,
                     std::chrono::milliseconds timeout = std::chrono::seconds(30));
  std::unique_ptr<PendingStep> StartStep(
      const v1::RunStepRequest& request,
      std::chrono::milliseconds timeout = std::chrono::seconds(30));
  std::unique_ptr<HealthStream> Watch(const std::string& project, const std::string& stage = "");
  // What the admin listener answers: the status and the body.
  std::pair<int, std::string> Admin(const std::string& path);
  pid_t pid() const { return pid_; }
  // Where it takes calls: host:port.
  const std::string& listen() const { return listen_; }
  grpc::Status GetStageHealth(const v1::GetStageHealthRequest& request,
                              v1::GetStageHealthResponse& response);
  // RunStep with any bytes for a message.
  grpc::Status RunStepWithBytes(const std::string& bytes);
  v1::PromotionStepService::Stub& stub() { return *stub_; }
  // One with a connection of its own.
  std::unique_ptr<v1::PromotionStepService::Stub> NewStub() const;

  void Kill9();
  // SIGTERM, without waiting for anything but that the server takes no further calls.
  void BeginTermination();
  // SIGTERM if there was none yet, and expects the process to end well.
  void Terminate();

  std::string Log() const;
  // Waits until a line of the log matches (all of it is looked at), or ends the test.
  std::string AwaitLogLine(const std::function<bool(const std::string& line)>& matches);

 private:
  void Start(const std::vector<std::string>& arguments);
  // Waits until `happened` says so; it is asked at first and whenever something is written into
  // the server's folder. False when the process has ended or time is up.
  bool AwaitFile(const std::function<bool()>& happened);
  // Waits for the end of the process; nothing when time is up.
  std::optional<int> AwaitExit();

  const std::string folder_;
  pid_t pid_ = -1;  // -1: it does not run any more
  int pid_fd_ = -1;
  bool terminating_ = false;
  std::string listen_;  // host:port
  std::string admin_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::PromotionStepService::Stub> stub_;
};

}  // namespace gantry::integration

#endif  // GANTRY_TESTS_INTEGRATION_GANTRY_SERVER_H_
