// SPDX-License-Identifier: Apache-2.0
#include "server/service/text.h"

#include <gtest/gtest.h>

#include <string>

namespace gantry::service {
namespace {

struct Text {
  std::string bytes;
  bool valid;
  std::size_t characters;  // of valid text
  bool control;            // of valid text
};

TEST(Text, Table) {
  const Text table[] = {
      {"", true, 0, false},
      {"abc", true, 3, false},
      {"a b", true, 3, false},
      {"\xc3\xa4", true, 1, false},
      {"\xe2\x82\xac", true, 1, false},
      {"\xf0\x9f\x9a\x80", true, 1, false},
      {"\xc2\xa0", true, 1, false},
      {"a\n", true, 2, true},
      {std::string("\0", 1), true, 1, true},
      {"\x1b[2J", true, 4, true},
      {"\x7f", true, 1, true},
      {"\xc2\x80", true, 1, true},
      {"\xc2\x9f", true, 1, true},
      {"\xff", false, 0, false},
      {"a\x80", false, 0, false},
      {"\xc3", false, 0, false},
      {"\xe2\x82", false, 0, false},
      {"\xc0\x80", false, 0, false},          // overlong
      {"\xed\xa0\x80", false, 0, false},      // a surrogate
      {"\xf4\x90\x80\x80", false, 0, false},  // beyond U+10FFFF
  };
  for (const Text& text : table) {
    EXPECT_EQ(IsValidUtf8(text.bytes), text.valid) << text.bytes;
    if (!text.valid) continue;
    EXPECT_EQ(CountCharacters(text.bytes), text.characters) << text.bytes;
    EXPECT_EQ(HasControlCharacter(text.bytes), text.control) << text.bytes;
  }
}

struct Shown {
  std::string bytes;
  std::size_t max_bytes;
  std::string expected;
};

TEST(Text, Presentable) {
  const Shown table[] = {
      {"", 3, ""},
      {"abc", 3, "abc"},
      {"abcd", 3, "..."},
      {"abcdef", 6, "abcdef"},
      {"abcdefg", 6, "abc..."},
      {"\xc3\xa4\xc3\xa4\xc3\xa4", 6, "\xc3\xa4\xc3\xa4\xc3\xa4"},
      {"\xc3\xa4\xc3\xa4\xc3\xa4", 5, "\xc3\xa4..."},  // never half a character
      {"a\xff"
       "b",
       10,
       "a\xef\xbf\xbd"
       "b"},
      {"a\xe2\x82", 10, "a\xef\xbf\xbd\xef\xbf\xbd"},
      {"\xff\xff\xff", 7, "\xef\xbf\xbd..."},
  };
  for (const Shown& shown : table) {
    EXPECT_EQ(Presentable(shown.bytes, shown.max_bytes), shown.expected) << shown.bytes;
  }
}

}  // namespace
}  // namespace gantry::service
