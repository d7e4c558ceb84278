// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_CLIENT_SCRIPTED_SERVICE_H_
#define GANTRY_TESTS_CLIENT_SCRIPTED_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "gantry/v1/promotion_step_service.grpc.pb.h"

namespace gantry::client {

// For a call that ends by itself; far more than it needs.
inline constexpr absl::Duration kAmple = absl::Seconds(60);

// One answer over the wire: an error, or a response.
template <typename Response>
struct Wire {
  grpc::Status status;
  Response response;

  Wire(Response answer)  // NOLINT: reads as the answer it is
      : response(std::move(answer)) {}
  Wire(grpc::Status error)  // NOLINT
      : status(std::move(error)) {}
};
using WireAnswer = Wire<v1::RunStepResponse>;

// What comes over one stream, and how it ends; without `end` it stays open until the end of the
// service.
struct WireStream {
  std::vector<v1::WatchStageHealthResponse> events;
  std::optional<grpc::Status> end;
};

// What the service answers about health.
struct HealthScript {
  std::vector<Wire<v1::GetStageHealthResponse>> get;
  std::vector<Wire<v1::ListStageHealthResponse>> list;
  std::vector<WireStream> watch;
};

// A PromotionStepService, on a free port unless told otherwise, that answers from a script, the
// last entry over and over. Serves as long as it lives; any thread.
class ScriptedService : public v1::PromotionStepService::Service {
 public:
  explicit ScriptedService(std::vector<WireAnswer> script,
                           const std::string& listen = "127.0.0.1:0", HealthScript health = {},
                           const std::shared_ptr<grpc::ServerCredentials>& credentials =
                               grpc::InsecureServerCredentials())
      : script_(std::move(script)), health_(std::move(health)) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort(listen, credentials, &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    address_ = absl::StrCat("127.0.0.1:", port);
  }
  explicit ScriptedService(HealthScript health, const std::string& listen = "127.0.0.1:0")
      : ScriptedService({}, listen, std::move(health)) {}
  ~ScriptedService() override { Stop(); }

  const std::string& address() const { return address_; }

  // Ends the service; calls under way are cancelled.
  void Stop() {
    {
      const absl::MutexLock lock(&mutex_);
      stopping_ = true;
    }
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
  }

  // Makes every call last until the service is stopped or the caller gives up.
  void SwallowCalls() {
    const absl::MutexLock lock(&mutex_);
    swallow_ = true;
  }

  // Sends `grpc-retry-pushback-ms` with every answer to RunStep.
  void PushBack(const std::string& milliseconds) {
    const absl::MutexLock lock(&mutex_);
    push_back_ = milliseconds;
  }

  // Returns once `count` calls have come.
  void AwaitCalls(std::size_t count) {
    const absl::MutexLock lock(&mutex_);
    const auto came = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return requests_.size() >= count;
    };
    mutex_.Await(absl::Condition(&came));
  }

