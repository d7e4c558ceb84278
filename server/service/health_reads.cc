// SPDX-License-Identifier: Apache-2.0
#include "server/service/health_reads.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/error_info.h"
#include "gantry/v1/promotion_step_service.pb.h"
#include "server/service/health_response.h"
#include "server/service/page_token.h"
#include "server/service/validation.h"

namespace gantry::service {
namespace {

constexpr std::size_t kDefaultPageSize = 100;
constexpr std::size_t kMaxPageSize = 1000;
// A client takes 4 MiB at a time unless it was told otherwise.
constexpr std::size_t kMaxPageBytes = 3 << 20;

absl::Status StageNotFound(const health::StageName& name) {
  base::ErrorInfo info;
  info.reason = "STAGE_NOT_FOUND";
  info.metadata = {{"project", name.project}, {"stage", name.stage}};
  return base::WithErrorInfo(
      absl::NotFoundError(absl::StrCat("Stage ", name.project, "/", name.stage,
                                       " is not known: no promotion step ever ran for it and "
                                       "nothing was reported, or its StageHealth was deleted")),
      info);
}

}  // namespace

grpc::ServerUnaryReactor* HealthReads::Get(grpc::CallbackServerContext* context,
                                           const grpc::ByteBuffer& bytes,
                                           grpc::ByteBuffer* response) {
  const auto call = admission_.Admit<v1::GetStageHealthRequest>(
      context, bytes, "GetStageHealth", ValidateGetStageHealth, {.ready = true});
  if (!call.status.ok()) return Refuse(context, call.status);
  const v1::GetStageHealthRequest& request = call.request;
  const health::StageName name{request.project(), request.stage()};
  if (!request.health_checks().empty()) {
    *response =
        GetResponse(health_.EvaluateChecks(name, request.health_checks(), argocd_namespace_));
    return Respond(context);
  }
  health::StageSnapshotPtr snapshot = health_.Find(name);
  if (snapshot == nullptr) return admission_.RefuseAdmitted(context, call, StageNotFound(name));
  *response = GetResponse(health_.Show(std::move(snapshot)));
  return Respond(context);
}

grpc::ServerUnaryReactor* HealthReads::List(grpc::CallbackServerContext* context,
                                            const grpc::ByteBuffer& bytes,
                                            grpc::ByteBuffer* response) {
  const auto call = admission_.Admit<v1::ListStageHealthRequest>(
      context, bytes, "ListStageHealth", ValidateListStageHealth, {.ready = true});
  if (!call.status.ok()) return Refuse(context, call.status);
  const v1::ListStageHealthRequest& request = call.request;
  std::optional<health::StageName> after;
  if (!request.page_token().empty()) after = ReadPageToken(request.page_token());
  std::set<v1::HealthState> states;
  for (const int state : request.states()) states.insert(static_cast<v1::HealthState>(state));
  const std::size_t limit = request.page_size() == 0
                                ? kDefaultPageSize
                                : std::min<std::size_t>(request.page_size(), kMaxPageSize);
  *response = ListResponse(health_, health_.ListAfter(after, request.project(), states, limit),
                           kMaxPageBytes);
  return Respond(context);
}

}  // namespace gantry::service
