// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_API_RESOURCE_VERSION_H_
#define GANTRY_SERVER_KUBERNETES_API_RESOURCE_VERSION_H_

#include <charconv>
#include <cstdint>
#include <string_view>
#include <system_error>

namespace gantry::kubernetes {

// True when resourceVersion `a` is certainly older than `b`. They count upwards on every API server
// there is; anything that is not a number is taken for newer, as it was sent later.
inline bool IsOlder(std::string_view a, std::string_view b) {
  std::uint64_t older = 0;
  std::uint64_t newer = 0;
  const auto parsed = [](std::string_view text, std::uint64_t& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size();
  };
  return parsed(a, older) && parsed(b, newer) && older < newer;
}

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_API_RESOURCE_VERSION_H_
