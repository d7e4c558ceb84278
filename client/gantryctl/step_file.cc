// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/step_file.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/gantryctl/text.h"

namespace gantry::gantryctl {
namespace {

using NodeKind = YamlNode::Kind;

constexpr char kOneStep[] =
    "expected one step, a mapping with `uses` and `config`, as a list entry of a promotion's steps "
    "without its dash";
constexpr std::size_t kMaxErrors = 10;

// Protobuf's parser at the other end takes messages nested 100 deep. A Struct value takes three
// for a mapping and two for a list.
constexpr int kMaxMessageDepth = 100;
constexpr int kMessagesOfMapping = 3;
constexpr int kMessagesOfList = 2;

// Where a value is, as a list from the inside out: written as text only when it is told.
struct Path {
  const Path* outer = nullptr;
  const std::string* key = nullptr;  // null: an entry of a list
  std::size_t index = 0;

  std::string ToString() const {
    const std::string before = outer != nullptr ? outer->ToString() : "";
    if (key == nullptr) return absl::StrCat(before, "[", index, "]");
    return absl::StrCat(before, before.empty() ? "" : ".", CutTo(Printable(*key), 60));
  }
};

// Reads the one mapping; lives for one file.
class StepReader {
 public:
  explicit StepReader(StepFile& file) : file_(file) {}

  void Read(const YamlNode& root) {
    if (LooksLikeKubernetesObject(root)) return;
    Step step;
    bool has_uses = false;
    for (const YamlNode::Entry& entry : root.entries) {
      const YamlNode& value = *entry.value;
      const bool given = value.kind != NodeKind::kNull;
      if (entry.key == "uses") {
        has_uses = given;
        if (given) step.uses = NonEmptyString(entry);
      } else if (entry.key == "as") {
        if (given) step.alias = NonEmptyString(entry);
      } else if (entry.key == "config") {
        if (given) ReadConfig(entry, step.config);
      } else if (entry.key == "vars" || entry.key == "retry" || entry.key == "continueOnError") {
        if (given) Warn(entry);
      } else if (entry.key == "if") {
        if (given) {
          AddError(entry.line, entry.column,
                   "`if` is a condition that only an orchestrator like Kargo can evaluate; decide "
                   "yourself whether to run the step, and remove it");
        }
      } else if (entry.key == "task") {
        if (given) {
          AddError(entry.line, entry.column,
                   "`task` stands for the steps of a Kargo PromotionTask, which gantryctl does not "
                   "look up; run its steps one by one");
        }
      } else if (entry.key == "steps") {
        AddError(entry.line, entry.column, absl::StrCat("this is a list of steps; ", kOneStep));
      } else {
        AddError(entry.line, entry.column,
                 absl::StrCat("a step has no field \"", CutTo(Printable(entry.key), 60),
                              "\"; expected uses, as or config",
                              entry.key == "name" ? " (the step's name is written as `as`)" : ""));
      }
    }
    if (!has_uses) {
      AddError(root.line, root.column,
               "`uses` is missing; expected the kind of step, such as argocd-update");
    }
    if (file_.errors.empty()) file_.step = std::move(step);
  }

  void AddError(int line, int column, std::string text) {
    if (file_.errors.size() < kMaxErrors) {
      file_.errors.push_back({line, column, std::move(text)});
    }
  }

 private:
  bool LooksLikeKubernetesObject(const YamlNode& root) {
    std::string kind;
    bool has_version = false;
    for (const YamlNode::Entry& entry : root.entries) {
      if (entry.key == "kind") kind = entry.value->text;
      if (entry.key == "apiVersion") has_version = true;
    }
    if (kind.empty() || !has_version) return false;
    AddError(root.line, root.column,
             absl::StrCat("this is a Kubernetes object of kind ", CutTo(Printable(kind), 60), "; ",
                          kOneStep));
    return true;
  }

  std::string NonEmptyString(const YamlNode::Entry& entry) {
    const YamlNode& value = *entry.value;
    if (value.kind != NodeKind::kString || value.text.empty()) {
      AddError(value.line, value.column,
               absl::StrCat("`", entry.key, "` is ",
                            value.kind == NodeKind::kString ? "empty" : value.KindInWords(),
                            "; expected a string that is not empty"));
      return "";
    }
    RefuseExpression(value.text, value.line, value.column, Path{nullptr, &entry.key, 0});
    return value.text;
  }

