// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/api/rest_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "server/kubernetes/api/error.h"
#include "tests/server/kubernetes/fakes.h"
#include "tests/server/kubernetes/scripted_server.h"
#include "tests/server/kubernetes/temporary_folder.h"
#include "tests/server/kubernetes/test_certificates.h"

namespace gantry::kubernetes {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr Resource kCalled = {"argoproj.io", "v1alpha1", "applications"};
constexpr char kCollection[] = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications";

using ScriptedAnswer = absl::StatusOr<HttpResponse>;

ScriptedAnswer Answered(int status, std::string body) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

class RestClientTest : public ::testing::Test {
 protected:
  RestClientTest() {
    options_.clock = &clock_;
    options_.sleeper = &sleeper_;
    options_.random = &random_;
  }

  // With these answers, the last of which is given from then on.
  Client& Connect(std::deque<ScriptedAnswer> answers) {
    auto transport = std::make_unique<FakeTransport>(
        [answers = std::move(answers)](const HttpRequest&, base::Context&) mutable {
          ScriptedAnswer answer = answers.front();
          if (answers.size() > 1) answers.pop_front();
          return answer;
        });
    transport_ = transport.get();
    connection_ = std::make_shared<ApiConnection>(
        std::move(transport), std::make_unique<FixedCredentials>(""), Impersonation(), options_);
    client_ = std::make_unique<RestClient>(connection_);
    return *client_;
  }

  // Lists everything in "argocd"; the items are in items_.
  absl::StatusOr<std::string> List(Client& client, const ListOptions& options = {}) {
    return client.List(
        kCalled, "argocd", options,
        [this](simdjson::padded_string_view item) {
          items_.emplace_back(item);
          return absl::OkStatus();
        },
        [this] { items_.emplace_back("restart"); }, context_);
  }

