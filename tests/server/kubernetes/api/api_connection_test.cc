// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/api/api_connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "tests/server/kubernetes/fakes.h"

namespace gantry::kubernetes {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr Verb kVerbs[] = {Verb::kGet,    Verb::kList,  Verb::kCreate,
                           Verb::kUpdate, Verb::kPatch, Verb::kDelete};

using ScriptedAnswer = absl::StatusOr<HttpResponse>;

ScriptedAnswer Response(int status, std::optional<absl::Duration> retry_after = std::nullopt) {
  HttpResponse response;
  response.status = status;
  response.body = "{}";
  response.retry_after = retry_after;
  return response;
}
ScriptedAnswer ConnectionLost(WriteOutcome outcome = WriteOutcome::kUnknown) {
  return MakeError({.kind = ErrorKind::kUnreachable, .outcome = outcome}, "the line is dead");
}

// Counts up with each rejection.
class FakeCredentials final : public CredentialSource {
 public:
  absl::StatusOr<Credentials> Get(base::Context&) override {
    if (!error.ok()) return error;
    return Credentials{"Bearer t" + std::to_string(generation), certificate, generation};
  }
  bool Reject(const Credentials& rejected) override {
    rejections.push_back(rejected.authorization);
    ++generation;
    return renewable;
  }

  bool renewable = true;
  absl::Status error;
  std::uint64_t generation = 1;
  std::shared_ptr<const ClientCertificate> certificate;
  std::vector<std::string> rejections;
};

class ApiConnectionTest : public ::testing::Test {
 protected:
  ApiConnectionTest() {
    options_.user_agent = "gantry-test/1";
    options_.qps = 0;
    options_.clock = &clock_;
    options_.sleeper = &sleeper_;
    options_.random = &random_;
  }

  // With these answers, the last of which is given from then on.
  ApiConnection& Connect(std::deque<ScriptedAnswer> answers) {
    auto transport = std::make_unique<FakeTransport>(
        [this, answers = std::move(answers)](const HttpRequest& request,
                                             base::Context& context) mutable {
          if (on_send_) on_send_(request, context);
          ScriptedAnswer answer = answers.front();
          if (answers.size() > 1) answers.pop_front();
          return answer;
        });
    transport_ = transport.get();
    auto credentials = std::make_unique<FakeCredentials>();
    credentials_ = credentials.get();
    connection_ = std::make_unique<ApiConnection>(std::move(transport), std::move(credentials),
                                                  impersonation_, options_);
    return *connection_;
  }

  static ApiRequest Request(Verb verb) {
    ApiRequest request;
    request.target.verb = verb;
    request.target.resource = {"argoproj.io", "v1alpha1", "applications"};
    request.target.ns = "argocd";
    request.target.name = "guestbook";
    return request;
  }
  absl::Status Call(ApiConnection& connection, Verb verb) {
    return connection.Call(Request(verb), context_).status();
  }

