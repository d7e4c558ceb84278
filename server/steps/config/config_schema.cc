// SPDX-License-Identifier: Apache-2.0
#include "server/steps/config/config_schema.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <exception>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <utility>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "base/strings.h"
#include "base/text.h"
#include "server/steps/config/config_text.h"

namespace gantry::steps {
namespace {

using nlohmann::json;

constexpr size_t kUnlimited = std::numeric_limits<size_t>::max();

enum class Type { kAny, kString, kBoolean, kNumber, kArray, kObject };

Type ParseType(const json& schema) {
  const auto type = schema.find("type");
  if (type == schema.end()) return Type::kAny;
  if (*type == "string") return Type::kString;
  if (*type == "boolean") return Type::kBoolean;
  if (*type == "number") return Type::kNumber;
  if (*type == "array") return Type::kArray;
  if (*type == "object") return Type::kObject;
  throw std::invalid_argument("a type that is not known: " + type->dump());
}

bool HasType(const json& value, Type type) {
  switch (type) {
    case Type::kAny:
      return true;
    case Type::kString:
      return value.is_string();
    case Type::kBoolean:
      return value.is_boolean();
    case Type::kNumber:
      return value.is_number();
    case Type::kArray:
      return value.is_array();
    case Type::kObject:
      return value.is_object();
  }
  return false;
}

// What to do about a value of the wrong type, when its writer meant the right thing.
std::string_view Advice(const json& value, Type expected, bool optional) {
  if (value.is_null()) return optional ? ": give it a value or leave it out" : ": give it a value";
  if (expected == Type::kString && (value.is_number() || value.is_boolean())) {
    return ": quote it in YAML";
  }
  if (expected == Type::kBoolean && value.is_string()) return ": leave out the quotes";
  if (expected == Type::kArray && (value.is_object() || value.is_string())) {
    return ": begin each item with \"- \" in YAML";
  }
  return "";
}

}  // namespace

// A subschema, in the form that the walk needs.
struct ConfigSchema::Node {
  Type type = Type::kAny;
  size_t min_length = 0;  // characters
  size_t max_length = kUnlimited;
  size_t min_items = 0;
  size_t max_items = kUnlimited;
  bool unique_items = false;
  std::vector<std::string> allowed;  // empty: anything
  std::vector<std::string> required;
  std::map<std::string, std::unique_ptr<Node>, std::less<>> properties;
  std::unique_ptr<Node> other_properties;  // those of a map
  bool closed = false;                     // no other properties
  std::unique_ptr<Node> items;
  std::vector<Rule> rules;

  std::string Expected() const;
  void Walk(const json& value, const ConfigPath& path, bool is_optional,
            ViolationList& violations) const;

 private:
  bool CheckString(const std::string& text, const ConfigPath& path,
                   ViolationList& violations) const;
  bool CheckList(const json& list, const ConfigPath& path, ViolationList& violations) const;
  void WalkFields(const json& object, const ConfigPath& path, ViolationList& violations) const;
  std::vector<std::string> FieldNames() const;
};

struct ConfigSchema::Compiled {
  valijson::Schema schema;
};

std::string ConfigSchema::Node::Expected() const {
  switch (type) {
    case Type::kAny:
      return "a value";
    case Type::kString:
      if (!allowed.empty()) {
        return (allowed.size() > 1 ? "one of " : "") + base::Join(allowed, "or");
      }
      if (max_length == kUnlimited) {
        return min_length == 0 ? "a string" : "a string that is not empty";
      }
      if (min_length == 0) return "a string of at most " + base::Count(max_length, "character");
      return base::StrCat("a string of ", min_length, " to ", base::Count(max_length, "character"));
    case Type::kBoolean:
      return "true or false";
    case Type::kNumber:
      return "a number";
    case Type::kArray:
      return min_items == 0 ? "a list" : "a list of at least " + base::Count(min_items, "item");
    case Type::kObject:
      if (other_properties != nullptr && properties.empty()) {
        return "an object whose fields are each " + other_properties->Expected();
      }
      if (!required.empty()) return "an object with " + base::Join(required, "and");
      return "an object";
  }
  return "a value";
}

std::vector<std::string> ConfigSchema::Node::FieldNames() const {
  std::vector<std::string> names;
  for (const auto& [name, node] : properties) names.push_back(name);
  return names;
}

bool ConfigSchema::Node::CheckString(const std::string& text, const ConfigPath& path,
                                     ViolationList& violations) const {
  const std::optional<size_t> length = CountCharacters(text);
  if (!length) {
    violations.Add(path, [&] {
      return base::StrCat("found ", base::Quote(text), ", which is not valid UTF-8, expected ",
                          Expected());
    });
    return false;
  }
  // valijson reads strings up to the first of these only.
  if (text.find('\0') != std::string::npos) {
    violations.Add(path, [&] {
      return base::StrCat("found ", base::Quote(text), ", expected no character U+0000");
    });
    return false;
  }
  if (*length < min_length || *length > max_length) {
    violations.Add(path, [&] {
      return base::StrCat("found ", text.empty() ? "an empty string" : base::Quote(text),
                          text.empty() ? "" : " (" + base::Count(*length, "character") + ")",
                          ", expected ", Expected());
    });
    return false;
  }
  if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), text) == allowed.end()) {
    violations.Add(path, [&] {
      const std::optional<std::string> meant = NearestWord(text, allowed);
      return base::StrCat("found ", DescribeValue(text), ", expected ", Expected(),
                          meant ? ": did you mean " + *meant + "?" : "");
    });
    return false;
  }
  return true;
}

