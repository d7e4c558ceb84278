// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/http/http_transport.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <openssl/x509.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "server/kubernetes/api/client.h"
#include "server/kubernetes/api/error.h"
#include "tests/server/kubernetes/fakes.h"
#include "tests/server/kubernetes/scripted_server.h"
#include "tests/server/kubernetes/temporary_folder.h"
#include "tests/server/kubernetes/test_certificates.h"
#include "tests/server/kubernetes/test_proxy.h"

namespace {

// While set, names that begin with "hang" are not resolved until its end.
std::atomic<std::latch*> resolver_latch{nullptr};
// How often anybody trusted a folder, or a file, of certificates.
std::atomic<int> folders_trusted{0};
std::atomic<int> files_trusted{0};

template <typename Function>
Function* Original(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

// These stand in front of the libraries' own, for libcurl too.

extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints,
                           addrinfo** result) {
  if (node != nullptr && std::strncmp(node, "hang", 4) == 0) {
    if (std::latch* latch = resolver_latch.load()) latch->wait();
    return EAI_NONAME;
  }
  return Original<decltype(getaddrinfo)>("getaddrinfo")(node, service, hints, result);
}

extern "C" int X509_STORE_load_path(X509_STORE* store, const char* path) {
  ++folders_trusted;
  return Original<decltype(X509_STORE_load_path)>("X509_STORE_load_path")(store, path);
}

extern "C" int X509_STORE_load_file(X509_STORE* store, const char* file) {
  ++files_trusted;
  return Original<decltype(X509_STORE_load_file)>("X509_STORE_load_file")(store, file);
}

namespace gantry::kubernetes {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

using Request = ScriptedServer::Request;
using Connection = ScriptedServer::Connection;

// Bytes of gzip for {"kind":"compressed"}.
constexpr std::string_view kCompressed(
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\xca\xce\xcc\x4b\x51\xb2\x52\x4a\xce\xcf\x2d"
    "\x28\x4a\x2d\x2e\x4e\x4d\x51\xaa\x05\x00\x57\xed\xd0\xea\x15\x00\x00\x00",
    41);

ScriptedServer::Handler Answering(int status, const std::string& body,
                                  const std::string& headers = "") {
  return [=](const Request&, Connection& connection) { connection.Respond(status, body, headers); };
}

class HttpTransportTest : public ::testing::Test {
 protected:
  std::unique_ptr<CurlTransport> MakeFor(const std::string& url) {
    options_.server = url;
    options_.on_warning = [this](std::string_view warning) { warnings_.emplace_back(warning); };
    auto transport = CurlTransport::Create(options_, clock_);
    EXPECT_TRUE(transport.ok()) << transport.status();
    return transport.ok() ? *std::move(transport) : nullptr;
  }

  static HttpRequest To(const std::string& method, const std::string& target,
                        std::string_view body = "") {
    HttpRequest request;
    request.method = method;
    request.target = target;
    request.body = body;
    return request;
  }

  // A server with the handler, asked once for "/".
  absl::StatusOr<HttpResponse> Ask(ScriptedServer::Handler handler,
                                   const std::string& method = "GET") {
    ScriptedServer server(std::move(handler));
    return MakeFor(server.url())->Send(To(method, "/"), context_);
  }

  static void ExpectError(const absl::StatusOr<HttpResponse>& response, ErrorKind kind,
                          WriteOutcome outcome) {
    ASSERT_FALSE(response.ok());
    const ErrorDetail detail = DetailOf(response.status());
    EXPECT_EQ(ErrorKindName(detail.kind), ErrorKindName(kind)) << response.status();
    EXPECT_EQ(static_cast<int>(detail.outcome), static_cast<int>(outcome)) << response.status();
  }

