// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SIMULATOR_RBAC_H_
#define GANTRY_TESTS_SIMULATOR_RBAC_H_

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace gantry::simulator {

// Who makes a request.
struct User {
  std::string name;
  std::string uid;
  std::vector<std::string> groups;
};

// What somebody wants to do: to a resource, or (with a `path`) to a path that is none.
struct Attributes {
  std::string verb;
  std::string group;
  std::string resource;
  std::string subresource;
  std::string ns;
  std::string name;
  std::string path;
};

struct Decision {
  bool allowed = false;
  std::string reason;  // as the API server says it; empty where it says none
};

// Decides by Roles and bindings as the API server's RBAC authorizer does. Owned by the Simulator,
// which tells it of every such object that is written; any thread may call it.
class Rbac {
 public:
  // `kind`: "Role", "ClusterRole", "RoleBinding" or "ClusterRoleBinding"; others are ignored.
  void Put(const std::string& kind, const nlohmann::json& object) ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(const std::string& kind, const std::string& ns, const std::string& name)
      ABSL_LOCKS_EXCLUDED(mutex_);
  Decision Decide(const User& user, const Attributes& attributes) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Rule {
    std::vector<std::string> verbs, groups, resources, names, paths;
  };
  struct Subject {
    std::string kind, ns, name;
  };
  struct Binding {
    std::string ns, name, role_kind, role_name;
    std::vector<Subject> subjects;
  };
  using Key = std::pair<std::string, std::string>;

  static bool RuleAllows(const Rule& rule, const Attributes& attributes);
  // The one of the binding's subjects that the user is; null when there is none.
  static const Subject* SubjectOf(const Binding& binding, const User& user);
  bool RoleAllowsLocked(const Binding& binding, const Attributes& attributes) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable base::Mutex mutex_;
  // By namespace (empty: a cluster's) and name.
  std::map<Key, std::vector<Rule>> roles_ ABSL_GUARDED_BY(mutex_);
  std::map<Key, Binding> bindings_ ABSL_GUARDED_BY(mutex_);
};

// The roles and bindings that every cluster begins with, as far as they count here.
std::vector<nlohmann::json> DefaultRbacObjects();

}  // namespace gantry::simulator

#endif  // GANTRY_TESTS_SIMULATOR_RBAC_H_
