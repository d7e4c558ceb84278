// SPDX-License-Identifier: Apache-2.0
#include "tests/simulator/objects.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "base/strings.h"
#include "tests/simulator/certificates.h"
#include "yaml-cpp/yaml.h"

namespace gantry::simulator {

using base::StrCat;
using nlohmann::json;

namespace {

constexpr std::size_t kMaxAnnotationBytes = 256 * 1024;

// Stands where a resourceVersion is going to be; nobody else can know it.
const std::string& VersionMark() {
  static const std::string& mark = *new std::string("@" + RandomHex(24) + "@");
  return mark;
}

std::string MediaType(const std::string& content_type) {
  return std::string(absl::StripAsciiWhitespace(
      absl::AsciiStrToLower(content_type.substr(0, content_type.find(';')))));
}

json PlainScalar(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
    return nullptr;
  }
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  const char first = text[0];
  const bool numeric = absl::ascii_isdigit(static_cast<unsigned char>(first)) || first == '-' ||
                       first == '+' || first == '.';
  if (!numeric) return text;
  std::int64_t integer = 0;
  if (absl::SimpleAtoi(text, &integer)) return integer;
  double number = 0;
  if (text.find_first_not_of("0123456789+-.eE") == std::string::npos &&
      absl::SimpleAtod(text, &number)) {
    return number;
  }
  return text;
}

json ToJson(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Scalar:
      // "!": it is quoted.
      return node.Tag() == "!" ? json(node.Scalar()) : PlainScalar(node.Scalar());
    case YAML::NodeType::Sequence: {
      json array = json::array();
      for (const YAML::Node& item : node) array.push_back(ToJson(item));
      return array;
    }
    case YAML::NodeType::Map: {
      json object = json::object();
      for (const auto& member : node) object[member.first.Scalar()] = ToJson(member.second);
      return object;
    }
    default:
      return nullptr;
  }
}

std::string WhyNoPathSegment(const std::string& name) {
  if (name == "." || name == "..") return StrCat("may not be '", name, "'");
  for (const char* part : {"/", "%"}) {
    if (absl::StrContains(name, part)) return StrCat("may not contain '", part, "'");
  }
  return "";
}

// How the API server shows a body that it cannot use.
std::string Beginning(const std::string& body) {
  constexpr std::size_t kShown = 30;
  if (body.empty()) return "<empty>";
  const std::string shown = body.substr(0, kShown);
  return StrCat(body[0] == '{' ? shown : absl::BytesToHexString(shown),
                body.size() > kShown ? " ..." : "");
}

std::string NoKind(const std::string& body) {
  return StrCat("Object 'Kind' is missing in '", body, "'");
}

bool IsMapOfTexts(const json& value) {
  return value.is_object() &&
         std::all_of(value.begin(), value.end(), [](const json& text) { return text.is_string(); });
}

}  // namespace

bool NestsTooDeep(std::string_view text) {
  std::size_t depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) return true;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return false;
}

std::size_t DepthOf(const json& value) {
  if (!value.is_structured()) return 0;
  std::size_t deepest = 0;
  for (const json& child : value) deepest = std::max(deepest, DepthOf(child));
  return deepest + 1;
}