  FakeClock clock_;
  CurlTransportOptions options_;
  std::vector<std::string> warnings_;
  base::Context context_;
  TemporaryFolder folder_;
};

// Requests.

TEST_F(HttpTransportTest, SendsWhatItIsGiven) {
  ScriptedServer server(Answering(200, "{}"));
  HttpRequest request = To("PATCH", "/apis/x%2Fy?a=b%20c", R"([{"op":"test"}])");
  request.headers = {{"Content-Type", "application/json-patch+json"},
                     {"Authorization", "Bearer abc"},
                     {"X-Empty", ""}};
  ASSERT_TRUE(MakeFor(server.url() + "/prefix/")->Send(request, context_).ok());
  ASSERT_THAT(server.requests(), SizeIs(1));
  const Request seen = server.requests()[0];
  EXPECT_EQ(seen.method, "PATCH");
  EXPECT_EQ(seen.target, "/prefix/apis/x%2Fy?a=b%20c");
  EXPECT_EQ(seen.body, R"([{"op":"test"}])");
  EXPECT_EQ(seen.Header("Content-Type"), "application/json-patch+json");
  EXPECT_EQ(seen.Header("Authorization"), "Bearer abc");
  EXPECT_EQ(seen.Header("Host"), "127.0.0.1:" + std::to_string(server.port()));
  EXPECT_EQ(seen.Header("Accept-Encoding"), "");
}

TEST_F(HttpTransportTest, EveryMethodIsSent) {
  ScriptedServer server(Answering(200, "{}"));
  const auto transport = MakeFor(server.url());
  for (const std::string method : {"GET", "POST", "PUT", "PATCH", "DELETE", "GET"}) {
    const bool has_body = method.starts_with("P");
    ASSERT_TRUE(transport->Send(To(method, "/", has_body ? "{}" : ""), context_).ok());
    const Request seen = server.requests().back();
    EXPECT_EQ(seen.method, method);
    EXPECT_EQ(seen.body, has_body ? "{}" : "");
    EXPECT_EQ(seen.Header("Content-Length"), has_body ? "2" : "");
  }
}

TEST_F(HttpTransportTest, DotsInThePathStayThere) {
  ScriptedServer server(Answering(200, "{}"));
  ASSERT_TRUE(MakeFor(server.url())->Send(To("GET", "/a/../b/./c"), context_).ok());
  EXPECT_EQ(server.requests()[0].target, "/a/../b/./c");
}

// A server that waits for "Expect: 100-continue" would cost a second per write.
TEST_F(HttpTransportTest, ALargeBodyIsSentWithoutAsking) {
  ScriptedServer server(Answering(200, "{}"));
  const std::string body(3 << 20, 'x');
  ASSERT_TRUE(MakeFor(server.url())->Send(To("POST", "/", body), context_).ok());
  EXPECT_EQ(server.requests()[0].body, body);
  EXPECT_EQ(server.requests()[0].Header("Expect"), "");
}

TEST_F(HttpTransportTest, AHeaderWithALineBreakIsNotSent) {
  ScriptedServer server(Answering(200, "{}"));
  HttpRequest request = To("GET", "/");
  request.headers = {{"Authorization", "Bearer s3cret\r\nX-Remote-User: admin"}};
  const auto response = MakeFor(server.url())->Send(request, context_);
  ExpectError(response, ErrorKind::kRefused, WriteOutcome::kNotWritten);
  EXPECT_THAT(std::string(response.status().message()),
              AllOf(HasSubstr("Authorization"), Not(HasSubstr("s3cret"))));
  EXPECT_THAT(server.requests(), IsEmpty());
}

// The environment is the configuration's business, not the transport's.
TEST_F(HttpTransportTest, ProxiesOfTheEnvironmentAreNotUsed) {
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  setenv("all_proxy", "http://127.0.0.1:1", 1);
  EXPECT_TRUE(Ask(Answering(200, "{}")).ok());
  unsetenv("http_proxy");
  unsetenv("all_proxy");
}

TEST_F(HttpTransportTest, ABadServerUrlIsAnError) {
  options_.server = "127.0.0.1:6443";
  EXPECT_TRUE(absl::IsInvalidArgument(CurlTransport::Create(options_, clock_).status()));
  options_.server = "https://127.0.0.1:6443";
  for (const std::string name : {"a b", "a/b", "a:b@c", "a?b"}) {
    options_.tls.server_name = name;
    EXPECT_TRUE(absl::IsInvalidArgument(CurlTransport::Create(options_, clock_).status())) << name;
  }
}

// Responses.

TEST_F(HttpTransportTest, ReturnsTheResponse) {
  const auto response =
      Ask(Answering(201, R"({"kind":"Pod"})", "Content-Type: application/json\r\n"));
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->status, 201);
  EXPECT_EQ(response->body, R"({"kind":"Pod"})");
  EXPECT_EQ(response->content_type, "application/json");
  EXPECT_FALSE(response->retry_after.has_value());
}

struct RetryAfterCase {
  std::string header;
  std::optional<absl::Duration> expected;
};

TEST_F(HttpTransportTest, ReadsRetryAfter) {
  const std::vector<RetryAfterCase> cases = {
      {"Retry-After: 3\r\n", absl::Seconds(3)},
      {"retry-after:0\r\n", absl::ZeroDuration()},
      {"Retry-After: -5\r\n", absl::ZeroDuration()},
      // The fake clock stands at 22:13:20.
      {"Retry-After: Tue, 14 Nov 2023 22:13:50 GMT\r\n", absl::Seconds(30)},
      {"Retry-After: Tue, 14 Nov 2023 22:00:00 GMT\r\n", absl::ZeroDuration()},
      {"Retry-After: soon\r\n", std::nullopt},
      {"Retry-After: \r\n", std::nullopt},
      {"", std::nullopt},
  };
  for (const RetryAfterCase& expected : cases) {
    const auto response = Ask(Answering(503, "", expected.header));
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->retry_after, expected.expected) << expected.header;
  }
}

TEST_F(HttpTransportTest, RedirectsAreNotFollowed) {
  ScriptedServer other(Answering(200, "{}"));
  const auto response = Ask(Answering(302, "", "Location: " + other.url() + "/\r\n"));
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->status, 302);
  EXPECT_THAT(other.requests(), IsEmpty());
}

TEST_F(HttpTransportTest, AnInterimResponseIsNotTheResponse) {
  const auto response = Ask([](const Request&, Connection& connection) {
    connection.Send("HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n");
    connection.Respond(200, "{}");
  });
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->status, 200);
  EXPECT_FALSE(response->retry_after.has_value());
}

TEST_F(HttpTransportTest, AChunkedBodyIsJoined) {
  const auto response = Ask([](const Request&, Connection& connection) {
    connection.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    connection.Send("2\r\nde\r\n0\r\n\r\n");
  });
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->body, "abcde");
}

TEST_F(HttpTransportTest, CompressionIsUsedWhenAllowed) {
  ScriptedServer server(Answering(200, std::string(kCompressed), "Content-Encoding: gzip\r\n"));
  HttpRequest request = To("GET", "/");
  request.accept_compression = true;
  const auto response = MakeFor(server.url())->Send(request, context_);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->body, R"({"kind":"compressed"})");
  EXPECT_EQ(server.requests()[0].Header("Accept-Encoding"), "gzip");
}

