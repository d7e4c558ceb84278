// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SIMULATOR_LIST_OPTIONS_H_
#define GANTRY_TESTS_SIMULATOR_LIST_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "tests/simulator/resources.h"
#include "tests/simulator/selectors.h"

namespace gantry::simulator {

// Where a list goes on.
struct ContinueToken {
  // As of which version; none: as things are now.
  std::optional<std::uint64_t> resource_version;
  std::string ns;
  std::string name;  // the last one that was sent

  // `in_namespace`: the list is of one namespace, which is not part of the token.
  std::string Encode(bool in_namespace) const;
  static Result<ContinueToken> Decode(const std::string& text, const std::string& ns);
};

// The query of a list or watch.
struct ListOptions {
  LabelSelector labels;
  FieldSelector fields;
  std::size_t limit = 0;
  std::string continue_text;
  std::string version_text;  // as it came
  std::string version_match;
  bool watch = false;
  bool bookmarks = false;
  std::optional<bool> send_initial_events;
  std::optional<std::int64_t> timeout_seconds;

  // `initial_events`: whether sendInitialEvents is allowed.
  static Result<ListOptions> Parse(std::string_view query, const Resource& resource,
                                   bool initial_events);
};

// 0 for an empty text; the error is the API server's.
Result<std::uint64_t> ParseVersion(const std::string& text);

}  // namespace gantry::simulator

#endif  // GANTRY_TESTS_SIMULATOR_LIST_OPTIONS_H_
