// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_ARGOCD_EXPECTED_FAULTS_H_
#define GANTRY_TESTS_ARGOCD_EXPECTED_FAULTS_H_

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

namespace gantry::integration {

// The tests that fail because of a fault that is known and not mended yet, as the table of
// README.md lists them: `Suite.Test`, and words that are in the failure that the fault causes.
std::map<std::string, std::string> ReadExpectedFaults(const std::string& readme);

// Turns the failure of a listed test into its success, and its success into a failure: when the
// fault is mended, the list has to say so. A failure without the words of the list is a failure,
// too. Lives as long as the test's body; on the test's own thread.
class ExpectedFault {
 public:
  // `words`: those of the list.
  explicit ExpectedFault(std::string words);
  // Reports what is to be reported.
  ~ExpectedFault();
  ExpectedFault(const ExpectedFault&) = delete;
  ExpectedFault& operator=(const ExpectedFault&) = delete;

 private:
  const std::string words_;
  testing::TestPartResultArray results_;
  std::unique_ptr<testing::ScopedFakeTestPartResultReporter> reporter_;
};

}  // namespace gantry::integration

#endif  // GANTRY_TESTS_ARGOCD_EXPECTED_FAULTS_H_