TEST_F(HttpTransportTest, BrokenCompressionIsAMalformedResponse) {
  ScriptedServer server(Answering(200, "this is not gzip", "Content-Encoding: gzip\r\n"));
  HttpRequest request = To("GET", "/");
  request.accept_compression = true;
  ExpectError(MakeFor(server.url())->Send(request, context_), ErrorKind::kMalformedResponse,
              WriteOutcome::kUnknown);
}

TEST_F(HttpTransportTest, WhatIsNotHttpIsAMalformedResponse) {
  ExpectError(Ask([](const Request&, Connection& connection) {
                connection.Send("SSH-2.0-OpenSSH_9.2\r\n\r\n");
                connection.Close();
              }),
              ErrorKind::kMalformedResponse, WriteOutcome::kUnknown);
}

TEST_F(HttpTransportTest, ABodyAboveTheLimitIsAnError) {
  for (const bool chunked : {false, true}) {
    ScriptedServer server([&](const Request&, Connection& connection) {
      if (!chunked) return connection.Respond(200, std::string(101, 'x'));
      connection.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      for (int i = 0; i < 101; ++i) connection.Send("1\r\nx\r\n");
      connection.Send("0\r\n\r\n");
    });
    const auto transport = MakeFor(server.url());
    HttpRequest request = To("GET", "/");
    request.max_body_bytes = 100;
    const auto response = transport->Send(request, context_);
    ExpectError(response, ErrorKind::kMalformedResponse, WriteOutcome::kUnknown);
    EXPECT_THAT(std::string(response.status().message()), HasSubstr("larger than 100 bytes"));
    request.max_body_bytes = 101;
    EXPECT_TRUE(transport->Send(request, context_).ok());
  }
}

TEST_F(HttpTransportTest, TheBodyOfAnErrorIsCut) {
  const auto response = Ask(Answering(500, std::string(1 << 20, 'x')));
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->status, 500);
  EXPECT_EQ(response->body.size(), std::size_t{64} << 10);
}

// The status alone tells whether a write was carried out.
TEST_F(HttpTransportTest, AnErrorWhoseBodyIsLostIsStillThatError) {
  const auto response = Ask([](const Request&, Connection& connection) {
    connection.Send("HTTP/1.1 409 Conflict\r\nContent-Length: 100\r\n\r\n{\"kind\"");
    connection.Close();
  });
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->status, 409);
  EXPECT_EQ(response->body, "{\"kind\"");
}

TEST_F(HttpTransportTest, HalfABodyIsNoResponse) {
  const auto response = Ask([](const Request&, Connection& connection) {
    connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"kind\"");
    connection.Close();
  });
  ExpectError(response, ErrorKind::kUnreachable, WriteOutcome::kUnknown);
  EXPECT_EQ(DetailOf(response.status()).http_status, 200);
}

// Lost connections.

TEST_F(HttpTransportTest, ARefusedConnectionSendsNothing) {
  std::string url;
  { url = ScriptedServer(Answering(200, "")).url(); }
  const auto response = MakeFor(url)->Send(To("POST", "/", "{}"), context_);
  ExpectError(response, ErrorKind::kUnreachable, WriteOutcome::kNotWritten);
  EXPECT_THAT(std::string(response.status().message()),
              AllOf(HasSubstr("cannot reach " + url), HasSubstr("Connection refused"),
                    HasSubstr("check that the server runs")));
}

TEST_F(HttpTransportTest, AHostWithoutAnAddressIsNamed) {
  const auto response = MakeFor("http://hang-not.test")->Send(To("GET", "/"), context_);
  ExpectError(response, ErrorKind::kUnreachable, WriteOutcome::kNotWritten);
  EXPECT_THAT(std::string(response.status().message()),
              AllOf(HasSubstr("hang-not.test"), HasSubstr("DNS")));
}

TEST_F(HttpTransportTest, AConnectionThatEndsWithoutAnAnswerLeavesAWriteOpen) {
  for (const bool reset : {false, true}) {
    const auto response =
        Ask([reset](const Request&, Connection& connection) { connection.Close(reset); }, "POST");
    ExpectError(response, ErrorKind::kUnreachable, WriteOutcome::kUnknown);
    EXPECT_THAT(std::string(response.status().message()), HasSubstr("no complete answer from"));
  }
}

// libcurl repeats any request when a connection that was used before turns out to be dead. The
// server may have carried out the first one.
TEST_F(HttpTransportTest, AWriteIsNeverSentTwice) {
  for (const std::string method : {"POST", "PUT", "PATCH", "DELETE"}) {
    for (const bool reset : {false, true}) {
      ScriptedServer server([&](const Request& request, Connection& connection) {
        if (request.method == "GET") return connection.Respond(200, "{}");
        connection.Close(reset);
      });
      const auto transport = MakeFor(server.url());
      ASSERT_TRUE(transport->Send(To("GET", "/"), context_).ok());
      const auto response = transport->Send(To(method, "/", "{}"), context_);
      ExpectError(response, ErrorKind::kUnreachable, WriteOutcome::kUnknown);
      ASSERT_THAT(server.requests(), SizeIs(2)) << method;
      EXPECT_EQ(server.requests()[1].connection, 1) << "the connection was used before";
    }
  }
}

TEST_F(HttpTransportTest, AReadGoesToANewConnectionWhenTheOldOneIsDead) {
  ScriptedServer server([](const Request& request, Connection& connection) {
    if (request.connection == 1 && request.target == "/second") return connection.Close();
    connection.Respond(200, "{}");
  });
  const auto transport = MakeFor(server.url());
  ASSERT_TRUE(transport->Send(To("GET", "/first"), context_).ok());
  EXPECT_TRUE(transport->Send(To("GET", "/second"), context_).ok());
  EXPECT_EQ(server.connections(), 2);
}

