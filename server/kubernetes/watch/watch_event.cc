// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/watch/watch_event.h"

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "base/strings.h"
#include "server/kubernetes/api/object_splitter.h"
#include "server/kubernetes/api/response_error.h"

namespace gantry::kubernetes {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr std::string_view kInitialEventsEnd = "k8s.io/initial-events-end";
constexpr std::size_t kQuoted = 100;

constexpr std::array<std::pair<std::string_view, WatchEvent::Type>, 5> kTypes = {{
    {"ADDED", WatchEvent::Type::kAdded},
    {"MODIFIED", WatchEvent::Type::kModified},
    {"DELETED", WatchEvent::Type::kDeleted},
    {"BOOKMARK", WatchEvent::Type::kBookmark},
    {"ERROR", WatchEvent::Type::kError},
}};

// `part` is a part of `line`; what follows it there is its padding.
simdjson::padded_string_view PartOf(simdjson::padded_string_view line, std::string_view part) {
  const auto begin = static_cast<std::size_t>(part.data() - line.data());
  return simdjson::padded_string_view(part.data(), part.size(),
                                      line.size() + line.padding() - begin);
}

absl::Status Malformed(std::string_view what, std::string_view text) {
  return absl::InvalidArgumentError(base::StrCat(what, ": \"", Excerpt(text, kQuoted), "\""));
}

simdjson::error_code ReadFields(ondemand::parser& parser, simdjson::padded_string_view line,
                                std::string_view& type, std::string_view& object) {
  ondemand::document document;
  ondemand::object event;
  if (const auto error = parser.iterate(line).get(document)) return error;
  if (const auto error = document.get_object().get(event)) return error;
  for (auto field : event) {
    std::string_view key;
    ondemand::value value;
    if (const auto error = field.unescaped_key().get(key)) return error;
    if (const auto error = field.value().get(value)) return error;
    if (key == "type") {
      if (const auto error = value.get_string().get(type)) return error;
    } else if (key == "object") {
      ondemand::object content;
      if (const auto error = value.get_object().get(content)) return error;
      if (const auto error = content.raw_json().get(object)) return error;
    }
  }
  const bool at_end = document.current_location().error() == simdjson::OUT_OF_BOUNDS;
  return at_end ? simdjson::SUCCESS : simdjson::TRAILING_CONTENT;
}

simdjson::error_code ReadAnnotations(ondemand::value value, Bookmark& bookmark) {
  ondemand::object annotations;
  if (const auto error = value.get_object().get(annotations)) return error;
  for (auto field : annotations) {
    std::string_view key;
    std::string_view text;
    if (const auto error = field.unescaped_key().get(key)) return error;
    if (const auto error = field.value().get_string().get(text)) return error;
    if (key == kInitialEventsEnd) bookmark.initial_events_end = text == "true";
  }
  return simdjson::SUCCESS;
}

simdjson::error_code ReadMetadata(ondemand::parser& parser, simdjson::padded_string_view object,
                                  Bookmark& bookmark) {
  ondemand::document document;
  ondemand::object metadata;
  if (const auto error = parser.iterate(object).get(document)) return error;
  if (const auto error = document.find_field_unordered("metadata").get_object().get(metadata)) {
    return error;
  }
  for (auto field : metadata) {
    std::string_view key;
    ondemand::value value;
    if (const auto error = field.unescaped_key().get(key)) return error;
    if (const auto error = field.value().get(value)) return error;
    if (key == "resourceVersion") {
      std::string_view text;
      if (const auto error = value.get_string().get(text)) return error;
      bookmark.resource_version = std::string(text);
    } else if (key == "annotations") {
      ondemand::json_type type;
      if (const auto error = value.type().get(type)) return error;
      if (type == ondemand::json_type::null) continue;
      if (const auto error = ReadAnnotations(value, bookmark)) return error;
    }
  }
  return simdjson::SUCCESS;
}

// Reads a line that is written as API servers write it, {"type":"MODIFIED","object":{...}}, to the
// letter: then only the object's end is looked for, because whoever the object is for parses it
// anyway. Nothing for any other line, well-formed or not.
std::optional<WatchEvent> ReadUsual(simdjson::padded_string_view line) {
  constexpr std::string_view kBegin = R"({"type":")";
  constexpr std::string_view kMiddle = R"(","object":)";
  std::string_view rest = line;
  if (!rest.starts_with(kBegin)) return std::nullopt;
  rest.remove_prefix(kBegin.size());
  for (const auto& [name, type] : kTypes) {
    if (!rest.starts_with(name)) continue;
    rest.remove_prefix(name.size());
    if (!rest.starts_with(kMiddle)) return std::nullopt;
    rest.remove_prefix(kMiddle.size());
    if (rest.size() < 3 || rest.front() != '{' || rest.back() != '}') return std::nullopt;
    rest.remove_suffix(1);
    ObjectScanner scanner;
    const char* const end = rest.data() + rest.size();
    const bool whole = scanner.Scan(rest.data(), end) == end && scanner.complete();
    if (!whole || !simdjson::validate_utf8(rest)) return std::nullopt;
    return WatchEvent{type, PartOf(line, rest)};
  }
  return std::nullopt;
}

}  // namespace

std::string_view WatchEventTypeName(WatchEvent::Type type) {
  for (const auto& [name, named] : kTypes) {
    if (named == type) return name;
  }
  return "";
}

absl::StatusOr<WatchEvent> WatchEventReader::Read(simdjson::padded_string_view line) {
  if (const std::optional<WatchEvent> usual = ReadUsual(line)) return *usual;
  std::string_view type;
  std::string_view object;
  if (const auto error = ReadFields(parser_, line, type, object)) {
    return Malformed(
        base::StrCat("has a line that is no event in JSON (", simdjson::error_message(error), ")"),
        line);
  }
  if (object.empty()) return Malformed("has an event without an object", line);
  for (const auto& [name, named] : kTypes) {
    if (type != name) continue;
    // What simdjson returns reaches to the next token.
    object = base::ToStd(absl::StripTrailingAsciiWhitespace(base::ToAbsl(object)));
    return WatchEvent{named, PartOf(line, object)};
  }
  return Malformed("has an event whose type is none of this API", line);
}

absl::StatusOr<Bookmark> WatchEventReader::ReadBookmark(simdjson::padded_string_view object) {
  Bookmark bookmark;
  if (const auto error = ReadMetadata(parser_, object, bookmark)) {
    return Malformed(base::StrCat("has a bookmark whose metadata cannot be read (",
                                  simdjson::error_message(error), ")"),
                     object);
  }
  if (bookmark.resource_version.empty()) {
    return Malformed("has a bookmark without a resourceVersion", object);
  }
  return bookmark;
}

int WatchEventReader::ReadErrorCode(simdjson::padded_string_view object) {
  constexpr int kUnknown = 500;
  ondemand::document document;
  std::int64_t code = 0;
  if (parser_.iterate(object).get(document) != simdjson::SUCCESS) return kUnknown;
  if (document.find_field_unordered("code").get_int64().get(code) != simdjson::SUCCESS) {
    return kUnknown;
  }
  return code >= 400 && code < 600 ? static_cast<int>(code) : kUnknown;
}

}  // namespace gantry::kubernetes
