// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/config/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/escaping.h"
#include "tests/server/kubernetes/fakes.h"
#include "tests/server/kubernetes/temporary_folder.h"
#include "tests/server/kubernetes/test_certificates.h"

namespace gantry::kubernetes {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using Fetched = RenewedCredentials::Fetched;

class CredentialsTest : public ::testing::Test {
 protected:
  CredentialsTest() {
    options_.on_warning = [this](std::string_view warning) { warnings_.emplace_back(warning); };
  }

  std::unique_ptr<CredentialSource> Make() {
    return MakeCredentialSource(config_, options_, clock_);
  }
  static std::string Authorization(const absl::StatusOr<Credentials>& credentials) {
    return credentials.ok() ? credentials->authorization
                            : std::string(credentials.status().message());
  }
  std::string Authorization(CredentialSource& source) {
    return Authorization(source.Get(context_));
  }

  FakeClock clock_;
  TemporaryFolder folder_;
  ClusterConfig config_;
  CredentialOptions options_;
  std::vector<std::string> warnings_;
  base::Context context_;
};

TEST_F(CredentialsTest, WithoutAnyNothingIsSent) {
  const auto source = Make();
  EXPECT_EQ(Authorization(*source), "");
  EXPECT_FALSE(source->Reject(*source->Get(context_)));
}

TEST_F(CredentialsTest, ATokenIsSentAsItIs) {
  config_.token = "abc";
  const auto source = Make();
  EXPECT_EQ(Authorization(*source), "Bearer abc");
  EXPECT_FALSE(source->Reject(*source->Get(context_)));
}

TEST_F(CredentialsTest, UserAndPassword) {
  config_.username = "me";
  config_.password = "secret";
  EXPECT_EQ(Authorization(*Make()), "Basic bWU6c2VjcmV0");
}

// Token files.

class TokenFileTest : public CredentialsTest {
 protected:
  TokenFileTest() { config_.token_file = folder_.Write("token", "first\n"); }
};

TEST_F(TokenFileTest, IsReadAgainEveryMinute) {
  const auto source = Make();
  EXPECT_EQ(Authorization(*source), "Bearer first");
  folder_.Write("token", "second");
  EXPECT_EQ(Authorization(*source), "Bearer first");
  clock_.Advance(absl::Seconds(59));
  EXPECT_EQ(Authorization(*source), "Bearer first");
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(Authorization(*source), "Bearer second");
}

TEST_F(TokenFileTest, IsReadAgainWhenTheServerRejectsTheToken) {
  const auto source = Make();
  const auto old = source->Get(context_);
  folder_.Write("token", "second");
  EXPECT_TRUE(source->Reject(*old));
  EXPECT_EQ(Authorization(*source), "Bearer second");
  folder_.Write("token", "third");
  EXPECT_TRUE(source->Reject(*old)) << "it has been replaced already";
  EXPECT_EQ(Authorization(*source), "Bearer second");
}

TEST_F(TokenFileTest, TheLastGoodTokenStaysWhenReadingFails) {
  const auto source = Make();
  EXPECT_EQ(Authorization(*source), "Bearer first");
  folder_.Remove("token");
  clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(Authorization(*source), "Bearer first");
  EXPECT_THAT(warnings_, ElementsAre(AllOf(HasSubstr(config_.token_file), HasSubstr("No such file"),
                                           Not(HasSubstr("first")))));
  EXPECT_EQ(Authorization(*source), "Bearer first");
  EXPECT_EQ(warnings_.size(), 1u);
  folder_.Write("token", "second");
  clock_.Advance(absl::Seconds(10));
  EXPECT_EQ(Authorization(*source), "Bearer second");
}

TEST_F(TokenFileTest, TheLastGoodTokenStaysEvenWhenItWasRejected) {
  const auto source = Make();
  const auto old = source->Get(context_);
  folder_.Write("token", "");
  EXPECT_TRUE(source->Reject(*old));
  EXPECT_EQ(Authorization(*source), "Bearer first");
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("is empty")));
}

TEST_F(TokenFileTest, AFileThatWasNeverReadIsAnError) {
  folder_.Remove("token");
  const auto source = Make();
  EXPECT_THAT(Authorization(*source), HasSubstr("cannot read " + config_.token_file));
  folder_.Write("token", "first");
  EXPECT_EQ(Authorization(*source), "Bearer first");
}

