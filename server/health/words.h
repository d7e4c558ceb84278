// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_HEALTH_WORDS_H_
#define GANTRY_SERVER_HEALTH_WORDS_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "base/strings.h"
#include "base/text.h"

namespace gantry::health {

// Parts of the sentences in which the rules tell what they have found. Pure.

// `words` and the time, or nothing when the time is not known.
inline std::string At(std::string_view words, std::optional<absl::Time> time) {
  return time ? base::StrCat(words, base::UtcTime(*time)) : "";
}

// ": text", or nothing when there is none.
inline std::string Explanation(std::string_view text) {
  return text.empty() ? "" : base::StrCat(": ", text);
}

}  // namespace gantry::health

#endif  // GANTRY_SERVER_HEALTH_WORDS_H_
