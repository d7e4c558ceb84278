// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_SERVICE_TEXT_H_
#define GANTRY_SERVER_SERVICE_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace gantry::service {

bool IsValidUtf8(std::string_view text);

// The number of characters (code points) in `text`, which is valid UTF-8.
std::size_t CountCharacters(std::string_view text);

// True when `text`, which is valid UTF-8, holds a control character: U+0000 to U+001F, or U+007F
// to U+009F.
bool HasControlCharacter(std::string_view text);

// `text` fit for a response or a log line: bytes that are not UTF-8 become U+FFFD, and what is
// longer than `max_bytes` (at least 3) is cut between characters and ends in "...".
std::string Presentable(std::string_view text, std::size_t max_bytes);

}  // namespace gantry::service

#endif  // GANTRY_SERVER_SERVICE_TEXT_H_