TEST_F(TokenFileTest, ATokenGivenBesidesStandsInUntilTheFileIsRead) {
  config_.token = "given";
  folder_.Remove("token");
  const auto source = Make();
  EXPECT_EQ(Authorization(*source), "Bearer given");
  folder_.Write("token", "first");
  clock_.Advance(absl::Seconds(10));
  EXPECT_EQ(Authorization(*source), "Bearer first");
  folder_.Remove("token");
  clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(Authorization(*source), "Bearer first");
}

TEST_F(TokenFileTest, TheFileWinsOverTheToken) {
  config_.token = "given";
  EXPECT_EQ(Authorization(*Make()), "Bearer first");
}

// A header must not be forged by a token, nor the token be quoted.
TEST_F(TokenFileTest, ATokenWithALineBreakInsideIsRefused) {
  folder_.Write("token", "s3cret\r\nX-Remote-User: admin");
  EXPECT_THAT(Authorization(*Make()),
              AllOf(HasSubstr("blanks or line breaks"), Not(HasSubstr("s3cret"))));
}

// RenewedCredentials itself.

class RenewedCredentialsTest : public CredentialsTest {
 protected:
  using Result = absl::StatusOr<Fetched>;

  static Fetched Good(const std::string& authorization,
                      absl::Duration fresh_for = absl::InfiniteDuration(),
                      absl::Duration valid_for = absl::InfiniteDuration()) {
    return {authorization, nullptr, fresh_for, valid_for};
  }

  std::unique_ptr<RenewedCredentials> Make(RenewedCredentials::Fetch fetch,
                                           RenewedCredentials::Policy policy = {}) {
    return std::make_unique<RenewedCredentials>(std::move(fetch), policy, clock_,
                                                options_.on_warning);
  }
};

TEST_F(RenewedCredentialsTest, AreFetchedOnceWhileTheyAreFresh) {
  int fetches = 0;
  const auto source = Make([&](base::Context&) -> Result {
    return Good("t" + std::to_string(++fetches), absl::Minutes(5));
  });
  EXPECT_EQ(Authorization(*source), "t1");
  clock_.Advance(absl::Minutes(5) - absl::Nanoseconds(1));
  EXPECT_EQ(Authorization(*source), "t1");
  clock_.Advance(absl::Nanoseconds(1));
  EXPECT_EQ(Authorization(*source), "t2");
}

TEST_F(RenewedCredentialsTest, AFailedFetchLeavesTheOldOnesUntilTheyExpire) {
  bool works = true;
  const auto source = Make([&](base::Context&) -> Result {
    if (!works) return absl::FailedPreconditionError("no more");
    return Good("t", absl::Minutes(5), absl::Minutes(6));
  });
  EXPECT_EQ(Authorization(*source), "t");
  works = false;
  clock_.Advance(absl::Minutes(5));
  EXPECT_EQ(Authorization(*source), "t");
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("no more")));
  clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(Authorization(*source), "no more");
}

TEST_F(RenewedCredentialsTest, ConcurrentCallersStartOneFetch) {
  std::atomic<int> fetches{0};
  std::latch begun(1);
  std::latch go_on(1);
  const auto source = Make([&](base::Context&) -> Result {
    ++fetches;
    begun.count_down();
    go_on.wait();
    return Good("t");
  });
  std::vector<std::thread> callers;
  std::atomic<int> good{0};
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&] {
      base::Context context;
      good += Authorization(source->Get(context)) == "t" ? 1 : 0;
    });
  }
  begun.wait();
  go_on.count_down();
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(fetches, 1);
  EXPECT_EQ(good, 8);
}

TEST_F(RenewedCredentialsTest, OthersUseTheOldOnesDuringAFetch) {
  int fetches = 0;
  std::function<void()> meanwhile;
  const auto source = Make([&](base::Context&) -> Result {
    if (meanwhile) meanwhile();
    return Good("t" + std::to_string(++fetches), absl::Minutes(5), absl::Minutes(6));
  });
  EXPECT_EQ(Authorization(*source), "t1");
  clock_.Advance(absl::Minutes(5));
  std::string seen;
  meanwhile = [&] { seen = Authorization(*source); };
  EXPECT_EQ(Authorization(*source), "t2");
  EXPECT_EQ(seen, "t1");
}

