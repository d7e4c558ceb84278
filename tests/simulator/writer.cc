// SPDX-License-Identifier: Apache-2.0
#include "tests/simulator/writer.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "base/strings.h"
#include "base/text.h"
#include "tests/simulator/certificates.h"
#include "tests/simulator/patch.h"

namespace gantry::simulator {

using base::StrCat;
using nlohmann::json;

namespace {

constexpr char kJsonPatch[] = "application/json-patch+json";
constexpr char kMergePatch[] = "application/merge-patch+json";
constexpr char kOtherNamespace[] =
    "the namespace of the provided object does not match the namespace sent on the request";

std::string Immutable(const std::string& value) {
  return StrCat("Invalid value: ", value, ": field is immutable");
}

// The object in a request to `name` says that it is `own`.
ApiError OtherName(const std::string& own, const std::string& name) {
  return BadRequest(own.empty() ? StrCat("the name of the object (", name,
                                         " based on URL) was undeterminable: name must be provided")
                                : StrCat("the name of the object (", own,
                                         ") does not match the name on the URL (", name, ")"));
}

// Digits and letters as Kubernetes puts them behind a generateName.
std::string RandomSuffix() {
  constexpr char kLetters[] = "bcdfghjklmnpqrstvwxz2456789bcdfg";
  std::string suffix;
  for (const char c : RandomHex(10)) suffix += c;
  std::string text;
  for (std::size_t i = 0; i < 5; ++i) {
    const int value = std::stoi(suffix.substr(2 * i, 2), nullptr, 16);
    text += kLetters[value & 31];
  }
  return text;
}

// Everything that a generation counts changes of.
json Counted(const Resource& resource, const json& object) {
  json counted = object;
  counted.erase("metadata");
  if (resource.has_status) counted.erase("status");
  return counted;
}

void SetDefaults(const Resource& resource, json& object) {
  if (resource.custom) return;
  if (resource.plural == "namespaces") {
    if (!object.contains("spec") || !object["spec"].is_object()) object["spec"] = json::object();
    if (!object["spec"].contains("finalizers")) object["spec"]["finalizers"] = {"kubernetes"};
    json& metadata = object["metadata"];
    const std::string name = TextAt(metadata, "name");
    if (!name.empty()) metadata["labels"]["kubernetes.io/metadata.name"] = name;
  }
}

// Adds why the object is not valid. An object of a built-in kind that does not fit its schema
// cannot even be read: 400.
std::optional<ApiError> CheckSchema(const Resource& resource, const json& object,
                                    std::vector<Cause>& causes) {
  const std::vector<Cause> misfits = resource.schema.Validate(object);
  if (!resource.custom && !misfits.empty()) {
    return BadRequest(StrCat(resource.kind, " in version \"", resource.version,
                             "\" cannot be handled as a ", resource.kind, ": ", misfits[0].field,
                             ": ", misfits[0].message));
  }
  const std::vector<Cause> more = resource.custom ? misfits : ValidateBuiltIn(resource, object);
  causes.insert(causes.end(), more.begin(), more.end());
  return std::nullopt;
}

Result<Written> Answer(const Resource& resource, const Entry& entry, int code) {
  return Written{code, Render(resource, entry.json)};
}

}  // namespace

Result<Written> Writer::Create(const Resource& resource, const std::string& ns, json object,
                               const Options& options) {
  json given = MetadataOf(object);
  const std::string given_version = TextAt(given, "resourceVersion");
  NormalizeMetadata(object);
  json& metadata = object["metadata"];
  for (const char* name : {"uid", "resourceVersion", "generation", "deletionTimestamp",
                           "deletionGracePeriodSeconds"}) {
    metadata.erase(name);
  }
  const std::string generate = TextAt(metadata, "generateName");
  if (TextAt(metadata, "name").empty() && !generate.empty()) {
    metadata["name"] = generate + RandomSuffix();
  }
  const std::string name = TextAt(metadata, "name");
  const std::string own_ns = TextAt(metadata, "namespace");
  if (resource.namespaced) {
    if (!own_ns.empty() && own_ns != ns) {
      return BadRequest(kOtherNamespace);
    }
    metadata["namespace"] = ns;
  } else {
    metadata.erase("namespace");
  }

  if (resource.namespaced && !options.seeding) {
    const EntryPtr space = store_.Get("namespaces", "", ns);
    if (!space) return NotFound({"", "namespaces"}, ns);
    const auto phase = space->fields.find("status.phase");
    if (phase != space->fields.end() && phase->second == "Terminating") {
      ApiError error = Forbidden(resource.name(), name,
                                 StrCat("unable to create new content in namespace ", ns,
                                        " because it is being terminated"));
      error.body["details"]["causes"] =
          json::array({{{"reason", "NamespaceTerminating"},
                        {"message", StrCat("namespace ", ns, " is being terminated")},
                        {"field", "metadata.namespace"}}});
      return error;
    }
  }

  if (resource.has_status && !options.seeding) object.erase("status");
  resource.schema.Normalize(object);
  SetDefaults(resource, object);
  if (!resource.custom && resource.plural == "namespaces" && !object.contains("status")) {
    object["status"] = {{"phase", "Active"}};
  }
  if (resource.plural == "customresourcedefinitions") {
    if (const std::string why = Resources::WhyNoDefinition(object); !why.empty()) {
      return Invalid(resource.kind_name(), name, {{"FieldValueInvalid", why, "spec"}});
    }
    const std::string now = base::UtcTime(clock_.Now());
    const auto condition = [&](const char* type, const char* reason, const char* message) {
      return json{{"type", type},
                  {"status", "True"},
                  {"reason", reason},
                  {"message", message},
                  {"lastTransitionTime", now}};
    };
    object["status"] = {
        {"acceptedNames", object.value("spec", json::object()).value("names", json::object())},
        {"conditions",
         {condition("NamesAccepted", "NoConflicts", "no conflicts found"),
          condition("Established", "InitialNamesAccepted",
                    "the initial names have been accepted")}},
        {"storedVersions", json::array()}};
    for (const json& version :
         object.value("spec", json::object()).value("versions", json::array())) {
      if (version.value("storage", false)) {
        object["status"]["storedVersions"].push_back(TextAt(version, "name"));
      }
    }
  }

  std::vector<Cause> causes = ValidateMetadata(resource, metadata);
  const std::string kind = TextAt(object, "kind");
  if (kind != resource.kind) {
    causes.push_back({"FieldValueInvalid",
                      StrCat("Invalid value: \"", kind, "\": must be ", resource.kind), "kind"});
  }
  if (std::optional<ApiError> error = CheckSchema(resource, object, causes)) return *error;
  if (!causes.empty()) return Invalid({resource.group, kind}, name, causes);
  if (!given_version.empty() && !options.seeding) {
    return InternalMessage("resourceVersion should not be set on objects to be created");
  }

  metadata["uid"] = NewUid();
  metadata["creationTimestamp"] = base::UtcTime(clock_.Now());
  if (resource.custom || resource.plural == "customresourcedefinitions") metadata["generation"] = 1;
  if (options.dry_run) {
    if (store_.Get(resource.key(), TextAt(metadata, "namespace"), name)) {
      return AlreadyExists(resource.name(), name);
    }
    return Written{201, object.dump()};
  }
  const EntryPtr entry = store_.Put(resource.key(), nullptr, MakeDraft(resource, object));
  if (!entry) return AlreadyExists(resource.name(), name);
  TakeEffect(resource, entry->ns, entry->name);
  return Answer(resource, *entry, 201);
}

Result<json> Writer::Merge(const Resource& resource, const json& old, json wanted,
                           bool status) const {
  const json& old_metadata = MetadataOf(old);
  if (status) {
    json merged = old;
    merged.erase("status");
    if (const auto found = wanted.find("status"); found != wanted.end()) {
      merged["status"] = *found;
    }
    wanted = std::move(merged);
  } else if (resource.has_status) {
    wanted.erase("status");
    if (const auto found = old.find("status"); found != old.end()) wanted["status"] = *found;
  }
  NormalizeMetadata(wanted);
  json& metadata = wanted["metadata"];

  std::vector<Cause> causes;
  // Both the generic code and the kind's own say so.
  const auto say_twice = [&](const Cause& cause) {
    causes.push_back(cause);
    causes.push_back(cause);
  };
  const std::string uid = TextAt(metadata, "uid");
  if (!uid.empty() && uid != TextAt(old_metadata, "uid")) {
    say_twice({"FieldValueInvalid", Immutable(StrCat("\"", uid, "\"")), "metadata.uid"});
  }
  const std::string deletion = TextAt(metadata, "deletionTimestamp");
  if (!deletion.empty() && deletion != TextAt(old_metadata, "deletionTimestamp")) {
    say_twice({"FieldValueInvalid", Immutable(StrCat("\"", deletion, "\"")),
               "metadata.deletionTimestamp"});
  }
  if (IsBeingDeleted(old) && metadata.contains("finalizers")) {
    const json before = old_metadata.value("finalizers", json::array());
    std::string added;
    for (const json& finalizer : metadata["finalizers"]) {
      if (std::find(before.begin(), before.end(), finalizer) == before.end()) {
        added += StrCat(added.empty() ? "" : ", ", finalizer.dump());
      }
    }
    if (!added.empty()) {
      say_twice({"FieldValueForbidden",
                 StrCat("Forbidden: no new finalizers can be added if the object is being deleted, "
                        "found new finalizers []string{",
                        added, "}"),
                 "metadata.finalizers"});
    }
  }
  for (const char* name :
       {"name", "namespace", "uid", "creationTimestamp", "deletionTimestamp",
        "deletionGracePeriodSeconds", "generation", "resourceVersion", "generateName"}) {
    metadata.erase(name);
    if (old_metadata.contains(name)) metadata[name] = old_metadata[name];
  }
  for (const Cause& cause : ValidateMetadata(resource, metadata)) {
    if (cause.field == "metadata.finalizers") {
      causes.push_back(cause);
    } else {
      say_twice(cause);
    }
  }
  const std::string kind = TextAt(wanted, "kind");
  if (kind != resource.kind) {
    causes.push_back({"FieldValueInvalid",
                      StrCat("Invalid value: \"", kind, "\": must be ", resource.kind), "kind"});
  }
  resource.schema.Normalize(wanted);
  SetDefaults(resource, wanted);
  if (std::optional<ApiError> error = CheckSchema(resource, wanted, causes)) return *error;
  if (resource.plural == "customresourcedefinitions") {
    if (const std::string why = Resources::WhyNoDefinition(wanted); !why.empty()) {
      causes.push_back({"FieldValueInvalid", why, "spec"});
    }
  }
  if (!causes.empty()) {
    return Invalid({resource.group, kind}, TextAt(old_metadata, "name"), causes);
  }
  if (old_metadata.contains("generation") && Counted(resource, old) != Counted(resource, wanted)) {
    metadata["generation"] = old_metadata["generation"].get<std::int64_t>() + 1;
  }
  return wanted;
}

Result<Written> Writer::Modify(const Resource& resource, const std::string& ns,
                               const std::string& name, const Change& change, bool status,
                               bool dry_run) {
  while (true) {
    const EntryPtr entry = store_.Get(resource.key(), ns, name);
    if (!entry) return NotFound(resource.name(), name);
    const json old = Parse(resource, *entry);
    Result<json> wanted = change(old);
    if (!wanted.ok()) return wanted.error();

    const std::string version = TextAt(MetadataOf(*wanted), "resourceVersion");
    std::uint64_t number = 0;
    if (!version.empty() && !absl::SimpleAtoi(version, &number)) {
      return InternalMessage(
          StrCat("strconv.ParseUint: parsing \"", version, "\": invalid syntax"));
    }
    if (number == 0 && !resource.unconditional_update) {
      return Invalid(resource.name(), name,
                     {{"FieldValueInvalid", "Invalid value: 0: must be specified for an update",
                       "metadata.resourceVersion"}});
    }
    if (number != 0 && number != entry->resource_version) return Modified(resource.name(), name);

    const Result<json> merged = Merge(resource, old, *std::move(wanted), status);
    if (!merged.ok()) return merged.error();
    if (*merged == old) return Answer(resource, *entry, 200);
    if (dry_run) return Written{200, merged->dump()};
    if (IsBeingDeleted(old) && HasFinalizers(old) && !HasFinalizers(*merged)) {
      if (!store_.Remove(resource.key(), entry)) continue;
      TakeEffect(resource, ns, name);
      return Written{200, merged->dump()};
    }
    const EntryPtr stored = store_.Put(resource.key(), entry, MakeDraft(resource, *merged));
    if (!stored) continue;
    TakeEffect(resource, ns, name);
    return Answer(resource, *stored, 200);
  }
}

Result<Written> Writer::Update(const Resource& resource, const std::string& ns,
                               const std::string& name, const json& object, bool status,
                               bool dry_run) {
  const json& metadata = MetadataOf(object);
  const std::string own = TextAt(metadata, "name");
  if (own != name) return OtherName(own, name);
  const std::string own_ns = TextAt(metadata, "namespace");
  if (resource.namespaced && !own_ns.empty() && own_ns != ns) {
    return BadRequest(kOtherNamespace);
  }
  if (resource.create_on_update && !status && !store_.Get(resource.key(), ns, name)) {
    json created = object;
    if (created.contains("metadata")) created["metadata"].erase("resourceVersion");
    Options options;
    options.dry_run = dry_run;
    return Create(resource, ns, std::move(created), options);
  }
  const std::string uid = TextAt(metadata, "uid");
  return Modify(
      resource, ns, name,
      [&](const json& old) -> Result<json> {
        const std::string old_uid = TextAt(MetadataOf(old), "uid");
        if (!uid.empty() && uid != old_uid) {
          return Conflict(
              resource.name(), name,
              StrCat("StorageError: invalid object, Code: 4, Key: /registry/",
                     resource.group.empty() ? "" : StrCat(resource.group, "/"), resource.plural,
                     "/", ns.empty() ? "" : StrCat(ns, "/"), name,
                     ", ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in "
                     "precondition: ",
                     uid, ", UID in object meta: ", old_uid));
        }
        return object;
      },
      status, dry_run);
}

Result<Written> Writer::Patch(const Resource& resource, const std::string& ns,
                              const std::string& name, const std::string& patch,
                              const std::string& content_type, bool status, bool dry_run) {
  const std::string type = std::string(absl::StripAsciiWhitespace(
      absl::AsciiStrToLower(content_type.substr(0, content_type.find(';')))));
  if (type != kJsonPatch && type != kMergePatch) {
    return UnsupportedMediaType(
        StrCat(kJsonPatch, ", ", kMergePatch, ", ",
               resource.custom ? "" : "application/strategic-merge-patch+json, ",
               "application/apply-patch+yaml"));
  }
  return Modify(
      resource, ns, name,
      [&](const json& old) -> Result<json> {
        Result<json> patched =
            type == kJsonPatch ? ApplyJsonPatch(old, patch) : ApplyMergePatch(old, patch);
        if (!patched.ok()) return patched;
        const std::string text = patched->dump();
        const Result<json> typed = CheckType(resource, *patched, text);
        if (!typed.ok()) {
          // What cannot be read any more is the patch's fault.
          const std::string why = StrCat("Invalid value: ", json(text).dump(), ": ",
                                         TextAt(typed.error().body, "message"));
          return Invalid({"", ""}, "", {{"FieldValueInvalid", why, "patch"}});
        }
        const std::string own = TextAt(MetadataOf(*patched), "name");
        if (own != name) return OtherName(own, name);
        const std::string own_ns = TextAt(MetadataOf(*patched), "namespace");
        if (!own_ns.empty() && own_ns != ns) return BadRequest(kOtherNamespace);
        return typed;
      },
      status, dry_run);
}

Result<Written> Writer::Removed(const Resource& resource, const Entry& entry) const {
  json status = {
      {"kind", "Status"},
      {"apiVersion", "v1"},
      {"metadata", json::object()},
      {"status", "Success"},
      {"details", {{"name", entry.name}, {"kind", resource.plural}, {"uid", entry.uid}}}};
  if (!resource.group.empty()) status["details"]["group"] = resource.group;
  return Written{200, status.dump()};
}

Result<Written> Writer::Delete(const Resource& resource, const std::string& ns,
                               const std::string& name, const DeleteOptions& options,
                               bool dry_run) {
  while (true) {
    const EntryPtr entry = store_.Get(resource.key(), ns, name);
    if (!entry) return NotFound(resource.name(), name);
    if (!options.uid.empty() && options.uid != entry->uid) {
      return Conflict(resource.kind_name(), name,
                      StrCat("the UID in the precondition (", options.uid,
                             ") does not match the UID in record (", entry->uid,
                             "). The object might have been deleted and then recreated"));
    }
    if (!options.resource_version.empty() &&
        options.resource_version != StrCat(entry->resource_version)) {
      return Conflict(resource.kind_name(), name,
                      StrCat("the ResourceVersion in the precondition (", options.resource_version,
                             ") does not match the ResourceVersion in record (",
                             entry->resource_version, "). The object might have been modified"));
    }
    json object = Parse(resource, *entry);
    json& metadata = object["metadata"];
    const bool of_namespace = !resource.custom && resource.plural == "namespaces";
    const char* finalizer = options.propagation_policy == "Foreground" ? "foregroundDeletion"
                            : options.propagation_policy == "Orphan"   ? "orphan"
                                                                       : nullptr;
    if (IsBeingDeleted(object)) {
      if (of_namespace || HasFinalizers(object)) return Answer(resource, *entry, 200);
    } else if (of_namespace || finalizer != nullptr || HasFinalizers(object)) {
      // Somebody else has to finish it.
      if (finalizer != nullptr && !of_namespace) metadata["finalizers"].push_back(finalizer);
      metadata["deletionTimestamp"] = base::UtcTime(clock_.Now());
      if (of_namespace) {
        object["status"]["phase"] = "Terminating";
      } else {
        metadata["deletionGracePeriodSeconds"] = 0;
      }
      if (metadata.contains("generation")) {
        metadata["generation"] = metadata["generation"].get<std::int64_t>() + 1;
      }
      if (dry_run) return Written{200, object.dump()};
      const EntryPtr stored = store_.Put(resource.key(), entry, MakeDraft(resource, object));
      if (!stored) continue;
      return Answer(resource, *stored, 200);
    }
    if (dry_run) return Removed(resource, *entry);
    if (!store_.Remove(resource.key(), entry)) continue;
    TakeEffect(resource, ns, name);
    return Removed(resource, *entry);
  }
}

void Writer::TakeEffect(const Resource& resource, const std::string& ns, const std::string& name) {
  const bool of_rbac = resource.group == "rbac.authorization.k8s.io" && !resource.custom;
  const bool of_definition = resource.plural == "customresourcedefinitions" && !resource.custom;
  if (!of_rbac && !of_definition) return;
  base::MutexLock lock(effects_);
  const EntryPtr entry = store_.Get(resource.key(), ns, name);
  if (of_rbac) {
    if (entry) {
      rbac_.Put(resource.kind, Parse(resource, *entry));
    } else {
      rbac_.Remove(resource.kind, ns, name);
    }
    return;
  }
  if (entry) {
    resources_.Define(Parse(resource, *entry));
  } else {
    resources_.Undefine(name);
    store_.Clear(name);
  }
}

}  // namespace gantry::simulator
