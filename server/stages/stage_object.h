// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STAGES_STAGE_OBJECT_H_
#define GANTRY_SERVER_STAGES_STAGE_OBJECT_H_

#include <simdjson.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace gantry::stages {

// A StageHealth resource as the API server sends it. Its parts are found and not read: who has read
// the same spec before need not do it again. The parts point into the text that was given.
struct StageObject {
  std::string name;
  std::string uid;
  std::string resource_version;
  // Counts the changes of the spec; zero when the API server does not say.
  std::int64_t generation = 0;
  // JSON text; empty when there is none.
  simdjson::padded_string_view spec;
  simdjson::padded_string_view status;
};

// An error (INVALID_ARGUMENT) when not even name and resourceVersion can be read. Any thread.
absl::StatusOr<StageObject> ReadStageObject(simdjson::padded_string_view json);

}  // namespace gantry::stages

#endif  // GANTRY_SERVER_STAGES_STAGE_OBJECT_H_
