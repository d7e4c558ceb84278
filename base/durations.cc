// SPDX-License-Identifier: Apache-2.0
#include "base/durations.h"

#include "absl/strings/ascii.h"
#include "base/strings.h"

namespace gantry::base {

std::optional<absl::Duration> ParseGoDuration(std::string_view text) {
  const auto is_digit = [](char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); };
  // absl::ParseDuration also takes signs, "inf" and a bare 0.
  if (text.empty() || is_digit(text.back()) || !(is_digit(text.front()) || text.front() == '.')) {
    return std::nullopt;
  }
  absl::Duration duration;
  if (!absl::ParseDuration(ToAbsl(text), &duration)) return std::nullopt;
  return duration;
}

std::string FormatGoDuration(absl::Duration duration) {
  const absl::Duration unit =
      absl::AbsDuration(duration) < absl::Seconds(1) ? absl::Milliseconds(1) : absl::Seconds(1);
  const absl::Duration whole = absl::Trunc(duration, unit);
  return whole == absl::ZeroDuration() ? "0s" : absl::FormatDuration(whole);
}

}  // namespace gantry::base