TEST_F(RenewedCredentialsTest, WaitingForAFetchEndsWithTheOwnContext) {
  std::latch begun(1);
  std::latch go_on(1);
  const auto source = Make([&](base::Context&) -> Result {
    begun.count_down();
    go_on.wait();
    return Good("t");
  });
  std::thread fetching([&] {
    base::Context context;
    EXPECT_EQ(Authorization(source->Get(context)), "t");
  });
  begun.wait();
  base::Context impatient(absl::Milliseconds(1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(source->Get(impatient).status()));
  base::Context cancelled;
  std::thread canceller([&] { cancelled.Cancel(); });
  EXPECT_TRUE(absl::IsCancelled(source->Get(cancelled).status()));
  canceller.join();
  go_on.count_down();
  fetching.join();
}

TEST_F(RenewedCredentialsTest, AFetchThatFailsFailsThoseWhoWaitedForIt) {
  std::atomic<int> fetches{0};
  std::latch begun(1);
  std::latch go_on(1);
  const auto source = Make([&](base::Context&) -> Result {
    if (++fetches == 1) begun.count_down();
    go_on.wait();
    return absl::FailedPreconditionError("no");
  });
  base::Context first_context;
  std::thread first([&] { EXPECT_EQ(Authorization(source->Get(first_context)), "no"); });
  begun.wait();
  std::thread second([&] {
    base::Context context;
    EXPECT_EQ(Authorization(source->Get(context)), "no");
  });
  go_on.count_down();
  first.join();
  second.join();
}

// The one who fetches goes away: that says nothing about the credentials.
TEST_F(RenewedCredentialsTest, AnAbandonedFetchIsTakenOverByAnother) {
  std::atomic<int> fetches{0};
  std::latch begun(1);
  const auto source = Make([&](base::Context& context) -> Result {
    if (++fetches > 1) return Good("t");
    begun.count_down();
    return base::SystemSleeper().Sleep(absl::InfiniteDuration(), context);
  });
  base::Context first_context;
  std::thread first([&] { EXPECT_TRUE(absl::IsCancelled(source->Get(first_context).status())); });
  begun.wait();
  std::thread second([&] {
    base::Context context;
    EXPECT_EQ(Authorization(source->Get(context)), "t");
  });
  first_context.Cancel();
  first.join();
  second.join();
  EXPECT_EQ(fetches, 2);
}

TEST_F(RenewedCredentialsTest, ARejectionFetchesAgain) {
  int fetches = 0;
  const auto source =
      Make([&](base::Context&) -> Result { return Good("t" + std::to_string(++fetches)); });
  const auto first = source->Get(context_);
  EXPECT_TRUE(source->Reject(*first));
  EXPECT_EQ(Authorization(*source), "t2");
}

TEST_F(RenewedCredentialsTest, ManyRejectionsOfTheSameFetchOnce) {
  int fetches = 0;
  const auto source =
      Make([&](base::Context&) -> Result { return Good("t" + std::to_string(++fetches)); },
           {.min_rejection_interval = absl::Seconds(5), .usable_after_rejection = false});
  const auto first = source->Get(context_);
  EXPECT_TRUE(source->Reject(*first));
  EXPECT_EQ(Authorization(*source), "t2");
  EXPECT_TRUE(source->Reject(*first));
  EXPECT_EQ(Authorization(*source), "t2");
}

// A server that rejects everything must not cause a fetch per request.
TEST_F(RenewedCredentialsTest, RejectionsInARowFetchAtIntervals) {
  int fetches = 0;
  const auto source =
      Make([&](base::Context&) -> Result { return Good("t" + std::to_string(++fetches)); },
           {.min_rejection_interval = absl::Seconds(5), .usable_after_rejection = false});
  EXPECT_TRUE(source->Reject(*source->Get(context_)));
  EXPECT_EQ(Authorization(*source), "t2");
  EXPECT_FALSE(source->Reject(*source->Get(context_)));
  EXPECT_EQ(Authorization(*source), "t2");
  clock_.Advance(absl::Seconds(5));
  EXPECT_TRUE(source->Reject(*source->Get(context_)));
  EXPECT_EQ(Authorization(*source), "t3");
}

TEST_F(RenewedCredentialsTest, RejectedOnesThatCannotBeRenewedAreNotUsed) {
  bool works = true;
  const auto source = Make([&](base::Context&) -> Result {
    if (!works) return absl::FailedPreconditionError("no more");
    return Good("t");
  });
  EXPECT_TRUE(source->Reject(*source->Get(context_)));
  works = false;
  EXPECT_EQ(Authorization(*source), "no more");
}

// The same certificate again must not cost the connections made with it.
TEST_F(RenewedCredentialsTest, AnEqualCertificateStaysTheSameObject) {
  std::string key = "key";
  const auto source = Make([&](base::Context&) -> Result {
    Fetched fetched = Good("t", absl::Minutes(1));
    fetched.client_certificate =
        std::make_shared<const ClientCertificate>(ClientCertificate{"certificate", key});
    return fetched;
  });
  const auto first = source->Get(context_)->client_certificate;
  clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(source->Get(context_)->client_certificate, first);
  key = "other";
  clock_.Advance(absl::Minutes(1));
  EXPECT_NE(source->Get(context_)->client_certificate, first);
}

// Exec plugins.

constexpr char kV1[] = "client.authentication.k8s.io/v1";

class ExecPluginTest : public CredentialsTest {
 protected:
  ExecPluginTest() {
    config_.server = "https://api.test:6443";
    config_.source = "context \"dev\" of /config";
    config_.exec.emplace();
    config_.exec->api_version = kV1;
  }

  // The plugin notes each run and then does this.
  void Plugin(const std::string& commands) {
    config_.exec->command =
        folder_.WriteScript("plugin", "echo run >> " + folder_.path() + "/runs\n" + commands);
  }
  // The plugin prints an ExecCredential with this status.
  void PluginPrints(const std::string& status) {
    folder_.Write("credential", R"({"apiVersion":"client.authentication.k8s.io/v1",
                                    "kind":"ExecCredential","status":)" +
                                    status + "}");
    Plugin("cat " + folder_.path() + "/credential");
  }
  std::size_t Runs() const {
    const std::string runs = folder_.Read("runs");
    return static_cast<std::size_t>(std::count(runs.begin(), runs.end(), '\n'));
  }
};

