// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_SERVICE_WATCH_CALL_H_
#define GANTRY_SERVER_SERVICE_WATCH_CALL_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "server/health/health_cache.h"
#include "server/health/health_watch.h"
#include "server/service/call.h"

namespace gantry::service {

// One WatchStageHealth: writes what its HealthWatch has to tell, one message at a time, and sleeps
// in between without holding a thread. It lives until gRPC has called OnDone and nobody tells it of
// news any more.
class WatchCall final : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                        public std::enable_shared_from_this<WatchCall> {
 public:
  // `on_done` is called when the stream has ended.
  WatchCall(health::HealthCache& cache, CallLog call, const base::Clock& clock,
            std::function<void(const WatchCall*)> on_done);

  // Once, before anything else. Covers a project (empty: all) or one Stage of it.
  void Start(const std::string& project, const std::string& stage);

  // Ends the stream with an error, after the message that is being written; any thread.
  void End(const absl::Status& status);

 private:
  // Writes the next message if there is one and none is being written.
  void WriteNext();
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  // Now, or when the message that is being written has been.
  void FinishSoon(const grpc::Status& status);
  // Ends the turn of whoever was writing. False when that ended the stream.
  bool EndTurn();

  health::HealthCache& cache_;
  const CallLog call_;
  const base::Clock& clock_;
  const std::function<void(const WatchCall*)> on_done_;
  std::shared_ptr<WatchCall> self_;             // until OnDone
  std::shared_ptr<health::HealthWatch> watch_;  // since Start
  grpc::ByteBuffer message_;                    // being written

  base::Mutex mutex_;
  // Somebody looks for the next message or writes it; until then nobody else does, nor finishes.
  bool writing_ ABSL_GUARDED_BY(mutex_) = true;  // at first that is Start
  bool news_ ABSL_GUARDED_BY(mutex_) = false;    // came meanwhile
  std::optional<grpc::Status> finish_ ABSL_GUARDED_BY(mutex_);
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

// A stream that ends before it begins.
class RefusedStream final : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  explicit RefusedStream(const grpc::Status& status) { Finish(status); }

 private:
  void OnDone() override { delete this; }
};

}  // namespace gantry::service

#endif  // GANTRY_SERVER_SERVICE_WATCH_CALL_H_
