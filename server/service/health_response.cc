// SPDX-License-Identifier: Apache-2.0
#include "server/service/health_response.h"

#include <google/protobuf/util/time_util.h>
#include <grpcpp/support/slice.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "gantry/v1/promotion_step_service.pb.h"
#include "server/service/page_token.h"

namespace gantry::service {
namespace {

using google::protobuf::util::TimeUtil;
using health::HealthCache;
using health::HealthWatch;
using health::SharedBytes;
using health::StageSnapshotPtr;

google::protobuf::Timestamp ToProto(absl::Time time) {
  return TimeUtil::NanosecondsToTimestamp(absl::ToUnixNanos(time));
}

// What gRPC does for one slice costs as much as copying this much does, measured with a list of a
// thousand Stages: smaller pieces are put together in blocks.
constexpr std::size_t kMinSliceBytes = 2048;
constexpr std::size_t kBlockBytes = 16384;

// A piece of a snapshot as a slice, which keeps it until gRPC lets go of it, on any thread.
grpc::Slice SliceSharing(const SharedBytes& piece) {
  const auto let_go = [](void* kept) { delete static_cast<SharedBytes*>(kept); };
  // gRPC does not write to it.
  return {const_cast<char*>(piece->data()), piece->size(), let_go, new SharedBytes(piece)};
}

// The snapshots, and `rest`: a message of the fields that do not come from them.
grpc::ByteBuffer Join(const std::vector<StageSnapshotPtr>& snapshots,
                      const google::protobuf::Message& rest) {
  std::vector<grpc::Slice> slices;
  std::string block;
  const auto end_block = [&] {
    if (!block.empty()) slices.emplace_back(block);
    block.clear();
  };
  for (const StageSnapshotPtr& snapshot : snapshots) {
    for (const SharedBytes& piece : snapshot->pieces) {
      if (piece->size() < kMinSliceBytes) {
        if (block.size() + piece->size() > kBlockBytes) end_block();
        block += *piece;
      } else {
        end_block();
        slices.push_back(SliceSharing(piece));
      }
    }
  }
  rest.AppendToString(&block);
  end_block();
  return {slices.data(), slices.size()};
}

}  // namespace

grpc::ByteBuffer GetResponse(HealthCache::Shown shown) {
  v1::GetStageHealthResponse rest;
  *rest.mutable_observed_time() = ToProto(shown.observed_time);
  rest.set_stale(shown.stale);
  return Join({std::move(shown.snapshot)}, rest);
}

grpc::ByteBuffer GetResponse(HealthCache::CheckedHealth checked) {
  v1::GetStageHealthResponse response;
  *response.mutable_health() = std::move(checked.health);
  *response.mutable_observed_time() = ToProto(checked.observed_time);
  response.set_stale(checked.stale);
  return Join({}, response);
}

grpc::ByteBuffer ListResponse(const HealthCache& cache, HealthCache::Page page,
                              std::size_t max_bytes) {
  const health::Readings readings = cache.freshness().ReadEach();
  const cache::Freshness::Reading oldest =
      cache::Freshness::Oldest(readings, cache.freshness().all());
  absl::Time observed = oldest.observed_time;
  bool stale = oldest.stale;
  bool more = page.more;
  std::size_t size = 0;
  std::size_t fitting = 0;
  for (StageSnapshotPtr& snapshot : page.stages) {
    // While all evidence is fresh each snapshot may be shown as it is.
    if (oldest.stale) snapshot = cache.Show(std::move(snapshot), readings).snapshot;
    size += snapshot->size;
    if (size > max_bytes && fitting > 0) {
      more = true;
      break;
    }
    ++fitting;
    stale = stale || snapshot->evaluated_stale;
  }
  page.stages.resize(fitting);
  v1::ListStageHealthResponse rest;
  if (more) rest.set_next_page_token(MakePageToken(page.stages.back()->name));
  *rest.mutable_observed_time() = ToProto(observed);
  rest.set_stale(stale);
  return Join(page.stages, rest);
}

grpc::ByteBuffer WatchResponse(const HealthCache& cache, HealthWatch::Event event) {
  v1::WatchStageHealthResponse rest;
  std::vector<StageSnapshotPtr> snapshots;
  absl::Time observed;
  if (event.kind == HealthWatch::Event::Kind::kUpdated) {
    HealthCache::Shown shown = cache.Show(std::move(event.snapshot));
    observed = shown.observed_time;
    snapshots.push_back(std::move(shown.snapshot));
  } else {
    observed = cache.freshness().ReadAll().observed_time;
    if (event.kind == HealthWatch::Event::Kind::kDeleted) {
      rest.mutable_deleted()->set_project(event.name.project);
      rest.mutable_deleted()->set_stage(event.name.stage);
    } else {
      rest.mutable_synced();
    }
  }
  *rest.mutable_observed_time() = ToProto(observed);
  return Join(snapshots, rest);
}

}  // namespace gantry::service
