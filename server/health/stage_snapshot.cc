// SPDX-License-Identifier: Apache-2.0
#include "server/health/stage_snapshot.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <utility>

#include "gantry/v1/promotion_step_service.pb.h"

namespace gantry::health {

using google::protobuf::internal::WireFormatLite;

// All three messages that carry a StageHealth have it as field 1.
static_assert(v1::GetStageHealthResponse::kHealthFieldNumber == 1);
static_assert(v1::ListStageHealthResponse::kStagesFieldNumber == 1);
static_assert(v1::WatchStageHealthResponse::kUpdatedFieldNumber == 1);

v1::StageHealth StageSnapshot::Health() const {
  std::string bytes;
  bytes.reserve(size);
  for (const SharedBytes& piece : pieces) bytes += *piece;
  v1::GetStageHealthResponse response;
  response.ParseFromString(bytes);
  return std::move(*response.mutable_health());
}

bool SameBytes(const StageSnapshot& a, const StageSnapshot& b) {
  // Pieces begin and end where Applications do, so the same bytes are cut in the same way, but for
  // a Stage that has got other Applications; and then the bytes differ too.
  return a.size == b.size &&
         std::equal(a.pieces.begin(), a.pieces.end(), b.pieces.begin(), b.pieces.end(),
                    [](const SharedBytes& x, const SharedBytes& y) { return x == y || *x == *y; });
}

bool SaySame(const StageSnapshot& a, const StageSnapshot& b) {
  return a.evaluated_stale == b.evaluated_stale && a.status_differs == b.status_differs &&
         a.sources == b.sources &&
         (a.wants_refresh == b.wants_refresh || *a.wants_refresh == *b.wants_refresh) &&
         SameBytes(a, b);
}

std::string FieldHeader(std::size_t size) {
  std::string header;
  google::protobuf::io::StringOutputStream stream(&header);
  google::protobuf::io::CodedOutputStream output(&stream);
  output.WriteTag(WireFormatLite::MakeTag(1, WireFormatLite::WIRETYPE_LENGTH_DELIMITED));
  output.WriteVarint32(static_cast<std::uint32_t>(size));
  output.Trim();
  return header;
}

}  // namespace gantry::health