// Connections.

TEST_F(HttpTransportTest, ConnectionsAreKept) {
  ScriptedServer server(Answering(200, "{}"));
  const auto transport = MakeFor(server.url());
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(transport->Send(To("GET", "/"), context_).ok());
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(HttpTransportTest, NoCallWaitsForAnother) {
  std::latch all(8);
  ScriptedServer server([&](const Request&, Connection& connection) {
    all.arrive_and_wait();
    connection.Respond(200, "{}");
  });
  const auto transport = MakeFor(server.url());
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&] {
      base::Context context;
      EXPECT_TRUE(transport->Send(To("GET", "/"), context).ok());
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(server.connections(), 8);
}

TEST_F(HttpTransportTest, TheConnectionUsedLastIsUsedNext) {
  std::latch both(2);
  ScriptedServer server([&](const Request& request, Connection& connection) {
    if (request.target != "/") both.arrive_and_wait();
    connection.Respond(200, "{}");
  });
  const auto transport = MakeFor(server.url());
  std::thread other([&] {
    base::Context context;
    EXPECT_TRUE(transport->Send(To("GET", "/a"), context).ok());
  });
  EXPECT_TRUE(transport->Send(To("GET", "/b"), context_).ok());
  other.join();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(transport->Send(To("GET", "/"), context_).ok());
  const std::vector<Request> requests = server.requests();
  for (std::size_t i = 3; i < requests.size(); ++i) {
    EXPECT_EQ(requests[i].connection, requests[2].connection);
  }
  EXPECT_EQ(server.connections(), 2);
}

TEST_F(HttpTransportTest, ConnectionsThatNobodyUsesAreClosed) {
  std::latch both(2);
  ScriptedServer server([&](const Request& request, Connection& connection) {
    if (request.target != "/") both.arrive_and_wait();
    connection.Respond(200, "{}");
  });
  const auto transport = MakeFor(server.url());
  std::thread other([&] {
    base::Context context;
    EXPECT_TRUE(transport->Send(To("GET", "/a"), context).ok());
  });
  EXPECT_TRUE(transport->Send(To("GET", "/b"), context_).ok());
  other.join();
  clock_.Advance(absl::Minutes(2));
  EXPECT_TRUE(transport->Send(To("GET", "/"), context_).ok());
  server.WaitForClosedConnections(1);
  EXPECT_TRUE(transport->Send(To("GET", "/"), context_).ok());
  EXPECT_EQ(server.connections(), 2);
}

// Cancellation and deadlines.

TEST_F(HttpTransportTest, AnEndedContextSendsNothing) {
  ScriptedServer server(Answering(200, "{}"));
  const auto transport = MakeFor(server.url());
  base::Context late(absl::ZeroDuration());
  ExpectError(transport->Send(To("POST", "/"), late), ErrorKind::kDeadlineExceeded,
              WriteOutcome::kNotWritten);
  context_.Cancel();
  ExpectError(transport->Send(To("POST", "/"), context_), ErrorKind::kCancelled,
              WriteOutcome::kNotWritten);
  EXPECT_EQ(server.connections(), 0);
}

TEST_F(HttpTransportTest, CancellationEndsTheWaitForAnAnswer) {
  ScriptedServer server(
      [](const Request&, Connection& connection) { connection.WaitForClientToGo(); });
  std::thread canceller([&] {
    server.WaitForRequests(1);
    context_.Cancel();
  });
  const auto response = MakeFor(server.url())->Send(To("POST", "/", "{}"), context_);
  canceller.join();
  ExpectError(response, ErrorKind::kCancelled, WriteOutcome::kUnknown);
  EXPECT_THAT(std::string(response.status().message()), HasSubstr("waiting for an answer from"));
}

TEST_F(HttpTransportTest, CancellationEndsTheReadingOfABody) {
  ScriptedServer server([&](const Request&, Connection& connection) {
    connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"kind\"");
    connection.WaitForClientToGo();
  });
  HttpRequest request = To("GET", "/");
  request.sink = [&](std::string_view) {
    context_.Cancel();
    return true;
  };
  const auto response = MakeFor(server.url())->Send(request, context_);
  ExpectError(response, ErrorKind::kCancelled, WriteOutcome::kUnknown);
  EXPECT_THAT(std::string(response.status().message()), HasSubstr("reading the answer of"));
}

TEST_F(HttpTransportTest, TheDeadlineEndsTheWaitForAnAnswer) {
  ScriptedServer server(
      [](const Request&, Connection& connection) { connection.WaitForClientToGo(); });
  base::Context context(absl::Milliseconds(50));
  const auto response = MakeFor(server.url())->Send(To("POST", "/", "{}"), context);
  EXPECT_EQ(KindOf(response.status()), ErrorKind::kDeadlineExceeded);
}

// The plain server waits for the end of a request that a TLS client never sends.
TEST_F(HttpTransportTest, CancellationAndDeadlineEndATlsHandshake) {
  ScriptedServer server(Answering(200, "{}"));
  const auto transport = MakeFor("https://127.0.0.1:" + std::to_string(server.port()));
  base::Context late(absl::Milliseconds(50));
  ExpectError(transport->Send(To("POST", "/", "{}"), late), ErrorKind::kDeadlineExceeded,
              WriteOutcome::kNotWritten);
  std::thread canceller([&] { context_.Cancel(); });
  ExpectError(transport->Send(To("POST", "/", "{}"), context_), ErrorKind::kCancelled,
              WriteOutcome::kNotWritten);
  canceller.join();
  EXPECT_THAT(server.requests(), IsEmpty());
}

