// SPDX-License-Identifier: Apache-2.0
#include "base/strings.h"

#include <gtest/gtest.h>

namespace gantry::base {
namespace {

TEST(StringsTest, StrCatTakesEveryKindOfText) {
  const std::string text = "b";
  const std::string_view view = "cx";
  EXPECT_EQ(StrCat("a", text, view.substr(0, 1), 4, absl::Hex(255)), "abc4ff");
}

TEST(StringsTest, StrAppendKeepsWhatIsThere) {
  std::string text = "a";
  StrAppend(&text, std::string_view("b"), 3);
  EXPECT_EQ(text, "ab3");
}

TEST(StringsTest, ViewsConvertWithoutLosingZeroBytes) {
  const std::string_view text("a\0b", 3);
  EXPECT_EQ(ToStd(ToAbsl(text)), text);
}

}  // namespace
}  // namespace gantry::base
