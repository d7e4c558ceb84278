// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <string>

#include "tests/argocd/argocd_test.h"

namespace gantry::integration {
namespace {

bool IsRegistered(const std::string& name) {
  const testing::UnitTest& tests = *testing::UnitTest::GetInstance();
  for (int i = 0; i < tests.total_test_suite_count(); ++i) {
    const testing::TestSuite& suite = *tests.GetTestSuite(i);
    for (int j = 0; j < suite.total_test_count(); ++j) {
      if (std::string(suite.name()) + "." + suite.GetTestInfo(j)->name() == name) return true;
    }
  }
  return false;
}

int Run() {
  if (!HasRealArgoCd()) {
    std::string filter = testing::GTEST_FLAG(filter);
    filter += filter.find('-') == std::string::npos ? "-Real*" : ":Real*";
    testing::GTEST_FLAG(filter) = filter;
  }
  const auto faults = ReadExpectedFaults(EXPECTED_FAULTS_LIST);
  for (const auto& [test, words] : faults) {
    if (IsRegistered(test)) continue;
    std::cerr << EXPECTED_FAULTS_LIST << ": there is no test named " << test << "\n";
    return 1;
  }
  ArgoCdTest::SetExpectedFaults(faults);
  return RUN_ALL_TESTS();
}

}  // namespace
}  // namespace gantry::integration

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  return gantry::integration::Run();
}
