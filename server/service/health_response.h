// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_SERVICE_HEALTH_RESPONSE_H_
#define GANTRY_SERVER_SERVICE_HEALTH_RESPONSE_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstddef>

#include "server/health/health_cache.h"
#include "server/health/health_watch.h"

namespace gantry::service {

// The bytes of responses that tell the health of Stages. They are the snapshots' own, which gRPC
// sends without another copy and which live for as long as it has them; what a response says
// besides is serialized behind. Any thread.

// A GetStageHealthResponse.
grpc::ByteBuffer GetResponse(health::HealthCache::Shown shown);

// A ListStageHealthResponse of as many Stages of the page, in order, as fit into `max_bytes`, but
// one at least if there is one. Where there are more, it says behind which one to go on.
grpc::ByteBuffer ListResponse(const health::HealthCache& cache, health::HealthCache::Page page,
                              std::size_t max_bytes);

// A WatchStageHealthResponse.
grpc::ByteBuffer WatchResponse(const health::HealthCache& cache, health::HealthWatch::Event event);

}  // namespace gantry::service

#endif  // GANTRY_SERVER_SERVICE_HEALTH_RESPONSE_H_
