// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SIMULATOR_REPRESENTATION_H_
#define GANTRY_TESTS_SIMULATOR_REPRESENTATION_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "tests/simulator/objects.h"
#include "tests/simulator/resources.h"

namespace gantry::simulator {

// In which form a client wants objects: as they are, as a table to print, or their metadata alone.
enum class Form { kObject, kTable, kMetadata };

// By an Accept header, of which the first entry that can be served counts. The error is 406.
Result<Form> FormOf(const std::string& accept);

// What stands in a list besides its items.
struct ListMetadata {
  std::uint64_t resource_version = 0;
  std::string continue_token;
  std::size_t remaining = 0;  // 0: not said
};

// A list's text before and after its items, which are separated by commas. For kTable
// the items are rows.
std::string ListHead(const Resource& resource, Form form, const ListMetadata& metadata);
std::string ListTail(const Resource& resource, Form form, const ListMetadata& metadata);
// An item of a list, of an entry's text.
std::string ListItem(const Resource& resource, Form form, const std::string& stored,
                     absl::Time now);
// A single object. `columns`: a table says which columns it has.
std::string Single(const Resource& resource, Form form, const std::string& stored, absl::Time now,
                   bool columns = true);
// Discovery documents.
nlohmann::json CoreVersions(const std::string& address);
nlohmann::json GroupList(const std::vector<ResourcePtr>& resources);
// Null when there is no such group or version.
nlohmann::json Group(const std::vector<ResourcePtr>& resources, const std::string& group);
nlohmann::json ResourceList(const std::vector<ResourcePtr>& resources, const std::string& group,
                            const std::string& version);
// OpenAPI v3: what there is for kubectl to find, without any schema.
nlohmann::json OpenApiIndex(const std::vector<ResourcePtr>& resources);
nlohmann::json OpenApiDocument(const std::vector<ResourcePtr>& resources,
                               const std::string& group_version);

}  // namespace gantry::simulator

#endif  // GANTRY_TESTS_SIMULATOR_REPRESENTATION_H_
