// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd/expected_faults.h"

#include <fstream>
#include <iostream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tests/integration/cluster_access.h"

namespace gantry::integration {

std::map<std::string, std::string> ReadExpectedFaults(const std::string& readme) {
  std::ifstream file(readme);
  if (!file) GiveUp("could not read " + readme);
  std::map<std::string, std::string> faults;
  bool in_list = false;
  for (std::string line; std::getline(file, line);) {
    if (absl::StartsWith(line, "## ")) in_list = line == "## Expected faults";
    // | `Suite.Test` | `words` | what it waits for |
    if (!in_list || !absl::StartsWith(line, "| `")) continue;
    const std::vector<std::string> quoted = absl::StrSplit(line, '`');
    if (quoted.size() < 5 || quoted[1].empty() || quoted[3].empty() ||
        !faults.emplace(quoted[1], quoted[3]).second) {
      GiveUp(absl::StrCat(readme, ": expected a test and words, both in backquotes and no test ",
                          "twice, found: ", line));
    }
  }
  return faults;
}

ExpectedFault::ExpectedFault(std::string words)
    : words_(std::move(words)),
      reporter_(std::make_unique<testing::ScopedFakeTestPartResultReporter>(
          testing::ScopedFakeTestPartResultReporter::INTERCEPT_ALL_THREADS, &results_)) {}

ExpectedFault::~ExpectedFault() {
  reporter_ = nullptr;
  std::string failures;
  for (int i = 0; i < results_.size(); ++i) {
    const testing::TestPartResult& result = results_.GetTestPartResult(i);
    if (result.failed()) absl::StrAppend(&failures, result.message(), "\n");
  }
  if (failures.empty()) {
    ADD_FAILURE()
        << "this test is in the list of expected faults, and passed: take it off the list";
  } else if (!absl::StrContains(failures, words_)) {
    ADD_FAILURE() << "expected the fault to say '" << words_ << "', but it failed otherwise:\n"
                  << failures;
  } else {
    std::cout << "expected fault: " << failures.substr(0, 600) << std::endl;
  }
}

}  // namespace gantry::integration