  // Returns once `count` lists have been asked for.
  void AwaitListCalls(std::size_t count) {
    const absl::MutexLock lock(&mutex_);
    const auto came = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return list_requests_.size() >= count;
    };
    mutex_.Await(absl::Condition(&came));
  }

  std::vector<v1::GetStageHealthRequest> get_requests() {
    const absl::MutexLock lock(&mutex_);
    return get_requests_;
  }
  std::vector<v1::ListStageHealthRequest> list_requests() {
    const absl::MutexLock lock(&mutex_);
    return list_requests_;
  }
  std::vector<v1::WatchStageHealthRequest> watch_requests() {
    const absl::MutexLock lock(&mutex_);
    return watch_requests_;
  }
  std::vector<v1::RunStepRequest> requests() {
    const absl::MutexLock lock(&mutex_);
    return requests_;
  }
  std::vector<v1::ReportPromotionRequest> promotion_reports() {
    const absl::MutexLock lock(&mutex_);
    return promotion_reports_;
  }
  std::vector<v1::ReportIndicatorRequest> indicator_reports() {
    const absl::MutexLock lock(&mutex_);
    return indicator_reports_;
  }
  // The header `authorization` of each RunStep call; empty where there was none.
  std::vector<std::string> authorizations() {
    const absl::MutexLock lock(&mutex_);
    return authorizations_;
  }
  std::string user_agent() {
    const absl::MutexLock lock(&mutex_);
    return user_agent_;
  }

  grpc::Status RunStep(grpc::ServerContext* context, const v1::RunStepRequest* request,
                       v1::RunStepResponse* response) override {
    const absl::MutexLock lock(&mutex_);
    requests_.push_back(*request);
    const auto agent = context->client_metadata().find("user-agent");
    if (agent != context->client_metadata().end()) {
      user_agent_.assign(agent->second.data(), agent->second.size());
    }
    const auto authorization = context->client_metadata().find("authorization");
    authorizations_.push_back(
        authorization == context->client_metadata().end()
            ? ""
            : std::string(authorization->second.data(), authorization->second.size()));
    if (!push_back_.empty()) context->AddTrailingMetadata("grpc-retry-pushback-ms", push_back_);
    if (swallow_) {
      mutex_.Await(absl::Condition(&stopping_));
      return grpc::Status::CANCELLED;
    }
    const WireAnswer& answer = script_[std::min(requests_.size(), script_.size()) - 1];
    *response = answer.response;
    return answer.status;
  }

  grpc::Status GetStageHealth(grpc::ServerContext*, const v1::GetStageHealthRequest* request,
                              v1::GetStageHealthResponse* response) override {
    const absl::MutexLock lock(&mutex_);
    return AnswerFrom(health_.get, *request, get_requests_, *response);
  }
  grpc::Status ListStageHealth(grpc::ServerContext*, const v1::ListStageHealthRequest* request,
                               v1::ListStageHealthResponse* response) override {
    const absl::MutexLock lock(&mutex_);
    return AnswerFrom(health_.list, *request, list_requests_, *response);
  }
  grpc::Status ReportPromotion(grpc::ServerContext*, const v1::ReportPromotionRequest* request,
                               v1::ReportPromotionResponse*) override {
    const absl::MutexLock lock(&mutex_);
    promotion_reports_.push_back(*request);
    return grpc::Status::OK;
  }
  grpc::Status ReportIndicator(grpc::ServerContext*, const v1::ReportIndicatorRequest* request,
                               v1::ReportIndicatorResponse*) override {
    const absl::MutexLock lock(&mutex_);
    indicator_reports_.push_back(*request);
    return grpc::Status::OK;
  }
  grpc::Status ListStepKinds(grpc::ServerContext*, const v1::ListStepKindsRequest*,
                             v1::ListStepKindsResponse* response) override {
    for (const char* const uses : {"argocd-update", "argocd-wait"}) {
      response->add_kinds()->set_uses(uses);
    }
    return grpc::Status::OK;
  }
  grpc::Status WatchStageHealth(grpc::ServerContext*, const v1::WatchStageHealthRequest* request,
                                grpc::ServerWriter<v1::WatchStageHealthResponse>* writer) override {
    WireStream stream;
    {
      const absl::MutexLock lock(&mutex_);
      watch_requests_.push_back(*request);
      if (health_.watch.empty()) return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "no script");
      stream = health_.watch[std::min(watch_requests_.size(), health_.watch.size()) - 1];
    }
    for (const v1::WatchStageHealthResponse& event : stream.events) writer->Write(event);
    if (stream.end) return *stream.end;
    const absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&stopping_));
    return grpc::Status::CANCELLED;
  }

 private:
  template <typename Request, typename Response>
  static grpc::Status AnswerFrom(const std::vector<Wire<Response>>& script, const Request& request,
                                 std::vector<Request>& requests, Response& response) {
    requests.push_back(request);
    if (script.empty()) return {grpc::StatusCode::UNIMPLEMENTED, "no script"};
    const Wire<Response>& answer = script[std::min(requests.size(), script.size()) - 1];
    response = answer.response;
    return answer.status;
  }

  const std::vector<WireAnswer> script_;
  const HealthScript health_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
  absl::Mutex mutex_;
  std::vector<v1::RunStepRequest> requests_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::GetStageHealthRequest> get_requests_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::ListStageHealthRequest> list_requests_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::WatchStageHealthRequest> watch_requests_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::ReportPromotionRequest> promotion_reports_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::ReportIndicatorRequest> indicator_reports_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> authorizations_ ABSL_GUARDED_BY(mutex_);
  std::string push_back_ ABSL_GUARDED_BY(mutex_);
  std::string user_agent_ ABSL_GUARDED_BY(mutex_);
  bool swallow_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace gantry::client

#endif  // GANTRY_TESTS_CLIENT_SCRIPTED_SERVICE_H_
