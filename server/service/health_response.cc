// SPDX-License-Identifier: Apache-2.0
#include "server/service/health_response.h"

#include <google/protobuf/util/time_util.h>
#include <grpcpp/support/slice.h>

#include <algorithm>
#include <atomic>
#include <memory>
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

// Keeps the snapshots of one response until the last of its slices has gone. gRPC lets go of them
// on any thread.
class Kept {
 public:
  explicit Kept(std::vector<StageSnapshotPtr> snapshots) : snapshots_(std::move(snapshots)) {}

  // The slices of all snapshots, in order. Once; from then on the slices own this object.
  static void AppendSlices(std::unique_ptr<Kept> kept, std::vector<grpc::Slice>& slices) {
    std::size_t count = 0;
    for (const StageSnapshotPtr& snapshot : kept->snapshots_) count += snapshot->pieces.size();
    if (count == 0) return;
    kept->slices_.store(count, std::memory_order_relaxed);
    Kept* const owned = kept.release();
    for (const StageSnapshotPtr& snapshot : owned->snapshots_) {
      for (const SharedBytes& piece : snapshot->pieces) {
        // gRPC does not write to it.
        slices.emplace_back(const_cast<char*>(piece->data()), piece->size(), &Kept::LetGo, owned);
      }
    }
  }

 private:
  static void LetGo(void* kept) {
    auto* const self = static_cast<Kept*>(kept);
    if (self->slices_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete self;
  }

  const std::vector<StageSnapshotPtr> snapshots_;
  std::atomic<std::size_t> slices_{0};
};

// The snapshots, and `rest`: a message of the fields that do not come from them.
grpc::ByteBuffer Join(std::vector<StageSnapshotPtr> snapshots,
                      const google::protobuf::Message& rest) {
  std::vector<grpc::Slice> slices;
  slices.reserve(snapshots.size() + 1);
  Kept::AppendSlices(std::make_unique<Kept>(std::move(snapshots)), slices);
  slices.emplace_back(rest.SerializeAsString());
  return {slices.data(), slices.size()};
}

}  // namespace

grpc::ByteBuffer GetResponse(HealthCache::Shown shown) {
  v1::GetStageHealthResponse rest;
  *rest.mutable_observed_time() = ToProto(shown.observed_time);
  rest.set_stale(shown.stale);
  return Join({std::move(shown.snapshot)}, rest);
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
    HealthCache::Shown shown = cache.Show(std::move(snapshot), readings);
    snapshot = std::move(shown.snapshot);
    size += snapshot->size;
    if (size > max_bytes && fitting > 0) {
      more = true;
      break;
    }
    ++fitting;
    observed = std::min(observed, shown.observed_time);
    stale = stale || shown.stale;
  }
  page.stages.resize(fitting);
  v1::ListStageHealthResponse rest;
  if (more) rest.set_next_page_token(MakePageToken(page.stages.back()->name));
  *rest.mutable_observed_time() = ToProto(observed);
  rest.set_stale(stale);
  return Join(std::move(page.stages), rest);
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
  return Join(std::move(snapshots), rest);
}

}  // namespace gantry::service
