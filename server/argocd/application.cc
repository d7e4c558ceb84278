// SPDX-License-Identifier: Apache-2.0
#include "server/argocd/application.h"

#include <simdjson.h>

#include <utility>

#include "absl/status/status.h"
#include "base/strings.h"

namespace gantry::argocd {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

std::string_view TypeName(element_type type) {
  switch (type) {
    case element_type::ARRAY:
      return "an array";
    case element_type::OBJECT:
      return "an object";
    case element_type::STRING:
      return "a string";
    case element_type::BOOL:
      return "a boolean";
    case element_type::NULL_VALUE:
      return "null";
    default:
      return "a number";
  }
}

// The member `key`, or nothing when it is absent or null.
std::optional<element> Get(element object, std::string_view key) {
  element found;
  if (object.at_key(key).get(found) != simdjson::SUCCESS || found.is_null()) return std::nullopt;
  return found;
}

// Reads fields of expected types and keeps the first thing that is wrong, so that the code that
// reads an Application stays a plain list of its fields. Lives for one ParseApplication.
class ApplicationReader {
 public:
  std::optional<element> Object(element parent, std::string_view key) {
    return Typed(parent, key, element_type::OBJECT, "an object");
  }

  std::string String(element parent, std::string_view key) {
    const auto found = Typed(parent, key, element_type::STRING, "a string");
    return found ? std::string(std::string_view(found->get_string().value_unsafe())) : "";
  }

  bool Bool(element parent, std::string_view key) {
    const auto found = Typed(parent, key, element_type::BOOL, "a boolean");
    return found && found->get_bool().value_unsafe();
  }

  std::vector<element> Array(element parent, std::string_view key, element_type item_type,
                             std::string_view expected) {
    std::vector<element> items;
    if (const auto found = Typed(parent, key, element_type::ARRAY, "an array")) {
      // Named, because a loop would not keep the result alive that value_unsafe() points into.
      const simdjson::dom::array array = found->get_array().value_unsafe();
      for (const element item : array) {
        if (item.type() != item_type) {
          Fail(base::StrCat(key, "[", items.size(), "]"), expected, item.type());
          return {};
        }
        items.push_back(item);
      }
    }
    return items;
  }

  std::vector<std::string> Strings(element parent, std::string_view key) {
    std::vector<std::string> strings;
    for (const element item : Array(parent, key, element_type::STRING, "a string")) {
      strings.emplace_back(std::string_view(item.get_string().value_unsafe()));
    }
    return strings;
  }

  std::map<std::string, std::string> StringMap(element parent, std::string_view key) {
    std::map<std::string, std::string> map;
    if (const auto object = Object(parent, key)) {
      const simdjson::dom::object members = object->get_object().value_unsafe();
      for (const auto [name, value] : members) {
        if (value.is_null()) continue;
        if (!value.is_string()) {
          Fail(base::StrCat(key, "[\"", name, "\"]"), "a string", value.type());
          return {};
        }
        map.emplace(name, std::string_view(value.get_string().value_unsafe()));
      }
    }
    return map;
  }

  std::optional<absl::Time> Time(element parent, std::string_view key) {
    const std::string text = String(parent, key);
    if (text.empty()) return std::nullopt;
    absl::Time time;
    std::string error;
    // absl also reads "infinite-future" and "infinite-past", in which no delay would ever end.
    if (!absl::ParseTime(absl::RFC3339_full, text, &time, &error) ||
        time == absl::InfiniteFuture() || time == absl::InfinitePast()) {
      FailWith(base::StrCat("its field ", key, " is \"", text, "\", expected an RFC 3339 time"));
      return std::nullopt;
    }
    return time;
  }

  void FailWith(std::string message) {
    if (error_.empty()) error_ = std::move(message);
  }
  const std::string& error() const { return error_; }

 private:
  std::optional<element> Typed(element parent, std::string_view key, element_type type,
                               std::string_view expected) {
    const auto found = Get(parent, key);
    if (found && found->type() != type) {
      Fail(key, expected, found->type());
      return std::nullopt;
    }
    return found;
  }

  void Fail(std::string_view field, std::string_view expected, element_type found) {
    FailWith(base::StrCat("its field ", field, " is ", TypeName(found), ", expected ", expected));
  }

