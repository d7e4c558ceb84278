// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_SERVICE_WATCHES_H_
#define GANTRY_SERVER_SERVICE_WATCHES_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <map>
#include <memory>

#include "base/clock.h"
#include "base/mutex.h"
#include "server/health/health_cache.h"
#include "server/service/admission.h"
#include "server/service/watch_call.h"

namespace gantry::service {

// WatchStageHealth: begins the streams, and knows them all, so that draining ends them. Owned by
// the service; any thread.
class Watches {
 public:
  Watches(health::HealthCache& health, const base::Clock& clock, Admission& admission)
      : health_(health), clock_(clock), admission_(admission) {}

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Watch(grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer& bytes);

  // Ends all streams, and those that were admitted but have not begun yet.
  void StartDraining();

 private:
  // False when draining.
  bool Add(const std::shared_ptr<WatchCall>& stream);
  void Remove(const WatchCall* stream);

  health::HealthCache& health_;
  const base::Clock& clock_;
  Admission& admission_;
  base::Mutex mutex_;
  std::map<const WatchCall*, std::weak_ptr<WatchCall>> streams_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace gantry::service

#endif  // GANTRY_SERVER_SERVICE_WATCHES_H_
