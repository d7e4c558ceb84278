// SPDX-License-Identifier: Apache-2.0
#include "server/service/watch_call.h"

#include <optional>
#include <utility>

#include "server/service/health_response.h"
#include "server/service/status.h"

namespace gantry::service {

using health::HealthWatch;

WatchCall::WatchCall(health::HealthCache& cache, CallLog call, const base::Clock& clock,
                     std::function<void(const WatchCall*)> on_done)
    : cache_(cache), call_(std::move(call)), clock_(clock), on_done_(std::move(on_done)) {}

void WatchCall::Start(const std::string& project, const std::string& stage) {
  self_ = shared_from_this();
  watch_ = std::make_shared<HealthWatch>(cache_, project, stage, [weak = weak_from_this()] {
    if (const auto call = weak.lock()) call->WriteNext();
  });
  cache_.AddListener(watch_);
  watch_->Begin();
  // A client sees that the stream is there before there is anything to tell.
  StartSendInitialMetadata();
  if (EndTurn()) WriteNext();
}

void WatchCall::WriteNext() {
  while (true) {
    {
      base::MutexLock lock(mutex_);
      news_ = true;
      if (writing_ || finished_) return;
      writing_ = true;
      news_ = false;
    }
    std::optional<HealthWatch::Event> event = watch_->Next();
    if (event) {
      message_ = WatchResponse(cache_, *std::move(event));
      StartWrite(&message_);
      return;
    }
    if (!EndTurn()) return;
    base::MutexLock lock(mutex_);
    // Told between the look and now: look again.
    if (!news_) return;
  }
}

bool WatchCall::EndTurn() {
  grpc::Status status;
  {
    base::MutexLock lock(mutex_);
    writing_ = false;
    if (!finish_ || finished_) return !finished_;
    finished_ = true;
    status = *finish_;
  }
  Finish(status);
  return false;
}

void WatchCall::OnWriteDone(bool ok) {
  if (!EndTurn()) return;
  if (!ok) return FinishSoon(grpc::Status(grpc::StatusCode::CANCELLED, "the caller has gone"));
  WriteNext();
}

void WatchCall::End(const absl::Status& status) {
  LogError(call_, clock_, status);
  FinishSoon(ToGrpcStatus(status));
}

void WatchCall::OnCancel() {
  FinishSoon(grpc::Status(grpc::StatusCode::CANCELLED, "the caller has gone"));
}

void WatchCall::FinishSoon(const grpc::Status& status) {
  {
    base::MutexLock lock(mutex_);
    if (finish_) return;
    finish_ = status;
    if (writing_) return;
    finished_ = true;
  }
  Finish(status);
}

void WatchCall::OnDone() {
  cache_.RemoveListener(watch_.get());
  call_.log.Info("watch ended", {{"duration_ms", Milliseconds(clock_.SinceBoot() - call_.begun)}});
  on_done_(this);
  // Perhaps the last reference.
  const std::shared_ptr<WatchCall> self = std::move(self_);
}

}  // namespace gantry::service