  FakeClock clock_;
  FakeSleeper sleeper_{clock_};
  FixedRandom random_{0.0};
  ClientOptions options_;
  Impersonation impersonation_;
  base::Context context_;
  std::function<void(const HttpRequest&, base::Context&)> on_send_;
  std::unique_ptr<ApiConnection> connection_;
  FakeTransport* transport_ = nullptr;
  FakeCredentials* credentials_ = nullptr;
};

// Notes how long it should have slept. Time stands still, so that who waits goes on waiting.
class StillSleeper final : public base::Sleeper {
 public:
  absl::Status Sleep(absl::Duration duration, base::Context&) override {
    delays.push_back(duration);
    return absl::OkStatus();
  }
  std::vector<absl::Duration> delays;
};

TEST_F(ApiConnectionTest, AQueueOfTheBackgroundDoesNotSlowTheForeground) {
  StillSleeper sleeper;
  options_.sleeper = &sleeper;
  options_.qps = 10;
  options_.burst = 1;
  ApiConnection& connection = Connect({Response(200)});
  ApiRequest background = Request(Verb::kPatch);
  background.traffic = Traffic::kBackground;
  for (int i = 0; i <= 5000; ++i) ASSERT_TRUE(connection.Call(background, context_).ok());
  ASSERT_THAT(sleeper.delays, SizeIs(5000));
  EXPECT_EQ(sleeper.delays.back(), absl::Seconds(500));

  ASSERT_TRUE(Call(connection, Verb::kPatch).ok());
  EXPECT_THAT(sleeper.delays, SizeIs(5000)) << "it did not wait";
  // Its own bucket is limited as well.
  ASSERT_TRUE(Call(connection, Verb::kPatch).ok());
  EXPECT_EQ(sleeper.delays.back(), absl::Milliseconds(100));
}

TEST_F(ApiConnectionTest, WithoutALimitNobodyWaits) {
  options_.qps = 0;
  ApiConnection& connection = Connect({Response(200)});
  for (int i = 0; i < 5000; ++i) ASSERT_TRUE(Call(connection, Verb::kPatch).ok());
  EXPECT_THAT(sleeper_.delays, IsEmpty());
}

// What is sent.

TEST_F(ApiConnectionTest, SendsMethodPathHeadersAndBody) {
  ApiRequest request = Request(Verb::kPatch);
  request.body = "[]";
  request.content_type = "application/json-patch+json";
  ASSERT_TRUE(Connect({Response(200)}).Call(request, context_).ok());
  ASSERT_THAT(transport_->sent, SizeIs(1));
  const FakeTransport::Sent& sent = transport_->sent[0];
  EXPECT_EQ(sent.method, "PATCH");
  EXPECT_EQ(sent.target, "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/guestbook");
  EXPECT_EQ(sent.body, "[]");
  EXPECT_EQ(sent.Header("Content-Type"), "application/json-patch+json");
  EXPECT_EQ(sent.Header("Accept"), "application/json");
  EXPECT_EQ(sent.Header("User-Agent"), "gantry-test/1");
  EXPECT_EQ(sent.Header("Authorization"), "Bearer t1");
  EXPECT_EQ(sent.Header("Impersonate-User"), "");
}

TEST_F(ApiConnectionTest, OnlyReadsOfObjectsAreCompressed) {
  for (const Verb verb : kVerbs) {
    ASSERT_TRUE(Call(Connect({Response(200)}), verb).ok());
    EXPECT_EQ(transport_->sent[0].accept_compression, verb == Verb::kGet || verb == Verb::kList);
  }
}

TEST_F(ApiConnectionTest, ImpersonatesWhoIsConfigured) {
  impersonation_ = {"robot", "7", {"g1", "g2"}, {{"a/b", "x"}, {"a/b", "y"}}};
  ASSERT_TRUE(Call(Connect({Response(200)}), Verb::kGet).ok());
  using Header = std::pair<std::string, std::string>;
  EXPECT_THAT(
      transport_->sent[0].headers,
      ::testing::IsSupersetOf({Header{"Impersonate-User", "robot"}, Header{"Impersonate-Uid", "7"},
                               Header{"Impersonate-Group", "g1"}, Header{"Impersonate-Group", "g2"},
                               Header{"Impersonate-Extra-a%2Fb", "x"},
                               Header{"Impersonate-Extra-a%2Fb", "y"}}));
}

TEST_F(ApiConnectionTest, PresentsTheCertificateOfTheCredentials) {
  ApiConnection& connection = Connect({Response(200)});
  credentials_->certificate = std::make_shared<const ClientCertificate>();
  ASSERT_TRUE(Call(connection, Verb::kGet).ok());
  EXPECT_EQ(transport_->sent[0].client_certificate, credentials_->certificate);
}

TEST_F(ApiConnectionTest, ANameThatIsNoneIsNotSent) {
  ApiRequest request = Request(Verb::kDelete);
  request.target.name = "../secrets";
  const auto response = Connect({Response(200)}).Call(request, context_);
  EXPECT_EQ(KindOf(response.status()), ErrorKind::kRefused);
  EXPECT_TRUE(CertainlyNotWritten(response.status()));
  EXPECT_THAT(transport_->sent, IsEmpty());
}

TEST_F(ApiConnectionTest, AnAttemptHasItsOwnTimeLimitWithinTheDeadline) {
  ApiConnection& connection = Connect({Response(200)});
  ASSERT_TRUE(Call(connection, Verb::kGet).ok());
  ApiRequest longer = Request(Verb::kList);
  longer.attempt_factor = 10;
  ASSERT_TRUE(connection.Call(longer, context_).ok());
  base::Context hurried(absl::Seconds(5));
  ASSERT_TRUE(connection.Call(Request(Verb::kGet), hurried).ok());
  EXPECT_LE(transport_->sent[0].time_left, absl::Seconds(30));
  EXPECT_GT(transport_->sent[0].time_left, absl::Seconds(5));
  EXPECT_GT(transport_->sent[1].time_left, absl::Seconds(30));
  EXPECT_LE(transport_->sent[1].time_left, absl::Seconds(300));
  EXPECT_LE(transport_->sent[2].time_left, absl::Seconds(5));
}

// Retries.

TEST_F(ApiConnectionTest, WhatTheServerAsksForIsWaitedForAnyVerb) {
  for (const Verb verb : kVerbs) {
    sleeper_.delays.clear();
    EXPECT_TRUE(Call(Connect({Response(429, absl::Seconds(1)), Response(503, absl::Seconds(2)),
                              Response(200)}),
                     verb)
                    .ok());
    EXPECT_THAT(sleeper_.delays, ElementsAre(absl::Seconds(1), absl::Seconds(2)));
    EXPECT_THAT(transport_->sent, SizeIs(3));
  }
}

TEST_F(ApiConnectionTest, AfterTenTriesAServerThatIsBusyIsAnError) {
  const absl::Status status = Call(Connect({Response(429, absl::Seconds(1))}), Verb::kPatch);
  EXPECT_EQ(KindOf(status), ErrorKind::kThrottled);
  EXPECT_EQ(DetailOf(status).retry_after, absl::Seconds(1));
  EXPECT_TRUE(CertainlyNotWritten(status));
  EXPECT_THAT(std::string(status.message()),
              AllOf(StartsWith("patch applications.argoproj.io argocd/guestbook: HTTP 429"),
                    HasSubstr("gave up after 10 attempts")));
  EXPECT_THAT(transport_->sent, SizeIs(10));
  EXPECT_THAT(sleeper_.delays,
              ElementsAre(absl::Seconds(1), absl::Seconds(1), absl::Seconds(1), absl::Seconds(1),
                          absl::Seconds(1), absl::Milliseconds(1600), absl::Milliseconds(2500),
                          absl::Milliseconds(2500), absl::Milliseconds(2500)));
}

TEST_F(ApiConnectionTest, ALostConnectionIsTriedFiveTimesForReads) {
  for (const Verb verb : {Verb::kGet, Verb::kList}) {
    sleeper_.delays.clear();
    const absl::Status status = Call(Connect({ConnectionLost()}), verb);
    EXPECT_EQ(KindOf(status), ErrorKind::kUnreachable);
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("the line is dead"), HasSubstr("gave up after 5 attempts")));
    EXPECT_THAT(sleeper_.delays, ElementsAre(absl::Milliseconds(50), absl::Milliseconds(100),
                                             absl::Milliseconds(200), absl::Milliseconds(400)));
    EXPECT_THAT(transport_->sent, SizeIs(5));
  }
}

