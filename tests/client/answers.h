// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_CLIENT_ANSWERS_H_
#define GANTRY_TESTS_CLIENT_ANSWERS_H_

#include <grpcpp/support/status.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "gantry/client/errors.h"
#include "gantry/rpc/v1/error_details.pb.h"
#include "gantry/rpc/v1/status.pb.h"
#include "gantry/v1/promotion_step_service.pb.h"

// What a service says, for tests.
namespace gantry::client {

inline void SetDuration(absl::Duration duration, google::protobuf::Duration& to) {
  absl::Duration rest;
  to.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &rest));
  to.set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(rest)));
}

inline v1::RunStepResponse Answer(v1::StepStatus status, const std::string& message = "") {
  v1::RunStepResponse response;
  response.set_status(status);
  response.set_message(message);
  return response;
}

inline v1::RunStepResponse Running(absl::Duration retry_after = absl::ZeroDuration(),
                                   const std::string& message = "an operation runs") {
  v1::RunStepResponse response = Answer(v1::STEP_STATUS_RUNNING, message);
  response.set_reason(v1::STEP_REASON_OPERATION_RUNNING);
  if (retry_after != absl::ZeroDuration()) {
    SetDuration(retry_after, *response.mutable_retry_after());
  }
  return response;
}

inline v1::StageHealth Stage(const std::string& project, const std::string& stage,
                             v1::HealthState state = v1::HEALTH_STATE_HEALTHY) {
  v1::StageHealth health;
  health.set_project(project);
  health.set_stage(stage);
  health.set_state(state);
  return health;
}

inline v1::WatchStageHealthResponse Updated(v1::StageHealth health) {
  v1::WatchStageHealthResponse event;
  *event.mutable_updated() = std::move(health);
  return event;
}

inline v1::WatchStageHealthResponse Deleted(const std::string& project, const std::string& stage) {
  v1::WatchStageHealthResponse event;
  event.mutable_deleted()->set_project(project);
  event.mutable_deleted()->set_stage(stage);
  return event;
}

inline v1::WatchStageHealthResponse Synced(std::int64_t observed_seconds = 0) {
  v1::WatchStageHealthResponse event;
  event.mutable_synced();
  if (observed_seconds != 0) event.mutable_observed_time()->set_seconds(observed_seconds);
  return event;
}

inline v1::ListStageHealthResponse Page(const std::vector<v1::StageHealth>& stages,
                                        const std::string& next_page_token = "") {
  v1::ListStageHealthResponse page;
  for (const v1::StageHealth& health : stages) *page.add_stages() = health;
  page.set_next_page_token(next_page_token);
  return page;
}

// An event in short: "+shop/prod HEALTHY", "-shop/prod", "synced".
inline std::string InShort(const v1::WatchStageHealthResponse& event) {
  if (event.has_synced()) return "synced";
  if (event.has_deleted()) return "-" + event.deleted().project() + "/" + event.deleted().stage();
  if (!event.has_updated()) return "?";
  return "+" + event.updated().project() + "/" + event.updated().stage() + " " +
         v1::HealthState_Name(event.updated().state()).substr(sizeof "HEALTH_STATE_" - 1);
}

// The details of an error, as the service sends them.
struct Details {
  std::string reason;  // empty: no ErrorInfo
  std::optional<absl::Duration> retry_delay;
  std::vector<std::pair<std::string, std::string>> violations;
};

inline grpc::Status GrpcError(grpc::StatusCode code, const std::string& message,
                              const Details& details = {}) {
  rpc::v1::Status status;
  status.set_code(code);
  status.set_message(message);
  const auto add = [&status](const std::string& name, const google::protobuf::Message& detail) {
    google::protobuf::Any& any = *status.add_details();
    any.set_type_url("type.googleapis.com/google.rpc." + name);
    detail.SerializeToString(any.mutable_value());
  };
  if (!details.reason.empty()) {
    rpc::v1::ErrorInfo info;
    info.set_reason(details.reason);
    info.set_domain("gantry.dev");
    add("ErrorInfo", info);
  }
  if (details.retry_delay) {
    rpc::v1::RetryInfo info;
    SetDuration(*details.retry_delay, *info.mutable_retry_delay());
    add("RetryInfo", info);
  }
  if (!details.violations.empty()) {
    rpc::v1::BadRequest request;
    for (const auto& [field, description] : details.violations) {
      auto& violation = *request.add_field_violations();
      violation.set_field(field);
      violation.set_description(description);
    }
    add("BadRequest", request);
  }
  return {code, message, status.SerializeAsString()};
}

inline absl::Status Error(grpc::StatusCode code, const std::string& message,
                          const Details& details = {}) {
  return FromGrpcStatus(GrpcError(code, message, details));
}

// Nothing answers at the address.
inline absl::Status Refused() { return Error(grpc::StatusCode::UNAVAILABLE, "connection refused"); }

// The service is there and its Kubernetes API is not.
inline absl::Status KubernetesDown(std::optional<absl::Duration> retry_delay = std::nullopt) {
  return Error(grpc::StatusCode::UNAVAILABLE, "the Kubernetes API cannot be reached",
               {"KUBERNETES_UNREACHABLE", retry_delay, {}});
}

}  // namespace gantry::client

#endif  // GANTRY_TESTS_CLIENT_ANSWERS_H_
