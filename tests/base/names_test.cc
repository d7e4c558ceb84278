// SPDX-License-Identifier: Apache-2.0
#include "base/names.h"

#include <gtest/gtest.h>

#include <string>

namespace gantry::base {
namespace {

struct Name {
  std::string text;
  bool label;
  bool subdomain;
};

TEST(Names, Table) {
  const Name table[] = {
      {"a", true, true},
      {"0", true, true},
      {"team-a", true, true},
      {"a--b", true, true},
      {std::string(63, 'a'), true, true},
      {std::string(64, 'a'), false, true},
      {std::string(253, 'a'), false, true},
      {std::string(254, 'a'), false, false},
      {"a.b", false, true},
      {"a-1.b-2", false, true},
      {"", false, false},
      {".", false, false},
      {"a.", false, false},
      {".a", false, false},
      {"a..b", false, false},
      {"-a", false, false},
      {"a-", false, false},
      {"a-.b", false, false},
      {"a.-b", false, false},
      {"A", false, false},
      {"a_b", false, false},
      {"a b", false, false},
      {"a\n", false, false},
      {"\xc3\xa4", false, false},
      {std::string("a\0b", 3), false, false},
  };
  for (const Name& name : table) {
    EXPECT_EQ(IsDns1123Label(name.text), name.label) << name.text;
    EXPECT_EQ(IsDns1123Subdomain(name.text), name.subdomain) << name.text;
  }
}

}  // namespace
}  // namespace gantry::base
