// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/api/response_error.h"

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "base/strings.h"
#include "server/kubernetes/api/json_field.h"

namespace gantry::kubernetes {
namespace {

constexpr std::size_t kMaxQuotedMessage = 1024;
constexpr std::size_t kMaxQuotedBody = 100;

// What is used of the API's `Status` object.
struct ApiStatus {
  bool present = false;
  std::string message;
  std::string reason;
  std::string details_name;
  bool resource_version_too_large = false;
};

ApiStatus ParseApiStatus(const std::string& body) {
  ApiStatus status;
  const nlohmann::json json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object() || TextAt(json, "kind") != "Status") return status;
  status.present = true;
  status.message = TextAt(json, "message");
  status.reason = TextAt(json, "reason");
  const auto details = json.find("details");
  if (details == json.end() || !details->is_object()) return status;
  status.details_name = TextAt(*details, "name");
  const auto causes = details->find("causes");
  if (causes == details->end() || !causes->is_array()) return status;
  for (const auto& cause : *causes) {
    if (cause.is_object() && TextAt(cause, "reason") == "ResourceVersionTooLarge") {
      status.resource_version_too_large = true;
    }
  }
  return status;
}

ErrorKind KindOfResponse(const ApiTarget& target, const HttpResponse& response,
                         const ApiStatus& status) {
  if (status.resource_version_too_large) return ErrorKind::kExpired;
  switch (response.status) {
    case 401:
      return ErrorKind::kUnauthorized;
    case 403:
      return ErrorKind::kForbidden;
    case 404:
      // For a kind it does not serve the API server says so in plain text, or in a Status that
      // names no object.
      return status.details_name.empty() ? ErrorKind::kNoSuchResource : ErrorKind::kNotFound;
    case 409:
      return target.verb == Verb::kCreate && status.reason == "AlreadyExists"
                 ? ErrorKind::kAlreadyExists
                 : ErrorKind::kConflict;
    case 410:
      return ErrorKind::kExpired;
    case 429:
      return ErrorKind::kThrottled;
    default:
      break;
  }
  if (response.status >= 400 && response.status < 500) return ErrorKind::kRefused;
  if (response.status >= 500 && response.retry_after) return ErrorKind::kThrottled;
  return ErrorKind::kServerError;
}

std::string FullResource(const ApiTarget& target) {
  std::string text = base::StrCat("\"", target.resource.plural);
  if (!target.subresource.empty()) base::StrAppend(&text, "/", target.subresource);
  base::StrAppend(&text, "\" of the API group \"", target.resource.group, "\"");
  return text;
}

std::string Advice(const ApiTarget& target, const HttpResponse& response, ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kNotFound:
      return "";
    case ErrorKind::kNoSuchResource:
      return base::StrCat("; the API server does not serve ", FullResource(target), " in version ",
                          target.resource.version,
                          ": install its CustomResourceDefinition, and check that this is the "
                          "cluster meant");
    case ErrorKind::kConflict:
      return "; the object has changed since it was read: read it and decide again";
    case ErrorKind::kAlreadyExists:
      return "; read the object that is there";
    case ErrorKind::kExpired:
      return "; list again";
    case ErrorKind::kThrottled:
      return "; the API server is busy: try again later";
    case ErrorKind::kUnauthorized:
      return "; the API server does not accept this server's credentials: check the token, client "
             "certificate or exec plugin of its kubeconfig, or its service account";
    case ErrorKind::kForbidden: {
      const std::string where = !target.namespaced || target.ns.empty()
                                    ? std::string("in the whole cluster")
                                    : base::StrCat("in the namespace \"", target.ns, "\"");
      return base::StrCat(
          "; unless an admission controller refused it, a Role must allow this "
          "server's user the verb \"",
          VerbName(target.verb), "\" on ", FullResource(target), " ", where);
    }
    case ErrorKind::kServerError:
      if (response.status < 400) {
        return "; something that is not the API server seems to answer: check the server's URL "
               "and the proxy";
      }
      return "; the API server's log says more";
    case ErrorKind::kRefused:
      return response.status == 408 ? "; try again" : "; sending it again will not help";
    default:
      return "";
  }
}

}  // namespace

std::string Excerpt(std::string_view text, std::size_t max_bytes) {
  std::string quoted;
  for (const char c : text.substr(0, max_bytes)) {
    if (absl::ascii_isprint(static_cast<unsigned char>(c))) {
      quoted.push_back(c);
    } else {
      base::StrAppend(&quoted, "\\x", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  if (text.size() > max_bytes) quoted += "...";
  return quoted;
}

absl::Status ErrorOfResponse(const ApiTarget& target, const HttpResponse& response) {
  const ApiStatus status = ParseApiStatus(response.body);
  const ErrorKind kind = KindOfResponse(target, response, status);
  std::string message = base::StrCat(Describe(target), ": HTTP ", response.status);
  if (!status.reason.empty()) base::StrAppend(&message, " ", Excerpt(status.reason, 64));
  if (!status.message.empty()) {
    base::StrAppend(&message, ": ", Excerpt(status.message, kMaxQuotedMessage));
  } else if (!status.present && !response.body.empty()) {
    base::StrAppend(&message, ": \"",
                    Excerpt(base::ToStd(absl::StripAsciiWhitespace(response.body)), kMaxQuotedBody),
                    "\"");
  }
  message += Advice(target, response, kind);
  return MakeError({.kind = kind,
                    .http_status = response.status,
                    .retry_after = response.retry_after.value_or(absl::ZeroDuration())},
                   message);
}

absl::Status MalformedResponse(const ApiTarget& target, const HttpResponse& response,
                               std::string_view what) {
  return MakeError(
      {.kind = ErrorKind::kMalformedResponse,
       .http_status = response.status,
       .outcome = WriteOutcome::kUnknown},
      base::StrCat(
          Describe(target), ": HTTP ", response.status, " with a body (",
          response.content_type.empty() ? "of no stated type" : Excerpt(response.content_type, 64),
          ") that ", what, "; it begins \"", Excerpt(response.body, kMaxQuotedBody),
          "\"; check that the server's URL is that of a Kubernetes API server"));
}

absl::Status MalformedStream(const ApiTarget& target, std::string_view what) {
  return MakeError({.kind = ErrorKind::kMalformedResponse, .http_status = 200},
                   base::StrCat(Describe(target), ": HTTP 200 with a body that ", what,
                                "; check that the server's URL is that of a Kubernetes API server, "
                                "and the proxy between"));
}

}  // namespace gantry::kubernetes
