// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SIMULATOR_RESOURCES_H_
#define GANTRY_TESTS_SIMULATOR_RESOURCES_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "tests/simulator/api_status.h"
#include "tests/simulator/schema.h"

namespace gantry::simulator {

// A column that kubectl prints, besides the name.
struct Column {
  std::string name;
  std::string type;
  std::string path;  // ".spec.project"
  std::string description;
  int priority = 0;
};

// What the simulator knows about one resource. Immutable.
struct Resource {
  std::string group;  // empty: the core group
  std::string version;
  std::string plural;
  std::string singular;
  std::string kind;
  std::string list_kind;
  std::vector<std::string> short_names;
  bool namespaced = true;
  // Defined by a CustomResourceDefinition; the API server treats these differently in many details.
  bool custom = false;
  bool has_status = false;
  // PUT creates what is not there, and needs no resourceVersion.
  bool create_on_update = false;
  bool unconditional_update = false;
  // Objects may have any name that a path can have.
  bool free_names = false;
  // Answers are computed, nothing is stored: SubjectAccessReviews and the like.
  bool review = false;
  // Fields other than metadata.name and metadata.namespace that objects can be selected by.
  std::vector<std::string> field_labels;
  Schema schema;
  std::vector<Column> columns;

  QualifiedName name() const { return {group, plural}; }
  QualifiedName kind_name() const { return {group, kind}; }
  // Its name in the store.
  std::string key() const { return name().Text(); }
  std::string api_version() const { return group.empty() ? version : group + "/" + version; }
};
using ResourcePtr = std::shared_ptr<const Resource>;

// Those that are served: the built-in ones, and what CustomResourceDefinitions define. Owned by the
// Simulator; any thread may call it.
class Resources {
 public:
  Resources();

  // Null when there is none.
  ResourcePtr Find(const std::string& group, const std::string& version,
                   const std::string& plural) const ABSL_LOCKS_EXCLUDED(mutex_);
  ResourcePtr FindKind(const std::string& api_version, const std::string& kind) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<ResourcePtr> All() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether the server itself has resources in the group.
  bool IsBuiltInGroup(const std::string& group) const ABSL_LOCKS_EXCLUDED(mutex_);

  // Why an object is no CustomResourceDefinition that can be served; empty when it is.
  static std::string WhyNoDefinition(const nlohmann::json& definition);
  // Takes what a CustomResourceDefinition defines, in place of what it defined before.
  void Define(const nlohmann::json& definition) ABSL_LOCKS_EXCLUDED(mutex_);
  // Forgets what it defines.
  void Undefine(const std::string& definition_name) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable base::Mutex mutex_;
  std::vector<ResourcePtr> resources_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gantry::simulator

#endif  // GANTRY_TESTS_SIMULATOR_RESOURCES_H_