TEST_F(HttpTransportTest, AConnectionThatTakesTooLongIsUnreachable) {
  ScriptedServer server(Answering(200, "{}"));
  options_.connect_timeout = absl::Milliseconds(50);
  const auto transport = MakeFor("https://127.0.0.1:" + std::to_string(server.port()));
  ExpectError(transport->Send(To("POST", "/", "{}"), context_), ErrorKind::kUnreachable,
              WriteOutcome::kNotWritten);
}

// Returns before the resolver does: the latch is released only afterwards.
TEST_F(HttpTransportTest, CancellationAndDeadlineEndTheResolutionOfAName) {
  // The resolver's threads may outlive the test.
  static std::vector<std::unique_ptr<std::latch>> latches;
  latches.push_back(std::make_unique<std::latch>(1));
  std::latch& resolved = *latches.back();
  resolver_latch = &resolved;
  {
    const auto transport = MakeFor("http://hang.test");
    base::Context late(absl::Milliseconds(50));
    ExpectError(transport->Send(To("POST", "/", "{}"), late), ErrorKind::kDeadlineExceeded,
                WriteOutcome::kNotWritten);
    std::thread canceller([&] { context_.Cancel(); });
    ExpectError(transport->Send(To("POST", "/", "{}"), context_), ErrorKind::kCancelled,
                WriteOutcome::kNotWritten);
    canceller.join();
  }
  resolver_latch = nullptr;
  resolved.count_down();
}

TEST_F(HttpTransportTest, AfterACancelledCallTheNextOneWorks) {
  ScriptedServer server([](const Request& request, Connection& connection) {
    if (request.target == "/hang") return connection.WaitForClientToGo();
    connection.Respond(200, "{}");
  });
  const auto transport = MakeFor(server.url());
  std::thread canceller([&] {
    server.WaitForRequests(1);
    context_.Cancel();
  });
  EXPECT_FALSE(transport->Send(To("GET", "/hang"), context_).ok());
  canceller.join();
  base::Context context;
  EXPECT_TRUE(transport->Send(To("GET", "/"), context).ok());
}

// Streams.

TEST_F(HttpTransportTest, ASinkGetsEachPieceAsItComes) {
  std::latch seen(1);
  ScriptedServer server([&](const Request&, Connection& connection) {
    connection.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n");
    seen.wait();
    connection.Send("4\r\ntwo\n\r\n0\r\n\r\n");
  });
  std::string received;
  HttpRequest request = To("GET", "/");
  request.sink = [&](std::string_view chunk) {
    received += chunk;
    if (received == "one\n") seen.count_down();
    return true;
  };
  const auto response = MakeFor(server.url())->Send(request, context_);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(received, "one\ntwo\n");
  EXPECT_EQ(response->body, "");
  EXPECT_EQ(response->end, HttpResponse::End::kComplete);
}

TEST_F(HttpTransportTest, ASinkMayEndTheTransfer) {
  ScriptedServer server([&](const Request&, Connection& connection) {
    connection.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n");
    connection.WaitForClientToGo();
  });
  HttpRequest request = To("GET", "/");
  request.sink = [&](std::string_view) { return false; };
  const auto response = MakeFor(server.url())->Send(request, context_);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->end, HttpResponse::End::kStoppedBySink);
}

TEST_F(HttpTransportTest, TheBodyOfAnErrorDoesNotGoToTheSink) {
  ScriptedServer server(Answering(410, "gone"));
  HttpRequest request = To("GET", "/");
  request.sink = [&](std::string_view) {
    ADD_FAILURE();
    return true;
  };
  const auto response = MakeFor(server.url())->Send(request, context_);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->status, 410);
  EXPECT_EQ(response->body, "gone");
}

TEST_F(HttpTransportTest, CallsOnQuietOncePerSilence) {
  std::latch first(1);
  std::latch second(1);
  ScriptedServer server([&](const Request&, Connection& connection) {
    connection.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    first.wait();
    connection.Send("4\r\none\n\r\n");
    second.wait();
    connection.Send("4\r\ntwo\n\r\n");
    connection.WaitForClientToGo();
  });
  std::vector<std::string> events;
  HttpRequest request = To("GET", "/");
  request.quiet_after = absl::Milliseconds(1);
  request.on_quiet = [&] {
    events.emplace_back("quiet");
    if (events.size() == 1) first.count_down();
    if (events.size() == 3) second.count_down();
  };
  request.sink = [&](std::string_view chunk) {
    events.emplace_back(chunk);
    // The last silence is long enough for many calls.
    if (chunk == "two\n") request.idle_timeout = absl::Milliseconds(50);
    return true;
  };
  const auto response = MakeFor(server.url())->Send(request, context_);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->end, HttpResponse::End::kIdle);
  EXPECT_THAT(events, ElementsAre("quiet", "one\n", "quiet", "two\n", "quiet"));
}

TEST_F(HttpTransportTest, OnQuietIsNotCalledBeforeTheHeader) {
  for (const std::string& sent :
       {std::string(), std::string("HTTP/1.1 100 Continue\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"),
        std::string("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 3\r\n\r\no")}) {
    ScriptedServer server([&](const Request&, Connection& connection) {
      connection.Send(sent);
      connection.WaitForClientToGo();
    });
    HttpRequest request = To("GET", "/");
    request.idle_timeout = absl::Milliseconds(50);
    request.quiet_after = absl::Milliseconds(1);
    request.on_quiet = [&] { ADD_FAILURE() << sent; };
    request.sink = [](std::string_view) { return true; };
    (void)MakeFor(server.url())->Send(request, context_);
  }
}

