// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_BASE_STRINGS_H_
#define GANTRY_BASE_STRINGS_H_

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace gantry::base {

// The distribution's abseil is built with a string_view of its own, which does not convert from
// the standard one. These helpers are the one place where the two meet.

inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view ToStd(absl::string_view text) { return {text.data(), text.size()}; }

namespace internal {

inline absl::string_view Piece(std::string_view text) { return ToAbsl(text); }
inline absl::string_view Piece(const std::string& text) { return text; }
inline absl::string_view Piece(const char* text) { return text; }
template <typename T>
const T& Piece(const T& piece) {
  return piece;
}

}  // namespace internal

// absl::StrCat and absl::StrAppend that also take std::string_view.
template <typename... Pieces>
std::string StrCat(const Pieces&... pieces) {
  return absl::StrCat(internal::Piece(pieces)...);
}
template <typename... Pieces>
void StrAppend(std::string* destination, const Pieces&... pieces) {
  absl::StrAppend(destination, internal::Piece(pieces)...);
}

}  // namespace gantry::base

#endif  // GANTRY_BASE_STRINGS_H_
