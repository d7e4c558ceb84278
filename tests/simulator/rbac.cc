// SPDX-License-Identifier: Apache-2.0
#include "tests/simulator/rbac.h"

#include <algorithm>

#include "base/strings.h"
#include "tests/simulator/objects.h"

namespace gantry::simulator {

using base::StrCat;
using nlohmann::json;

namespace {

constexpr char kMasters[] = "system:masters";
constexpr char kAccountPrefix[] = "system:serviceaccount:";

std::vector<std::string> TextsAt(const json& object, const char* name) {
  std::vector<std::string> texts;
  const auto found = object.find(name);
  if (found == object.end() || !found->is_array()) return texts;
  for (const json& text : *found) {
    if (text.is_string()) texts.push_back(text.get<std::string>());
  }
  return texts;
}

bool Contains(const std::vector<std::string>& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

bool ContainsOrAll(const std::vector<std::string>& list, const std::string& text) {
  return Contains(list, "*") || Contains(list, text);
}

}  // namespace

void Rbac::Put(const std::string& kind, const json& object) {
  const json metadata = object.value("metadata", json::object());
  const Key key{TextAt(metadata, "namespace"), TextAt(metadata, "name")};
  if (kind == "Role" || kind == "ClusterRole") {
    std::vector<Rule> rules;
    const auto list = object.find("rules");
    if (list != object.end() && list->is_array()) {
      for (const json& rule : *list) {
        rules.push_back({TextsAt(rule, "verbs"), TextsAt(rule, "apiGroups"),
                         TextsAt(rule, "resources"), TextsAt(rule, "resourceNames"),
                         TextsAt(rule, "nonResourceURLs")});
      }
    }
    base::MutexLock lock(mutex_);
    roles_[key] = std::move(rules);
    return;
  }
  if (kind != "RoleBinding" && kind != "ClusterRoleBinding") return;
  const json role = object.value("roleRef", json::object());
  Binding binding{key.first, key.second, TextAt(role, "kind"), TextAt(role, "name"), {}};
  const auto subjects = object.find("subjects");
  if (subjects != object.end() && subjects->is_array()) {
    for (const json& subject : *subjects) {
      binding.subjects.push_back(
          {TextAt(subject, "kind"), TextAt(subject, "namespace"), TextAt(subject, "name")});
    }
  }
  base::MutexLock lock(mutex_);
  bindings_[key] = std::move(binding);
}

void Rbac::Remove(const std::string& kind, const std::string& ns, const std::string& name) {
  base::MutexLock lock(mutex_);
  if (kind == "Role" || kind == "ClusterRole") roles_.erase({ns, name});
  if (kind == "RoleBinding" || kind == "ClusterRoleBinding") bindings_.erase({ns, name});
}

bool Rbac::RuleAllows(const Rule& rule, const Attributes& attributes) {
  if (!ContainsOrAll(rule.verbs, attributes.verb)) return false;
  if (!attributes.path.empty()) {
    return std::any_of(rule.paths.begin(), rule.paths.end(), [&](const std::string& path) {
      if (path == "*" || path == attributes.path) return true;
      return !path.empty() && path.back() == '*' &&
             attributes.path.compare(0, path.size() - 1, path, 0, path.size() - 1) == 0;
    });
  }
  if (!ContainsOrAll(rule.groups, attributes.group)) return false;
  const bool whole = attributes.subresource.empty();
  const std::string resource =
      whole ? attributes.resource : StrCat(attributes.resource, "/", attributes.subresource);
  if (!ContainsOrAll(rule.resources, resource) &&
      (whole || !Contains(rule.resources, StrCat("*/", attributes.subresource)))) {
    return false;
  }
  return rule.names.empty() || Contains(rule.names, attributes.name);
}

const Rbac::Subject* Rbac::SubjectOf(const Binding& binding, const User& user) {
  for (const Subject& subject : binding.subjects) {
    if (subject.kind == "User" && subject.name == user.name) return &subject;
    if (subject.kind == "Group" && Contains(user.groups, subject.name)) return &subject;
    const std::string& ns = subject.ns.empty() ? binding.ns : subject.ns;
    if (subject.kind == "ServiceAccount" &&
        user.name == StrCat(kAccountPrefix, ns, ":", subject.name)) {
      return &subject;
    }
  }
  return nullptr;
}

bool Rbac::RoleAllowsLocked(const Binding& binding, const Attributes& attributes) const {
  const auto role =
      roles_.find({binding.role_kind == "Role" ? binding.ns : std::string(), binding.role_name});
  if (role == roles_.end()) return false;
  return std::any_of(role->second.begin(), role->second.end(),
                     [&](const Rule& rule) { return RuleAllows(rule, attributes); });
}

Decision Rbac::Decide(const User& user, const Attributes& attributes) const {
  if (Contains(user.groups, kMasters)) return {true, ""};
  base::MutexLock lock(mutex_);
  // A cluster's bindings come first: their namespace is empty.
  for (const auto& [key, binding] : bindings_) {
    const bool of_cluster = binding.ns.empty();
    if (!of_cluster && (binding.ns != attributes.ns || !attributes.path.empty())) continue;
    const Subject* const subject = SubjectOf(binding, user);
    if (subject == nullptr || !RoleAllowsLocked(binding, attributes)) continue;
    // A service account stands there as name and namespace, in this order.
    const std::string who =
        subject->kind == "ServiceAccount" ? StrCat(subject->name, "/", subject->ns) : subject->name;
    return {true, StrCat("RBAC: allowed by ", of_cluster ? "ClusterRoleBinding" : "RoleBinding",
                         " \"", binding.name, of_cluster ? "" : StrCat("/", binding.ns), "\" of ",
                         binding.role_kind, " \"", binding.role_name, "\" to ", subject->kind,
                         " \"", who, "\"")};
  }
  return {};
}

std::vector<json> DefaultRbacObjects() {
  const json type = {{"apiVersion", "rbac.authorization.k8s.io/v1"}};
  std::vector<json> objects;
  const auto add = [&](const std::string& name, const json& rules,
                       const std::vector<std::string>& groups) {
    json role = type;
    role["kind"] = "ClusterRole";
    role["metadata"] = {{"name", name}};
    role["rules"] = rules;
    objects.push_back(role);
    json binding = type;
    binding["kind"] = "ClusterRoleBinding";
    binding["metadata"] = {{"name", name}};
    binding["roleRef"] = {
        {"apiGroup", "rbac.authorization.k8s.io"}, {"kind", "ClusterRole"}, {"name", name}};
    for (const std::string& group : groups) {
      binding["subjects"].push_back(
          {{"apiGroup", "rbac.authorization.k8s.io"}, {"kind", "Group"}, {"name", group}});
    }
    objects.push_back(binding);
  };
  add("cluster-admin",
      {{{"apiGroups", {"*"}}, {"resources", {"*"}}, {"verbs", {"*"}}},
       {{"nonResourceURLs", {"*"}}, {"verbs", {"*"}}}},
      {kMasters});
  add("system:basic-user",
      json::array({{{"apiGroups", {"authorization.k8s.io"}},
                    {"resources", {"selfsubjectaccessreviews", "selfsubjectrulesreviews"}},
                    {"verbs", {"create"}}}}),
      {"system:authenticated"});
  add("system:discovery",
      json::array({{{"nonResourceURLs",
                     {"/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi",
                      "/openapi/*", "/readyz", "/version", "/version/"}},
                    {"verbs", {"get"}}}}),
      {"system:authenticated"});
  add("system:public-info-viewer",
      json::array({{{"nonResourceURLs", {"/healthz", "/livez", "/readyz", "/version", "/version/"}},
                    {"verbs", {"get"}}}}),
      {"system:authenticated", "system:unauthenticated"});
  return objects;
}

}  // namespace gantry::simulator