TEST_F(ExecPluginTest, ItsTokenIsSent) {
  PluginPrints(R"({"token":"abc"})");
  const auto source = Make();
  EXPECT_EQ(Authorization(*source), "Bearer abc");
  clock_.Advance(absl::Hours(1000));
  EXPECT_EQ(Authorization(*source), "Bearer abc");
  EXPECT_EQ(Runs(), 1u);
}

TEST_F(ExecPluginTest, TheOlderVersionWorksToo) {
  config_.exec->api_version = "client.authentication.k8s.io/v1beta1";
  Plugin(R"(echo '{"apiVersion":"client.authentication.k8s.io/v1beta1",)"
         R"("kind":"ExecCredential","status":{"token":"abc"}}')");
  EXPECT_EQ(Authorization(*Make()), "Bearer abc");
}

TEST_F(ExecPluginTest, GetsItsArgumentsItsEnvironmentAndWhatIsAskedOfIt) {
  Plugin("printf '%s\\n' \"$#\" \"$1\" \"$2\" \"$REGION\" > " + folder_.path() + "/seen\n" +
         "printf %s \"$KUBERNETES_EXEC_INFO\" > " + folder_.path() + "/info\nexit 1");
  config_.exec->arguments = {"--as", "two words"};
  config_.exec->environment = {{"REGION", "eu"}};
  Authorization(*Make());
  EXPECT_EQ(folder_.Read("seen"), "2\n--as\ntwo words\neu\n");
  EXPECT_EQ(nlohmann::json::parse(folder_.Read("info")),
            nlohmann::json::parse(R"({"apiVersion":"client.authentication.k8s.io/v1",
                "kind":"ExecCredential","spec":{"interactive":false}})"));
}

