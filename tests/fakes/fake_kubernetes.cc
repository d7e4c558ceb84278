// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/fake_kubernetes.h"

#include <utility>

#include "base/strings.h"

namespace gantry::testing {
namespace {

using kubernetes::ErrorKind;
using nlohmann::json;

absl::Status Error(const FakeKubernetes::Call& call, ErrorKind kind, int http_status,
                   std::string_view what) {
  return kubernetes::MakeError(
      {.kind = kind, .http_status = http_status},
      base::StrCat(call.verb, " ", call.plural, " ", call.name, ": ", what));
}

// Equality terms (`a=b,c=d`) are all that the tests select by.
bool Selects(const std::string& selector, const json& object) {
  const json labels = object["metadata"].value("labels", json::object());
  std::string rest = selector;
  while (!rest.empty()) {
    const std::string term = rest.substr(0, rest.find(','));
    rest = term.size() == rest.size() ? "" : rest.substr(term.size() + 1);
    const std::size_t equals = term.find('=');
    if (labels.value(term.substr(0, equals), "") != term.substr(equals + 1)) return false;
  }
  return true;
}

// What metadata.generation counts the changes of. Of the resources here, only StageHealths have a
// status subresource.
json Counted(const std::string& plural, json object) {
  object.erase("metadata");
  if (plural == "stagehealths") object.erase("status");
  return object;
}

}  // namespace

json FakeKubernetes::StoreLocked(const Key& key, json object) {
  const auto current = objects_.find(key);
  const bool changes_spec = current == objects_.end() ||
                            Counted(key.plural, current->second) != Counted(key.plural, object);
  const int generation =
      current == objects_.end() ? 0 : current->second["metadata"].value("generation", 0);
  object["metadata"]["generation"] = generation + (changes_spec ? 1 : 0);
  object["metadata"]["resourceVersion"] = std::to_string(++last_version_);
  object["metadata"]["uid"] = object["metadata"].value("uid", "uid-" + key.name);
  return objects_[key] = std::move(object);
}

void FakeKubernetes::Put(const std::string& plural, json object) {
  const json& metadata = object.at("metadata");
  const Key key{plural, metadata.at("namespace"), metadata.at("name")};
  base::MutexLock lock(mutex_);
  StoreLocked(key, std::move(object));
}

void FakeKubernetes::Remove(const std::string& plural, const std::string& ns,
                            const std::string& name) {
  base::MutexLock lock(mutex_);
  objects_.erase({plural, ns, name});
}

json FakeKubernetes::Read(const std::string& plural, const std::string& ns,
                          const std::string& name) {
  base::MutexLock lock(mutex_);
  const auto found = objects_.find({plural, ns, name});
  return found == objects_.end() ? json() : found->second;
}

std::vector<FakeKubernetes::Call> FakeKubernetes::calls() {
  base::MutexLock lock(mutex_);
  return calls_;
}

std::size_t FakeKubernetes::Count(const std::string& verb, const std::string& plural) {
  std::size_t count = 0;
  for (const Call& call : calls()) count += call.verb == verb && call.plural == plural ? 1 : 0;
  return count;
}

absl::Status FakeKubernetes::Begin(const Call& call, base::Context& context) {
  {
    base::MutexLock lock(mutex_);
    calls_.push_back(call);
  }
  if (const absl::Status ended = context.Check(); !ended.ok()) {
    return Error(call,
                 absl::IsCancelled(ended) ? ErrorKind::kCancelled : ErrorKind::kDeadlineExceeded, 0,
                 base::ToStd(ended.message()));
  }
  return before(call);
}

absl::StatusOr<kubernetes::JsonText> FakeKubernetes::Write(const Call& call, const Key& key,
                                                           base::Context& context,
                                                           const Change& change) {
  if (absl::Status begun = Begin(call, context); !begun.ok()) return begun;
  std::string stored;
  {
    base::MutexLock lock(mutex_);
    const auto found = objects_.find(key);
    absl::StatusOr<json> changed = change(found == objects_.end() ? nullptr : &found->second);
    if (!changed.ok()) return changed.status();
    stored = StoreLocked(key, *std::move(changed)).dump();
  }
  if (absl::Status ended = after(call); !ended.ok()) return ended;
  return kubernetes::JsonText(respond(std::move(stored)));
}

absl::StatusOr<kubernetes::JsonText> FakeKubernetes::Get(const kubernetes::Resource& resource,
                                                         std::string_view ns, std::string_view name,
                                                         base::Context& context) {
  const Call call{"get", std::string(resource.plural), std::string(name)};
  if (absl::Status begun = Begin(call, context); !begun.ok()) return begun;
  const json object = Read(call.plural, std::string(ns), call.name);
  if (absl::Status ended = after(call); !ended.ok()) return ended;
  if (object.is_null()) return Error(call, ErrorKind::kNotFound, 404, "not found");
  return kubernetes::JsonText(respond(object.dump()));
}

absl::StatusOr<std::string> FakeKubernetes::List(
    const kubernetes::Resource& resource, std::string_view ns,
    const kubernetes::ListOptions& options,
    absl::FunctionRef<absl::Status(simdjson::padded_string_view item)> on_item,
    absl::FunctionRef<void()>, base::Context& context) {
  const Call call{"list", std::string(resource.plural), options.label_selector};
  if (absl::Status begun = Begin(call, context); !begun.ok()) return begun;
  std::vector<kubernetes::JsonText> items;
  std::string version;
  {
    base::MutexLock lock(mutex_);
    for (const auto& [key, object] : objects_) {
      if (key.plural == call.plural && key.ns == ns && Selects(options.label_selector, object)) {
        items.emplace_back(object.dump());
      }
    }
    version = std::to_string(last_version_);
  }
  for (const kubernetes::JsonText& item : items) {
    if (absl::Status taken = on_item(item.padded()); !taken.ok()) return taken;
  }
  if (absl::Status ended = after(call); !ended.ok()) return ended;
  return version;
}

absl::StatusOr<kubernetes::JsonText> FakeKubernetes::Create(const kubernetes::Resource& resource,
                                                            std::string_view ns,
                                                            std::string_view name,
                                                            std::string_view body,
                                                            base::Context& context) {
  json object = json::parse(body);
  const Call call{"create", std::string(resource.plural), std::string(name)};
  // The caller's name for messages must not be another than the one that is stored.
  if (object.at("metadata").at("name") != name) {
    return Error(call, ErrorKind::kRefused, 400, "the body has another name");
  }
  return Write(call, {call.plural, std::string(ns), call.name}, context,
               [&](const json* current) -> absl::StatusOr<json> {
                 if (current != nullptr) {
                   return Error(call, ErrorKind::kAlreadyExists, 409, "already exists");
                 }
                 return object;
               });
}

absl::StatusOr<kubernetes::JsonText> FakeKubernetes::Replace(const kubernetes::Resource& resource,
                                                             std::string_view ns,
                                                             std::string_view name,
                                                             std::string_view body,
                                                             base::Context& context) {
  json object = json::parse(body);
  const Call call{"update", std::string(resource.plural), std::string(name)};
  return Write(
      call, {call.plural, std::string(ns), call.name}, context,
      [&](const json* current) -> absl::StatusOr<json> {
        if (current == nullptr) return Error(call, ErrorKind::kNotFound, 404, "not found");
        if ((*current)["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"]) {
          return Error(call, ErrorKind::kConflict, 409, "the object has been modified");
        }
        return object;
      });
}

absl::StatusOr<kubernetes::JsonText> FakeKubernetes::JsonPatch(const kubernetes::Resource& resource,
                                                               std::string_view ns,
                                                               std::string_view name,
                                                               std::string_view patch,
                                                               base::Context& context) {
  const Call call{"patch", std::string(resource.plural), std::string(name), std::string(patch)};
  return Write(
      call, {call.plural, std::string(ns), call.name}, context,
      [&](const json* current) -> absl::StatusOr<json> {
        if (current == nullptr) return Error(call, ErrorKind::kNotFound, 404, "not found");
        json patched;
        try {
          patched = current->patch(json::parse(patch));
        } catch (const json::exception& exception) {
          return Error(call, ErrorKind::kRefused, 422, exception.what());
        }
        if (patched["metadata"]["resourceVersion"] != (*current)["metadata"]["resourceVersion"]) {
          return Error(call, ErrorKind::kConflict, 409, "the object has been modified");
        }
        return patched;
      });
}

absl::StatusOr<kubernetes::JsonText> FakeKubernetes::MergePatch(
    const kubernetes::Resource& resource, std::string_view ns, std::string_view name,
    std::string_view subresource, std::string_view patch, base::Context& context) {
  const std::string plural(resource.plural);
  const std::string part(subresource);
  const Call call{"patch", part.empty() ? plural : base::StrCat(plural, "/", part),
                  std::string(name), std::string(patch)};
  return Write(
      call, {plural, std::string(ns), call.name}, context,
      [&](const json* current) -> absl::StatusOr<json> {
        if (current == nullptr) return Error(call, ErrorKind::kNotFound, 404, "not found");
        json patched = *current;
        patched.merge_patch(json::parse(patch));
        if (patched["metadata"]["resourceVersion"] != (*current)["metadata"]["resourceVersion"]) {
          return Error(call, ErrorKind::kConflict, 409, "the object has been modified");
        }
        if (part.empty()) return patched;
        json changed = *current;
        changed[part] = patched[part];
        return changed;
      });
}

absl::Status FakeKubernetes::Delete(const kubernetes::Resource& resource, std::string_view ns,
                                    std::string_view name, base::Context& context) {
  const Call call{"delete", std::string(resource.plural), std::string(name)};
  if (absl::Status begun = Begin(call, context); !begun.ok()) return begun;
  Remove(call.plural, std::string(ns), call.name);
  return after(call);
}

}  // namespace gantry::testing
