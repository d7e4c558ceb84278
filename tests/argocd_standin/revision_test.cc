// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd_standin/revision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::argocd_standin {
namespace {

using nlohmann::json;
using ::testing::MatchesRegex;

constexpr char kBranchCommit[] = "0123456789012345678901234567890123456789";

std::string Git(const std::string& revision, const std::string& repository = "https://git/a") {
  return ResolveRevision({{"repoURL", repository}, {"targetRevision", revision}});
}
std::string Chart(const std::string& version) {
  return ResolveRevision(
      {{"repoURL", "https://charts"}, {"chart", "redis"}, {"targetRevision", version}});
}

TEST(ResolveRevisionTest, ACommitIsItself) { EXPECT_EQ(Git(kBranchCommit), kBranchCommit); }

TEST(ResolveRevisionTest, ABranchStandsForTheSameCommitEveryTime) {
  EXPECT_THAT(Git("main"), MatchesRegex("[0-9a-f]{40}"));
  EXPECT_EQ(Git("main"), Git("main"));
  EXPECT_NE(Git("main"), Git("maim"));
  EXPECT_NE(Git("main"), Git("main", "https://git/b"));
}

TEST(ResolveRevisionTest, NoRevisionMeansHead) {
  EXPECT_EQ(Git(""), Git("HEAD"));
  EXPECT_EQ(ResolveRevision({{"repoURL", "https://git/a"}}), Git("HEAD"));
}

TEST(ResolveRevisionTest, BranchesCanBeSentToACommitButCommitsAndChartsCannot) {
  const std::string other(40, 'f');
  EXPECT_EQ(ResolveRevision({{"repoURL", "r"}, {"targetRevision", "main"}}, other), other);
  EXPECT_EQ(ResolveRevision({{"repoURL", "r"}, {"targetRevision", kBranchCommit}}, other),
            kBranchCommit);
  EXPECT_EQ(ResolveRevision({{"repoURL", "r"}, {"chart", "c"}, {"targetRevision", "1.2.3"}}, other),
            "1.2.3");
}

TEST(ResolveRevisionTest, AnOciArtifactHasADigest) {
  EXPECT_THAT(Git("v1", "oci://registry/a"), MatchesRegex("sha256:[0-9a-f]{64}"));
  EXPECT_EQ(Git("sha256:12", "oci://registry/a"), "sha256:12");
}

TEST(ResolveRevisionTest, WhatIsNoSourceResolvesToSomething) {
  EXPECT_EQ(ResolveRevision(nullptr).size(), 40u);
  EXPECT_EQ(ResolveRevision({{"repoURL", 1}, {"chart", 2}, {"targetRevision", {3}}}).size(), 40u);
}

struct ChartCase {
  const char* name;
  const char* version;
  const char* resolved;  // a regular expression
};

class ChartVersionTest : public ::testing::TestWithParam<ChartCase> {};

TEST_P(ChartVersionTest, Resolves) {
  EXPECT_THAT(Chart(GetParam().version), MatchesRegex(GetParam().resolved));
  EXPECT_EQ(Chart(GetParam().version), Chart(GetParam().version));
}

INSTANTIATE_TEST_SUITE_P(
    All, ChartVersionTest,
    ::testing::Values(ChartCase{"Exact", "18.0.1", "18\\.0\\.1"},
                      ChartCase{"ExactWithV", "v18.0.1", "v18\\.0\\.1"},
                      ChartCase{"ExactPrerelease", "1.0.0-rc.1", "1\\.0\\.0-rc\\.1"},
                      ChartCase{"Any", "*", "[0-9]+\\.[0-9]+\\.[0-9]+"},
                      ChartCase{"None", "", "[0-9]+\\.[0-9]+\\.[0-9]+"},
                      ChartCase{"Major", "1", "1\\.[0-9]+\\.[0-9]+"},
                      ChartCase{"MajorWildcard", "1.x", "1\\.[0-9]+\\.[0-9]+"},
                      ChartCase{"MinorWildcard", "1.2.*", "1\\.2\\.[0-9]+"},
                      ChartCase{"Caret", "^1.2", "1\\.([3-9]|[12][0-9])\\.[0-9]+"},
                      ChartCase{"CaretOfZero", "^0.2.3", "0\\.2\\.([4-9]|[12][0-9])"},
                      ChartCase{"Tilde", "~1.2.3", "1\\.2\\.([4-9]|[12][0-9])"},
                      ChartCase{"AtLeast", ">= 1.2.3", "1\\.([3-9]|[12][0-9])\\.[0-9]+"},
                      ChartCase{"AtMost", "<=2.0.0", "2\\.0\\.0"},
                      ChartCase{"Below", "<2.0.0", "1\\.[0-9]+\\.[0-9]+"},
                      ChartCase{"BelowAll", "<0.0.0", "0\\.0\\.0"},
                      ChartCase{"Between", ">=1.2.0 <2.0.0", "1\\.([3-9]|[12][0-9])\\.[0-9]+"},
                      ChartCase{"BetweenMinors", ">=1.2.0, <1.3.0", "1\\.2\\.[0-9]+"},
                      ChartCase{"UpTo", ">1.0.0 <=1.4.2", "1\\.4\\.2"},
                      ChartCase{"Hyphen", "1.2.0 - 1.4.2", "1\\.4\\.2"},
                      ChartCase{"Alternatives", "^1.0.0 || ^3.1.0",
                                "3\\.([2-9]|[12][0-9])\\.[0-9]+"},
                      ChartCase{"Nonsense", "latest!", "[0-9]+\\.[0-9]+\\.[0-9]+"}),
    [](const ::testing::TestParamInfo<ChartCase>& instance) { return instance.param.name; });

}  // namespace
}  // namespace gantry::argocd_standin