TEST_F(ExecPluginTest, IsToldAboutTheClusterWhenItAsks) {
  Plugin("printf %s \"$KUBERNETES_EXEC_INFO\" > " + folder_.path() + "/info\nexit 1");
  config_.exec->provide_cluster_info = true;
  config_.exec->cluster_extension_json = R"({"audience":"me"})";
  config_.tls.ca.file = folder_.Write("ca.crt", "the authority");
  config_.tls.server_name = "other.test";
  config_.proxy_url = "http://proxy.test:1";
  Authorization(*Make());
  EXPECT_EQ(nlohmann::json::parse(folder_.Read("info"))["spec"],
            nlohmann::json::parse(R"({"interactive":false,"cluster":{
                "server":"https://api.test:6443","tls-server-name":"other.test",
                "proxy-url":"http://proxy.test:1","config":{"audience":"me"},
                "certificate-authority-data":")" +
                                  absl::Base64Escape("the authority") + "\"}}"));
}

TEST_F(ExecPluginTest, RunsAgainShortlyBeforeTheExpiry) {
  // The fake clock stands at 2023-11-14T22:13:20Z.
  PluginPrints(R"({"token":"first","expirationTimestamp":"2023-11-14T23:13:20Z"})");
  const auto source = Make();
  EXPECT_EQ(Authorization(*source), "Bearer first");
  PluginPrints(R"({"token":"second","expirationTimestamp":"2023-11-15T23:13:20Z"})");
  clock_.Advance(absl::Minutes(59) - absl::Seconds(1));
  EXPECT_EQ(Authorization(*source), "Bearer first");
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(Authorization(*source), "Bearer second");
  EXPECT_EQ(Runs(), 2u);
}

TEST_F(ExecPluginTest, AShortLifeIsNotRenewedAllTheTime) {
  PluginPrints(R"({"token":"first","expirationTimestamp":"2023-11-14T22:13:30Z"})");
  const auto source = Make();
  EXPECT_EQ(Authorization(*source), "Bearer first");
  clock_.Advance(absl::Seconds(8));
  EXPECT_EQ(Authorization(*source), "Bearer first");
  EXPECT_EQ(Runs(), 1u);
}

TEST_F(ExecPluginTest, TheOldTokenStaysUntilItExpires) {
  PluginPrints(R"({"token":"first","expirationTimestamp":"2023-11-14T23:13:20Z"})");
  const auto source = Make();
  EXPECT_EQ(Authorization(*source), "Bearer first");
  Plugin("exit 1");
  clock_.Advance(absl::Minutes(59));
  EXPECT_EQ(Authorization(*source), "Bearer first");
  clock_.Advance(absl::Minutes(1));
  EXPECT_THAT(Authorization(*source), HasSubstr("exited with code 1"));
}

TEST_F(ExecPluginTest, RunsAgainWhenTheServerRejectsTheToken) {
  PluginPrints(R"({"token":"first"})");
  const auto source = Make();
  const auto first = source->Get(context_);
  PluginPrints(R"({"token":"second"})");
  EXPECT_TRUE(source->Reject(*first));
  EXPECT_EQ(Authorization(*source), "Bearer second");
}

TEST_F(ExecPluginTest, ItsCertificateIsPresented) {
  const TestAuthority authority("test authority");
  const ClientCertificate pair = authority.Issue("me", "");
  PluginPrints(nlohmann::json{
      {"clientCertificateData", pair.certificate},
      {"clientKeyData",
       pair.key}}.dump());
  const auto credentials = Make()->Get(context_);
  ASSERT_TRUE(credentials.ok()) << credentials.status();
  EXPECT_EQ(credentials->authorization, "");
  ASSERT_NE(credentials->client_certificate, nullptr);
  EXPECT_EQ(*credentials->client_certificate, pair);
}

TEST_F(ExecPluginTest, IsKilledAfterItsTime) {
  options_.exec_timeout = absl::Milliseconds(50);
  Plugin("exec tail -f /dev/null");
  const auto credentials = Make()->Get(context_);
  EXPECT_TRUE(absl::IsDeadlineExceeded(credentials.status()));
  EXPECT_THAT(std::string(credentials.status().message()),
              AllOf(HasSubstr(config_.exec->command), HasSubstr(config_.source),
                    HasSubstr("it took longer than 50ms")));
}

