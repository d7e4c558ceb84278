// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STAGES_STAGE_RECORD_JSON_H_
#define GANTRY_SERVER_STAGES_STAGE_RECORD_JSON_H_

#include <simdjson.h>

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "server/stages/stage_record.h"

namespace gantry::stages {

// The form that a StageRecord has in the `spec` of a StageHealth resource. Pure; any thread.

// INVALID_ARGUMENT, saying what is wrong, when the spec is not one that this program or its CRD
// would have let be written.
absl::StatusOr<StageRecord> ReadRecord(simdjson::padded_string_view spec);

// All fields that this version knows: a merge patch of them leaves the others as they are. A
// record without a promotion has no field for it.
nlohmann::json WriteRecord(const StageRecord& record);

}  // namespace gantry::stages

#endif  // GANTRY_SERVER_STAGES_STAGE_RECORD_JSON_H_
