// SPDX-License-Identifier: Apache-2.0
#include "tests/simulator/resources.h"

#include <algorithm>

#include "tests/simulator/objects.h"

namespace gantry::simulator {

using nlohmann::json;

namespace {

constexpr char kAgeDescription[] =
    "CreationTimestamp is a timestamp representing the server time when this object was created.";

Column Age() { return {"Age", "date", ".metadata.creationTimestamp", kAgeDescription, 0}; }

json Fields(std::initializer_list<std::pair<const char*, const char*>> fields) {
  json properties = json::object();
  for (const auto& [name, type] : fields) properties[name] = {{"type", type}};
  return properties;
}

json ObjectOf(json properties) {
  return {{"type", "object"}, {"properties", std::move(properties)}};
}

json Reference() {
  return ObjectOf(Fields({{"kind", "string"},
                          {"namespace", "string"},
                          {"name", "string"},
                          {"uid", "string"},
                          {"apiVersion", "string"},
                          {"resourceVersion", "string"},
                          {"fieldPath", "string"}}));
}

// Of a field that is written even where it is null.
json NullableText() { return {{"type", "string"}, {"nullable", true}, {"default", nullptr}}; }

Schema EventSchema() {
  json properties = Fields({{"reason", "string"},
                            {"message", "string"},
                            {"count", "integer"},
                            {"type", "string"},
                            {"action", "string"}});
  properties["involvedObject"] = Reference();
  properties["involvedObject"]["default"] = json::object();
  properties["related"] = Reference();
  properties["source"] = ObjectOf(Fields({{"component", "string"}, {"host", "string"}}));
  properties["source"]["default"] = json::object();
  properties["series"] = ObjectOf(Fields({{"count", "integer"}, {"lastObservedTime", "string"}}));
  for (const char* name : {"firstTimestamp", "lastTimestamp", "eventTime"}) {
    properties[name] = NullableText();
  }
  for (const char* name : {"reportingComponent", "reportingInstance"}) {
    properties[name] = {{"type", "string"}, {"default", ""}};
  }
  return Schema(ObjectOf(std::move(properties)));
}

Schema LeaseSchema() {
  json spec = ObjectOf(Fields({{"holderIdentity", "string"},
                               {"leaseDurationSeconds", "integer"},
                               {"acquireTime", "string"},
                               {"renewTime", "string"},
                               {"leaseTransitions", "integer"}}));
  for (const char* name : {"acquireTime", "renewTime"}) {
    spec["properties"][name]["format"] = "micro-time";
  }
  spec["default"] = json::object();
  return Schema(ObjectOf({{"spec", std::move(spec)}}));
}

// Keeps whatever comes.
Schema OpenSchema() {
  return Schema({{"type", "object"}, {"x-kubernetes-preserve-unknown-fields", true}});
}

std::vector<ResourcePtr> BuiltIn() {
  std::vector<ResourcePtr> all;
  const auto add = [&](Resource resource) {
    resource.list_kind = resource.kind + "List";
    std::string lower = resource.kind;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    resource.singular = lower;
    if (resource.columns.empty()) resource.columns = {Age()};
    all.push_back(std::make_shared<Resource>(std::move(resource)));
  };

  Resource namespaces;
  namespaces.version = "v1";
  namespaces.plural = "namespaces";
  namespaces.kind = "Namespace";
  namespaces.short_names = {"ns"};
  namespaces.namespaced = false;
  namespaces.has_status = true;
  namespaces.unconditional_update = true;
  namespaces.field_labels = {"status.phase"};
  namespaces.schema = OpenSchema();
  namespaces.columns = {{"Status", "string", ".status.phase", "The status of the namespace", 0},
                        Age()};
  add(namespaces);

  Resource events;
  events.version = "v1";
  events.plural = "events";
  events.kind = "Event";
  events.short_names = {"ev"};
  events.create_on_update = true;
  events.unconditional_update = true;
  events.field_labels = {"involvedObject.kind",
                         "involvedObject.namespace",
                         "involvedObject.name",
                         "involvedObject.uid",
                         "involvedObject.apiVersion",
                         "involvedObject.resourceVersion",
                         "involvedObject.fieldPath",
                         "reason",
                         "reportingComponent",
                         "source",
                         "type"};
  events.schema = EventSchema();
  events.columns = {{"Last Seen", "date", ".lastTimestamp", "When it was last seen", 0},
                    {"Type", "string", ".type", "Type of this event", 0},
                    {"Reason", "string", ".reason", "Why it happened", 0},
                    {"Object", "string", ".involvedObject.name", "The object it is about", 0},
                    {"Message", "string", ".message", "What happened", 0}};
  add(events);

  Resource accounts;
  accounts.version = "v1";
  accounts.plural = "serviceaccounts";
  accounts.kind = "ServiceAccount";
  accounts.short_names = {"sa"};
  accounts.schema = OpenSchema();
  add(accounts);

  Resource leases;
  leases.group = "coordination.k8s.io";
  leases.version = "v1";
  leases.plural = "leases";
  leases.kind = "Lease";
  leases.create_on_update = true;
  leases.schema = LeaseSchema();
  leases.columns = {{"Holder", "string", ".spec.holderIdentity", "Who holds the lease", 0}, Age()};
  add(leases);

  for (const auto& [plural, kind, namespaced] :
       {std::tuple("roles", "Role", true), std::tuple("rolebindings", "RoleBinding", true),
        std::tuple("clusterroles", "ClusterRole", false),
        std::tuple("clusterrolebindings", "ClusterRoleBinding", false)}) {
    Resource resource;
    resource.group = "rbac.authorization.k8s.io";
    resource.version = "v1";
    resource.plural = plural;
    resource.kind = kind;
    resource.namespaced = namespaced;
    resource.create_on_update = true;
    resource.unconditional_update = true;
    resource.free_names = true;
    resource.schema = OpenSchema();
    add(resource);
  }

  Resource definitions;
  definitions.group = "apiextensions.k8s.io";
  definitions.version = "v1";
  definitions.plural = "customresourcedefinitions";
  definitions.kind = "CustomResourceDefinition";
  definitions.short_names = {"crd", "crds"};
  definitions.namespaced = false;
  definitions.has_status = true;
  definitions.schema = OpenSchema();
  add(definitions);

  for (const auto& [group, plural, kind] :
       {std::tuple("authentication.k8s.io", "tokenreviews", "TokenReview"),
        std::tuple("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview"),
        std::tuple("authorization.k8s.io", "selfsubjectaccessreviews",
                   "SelfSubjectAccessReview")}) {
    Resource resource;
    resource.group = group;
    resource.version = "v1";
    resource.plural = plural;
    resource.kind = kind;
    resource.namespaced = false;
    resource.review = true;
    add(resource);
  }
  return all;
}

// What a CustomResourceDefinition defines. Throws json::exception when it has odd types.
std::vector<ResourcePtr> Defined(const json& definition) {
  const json spec = definition.value("spec", json::object());
  const json names = spec.value("names", json::object());
  std::vector<ResourcePtr> defined;
  for (const json& version : spec.value("versions", json::array())) {
    if (!version.value("served", false)) continue;
    Resource resource;
    resource.custom = true;
    resource.group = TextAt(spec, "group");
    resource.version = TextAt(version, "name");
    resource.plural = TextAt(names, "plural");
    resource.kind = TextAt(names, "kind");
    resource.singular = TextAt(names, "singular");
    resource.list_kind = TextAt(names, "listKind");
    if (resource.list_kind.empty()) resource.list_kind = resource.kind + "List";
    resource.namespaced = TextAt(spec, "scope") == "Namespaced";
    for (const json& name : names.value("shortNames", json::array())) {
      resource.short_names.push_back(name.get<std::string>());
    }
    resource.has_status = version.value("subresources", json::object()).contains("status");
    resource.schema =
        Schema(version.value("schema", json::object()).value("openAPIV3Schema", json::object()));
    for (const json& column : version.value("additionalPrinterColumns", json::array())) {
      const std::string path = TextAt(column, "jsonPath");
      resource.columns.push_back({TextAt(column, "name"), TextAt(column, "type"), path,
                                  "Custom resource definition column (in JSONPath format): " + path,
                                  column.value("priority", 0)});
    }
    if (resource.columns.empty()) resource.columns = {Age()};
    defined.push_back(std::make_shared<Resource>(std::move(resource)));
  }
  return defined;
}

}  // namespace

Resources::Resources() : resources_(BuiltIn()) {}

ResourcePtr Resources::Find(const std::string& group, const std::string& version,
                            const std::string& plural) const {
  base::MutexLock lock(mutex_);
  for (const ResourcePtr& resource : resources_) {
    if (resource->plural == plural && resource->group == group && resource->version == version) {
      return resource;
    }
  }
  return nullptr;
}

ResourcePtr Resources::FindKind(const std::string& api_version, const std::string& kind) const {
  base::MutexLock lock(mutex_);
  for (const ResourcePtr& resource : resources_) {
    if (resource->kind == kind && resource->api_version() == api_version) return resource;
  }
  return nullptr;
}

std::vector<ResourcePtr> Resources::All() const {
  base::MutexLock lock(mutex_);
  return resources_;
}

bool Resources::IsBuiltInGroup(const std::string& group) const {
  base::MutexLock lock(mutex_);
  return std::any_of(resources_.begin(), resources_.end(), [&](const ResourcePtr& resource) {
    return !resource->custom && resource->group == group;
  });
}

std::string Resources::WhyNoDefinition(const json& definition) {
  try {
    const std::vector<ResourcePtr> defined = Defined(definition);
    const bool named = !defined.empty() && !defined[0]->group.empty() &&
                       !defined[0]->plural.empty() && !defined[0]->kind.empty();
    return named ? "" : "needs a group, names, and a version that is served";
  } catch (const json::exception& exception) {
    return exception.what();
  }
}

void Resources::Define(const json& definition) {
  if (!WhyNoDefinition(definition).empty()) return;
  const std::vector<ResourcePtr> defined = Defined(definition);
  Undefine(defined[0]->key());
  base::MutexLock lock(mutex_);
  resources_.insert(resources_.end(), defined.begin(), defined.end());
}

void Resources::Undefine(const std::string& definition_name) {
  base::MutexLock lock(mutex_);
  resources_.erase(std::remove_if(resources_.begin(), resources_.end(),
                                  [&](const ResourcePtr& resource) {
                                    return resource->custom && resource->key() == definition_name;
                                  }),
                   resources_.end());
}

}  // namespace gantry::simulator