TEST_F(ApiConnectionTest, ALostConnectionIsNotTriedAgainForWrites) {
  for (const Verb verb : {Verb::kCreate, Verb::kUpdate, Verb::kPatch, Verb::kDelete}) {
    for (const WriteOutcome outcome : {WriteOutcome::kUnknown, WriteOutcome::kNotWritten}) {
      const absl::Status status = Call(Connect({ConnectionLost(outcome)}), verb);
      EXPECT_EQ(KindOf(status), ErrorKind::kUnreachable);
      EXPECT_EQ(CertainlyNotWritten(status), outcome == WriteOutcome::kNotWritten);
      EXPECT_THAT(transport_->sent, SizeIs(1));
    }
  }
  EXPECT_THAT(sleeper_.delays, IsEmpty());
}

TEST_F(ApiConnectionTest, ASlowAttemptIsTriedAgainForReads) {
  const ScriptedAnswer slow = MakeError(
      {.kind = ErrorKind::kDeadlineExceeded, .outcome = WriteOutcome::kUnknown}, "the time was up");
  EXPECT_TRUE(Call(Connect({slow, Response(200)}), Verb::kGet).ok());
  const absl::Status status = Call(Connect({slow}), Verb::kPatch);
  EXPECT_EQ(KindOf(status), ErrorKind::kDeadlineExceeded);
  EXPECT_FALSE(CertainlyNotWritten(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("the limit of 30s for one attempt"));
}

TEST_F(ApiConnectionTest, OtherErrorsAreNotTriedAgain) {
  for (const int code : {400, 403, 404, 409, 410, 413, 415, 422, 500, 502, 503, 504}) {
    EXPECT_FALSE(Call(Connect({Response(code)}), Verb::kGet).ok());
    EXPECT_THAT(transport_->sent, SizeIs(1)) << code;
  }
  EXPECT_THAT(sleeper_.delays, IsEmpty());
}

TEST_F(ApiConnectionTest, AWaitBeyondTheDeadlineIsNotBegun) {
  base::Context context(absl::Seconds(60));
  const absl::Status status =
      Connect({Response(429, absl::Seconds(90))}).Call(Request(Verb::kPatch), context).status();
  EXPECT_EQ(KindOf(status), ErrorKind::kThrottled);
  EXPECT_EQ(DetailOf(status).retry_after, absl::Seconds(90));
  EXPECT_EQ(DetailOf(status).http_status, 429);
  EXPECT_TRUE(CertainlyNotWritten(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("another attempt is due in 1m30s"));
  EXPECT_THAT(sleeper_.delays, IsEmpty());
}

TEST_F(ApiConnectionTest, CancellationEndsTheWait) {
  ApiConnection& connection = Connect({Response(429, absl::Seconds(1))});
  sleeper_.before_waking = [&] { context_.Cancel(); };
  const absl::Status status = Call(connection, Verb::kPatch);
  EXPECT_EQ(KindOf(status), ErrorKind::kCancelled);
  EXPECT_TRUE(CertainlyNotWritten(status));
  EXPECT_THAT(std::string(status.message()),
              AllOf(StartsWith("patch applications.argoproj.io argocd/guestbook: "),
                    HasSubstr("while waiting for another attempt after: "), HasSubstr("429")));
  EXPECT_THAT(transport_->sent, SizeIs(1));
}

TEST_F(ApiConnectionTest, ACancelledCallIsNotTriedAgain) {
  on_send_ = [&](const HttpRequest&, base::Context&) { context_.Cancel(); };
  ApiConnection& connection = Connect({MakeError({.kind = ErrorKind::kCancelled}, "cancelled")});
  EXPECT_EQ(KindOf(Call(connection, Verb::kGet)), ErrorKind::kCancelled);
  EXPECT_THAT(transport_->sent, SizeIs(1));
}

// What is known of a write.

struct OutcomeCase {
  const char* name;
  std::deque<ScriptedAnswer> answers;
  bool certainly_not_written;
};
void PrintTo(const OutcomeCase& test, std::ostream* out) { *out << test.name; }

class WriteOutcomeOfCallsTest : public ApiConnectionTest,
                                public ::testing::WithParamInterface<OutcomeCase> {};

TEST_P(WriteOutcomeOfCallsTest, IsAsExpected) {
  ApiConnection& connection = Connect(GetParam().answers);
  EXPECT_EQ(CertainlyNotWritten(Call(connection, Verb::kPatch)), GetParam().certainly_not_written);
  EXPECT_THAT(transport_->sent, SizeIs(GetParam().answers.size()));
}

INSTANTIATE_TEST_SUITE_P(
    All, WriteOutcomeOfCallsTest,
    ::testing::ValuesIn(std::vector<OutcomeCase>{
        {"Refused", {Response(422)}, true},
        {"ConflictAfterThrottling", {Response(429, absl::Seconds(1)), Response(409)}, true},
        {"ConflictAfterAServerError", {Response(503, absl::Seconds(1)), Response(409)}, false},
        {"ThrottledAfterAServerError",
         {Response(500, absl::Seconds(1)), Response(429, absl::Seconds(1)), Response(403)},
         false},
        {"ConflictAfterRenewedCredentials", {Response(401), Response(409)}, true},
        {"LostAfterThrottling", {Response(429, absl::Seconds(1)), ConnectionLost()}, false},
        {"NeverConnected", {ConnectionLost(WriteOutcome::kNotWritten)}, true},
        {"NeverConnectedAgain",
         {Response(429, absl::Seconds(1)), ConnectionLost(WriteOutcome::kNotWritten)},
         true},
        {"NeverConnectedAgainAfterAServerError",
         {Response(503, absl::Seconds(1)), ConnectionLost(WriteOutcome::kNotWritten)},
         false},
        {"RequestTimeout", {Response(408)}, false},
        {"ServerError", {Response(500)}, false},
        {"StillUnauthorized", {Response(401), Response(401)}, true},
    }),
    [](const auto& test) { return test.param.name; });

// Credentials.

TEST_F(ApiConnectionTest, RejectedCredentialsAreRenewedOnceForAnyVerb) {
  for (const Verb verb : kVerbs) {
    EXPECT_TRUE(Call(Connect({Response(401), Response(200)}), verb).ok());
    ASSERT_THAT(transport_->sent, SizeIs(2));
    EXPECT_EQ(transport_->sent[0].Header("Authorization"), "Bearer t1");
    EXPECT_EQ(transport_->sent[1].Header("Authorization"), "Bearer t2");
    EXPECT_THAT(credentials_->rejections, ElementsAre("Bearer t1"));
  }
  EXPECT_THAT(sleeper_.delays, IsEmpty());
}

TEST_F(ApiConnectionTest, CredentialsRejectedAgainAreAnError) {
  const absl::Status status = Call(Connect({Response(401)}), Verb::kGet);
  EXPECT_EQ(KindOf(status), ErrorKind::kUnauthorized);
  EXPECT_THAT(transport_->sent, SizeIs(2));
}

TEST_F(ApiConnectionTest, CredentialsThatCannotBeRenewedAreNotSentAgain) {
  ApiConnection& connection = Connect({Response(401)});
  credentials_->renewable = false;
  EXPECT_EQ(KindOf(Call(connection, Verb::kGet)), ErrorKind::kUnauthorized);
  EXPECT_THAT(transport_->sent, SizeIs(1));
}

TEST_F(ApiConnectionTest, WithoutCredentialsNothingIsSent) {
  ApiConnection& connection = Connect({Response(200)});
  credentials_->error = absl::FailedPreconditionError("the exec plugin aws is not there");
  const absl::Status status = Call(connection, Verb::kPatch);
  EXPECT_EQ(KindOf(status), ErrorKind::kUnauthorized);
  EXPECT_TRUE(CertainlyNotWritten(status));
  EXPECT_THAT(std::string(status.message()),
              AllOf(StartsWith("patch applications.argoproj.io argocd/guestbook: "),
                    HasSubstr("the exec plugin aws is not there")));
  EXPECT_THAT(transport_->sent, IsEmpty());
}

TEST_F(ApiConnectionTest, AContextThatEndsWhileCredentialsAreFetchedIsThat) {
  ApiConnection& connection = Connect({Response(200)});
  context_.Cancel();
  credentials_->error = absl::CancelledError("cancelled");
  EXPECT_EQ(KindOf(Call(connection, Verb::kPatch)), ErrorKind::kCancelled);
}

// The rate limit.

TEST_F(ApiConnectionTest, EachAttemptIsCountedByTheRateLimiter) {
  options_.qps = 1;
  options_.burst = 1;
  ApiConnection& connection = Connect({Response(429, absl::ZeroDuration()), Response(200)});
  ASSERT_TRUE(Call(connection, Verb::kGet).ok());
  // The backoff, and what is then left of the second.
  EXPECT_THAT(sleeper_.delays, ElementsAre(absl::Milliseconds(50), absl::Milliseconds(950)));
}

TEST_F(ApiConnectionTest, ATurnAfterTheDeadlineIsAnErrorAtOnce) {
  options_.qps = 0.001;
  options_.burst = 1;
  ApiConnection& connection = Connect({Response(200)});
  ASSERT_TRUE(Call(connection, Verb::kGet).ok());
  base::Context context(absl::Seconds(10));
  for (const Verb verb : {Verb::kGet, Verb::kPatch}) {
    const absl::Status status = connection.Call(Request(verb), context).status();
    EXPECT_EQ(KindOf(status), ErrorKind::kDeadlineExceeded);
    EXPECT_TRUE(CertainlyNotWritten(status));
    EXPECT_THAT(
        std::string(status.message()),
        AllOf(StartsWith(std::string(VerbName(verb)) + " applications"), HasSubstr("--kube-qps")));
  }
  EXPECT_THAT(transport_->sent, SizeIs(1));
  EXPECT_THAT(sleeper_.delays, IsEmpty());
}

// Metrics.

TEST_F(ApiConnectionTest, EachAttemptIsTold) {
  std::vector<std::string> told;
  options_.on_attempt = [&](const ApiTarget& target, int status, ErrorKind kind, absl::Duration) {
    told.push_back(std::string(VerbName(target.verb)) + " " + std::to_string(status) + " " +
                   std::string(ErrorKindName(kind)));
  };
  ASSERT_TRUE(Call(Connect({ConnectionLost(), Response(401), Response(429, absl::Seconds(1)),
                            Response(200)}),
                   Verb::kGet)
                  .ok());
  EXPECT_THAT(told, ElementsAre("get 0 Unreachable", "get 401 Unauthorized", "get 429 Throttled",
                                "get 200 None"));
}

// Streams.

class StreamTest : public ApiConnectionTest {
 protected:
  StreamTest() {
    target_ = Request(Verb::kWatch).target;
    target_.name = "";
    target_.query = {{"watch", "1"}};
  }
  absl::StatusOr<HttpResponse> Stream(ApiConnection& connection) {
    return connection.Stream(
        target_, absl::Seconds(40),
        [this](std::string_view chunk) {
          received_ += chunk;
          return true;
        },
        context_);
  }

  ApiTarget target_;
  std::string received_;
};

TEST_F(StreamTest, GivesTheBodyToTheSink) {
  on_send_ = [](const HttpRequest& request, base::Context& context) {
    EXPECT_TRUE(request.sink("one"));
    EXPECT_EQ(request.idle_timeout, absl::Seconds(40));
    EXPECT_EQ(context.Remaining(), absl::InfiniteDuration());
  };
  EXPECT_TRUE(Stream(Connect({Response(200)})).ok());
  EXPECT_EQ(received_, "one");
  EXPECT_EQ(transport_->sent[0].target,
            "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications?watch=1");
  EXPECT_FALSE(transport_->sent[0].accept_compression);
  EXPECT_EQ(transport_->sent[0].Header("Authorization"), "Bearer t1");
}

TEST_F(StreamTest, AListMayComeCompressed) {
  target_.verb = Verb::kList;
  EXPECT_TRUE(Stream(Connect({Response(200)})).ok());
  EXPECT_TRUE(transport_->sent[0].accept_compression);
}

TEST_F(StreamTest, TheIdleTimeoutMayBeChangedByTheSink) {
  on_send_ = [](const HttpRequest& request, base::Context&) {
    EXPECT_EQ(request.idle_timeout, absl::Seconds(10));
    EXPECT_TRUE(request.sink("one"));
    EXPECT_EQ(request.idle_timeout, absl::Seconds(40));
  };
  absl::Duration idle_timeout = absl::Seconds(10);
  EXPECT_TRUE(Connect({Response(200)})
                  .Stream(
                      target_, idle_timeout,
                      [&](std::string_view) {
                        idle_timeout = absl::Seconds(40);
                        return true;
                      },
                      context_)
                  .ok());
}

TEST_F(StreamTest, SilencesAreTold) {
  on_send_ = [](const HttpRequest& request, base::Context&) {
    EXPECT_EQ(request.quiet_after, absl::Seconds(2));
    request.on_quiet();
  };
  int silences = 0;
  EXPECT_TRUE(Connect({Response(200)})
                  .Stream(target_, absl::Seconds(40), [](std::string_view) { return true; },
                          context_, {absl::Seconds(2), [&] { ++silences; }})
                  .ok());
  EXPECT_EQ(silences, 1);
}

TEST_F(StreamTest, IsNotRepeated) {
  for (const ScriptedAnswer& answer :
       {Response(429, absl::Seconds(1)), Response(503, absl::Seconds(1)), Response(410),
        ConnectionLost()}) {
    EXPECT_FALSE(Stream(Connect({answer})).ok());
    EXPECT_THAT(transport_->sent, SizeIs(1));
  }
  EXPECT_THAT(sleeper_.delays, IsEmpty());
}

TEST_F(StreamTest, ErrorsAreTyped) {
  EXPECT_EQ(KindOf(Stream(Connect({Response(410)})).status()), ErrorKind::kExpired);
  const absl::Status status = Stream(Connect({ConnectionLost()})).status();
  EXPECT_EQ(KindOf(status), ErrorKind::kUnreachable);
  EXPECT_THAT(std::string(status.message()),
              StartsWith("watch applications.argoproj.io in namespace argocd: the line is dead"));
}

TEST_F(StreamTest, RejectedCredentialsAreRenewed) {
  EXPECT_TRUE(Stream(Connect({Response(401), Response(200)})).ok());
  EXPECT_THAT(transport_->sent, SizeIs(2));
}

TEST_F(StreamTest, IsNotCountedByTheRateLimiter) {
  options_.qps = 0.001;
  options_.burst = 1;
  ApiConnection& connection = Connect({Response(200)});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Stream(connection).ok());
  EXPECT_THAT(sleeper_.delays, IsEmpty());
}

}  // namespace
}  // namespace gantry::kubernetes
