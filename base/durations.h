// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_BASE_DURATIONS_H_
#define GANTRY_BASE_DURATIONS_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace gantry::base {

// Durations as people write and read them on a command line. Pure; any thread.

// A duration as Go writes them: decimal numbers with units, such as 300ms, 1.5h or 1h30m; the units
// are ns, us, ms, s, m and h. Nothing for anything else, signs and numbers without a unit included.
std::optional<absl::Duration> ParseGoDuration(std::string_view text);

// The other way round, in whole seconds, or whole milliseconds below one.
std::string FormatGoDuration(absl::Duration duration);

}  // namespace gantry::base

#endif  // GANTRY_BASE_DURATIONS_H_
