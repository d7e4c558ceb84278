// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_SERVICE_HEALTH_RESPONSE_H_
#define GANTRY_SERVER_SERVICE_HEALTH_RESPONSE_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstddef>

#include "server/health/health_cache.h"
#include "server/health/health_watch.h"

namespace gantry::service {

// The bytes of responses that tell the health of Stages: those of the snapshots, of which gRPC gets
// the larger pieces without a copy, and behind them what else the response says. Any thread.

// A GetStageHealthResponse: of a Stage that is known, and by the checks of a caller.
grpc::ByteBuffer GetResponse(health::HealthCache::Shown shown);
grpc::ByteBuffer GetResponse(health::HealthCache::CheckedHealth checked);

// A ListStageHealthResponse of as many Stages of the page, in order, as fit into `max_bytes`, but
// one at least if there is one. Where there are more, it says behind which one to go on.
grpc::ByteBuffer ListResponse(const health::HealthCache& cache, health::HealthCache::Page page,
                              std::size_t max_bytes);

// A WatchStageHealthResponse.
grpc::ByteBuffer WatchResponse(const health::HealthCache& cache, health::HealthWatch::Event event);

}  // namespace gantry::service

#endif  // GANTRY_SERVER_SERVICE_HEALTH_RESPONSE_H_
