// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SIMULATOR_SCHEMA_H_
#define GANTRY_TESTS_SIMULATOR_SCHEMA_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/simulator/api_status.h"

namespace gantry::simulator {

// A structural schema of a CustomResourceDefinition (openAPIV3Schema): of it type, properties,
// items, additionalProperties, required, enum, the formats date-time and (of built-in kinds)
// micro-time, nullable, default, the minimum and
// maximum of lengths, numbers and items, and x-kubernetes-preserve-unknown-fields. A value; any
// thread may use it.
class Schema {
 public:
  Schema() = default;
  explicit Schema(nlohmann::json definition) : definition_(std::move(definition)) {}

  // What the API server does to an object before it validates it: drops fields that the schema does
  // not have and nulls where none may be, and puts defaults where nothing is. `metadata`,
  // `apiVersion` and `kind` of the object itself are left alone.
  void Normalize(nlohmann::json& object) const;
  // Why the object does not fit, ordered by field; empty when it does.
  std::vector<Cause> Validate(const nlohmann::json& object) const;

 private:
  nlohmann::json definition_;
};

}  // namespace gantry::simulator

#endif  // GANTRY_TESTS_SIMULATOR_SCHEMA_H_
