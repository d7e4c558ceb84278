// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_CONFIG_SCHEMA_H_
#define GANTRY_SERVER_STEPS_CONFIG_SCHEMA_H_

#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"

namespace gantry::steps {

// One thing wrong with a step's configuration.
struct Violation {
  std::string field;  // "apps[0].sources[1].repoURL"; empty: the configuration as a whole
  // What was found and what was expected. Valid UTF-8 on one line.
  std::string description;
  bool operator==(const Violation&) const = default;
};

// At most so many violations are told; when there are more, one more says how many.
inline constexpr size_t kMaxViolations = 1000;

// A place in a configuration: the whole of it, or a field or an item of another place. Made on the
// stack on the way down. It refers to its parent and to the field's name, which must outlive it.
class ConfigPath {
 public:
  ConfigPath() = default;
  ConfigPath(const ConfigPath& parent, std::string_view field) : parent_(&parent), field_(field) {}
  ConfigPath(const ConfigPath& parent, size_t index)
      : parent_(&parent), index_(index), is_index_(true) {}

  bool is_root() const { return parent_ == nullptr; }

  // "apps[0].sources[1].repoURL", empty for the whole. A field whose name is not a plain word is
  // written in brackets and quoted: `matchLabels["example.com/a"]`.
  std::string ToString() const;

 private:
  friend class ViolationList;

  const ConfigPath* parent_ = nullptr;
  std::string_view field_;
  size_t index_ = 0;
  bool is_index_ = false;
};

// Collects violations: keeps the first kMaxViolations, counts the others.
class ViolationList {
 public:
  // `describe` is only called while there is room, so that a configuration with a million errors
  // costs no more words than one with a hundred.
  void Add(const ConfigPath& path, absl::FunctionRef<std::string()> describe);

  // Those kept, in the order of the configuration (fields by name, a place before what it contains,
  // violations of one place as they were added), and if there are others, a last one about the
  // configuration as a whole that says how many.
  std::vector<Violation> Take() &&;

 private:
  struct Step {  // A field, or an item by its index.
    std::string field;
    size_t index = 0;
    auto operator<=>(const Step&) const = default;
  };
  struct Kept {
    std::vector<Step> place;
    Violation violation;
  };

  std::vector<Kept> kept_;
  size_t others_ = 0;
};

// Judges the configurations of one kind of step by a JSON Schema (draft 7) and by rules which a
// schema can't say, or not so that anybody understands the violation.
//
// The schema is what users are shown, and valijson has the last word on it: what it refuses is
// never accepted. The words are our own, found on one walk over configuration and schema together,
// because valijson names only the first unknown field of an object, says neither what was found
// nor what was expected, repeats a violation at every level above it, and reads beyond its tables
// when a string is not UTF-8. The walk knows `type` (one), `properties`, `required`,
// `additionalProperties`, `items` (one schema), `minItems`, `maxItems`, `uniqueItems` (of strings),
// `minLength`, `maxLength` and `enum` (of strings). Other keywords work, but are worded by
// valijson, only one violation at a time, and once there are no others. Keep away from `pattern`:
// valijson runs it on std::regex, which overflows the stack on long strings.
//
// Made once per kind of step and constant afterwards; any thread may call it.
class ConfigSchema {
 public:
  // Looks at a value which itself has the type, the length and, for strings, one of the values
  // that the schema asks for; what it contains may still be anything. A null field was reported
  // already: a rule takes it for one that is given, but that it knows nothing of.
  using Rule = void (*)(const nlohmann::json& value, const ConfigPath& path,
                        ViolationList& violations);
  struct RuleAt {
    // "apps[].name": "[]" stands for every item, ".*" for every field of a map; "" is the whole.
    std::string_view place;
    Rule rule;
  };

  // `text` is part of this program, and so are the rules: a malformed schema, or a rule for a
  // place that the schema does not have, ends the process.
  // NOLINTNEXTLINE(bugprone-exception-escape)
  ConfigSchema(std::string_view text, const std::vector<RuleAt>& rules) noexcept;
  ~ConfigSchema();
  ConfigSchema(const ConfigSchema&) = delete;
  ConfigSchema& operator=(const ConfigSchema&) = delete;

  // Every violation there is, in the order of the configuration (fields by name), no more than
  // kMaxViolations and one. Never throws, whatever `config` is; the work is linear in its size.
  std::vector<Violation> Check(const nlohmann::json& config) const;

  // Whether the schema alone, read by valijson, accepts `config`, whose strings must be valid
  // UTF-8. Never throws.
  bool SchemaAccepts(const nlohmann::json& config) const;

 private:
  struct Node;
  struct Compiled;

  static std::unique_ptr<Node> Compile(const nlohmann::json& schema, const std::string& place,
                                       const std::vector<RuleAt>& rules, size_t& rules_used);
  Violation WhatTheSchemaRefuses(const nlohmann::json& config) const;

  std::unique_ptr<Node> root_;
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_CONFIG_SCHEMA_H_