TEST_F(HttpTransportTest, AStreamThatIsLostIsAnError) {
  ScriptedServer server([&](const Request&, Connection& connection) {
    connection.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n");
    connection.Close();
  });
  HttpRequest request = To("GET", "/");
  request.sink = [&](std::string_view) { return true; };
  ExpectError(MakeFor(server.url())->Send(request, context_), ErrorKind::kUnreachable,
              WriteOutcome::kUnknown);
}

TEST_F(HttpTransportTest, ASilentStreamEnds) {
  ScriptedServer server([&](const Request& request, Connection& connection) {
    if (request.target == "/stream") {
      connection.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n");
    }
    connection.WaitForClientToGo();
  });
  const auto transport = MakeFor(server.url());
  std::string received;
  HttpRequest request = To("GET", "/stream");
  // Long enough for the first piece to come on a busy machine.
  request.idle_timeout = absl::Seconds(2);
  request.sink = [&](std::string_view chunk) {
    received += chunk;
    return true;
  };
  const auto response = transport->Send(request, context_);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->end, HttpResponse::End::kIdle);
  EXPECT_EQ(received, "one\n");

  request.target = "/nothing";
  request.idle_timeout = absl::Milliseconds(50);
  EXPECT_EQ(KindOf(transport->Send(request, context_).status()), ErrorKind::kDeadlineExceeded);
}

// TLS.

class TlsTest : public HttpTransportTest {
 protected:
  TlsTest() { options_.tls.ca.data = authority_.pem(); }

  ScriptedServer::Tls Serving(const std::string& alternative_names = "IP:127.0.0.1") const {
    return {authority_.Issue("server", alternative_names), ""};
  }
  ScriptedServer::Tls ServingClientsOf(const TestAuthority& clients) const {
    return {authority_.Issue("server", "IP:127.0.0.1"), clients.pem()};
  }
  void Present(const ClientCertificate& pair) {
    options_.tls.certificate = {"", folder_.Write("tls.crt", pair.certificate)};
    options_.tls.key = {"", folder_.Write("tls.key", pair.key)};
  }

  const TestAuthority authority_{"authority"};
};

TEST_F(TlsTest, TheServersAuthorityIsTrusted) {
  ScriptedServer server(Answering(200, "{}"), Serving());
  const auto transport = MakeFor(server.url());
  for (int i = 0; i < 3; ++i) {
    const auto response = transport->Send(To("GET", "/"), context_);
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->body, "{}");
  }
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(TlsTest, AnotherAuthorityIsNot) {
  ScriptedServer server(Answering(200, "{}"), Serving());
  options_.tls.ca.data = TestAuthority("other").pem();
  const auto response = MakeFor(server.url())->Send(To("POST", "/", "{}"), context_);
  ExpectError(response, ErrorKind::kUnreachable, WriteOutcome::kNotWritten);
  EXPECT_THAT(std::string(response.status().message()),
              AllOf(HasSubstr(server.url()), HasSubstr("certificate authority configured")));
  EXPECT_THAT(server.requests(), IsEmpty());
}

// Any public authority could vouch for the API server otherwise.
TEST_F(TlsTest, WithAnAuthorityTheSystemsAreNotTrusted) {
  ScriptedServer server(Answering(200, "{}"), Serving());
  folders_trusted = files_trusted = 0;
  EXPECT_TRUE(MakeFor(server.url())->Send(To("GET", "/"), context_).ok());
  EXPECT_EQ(folders_trusted, 0);
  EXPECT_EQ(files_trusted, 0);

  options_.tls.ca.data.clear();
  ExpectError(MakeFor(server.url())->Send(To("GET", "/"), context_), ErrorKind::kUnreachable,
              WriteOutcome::kNotWritten);
  EXPECT_GT(folders_trusted + files_trusted, 0) << "without one they are, so this test can tell";
}

TEST_F(TlsTest, ACertificateForAnotherHostIsRefused) {
  ScriptedServer server(Answering(200, "{}"), Serving("DNS:api.test"));
  const auto response = MakeFor(server.url())->Send(To("GET", "/"), context_);
  ExpectError(response, ErrorKind::kUnreachable, WriteOutcome::kNotWritten);
  EXPECT_THAT(std::string(response.status().message()), HasSubstr("tls-server-name"));
}

TEST_F(TlsTest, TheServerNameIsAskedForAndVerifiedInsteadOfTheHost) {
  ScriptedServer server(Answering(200, "{}"), Serving("DNS:api.test"));
  options_.tls.server_name = "api.test";
  const auto response = MakeFor(server.url() + "/prefix")->Send(To("GET", "/x"), context_);
  ASSERT_TRUE(response.ok()) << response.status();
  const Request seen = server.requests()[0];
  EXPECT_EQ(seen.server_name, "api.test");
  EXPECT_EQ(seen.Header("Host"), "127.0.0.1:" + std::to_string(server.port()));
  EXPECT_EQ(seen.target, "/prefix/x");

  options_.tls.server_name = "other.test";
  ExpectError(MakeFor(server.url())->Send(To("GET", "/"), context_), ErrorKind::kUnreachable,
              WriteOutcome::kNotWritten);
}

