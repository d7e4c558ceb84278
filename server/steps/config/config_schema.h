// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_CONFIG_CONFIG_SCHEMA_H_
#define GANTRY_SERVER_STEPS_CONFIG_CONFIG_SCHEMA_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "server/steps/config/violations.h"

namespace gantry::steps {

// Checks the configurations of one kind of step by a JSON Schema (draft 7) and by rules which a
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

#endif  // GANTRY_SERVER_STEPS_CONFIG_CONFIG_SCHEMA_H_
