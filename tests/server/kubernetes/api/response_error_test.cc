// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/api/response_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace gantry::kubernetes {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

ApiTarget Target(Verb verb) {
  ApiTarget target;
  target.verb = verb;
  target.resource = {"argoproj.io", "v1alpha1", "applications"};
  target.ns = "argocd";
  target.name = "guestbook";
  return target;
}

HttpResponse Response(int status, std::string body,
                      std::optional<absl::Duration> retry_after = std::nullopt) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  response.retry_after = retry_after;
  return response;
}

// As the API server writes them.
std::string Status(const std::string& reason, const std::string& message,
                   const std::string& details = R"({"name":"guestbook"})") {
  return R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":")" +
         message + R"(","reason":")" + reason + R"(","details":)" + details + "}";
}

struct KindCase {
  const char* name;
  Verb verb;
  HttpResponse response;
  ErrorKind kind;
  bool certainly_not_written;
  std::string message;
};

class ErrorOfResponseTest : public ::testing::TestWithParam<KindCase> {};

TEST_P(ErrorOfResponseTest, HasItsKindAndWords) {
  const KindCase& expected = GetParam();
  const absl::Status status = ErrorOfResponse(Target(expected.verb), expected.response);
  EXPECT_EQ(ErrorKindName(KindOf(status)), ErrorKindName(expected.kind));
  EXPECT_EQ(DetailOf(status).http_status, expected.response.status);
  EXPECT_EQ(CertainlyNotWritten(status), expected.certainly_not_written);
  const std::string message(status.message());
  EXPECT_THAT(message, StartsWith(std::string(VerbName(expected.verb)) +
                                  " applications.argoproj.io argocd/guestbook: HTTP "));
  EXPECT_THAT(message, HasSubstr(expected.message));
}

INSTANTIATE_TEST_SUITE_P(
    All, ErrorOfResponseTest,
    ::testing::ValuesIn(std::vector<KindCase>{
        {"BadRequest", Verb::kPatch, Response(400, Status("BadRequest", "no such field")),
         ErrorKind::kRefused, true, "400 BadRequest: no such field; sending it again"},
        {"Unauthorized", Verb::kGet, Response(401, Status("Unauthorized", "Unauthorized", "{}")),
         ErrorKind::kUnauthorized, true, "does not accept this server's credentials"},
        {"Forbidden", Verb::kPatch, Response(403, Status("Forbidden", "cannot patch")),
         ErrorKind::kForbidden, true,
         "cannot patch; unless an admission controller refused it, a Role must allow this "
         "server's user the verb \"patch\" on \"applications\" of the API group \"argoproj.io\" "
         "in the namespace \"argocd\""},
        {"NotFound", Verb::kGet,
         Response(404, Status("NotFound", "applications.argoproj.io \\\"guestbook\\\" not found")),
         ErrorKind::kNotFound, true, "404 NotFound: applications.argoproj.io \"guestbook\" not"},
        {"NoSuchResourceInPlainText", Verb::kGet, Response(404, "404 page not found\n"),
         ErrorKind::kNoSuchResource, true,
         "\"404 page not found\"; the API server does not serve \"applications\""},
        {"NoSuchResourceInAStatus", Verb::kGet,
         Response(404,
                  Status("NotFound", "the server could not find the requested resource", "{}")),
         ErrorKind::kNoSuchResource, true, "install its CustomResourceDefinition"},
        {"NoSuchResourceWithoutABody", Verb::kGet, Response(404, ""), ErrorKind::kNoSuchResource,
         true, "HTTP 404; the API server does not serve"},
        {"NoSuchNamespaceToCreateIn", Verb::kCreate,
         Response(404, Status("NotFound", "namespaces \\\"argocd\\\" not found",
                              R"({"name":"argocd","kind":"namespaces"})")),
         ErrorKind::kNotFound, true, "namespaces \"argocd\" not found"},
        {"MethodNotAllowed", Verb::kDelete, Response(405, Status("MethodNotAllowed", "no")),
         ErrorKind::kRefused, true, "405 MethodNotAllowed"},
        {"NotAcceptable", Verb::kGet, Response(406, Status("NotAcceptable", "only protobuf")),
         ErrorKind::kRefused, true, "only protobuf"},
        {"RequestTimeout", Verb::kPatch, Response(408, ""), ErrorKind::kRefused, false, "408"},
        {"Conflict", Verb::kPatch, Response(409, Status("Conflict", "has been modified")),
         ErrorKind::kConflict, true, "has been modified; the object has changed since"},
        {"AlreadyExists", Verb::kCreate, Response(409, Status("AlreadyExists", "exists")),
         ErrorKind::kAlreadyExists, true, "409 AlreadyExists: exists"},
        {"ConflictOnCreate", Verb::kCreate, Response(409, Status("Conflict", "being deleted")),
         ErrorKind::kConflict, true, "being deleted"},
        {"AlreadyExistsIsForCreateAlone", Verb::kPatch,
         Response(409, Status("AlreadyExists", "exists")), ErrorKind::kConflict, true, "exists"},
        {"Gone", Verb::kList, Response(410, Status("Expired", "too old resource version", "{}")),
         ErrorKind::kExpired, true, "410 Expired: too old resource version; list again"},
        {"TooLarge", Verb::kUpdate, Response(413, Status("RequestEntityTooLarge", "limit is 3")),
         ErrorKind::kRefused, true, "limit is 3"},
        {"UnsupportedMediaType", Verb::kPatch, Response(415, Status("UnsupportedMediaType", "no")),
         ErrorKind::kRefused, true, "415"},
        {"Invalid", Verb::kPatch, Response(422, Status("Invalid", "spec.x: Required value")),
         ErrorKind::kRefused, true, "spec.x: Required value"},
        {"TooManyRequests", Verb::kPatch,
         Response(429, Status("TooManyRequests", "slow down"), absl::Seconds(3)),
         ErrorKind::kThrottled, true, "slow down"},
        {"InternalError", Verb::kPatch, Response(500, Status("InternalError", "etcd has gone")),
         ErrorKind::kServerError, false, "etcd has gone"},
        {"InternalErrorWithRetryAfter", Verb::kPatch,
         Response(500, Status("InternalError", "starting"), absl::Seconds(3)),
         ErrorKind::kThrottled, false, "starting"},
        {"Unavailable", Verb::kGet, Response(503, "upstream connect error"),
         ErrorKind::kServerError, false, "\"upstream connect error\""},
        {"ResourceVersionTooLarge", Verb::kList,
         Response(504,
                  Status("Timeout", "Too large resource version: 9, current: 1",
                         R"({"causes":[{"reason":"ResourceVersionTooLarge","message":"x"}]})"),
                  absl::Seconds(1)),
         ErrorKind::kExpired, false, "Too large resource version"},
        {"OtherTimeout", Verb::kList, Response(504, Status("Timeout", "took too long", "{}")),
         ErrorKind::kServerError, false, "took too long"},
        {"Redirect", Verb::kPatch, Response(302, "<html>log in</html>"), ErrorKind::kServerError,
         false, "check the server's URL and the proxy"},
        {"UnknownClientError", Verb::kPatch, Response(418, ""), ErrorKind::kRefused, true, "418"},
        {"StatusWithWrongTypes", Verb::kGet,
         Response(404,
                  R"({"kind":"Status","message":7,"reason":[],"details":{"name":1,"causes":7}})"),
         ErrorKind::kNoSuchResource, true, "HTTP 404; "},
        {"StatusWithoutDetails", Verb::kGet,
         Response(404, R"({"kind":"Status","message":"m","details":null})"),
         ErrorKind::kNoSuchResource, true, "m"},
    }),
    [](const auto& test) { return test.param.name; });

