// SPDX-License-Identifier: Apache-2.0
#include "server/stages/stage_object.h"

#include <cstddef>
#include <string_view>

#include "absl/status/status.h"
#include "base/strings.h"

namespace gantry::stages {
namespace {

namespace ondemand = simdjson::ondemand;

// A field of another type counts as absent.
simdjson::error_code ReadText(ondemand::value value, std::string& text) {
  std::string_view found;
  const simdjson::error_code error = value.get_string().get(found);
  if (error == simdjson::SUCCESS) text = std::string(found);
  return error == simdjson::INCORRECT_TYPE ? simdjson::SUCCESS : error;
}

simdjson::error_code ReadMetadata(ondemand::value value, StageObject& object) {
  ondemand::object metadata;
  if (const auto error = value.get_object().get(metadata)) return error;
  for (auto field : metadata) {
    std::string_view key;
    ondemand::value member;
    if (const auto error = field.unescaped_key().get(key)) return error;
    if (const auto error = field.value().get(member)) return error;
    simdjson::error_code error = simdjson::SUCCESS;
    if (key == "name") {
      error = ReadText(member, object.name);
    } else if (key == "uid") {
      error = ReadText(member, object.uid);
    } else if (key == "resourceVersion") {
      error = ReadText(member, object.resource_version);
    } else if (key == "generation") {
      if (member.get_int64().get(object.generation) != simdjson::SUCCESS) object.generation = 0;
    }
    if (error != simdjson::SUCCESS) return error;
  }
  return simdjson::SUCCESS;
}

// Where the value stands in `json`, whatever it is.
simdjson::error_code FindPart(simdjson::padded_string_view json, ondemand::value value,
                              simdjson::padded_string_view& part) {
  std::string_view text;
  ondemand::json_type type;
  if (const auto error = value.type().get(type)) return error;
  if (type == ondemand::json_type::object) {
    ondemand::object found;
    if (const auto error = value.get_object().get(found)) return error;
    if (const auto error = found.raw_json().get(text)) return error;
  } else if (type == ondemand::json_type::array) {
    ondemand::array found;
    if (const auto error = value.get_array().get(found)) return error;
    if (const auto error = found.raw_json().get(text)) return error;
  } else {
    text = value.raw_json_token();
  }
  const auto begin = static_cast<std::size_t>(text.data() - json.data());
  part =
      simdjson::padded_string_view(text.data(), text.size(), json.size() + json.padding() - begin);
  return simdjson::SUCCESS;
}

simdjson::error_code ReadParts(ondemand::parser& parser, simdjson::padded_string_view json,
                               StageObject& object) {
  ondemand::document document;
  ondemand::object root;
  if (const auto error = parser.iterate(json).get(document)) return error;
  if (const auto error = document.get_object().get(root)) return error;
  for (auto field : root) {
    std::string_view key;
    ondemand::value value;
    if (const auto error = field.unescaped_key().get(key)) return error;
    if (const auto error = field.value().get(value)) return error;
    simdjson::error_code error = simdjson::SUCCESS;
    if (key == "metadata") {
      error = ReadMetadata(value, object);
    } else if (key == "spec") {
      error = FindPart(json, value, object.spec);
    } else if (key == "status") {
      error = FindPart(json, value, object.status);
    }
    if (error != simdjson::SUCCESS) return error;
  }
  return simdjson::SUCCESS;
}

}  // namespace

absl::StatusOr<StageObject> ReadStageObject(simdjson::padded_string_view json) {
  // Its memory is used again for the next object.
  thread_local ondemand::parser parser;
  StageObject object;
  if (const auto error = ReadParts(parser, json, object)) {
    return absl::InvalidArgumentError(base::StrCat("it is not an object with metadata in JSON (",
                                                   simdjson::error_message(error), ")"));
  }
  if (object.name.empty() || object.resource_version.empty()) {
    return absl::InvalidArgumentError("it has no metadata.name or no metadata.resourceVersion");
  }
  return object;
}

}  // namespace gantry::stages
