// SPDX-License-Identifier: Apache-2.0
#include "tests/simulator/api_status.h"

#include "base/strings.h"

namespace gantry::simulator {

using base::StrCat;
using nlohmann::json;

namespace {

json Details(const QualifiedName& resource, const std::string& name) {
  json details = json::object();
  if (!name.empty()) details["name"] = name;
  if (!resource.group.empty()) details["group"] = resource.group;
  if (!resource.name.empty()) details["kind"] = resource.name;
  return details;
}

std::string Quoted(const std::string& name) { return StrCat("\"", name, "\""); }

}  // namespace

ApiError MakeError(int code, const std::string& reason, const std::string& message, json details) {
  json body = {{"kind", "Status"},    {"apiVersion", "v1"}, {"metadata", json::object()},
               {"status", "Failure"}, {"message", message}, {"code", code}};
  if (!reason.empty()) body["reason"] = reason;
  if (!details.is_null()) body["details"] = std::move(details);
  return {code, std::move(body)};
}

ApiError InternalMessage(const std::string& message) { return MakeError(500, "", message); }

ApiError BadRequest(const std::string& message) { return MakeError(400, "BadRequest", message); }

ApiError Unauthorized() { return MakeError(401, "Unauthorized", "Unauthorized"); }

ApiError NotFound(const QualifiedName& resource, const std::string& name) {
  return MakeError(404, "NotFound", StrCat(resource.Text(), " ", Quoted(name), " not found"),
                   Details(resource, name));
}

ApiError NoSuchResource() {
  return MakeError(404, "NotFound", "the server could not find the requested resource",
                   json::object());
}

ApiError PageNotFound() { return {404, nullptr, "404 page not found\n"}; }

ApiError AlreadyExists(const QualifiedName& resource, const std::string& name) {
  return MakeError(409, "AlreadyExists",
                   StrCat(resource.Text(), " ", Quoted(name), " already exists"),
                   Details(resource, name));
}

ApiError Conflict(const QualifiedName& resource, const std::string& name,
                  const std::string& message) {
  return MakeError(409, "Conflict",
                   StrCat("Operation cannot be fulfilled on ", resource.Text(), " ", Quoted(name),
                          ": ", message),
                   Details(resource, name));
}

ApiError Modified(const QualifiedName& resource, const std::string& name) {
  return Conflict(resource, name,
                  "the object has been modified; please apply your changes to the latest version "
                  "and try again");
}

ApiError Invalid(const QualifiedName& kind, const std::string& name,
                 const std::vector<Cause>& causes) {
  json details = Details(kind, name);
  std::vector<std::string> texts;
  for (const Cause& cause : causes) {
    details["causes"].push_back(
        {{"reason", cause.reason}, {"message", cause.message}, {"field", cause.field}});
    const std::string text = StrCat(cause.field, ": ", cause.message);
    // The list of causes keeps what is said twice; the message does not.
    bool said = false;
    for (const std::string& other : texts) said = said || other == text;
    if (!said) texts.push_back(text);
  }
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ", ") + text;
  if (texts.size() > 1) all = StrCat("[", all, "]");
  return MakeError(422, "Invalid", StrCat(kind.Text(), " ", Quoted(name), " is invalid: ", all),
                   std::move(details));
}

ApiError PatchRejected() {
  return MakeError(422, "Invalid", "the server rejected our request due to an error in our request",
                   json::object());
}

ApiError MethodNotAllowed() {
  return MakeError(405, "MethodNotAllowed",
                   "the server does not allow this method on the requested resource",
                   json::object());
}

ApiError VerbNotSupported(const QualifiedName& resource, const std::string& verb) {
  return MakeError(405, "MethodNotAllowed",
                   StrCat(verb, " is not supported on resources of kind ", Quoted(resource.Text())),
                   Details(resource, ""));
}

ApiError UnsupportedMediaType(const std::string& accepted) {
  return MakeError(415, "UnsupportedMediaType",
                   StrCat("the body of the request was in an unknown format - accepted media types "
                          "include: ",
                          accepted));
}

ApiError NotAcceptable() {
  return MakeError(406, "NotAcceptable",
                   "only the following media types are accepted: application/json, "
                   "application/yaml, application/vnd.kubernetes.protobuf");
}

ApiError EntityTooLarge(std::size_t limit) {
  return MakeError(413, "RequestEntityTooLarge",
                   StrCat("Request entity too large: limit is ", limit));
}

ApiError Expired(const std::string& message) { return MakeError(410, "Expired", message); }

ApiError TooLargeResourceVersion(std::uint64_t asked, std::uint64_t current) {
  ApiError error =
      MakeError(504, "Timeout",
                StrCat("Timeout: Too large resource version: ", asked, ", current: ", current),
                {{"causes", json::array({{{"reason", "ResourceVersionTooLarge"},
                                          {"message", "Too large resource version"}}})},
                 {"retryAfterSeconds", 1}});
  error.retry_after = 1;
  return error;
}

ApiError Forbidden(const QualifiedName& resource, const std::string& name,
                   const std::string& message) {
  return MakeError(403, "Forbidden",
                   StrCat(resource.Text(), name.empty() ? "" : StrCat(" ", Quoted(name)),
                          " is forbidden: ", message),
                   Details(resource, name));
}

}  // namespace gantry::simulator
