// SPDX-License-Identifier: Apache-2.0
#include "server/service/health_reads.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/error_info.h"
#include "gantry/v1/promotion_step_service.pb.h"
#include "server/service/page_token.h"
#include "server/service/validation.h"

namespace gantry::service {
namespace {

constexpr std::size_t kDefaultPageSize = 100;
constexpr std::size_t kMaxPageSize = 1000;
// A client takes 4 MiB at a time unless it was told otherwise.
constexpr std::size_t kMaxPageBytes = 3 << 20;

google::protobuf::Timestamp ToProto(absl::Time time) {
  return google::protobuf::util::TimeUtil::NanosecondsToTimestamp(absl::ToUnixNanos(time));
}

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
  v1::GetStageHealthResponse rest;
  if (!request.health_checks().empty()) {
    health::HealthCache::Judged judged =
        health_.Judge(name, request.health_checks(), argocd_namespace_);
    *rest.mutable_health() = std::move(judged.health);
    *rest.mutable_observed_time() = ToProto(judged.observed_time);
    rest.set_stale(judged.stale);
    SerializeTo(rest, response);
    return Respond(context);
  }
  health::StageSnapshotPtr snapshot = health_.Find(name);
  if (snapshot == nullptr) return admission_.RefuseAdmitted(context, call, StageNotFound(name));
  const health::HealthCache::Shown shown = health_.Show(std::move(snapshot));
  *rest.mutable_observed_time() = ToProto(shown.observed_time);
  rest.set_stale(shown.stale);
  const grpc::Slice slices[] = {SliceOf(shown.snapshot->field), SliceOf(rest.SerializeAsString())};
  *response = grpc::ByteBuffer(slices, 2);
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
  const health::HealthCache::Page page = health_.ListAfter(after, request.project(), states, limit);

  std::vector<grpc::Slice> slices;
  v1::ListStageHealthResponse rest;
  absl::Time observed = health_.ObservedTime();
  bool stale = health_.IsStale();
  bool more = page.more;
  std::size_t size = 0;
  for (const health::StageSnapshotPtr& snapshot : page.stages) {
    const health::HealthCache::Shown shown = health_.Show(snapshot);
    size += shown.snapshot->field.size();
    if (size > kMaxPageBytes && !slices.empty()) {
      more = true;
      break;
    }
    slices.push_back(SliceOf(shown.snapshot->field));
    observed = std::min(observed, shown.observed_time);
    stale = stale || shown.stale;
  }
  if (more) rest.set_next_page_token(MakePageToken(page.stages[slices.size() - 1]->name));
  *rest.mutable_observed_time() = ToProto(observed);
  rest.set_stale(stale);
  slices.push_back(SliceOf(rest.SerializeAsString()));
  *response = grpc::ByteBuffer(slices.data(), slices.size());
  return Respond(context);
}

}  // namespace gantry::service
