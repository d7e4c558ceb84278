// SPDX-License-Identifier: Apache-2.0
#include "tests/simulator/patch.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "base/strings.h"
#include "tests/simulator/objects.h"

namespace gantry::simulator {

using nlohmann::json;

namespace {

// As many as the API server takes.
constexpr std::size_t kMaxOperations = 10000;

std::string Unescaped(const std::string& token) {
  std::string text;
  for (std::size_t i = 0; i < token.size(); ++i) {
    if (token[i] == '~' && i + 1 < token.size() && (token[i + 1] == '0' || token[i + 1] == '1')) {
      text += token[++i] == '0' ? '~' : '/';
    } else {
      text += token[i];
    }
  }
  return text;
}

// The tokens of a pointer; nothing when it is none to a place inside the document.
std::optional<std::vector<std::string>> PointerTokens(const std::string& pointer) {
  if (pointer.empty() || pointer[0] != '/') return std::nullopt;
  std::vector<std::string> tokens;
  std::size_t start = 1;
  while (true) {
    const std::size_t end = pointer.find('/', start);
    tokens.push_back(Unescaped(pointer.substr(start, end - start)));
    if (end == std::string::npos) return tokens;
    start = end + 1;
  }
}

// The index of an existing element.
std::optional<std::size_t> IndexIn(const json& array, const std::string& token) {
  std::int64_t index = 0;
  if (!absl::SimpleAtoi(token, &index)) return std::nullopt;
  const auto size = static_cast<std::int64_t>(array.size());
  if (index < 0) index += size;
  if (index < 0 || index >= size) return std::nullopt;
  return static_cast<std::size_t>(index);
}

json* Child(json& parent, const std::string& token) {
  if (parent.is_object()) {
    const auto found = parent.find(token);
    return found == parent.end() ? nullptr : &*found;
  }
  if (parent.is_array()) {
    const auto index = IndexIn(parent, token);
    return index ? &parent[*index] : nullptr;
  }
  return nullptr;
}

// The container that a pointer's last token is about.
struct Place {
  json* parent = nullptr;
  std::string last;
  std::size_t depth = 0;  // of the container
};

// Small operations can build what no body could have.
bool WouldNestTooDeep(const Place& place, const json& value) {
  return place.depth + DepthOf(value) > kMaxDepth;
}

std::optional<Place> Find(json& document, const std::string& pointer) {
  const auto tokens = PointerTokens(pointer);
  if (!tokens) return std::nullopt;
  json* parent = &document;
  for (std::size_t i = 0; i + 1 < tokens->size(); ++i) {
    parent = Child(*parent, (*tokens)[i]);
    if (parent == nullptr) return std::nullopt;
  }
  if (!parent->is_structured()) return std::nullopt;
  return Place{parent, tokens->back(), tokens->size()};
}

bool Add(const Place& place, json value) {
  if (WouldNestTooDeep(place, value)) return false;
  if (place.parent->is_object()) {
    (*place.parent)[place.last] = std::move(value);
    return true;
  }
  if (place.last == "-") {
    place.parent->push_back(std::move(value));
    return true;
  }
  std::int64_t index = 0;
  const auto size = static_cast<std::int64_t>(place.parent->size());
  if (!absl::SimpleAtoi(place.last, &index) || index > size) return false;
  if (index < 0) index += size + 1;
  if (index < 0) return false;
  place.parent->insert(place.parent->begin() + index, std::move(value));
  return true;
}

bool Replace(const Place& place, json value) {
  if (WouldNestTooDeep(place, value)) return false;
  if (place.parent->is_object()) {
    (*place.parent)[place.last] = std::move(value);
    return true;
  }
  json* const child = Child(*place.parent, place.last);
  if (child == nullptr) return false;
  *child = std::move(value);
  return true;
}

bool Remove(const Place& place) {
  if (place.parent->is_object()) return place.parent->erase(place.last) == 1;
  const auto index = IndexIn(*place.parent, place.last);
  if (!index) return false;
  place.parent->erase(*index);
  return true;
}

std::string TextOf(const json& operation, const char* field) {
  const auto found = operation.find(field);
  return found != operation.end() && found->is_string() ? found->get<std::string>() : "";
}

bool ApplyOperation(json& document, const json& operation) {
  const std::string op = TextOf(operation, "op");
  const auto place = Find(document, TextOf(operation, "path"));
  if (!place) return false;
  const auto given = operation.find("value");
  const json value = given == operation.end() ? json(nullptr) : *given;
  if (op == "add") return Add(*place, value);
  if (op == "replace") return Replace(*place, value);
  if (op == "remove") return Remove(*place);
  if (op == "test") {
    const json* const child = Child(*place->parent, place->last);
    // A member that is not there is as good as null.
    return child == nullptr ? value.is_null() : *child == value;
  }
  if (op != "move" && op != "copy") return false;
  const auto from = Find(document, TextOf(operation, "from"));
  if (!from) return false;
  const json* const child = Child(*from->parent, from->last);
  if (op == "copy") {
    if (child == nullptr && from->parent->is_array()) return false;
    return Add(*place, child == nullptr ? json(nullptr) : *child);
  }
  if (child == nullptr) return false;
  json moved = *child;
  if (!Remove(*from)) return false;
  // What was found before may have moved with it.
  const auto target = Find(document, TextOf(operation, "path"));
  return target && Add(*target, std::move(moved));
}

ApiError Undecodable(const std::string& why) {
  return BadRequest(base::StrCat("error decoding patch: ", why));
}

ApiError WrongType(const json& value, const char* wanted) {
  const std::string own = value.is_number()    ? "number"
                          : value.is_boolean() ? "bool"
                                               : value.type_name();
  return Undecodable(
      base::StrCat("json: cannot unmarshal ", own, " into Go value of type ", wanted));
}

}  // namespace

Result<json> ApplyMergePatch(const json& object, const std::string& patch) {
  const json parsed = json::parse(patch, nullptr, false);
  if (parsed.is_discarded()) return Undecodable("unexpected end of JSON input");
  if (parsed.is_null()) return BadRequest("Invalid JSON Patch");
  if (!parsed.is_object()) return WrongType(parsed, "map[string]interface {}");
  json patched = object;
  patched.merge_patch(parsed);
  return patched;
}

Result<json> ApplyJsonPatch(const json& object, const std::string& patch) {
  const json parsed = json::parse(patch, nullptr, false);
  if (parsed.is_discarded()) return Undecodable("unexpected end of JSON input");
  if (!parsed.is_array() && !parsed.is_null()) return WrongType(parsed, "[]handlers.jsonPatchOp");
  for (const json& operation : parsed) {
    if (!operation.is_object()) return WrongType(operation, "handlers.jsonPatchOp");
  }
  if (parsed.size() > kMaxOperations) {
    return MakeError(413, "RequestEntityTooLarge",
                     base::StrCat("The allowed maximum operations in a JSON patch is ",
                                  kMaxOperations, ", got ", parsed.size()));
  }
  json patched = object;
  for (const json& operation : parsed) {
    if (!ApplyOperation(patched, operation)) return PatchRejected();
  }
  return patched;
}

}  // namespace gantry::simulator
