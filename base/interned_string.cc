// SPDX-License-Identifier: Apache-2.0
#include "base/interned_string.h"

#include <atomic>
#include <cstdint>
#include <unordered_set>

#include "base/mutex.h"

namespace gantry::base {

struct InternedString::Node {
  std::atomic<std::uint32_t> handles{1};
  const std::string text;

  explicit Node(std::string_view content) : text(content) {}
};

// All nodes of the process. Lives until the process ends, because handles in static objects may
// outlive anything else.
class InternedString::Pool {
 public:
  static Pool& Instance() {
    static auto* const pool = new Pool;
    return *pool;
  }

  Node* Acquire(std::string_view text) {
    MutexLock lock(mutex_);
    const auto found = nodes_.find(text);
    if (found != nodes_.end()) {
      (*found)->handles.fetch_add(1, std::memory_order_relaxed);
      return *found;
    }
    return *nodes_.insert(new Node(text)).first;
  }

  // The last handle goes under the lock: otherwise Acquire could hand out a node that another
  // thread is about to delete.
  void Release(Node* node) {
    std::uint32_t handles = node->handles.load(std::memory_order_relaxed);
    while (handles > 1) {
      if (node->handles.compare_exchange_weak(handles, handles - 1, std::memory_order_release,
                                              std::memory_order_relaxed)) {
        return;
      }
    }
    {
      MutexLock lock(mutex_);
      if (node->handles.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
      nodes_.erase(node);
    }
    delete node;
  }

  std::size_t Count() {
    MutexLock lock(mutex_);
    return nodes_.size();
  }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
    std::size_t operator()(const Node* node) const { return (*this)(node->text); }
  };
  struct Equal {
    using is_transparent = void;
    static std::string_view TextOf(std::string_view text) { return text; }
    static std::string_view TextOf(const Node* node) { return node->text; }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return TextOf(a) == TextOf(b);
    }
  };

  Mutex mutex_;
  std::unordered_set<Node*, Hash, Equal> nodes_ ABSL_GUARDED_BY(mutex_);
};

InternedString::InternedString(std::string_view text)
    : node_(text.empty() ? nullptr : Pool::Instance().Acquire(text)) {}

InternedString::InternedString(const InternedString& other) : node_(other.node_) {
  if (node_ != nullptr) node_->handles.fetch_add(1, std::memory_order_relaxed);
}

InternedString& InternedString::operator=(const InternedString& other) {
  if (this != &other) *this = InternedString(other);
  return *this;
}

InternedString& InternedString::operator=(InternedString&& other) noexcept {
  std::swap(node_, other.node_);
  return *this;
}

InternedString::~InternedString() {
  if (node_ != nullptr) Pool::Instance().Release(node_);
}

std::string_view InternedString::view() const {
  return node_ == nullptr ? std::string_view() : std::string_view(node_->text);
}

std::size_t InternedString::Count() { return Pool::Instance().Count(); }

}  // namespace gantry::base
