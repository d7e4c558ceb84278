// SPDX-License-Identifier: Apache-2.0
#include "server/service/step_kind_reads.h"

#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/time_util.h>

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gantry/v1/promotion_step_service.pb.h"

namespace gantry::service {
namespace {

constexpr absl::Duration kStepTimeout = absl::Minutes(5);

v1::ListStepKindsResponse Kinds(const steps::StepKinds& kinds) {
  v1::ListStepKindsResponse response;
  for (const std::string_view uses : kinds.Names()) {
    const steps::StepKind& step = *kinds.Find(uses);
    v1::StepKind& kind = *response.add_kinds();
    kind.set_uses(std::string(uses));
    kind.set_description(std::string(step.description()));
    // The schema is part of this program and valid JSON.
    [[maybe_unused]] const auto parsed_schema = google::protobuf::util::JsonStringToMessage(
        std::string(step.config_schema()), kind.mutable_config_schema());
    *kind.mutable_default_timeout() =
        google::protobuf::util::TimeUtil::SecondsToDuration(absl::ToInt64Seconds(kStepTimeout));
  }
  return response;
}

}  // namespace

StepKindReads::StepKindReads(const steps::StepKinds& kinds, Admission& admission)
    : admission_(admission) {
  SerializeTo(Kinds(kinds), &kinds_);
}

grpc::ServerUnaryReactor* StepKindReads::List(grpc::CallbackServerContext* context,
                                              const grpc::ByteBuffer& bytes,
                                              grpc::ByteBuffer* response) {
  const auto call = admission_.Admit<v1::ListStepKindsRequest>(
      context, bytes, "ListStepKinds", [](const v1::ListStepKindsRequest& /*request*/) {
        return std::vector<base::ErrorInfo::FieldViolation>();
      });
  if (!call.status.ok()) return Refuse(context, call.status);
  *response = kinds_;
  return Respond(context);
}

}  // namespace gantry::service