TEST_F(TlsTest, TheHostsNameIsNotEnoughWhenAnotherIsToBeVerified) {
  ScriptedServer server(Answering(200, "{}"), Serving());
  options_.tls.server_name = "api.test";
  ExpectError(MakeFor(server.url())->Send(To("GET", "/"), context_), ErrorKind::kUnreachable,
              WriteOutcome::kNotWritten);
}

TEST_F(TlsTest, VerificationCanBeSkipped) {
  ScriptedServer server(Answering(200, "{}"), Serving("DNS:other.test"));
  options_.tls.ca.data.clear();
  options_.tls.insecure_skip_verify = true;
  EXPECT_TRUE(MakeFor(server.url())->Send(To("GET", "/"), context_).ok());
}

TEST_F(TlsTest, TheClientCertificateIsPresented) {
  ScriptedServer server(Answering(200, "{}"), ServingClientsOf(authority_));
  Present(authority_.Issue("gantry", ""));
  const auto response = MakeFor(server.url())->Send(To("GET", "/"), context_);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(server.requests()[0].client_common_name, "gantry");
}

// libcurl says good-bye to the lost connection: a write that must not raise SIGPIPE.
TEST_F(TlsTest, AConnectionResetBetweenRequestsDoesNotEndTheProcess) {
  std::latch received(1);
  std::latch was_reset(1);
  ScriptedServer server(
      [&](const Request& request, Connection& connection) {
        connection.Respond(200, "{}");
        if (request.connection > 1) return;
        received.wait();
        connection.Close(/*reset=*/true);
        was_reset.count_down();
      },
      Serving());
  const auto transport = MakeFor(server.url());
  ASSERT_TRUE(transport->Send(To("GET", "/"), context_).ok());
  received.count_down();
  was_reset.wait();
  EXPECT_TRUE(transport->Send(To("POST", "/", "{}"), context_).ok());
  EXPECT_EQ(server.connections(), 2);
}

TEST_F(TlsTest, WithoutAClientCertificateThereIsNoConnection) {
  ScriptedServer server(Answering(200, "{}"), ServingClientsOf(authority_));
  EXPECT_EQ(KindOf(MakeFor(server.url())->Send(To("GET", "/"), context_).status()),
            ErrorKind::kUnreachable);
  EXPECT_THAT(server.requests(), IsEmpty());
}

TEST_F(TlsTest, ARequestMayBringItsOwnClientCertificate) {
  ScriptedServer server(Answering(200, "{}"), ServingClientsOf(authority_));
  Present(authority_.Issue("configured", ""));
  const auto transport = MakeFor(server.url());
  HttpRequest request = To("GET", "/");
  ASSERT_TRUE(transport->Send(request, context_).ok());
  request.client_certificate =
      std::make_shared<const ClientCertificate>(authority_.Issue("of-the-plugin", ""));
  ASSERT_TRUE(transport->Send(request, context_).ok());
  ASSERT_TRUE(transport->Send(request, context_).ok());
  const auto requests = server.requests();
  EXPECT_EQ(requests[0].client_common_name, "configured");
  EXPECT_EQ(requests[1].client_common_name, "of-the-plugin");
  EXPECT_EQ(requests[2].connection, requests[1].connection);
}

TEST_F(TlsTest, AChangedClientCertificateIsFoundWithinAMinute) {
  ScriptedServer server(Answering(200, "{}"), ServingClientsOf(authority_));
  Present(authority_.Issue("first", ""));
  const auto transport = MakeFor(server.url());
  ASSERT_TRUE(transport->Send(To("GET", "/"), context_).ok());
  Present(authority_.Issue("second", ""));
  ASSERT_TRUE(transport->Send(To("GET", "/"), context_).ok());
  clock_.Advance(absl::Minutes(1));
  ASSERT_TRUE(transport->Send(To("GET", "/"), context_).ok());
  const auto requests = server.requests();
  EXPECT_EQ(requests[0].client_common_name, "first");
  EXPECT_EQ(requests[1].client_common_name, "first");
  EXPECT_EQ(requests[2].client_common_name, "second");
}

TEST_F(TlsTest, UnchangedFilesKeepTheConnections) {
  ScriptedServer server(Answering(200, "{}"), ServingClientsOf(authority_));
  Present(authority_.Issue("first", ""));
  const auto transport = MakeFor(server.url());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(transport->Send(To("GET", "/"), context_).ok());
    clock_.Advance(absl::Minutes(1));
  }
  EXPECT_EQ(server.connections(), 1);
}

// Half way through a rotation the new certificate stands beside the old key.
TEST_F(TlsTest, FilesThatDoNotFitTogetherLeaveTheOldOnesInUse) {
  ScriptedServer server(Answering(200, "{}"), ServingClientsOf(authority_));
  Present(authority_.Issue("first", ""));
  const auto transport = MakeFor(server.url());
  ASSERT_TRUE(transport->Send(To("GET", "/"), context_).ok());
  const ClientCertificate second = authority_.Issue("second", "");
  folder_.Write("tls.crt", second.certificate);
  clock_.Advance(absl::Minutes(1));
  ASSERT_TRUE(transport->Send(To("GET", "/"), context_).ok());
  EXPECT_EQ(server.requests().back().client_common_name, "first");
  EXPECT_THAT(warnings_, ElementsAre(AllOf(HasSubstr("tls.key"), HasSubstr("does not belong"))));
  folder_.Write("tls.key", second.key);
  clock_.Advance(absl::Minutes(1));
  ASSERT_TRUE(transport->Send(To("GET", "/"), context_).ok());
  EXPECT_EQ(server.requests().back().client_common_name, "second");
}

