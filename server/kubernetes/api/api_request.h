// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_API_API_REQUEST_H_
#define GANTRY_SERVER_KUBERNETES_API_API_REQUEST_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/kubernetes/api/client.h"

namespace gantry::kubernetes {

enum class Verb { kGet, kList, kWatch, kCreate, kUpdate, kPatch, kDelete };

// As RBAC spells it: "get", "list", ...
std::string_view VerbName(Verb verb);
std::string_view MethodOf(Verb verb);
// Reads may be repeated at will.
bool IsRead(Verb verb);

// What a call is about, in the API's terms: enough to build its URL and to name it in an error.
struct ApiTarget {
  Verb verb = Verb::kGet;
  Resource resource;
  // Of a resource without namespaces: false. With namespaces, an empty `ns` means all of them,
  // which only list and watch know.
  bool namespaced = true;
  std::string_view ns;
  // Not part of the path of list, watch and create, which concern a collection; create may have
  // it for messages.
  std::string_view name;
  std::string_view subresource;
  std::vector<std::pair<std::string, std::string>> query;
};

// "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/guestbook?...", each part
// percent-encoded. kRefused for a name or namespace that is missing, ".", "..", or contains '/' or
// '%': it would name another object than the one meant.
absl::StatusOr<std::string> BuildPath(const ApiTarget& target);

// Everything but the unreserved characters of RFC 3986 as %XX.
std::string PercentEncoded(std::string_view text);

// "patch applications.argoproj.io argocd/guestbook": what messages begin with.
std::string Describe(const ApiTarget& target);

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_API_API_REQUEST_H_
