// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_YAML_H_
#define GANTRY_CLIENT_GANTRYCTL_YAML_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

// YAML as the JSON values it stands for. Pure; any thread.
namespace gantry::gantryctl {

// Something to tell about a place in a file. Lines and columns count from 1; line 0 means the file
// as a whole.
struct Remark {
  int line = 0;
  int column = 0;
  std::string text;

  // "step.yaml:3:5: text", or "step.yaml: text".
  std::string Format(const std::string& file) const;
};

// One YAML value. Nodes are shared where an alias refers to them and never change.
struct YamlNode {
  enum class Kind { kNull, kBool, kNumber, kString, kSequence, kMapping };
  struct Entry {
    std::string key;
    int line = 0;
    int column = 0;
    std::shared_ptr<const YamlNode> value;
  };

  Kind kind = Kind::kNull;
  int line = 0;
  int column = 0;
  bool boolean = false;                                // kBool
  double number = 0;                                   // kNumber, finite
  std::string text;                                    // kString
  std::vector<std::shared_ptr<const YamlNode>> items;  // kSequence
  std::vector<Entry> entries;                          // kMapping, each key once
  int depth = 0;         // of sequences and mappings, this one included
  std::size_t cost = 0;  // about its size as a message, aliases written out

  // "a string", "a list" and so on.
  std::string KindInWords() const;
};

constexpr std::size_t kMaxYamlBytes = 3 << 20;
constexpr int kMaxYamlDepth = 90;

// Exactly one of the two is set.
struct YamlResult {
  // Every document that is not null.
  std::optional<std::vector<std::shared_ptr<const YamlNode>>> documents;
  Remark error;
};

// Reads YAML 1.2, of which JSON is a part. Scalars have the types of the core schema: what is
// quoted is a string, and so is every plain scalar but null, ~, true, false, integers and floats
// (on and yes are strings). Anchors, aliases and merge keys (<<) work. These are errors: keys
// that are no strings, a key twice in a mapping, other tags than the core schema's, numbers that
// JSON does not have or a double does not hold exactly, text that is not UTF-8, more than
// kMaxYamlBytes (before or after aliases are written out), and more than kMaxYamlDepth lists and
// mappings inside each other. No input makes it throw.
YamlResult ParseYaml(const std::string& text);

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_YAML_H_
