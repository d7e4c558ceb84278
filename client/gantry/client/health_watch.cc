// SPDX-License-Identifier: Apache-2.0
#include "gantry/client/health_watch.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <optional>

#include "gantry/client/attempts.h"
#include "gantry/client/errors.h"

namespace gantry::client {
namespace {

// How long a connection may take to come about.
constexpr absl::Duration kConnectTimeout = absl::Seconds(30);

}  // namespace

HealthWatch::HealthWatch(std::shared_ptr<Connection> connection,
                         v1::WatchStageHealthRequest request, const HealthWatchOptions& options)
    : connection_(std::move(connection)),
      request_(std::move(request)),
      options_(options),
      timing_(options.timing != nullptr ? *options.timing : SystemTiming()) {}

absl::Status HealthWatch::Run(const OnEvent& on_event, const OnBreak& on_break) {
  Attempts attempts(options_.timeout, options_.unreachable_timeout, timing_);
  for (;;) {
    const std::shared_ptr<HealthStream> stream = connection_->WatchStageHealth(
        request_, std::min(attempts.Remaining() + kGrace, kConnectTimeout),
        std::max(options_.timeout - attempts.Elapsed(), kGrace));
    {
      const absl::MutexLock lock(&mutex_);
      stream_ = stream;
    }
    bool following = false;
    absl::Status error =
        Stopped() ? absl::OkStatus() : Follow(*stream, attempts, on_event, following);
    {
      const absl::MutexLock lock(&mutex_);
      stream_ = nullptr;
    }
    if (Stopped()) return absl::OkStatus();

    const bool over = attempts.Elapsed() >= options_.timeout;
    if (over && following && synced_) return absl::OkStatus();
    // What cut off a stream that was under way, a proxy for example, may say anything.
    if (!following && !IsPassing(error)) return error;
    const std::optional<absl::Duration> pause = attempts.Pause(error);
    if (!pause) return error;
    if (on_break) {
      FailedAttempt failed;
      failed.elapsed = attempts.Elapsed();
      failed.error = error;
      failed.service_answered = ServiceAnswered(error);
      failed.next_attempt = *pause;
      on_break(failed);
    }
    timing_.SleepUnless(*pause, stopped_);
    if (Stopped()) return absl::OkStatus();
  }
}

void HealthWatch::Stop() {
  std::shared_ptr<HealthStream> stream;
  {
    const absl::MutexLock lock(&mutex_);
    if (!stopped_.HasBeenNotified()) stopped_.Notify();
    stream = stream_;
  }
  if (stream != nullptr) stream->Cancel();
}

absl::Status HealthWatch::Follow(HealthStream& stream, Attempts& attempts, const OnEvent& on_event,
                                 bool& following) {
  for (auto& entry : known_) entry.second.sent = false;
  bool complete = false;
  for (;;) {
    const absl::StatusOr<v1::WatchStageHealthResponse> event = stream.Read();
    if (Stopped()) return absl::OkStatus();
    if (!event.ok()) return event.status();
    following = true;
    attempts.Answered();
    if (!event->has_synced()) {
      Handle(*event, on_event);
    } else if (!complete) {
      complete = true;
      attempts.ResetBackoff();
      DropUnsent(*event, on_event);
      synced_ = true;
      if (!Stopped()) on_event(*event);
    }
    if (Stopped()) return absl::OkStatus();
  }
}

void HealthWatch::Handle(const v1::WatchStageHealthResponse& event, const OnEvent& on_event) {
  if (event.has_updated()) {
    const v1::StageHealth& health = event.updated();
    const auto [found, is_new] = known_.try_emplace({health.project(), health.stage()});
    Known& known = found->second;
    known.sent = true;
    if (!is_new && google::protobuf::util::MessageDifferencer::Equals(known.health, health)) return;
    known.health = health;
    on_event(event);
  } else if (event.has_deleted()) {
    if (known_.erase({event.deleted().project(), event.deleted().stage()}) > 0) on_event(event);
  }
}

void HealthWatch::DropUnsent(const v1::WatchStageHealthResponse& synced, const OnEvent& on_event) {
  for (auto entry = known_.begin(); entry != known_.end() && !Stopped();) {
    if (entry->second.sent) {
      ++entry;
      continue;
    }
    v1::WatchStageHealthResponse event;
    event.mutable_deleted()->set_project(entry->first.first);
    event.mutable_deleted()->set_stage(entry->first.second);
    if (synced.has_observed_time()) *event.mutable_observed_time() = synced.observed_time();
    entry = known_.erase(entry);
    on_event(event);
  }
}

}  // namespace gantry::client
