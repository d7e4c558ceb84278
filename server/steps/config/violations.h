// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_CONFIG_VIOLATIONS_H_
#define GANTRY_SERVER_STEPS_CONFIG_VIOLATIONS_H_

#include <cstddef>
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

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_CONFIG_VIOLATIONS_H_
