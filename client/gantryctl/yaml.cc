// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/yaml.h"

#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/text.h"
#include "client/gantryctl/text.h"
#include "client/gantryctl/yaml_scalars.h"

namespace gantry::gantryctl {
namespace {

using NodePtr = std::shared_ptr<const YamlNode>;
using NodeKind = YamlNode::Kind;

constexpr char kCorePrefix[] = "tag:yaml.org,2002:";
// What a value, and the key before it, take in a message beyond their text.
constexpr std::size_t kCostOfValue = 12;
// The largest integer up to which a double holds every one.
constexpr double kMaxExactInteger = 9007199254740992;

static_assert(kMaxYamlDepth == 90);
constexpr char kTooDeep[] = "more than 90 lists and mappings are nested here; expected fewer";

// Leaves the parser from inside its callbacks; caught in ParseYaml.
struct SyntaxError {
  Remark remark;
};

[[noreturn]] void Fail(const YAML::Mark& mark, const std::string& text) {
  throw SyntaxError{{mark.line + 1, mark.column + 1, text}};
}

double CheckedNumber(const YAML::Mark& mark, const std::string& text, double number) {
  if (!std::isfinite(number)) {
    Fail(mark, absl::StrCat(base::Quote(text),
                            " is a number that JSON does not have; write it in quotes if a string "
                            "is meant"));
  }
  if (IsInteger(text) && std::abs(number) > kMaxExactInteger) {
    Fail(mark, absl::StrCat(base::Quote(text),
                            " is an integer beyond 2^53 and would lose digits; write it in quotes "
                            "if a string is meant"));
  }
  return number;
}

// Looks at the events of a parser and keeps nothing. Lives for one parse, on one thread.
class SyntaxChecker : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override {
    // yaml-cpp takes a comma where a value should begin for a document of nothing, does not go past
    // it, and would report such documents for ever.
    if (mark.pos == document_start_) Fail(mark, "this is no YAML: a value cannot begin like this");
    document_start_ = mark.pos;
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

 private:
  int document_start_ = -1;
};

// Builds the tree from the parser's events. Lives for one parse, on one thread.
class TreeBuilder : public SyntaxChecker {
 public:
  std::vector<NodePtr> TakeDocuments() { return std::move(documents_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    SyntaxChecker::OnDocumentStart(mark);
    anchors_.clear();
    root_ = nullptr;
  }
  void OnDocumentEnd() override {
    if (root_ != nullptr && root_->kind != NodeKind::kNull) documents_.push_back(root_);
  }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Add(mark, anchor, NewNode(mark, NodeKind::kNull), false);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      Fail(mark, "this alias refers to a value that contains it; expected one that is complete");
    }
    const NodePtr node = found->second;
    CheckDepth(mark, node->depth);
    Add(mark, YAML::NullAnchor, node, false);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    const bool plain = tag == "?" || tag.empty();
    Add(mark, anchor, Scalar(mark, tag, value),
        (plain && value == "<<") || tag == absl::StrCat(kCorePrefix, "merge"));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    CheckTag(mark, tag, "seq");
    Open(mark, anchor, NodeKind::kSequence);
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    CheckTag(mark, tag, "map");
    Open(mark, anchor, NodeKind::kMapping);
  }
  void OnMapEnd() override {
    MergeInto(open_.back());
    Close();
  }

 private:
  // A sequence or mapping whose end has not come yet.
  struct Frame {
    YAML::Mark mark;
    YAML::anchor_t anchor;
    std::shared_ptr<YamlNode> node;
    std::optional<YamlNode::Entry> pending;  // a key whose value has not come yet
    bool pending_merge = false;              // ... and it is <<
    std::set<std::string> keys;
    NodePtr merge;  // the value of <<
  };

  static std::shared_ptr<YamlNode> NewNode(const YAML::Mark& mark, NodeKind kind) {
    auto node = std::make_shared<YamlNode>();
    node->kind = kind;
    node->line = mark.line + 1;
    node->column = mark.column + 1;
    node->cost = kCostOfValue;
    return node;
  }

