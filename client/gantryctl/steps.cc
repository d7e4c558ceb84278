// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/steps.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/durations.h"
#include "base/text.h"
#include "client/gantryctl/text.h"

namespace gantry::gantryctl {
namespace {

using SchemaJson = nlohmann::json;
using Row = std::vector<std::string>;

// The longest description that a row shows, unless it is wide.
constexpr std::size_t kDescriptionWidth = 80;

// The first sentence, if there is no room for all.
std::string Described(const std::string& description, const Look& look) {
  std::string text = OneLine(description);
  if (look.wide || Width(text) <= kDescriptionWidth) return text;
  return CutTo(text.substr(0, text.find(". ")), kDescriptionWidth);
}

std::string TimeoutOf(const v1::StepKind& kind) {
  if (!kind.has_default_timeout()) return "";
  return base::FormatGoDuration(absl::Seconds(kind.default_timeout().seconds()) +
                                absl::Nanoseconds(kind.default_timeout().nanos()));
}

std::string TextAt(const SchemaJson& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

const SchemaJson* ObjectAt(const SchemaJson& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_object() ? &*found : nullptr;
}

// "string", "In|NotIn", "list of string".
std::string TypeOf(const SchemaJson& schema) {
  const std::string type = TextAt(schema, "type");
  const auto choices = schema.find("enum");
  if (choices != schema.end() && choices->is_array()) {
    std::vector<std::string> texts;
    for (const SchemaJson& choice : *choices) {
      texts.push_back(choice.is_string() ? choice.get<std::string>() : choice.dump());
    }
    return absl::StrJoin(texts, "|");
  }
  const SchemaJson* const items = ObjectAt(schema, "items");
  if (type == "array") {
    return items != nullptr ? absl::StrCat("list of ", TypeOf(*items)) : std::string("list");
  }
  if (type == "object" && ObjectAt(schema, "additionalProperties") != nullptr) {
    return absl::StrCat("map of ", TypeOf(*ObjectAt(schema, "additionalProperties")));
  }
  return type.empty() ? "any" : type;
}

bool IsRequired(const SchemaJson& schema, const std::string& name) {
  const auto required = schema.find("required");
  return required != schema.end() && required->is_array() &&
         std::find(required->begin(), required->end(), name) != required->end();
}

// A row for each field below `schema`, the required ones first.
void AddFields(const SchemaJson& schema, const std::string& path, const Look& look,
               std::vector<Row>& rows) {
  if (const SchemaJson* const items = ObjectAt(schema, "items")) {
    AddFields(*items, path + "[]", look, rows);
  }
  const SchemaJson* const properties = ObjectAt(schema, "properties");
  if (properties == nullptr) return;
  for (const bool required : {true, false}) {
    for (const auto& [name, field] : properties->items()) {
      if (!field.is_object() || IsRequired(schema, name) != required) continue;
      const std::string at = absl::StrCat(path, path.empty() ? "" : ".", name);
      rows.push_back({at, TypeOf(field), required ? "yes" : "",
                      Described(TextAt(field, "description"), look)});
      AddFields(field, at, look, rows);
    }
  }
}

// The schema of a kind, with its fields in the order of their names.
absl::StatusOr<std::string> RenderSchema(const v1::StepKind& kind, OutputFormat format) {
  const absl::StatusOr<std::string> text = RenderJson(kind.config_schema());
  if (!text.ok()) return text.status();
  const SchemaJson json = SchemaJson::parse(*text, nullptr, false);
  if (json.is_discarded()) return absl::InternalError("the schema's JSON cannot be read back");
  const std::string sorted = json.dump(2, ' ', false, SchemaJson::error_handler_t::replace) + "\n";
  if (format == OutputFormat::kYaml) return JsonToYaml(sorted);
  return sorted;
}

absl::StatusOr<std::string> Render(const v1::ListStepKindsResponse& response, OutputFormat format,
                                   const Look& look) {
  switch (format) {
    case OutputFormat::kJson:
      return RenderJson(response);
    case OutputFormat::kYaml:
      return RenderYaml(response);
    case OutputFormat::kTable:
    case OutputFormat::kWide:
      break;
  }
  return RenderKinds(response, look);
}

std::string UnknownKind(const std::string& wanted, const v1::ListStepKindsResponse& response) {
  std::vector<std::string> names;
  for (const v1::StepKind& kind : response.kinds()) names.push_back(kind.uses());
  const std::vector<std::string> near = base::NearNames(wanted, names);
  if (!near.empty()) {
    return absl::StrCat("no kind of step ", OneLine(wanted), "; did you mean ",
                        OneLine(absl::StrJoin(near, " or ")), "?\n");
  }
  return absl::StrCat("no kind of step ", OneLine(wanted), "; the service knows ",
                      names.empty() ? "none" : OneLine(absl::StrJoin(names, ", ")), ".\n");
}

}  // namespace

std::string RenderKinds(const v1::ListStepKindsResponse& response, const Look& look) {
  Row header = {"USES", "DESCRIPTION", "TIMEOUT"};
  if (look.wide) header.insert(header.begin() + 1, "REQUIRES");
  std::vector<Row> rows;
  for (const v1::StepKind& kind : response.kinds()) {
    rows.push_back({kind.uses(), Described(kind.description(), look), TimeoutOf(kind)});
    if (!look.wide) continue;
    std::vector<std::string> required;
    const auto found = kind.config_schema().fields().find("required");
    if (found != kind.config_schema().fields().end()) {
      for (const auto& name : found->second.list_value().values()) {
        required.push_back(name.string_value());
      }
    }
    rows.back().insert(rows.back().begin() + 1, absl::StrJoin(required, ", "));
  }
  return Table(header, rows);
}

std::string RenderKind(const v1::StepKind& kind, const Look& look) {
  std::string text = absl::StrCat("Uses:     ", OneLine(kind.uses()), "\n");
  const std::string timeout = TimeoutOf(kind);
  if (!timeout.empty()) absl::StrAppend(&text, "Timeout:  ", timeout, "\n");
  absl::StrAppend(&text, "\n", OneLine(kind.description()), "\n");
  const absl::StatusOr<std::string> json = RenderJson(kind.config_schema());
  const SchemaJson schema = json.ok() ? SchemaJson::parse(*json, nullptr, false) : SchemaJson();
  std::vector<Row> rows;
  if (schema.is_object()) AddFields(schema, "", look, rows);
  if (!rows.empty()) {
    absl::StrAppend(&text, "\n", Table({"FIELD", "TYPE", "REQUIRED", "DESCRIPTION"}, rows));
  }
  return text;
}

int Steps(const StepsFlags& flags, const World& world) {
  v1::ListStepKindsResponse response;
  const ExitCode code =
      CallService(flags, flags.timeout, "tell the kinds of steps", world,
                  [&](const client::Client& client, const client::CallOptions& options) {
                    absl::StatusOr<v1::ListStepKindsResponse> kinds = client.ListStepKinds(options);
                    if (!kinds.ok()) return kinds.status();
                    response = *std::move(kinds);
                    return absl::OkStatus();
                  });
  if (code != kExitSucceeded) return code;
  const Look look = LookOf(flags.output, world);
  if (flags.kind.empty()) {
    return Print(Render(response, flags.output, look), world) ? kExitSucceeded : kExitFailed;
  }
  const auto kind =
      std::find_if(response.kinds().begin(), response.kinds().end(),
                   [&flags](const v1::StepKind& any) { return any.uses() == flags.kind; });
  if (kind == response.kinds().end()) {
    Tell(world, UnknownKind(flags.kind, response));
    return kExitFailed;
  }
  const bool as_schema = flags.output == OutputFormat::kJson || flags.output == OutputFormat::kYaml;
  const absl::StatusOr<std::string> text =
      as_schema ? RenderSchema(*kind, flags.output) : RenderKind(*kind, look);
  return Print(text, world) ? kExitSucceeded : kExitFailed;
}

}  // namespace gantry::gantryctl