TEST(ErrorOfResponseTest, TheDelayAskedForComesBack) {
  const absl::Status status =
      ErrorOfResponse(Target(Verb::kPatch), Response(429, "", absl::Seconds(7)));
  EXPECT_EQ(DetailOf(status).retry_after, absl::Seconds(7));
}

TEST(ErrorOfResponseTest, AClusterWideListNeedsAClusterWideRight) {
  ApiTarget target = Target(Verb::kList);
  target.ns = "";
  target.name = "";
  EXPECT_THAT(std::string(ErrorOfResponse(target, Response(403, "")).message()),
              HasSubstr("\"list\" on \"applications\" of the API group \"argoproj.io\" in the "
                        "whole cluster"));
}

TEST(ErrorOfResponseTest, TheRightToASubresourceIsNamed) {
  ApiTarget target = Target(Verb::kPatch);
  target.subresource = "status";
  EXPECT_THAT(std::string(ErrorOfResponse(target, Response(403, "")).message()),
              HasSubstr("\"patch\" on \"applications/status\" of"));
}

// A message goes into logs and to callers: no line of it can be forged, and it has an end.
TEST(ErrorOfResponseTest, QuotesAreShortAndPrintable) {
  const std::string message(
      ErrorOfResponse(Target(Verb::kGet),
                      Response(503, std::string("a\x1b[31m\n\xff") + std::string(5000, 'x')))
          .message());
  EXPECT_THAT(message, AllOf(HasSubstr(R"("a\x1b[31m\x0a\xffxxx)"), HasSubstr("xxx...")));
  EXPECT_LT(message.size(), 400u);

  const std::string long_message(
      ErrorOfResponse(Target(Verb::kGet),
                      Response(400, Status("BadRequest", std::string(50'000, 'y'))))
          .message());
  EXPECT_LT(long_message.size(), 1500u);
}

TEST(MalformedResponseTest, QuotesHowTheBodyBegins) {
  HttpResponse response = Response(200, "<!DOCTYPE html>\n" + std::string(500, 'x'));
  response.content_type = "text/html";
  const absl::Status status =
      MalformedResponse(Target(Verb::kPatch), response, "is not a JSON object");
  EXPECT_EQ(KindOf(status), ErrorKind::kMalformedResponse);
  EXPECT_FALSE(CertainlyNotWritten(status));
  EXPECT_THAT(
      std::string(status.message()),
      AllOf(HasSubstr("patch applications.argoproj.io argocd/guestbook: HTTP 200 with a body "
                      "(text/html) that is not a JSON object; it begins \"<!DOCTYPE html>\\x0axx"),
            Not(HasSubstr(std::string(101, 'x')))));
}

}  // namespace
}  // namespace gantry::kubernetes
