// SPDX-License-Identifier: Apache-2.0
#include "server/service/page_token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/escaping.h"

namespace gantry::service {
namespace {

using cache::StageName;
using ::testing::MatchesRegex;

std::string TokenOf(const std::string& text) { return absl::WebSafeBase64Escape(text); }

TEST(PageToken, IsReadBack) {
  for (const StageName& name :
       {StageName{"p", "s"}, StageName{"team-a", "prod.eu-1.x"},
        StageName{std::string(63, 'p'), std::string(189, 's')}, StageName{"0", "9"}}) {
    const std::string token = MakePageToken(name);
    EXPECT_THAT(token, MatchesRegex("[A-Za-z0-9_-]+"));
    EXPECT_EQ(ReadPageToken(token), name) << token;
  }
}

TEST(PageToken, AnythingElseIsNone) {
  struct {
    const char* name;
    std::string token;
  } const table[] = {
      {"Empty", ""},
      {"Words", "next please"},
      {"NotBase64", "####"},
      {"NulInside", std::string("MS9w\0", 5)},
      {"OtherVersion", TokenOf("2/p/s")},
      {"NoVersion", TokenOf("p/s")},
      {"NoStage", TokenOf("1/p")},
      {"EmptyStage", TokenOf("1/p/")},
      {"EmptyProject", TokenOf("1//s")},
      {"ProjectIsNoLabel", TokenOf("1/P/s")},
      {"StageIsNoSubdomain", TokenOf("1/p/s/t")},
      {"NotText", TokenOf("1/p/\xff\xfe")},
      {"CutOff", MakePageToken({"team-a", "prod"}).substr(0, 5)},
      {"VeryLong", std::string(1 << 20, 'A')},
  };
  for (const auto& c : table) EXPECT_EQ(ReadPageToken(c.token), std::nullopt) << c.name;
}

}  // namespace
}  // namespace gantry::service