// The server has changed its authority, and so has the file: no need to wait for the minute.
TEST_F(TlsTest, ATlsFailureLooksAtTheFilesAtOnce) {
  ScriptedServer server(Answering(200, "{}"), Serving());
  options_.tls.ca = {"", folder_.Write("ca.crt", TestAuthority("old").pem())};
  const auto transport = MakeFor(server.url());
  ExpectError(transport->Send(To("POST", "/", "{}"), context_), ErrorKind::kUnreachable,
              WriteOutcome::kNotWritten);
  folder_.Write("ca.crt", authority_.pem());
  EXPECT_TRUE(transport->Send(To("POST", "/", "{}"), context_).ok());
  EXPECT_THAT(server.requests(), SizeIs(1));
}

TEST_F(TlsTest, FilesThatCannotBeUsedAreToldAtOnce) {
  options_.server = "https://127.0.0.1:1";
  options_.tls.ca = {"", folder_.path() + "/missing.crt"};
  EXPECT_THAT(std::string(CurlTransport::Create(options_, clock_).status().message()),
              HasSubstr(folder_.path() + "/missing.crt"));
}

// Proxies.

class ProxyTest : public TlsTest {};

TEST_F(ProxyTest, AnHttpProxyTunnelsToTheServer) {
  ScriptedServer server(Answering(200, "{}"), Serving("DNS:hang-api.test"));
  TestProxy proxy(server.port());
  options_.proxy_url = "http://me:pw@127.0.0.1:" + std::to_string(proxy.port());
  HttpRequest request = To("GET", "/");
  request.headers = {{"Authorization", "Bearer s3cret"}};
  const auto response = MakeFor("https://hang-api.test:6443")->Send(request, context_);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(server.requests()[0].Header("Authorization"), "Bearer s3cret");
  EXPECT_EQ(server.requests()[0].Header("Proxy-Authorization"), "");
  ASSERT_THAT(proxy.requests(), SizeIs(1));
  EXPECT_THAT(proxy.requests()[0],
              AllOf(HasSubstr("CONNECT hang-api.test:6443 HTTP/1.1\r\n"),
                    HasSubstr("Proxy-Authorization: Basic bWU6cHc="), Not(HasSubstr("s3cret"))));
}

// As with kubectl, the proxy resolves the name: this machine may not be able to.
TEST_F(ProxyTest, ASocksProxyTunnelsToTheServer) {
  ScriptedServer server(Answering(200, "{}"), Serving("DNS:hang-api.test"));
  TestProxy proxy(server.port());
  options_.proxy_url = "socks5://127.0.0.1:" + std::to_string(proxy.port());
  const auto response = MakeFor("https://hang-api.test:6443")->Send(To("GET", "/"), context_);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_THAT(proxy.requests(), ElementsAre("SOCKS5 hang-api.test:6443"));
}

TEST_F(ProxyTest, AServerNameWorksThroughAProxy) {
  ScriptedServer server(Answering(200, "{}"), Serving("DNS:api.test"));
  TestProxy proxy(server.port());
  options_.proxy_url = "http://127.0.0.1:" + std::to_string(proxy.port());
  options_.tls.server_name = "api.test";
  const auto response = MakeFor("https://hang-lb.test:6443")->Send(To("GET", "/"), context_);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_THAT(proxy.requests()[0], HasSubstr("CONNECT hang-lb.test:6443 "));
  EXPECT_EQ(server.requests()[0].server_name, "api.test");
  EXPECT_EQ(server.requests()[0].Header("Host"), "hang-lb.test:6443");
}

TEST_F(ProxyTest, AnHttpsProxyIsVerifiedWithTheSameAuthority) {
  ScriptedServer proxy([](const Request&, Connection& connection) { connection.Respond(403, ""); },
                       Serving());
  options_.proxy_url = proxy.url();
  const auto response =
      MakeFor("https://hang-api.test:6443")->Send(To("POST", "/", "{}"), context_);
  ExpectError(response, ErrorKind::kUnreachable, WriteOutcome::kNotWritten);
  ASSERT_THAT(proxy.requests(), SizeIs(1));
  EXPECT_EQ(proxy.requests()[0].method, "CONNECT");
  EXPECT_EQ(proxy.requests()[0].target, "hang-api.test:6443");
}

TEST_F(ProxyTest, AProxyThatRefusesIsNotTheServersAnswer) {
  ScriptedServer proxy([](const Request&, Connection& connection) {
    connection.Respond(407, "who are you?", "Retry-After: 5\r\n");
  });
  options_.proxy_url = "http://me:s3cret@127.0.0.1:" + std::to_string(proxy.port());
  const auto response =
      MakeFor("https://hang-api.test:6443")->Send(To("POST", "/", "{}"), context_);
  ExpectError(response, ErrorKind::kUnreachable, WriteOutcome::kNotWritten);
  EXPECT_THAT(std::string(response.status().message()),
              AllOf(HasSubstr("407"), Not(HasSubstr("s3cret"))));
}

TEST_F(ProxyTest, APlainServerIsAskedThroughTheProxyToo) {
  ScriptedServer proxy(Answering(200, "{}"));
  options_.proxy_url = proxy.url();
  ASSERT_TRUE(MakeFor("http://hang-api.test:8080")->Send(To("GET", "/x"), context_).ok());
  EXPECT_EQ(proxy.requests()[0].target, "http://hang-api.test:8080/x");
}

}  // namespace
}  // namespace gantry::kubernetes