  FakeClock clock_;
  FakeSleeper sleeper_{clock_};
  FixedRandom random_{0.0};
  ClientOptions options_;
  base::Context context_;
  std::shared_ptr<ApiConnection> connection_;
  std::unique_ptr<RestClient> client_;
  FakeTransport* transport_ = nullptr;
  std::vector<std::string> items_;
};

// Single objects.

struct MethodCase {
  const char* name;
  absl::Status (*call)(Client&, base::Context&);
  std::string method;
  std::string target;
  std::string content_type;
  std::string body;
};
void PrintTo(const MethodCase& test, std::ostream* out) { *out << test.name; }

class MethodTest : public RestClientTest, public ::testing::WithParamInterface<MethodCase> {};

TEST_P(MethodTest, SendsTheRightRequest) {
  const absl::Status status = GetParam().call(Connect({Answered(200, "{}")}), context_);
  EXPECT_TRUE(status.ok()) << status;
  ASSERT_THAT(transport_->sent, SizeIs(1));
  EXPECT_EQ(transport_->sent[0].method, GetParam().method);
  EXPECT_EQ(transport_->sent[0].target, GetParam().target);
  EXPECT_EQ(transport_->sent[0].Header("Content-Type"), GetParam().content_type);
  EXPECT_EQ(transport_->sent[0].body, GetParam().body);
}

TEST_P(MethodTest, AnAnswerThatIsNoObjectIsMalformed) {
  const absl::Status status =
      GetParam().call(Connect({Answered(200, "<html>hello</html>")}), context_);
  EXPECT_EQ(KindOf(status), ErrorKind::kMalformedResponse);
  EXPECT_FALSE(CertainlyNotWritten(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("it begins \"<html>hello</html>\""));
}

TEST_P(MethodTest, GoesThroughItsOwnBucket) {
  options_.qps = 1;
  options_.burst = 1;
  Connect({Answered(200, "{}")});
  RestClient background(connection_, Traffic::kBackground);
  EXPECT_TRUE(GetParam().call(background, context_).ok());
  EXPECT_TRUE(GetParam().call(*client_, context_).ok());
  EXPECT_THAT(sleeper_.delays, IsEmpty());
  EXPECT_TRUE(GetParam().call(background, context_).ok());
  EXPECT_THAT(sleeper_.delays, ElementsAre(absl::Seconds(1)));
}

TEST_P(MethodTest, ErrorsNameTheObject) {
  const absl::Status status = GetParam().call(Connect({Answered(403, "")}), context_);
  EXPECT_EQ(KindOf(status), ErrorKind::kForbidden);
  EXPECT_THAT(std::string(status.message()), HasSubstr(" argocd/guestbook: HTTP 403"));
}

INSTANTIATE_TEST_SUITE_P(
    All, MethodTest,
    ::testing::ValuesIn(std::vector<MethodCase>{
        {"Get",
         [](Client& client, base::Context& context) {
           return client.Get(kCalled, "argocd", "guestbook", context).status();
         },
         "GET", std::string(kCollection) + "/guestbook", "", ""},
        {"Create",
         [](Client& client, base::Context& context) {
           return client.Create(kCalled, "argocd", "guestbook", R"({"a":1})", context).status();
         },
         "POST", kCollection, "application/json", R"({"a":1})"},
        {"Replace",
         [](Client& client, base::Context& context) {
           return client.Replace(kCalled, "argocd", "guestbook", R"({"a":1})", context).status();
         },
         "PUT", std::string(kCollection) + "/guestbook", "application/json", R"({"a":1})"},
        {"JsonPatch",
         [](Client& client, base::Context& context) {
           return client.JsonPatch(kCalled, "argocd", "guestbook", "[]", context).status();
         },
         "PATCH", std::string(kCollection) + "/guestbook", "application/json-patch+json", "[]"},
        {"MergePatch",
         [](Client& client, base::Context& context) {
           return client.MergePatch(kCalled, "argocd", "guestbook", "", "{}", context).status();
         },
         "PATCH", std::string(kCollection) + "/guestbook", "application/merge-patch+json", "{}"},
        {"MergePatchOfASubresource",
         [](Client& client, base::Context& context) {
           return client.MergePatch(kCalled, "argocd", "guestbook", "status", "{}", context)
               .status();
         },
         "PATCH", std::string(kCollection) + "/guestbook/status", "application/merge-patch+json",
         "{}"},
        {"Delete",
         [](Client& client, base::Context& context) {
           return client.Delete(kCalled, "argocd", "guestbook", context);
         },
         "DELETE", std::string(kCollection) + "/guestbook", "", ""},
    }),
    [](const auto& test) { return test.param.name; });

TEST_F(RestClientTest, GetReturnsTheBodyReadyForParsing) {
  const std::string body = R"({"kind":"Application","spec":{"x":[1,2,3]}})";
  const auto object = Connect({Answered(200, body)}).Get(kCalled, "argocd", "a", context_);
  ASSERT_TRUE(object.ok()) << object.status();
  EXPECT_EQ(object->text(), body);
  simdjson::dom::parser parser;
  EXPECT_EQ(parser.parse(object->padded()).error(), simdjson::SUCCESS);
}

TEST_F(RestClientTest, OnlyWhatBeginsAndEndsAsAnObjectIsTaken) {
  for (const std::string& body : std::vector<std::string>{
           "", " ", "null", "true", "7", "\"text\"", "[]", "[{}]", "{", "}", "{\"a\":1", "{}x",
           std::string(5000, '['), std::string("{\"a\":") + std::string(5000, '['),
           "404 page not found"}) {
    const auto object = Connect({Answered(200, body)}).Get(kCalled, "argocd", "a", context_);
    EXPECT_EQ(KindOf(object.status()), ErrorKind::kMalformedResponse) << body.substr(0, 50);
  }
}

TEST_F(RestClientTest, ABodyToCreateIsTheServersToRefuse) {
  for (const std::string body : {"", "nonsense", "[]", "{\"a\""}) {
    const auto object = Connect({Answered(400, "")}).Create(kCalled, "argocd", "a", body, context_);
    EXPECT_EQ(KindOf(object.status()), ErrorKind::kRefused);
    EXPECT_THAT(std::string(object.status().message()),
                StartsWith("create applications.argoproj.io argocd/a: HTTP 400"));
  }
}

// Lists.

std::string PageBody(const std::string& items, const std::string& metadata) {
  return R"({"apiVersion":"argoproj.io/v1alpha1","items":[)" + items +
         R"(],"kind":"ApplicationList","metadata":{)" + metadata + "}}";
}

TEST_F(RestClientTest, ListGivesEachItemAsItStands) {
  const std::string first = R"({"metadata": {"name":"a","x":"]}\"{["},  "spec":{"n":[[],{}]}})";
  const std::string second = R"({})";
  const auto version = List(
      Connect({Answered(200, PageBody(first + " ,\n " + second, R"("resourceVersion":"42")"))}));
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(*version, "42");
  EXPECT_THAT(items_, ElementsAre(first, second));
}

