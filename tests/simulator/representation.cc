// SPDX-License-Identifier: Apache-2.0
#include "tests/simulator/representation.h"

#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "base/strings.h"

namespace gantry::simulator {

using base::StrCat;
using nlohmann::json;

namespace {

std::string JsonText(const std::string& text) { return json(text).dump(); }

// "5m": as kubectl prints ages.
std::string AgeOf(const std::string& text, absl::Time now) {
  absl::Time time;
  if (!absl::ParseTime(absl::RFC3339_full, text, &time, nullptr)) return "<unknown>";
  const std::int64_t seconds = std::max<std::int64_t>(absl::ToInt64Seconds(now - time), 0);
  if (seconds < 120) return StrCat(seconds, "s");
  if (seconds < 600) {
    return seconds % 60 == 0 ? StrCat(seconds / 60, "m")
                             : StrCat(seconds / 60, "m", seconds % 60, "s");
  }
  if (seconds < 3 * 3600) return StrCat(seconds / 60, "m");
  if (seconds < 48 * 3600) return StrCat(seconds / 3600, "h");
  return StrCat(seconds / (24 * 3600), "d");
}

json ColumnDefinitions(const Resource& resource) {
  json columns = json::array({{{"name", "Name"},
                               {"type", "string"},
                               {"format", "name"},
                               {"description", "Name must be unique within a namespace."},
                               {"priority", 0}}});
  for (const Column& column : resource.columns) {
    columns.push_back({{"name", column.name},
                       {"type", column.type},
                       {"format", ""},
                       {"description", column.description},
                       {"priority", column.priority}});
  }
  return columns;
}

json PartialMetadata(const json& object) {
  return {{"kind", "PartialObjectMetadata"},
          {"apiVersion", "meta.k8s.io/v1"},
          {"metadata", MetadataOf(object)}};
}

json Row(const Resource& resource, const json& object, absl::Time now) {
  json cells = json::array({TextAt(MetadataOf(object), "name")});
  for (const Column& column : resource.columns) {
    const json* const value = ValueAt(object, column.path);
    if (value == nullptr || value->is_null()) {
      cells.push_back(nullptr);
    } else if (column.type == "date") {
      cells.push_back(value->is_string() ? AgeOf(value->get<std::string>(), now) : "<unknown>");
    } else if (value->is_structured()) {
      cells.push_back(value->dump());
    } else {
      cells.push_back(*value);
    }
  }
  return {{"cells", cells}, {"object", PartialMetadata(object)}};
}

std::string Dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string MetadataText(const ListMetadata& metadata, bool with_empty_continue) {
  std::string text = "{";
  if (!metadata.continue_token.empty() || with_empty_continue) {
    base::StrAppend(&text, "\"continue\":", JsonText(metadata.continue_token), ",");
  }
  if (metadata.remaining > 0) {
    base::StrAppend(&text, "\"remainingItemCount\":", metadata.remaining, ",");
  }
  return StrCat(text, "\"resourceVersion\":\"", metadata.resource_version, "\"}");
}

json VersionOf(const Resource& resource) {
  return {{"groupVersion", resource.api_version()}, {"version", resource.version}};
}

}  // namespace

Result<Form> FormOf(const std::string& accept) {
  if (accept.empty()) return Form::kObject;
  for (const absl::string_view entry : absl::StrSplit(accept, ',')) {
    const std::vector<std::string> parts = absl::StrSplit(entry, ';');
    const std::string type =
        absl::AsciiStrToLower(std::string(absl::StripAsciiWhitespace(parts[0])));
    if (type != "application/json" && type != "*/*" && type != "application/*") continue;
    std::string as;
    for (const std::string& part : parts) {
      const absl::string_view parameter = absl::StripAsciiWhitespace(part);
      if (absl::StartsWith(parameter, "as=")) as = std::string(parameter.substr(3));
    }
    if (as == "Table") return Form::kTable;
    if (as == "PartialObjectMetadata" || as == "PartialObjectMetadataList") return Form::kMetadata;
    if (as.empty()) return Form::kObject;
  }
  return NotAcceptable();
}

std::string ListHead(const Resource& resource, Form form, const ListMetadata& metadata) {
  if (form == Form::kTable) {
    return StrCat(R"({"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":)",
                  MetadataText(metadata, false),
                  ",\"columnDefinitions\":", Dump(ColumnDefinitions(resource)), ",\"rows\":[");
  }
  if (form == Form::kMetadata) {
    return StrCat(R"({"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1",)",
                  "\"metadata\":", MetadataText(metadata, false), ",\"items\":[");
  }
  // Custom resources come with their fields in order, built-in ones as they are declared.
  if (resource.custom) {
    return StrCat("{\"apiVersion\":", JsonText(resource.api_version()), ",\"items\":[");
  }
  return StrCat("{\"kind\":", JsonText(resource.list_kind),
                ",\"apiVersion\":", JsonText(resource.api_version()),
                ",\"metadata\":", MetadataText(metadata, false), ",\"items\":[");
}

std::string ListTail(const Resource& resource, Form form, const ListMetadata& metadata) {
  if (form != Form::kObject || !resource.custom) return "]}";
  return StrCat("],\"kind\":", JsonText(resource.list_kind),
                ",\"metadata\":", MetadataText(metadata, true), "}");
}

std::string ListItem(const Resource& resource, Form form, const std::string& stored,
                     absl::Time now) {
  if (form == Form::kObject) return stored;
  const json object = json::parse(stored, nullptr, false);
  return Dump(form == Form::kTable ? Row(resource, object, now) : PartialMetadata(object));
}

std::string Single(const Resource& resource, Form form, const std::string& stored, absl::Time now,
                   bool columns) {
  if (form == Form::kObject) return Render(resource, stored);
  const json object = json::parse(stored, nullptr, false);
  if (form == Form::kMetadata) return Dump(PartialMetadata(object));
  return Dump({{"kind", "Table"},
               {"apiVersion", "meta.k8s.io/v1"},
               {"metadata", {{"resourceVersion", TextAt(MetadataOf(object), "resourceVersion")}}},
               {"columnDefinitions", columns ? ColumnDefinitions(resource) : json(nullptr)},
               {"rows", json::array({Row(resource, object, now)})}});
}

json CoreVersions(const std::string& address) {
  return {{"kind", "APIVersions"},
          {"versions", json::array({"v1"})},
          {"serverAddressByClientCIDRs",
           json::array({{{"clientCIDR", "0.0.0.0/0"}, {"serverAddress", address}}})}};
}

json Group(const std::vector<ResourcePtr>& resources, const std::string& group) {
  json document = nullptr;
  std::set<std::string> seen;
  for (const ResourcePtr& resource : resources) {
    if (resource->group != group || group.empty() || !seen.insert(resource->version).second) {
      continue;
    }
    if (document.is_null()) {
      document = {{"kind", "APIGroup"},
                  {"apiVersion", "v1"},
                  {"name", group},
                  {"versions", json::array()},
                  {"preferredVersion", VersionOf(*resource)}};
    }
    document["versions"].push_back(VersionOf(*resource));
  }
  return document;
}

json GroupList(const std::vector<ResourcePtr>& resources) {
  json groups = json::array();
  std::set<std::string> seen = {""};
  for (const ResourcePtr& resource : resources) {
    if (!seen.insert(resource->group).second) continue;
    json group = Group(resources, resource->group);
    group.erase("kind");
    group.erase("apiVersion");
    groups.push_back(std::move(group));
  }
  return {{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", groups}};
}

json ResourceList(const std::vector<ResourcePtr>& resources, const std::string& group,
                  const std::string& version) {
  json list = json::array();
  for (const ResourcePtr& resource : resources) {
    if (resource->group != group || resource->version != version) continue;
    json entry = {{"name", resource->plural},
                  {"singularName", resource->custom ? resource->singular : ""},
                  {"namespaced", resource->namespaced},
                  {"kind", resource->kind},
                  {"verbs", {"create"}}};
    if (!resource->review) {
      entry["verbs"] = {"create", "delete", "deletecollection", "get",
                        "list",   "patch",  "update",           "watch"};
    }
    if (!resource->short_names.empty()) entry["shortNames"] = resource->short_names;
    list.push_back(std::move(entry));
    if (!resource->has_status) continue;
    list.push_back({{"name", resource->plural + "/status"},
                    {"singularName", ""},
                    {"namespaced", resource->namespaced},
                    {"kind", resource->kind},
                    {"verbs", {"get", "patch", "update"}}});
  }
  if (list.empty()) return nullptr;
  return {{"kind", "APIResourceList"},
          {"apiVersion", "v1"},
          {"groupVersion", group.empty() ? version : group + "/" + version},
          {"resources", list}};
}

json OpenApiIndex(const std::vector<ResourcePtr>& resources) {
  json paths = json::object();
  for (const ResourcePtr& resource : resources) {
    const std::string path =
        StrCat(resource->group.empty() ? "api/" : "apis/", resource->api_version());
    paths[path] = {{"serverRelativeURL", StrCat("/openapi/v3/", path)}};
  }
  return {{"paths", paths}};
}

json OpenApiDocument(const std::vector<ResourcePtr>& resources, const std::string& group_version) {
  json paths = json::object();
  for (const ResourcePtr& resource : resources) {
    const std::string root =
        StrCat(resource->group.empty() ? "api/" : "apis/", resource->api_version());
    if (root != group_version || resource->review) continue;
    const std::string path =
        StrCat("/", root, resource->namespaced ? "/namespaces/{namespace}/" : "/", resource->plural,
               "/{name}");
    paths[path] = {
        {"patch",
         {{"x-kubernetes-group-version-kind",
           {{"group", resource->group}, {"version", resource->version}, {"kind", resource->kind}}},
          {"parameters",
           json::array(
               {{{"name", "fieldValidation"}, {"in", "query"}, {"schema", {{"type", "string"}}}}})},
          {"responses", {{"200", {{"description", "OK"}}}}}}}};
  }
  if (paths.empty()) return nullptr;
  return {{"openapi", "3.0.0"},
          {"info", {{"title", "gantry-sim, a simulator"}, {"version", "v1"}}},
          {"paths", paths}};
}

}  // namespace gantry::simulator
