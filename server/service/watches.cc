// SPDX-License-Identifier: Apache-2.0
#include "server/service/watches.h"

#include <utility>
#include <vector>

#include "server/service/status.h"
#include "server/service/validation.h"

namespace gantry::service {

grpc::ServerWriteReactor<grpc::ByteBuffer>* Watches::Watch(grpc::CallbackServerContext* context,
                                                           const grpc::ByteBuffer& bytes) {
  const auto call = admission_.Admit<v1::WatchStageHealthRequest>(
      context, bytes, "WatchStageHealth", ValidateWatchStageHealth,
      {.ready = true, .counted = true});
  if (!call.status.ok()) return new RefusedStream(ToGrpcStatus(call.status));
  CallLog log = admission_.LogOf(call);
  const auto stream = std::make_shared<WatchCall>(health_, log, clock_, [this](const WatchCall* s) {
    Remove(s);
    admission_.calls().End();
  });
  if (!Add(stream)) {
    LogError(log, clock_, Draining());
    admission_.calls().End();
    return new RefusedStream(ToGrpcStatus(Draining()));
  }
  stream->Start(call.request.project(), call.request.stage());
  return stream.get();
}

void Watches::StartDraining() {
  std::vector<std::shared_ptr<WatchCall>> streams;
  {
    base::MutexLock lock(mutex_);
    draining_ = true;
    for (const auto& [key, stream] : streams_) {
      if (auto going = stream.lock()) streams.push_back(std::move(going));
    }
  }
  for (const auto& stream : streams) stream->End(Draining());
}

bool Watches::Add(const std::shared_ptr<WatchCall>& stream) {
  base::MutexLock lock(mutex_);
  if (draining_) return false;
  streams_.emplace(stream.get(), stream);
  return true;
}

void Watches::Remove(const WatchCall* stream) {
  base::MutexLock lock(mutex_);
  streams_.erase(stream);
}

}  // namespace gantry::service
