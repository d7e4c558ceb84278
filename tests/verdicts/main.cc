// SPDX-License-Identifier: Apache-2.0
// Prints what the program does in random cases, one line of JSON each. See README.md.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <optional>
#include <string>

#include "absl/strings/numbers.h"
#include "tests/verdicts/random_case.h"
#include "tests/verdicts/summary.h"

namespace {

constexpr const char* kUsage =
    "usage: gantry_verdicts [--seed N] [--cases N] [--only CASE] [--whole] [--responses-only]\n"
    "                       [--summary] [--check]\n"
    "  --only CASE       this one alone, whole\n"
    "  --whole           with the requests, and the Applications as they are in the end\n"
    "  --responses-only  nothing but the responses\n"
    "  --summary         a table of how often what was seen, and no cases\n"
    "  --check           look after the invariants too; exits with 1 when one did not hold\n";

struct Arguments {
  std::uint64_t seed = 1;
  std::uint64_t cases = 20'000;
  std::optional<std::uint64_t> only;
  bool whole = false;
  bool responses_only = false;
  bool summary = false;
  bool check = false;
};

bool Parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto number = [&](std::uint64_t& value) {
      return ++i < argc && absl::SimpleAtoi(argv[i], &value);
    };
    if (argument == "--seed") {
      if (!number(arguments.seed)) return false;
    } else if (argument == "--cases") {
      if (!number(arguments.cases)) return false;
    } else if (argument == "--only") {
      if (!number(arguments.only.emplace())) return false;
    } else if (argument == "--whole") {
      arguments.whole = true;
    } else if (argument == "--responses-only") {
      arguments.responses_only = true;
    } else if (argument == "--summary") {
      arguments.summary = true;
    } else if (argument == "--check") {
      arguments.check = true;
    } else {
      return false;
    }
  }
  return true;
}

nlohmann::json ResponsesOf(const nlohmann::json& verdicts) {
  nlohmann::json responses = nlohmann::json::array();
  for (const nlohmann::json& call : verdicts["calls"]) {
    responses.push_back(call.contains("response") ? call["response"] : call["error"]);
  }
  return {{"case", verdicts["case"]}, {"responses", std::move(responses)}};
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!Parse(argc, argv, arguments)) {
    std::cerr << kUsage;
    return 2;
  }
  const std::uint64_t first = arguments.only.value_or(0);
  const std::uint64_t end = arguments.only ? first + 1 : arguments.cases;
  gantry::verdicts::Summary summary;
  std::size_t violations = 0;
  std::ios::sync_with_stdio(false);
  for (std::uint64_t number = first; number < end; ++number) {
    const gantry::verdicts::CaseResult result = gantry::verdicts::RunCase(
        arguments.seed, number,
        {.whole = arguments.whole || arguments.only.has_value(), .check = arguments.check});
    for (const std::string& violation : result.violations) std::cerr << violation << '\n';
    violations += result.violations.size();
    if (arguments.summary) {
      summary.Add(result.verdicts);
    } else if (arguments.responses_only) {
      std::cout << ResponsesOf(result.verdicts).dump() << '\n';
    } else {
      std::cout << result.verdicts.dump(arguments.only ? 2 : -1) << '\n';
    }
  }
  if (arguments.summary) std::cout << summary.Table();
  return violations == 0 ? 0 : 1;
}