TEST_F(RestClientTest, TheFieldsOfAListMayComeInAnyOrder) {
  const auto version = List(Connect({Answered(
      200, R"({"metadata":{"continue":"","remainingItemCount":3,"resourceVersion":"1"},"x":[1],)"
           R"("items":[{"a":1}]})")}));
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(*version, "1");
  EXPECT_THAT(items_, ElementsAre(R"({"a":1})"));
}

TEST_F(RestClientTest, AnEmptyListHasNoItems) {
  for (const std::string body : {R"({"items":[],"metadata":{"resourceVersion":"1"}})",
                                 R"({"items":null,"metadata":{"resourceVersion":"1"}})"}) {
    EXPECT_EQ(*List(Connect({Answered(200, body)})), "1");
    EXPECT_THAT(items_, IsEmpty());
  }
}

TEST_F(RestClientTest, AListIsReadInPagesThatKeepTheSelectors) {
  ListOptions options;
  options.label_selector = "a=b,c in (d)";
  options.field_selector = "metadata.name=x";
  options.page_size = 2;
  const auto version =
      List(Connect({Answered(200, PageBody(R"({"n":1},{"n":2})",
                                           R"("resourceVersion":"7","continue":"one+/=")")),
                    Answered(200, PageBody(R"({"n":3},{"n":4})",
                                           R"("resourceVersion":"7","continue":"two")")),
                    Answered(200, PageBody(R"({"n":5})", R"("resourceVersion":"7")"))}),
           options);
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(*version, "7");
  EXPECT_THAT(items_,
              ElementsAre(R"({"n":1})", R"({"n":2})", R"({"n":3})", R"({"n":4})", R"({"n":5})"));
  const std::string first = std::string(kCollection) +
                            "?labelSelector=a%3Db%2Cc%20in%20%28d%29"
                            "&fieldSelector=metadata.name%3Dx&limit=2";
  ASSERT_THAT(transport_->sent, SizeIs(3));
  EXPECT_EQ(transport_->sent[0].target, first);
  EXPECT_EQ(transport_->sent[1].target, first + "&continue=one%2B%2F%3D");
  EXPECT_EQ(transport_->sent[2].target, first + "&continue=two");
}

TEST_F(RestClientTest, AllNamespacesAreListedWithoutOne) {
  Client& client = Connect({Answered(200, PageBody("", R"("resourceVersion":"1")"))});
  ASSERT_TRUE(
      client
          .List(
              kCalled, "", {}, [](std::string_view) { return absl::OkStatus(); }, [] {}, context_)
          .ok());
  EXPECT_EQ(transport_->sent[0].target, "/apis/argoproj.io/v1alpha1/applications?limit=250");
}

TEST_F(RestClientTest, APageThatHasExpiredStartsTheListAgainWhole) {
  ListOptions options;
  options.label_selector = "a=b";
  const auto version = List(
      Connect({Answered(200, PageBody(R"({"n":1})", R"("resourceVersion":"7","continue":"x")")),
               Answered(410, ""),
               Answered(200, PageBody(R"({"n":1},{"n":2})", R"("resourceVersion":"9")"))}),
      options);
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(*version, "9");
  EXPECT_THAT(items_, ElementsAre(R"({"n":1})", "restart", R"({"n":1})", R"({"n":2})"));
  EXPECT_EQ(transport_->sent[2].target, std::string(kCollection) + "?labelSelector=a%3Db");
  EXPECT_GT(transport_->sent[2].time_left, transport_->sent[1].time_left)
      << "a whole list may take longer than a page";
}