  static std::shared_ptr<YamlNode> Scalar(const YAML::Mark& mark, const std::string& tag,
                                          const std::string& value) {
    const bool plain = tag == "?" || tag.empty();
    std::string type;
    if (tag.rfind(kCorePrefix, 0) == 0) type = tag.substr(sizeof kCorePrefix - 1);
    const auto mismatch = [&] {
      Fail(mark, absl::StrCat(base::Quote(value), " is no ", type, ", as its tag says"));
    };
    const bool is_null = IsNull(value);
    const bool is_bool = IsTrue(value) || IsFalse(value);
    const std::optional<double> number = ToNumber(value);
    std::shared_ptr<YamlNode> node;
    if (type == "null" || (plain && is_null)) {
      if (!is_null) mismatch();
      node = NewNode(mark, NodeKind::kNull);
    } else if (type == "bool" || (plain && is_bool)) {
      if (!is_bool) mismatch();
      node = NewNode(mark, NodeKind::kBool);
      node->boolean = IsTrue(value);
    } else if (type == "int" || type == "float" || (plain && number)) {
      if (!number || (type == "int" && !IsInteger(value))) mismatch();
      node = NewNode(mark, NodeKind::kNumber);
      node->number = CheckedNumber(mark, value, number.value_or(0));
    } else if (plain || tag == "!" || type == "str" || type == "merge") {
      node = NewNode(mark, NodeKind::kString);
      node->text = value;
      node->cost += value.size();
    } else {
      Fail(mark, absl::StrCat("the tag ", base::Quote(tag),
                              " is not taken; expected none, or !!str, !!int, !!float, !!bool or "
                              "!!null"));
    }
    return node;
  }

  static void CheckTag(const YAML::Mark& mark, const std::string& tag, const char* type) {
    if (tag == "?" || tag.empty() || tag == "!" || tag == absl::StrCat(kCorePrefix, type)) return;
    Fail(mark, absl::StrCat("the tag ", base::Quote(tag), " is not taken here; expected none"));
  }

  void CheckDepth(const YAML::Mark& mark, int more) const {
    if (static_cast<int>(open_.size()) + more > kMaxYamlDepth) Fail(mark, kTooDeep);
  }

  void Open(const YAML::Mark& mark, YAML::anchor_t anchor, NodeKind kind) {
    CheckDepth(mark, 1);
    Frame frame;
    frame.mark = mark;
    frame.anchor = anchor;
    frame.node = NewNode(mark, kind);
    frame.node->depth = 1;
    open_.push_back(std::move(frame));
  }

  void Close() {
    const Frame frame = std::move(open_.back());
    open_.pop_back();
    Add(frame.mark, frame.anchor, frame.node, false);
  }

  static void Count(Frame& frame, const YAML::Mark& mark, std::size_t cost, int depth) {
    frame.node->cost += cost;
    frame.node->depth = std::max(frame.node->depth, depth + 1);
    if (frame.node->cost > kMaxYamlBytes) {
      Fail(mark, absl::StrCat("the values up to here are, with aliases written out, more than ",
                              kMaxYamlBytes >> 20, " MiB as a message; expected less"));
    }
  }

  void Add(const YAML::Mark& mark, YAML::anchor_t anchor, const NodePtr& node, bool is_merge_key) {
    if (anchor != YAML::NullAnchor) anchors_[anchor] = node;
    if (open_.empty()) {
      root_ = node;
      return;
    }
    Frame& frame = open_.back();
    if (frame.node->kind == NodeKind::kSequence) {
      Count(frame, mark, node->cost, node->depth);
      frame.node->items.push_back(node);
    } else if (frame.pending) {
      if (frame.pending_merge) {
        frame.merge = node;
      } else {
        Count(frame, mark, node->cost, node->depth);
        frame.pending->value = node;
        frame.node->entries.push_back(*std::move(frame.pending));
      }
      frame.pending.reset();
    } else {
      if (node->kind != NodeKind::kString) {
        Fail(mark, absl::StrCat("a key must be a string, and this is ", node->KindInWords(),
                                "; write it in quotes if a string is meant"));
      }
      if (!frame.keys.insert(is_merge_key ? "<<" : node->text).second) {
        Fail(mark, absl::StrCat("the key ", base::Quote(node->text),
                                " is there twice in this mapping; expected once"));
      }
      Count(frame, mark, node->cost, 0);
      frame.pending = YamlNode::Entry{node->text, mark.line + 1, mark.column + 1, nullptr};
      frame.pending_merge = is_merge_key;
    }
  }