  std::string error_;
};

nlohmann::json ToJson(element value) {
  // Parsed successfully before, so this cannot fail.
  return nlohmann::json::parse(simdjson::minify(value), nullptr, false);
}

Source ReadSource(ApplicationReader& read, element json) {
  Source source;
  source.repo_url = read.String(json, "repoURL");
  source.chart = read.String(json, "chart");
  source.target_revision = read.String(json, "targetRevision");
  source.has_ref = !read.String(json, "ref").empty();
  source.has_path = !read.String(json, "path").empty();
  source.has_directory = read.Object(json, "directory").has_value();
  source.has_plugin = read.Object(json, "plugin").has_value();
  if (const auto kustomize = read.Object(json, "kustomize")) {
    source.kustomize = nlohmann::json::object();
    read.Array(*kustomize, "images", element_type::STRING, "a string");
    if (const auto images = Get(*kustomize, "images")) {
      (*source.kustomize)["images"] = ToJson(*images);
    }
  }
  if (const auto helm = read.Object(json, "helm")) {
    source.helm = nlohmann::json::object();
    read.Array(*helm, "parameters", element_type::OBJECT, "an object");
    if (const auto parameters = Get(*helm, "parameters")) {
      (*source.helm)["parameters"] = ToJson(*parameters);
    }
  }
  return source;
}

Operation ReadOperation(ApplicationReader& read, element json) {
  Operation operation;
  if (const auto initiator = read.Object(json, "initiatedBy")) {
    operation.initiated_by = read.String(*initiator, "username");
    operation.automated = read.Bool(*initiator, "automated");
  }
  operation.has_sync = Get(json, "sync").has_value();
  for (const element entry : read.Array(json, "info", element_type::OBJECT, "an object")) {
    operation.info.emplace(read.String(entry, "name"), read.String(entry, "value"));
  }
  return operation;
}

SyncResult ReadSyncResult(ApplicationReader& read, element json) {
  SyncResult result;
  result.revisions = read.Strings(json, "revisions");
  if (result.revisions.empty()) result.revisions = {read.String(json, "revision")};
  const auto sources = read.Array(json, "sources", element_type::OBJECT, "an object");
  for (const element source : sources) {
    result.target_revisions.push_back(read.String(source, "targetRevision"));
  }
  if (sources.empty()) {
    if (const auto source = read.Object(json, "source")) {
      result.target_revisions = {read.String(*source, "targetRevision")};
    }
  }
  return result;
}

OperationState ReadOperationState(ApplicationReader& read, element json) {
  OperationState state;
  state.phase = read.String(json, "phase");
  state.message = read.String(json, "message");
  state.finished_at = read.Time(json, "finishedAt");
  if (const auto operation = read.Object(json, "operation")) {
    state.operation = ReadOperation(read, *operation);
  }
  if (const auto result = read.Object(json, "syncResult")) {
    state.sync_result = ReadSyncResult(read, *result);
  }
  return state;
}

// Who puts the Application back when it is changed by hand: an owner reference names an
// ApplicationSet; a parent Application leaves its tracking mark.
std::string ReadOwner(ApplicationReader& read, element metadata, const Application& application) {
  std::string owner;
  for (const element reference :
       read.Array(metadata, "ownerReferences", element_type::OBJECT, "an object")) {
    const bool controller = read.Bool(reference, "controller");
    if (owner.empty() || controller) {
      owner = base::StrCat(read.String(reference, "kind"), " ", read.String(reference, "name"));
    }
    if (controller) break;
  }
  if (!owner.empty()) return owner;
  const auto tracking = application.annotations.find("argocd.argoproj.io/tracking-id");
  if (tracking != application.annotations.end()) {
    const std::string parent = tracking->second.substr(0, tracking->second.find(':'));
    if (!parent.empty()) return base::StrCat("Application ", parent);
  }
  for (const char* label : {"argocd.argoproj.io/instance", "app.kubernetes.io/instance"}) {
    const auto instance = application.labels.find(label);
    if (instance != application.labels.end() && !instance->second.empty()) {
      return base::StrCat("Application ", instance->second);
    }
  }
  return "";
}

void ReadSpec(ApplicationReader& read, element spec, Application& application) {
  application.has_source_hydrator = read.Object(spec, "sourceHydrator").has_value();
  for (const element source : read.Array(spec, "sources", element_type::OBJECT, "an object")) {
    application.sources.push_back(ReadSource(read, source));
  }
  application.multi_source = !application.sources.empty();
  if (!application.multi_source) {
    if (const auto source = read.Object(spec, "source")) {
      application.sources.push_back(ReadSource(read, *source));
    }
  }
  if (const auto policy = read.Object(spec, "syncPolicy")) {
    read.Array(*policy, "syncOptions", element_type::STRING, "a string");
    if (const auto options = Get(*policy, "syncOptions")) {
      application.sync_options = ToJson(*options);
    }
    if (const auto retry = read.Object(*policy, "retry")) application.retry = ToJson(*retry);
  }
}

}  // namespace

std::string ToString(const ApplicationName& name) { return base::StrCat(name.ns, "/", name.name); }

absl::StatusOr<Application> ParseApplication(std::string_view json) {
  thread_local simdjson::dom::parser parser;
  element root;
  // An empty view may point nowhere, which simdjson would hand to memcpy.
  if (json.empty()) json = "";
  if (const auto error = parser.parse(json.data(), json.size()).get(root)) {
    return absl::InvalidArgumentError(
        base::StrCat("an Application is not valid JSON: ", simdjson::error_message(error)));
  }
  if (!root.is_object()) {
    return absl::InvalidArgumentError(
        base::StrCat("an Application is ", TypeName(root.type()), ", expected an object"));
  }

  ApplicationReader read;
  Application application;
  if (const auto metadata = read.Object(root, "metadata")) {
    application.name = {read.String(*metadata, "namespace"), read.String(*metadata, "name")};
    application.uid = read.String(*metadata, "uid");
    application.resource_version = read.String(*metadata, "resourceVersion");
    application.deleting = !read.String(*metadata, "deletionTimestamp").empty();
    application.labels = read.StringMap(*metadata, "labels");
    application.annotations = read.StringMap(*metadata, "annotations");
    application.owner = ReadOwner(read, *metadata, application);
  }
  if (application.name.name.empty() || application.resource_version.empty()) {
    read.FailWith("it has no metadata.name or no metadata.resourceVersion");
  }
  if (const auto spec = read.Object(root, "spec")) ReadSpec(read, *spec, application);
  if (const auto operation = read.Object(root, "operation")) {
    application.operation = ReadOperation(read, *operation);
  }
  if (const auto status = read.Object(root, "status")) {
    application.has_status = true;
    element ignored;
    application.has_operation_state_key =
        status->at_key("operationState").get(ignored) == simdjson::SUCCESS;
    if (const auto state = read.Object(*status, "operationState")) {
      application.operation_state = ReadOperationState(read, *state);
    }
  }
  if (!read.error().empty()) {
    return absl::InvalidArgumentError(base::StrCat("the Application ", ToString(application.name),
                                                   " can't be understood: ", read.error()));
  }
  return application;
}

}  // namespace gantry::argocd