TEST_F(RestClientTest, AnExpiryThatStaysIsAnError) {
  EXPECT_EQ(KindOf(List(Connect({Answered(410, "")})).status()), ErrorKind::kExpired);
  EXPECT_THAT(items_, IsEmpty());
  EXPECT_EQ(
      KindOf(List(Connect({Answered(200, PageBody("", R"("continue":"x")")), Answered(410, "")}))
                 .status()),
      ErrorKind::kExpired);
  EXPECT_THAT(items_, ElementsAre("restart"));
}

TEST_F(RestClientTest, AnErrorOnALaterPageIsReturned) {
  EXPECT_EQ(
      KindOf(List(Connect({Answered(200, PageBody("", R"("continue":"x")")), Answered(403, "")}))
                 .status()),
      ErrorKind::kForbidden);
  EXPECT_THAT(items_, IsEmpty());
}

TEST_F(RestClientTest, AnItemThatIsNotTakenEndsTheList) {
  int seen = 0;
  const auto version =
      Connect({Answered(200, PageBody("{},{},{}", R"("continue":"x")"))})
          .List(
              kCalled, "argocd", {},
              [&](std::string_view) {
                return ++seen < 2 ? absl::OkStatus() : absl::DataLossError("enough");
              },
              [] {}, context_);
  EXPECT_EQ(version.status(), absl::DataLossError("enough"));
  EXPECT_EQ(seen, 2);
  EXPECT_THAT(transport_->sent, SizeIs(1));
}

TEST_F(RestClientTest, APageSizeOfZeroReadsTheListWhole) {
  ListOptions options;
  options.page_size = 0;
  ASSERT_TRUE(
      List(Connect({Answered(200, PageBody("", R"("resourceVersion":"1")"))}), options).ok());
  EXPECT_EQ(transport_->sent[0].target, kCollection);
}

// A server that always continues with the same page must not keep the caller for ever.
TEST_F(RestClientTest, AListThatDoesNotGoOnIsMalformed) {
  const auto version = List(Connect({Answered(200, PageBody("", R"("continue":"x")"))}));
  EXPECT_EQ(KindOf(version.status()), ErrorKind::kMalformedResponse);
  EXPECT_THAT(transport_->sent, SizeIs(2));
}

TEST_F(RestClientTest, WhatIsNoListIsMalformed) {
  for (const std::string& body : std::vector<std::string>{
           "", "[]", "null", "<html>", "{}", R"({"items":[]})", R"({"metadata":{}})",
           R"({"items":{},"metadata":{}})", R"({"items":[],"metadata":[]})",
           R"({"items":[7],"metadata":{}})", R"({"items":["x"],"metadata":{}})",
           R"({"items":[[]],"metadata":{}})", R"({"items":[null],"metadata":{}})",
           R"({"items":[],"metadata":{"continue":7}})", R"({"items":[{}],"metadata":{)",
           R"({"items":[{"a":1)", R"({"items":[{}{}],"metadata":{}})",
           "{\"items\":[{\"a\":\"\xff\"}],\"metadata\":{}}"}) {
    const auto version = List(Connect({Answered(200, body)}));
    EXPECT_EQ(KindOf(version.status()), ErrorKind::kMalformedResponse) << body;
  }
}

// With everything beneath: configuration, transport, credentials.

class MakeClientTest : public ::testing::Test {
 protected:
  std::unique_ptr<Client> Make(const ScriptedServer& server) {
    config_.server = server.url();
    config_.source = "context \"test\" of /config";
    auto client = MakeClient(config_, options_);
    EXPECT_TRUE(client.ok()) << client.status();
    return client.ok() ? *std::move(client) : nullptr;
  }

