// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_SERVICE_HEALTH_READS_H_
#define GANTRY_SERVER_SERVICE_HEALTH_READS_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <string>
#include <utility>

#include "server/health/health_cache.h"
#include "server/service/admission.h"

namespace gantry::service {

// GetStageHealth and ListStageHealth: respond at once from the health cache. Owned by the service;
// any thread.
class HealthReads {
 public:
  // `argocd_namespace` is where an Application of a health check without a namespace is.
  HealthReads(health::HealthCache& health, std::string argocd_namespace, Admission& admission)
      : health_(health), argocd_namespace_(std::move(argocd_namespace)), admission_(admission) {}

  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context, const grpc::ByteBuffer& bytes,
                                grpc::ByteBuffer* response);
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context,
                                 const grpc::ByteBuffer& bytes, grpc::ByteBuffer* response);

 private:
  health::HealthCache& health_;
  const std::string argocd_namespace_;
  Admission& admission_;
};

}  // namespace gantry::service

#endif  // GANTRY_SERVER_SERVICE_HEALTH_READS_H_
