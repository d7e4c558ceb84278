// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_CLIENT_SCRIPTED_CONNECTION_H_
#define GANTRY_TESTS_CLIENT_SCRIPTED_CONNECTION_H_

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "gantry/client/connection.h"
#include "gantry/client/errors.h"
#include "tests/client/fake_timing.h"

namespace gantry::client {

// How one call ends.
template <typename Response>
struct Scripted {
  absl::StatusOr<Response> outcome;
  absl::Duration takes = absl::ZeroDuration();
};
using ScriptedAnswer = Scripted<v1::RunStepResponse>;

// The calls of one method. Answers from a script, the last entry over and over; each takes its time
// on the fake clock, but never more than the caller allows: then it is DEADLINE_EXCEEDED.
template <typename Request, typename Response>
struct ScriptedMethod {
  absl::StatusOr<Response> Call(const Request& request, absl::Duration timeout,
                                FakeTiming& timing) {
    requests.push_back(request);
    timeouts.push_back(timeout);
    if (script.empty()) return absl::UnimplementedError("not in the script");
    const Scripted<Response>& answer = script[std::min(requests.size(), script.size()) - 1];
    if (answer.takes > timeout) {
      timing.Pass(timeout);
      return absl::DeadlineExceededError("too slow");
    }
    timing.Pass(answer.takes);
    return answer.outcome;
  }

  std::vector<Scripted<Response>> script;
  std::vector<Request> requests;
  std::vector<absl::Duration> timeouts;
};

// What comes over one stream, and how it ends. With OK it does not: it is silent until its timeout.
struct ScriptedStream {
  std::vector<v1::WatchStageHealthResponse> events;
  absl::Status end;
};

// Answers calls and streams from scripts. One thread.
class ScriptedConnection : public Connection {
 public:
  ScriptedConnection(std::vector<ScriptedAnswer> script, FakeTiming& timing) : timing_(timing) {
    run_step_.script = std::move(script);
  }

  absl::StatusOr<v1::RunStepResponse> RunStep(const v1::RunStepRequest& request,
                                              absl::Duration timeout) override {
    requests.push_back(request);
    timeouts.push_back(timeout);
    return run_step_.Call(request, timeout, timing_);
  }
  absl::StatusOr<v1::GetStageHealthResponse> GetStageHealth(
      const v1::GetStageHealthRequest& request, absl::Duration timeout) override {
    return get.Call(request, timeout, timing_);
  }
  absl::StatusOr<v1::ListStageHealthResponse> ListStageHealth(
      const v1::ListStageHealthRequest& request, absl::Duration timeout) override {
    return list.Call(request, timeout, timing_);
  }
  absl::StatusOr<v1::ReportPromotionResponse> ReportPromotion(
      const v1::ReportPromotionRequest& request, absl::Duration timeout) override {
    return report_promotion.Call(request, timeout, timing_);
  }
  absl::StatusOr<v1::ReportIndicatorResponse> ReportIndicator(
      const v1::ReportIndicatorRequest& request, absl::Duration timeout) override {
    return report_indicator.Call(request, timeout, timing_);
  }
  absl::StatusOr<v1::ListStepKindsResponse> ListStepKinds(const v1::ListStepKindsRequest& request,
                                                          absl::Duration timeout) override {
    return kinds.Call(request, timeout, timing_);
  }
  std::unique_ptr<HealthStream> WatchStageHealth(const v1::WatchStageHealthRequest& request,
                                                 absl::Duration connect_timeout,
                                                 absl::Duration timeout) override {
    watch_requests.push_back(request);
    connect_timeouts.push_back(connect_timeout);
    watch_timeouts.push_back(timeout);
    return std::make_unique<Stream>(streams[std::min(watch_requests.size(), streams.size()) - 1],
                                    timeout, timing_);
  }

  std::vector<v1::RunStepRequest> requests;
  std::vector<absl::Duration> timeouts;
  ScriptedMethod<v1::GetStageHealthRequest, v1::GetStageHealthResponse> get;
  ScriptedMethod<v1::ListStageHealthRequest, v1::ListStageHealthResponse> list;
  ScriptedMethod<v1::ReportPromotionRequest, v1::ReportPromotionResponse> report_promotion;
  ScriptedMethod<v1::ReportIndicatorRequest, v1::ReportIndicatorResponse> report_indicator;
  ScriptedMethod<v1::ListStepKindsRequest, v1::ListStepKindsResponse> kinds;
  std::vector<ScriptedStream> streams;  // the last one over and over
  std::vector<v1::WatchStageHealthRequest> watch_requests;
  std::vector<absl::Duration> connect_timeouts;
  std::vector<absl::Duration> watch_timeouts;

 private:
  class Stream : public HealthStream {
   public:
    Stream(ScriptedStream script, absl::Duration timeout, FakeTiming& timing)
        : script_(std::move(script)), timing_(timing), deadline_(timing.Now() + timeout) {}

    absl::StatusOr<v1::WatchStageHealthResponse> Read() override {
      if (cancelled_) return absl::CancelledError("cancelled");
      if (next_ < script_.events.size()) return script_.events[next_++];
      if (!script_.end.ok()) return script_.end;
      timing_.Pass(deadline_ - timing_.Now());
      absl::Status error = absl::DeadlineExceededError("too long");
      MarkConnected(error);
      return error;
    }
    void Cancel() override { cancelled_ = true; }

   private:
    const ScriptedStream script_;
    FakeTiming& timing_;
    const absl::Duration deadline_;
    std::size_t next_ = 0;
    bool cancelled_ = false;
  };

  ScriptedMethod<v1::RunStepRequest, v1::RunStepResponse> run_step_;
  FakeTiming& timing_;
};

}  // namespace gantry::client

#endif  // GANTRY_TESTS_CLIENT_SCRIPTED_CONNECTION_H_