  ClusterConfig config_;
  ClientOptions options_;
  TemporaryFolder folder_;
  base::Context context_;
};

TEST_F(MakeClientTest, ARotatedTokenIsReadWhenTheServerAsks) {
  const TestAuthority authority("authority");
  config_.tls.ca.data = authority.pem();
  config_.token_file = folder_.Write("token", "first");
  ScriptedServer server(
      [&](const ScriptedServer::Request& request, ScriptedServer::Connection& connection) {
        const bool good = request.Header("Authorization") == "Bearer second";
        connection.Respond(good ? 200 : 401, "{}");
      },
      ScriptedServer::Tls{authority.Issue("server", "IP:127.0.0.1"), ""});
  const auto client = Make(server);
  EXPECT_EQ(KindOf(client->Get(kCalled, "argocd", "a", context_).status()),
            ErrorKind::kUnauthorized);
  folder_.Write("token", "second");
  EXPECT_TRUE(client->JsonPatch(kCalled, "argocd", "a", "[]", context_).ok());
  EXPECT_TRUE(client->Get(kCalled, "argocd", "a", context_).ok());
  EXPECT_EQ(server.requests().back().Header("User-Agent"), "gantry");
}

TEST_F(MakeClientTest, RetryAfterOfTheServerIsKept) {
  FakeClock clock;
  FakeSleeper sleeper(clock);
  FixedRandom random(0.0);
  options_.clock = &clock;
  options_.sleeper = &sleeper;
  options_.random = &random;
  int requests = 0;
  ScriptedServer server(
      [&](const ScriptedServer::Request&, ScriptedServer::Connection& connection) {
        if (++requests < 3) return connection.Respond(429, "", "Retry-After: 7\r\n");
        connection.Respond(200, "{}");
      });
  EXPECT_TRUE(Make(server)->JsonPatch(kCalled, "argocd", "a", "[]", context_).ok());
  EXPECT_THAT(sleeper.delays, ElementsAre(absl::Seconds(7), absl::Seconds(7)));
}

TEST_F(MakeClientTest, CancellationEndsACall) {
  ScriptedServer server([](const ScriptedServer::Request&, ScriptedServer::Connection& connection) {
    connection.WaitForClientToGo();
  });
  const auto client = Make(server);
  std::thread canceller([&] {
    server.WaitForRequests(1);
    context_.Cancel();
  });
  const auto object = client->JsonPatch(kCalled, "argocd", "a", "[]", context_);
  canceller.join();
  EXPECT_EQ(KindOf(object.status()), ErrorKind::kCancelled);
  EXPECT_FALSE(CertainlyNotWritten(object.status()));
  EXPECT_THAT(std::string(object.status().message()),
              StartsWith("patch applications.argoproj.io argocd/a: cancelled while waiting"));
}

TEST_F(MakeClientTest, AnUnreachableServerIsNamedWithTheReason) {
  std::optional<ScriptedServer> server;
  server.emplace([](const ScriptedServer::Request&, ScriptedServer::Connection&) {});
  const auto client = Make(*server);
  server.reset();
  const auto object = client->JsonPatch(kCalled, "argocd", "a", "[]", context_);
  EXPECT_EQ(KindOf(object.status()), ErrorKind::kUnreachable);
  EXPECT_TRUE(CertainlyNotWritten(object.status()));
  EXPECT_THAT(std::string(object.status().message()),
              AllOf(HasSubstr(config_.server), HasSubstr("Connection refused")));
}

TEST_F(MakeClientTest, FilesThatCannotBeUsedAreToldWithTheirSource) {
  config_.server = "https://127.0.0.1:1";
  config_.source = "context \"test\" of /config";
  config_.tls.ca.file = folder_.path() + "/missing";
  EXPECT_THAT(std::string(MakeClient(config_, options_).status().message()),
              AllOf(HasSubstr(config_.source), HasSubstr(config_.tls.ca.file)));
}

}  // namespace
}  // namespace gantry::kubernetes
