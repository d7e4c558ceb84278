// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/text.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace gantry::gantryctl {
namespace {

TEST(TextTest, WhereTextStopsBeingUtf8) {
  const struct {
    const char* name;
    std::string text;
    std::optional<std::size_t> offset;
  } cases[] = {
      {"Empty", "", std::nullopt},
      {"OneToFourBytes", "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", std::nullopt},
      {"TheLastCharacter", "\xf4\x8f\xbf\xbf", std::nullopt},
      {"Beyond", "\xf4\x90\x80\x80", 0},
      {"Continuation", "ab\x80", 2},
      {"CutOff", "ab\xe2\x82", 2},
      {"TooLong", "\xc0\x80", 0},
      {"TooLongOfThree", "\xe0\x80\x80", 0},
      {"TooLongOfFour", "\xf0\x80\x80\x80", 0},
      {"Surrogate", "a\xed\xa0\x80", 1},
      {"NeverUsed", "\xff", 0},
  };
  for (const auto& test : cases) EXPECT_EQ(FirstInvalidUtf8(test.text), test.offset) << test.name;
}

TEST(TextTest, NothingSteersTheTerminal) {
  EXPECT_EQ(Printable("plain \xc3\xa9 \xf0\x9f\x98\x80"), "plain \xc3\xa9 \xf0\x9f\x98\x80");
  EXPECT_EQ(Printable("\x1b[31m\a\r\x7f"), "\\x1b[31m\\x07\\x0d\\x7f");
  EXPECT_EQ(Printable("\xc2\x9b"), "\\x9b");        // CSI in one character
  EXPECT_EQ(Printable("\xe2\x80\xae"), "\\u202e");  // right to left
  EXPECT_EQ(Printable("\xff"
                      "a\xe2\x82"),
            "\\xffa\\xe2\\x82");  // not UTF-8
  EXPECT_EQ(Printable(std::string(1, '\0')), "\\x00");
  EXPECT_EQ(Printable("a\n\tb"), "a\\n\\tb");
  EXPECT_EQ(Printable("a\n\tb", true), "a\n\tb");
  EXPECT_EQ(OneLine("  a\n\n  b\t c\x1b \n"), "a b c\\x1b");
}

TEST(TextTest, WidthsAreInCharacters) {
  EXPECT_EQ(Width("a\xc3\xa9\xf0\x9f\x98\x80"), 3u);
  EXPECT_EQ(CutTo("abcdef", 6), "abcdef");
  EXPECT_EQ(CutTo("abcdefg", 6), "abc...");
  EXPECT_EQ(CutTo("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", 4), "\xc3\xa9...");
  EXPECT_EQ(CutTo("abcdef", 2), "..");
  EXPECT_EQ(CutTo("abcdef", 0), "");
}

TEST(TextTest, TablesAreAlignedAndHaveNoTrailingBlanks) {
  EXPECT_EQ(Table({"NAME", "X"}, {{"\xc3\xa9", "1"}, {"longer", ""}, {"a\nb", "\x1b"}}),
            "NAME    X\n"
            "\xc3\xa9       1\n"
            "longer  -\n"
            "a b     \\x1b\n");
}

TEST(TextTest, AGrowingTableHasOneHeaderAndNeverShrinks) {
  GrowingTable table({"NAME", "X"});
  EXPECT_EQ(table.Add({{"a", "1"}}), "NAME  X\na     1\n");
  EXPECT_EQ(table.Add({{"longer", "2"}}), "longer  2\n");
  EXPECT_EQ(table.Add({{"a", "\x1b"}, {"b", ""}}), "a       \\x1b\nb       -\n");
  EXPECT_EQ(table.Add({}), "");
}

TEST(TextTest, APainterColorsCellsAndNoBlanks) {
  const Painter painter = [](const std::string& column, const std::string& cell) {
    return column == "B" && cell == "x" ? "<" : nullptr;
  };
  EXPECT_EQ(Table({"A", "B", "C"}, {{"x", "x", ""}, {"", "long", "x"}}, painter),
            "A  B     C\n"
            "x  <x\033[0m     -\n"
            "-  long  x\n");
}

}  // namespace
}  // namespace gantry::gantryctl
