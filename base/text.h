// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_BASE_TEXT_H_
#define GANTRY_BASE_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace gantry::base {

// Words for people: how values stand in messages. Pure; any thread.

// `text` in quotation marks, fit for a sentence: what a reader would not see, and what is not
// UTF-8, is spelled out, and what is longer than `max_characters` is cut and ends in "…".
std::string Quote(std::string_view text, std::size_t max_characters = 60);

// The same with all of `text`, for names that a reader may want to look for.
std::string QuoteWhole(std::string_view text);

// "1 item", "2 items".
std::string Count(std::size_t count, std::string_view noun);

// "a", "a or b", "a, b or c".
std::string Join(const std::vector<std::string>& words, std::string_view conjunction);

// "a", "a and b", "a, b, c and 4 more": the first three of a list that may be long.
std::string FirstThree(const std::vector<std::string>& items);

// "a; b; c; and 4 more": the first three of several clauses, for one message about many objects.
std::string FirstThreeClauses(std::vector<std::string> clauses);

// How many bytes have to be inserted, deleted, replaced, or swapped with their neighbour to make
// one of the other. Takes time and memory as the product of both lengths.
std::size_t EditDistance(std::string_view left, std::string_view right);

// Those of `names` that `wanted` may have been meant for, at most three, the nearest first: a third
// of the bytes of `wanted`, and at least one, may be missing, superfluous, wrong, or swapped with
// the next.
std::vector<std::string> NearNames(std::string_view wanted, const std::vector<std::string>& names);

// At most `max_bytes` of `text`, cut between two characters.
std::string CutToBytes(std::string_view text, std::size_t max_bytes);

// RFC 3339 in whole seconds of UTC, as Kubernetes writes times.
std::string UtcTime(absl::Time time);

}  // namespace gantry::base

#endif  // GANTRY_BASE_TEXT_H_
