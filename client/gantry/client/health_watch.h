// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_HEALTH_WATCH_H_
#define GANTRY_CLIENT_HEALTH_WATCH_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gantry/client/call.h"
#include "gantry/client/connection.h"
#include "gantry/v1/promotion_step_service.pb.h"

namespace gantry::client {

class Attempts;

struct HealthWatchOptions {
  // How long to watch.
  absl::Duration timeout = absl::InfiniteDuration();

  // How long to try when the service has never answered. Once it has, a break is waited out until
  // `timeout`.
  absl::Duration unreachable_timeout = absl::Seconds(10);

  // Null: SystemTiming().
  Timing* timing = nullptr;
};

// Keeps up with the health of Stages over one WatchStageHealth stream after another, so that its
// user sees a single run of events, whatever happens to the streams:
//
//   gantry::client::HealthWatch watch(gantry::client::Connect("127.0.0.1:50051"), request);
//   absl::Status end = watch.Run([](const gantry::v1::WatchStageHealthResponse& event) { ... });
//
// After a break it opens the stream again, with a backoff (from the upper half of 1 s, 2 s, 4 s,
// 8 s, then 10 s, and not before the service's RetryInfo). The service then starts over with all
// Stages. Of these the user gets those that have changed meanwhile, a `deleted` for each Stage that
// is there no more, and then again a `synced`. So at each `synced` the user has the state of the
// service.
//
// For each Stage the latest state is kept. Owned by its user. Run is called once and blocks; Stop
// may be called from any thread, and from the callbacks.
class HealthWatch {
 public:
  // The events of the service: `updated` for a Stage that is new or has changed, `deleted` for one
  // that was told of before, `synced` when the state is complete. No other kinds.
  using OnEvent = std::function<void(const v1::WatchStageHealthResponse&)>;
  using OnBreak = std::function<void(const FailedAttempt&)>;

  HealthWatch(std::shared_ptr<Connection> connection, v1::WatchStageHealthRequest request,
              const HealthWatchOptions& options = {});
  HealthWatch(const HealthWatch&) = delete;
  HealthWatch& operator=(const HealthWatch&) = delete;

  // Watches, and calls back on this thread; `on_break`, which may be null, whenever a stream broke
  // or could not be opened and is opened again.
  //
  // Returns OK after Stop, and when the timeout ends a stream that was being followed. Otherwise
  // the error of the latest stream: the service refuses the watch (an error that repeating would
  // not heal, before the first event of a stream), or the time is over.
  absl::Status Run(const OnEvent& on_event, const OnBreak& on_break = nullptr);

  // Makes Run return soon. An event that is being handed over is the last one.
  void Stop();

 private:
  struct Known {
    v1::StageHealth health;
    bool sent = false;  // by the present stream
  };

  bool Stopped() const { return stopped_.HasBeenNotified(); }
  // Reads the stream to its end and returns its error. Sets `following` with the first event.
  absl::Status Follow(HealthStream& stream, Attempts& attempts, const OnEvent& on_event,
                      bool& following);
  void Handle(const v1::WatchStageHealthResponse& event, const OnEvent& on_event);
  // Tells of the Stages that the present stream has not sent as deleted.
  void DropUnsent(const v1::WatchStageHealthResponse& synced, const OnEvent& on_event);

  const std::shared_ptr<Connection> connection_;
  const v1::WatchStageHealthRequest request_;
  const HealthWatchOptions options_;
  Timing& timing_;

  // On the thread of Run.
  std::map<std::pair<std::string, std::string>, Known> known_;  // by project, Stage
  bool synced_ = false;                                         // ever

  absl::Notification stopped_;
  absl::Mutex mutex_;
  std::shared_ptr<HealthStream> stream_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gantry::client

#endif  // GANTRY_CLIENT_HEALTH_WATCH_H_
