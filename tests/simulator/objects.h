// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SIMULATOR_OBJECTS_H_
#define GANTRY_TESTS_SIMULATOR_OBJECTS_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/simulator/resources.h"
#include "tests/simulator/store.h"

namespace gantry::simulator {

// Objects and arrays in one another that a body may have. Everything that walks through a value
// calls itself for each level, and has to get along with a thread's stack of 8 MiB even in a build
// without optimization; the real server takes 10,000.
inline constexpr std::size_t kMaxDepth = 1000;
// Whether there are more in a JSON text. What is no JSON may be taken for either.
bool NestsTooDeep(std::string_view text);
// How many there are in a value; 0 for one that is neither. The value has at most some kMaxDepth.
std::size_t DepthOf(const nlohmann::json& value);

// What one object looks like as JSON, and as it is stored. Pure functions.

// A string member; empty when it is not there, or no string.
std::string TextAt(const nlohmann::json& object, const char* name);
// The value at a dotted path such as ".spec.project"; null when there is none.
const nlohmann::json* ValueAt(const nlohmann::json& object, std::string_view path);
// Its metadata; an empty object when it has none.
const nlohmann::json& MetadataOf(const nlohmann::json& object);
bool HasFinalizers(const nlohmann::json& object);
bool IsBeingDeleted(const nlohmann::json& object);

// The object that a body holds, of the kind that the resource has.
Result<nlohmann::json> DecodeBody(const Resource& resource, const std::string& body,
                                  const std::string& content_type);
// The same of what a patch came to.
Result<nlohmann::json> CheckType(const Resource& resource, nlohmann::json object,
                                 const std::string& body);

// All documents of a YAML (or JSON) text, with the types that its scalars have.
absl::StatusOr<std::vector<nlohmann::json>> ParseYaml(const std::string& text);

// Drops what nobody stores: unknown fields, empty maps, nulls, managedFields.
void NormalizeMetadata(nlohmann::json& object);
// Why the metadata is not valid.
std::vector<Cause> ValidateMetadata(const Resource& resource, const nlohmann::json& metadata);
// What the schemas of built-in kinds cannot say.
std::vector<Cause> ValidateBuiltIn(const Resource& resource, const nlohmann::json& object);

// The object with everything but its resourceVersion.
Draft MakeDraft(const Resource& resource, nlohmann::json object);
// A stored object as it is sent, and parsed. Built-in ones are stored without their type, as lists
// have them.
std::string Render(const Resource& resource, const std::string& stored);
nlohmann::json Parse(const Resource& resource, const Entry& entry);

}  // namespace gantry::simulator

#endif  // GANTRY_TESTS_SIMULATOR_OBJECTS_H_
