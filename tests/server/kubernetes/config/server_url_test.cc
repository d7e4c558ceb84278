// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/config/server_url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace gantry::kubernetes {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct GoodCase {
  std::string url;
  std::string origin;
  std::string path;
  std::string host_header;
};

TEST(ParseServerUrlTest, TakesUrlsApart) {
  const std::vector<GoodCase> cases = {
      {"https://example.com", "https://example.com:443", "", "example.com"},
      {"https://example.com/", "https://example.com:443", "", "example.com"},
      {"https://10.0.0.1:6443", "https://10.0.0.1:6443", "", "10.0.0.1:6443"},
      {"http://localhost:8001", "http://localhost:8001", "", "localhost:8001"},
      {"http://localhost", "http://localhost:80", "", "localhost"},
      {"https://[fd00::1]:6443", "https://[fd00::1]:6443", "", "[fd00::1]:6443"},
      {"https://rancher.test/k8s/clusters/c-1/", "https://rancher.test:443", "/k8s/clusters/c-1",
       "rancher.test"},
  };
  for (const GoodCase& expected : cases) {
    const auto url = ParseServerUrl(expected.url);
    ASSERT_TRUE(url.ok()) << url.status();
    EXPECT_EQ(url->Origin(), expected.origin);
    EXPECT_EQ(url->path, expected.path);
    EXPECT_EQ(url->HostHeader(), expected.host_header);
  }
}

struct BadCase {
  std::string url;
  std::string reason;
};

TEST(ParseServerUrlTest, SaysWhatIsWrong) {
  const std::vector<BadCase> cases = {
      {"", "has no scheme"},
      {"10.0.0.1:6443", "has no scheme"},
      {"ftp://example.com", "is neither https nor http"},
      {"https://", "is malformed"},
      {"https://example.com:99999", "is malformed"},
      {"https://exa mple.com", "has blanks or control characters"},
      {"https://example.com\r\nX: y", "has blanks or control characters"},
      {"https://example.com?x=1", "has a query or fragment"},
      {"https://example.com/#x", "has a query or fragment"},
      {"https://me:secret@example.com", "has user info"},
  };
  for (const BadCase& expected : cases) {
    const auto url = ParseServerUrl(expected.url);
    ASSERT_FALSE(url.ok()) << expected.url;
    EXPECT_TRUE(absl::IsInvalidArgument(url.status()));
    EXPECT_THAT(std::string(url.status().message()), HasSubstr(expected.reason));
    EXPECT_THAT(std::string(url.status().message()), Not(HasSubstr("secret")));
    EXPECT_THAT(std::string(url.status().message()), HasSubstr("expected https://host"));
  }
}

}  // namespace
}  // namespace gantry::kubernetes
