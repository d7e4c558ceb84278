// SPDX-License-Identifier: Apache-2.0
#include "server/observability/admin_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <memory>
#include <ostream>
#include <thread>

namespace gantry::observability {
namespace {

using ::testing::HasSubstr;

std::string NoMetrics() { return ""; }

class AdminServerTest : public ::testing::Test {
 protected:
  AdminServerTest() {
    auto admin = AdminServer::Start(
        "127.0.0.1", 0,
        {{"serving", [this] { return state_.WhyNot(); }}, {"caches", [this] { return caches_; }}},
        [this] { return metrics_; });
    EXPECT_TRUE(admin.ok()) << admin.status();
    admin_ = *std::move(admin);
  }

  httplib::Client Client() const { return httplib::Client("127.0.0.1", admin_->port()); }

  ServingState state_;
  std::string caches_;
  std::string metrics_ = "# TYPE a gauge\na 1\n";
  std::unique_ptr<AdminServer> admin_;
};

struct Page {
  std::string name;
  ServingState::Phase phase;
  std::string caches;
  std::string path;
  int status;
  std::string body;
};

void PrintTo(const Page& page, std::ostream* out) { *out << page.name; }

class PageTest : public AdminServerTest, public ::testing::WithParamInterface<Page> {};

TEST_P(PageTest, Answers) {
  const Page& page = GetParam();
  state_.Set(page.phase);
  caches_ = page.caches;
  const auto response = Client().Get(page.path);
  ASSERT_TRUE(response) << httplib::to_string(response.error());
  EXPECT_EQ(response->status, page.status);
  EXPECT_EQ(response->body, page.body);
  EXPECT_THAT(response->get_header_value("Content-Type"), HasSubstr("text/plain"));
}

using Phase = ServingState::Phase;

INSTANTIATE_TEST_SUITE_P(
    Table, PageTest,
    ::testing::Values(
        Page{"LiveFromTheStart", Phase::kStarting, "not filled", "/livez", 200, "ok"},
        Page{"LiveWhileDraining", Phase::kDraining, "not filled", "/livez", 200, "ok"},
        Page{"LiveVerbose", Phase::kServing, "", "/livez?verbose", 200,
             "[+]ping ok\nlivez check passed\n"},
        Page{"NotReadyAtTheStart", Phase::kStarting, "", "/readyz", 503, "not serving yet"},
        Page{"Ready", Phase::kServing, "", "/readyz", 200, "ok"},
        Page{"NotReadyWhileDraining", Phase::kDraining, "", "/readyz", 503, "draining"},
        Page{"AllReasons", Phase::kStarting, "not filled", "/readyz", 503,
             "not serving yet; not filled"},
        Page{"ReadyVerbose", Phase::kServing, "", "/readyz?verbose", 200,
             "[+]serving ok\n[+]caches ok\nreadyz check passed\n"},
        Page{"NotReadyVerbose", Phase::kServing, "not filled", "/readyz?verbose=1", 503,
             "[+]serving ok\n[-]caches failed: not filled\nreadyz check failed\n"},
        Page{"Unknown", Phase::kServing, "", "/metricz", 404,
             "There is no such page. There are:\n/livez\n/readyz\n/metrics\n"},
        Page{"Root", Phase::kServing, "", "/", 404,
             "There is no such page. There are:\n/livez\n/readyz\n/metrics\n"},
        Page{"PathsAreExact", Phase::kServing, "", "/livez/", 404,
             "There is no such page. There are:\n/livez\n/readyz\n/metrics\n"}),
    [](const auto& page) { return page.param.name; });

TEST_F(AdminServerTest, MetricsAreReadAnewByEachScrape) {
  // Whatever state the process is in.
  for (const std::string value : {"1", "2"}) {
    metrics_ = "# TYPE a gauge\na " + value + "\n";
    const auto response = Client().Get("/metrics");
    ASSERT_TRUE(response) << httplib::to_string(response.error());
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->body, metrics_);
    EXPECT_EQ(response->get_header_value("Content-Type"),
              "text/plain; version=0.0.4; charset=utf-8");
    EXPECT_EQ(response->get_header_value("Cache-Control"), "no-store");
  }
}

TEST_F(AdminServerTest, HeadIsAnsweredWithoutABody) {
  state_.Set(Phase::kDraining);
  const auto response = Client().Head("/readyz");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 503);
  EXPECT_EQ(response->body, "");
}

TEST_F(AdminServerTest, OtherMethodsAreRefused) {
  const auto response = Client().Post("/livez", "body", "text/plain");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 405);
  EXPECT_EQ(response->get_header_value("Allow"), "GET, HEAD");
}

TEST_F(AdminServerTest, ALongPathDoesNotCrash) {
  const auto response = Client().Get("/" + std::string(8000, 'a'));
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 404);
}

TEST_F(AdminServerTest, IdleConnectionsDoNotHoldIt) {
  // More connections than threads, each asked one request and then left open by the client.
  std::vector<std::unique_ptr<httplib::Client>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<httplib::Client>("127.0.0.1", admin_->port()));
    clients.back()->set_keep_alive(true);
    const auto response = clients.back()->Get("/livez");
    ASSERT_TRUE(response) << i;
    EXPECT_EQ(response->status, 200);
  }
}

TEST_F(AdminServerTest, AnswersManyAtOnce) {
  state_.Set(Phase::kServing);
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([this, &good] {
      for (int i = 0; i < 25; ++i) {
        const auto response = Client().Get("/readyz");
        if (response && response->status == 200) ++good;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 200);
}

TEST_F(AdminServerTest, APortInUseIsOneSentence) {
  const auto second = AdminServer::Start("127.0.0.1", admin_->port(), {}, NoMetrics);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().message(), "cannot listen on 127.0.0.1 port " +
                                           std::to_string(admin_->port()) +
                                           " (--admin-listen): Address already in use");
}

TEST(AdminServer, AnAddressOfAnotherMachineIsOneSentence) {
  // 192.0.2.0/24 is for documentation; no interface has it.
  const auto admin = AdminServer::Start("192.0.2.1", 0, {}, NoMetrics);
  ASSERT_FALSE(admin.ok());
  EXPECT_EQ(admin.status().message(),
            "cannot listen on 192.0.2.1 port 0 (--admin-listen): Cannot assign requested address");
}

TEST(AdminServer, ListensOnIpv6) {
  const auto admin = AdminServer::Start("::1", 0, {}, NoMetrics);
  if (!admin.ok()) {
    // A machine without IPv6 must at least say so.
    EXPECT_THAT(std::string(admin.status().message()), HasSubstr("cannot listen on ::1"));
    return;
  }
  httplib::Client client("::1", (*admin)->port());
  ASSERT_TRUE(client.Get("/livez"));
}

TEST(AdminServer, StartsAndStopsAtOnce) {
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(AdminServer::Start("127.0.0.1", 0, {}, NoMetrics).ok());
  }
}

}  // namespace
}  // namespace gantry::observability
