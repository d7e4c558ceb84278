// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/kubernetes_api.h"

#include "absl/strings/str_cat.h"

namespace gantry::integration {

using nlohmann::json;

std::string ApplicationPath(const std::string& name, const std::string& ns) {
  return absl::StrCat(ApplicationsPath(ns), "/", name);
}
std::string ApplicationsPath(const std::string& ns) {
  return absl::StrCat("/apis/argoproj.io/v1alpha1/namespaces/", ns, "/applications");
}
std::string StageHealthsPath(const std::string& ns) {
  return absl::StrCat("/apis/gantry.dev/v1alpha1/namespaces/", ns, "/stagehealths");
}

std::string StageHealthPath(const std::string& name, const std::string& ns) {
  return absl::StrCat("/apis/gantry.dev/v1alpha1/namespaces/", ns, "/stagehealths/", name);
}
std::string EventsPath(const std::string& ns) {
  return absl::StrCat("/api/v1/namespaces/", ns, "/events");
}

KubernetesApi::KubernetesApi(const ClusterAccess& access)
    : token_(access.token), client_(MakeHttpClient(access)) {}

json KubernetesApi::Create(const std::string& collection, const json& object) {
  return SendOrGiveUp("POST", collection, object.dump(), "application/json");
}

json KubernetesApi::Get(const std::string& path) { return SendOrGiveUp("GET", path); }

json KubernetesApi::MergePatch(const std::string& path, const json& patch) {
  return SendOrGiveUp("PATCH", path, patch.dump(), "application/merge-patch+json");
}

json KubernetesApi::JsonPatch(const std::string& path, const json& patch) {
  return SendOrGiveUp("PATCH", path, patch.dump(), "application/json-patch+json");
}

void KubernetesApi::Delete(const std::string& path) { SendOrGiveUp("DELETE", path); }

std::vector<json> KubernetesApi::List(const std::string& collection) {
  return SendOrGiveUp("GET", collection).at("items").get<std::vector<json>>();
}

std::optional<json> KubernetesApi::Find(const std::string& path) {
  const Answer answer = Send("GET", path);
  if (answer.status == 404) return std::nullopt;
  if (answer.status != 200) {
    GiveUp(absl::StrCat("GET ", path, ": HTTP ", answer.status, " ", answer.body));
  }
  return json::parse(answer.body);
}

KubernetesApi::Answer KubernetesApi::Send(const std::string& method, const std::string& path,
                                          const std::string& body,
                                          const std::string& content_type) {
  httplib::Request request;
  request.method = method;
  request.path = path;
  request.body = body;
  request.set_header("Authorization", "Bearer " + token_);
  if (!content_type.empty()) request.set_header("Content-Type", content_type);
  const httplib::Result result = client_->send(request);
  if (!result) {
    GiveUp(absl::StrCat(method, " ", path, ": ", httplib::to_string(result.error())));
  }
  return {result->status, result->body};
}

json KubernetesApi::SendOrGiveUp(const std::string& method, const std::string& path,
                                 const std::string& body, const std::string& content_type) {
  const Answer answer = Send(method, path, body, content_type);
  if (answer.status < 200 || answer.status > 299) {
    GiveUp(absl::StrCat(method, " ", path, ": HTTP ", answer.status, " ", answer.body));
  }
  return json::parse(answer.body);
}

}  // namespace gantry::integration
