// SPDX-License-Identifier: Apache-2.0
#include "server/service/watch_call.h"

#include <google/protobuf/util/time_util.h>

#include <optional>
#include <utility>

#include "gantry/v1/promotion_step_service.pb.h"
#include "server/service/status.h"

namespace gantry::service {
namespace {

using health::HealthWatch;

grpc::ByteBuffer MessageOf(const health::HealthCache& cache, HealthWatch::Event event) {
  v1::WatchStageHealthResponse rest;
  grpc::Slice slices[2];
  std::size_t count = 0;
  absl::Time observed = cache.ObservedTime();
  switch (event.kind) {
    case HealthWatch::Event::Kind::kUpdated: {
      const health::HealthCache::Shown shown = cache.Show(std::move(event.snapshot));
      observed = shown.observed_time;
      slices[count++] = SliceOf(shown.snapshot->field);
      break;
    }
    case HealthWatch::Event::Kind::kDeleted:
      rest.mutable_deleted()->set_project(event.name.project);
      rest.mutable_deleted()->set_stage(event.name.stage);
      break;
    case HealthWatch::Event::Kind::kSynced:
      rest.mutable_synced();
      break;
  }
  *rest.mutable_observed_time() =
      google::protobuf::util::TimeUtil::NanosecondsToTimestamp(absl::ToUnixNanos(observed));
  slices[count++] = SliceOf(rest.SerializeAsString());
  return {slices, count};
}

}  // namespace

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
      message_ = MessageOf(cache_, *std::move(event));
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
