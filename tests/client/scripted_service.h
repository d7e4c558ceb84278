// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_CLIENT_SCRIPTED_SERVICE_H_
#define GANTRY_TESTS_CLIENT_SCRIPTED_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gantry/v1/promotion_step_service.grpc.pb.h"

namespace gantry::client {

// One answer over the wire: an error, or a response.
struct WireAnswer {
  grpc::Status status;
  v1::RunStepResponse response;

  WireAnswer(v1::RunStepResponse answer)  // NOLINT: reads as the answer it is
      : response(std::move(answer)) {}
  WireAnswer(grpc::Status error)  // NOLINT
      : status(std::move(error)) {}
};

// A PromotionStepService, on a free port unless told otherwise, that answers from a script, the
// last entry over and over. Serves as long as it lives; any thread.
class ScriptedService : public v1::PromotionStepService::Service {
 public:
  explicit ScriptedService(std::vector<WireAnswer> script,
                           const std::string& listen = "127.0.0.1:0")
      : script_(std::move(script)) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort(listen, grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    address_ = absl::StrCat("127.0.0.1:", port);
  }
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

  // Returns once `count` calls have come.
  void AwaitCalls(std::size_t count) {
    const absl::MutexLock lock(&mutex_);
    const auto came = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return requests_.size() >= count;
    };
    mutex_.Await(absl::Condition(&came));
  }

  std::vector<v1::RunStepRequest> requests() {
    const absl::MutexLock lock(&mutex_);
    return requests_;
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
    if (swallow_) {
      mutex_.Await(absl::Condition(&stopping_));
      return grpc::Status::CANCELLED;
    }
    const WireAnswer& answer = script_[std::min(requests_.size(), script_.size()) - 1];
    *response = answer.response;
    return answer.status;
  }

 private:
  const std::vector<WireAnswer> script_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
  absl::Mutex mutex_;
  std::vector<v1::RunStepRequest> requests_ ABSL_GUARDED_BY(mutex_);
  std::string user_agent_ ABSL_GUARDED_BY(mutex_);
  bool swallow_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace gantry::client

#endif  // GANTRY_TESTS_CLIENT_SCRIPTED_SERVICE_H_
