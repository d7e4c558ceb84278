// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_BASE_INTERNED_STRING_H_
#define GANTRY_BASE_INTERNED_STRING_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace gantry::base {

// An immutable string of which the process keeps one copy however often it occurs: for namespaces,
// repository URLs, phases and labels of tens of thousands of objects. A handle of one pointer; the
// copy goes with its last handle. Equal strings have equal pointers, so comparing is cheap. The
// order is the strings' own. Handles may be used like any value; making, copying and destroying
// them is safe on any thread.
class InternedString {
 public:
  InternedString() = default;  // the empty string
  explicit InternedString(std::string_view text);
  InternedString(const InternedString& other);
  InternedString(InternedString&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  InternedString& operator=(const InternedString& other);
  InternedString& operator=(InternedString&& other) noexcept;
  ~InternedString();

  std::string_view view() const;
  std::string str() const { return std::string(view()); }
  bool empty() const { return node_ == nullptr; }

  bool operator==(const InternedString& other) const { return node_ == other.node_; }
  bool operator==(std::string_view text) const { return view() == text; }
  auto operator<=>(const InternedString& other) const { return view() <=> other.view(); }

  // How many different strings are kept at the moment.
  static std::size_t Count();

 private:
  struct Node;
  class Pool;
  Node* node_ = nullptr;
};

}  // namespace gantry::base

#endif  // GANTRY_BASE_INTERNED_STRING_H_