  // Adds what << brings and the mapping does not have itself; of several, the first one counts.
  static void MergeInto(Frame& frame) {
    if (frame.merge == nullptr) return;
    const bool several = frame.merge->kind == NodeKind::kSequence;
    const std::vector<NodePtr> merges = several ? frame.merge->items : std::vector{frame.merge};
    for (const NodePtr& merge : merges) {
      if (merge->kind != NodeKind::kMapping) {
        Fail(frame.mark, absl::StrCat("<< in this mapping brings ", merge->KindInWords(),
                                      "; expected a mapping, or a list of mappings"));
      }
      for (const YamlNode::Entry& entry : merge->entries) {
        if (!frame.keys.insert(entry.key).second) continue;
        Count(frame, frame.mark, kCostOfValue + entry.key.size() + entry.value->cost,
              entry.value->depth);
        frame.node->entries.push_back(entry);
      }
    }
  }

  std::vector<NodePtr> documents_;
  NodePtr root_;
  std::vector<Frame> open_;
  std::map<YAML::anchor_t, NodePtr> anchors_;
};

// Hands all documents to `handler`. Nothing when that is all; else why it ended.
std::optional<Remark> Parse(const std::string& text, SyntaxChecker& handler) {
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(handler)) {
    }
    return std::nullopt;
  } catch (const SyntaxError& error) {
    return error.remark;
  } catch (const YAML::DeepRecursion& error) {
    return Remark{error.mark.line + 1, error.mark.column + 1, kTooDeep};
  } catch (const YAML::Exception& error) {
    return Remark{error.mark.line + 1, error.mark.column + 1,
                  absl::StrCat("this is no YAML: ", Printable(error.msg))};
  } catch (const std::exception& error) {
    return Remark{0, 0, absl::StrCat("this is no YAML: ", Printable(error.what()))};
  }
}

Remark NotUtf8(const std::string& text, std::size_t offset) {
  const std::string before = text.substr(0, offset);
  const std::size_t line_begin = before.rfind('\n') + 1;  // npos + 1 is 0
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  return {static_cast<int>(line), static_cast<int>(Width(before.substr(line_begin))) + 1,
          absl::StrFormat("the byte 0x%02x is not UTF-8 here; save the file as UTF-8",
                          static_cast<unsigned char>(text[offset]))};
}

}  // namespace

std::string Remark::Format(const std::string& file) const {
  if (line == 0) return absl::StrCat(file, ": ", text);
  return absl::StrCat(file, ":", line, ":", column, ": ", text);
}

std::string YamlNode::KindInWords() const {
  switch (kind) {
    case NodeKind::kNull:
      return "null";
    case NodeKind::kBool:
      return "a boolean";
    case NodeKind::kNumber:
      return "a number";
    case NodeKind::kString:
      return "a string";
    case NodeKind::kSequence:
      return "a list";
    case NodeKind::kMapping:
      return "a mapping";
  }
  return "something else";
}

YamlResult ParseYaml(const std::string& text) {
  YamlResult result;
  if (text.size() > kMaxYamlBytes) {
    result.error.text = absl::StrCat("it is larger than ", kMaxYamlBytes >> 20,
                                     " MiB; expected one step, which is far less");
    return result;
  }
  if (const std::optional<std::size_t> offset = FirstInvalidUtf8(text)) {
    result.error = NotUtf8(text, *offset);
    return result;
  }
  const std::string& yaml = nlohmann::json::accept(text) ? JoinSurrogates(text) : text;
  TreeBuilder builder;
  const std::optional<Remark> error = Parse(yaml, builder);
  if (!error) {
    result.documents = builder.TakeDocuments();
    return result;
  }
  // Where a bracket is not closed, yaml-cpp reports mappings that nobody wrote before it finds out.
  // That it is open is the better thing to tell.
  SyntaxChecker checker;
  const std::optional<Remark> syntax = Parse(yaml, checker);
  result.error = syntax && syntax->text != kTooDeep ? *syntax : *error;
  return result;
}

}  // namespace gantry::gantryctl