bool ConfigSchema::Node::CheckList(const json& list, const ConfigPath& path,
                                   ViolationList& violations) const {
  if (list.size() < min_items) {
    violations.Add(path, [&] {
      return base::StrCat("found ", DescribeValue(list), ", expected at least ",
                          base::Count(min_items, "item"));
    });
    return false;
  }
  if (list.size() > max_items) {
    violations.Add(path, [&] {
      return base::StrCat("found ", DescribeValue(list), ", expected at most ",
                          base::Count(max_items, "item"));
    });
    return false;
  }
  if (unique_items) {
    std::map<std::string_view, size_t> seen;
    for (size_t i = 0; i < list.size(); ++i) {
      if (!list[i].is_string()) continue;
      const auto& text = list[i].get_ref<const std::string&>();
      const auto [earlier, inserted] = seen.emplace(text, i);
      if (inserted) continue;
      violations.Add(ConfigPath(path, i), [&, first = earlier->second] {
        return base::StrCat("found ", DescribeValue(list[i]), " again, it is ",
                            ConfigPath(path, first).ToString(), " already, expected each once");
      });
    }
  }
  return true;
}

void ConfigSchema::Node::WalkFields(const json& object, const ConfigPath& path,
                                    ViolationList& violations) const {
  for (const std::string& name : required) {
    if (object.contains(name)) continue;
    const auto property = properties.find(name);
    violations.Add(ConfigPath(path, name), [&] {
      return base::StrCat("missing, expected ", property == properties.end()
                                                    ? std::string("a value")
                                                    : property->second->Expected());
    });
  }
  for (auto field = object.begin(); field != object.end(); ++field) {
    const ConfigPath field_path(path, field.key());
    const auto property = properties.find(field.key());
    if (property != properties.end()) {
      const bool is_optional =
          std::find(required.begin(), required.end(), field.key()) == required.end();
      property->second->Walk(*field, field_path, is_optional, violations);
    } else if (other_properties != nullptr) {
      other_properties->Walk(*field, field_path, false, violations);
    } else if (closed) {
      violations.Add(field_path, [&]() -> std::string {
        const std::vector<std::string> names = FieldNames();
        if (const auto meant = NearestWord(field.key(), names)) {
          return "unknown field: did you mean " + *meant + "?";
        }
        return "unknown field, expected " + base::Join(names, "or");
      });
    }
  }
}

// Goes down as far as the schema does, however deep the value is.
void ConfigSchema::Node::Walk(const json& value, const ConfigPath& path, bool is_optional,
                              ViolationList& violations) const {
  if (!HasType(value, type)) {
    violations.Add(path, [&] {
      return base::StrCat("found ", DescribeValue(value), ", expected ", Expected(),
                          path.is_root() ? "" : Advice(value, type, is_optional));
    });
    return;
  }
  if (value.is_string() && !CheckString(value.get_ref<const std::string&>(), path, violations)) {
    return;
  }
  if (value.is_array() && !CheckList(value, path, violations)) return;
  for (const Rule rule : rules) rule(value, path, violations);
  if (value.is_object()) WalkFields(value, path, violations);
  if (value.is_array() && items != nullptr) {
    for (size_t i = 0; i < value.size(); ++i) {
      items->Walk(value[i], ConfigPath(path, i), false, violations);
    }
  }
}