std::string TextAt(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

const json* ValueAt(const json& object, std::string_view path) {
  const json* value = &object;
  while (!path.empty()) {
    path.remove_prefix(path.front() == '.' ? 1 : 0);
    const std::size_t end = std::min(path.find('.'), path.size());
    if (!value->is_object()) return nullptr;
    const auto found = value->find(std::string(path.substr(0, end)));
    if (found == value->end()) return nullptr;
    value = &*found;
    path.remove_prefix(end);
  }
  return value;
}

const json& MetadataOf(const json& object) {
  static const json& none = *new json(json::object());
  const auto found = object.find("metadata");
  return found != object.end() && found->is_object() ? *found : none;
}

bool HasFinalizers(const json& object) {
  const json& metadata = MetadataOf(object);
  const auto found = metadata.find("finalizers");
  return found != metadata.end() && found->is_array() && !found->empty();
}

bool IsBeingDeleted(const json& object) {
  return !TextAt(MetadataOf(object), "deletionTimestamp").empty();
}

absl::StatusOr<std::vector<json>> ParseYaml(const std::string& text) {
  std::vector<json> documents;
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  if (start != std::string::npos && text[start] == '{') {
    if (NestsTooDeep(text)) {
      return absl::InvalidArgumentError(
          StrCat("nests deeper than the ", kMaxDepth, " levels that the simulator takes"));
    }
    json whole = json::parse(text, nullptr, false);
    if (!whole.is_discarded()) {
      documents.push_back(std::move(whole));
      return documents;
    }
  }
  try {
    for (const YAML::Node& node : YAML::LoadAll(text)) {
      if (!node.IsNull()) documents.push_back(ToJson(node));
    }
  } catch (const YAML::Exception& exception) {
    return absl::InvalidArgumentError(StrCat("not YAML: ", exception.what()));
  }
  return documents;
}

Result<json> CheckType(const Resource& resource, json object, const std::string& body) {
  const std::string kind = TextAt(object, "kind");
  const std::string version = TextAt(object, "apiVersion");
  if (!resource.custom) {
    if ((!kind.empty() && kind != resource.kind) ||
        (!version.empty() && version != resource.api_version())) {
      return BadRequest(StrCat(kind, " in version \"", resource.version,
                               "\" cannot be handled as a ", resource.kind, ": converting (",
                               version, ") to (", resource.api_version(), "): unknown conversion"));
    }
    object["kind"] = resource.kind;
    object["apiVersion"] = resource.api_version();
  } else {
    if (kind.empty()) {
      return BadRequest(NoKind(body));
    }
    if (version != resource.api_version()) {
      return BadRequest(StrCat("the API version in the data (", version,
                               ") does not match the expected API version (",
                               resource.api_version(), ")"));
    }
  }
  const auto malformed = [&](const std::string& field, const std::string& expected) {
    return BadRequest(StrCat(resource.kind, " in version \"", resource.version,
                             "\" cannot be handled as a ", resource.kind, ": v1.ObjectMeta.", field,
                             ": expects ", expected));
  };
  if (object.contains("metadata") && !object["metadata"].is_object() &&
      !object["metadata"].is_null()) {
    return malformed("ObjectMeta", "an object");
  }
  for (const auto& [name, value] : MetadataOf(object).items()) {
    if (value.is_null()) continue;
    const bool map = name == "labels" || name == "annotations";
    const bool text = name == "name" || name == "namespace" || name == "generateName" ||
                      name == "uid" || name == "resourceVersion" || name == "creationTimestamp" ||
                      name == "deletionTimestamp";
    if (map && !IsMapOfTexts(value)) return malformed(name, "a map of strings");
    if (text && !value.is_string()) return malformed(name, "a string");
    if (name == "finalizers" &&
        (!value.is_array() || !std::all_of(value.begin(), value.end(),
                                           [](const json& one) { return one.is_string(); }))) {
      return malformed(name, "a list of strings");
    }
  }
  return object;
}

Result<json> DecodeBody(const Resource& resource, const std::string& body,
                        const std::string& content_type) {
  const std::string type = MediaType(content_type);
  const bool yaml = type == "application/yaml";
  if (!type.empty() && type != "application/json" && !yaml) {
    return UnsupportedMediaType(
        "application/json, application/yaml, application/vnd.kubernetes.protobuf");
  }
  const auto unrecognized = [&](const std::string& why) {
    return BadRequest(StrCat("the object provided is unrecognized (must be of type ", resource.kind,
                             "): ", why, " (", Beginning(body), ")"));
  };
  constexpr char kNoJson[] = "couldn't get version/kind; json parse error: ";
  json object;
  if (yaml) {
    const absl::StatusOr<std::vector<json>> documents = ParseYaml(body);
    if (!documents.ok() || documents->size() != 1) {
      return unrecognized(StrCat(kNoJson, "not one YAML document"));
    }
    object = documents->front();
  } else {
    object = json::parse(body, nullptr, false);
    if (object.is_discarded()) {
      return unrecognized(StrCat(kNoJson, "unexpected end of JSON input"));
    }
  }
  if (resource.custom &&
      (object.is_null() || (object.is_object() && TextAt(object, "kind").empty()))) {
    return unrecognized(NoKind(body));
  }
  if (!object.is_object()) {
    return unrecognized(StrCat(
        kNoJson, "json: cannot unmarshal ", object.type_name(),
        " into Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; "
        "Kind string \"json:\\\"kind,omitempty\\\"\" }"));
  }
  return CheckType(resource, std::move(object), body);
}

void NormalizeMetadata(json& object) {
  static const std::vector<std::string>& known = *new std::vector<std::string>{
      "name",           "generateName",      "namespace",         "uid",
      "labels",         "annotations",       "finalizers",        "ownerReferences",
      "generation",     "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
      "resourceVersion"};
  json kept = json::object();
  for (const auto& [name, value] : MetadataOf(object).items()) {
    const bool empty = value.is_null() || (value.is_structured() && value.empty()) || value == "";
    if (!empty && std::find(known.begin(), known.end(), name) != known.end()) kept[name] = value;
  }
  object["metadata"] = std::move(kept);
}

std::vector<Cause> ValidateMetadata(const Resource& resource, const json& metadata) {
  std::vector<Cause> causes;
  const auto invalid = [&](const char* field, const std::string& value, const std::string& why) {
    if (why.empty()) return;
    causes.push_back({"FieldValueInvalid", StrCat("Invalid value: \"", value, "\": ", why), field});
  };
  const std::string name = TextAt(metadata, "name");
  if (name.empty()) {
    causes.push_back({"FieldValueRequired", "Required value: name or generateName is required",
                      "metadata.name"});
  } else {
    invalid("metadata.name", name,
            resource.free_names ? WhyNoPathSegment(name) : WhyNoSubdomain(name));
  }
  if (const auto labels = metadata.find("labels"); labels != metadata.end()) {
    for (const auto& [key, value] : labels->items()) {
      invalid("metadata.labels", key, WhyNoQualifiedName(key));
      invalid("metadata.labels", value.get<std::string>(),
              WhyNoLabelValue(value.get_ref<const std::string&>()));
    }
  }
  if (const auto annotations = metadata.find("annotations"); annotations != metadata.end()) {
    std::size_t bytes = 0;
    for (const auto& [key, value] : annotations->items()) {
      invalid("metadata.annotations", key, WhyNoQualifiedName(absl::AsciiStrToLower(key)));
      bytes += key.size() + value.get_ref<const std::string&>().size();
    }
    if (bytes > kMaxAnnotationBytes) {
      causes.push_back({"FieldValueTooLong",
                        StrCat("Too long: must have at most ", kMaxAnnotationBytes, " bytes"),
                        "metadata.annotations"});
    }
  }
  if (const auto finalizers = metadata.find("finalizers"); finalizers != metadata.end()) {
    for (const json& finalizer : *finalizers) {
      const std::string text = finalizer.get<std::string>();
      invalid("metadata.finalizers", text, WhyNoQualifiedName(text));
    }
  }
  return causes;
}

std::vector<Cause> ValidateBuiltIn(const Resource& resource, const json& object) {
  std::vector<Cause> causes;
  if (resource.plural == "leases") {
    for (const char* name : {"leaseDurationSeconds", "leaseTransitions"}) {
      const json* const value = ValueAt(object, StrCat(".spec.", name));
      if (value == nullptr || !value->is_number_integer()) continue;
      const bool duration = name == std::string("leaseDurationSeconds");
      if (value->get<std::int64_t>() < (duration ? 1 : 0)) {
        causes.push_back({"FieldValueInvalid",
                          StrCat("Invalid value: ", value->dump(), ": must be greater than ",
                                 duration ? "" : "or equal to ", "0"),
                          StrCat("spec.", name)});
      }
    }
  }
  if (resource.plural == "events" && resource.group.empty()) {
    const json* const ns = ValueAt(object, ".involvedObject.namespace");
    const std::string involved = ns != nullptr && ns->is_string() ? ns->get<std::string>() : "";
    const std::string own = TextAt(MetadataOf(object), "namespace");
    // What has no namespace is told of in the default one.
    if (involved != own && !(involved.empty() && own == "default")) {
      causes.push_back({"FieldValueInvalid",
                        StrCat("Invalid value: \"", involved, "\": does not match event.namespace"),
                        "involvedObject.namespace"});
    }
  }
  return causes;
}

Draft MakeDraft(const Resource& resource, json object) {
  json& metadata = object["metadata"];
  Draft draft;
  draft.ns = TextAt(metadata, "namespace");
  draft.name = TextAt(metadata, "name");
  draft.uid = TextAt(metadata, "uid");
  if (const auto labels = metadata.find("labels"); labels != metadata.end()) {
    for (const auto& [key, value] : labels->items()) {
      draft.labels[key] = value.get<std::string>();
    }
  }
  draft.fields = {{"metadata.name", draft.name}, {"metadata.namespace", draft.ns}};
  for (const std::string& label : resource.field_labels) {
    const json* const value = ValueAt(object, label == "source" ? "source.component" : label);
    if (value != nullptr && value->is_string()) draft.fields[label] = value->get<std::string>();
  }
  metadata["resourceVersion"] = VersionMark();
  if (!resource.custom) {
    object.erase("kind");
    object.erase("apiVersion");
  }
  std::string text = object.dump(-1, ' ', false, json::error_handler_t::replace);
  const std::size_t at = text.find(VersionMark());
  draft.tail = text.substr(at + VersionMark().size());
  text.resize(at);
  draft.head = std::move(text);
  return draft;
}

std::string Render(const Resource& resource, const std::string& stored) {
  if (resource.custom) return stored;
  return StrCat("{\"kind\":\"", resource.kind, "\",\"apiVersion\":\"", resource.api_version(),
                "\",", std::string_view(stored).substr(1));
}

json Parse(const Resource& resource, const Entry& entry) {
  json object = json::parse(entry.json, nullptr, false);
  if (!resource.custom) {
    object["kind"] = resource.kind;
    object["apiVersion"] = resource.api_version();
  }
  return object;
}

}  // namespace gantry::simulator
