// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_CONFIG_KUBE_CONFIG_ENTRIES_H_
#define GANTRY_SERVER_KUBERNETES_CONFIG_KUBE_CONFIG_ENTRIES_H_

#include <yaml-cpp/yaml.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace gantry::kubernetes {

// Kubeconfig files as they are written: named entries in YAML. What the entries mean is told by
// kube_config.cc and kube_config_user.cc. Plain values and functions of them; yaml-cpp's exceptions
// may come out of all of these.

std::string Quoted(std::string_view text);

// A named cluster, user or context, and the file that has it.
struct Entry {
  std::string kind;  // "cluster", ...
  std::string name;
  YAML::Node node;
  std::string file;

  std::string Describe() const;
};

using Entries = std::map<std::string, Entry>;

// Several files, merged.
struct Merged {
  Entries clusters;
  Entries users;
  Entries contexts;
  std::string current_context;
  std::string current_context_file;
  std::vector<std::string> files;  // those that are there

  bool empty() const {
    return clusters.empty() && users.empty() && contexts.empty() && current_context.empty();
  }
};

// Puts what the file has behind what is there already: of entries with one name the first counts.
absl::Status AddFile(const std::string& file, const std::string& content, Merged& merged);

// For messages: `"a", "b"`, or "none".
std::string Names(const Entries& entries);

bool IsAbsent(const YAML::Node& node);
// Never the library's invalid node, which throws at each use.
YAML::Node Child(const YAML::Node& map, const char* key);

// Reads the fields of an entry and keeps the first error, so that the caller asks once, at the end.
// Lives for the reading of one entry, which outlives it.
class FieldReader {
 public:
  FieldReader(const Entry& entry, const YAML::Node& node) : entry_(entry), node_(node) {}

  // Absent: empty, and false.
  std::string Text(const char* key);
  bool Bool(const char* key);
  // Relative paths are relative to the file's folder.
  std::string Path(const char* key) { return Absolute(Text(key)); }
  std::string Absolute(const std::string& path) const;
  std::string Base64(const char* key);
  std::vector<std::string> Texts(const char* key);
  YAML::Node Node(const char* key) const { return Child(node_, key); }

  void Fail(std::string_view what);
  void Fail(const absl::Status& error) { status_.Update(error); }
  const absl::Status& status() const { return status_; }

 private:
  const Entry& entry_;
  const YAML::Node node_;
  absl::Status status_;
};

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_CONFIG_KUBE_CONFIG_ENTRIES_H_
