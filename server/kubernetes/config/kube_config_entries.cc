// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/config/kube_config_entries.h"

#include <filesystem>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/str_join.h"
#include "base/strings.h"

namespace gantry::kubernetes {
namespace {

absl::Status AddEntries(const YAML::Node& root, const char* list_key, const std::string& kind,
                        const std::string& file, Entries& entries) {
  const YAML::Node list = Child(root, list_key);
  if (IsAbsent(list)) return absl::OkStatus();
  const auto malformed = [&](std::string_view what) {
    return absl::InvalidArgumentError(base::StrCat(file, ": ", list_key, " ", what));
  };
  if (!list.IsSequence()) return malformed("is not a list");
  std::set<std::string> seen;
  for (const YAML::Node& item : list) {
    const YAML::Node name = Child(item, "name");
    if (IsAbsent(name) || !name.IsScalar() || name.Scalar().empty()) {
      return malformed("has an item without a name");
    }
    if (!seen.insert(name.Scalar()).second) {
      return malformed(base::StrCat("has two items named ", Quoted(name.Scalar())));
    }
    const YAML::Node value = Child(item, kind.c_str());
    if (!IsAbsent(value) && !value.IsMap()) {
      return malformed(
          base::StrCat("has the item ", Quoted(name.Scalar()), ", whose ", kind, " is not a map"));
    }
    entries.try_emplace(name.Scalar(), Entry{kind, name.Scalar(), value, file});
  }
  return absl::OkStatus();
}

}  // namespace

std::string Quoted(std::string_view text) {
  return base::StrCat("\"", absl::CEscape(base::ToAbsl(text)), "\"");
}

std::string Entry::Describe() const {
  return base::StrCat("the ", kind, " ", Quoted(name), " in ", file);
}

bool IsAbsent(const YAML::Node& node) { return !node.IsDefined() || node.IsNull(); }

YAML::Node Child(const YAML::Node& map, const char* key) {
  if (map.IsMap()) {
    // The constant operator[] does not add what is missing.
    const YAML::Node value = map[key];
    if (value.IsDefined()) return value;
  }
  return YAML::Node(YAML::NodeType::Undefined);
}

absl::Status AddFile(const std::string& file, const std::string& content, Merged& merged) {
  YAML::Node root;
  try {
    root = YAML::Load(content);
  } catch (const YAML::Exception& error) {
    // The exception's own text may quote the file, secrets included.
    return absl::InvalidArgumentError(base::StrCat(file, " is not YAML: line ", error.mark.line + 1,
                                                   ", column ", error.mark.column + 1,
                                                   " cannot be read"));
  }
  merged.files.push_back(file);
  if (IsAbsent(root)) return absl::OkStatus();
  if (!root.IsMap()) {
    return absl::InvalidArgumentError(base::StrCat(file, " is not a kubeconfig: not a map"));
  }
  const YAML::Node kind = Child(root, "kind");
  if (!IsAbsent(kind) &&
      !(kind.IsScalar() && (kind.Scalar() == "Config" || kind.Scalar().empty()))) {
    return absl::InvalidArgumentError(
        base::StrCat(file, " is not a kubeconfig: its kind is not Config"));
  }
  absl::Status added = AddEntries(root, "clusters", "cluster", file, merged.clusters);
  added.Update(AddEntries(root, "users", "user", file, merged.users));
  added.Update(AddEntries(root, "contexts", "context", file, merged.contexts));
  if (!added.ok()) return added;
  const YAML::Node current = Child(root, "current-context");
  if (merged.current_context.empty() && !IsAbsent(current) && current.IsScalar() &&
      !current.Scalar().empty()) {
    merged.current_context = current.Scalar();
    merged.current_context_file = file;
  }
  return absl::OkStatus();
}

std::string Names(const Entries& entries) {
  if (entries.empty()) return "none";
  return absl::StrJoin(entries, ", ", [](std::string* out, const auto& entry) {
    base::StrAppend(out, Quoted(entry.first));
  });
}

std::string FieldReader::Text(const char* key) {
  const YAML::Node value = Child(node_, key);
  if (IsAbsent(value)) return "";
  if (!value.IsScalar()) {
    Fail(base::StrCat("has a ", key, " that is not a text"));
    return "";
  }
  return value.Scalar();
}

bool FieldReader::Bool(const char* key) {
  const std::string text = Text(key);
  if (text.empty() || text == "false") return false;
  if (text != "true") Fail(base::StrCat("has a ", key, " that is neither true nor false"));
  return text == "true";
}

std::string FieldReader::Absolute(const std::string& path) const {
  if (path.empty() || path.front() == '/') return path;
  return (std::filesystem::path(entry_.file).parent_path() / path).lexically_normal().string();
}

std::string FieldReader::Base64(const char* key) {
  const std::string text = Text(key);
  std::string data;
  if (!absl::Base64Unescape(text, &data)) {
    Fail(base::StrCat("has a ", key, " that is not base64"));
  }
  return data;
}

std::vector<std::string> FieldReader::Texts(const char* key) {
  std::vector<std::string> texts;
  const YAML::Node list = Child(node_, key);
  if (IsAbsent(list)) return texts;
  if (!list.IsSequence()) {
    Fail(base::StrCat("has ", key, " that are not a list"));
    return texts;
  }
  for (const YAML::Node& item : list) {
    if (item.IsScalar()) {
      texts.push_back(item.Scalar());
    } else {
      Fail(base::StrCat("has ", key, " that are not texts"));
    }
  }
  return texts;
}

void FieldReader::Fail(std::string_view what) {
  if (status_.ok()) {
    status_ = absl::InvalidArgumentError(base::StrCat(entry_.Describe(), " ", what));
  }
}

}  // namespace gantry::kubernetes