  void Warn(const YamlNode::Entry& entry) {
    std::string why;
    if (entry.key == "vars") {
      why = "only expressions use them, and gantryctl evaluates none";
    } else if (entry.key == "retry") {
      why =
          "gantryctl goes on while the step is RUNNING, for as long as --timeout says, and does "
          "not repeat a step that is ERRORED";
    } else {
      why = "the exit code tells how the step ended; what to do then is up to the caller";
    }
    file_.warnings.push_back(
        {entry.line, entry.column, absl::StrCat("`", entry.key, "` has no effect: ", why)});
  }

  void RefuseExpression(const std::string& text, int line, int column, const Path& path) {
    if (text.find("${{") == std::string::npos) return;
    AddError(line, column,
             absl::StrCat("`", path.ToString(), "` is the expression ", CutTo(OneLine(text), 60),
                          "; gantryctl does not evaluate Kargo's expressions, so write the value "
                          "itself"));
  }

  void ReadConfig(const YamlNode::Entry& entry, google::protobuf::Struct& config) {
    if (entry.value->kind != NodeKind::kMapping) {
      AddError(entry.value->line, entry.value->column,
               absl::StrCat("`config` is ", entry.value->KindInWords(), "; expected a mapping"));
      return;
    }
    ToStruct(*entry.value, Path{nullptr, &entry.key, 0}, kMessagesOfMapping, config);
  }

  // `depth` counts the messages around and including those of `node`.
  void ToStruct(const YamlNode& node, const Path& path, int depth, google::protobuf::Struct& to) {
    for (const YamlNode::Entry& entry : node.entries) {
      RefuseExpression(entry.key, entry.line, entry.column, path);
      ToValue(*entry.value, Path{&path, &entry.key, 0}, depth, (*to.mutable_fields())[entry.key]);
    }
  }

  void ToValue(const YamlNode& node, const Path& path, int depth, google::protobuf::Value& to) {
    if (node.kind == NodeKind::kMapping) depth += kMessagesOfMapping;
    if (node.kind == NodeKind::kSequence) depth += kMessagesOfList;
    if (depth > kMaxMessageDepth) {
      AddError(
          node.line, node.column,
          "`config` is nested too deep for a message here; expected at most 33 mappings inside "
          "each other, or 48 lists in a mapping");
      return;
    }
    switch (node.kind) {
      case NodeKind::kNull:
        to.set_null_value(google::protobuf::NULL_VALUE);
        break;
      case NodeKind::kBool:
        to.set_bool_value(node.boolean);
        break;
      case NodeKind::kNumber:
        to.set_number_value(node.number);
        break;
      case NodeKind::kString:
        RefuseExpression(node.text, node.line, node.column, path);
        to.set_string_value(node.text);
        break;
      case NodeKind::kSequence: {
        google::protobuf::ListValue& list = *to.mutable_list_value();
        for (std::size_t i = 0; i < node.items.size(); ++i) {
          ToValue(*node.items[i], Path{&path, nullptr, i}, depth, *list.add_values());
        }
        break;
      }
      case NodeKind::kMapping:
        ToStruct(node, path, depth, *to.mutable_struct_value());
        break;
    }
  }

  StepFile& file_;
};

}  // namespace

StepFile ParseStepFile(const std::string& text) {
  StepFile file;
  StepReader reader(file);
  const YamlResult yaml = ParseYaml(text);
  if (!yaml.documents) {
    file.errors.push_back(yaml.error);
  } else if (yaml.documents->empty()) {
    reader.AddError(0, 0, absl::StrCat("it holds nothing; ", kOneStep));
  } else if (yaml.documents->size() > 1) {
    const YamlNode& second = *(*yaml.documents)[1];
    reader.AddError(second.line, second.column,
                    absl::StrCat("it holds ", yaml.documents->size(),
                                 " documents, and this is the "
                                 "second; put each step into a file of its own"));
  } else {
    const YamlNode& root = *yaml.documents->front();
    if (root.kind == NodeKind::kMapping) {
      reader.Read(root);
    } else if (root.kind == NodeKind::kSequence) {
      reader.AddError(root.line, root.column,
                      absl::StrCat("it holds a list of ", root.items.size(), " steps; ", kOneStep));
    } else {
      reader.AddError(root.line, root.column,
                      absl::StrCat("it holds ", root.KindInWords(), "; ", kOneStep));
    }
  }
  return file;
}

}  // namespace gantry::gantryctl
