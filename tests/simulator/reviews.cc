// SPDX-License-Identifier: Apache-2.0
#include "tests/simulator/reviews.h"

#include <algorithm>

#include "base/strings.h"
#include "tests/simulator/objects.h"

namespace gantry::simulator {

using base::StrCat;
using nlohmann::json;

namespace {

constexpr char kAudience[] = "https://kubernetes.default.svc.cluster.local";

json Answered(const json& review, const json& spec, json status) {
  return {{"kind", TextAt(review, "kind")},
          {"apiVersion", TextAt(review, "apiVersion")},
          {"metadata", json::object()},
          {"spec", spec},
          {"status", std::move(status)}};
}

const json& SpecOf(const json& review) {
  static const json& none = *new json(json::object());
  const auto found = review.find("spec");
  return found != review.end() && found->is_object() ? *found : none;
}

}  // namespace

Result<json> ReviewToken(const json& review, const std::map<std::string, User>& tokens) {
  const json& spec = SpecOf(review);
  const std::string token = TextAt(spec, "token");
  if (token.empty()) return BadRequest("token is required for TokenReview in authentication");
  json audiences = spec.value("audiences", json::array());
  const bool ours = audiences.empty() ||
                    std::find(audiences.begin(), audiences.end(), kAudience) != audiences.end();
  const auto found = tokens.find(token);
  if (found == tokens.end() || !ours) {
    return Answered(review, spec, {{"user", json::object()}, {"error", "invalid bearer token"}});
  }
  json user = {{"username", found->second.name}, {"groups", found->second.groups}};
  user["groups"].push_back("system:authenticated");
  if (!found->second.uid.empty()) user["uid"] = found->second.uid;
  return Answered(
      review, spec,
      {{"authenticated", true}, {"user", user}, {"audiences", json::array({kAudience})}});
}

Result<json> ReviewAccess(const json& review, const User* self, const Rbac& rbac) {
  const json& spec = SpecOf(review);
  const auto resource = spec.find("resourceAttributes");
  const auto path = spec.find("nonResourceAttributes");
  const bool has_resource = resource != spec.end() && resource->is_object();
  const bool has_path = path != spec.end() && path->is_object();
  std::vector<Cause> causes;
  if (has_resource && has_path) {
    causes.push_back(
        {"FieldValueInvalid",
         StrCat("Invalid value: ",
                json{{"Path", TextAt(*path, "path")}, {"Verb", TextAt(*path, "verb")}}.dump(),
                ": cannot be specified in combination with resourceAttributes"),
         "spec.nonResourceAttributes"});
  } else if (!has_resource && !has_path) {
    causes.push_back({"FieldValueInvalid",
                      "Invalid value: null: exactly one of nonResourceAttributes or "
                      "resourceAttributes must be specified",
                      "spec.resourceAttributes"});
  }
  User user;
  if (self != nullptr) {
    user = *self;
  } else {
    user.name = TextAt(spec, "user");
    for (const json& group : spec.value("groups", json::array())) {
      if (group.is_string()) user.groups.push_back(group.get<std::string>());
    }
    if (user.name.empty() && user.groups.empty()) {
      causes.push_back({"FieldValueInvalid",
                        "Invalid value: \"\": at least one of user or group must be specified",
                        "spec.user"});
    }
  }
  if (!causes.empty()) return Invalid({"authorization.k8s.io", ""}, "", causes);

  Attributes attributes;
  if (has_path) {
    attributes.verb = TextAt(*path, "verb");
    attributes.path = TextAt(*path, "path");
  } else {
    attributes = {TextAt(*resource, "verb"),
                  TextAt(*resource, "group"),
                  TextAt(*resource, "resource"),
                  TextAt(*resource, "subresource"),
                  TextAt(*resource, "namespace"),
                  TextAt(*resource, "name"),
                  ""};
  }
  const Decision decision = rbac.Decide(user, attributes);
  json status = {{"allowed", decision.allowed}};
  if (!decision.reason.empty()) status["reason"] = decision.reason;
  return Answered(review, spec, std::move(status));
}

}  // namespace gantry::simulator