std::unique_ptr<ConfigSchema::Node> ConfigSchema::Compile(const json& schema,
                                                          const std::string& place,
                                                          const std::vector<RuleAt>& rules,
                                                          size_t& rules_used) {
  auto node = std::make_unique<Node>();
  node->type = ParseType(schema);
  node->min_length = schema.value("minLength", size_t{0});
  node->max_length = schema.value("maxLength", kUnlimited);
  node->min_items = schema.value("minItems", size_t{0});
  node->max_items = schema.value("maxItems", kUnlimited);
  node->unique_items = schema.value("uniqueItems", false);
  node->allowed = schema.value("enum", std::vector<std::string>());
  node->required = schema.value("required", std::vector<std::string>());
  if (const auto properties = schema.find("properties"); properties != schema.end()) {
    for (const auto& [name, property] : properties->items()) {
      node->properties[name] =
          Compile(property, base::StrCat(place, place.empty() ? "" : ".", name), rules, rules_used);
    }
  }
  if (const auto others = schema.find("additionalProperties"); others != schema.end()) {
    if (others->is_object()) {
      node->other_properties = Compile(*others, place + ".*", rules, rules_used);
    } else {
      node->closed = !others->get<bool>();
    }
  }
  if (const auto items = schema.find("items"); items != schema.end()) {
    node->items = Compile(*items, place + "[]", rules, rules_used);
  }
  for (const RuleAt& rule : rules) {
    if (rule.place != place) continue;
    node->rules.push_back(rule.rule);
    ++rules_used;
  }
  return node;
}

// NOLINTNEXTLINE(bugprone-exception-escape): it ends the process, as its header says.
ConfigSchema::ConfigSchema(std::string_view text, const std::vector<RuleAt>& rules) noexcept
    : compiled_(std::make_unique<Compiled>()) {
  const json schema = json::parse(text);
  size_t rules_used = 0;
  root_ = Compile(schema, "", rules, rules_used);
  if (rules_used != rules.size()) std::abort();
  valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
  parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(schema), compiled_->schema);
}

ConfigSchema::~ConfigSchema() = default;

bool ConfigSchema::SchemaAccepts(const json& config) const {
  try {
    // A validator caches regular expressions: one for each call.
    valijson::Validator validator;
    return validator.validate(compiled_->schema, valijson::adapters::NlohmannJsonAdapter(config),
                              nullptr);
  } catch (const std::exception&) {
    return false;
  }
}

std::vector<Violation> ConfigSchema::Check(const json& config) const {
  ViolationList found;
  root_->Walk(config, ConfigPath(), false, found);
  std::vector<Violation> violations = std::move(found).Take();
  // Only now are strings known to be UTF-8, and all sizes to be within limits.
  if (!violations.empty() || SchemaAccepts(config)) return violations;

  return {WhatTheSchemaRefuses(config)};
}

Violation ConfigSchema::WhatTheSchemaRefuses(const json& config) const {
  try {
    valijson::ValidationResults results;
    valijson::Validator validator;
    validator.validate(compiled_->schema, valijson::adapters::NlohmannJsonAdapter(config),
                       &results);
    // The first one is the deepest, those that follow repeat it for what contains it.
    valijson::ValidationResults::Error error;
    if (!results.popError(error)) return {"", "refused by the schema"};
    // The context is the root and then "[field]" or "[index]" for each step down.
    std::deque<ConfigPath> places(1);
    const json* value = &config;
    for (size_t i = 1; i < error.context.size(); ++i) {
      const std::string_view step =
          std::string_view(error.context[i]).substr(1, error.context[i].size() - 2);
      size_t index = 0;
      if (value->is_array() && absl::SimpleAtoi(base::ToAbsl(step), &index)) {
        places.emplace_back(places.back(), index);
        value = &value->at(index);
      } else {
        places.emplace_back(places.back(), step);
        value = &value->at(std::string(step));
      }
    }
    return {places.back().ToString(), error.description};
  } catch (const std::exception& e) {
    return {"", base::StrCat("could not be checked by the schema: ", e.what())};
  }
}

}  // namespace gantry::steps
