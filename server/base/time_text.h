// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_BASE_TIME_TEXT_H_
#define GANTRY_SERVER_BASE_TIME_TEXT_H_

#include <string>

#include "absl/time/time.h"

namespace gantry::base {

// RFC 3339 in whole seconds of UTC, as Kubernetes writes times.
inline std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

}  // namespace gantry::base

#endif  // GANTRY_SERVER_BASE_TIME_TEXT_H_
