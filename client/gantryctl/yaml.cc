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

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/gantryctl/text.h"

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
struct Mistake {
  Remark remark;
};

[[noreturn]] void Fail(const YAML::Mark& mark, const std::string& text) {
  throw Mistake{{mark.line + 1, mark.column + 1, text}};
}

std::string QuotedScalar(const std::string& text) {
  return absl::StrCat("\"", CutTo(Printable(text), 60), "\"");
}

bool IsDigits(const std::string& text, std::size_t from) {
  return from < text.size() &&
         std::all_of(text.begin() + static_cast<std::ptrdiff_t>(from), text.end(),
                     [](unsigned char c) { return absl::ascii_isdigit(c); });
}

bool IsOneOf(const std::string& text, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(),
                     [&text](const char* word) { return text == word; });
}

// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?, integers included.
bool IsDecimal(const std::string& text) {
  std::size_t at = 0;
  const auto digits = [&] {
    const std::size_t begin = at;
    while (at < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[at]))) ++at;
    return at > begin;
  };
  const auto skip = [&](const char* any_of) {
    const bool there = at < text.size() && std::string(any_of).find(text[at]) != std::string::npos;
    if (there) ++at;
    return there;
  };
  skip("+-");
  if (digits()) {
    if (skip(".")) digits();
  } else if (!skip(".") || !digits()) {
    return false;
  }
  if (skip("eE")) {
    skip("+-");
    if (!digits()) return false;
  }
  return at == text.size();
}

// The number a scalar stands for, which can be infinite or none (NaN); nothing if it is no number.
std::optional<double> ToNumber(const std::string& text) {
  double number = 0;
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'o')) {
    const double base = text[1] == 'x' ? 16 : 8;
    for (std::size_t i = 2; i < text.size(); ++i) {
      const auto c = static_cast<unsigned char>(text[i]);
      if (!absl::ascii_isxdigit(c)) return std::nullopt;
      const double digit = absl::ascii_isdigit(c) ? c - '0' : absl::ascii_tolower(c) - 'a' + 10;
      if (digit >= base) return std::nullopt;
      number = number * base + digit;
    }
    return number;
  }
  if (IsOneOf(text, {".nan", ".NaN", ".NAN"})) return std::nan("");
  const std::string unsigned_text =
      !text.empty() && (text[0] == '-' || text[0] == '+') ? text.substr(1) : text;
  if (IsOneOf(unsigned_text, {".inf", ".Inf", ".INF"})) {
    return text[0] == '-' ? -HUGE_VAL : HUGE_VAL;
  }
  if (!IsDecimal(text) || !absl::SimpleAtod(text, &number)) return std::nullopt;
  return number;
}

bool IsInteger(const std::string& text) {
  const bool sign = !text.empty() && (text[0] == '-' || text[0] == '+');
  return IsDigits(text, sign ? 1 : 0) ||
         (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'o'));
}

bool IsNull(const std::string& text) { return IsOneOf(text, {"", "~", "null", "Null", "NULL"}); }
bool IsTrue(const std::string& text) { return IsOneOf(text, {"true", "True", "TRUE"}); }
bool IsFalse(const std::string& text) { return IsOneOf(text, {"false", "False", "FALSE"}); }

double CheckedNumber(const YAML::Mark& mark, const std::string& text, double number) {
  if (!std::isfinite(number)) {
    Fail(mark, absl::StrCat(QuotedScalar(text),
                            " is a number that JSON does not have; write it in quotes if a string "
                            "is meant"));
  }
  if (IsInteger(text) && std::abs(number) > kMaxExactInteger) {
    Fail(mark, absl::StrCat(QuotedScalar(text),
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
      Fail(mark, absl::StrCat(QuotedScalar(value), " is no ", type, ", as its tag says"));
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
      Fail(mark, absl::StrCat("the tag ", QuotedScalar(tag),
                              " is not taken; expected none, or !!str, !!int, !!float, !!bool or "
                              "!!null"));
    }
    return node;
  }

  static void CheckTag(const YAML::Mark& mark, const std::string& tag, const char* type) {
    if (tag == "?" || tag.empty() || tag == "!" || tag == absl::StrCat(kCorePrefix, type)) return;
    Fail(mark, absl::StrCat("the tag ", QuotedScalar(tag), " is not taken here; expected none"));
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
        Fail(mark, absl::StrCat("the key ", QuotedScalar(node->text),
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

// JSON escapes a character beyond the first 65536 as two halves, which YAML does not know. Writes
// such pairs as YAML's single escape. `json` is valid JSON.
std::string JoinSurrogates(const std::string& json) {
  const auto unit = [&json](std::size_t at) -> std::uint32_t {
    std::uint32_t code = 0;
    if (json.compare(at, 2, "\\u") != 0 || !absl::SimpleHexAtoi(json.substr(at + 2, 4), &code)) {
      return 0;
    }
    return code;
  };
  std::string yaml;
  yaml.reserve(json.size());
  for (std::size_t at = 0; at < json.size();) {
    if (json[at] != '\\') {
      yaml += json[at++];
      continue;
    }
    const std::uint32_t high = unit(at);
    if (high >= 0xd800 && high < 0xdc00) {
      const std::uint32_t low = unit(at + 6);
      absl::StrAppendFormat(&yaml, "\\U%08x", 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
      at += 12;
    } else {
      yaml.append(json, at, 2);
      at += 2;
    }
  }
  return yaml;
}

// Hands all documents to `handler`. Nothing when that is all; else why it ended.
std::optional<Remark> Parse(const std::string& text, SyntaxChecker& handler) {
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(handler)) {
    }
    return std::nullopt;
  } catch (const Mistake& mistake) {
    return mistake.remark;
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
    result.mistake.text = absl::StrCat("it is larger than ", kMaxYamlBytes >> 20,
                                       " MiB; expected one step, which is far less");
    return result;
  }
  if (const std::optional<std::size_t> offset = FirstInvalidUtf8(text)) {
    result.mistake = NotUtf8(text, *offset);
    return result;
  }
  const std::string& yaml = nlohmann::json::accept(text) ? JoinSurrogates(text) : text;
  TreeBuilder builder;
  const std::optional<Remark> mistake = Parse(yaml, builder);
  if (!mistake) {
    result.documents = builder.TakeDocuments();
    return result;
  }
  // Where a bracket is not closed, yaml-cpp reports mappings that nobody wrote before it finds out.
  // That it is open is the better thing to tell.
  SyntaxChecker checker;
  const std::optional<Remark> syntax = Parse(yaml, checker);
  result.mistake = syntax && syntax->text != kTooDeep ? *syntax : *mistake;
  return result;
}

bool NeedsQuotes(const std::string& text) {
  return IsNull(text) || IsTrue(text) || IsFalse(text) || ToNumber(text).has_value();
}

}  // namespace gantry::gantryctl
