// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/config/proxy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace gantry::kubernetes {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

Environment With(std::map<std::string, std::string> variables) {
  Environment environment;
  environment.get_variable =
      [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
  return environment;
}

std::string ProxyFor(const std::string& server, std::map<std::string, std::string> variables) {
  const auto proxy = ProxyFromEnvironment(*ParseServerUrl(server), With(std::move(variables)));
  return proxy.ok() ? *proxy : std::string(proxy.status().message());
}

TEST(ProxyFromEnvironmentTest, TheSchemeOfTheServerSaysWhichVariable) {
  EXPECT_EQ(ProxyFor("https://api.test", {{"HTTPS_PROXY", "http://p:1"}}), "http://p:1");
  EXPECT_EQ(ProxyFor("https://api.test", {{"https_proxy", "http://p:2"}}), "http://p:2");
  EXPECT_EQ(ProxyFor("https://api.test", {{"HTTPS_PROXY", "http://p:1"}, {"https_proxy", "p:2"}}),
            "http://p:1");
  EXPECT_EQ(ProxyFor("https://api.test", {{"HTTP_PROXY", "http://p:1"}}), "");
  EXPECT_EQ(ProxyFor("http://api.test", {{"HTTP_PROXY", "p:3"}}), "http://p:3");
  EXPECT_EQ(ProxyFor("https://api.test", {{"ALL_PROXY", "http://p:1"}}), "");
  EXPECT_EQ(ProxyFor("https://api.test", {}), "");
  EXPECT_EQ(ProxyFor("https://api.test", {{"HTTPS_PROXY", ""}}), "");
}

TEST(ProxyFromEnvironmentTest, ThisMachineIsNeverReachedByAProxy) {
  for (const std::string server : {"https://localhost:1", "https://127.0.0.1:1",
                                   "https://127.8.9.1:1", "https://[::1]:1", "https://LOCALHOST"}) {
    EXPECT_EQ(ProxyFor(server, {{"HTTPS_PROXY", "http://p:1"}}), "") << server;
  }
}

struct ExceptionCase {
  std::string server;
  std::string no_proxy;
  bool excluded;
};

TEST(ProxyFromEnvironmentTest, NoProxyNamesTheExceptions) {
  const std::vector<ExceptionCase> cases = {
      {"https://api.test", "", false},
      {"https://api.test", "*", true},
      {"https://api.test", "api.test", true},
      {"https://api.test", "API.Test", true},
      {"https://api.test", "test", true},
      {"https://api.test", ".test", true},
      {"https://api.test", "*.test", true},
      {"https://api.test", ".api.test", false},
      {"https://api.test", "pi.test", false},
      {"https://myapi.test", "api.test", false},
      {"https://api.test:6443", "api.test:6443", true},
      {"https://api.test:6443", "api.test:443", false},
      {"https://api.test", "api.test:443", true},
      {"https://api.test", "other.test, api.test ,more.test", true},
      {"https://10.1.2.3", "10.1.2.3", true},
      {"https://10.1.2.3:6443", "10.1.2.3:6443", true},
      {"https://10.1.2.3", "10.1.2.4", false},
      {"https://10.1.2.3", "10.0.0.0/8", true},
      {"https://10.1.2.3", "10.1.2.0/30", true},
      {"https://10.1.2.4", "10.1.2.0/30", false},
      {"https://11.1.2.3", "10.0.0.0/8", false},
      {"https://10.1.2.3", "0.0.0.0/0", true},
      {"https://10.1.2.3", "nonsense/8", false},
      {"https://10.1.2.3", "10.0.0.0/99", false},
      {"https://10.1.2.3", "10.0.0.0/-5", false},
      {"https://10.1.2.3", "10.0.0.0/", false},
      {"https://[fd00::1]:6443", "fd00::1", true},
      {"https://[fd00::1]:6443", "[fd00::1]:6443", true},
      {"https://[fd00::1]:6443", "fd00::/16", true},
      {"https://[fd00::1]:6443", "10.0.0.0/8", false},
      {"https://api.test", "10.0.0.0/8", false},
      {"https://api.test", ",,", false},
      {"https://api.test", ":443", false},
  };
  for (const ExceptionCase& expected : cases) {
    EXPECT_EQ(
        ProxyFor(expected.server, {{"HTTPS_PROXY", "http://p:1"}, {"no_proxy", expected.no_proxy}}),
        expected.excluded ? "" : "http://p:1")
        << expected.server << " with NO_PROXY=" << expected.no_proxy;
  }
}

TEST(CheckProxyUrlTest, TakesTheThreeKinds) {
  for (const std::string url : {"http://p:1", "https://p:1", "socks5://me:secret@p:1"}) {
    EXPECT_EQ(*CheckProxyUrl(url, "proxy-url"), url);
  }
  EXPECT_EQ(*CheckProxyUrl("p:1", "proxy-url"), "http://p:1");
  EXPECT_EQ(*CheckProxyUrl("HTTP://p:1", "proxy-url"), "http://p:1");
}

TEST(CheckProxyUrlTest, RefusesOthersWithoutQuotingThem) {
  for (const std::string url : {"ftp://secret@p:1", "socks4://secret@p:1", "http://", "http:///x",
                                "http://secret @p:1", "http://secret\n@p:1"}) {
    const auto checked = CheckProxyUrl(url, "proxy-url of x");
    ASSERT_FALSE(checked.ok()) << url;
    EXPECT_THAT(
        std::string(checked.status().message()),
        AllOf(HasSubstr("proxy-url of x is not the URL of a proxy"), Not(HasSubstr("secret"))));
  }
}

}  // namespace
}  // namespace gantry::kubernetes
