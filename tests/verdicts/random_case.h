// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_VERDICTS_RANDOM_CASE_H_
#define GANTRY_TESTS_VERDICTS_RANDOM_CASE_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace gantry::verdicts {

struct CaseOptions {
  // Applications and requests as they are, not only a digest.
  bool whole = false;
  // Makes further calls to see whether the invariants hold. They change nothing, so the verdicts
  // are the same with and without.
  bool check = false;
};

struct CaseResult {
  // What the program did: {"case", "calls", "stages", "applications", "healthByChecks"}.
  nlohmann::json verdicts;
  // The invariants that did not hold, each in a sentence.
  std::vector<std::string> violations;
};

// A random world of Applications and a Stage's record, and a sequence of RunSteps in it, all of
// which follow from `seed` and `number` and from what the program does. Versions of objects are
// told as "web@3", the third version of web, because how often something else is written is not a
// verdict.
CaseResult RunCase(std::uint64_t seed, std::uint64_t number, const CaseOptions& options);

}  // namespace gantry::verdicts

#endif  // GANTRY_TESTS_VERDICTS_RANDOM_CASE_H_
