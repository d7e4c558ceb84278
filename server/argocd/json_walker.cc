// SPDX-License-Identifier: Apache-2.0
#include "server/argocd/json_walker.h"

#include <utility>

#include "base/strings.h"

namespace gantry::argocd {
namespace {

std::string_view TypeName(JsonWalker::Type type) {
  switch (type) {
    case JsonWalker::Type::array:
      return "an array";
    case JsonWalker::Type::object:
      return "an object";
    case JsonWalker::Type::string:
      return "a string";
    case JsonWalker::Type::boolean:
      return "a boolean";
    case JsonWalker::Type::null:
      return "null";
    default:
      return "a number";
  }
}

}  // namespace

std::string_view JsonWalker::Text(Value string, std::string_view name) {
  std::string_view text;
  if (Is(string, name, Type::string)) Broken(string.get_string().get(text));
  return text;
}

bool JsonWalker::Bool(Value boolean, std::string_view name) {
  bool found = false;
  if (Is(boolean, name, Type::boolean)) Broken(boolean.get_bool().get(found));
  return found;
}

std::vector<base::InternedString> JsonWalker::Strings(Value array, std::string_view name) {
  std::vector<base::InternedString> strings;
  Items(array, name, [&](Value item) { strings.push_back(Interned(item, name)); });
  return strings;
}

std::optional<absl::Time> JsonWalker::Time(Value string, std::string_view name) {
  const std::string_view text = Text(string, name);
  if (text.empty()) return std::nullopt;
  absl::Time time;
  std::string error;
  // absl also reads "infinite-future" and "infinite-past".
  if (!absl::ParseTime(absl::RFC3339_full, base::ToAbsl(text), &time, &error) ||
      time == absl::InfiniteFuture() || time == absl::InfinitePast()) {
    Fail(base::StrCat("its field ", name, " is \"", text, "\", expected an RFC 3339 time"));
    return std::nullopt;
  }
  return time;
}

std::string_view JsonWalker::TextOf(Object& object) {
  std::string_view text;
  if (!Broken(object.raw_json().get(text))) Broken(object.reset().error());
  return text;
}

std::string_view JsonWalker::TextOf(Array& array) {
  std::string_view text;
  if (!Broken(array.raw_json().get(text))) Broken(array.reset().error());
  return text;
}

bool JsonWalker::Is(Value found, std::string_view name, Type expected) {
  Type type;
  if (broken_ || Broken(found.type().get(type))) return false;
  if (type == expected) return true;
  if (type != Type::null) {
    Fail(base::StrCat("its field ", name, " is ", TypeName(type), ", expected ",
                      TypeName(expected)));
  }
  return false;
}

bool JsonWalker::IsSet(Value found) {
  Type type;
  return !broken_ && !Broken(found.type().get(type)) && type != Type::null;
}

bool JsonWalker::Broken(simdjson::error_code error) {
  if (error == simdjson::SUCCESS) return false;
  broken_ = true;
  Fail(base::StrCat("it is not valid JSON: ", simdjson::error_message(error)));
  return true;
}

void JsonWalker::Fail(std::string message) {
  if (problem_.empty()) problem_ = std::move(message);
}

}  // namespace gantry::argocd