TEST_F(ExecPluginTest, IsKilledWhenTheCallerGoesAway) {
  Plugin("exec tail -f /dev/null");
  std::thread canceller([&] { context_.Cancel(); });
  EXPECT_TRUE(absl::IsCancelled(Make()->Get(context_).status()));
  canceller.join();
}

TEST_F(ExecPluginTest, AMissingOneIsReportedWithItsHint) {
  config_.exec->command = "gantry-test-no-such-plugin";
  config_.exec->install_hint = "install it from example.com";
  EXPECT_THAT(Authorization(*Make()),
              AllOf(HasSubstr("gantry-test-no-such-plugin"), HasSubstr("No such file"),
                    HasSubstr("install it from example.com")));
}

struct GarbageCase {
  const char* name;
  std::string output;
  std::string message;
};

class ExecPluginGarbageTest : public ExecPluginTest,
                              public ::testing::WithParamInterface<GarbageCase> {};

TEST_P(ExecPluginGarbageTest, IsAnErrorThatQuotesNothing) {
  folder_.Write("credential", GetParam().output);
  Plugin("cat " + folder_.path() + "/credential; echo S3CRET >&2");
  EXPECT_THAT(Authorization(*Make()),
              AllOf(HasSubstr(config_.exec->command), HasSubstr(config_.source),
                    HasSubstr(GetParam().message), Not(HasSubstr("S3CRET"))));
}

std::string Printed(const std::string& status) {
  return R"({"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":)" +
         status + "}";
}

INSTANTIATE_TEST_SUITE_P(
    All, ExecPluginGarbageTest,
    ::testing::ValuesIn(std::vector<GarbageCase>{
        {"Nothing", "", "did not print an ExecCredential in JSON"},
        {"AText", "S3CRET", "did not print an ExecCredential in JSON"},
        {"AList", R"(["S3CRET"])", "did not print an ExecCredential in JSON"},
        {"AnotherKind", R"({"kind":"Secret","token":"S3CRET"})", "did not print an ExecCredential"},
        {"AnotherVersion",
         R"({"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential",
             "status":{"token":"S3CRET"}})",
         "of another apiVersion than client.authentication.k8s.io/v1"},
        {"NoStatus", R"({"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential"})",
         "without a status"},
        {"StatusOfAnotherType", Printed("\"S3CRET\""), "without a status"},
        {"EmptyStatus", Printed("{}"), "neither a token nor a client certificate"},
        {"TokenOfAnotherType", Printed(R"({"token":["S3CRET"]})"), "neither a token nor"},
        {"CertificateAlone", Printed(R"({"clientCertificateData":"S3CRET"})"),
         "only one of clientCertificateData and clientKeyData"},
        {"KeyAlone", Printed(R"({"token":"x","clientKeyData":"S3CRET"})"), "only one of"},
        {"CertificateThatIsNone",
         Printed(R"({"clientCertificateData":"S3CRET","clientKeyData":"S3CRET"})"),
         "a pair that cannot be used"},
        {"TokenWithALineBreak", Printed(R"({"token":"S3CRET\nS3CRET"})"), "blanks or line breaks"},
        {"ExpiryThatIsNoTime", Printed(R"({"token":"S3CRET","expirationTimestamp":"soon"})"),
         "not an RFC 3339 time"},
    }),
    [](const auto& test) { return test.param.name; });

TEST_F(ExecPluginTest, AFailureQuotesNothing) {
  Plugin("echo S3CRET; echo S3CRET >&2; exit 3");
  config_.exec->arguments = {"--password=S3CRET"};
  config_.exec->environment = {{"PASSWORD", "S3CRET"}};
  EXPECT_THAT(Authorization(*Make()),
              AllOf(HasSubstr("exited with code 3"), Not(HasSubstr("S3CRET"))));
}

TEST_F(ExecPluginTest, ATokenGivenBesidesWins) {
  PluginPrints(R"({"token":"of-the-plugin"})");
  config_.token = "given";
  EXPECT_EQ(Authorization(*Make()), "Bearer given");
  EXPECT_EQ(Runs(), 0u);
}

}  // namespace
}  // namespace gantry::kubernetes
