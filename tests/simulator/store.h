// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SIMULATOR_STORE_H_
#define GANTRY_TESTS_SIMULATOR_STORE_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "tests/simulator/selectors.h"

namespace gantry::simulator {

// One version of an object: its text, and of its content only what selecting needs. Immutable, and
// shared by the collection, its history, and whoever is sending it.
struct Entry {
  std::string ns;  // empty: the resource has no namespaces
  std::string name;
  std::string uid;
  std::uint64_t resource_version = 0;
  StringMap labels;
  StringMap fields;
  std::string json;
  // Where the digits of metadata.resourceVersion stand in `json`.
  std::size_t version_begin = 0;
  std::size_t version_end = 0;

  // The text as it would be at another resourceVersion.
  std::string JsonAt(std::uint64_t version) const;
};
using EntryPtr = std::shared_ptr<const Entry>;

// What is to become an Entry as soon as its resourceVersion is known: `head` is the text before
// that number, `tail` the text after it.
struct Draft {
  std::string ns;
  std::string name;
  std::string uid;
  StringMap labels;
  StringMap fields;
  std::string head;
  std::string tail;
};

// One change of a collection.
struct Change {
  EntryPtr before;  // null: it was created
  EntryPtr after;   // null: it was deleted
  std::uint64_t resource_version = 0;
};

// All objects of the simulator, with one counter of resourceVersions and, for each resource, the
// last changes. Nothing is kept anywhere else. Owned by the Simulator; any thread may call it.
class Store {
 public:
  // `history`: how many changes are kept of each resource.
  explicit Store(std::size_t history) : history_(history) {}

  std::uint64_t revision() const ABSL_LOCKS_EXCLUDED(mutex_);
  EntryPtr Get(const std::string& resource, const std::string& ns, const std::string& name) const
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Does nothing and returns null unless the object is still at `expected` (null: not there).
  EntryPtr Put(const std::string& resource, const EntryPtr& expected, Draft draft)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // The same; false when nothing was done. Watches are told of the object as it was, at the
  // deletion's resourceVersion.
  bool Remove(const std::string& resource, const EntryPtr& expected) ABSL_LOCKS_EXCLUDED(mutex_);

  struct Page {
    std::vector<EntryPtr> entries;
    std::uint64_t resource_version = 0;
    // There is more behind the last entry, and how many.
    bool more = false;
    std::size_t remaining = 0;
  };
  using Filter = std::function<bool(const Entry& entry)>;
  // Up to `limit` (0: all) matching objects behind `after` in the order of namespace and name, as
  // they were at `at` (none: as they are). Nothing when the history does not reach back to that.
  // An empty `ns` is all namespaces.
  std::optional<Page> List(const std::string& resource, const std::string& ns, const Filter& filter,
                           std::optional<std::uint64_t> at, std::size_t limit,
                           const std::optional<std::pair<std::string, std::string>>& after) const
      ABSL_LOCKS_EXCLUDED(mutex_);

  struct Changes {
    std::vector<Change> changes;
    // All changes up to this one are in `changes` or were known before.
    std::uint64_t up_to = 0;
    // Not all changes since are kept.
    bool expired = false;
  };
  // The changes of a resource after a version, some at a time; waits until there is one, or for
  // WakeAll, or for the deadline.
  Changes Since(const std::string& resource, std::uint64_t version,
                std::chrono::steady_clock::time_point deadline) ABSL_LOCKS_EXCLUDED(mutex_);
  // Whoever begins with an older version than this is too late. One who follows already is not, as
  // long as no change was forgotten that he does not know.
  std::uint64_t Oldest(const std::string& resource) const ABSL_LOCKS_EXCLUDED(mutex_);
  void WakeAll() ABSL_LOCKS_EXCLUDED(mutex_);

  // Forgets all changes: older versions are out of reach from now on.
  void Compact() ABSL_LOCKS_EXCLUDED(mutex_);
  // Forgets all objects of a resource, without telling anybody.
  void Clear(const std::string& resource) ABSL_LOCKS_EXCLUDED(mutex_);
  std::size_t size() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Key = std::pair<std::string, std::string>;
  struct Collection {
    std::map<Key, EntryPtr> entries;
    std::deque<Change> changes;
    // The version of the last change that is not kept any more.
    std::uint64_t forgotten = 0;
    std::shared_ptr<base::ConditionVariable> changed = std::make_shared<base::ConditionVariable>();
  };

  Collection& CollectionLocked(const std::string& resource) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  EntryPtr EntryLocked(Draft draft) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RecordLocked(Collection& collection, Change change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::size_t history_;
  mutable base::Mutex mutex_;
  std::uint64_t revision_ ABSL_GUARDED_BY(mutex_) = 1;
  std::uint64_t compacted_ ABSL_GUARDED_BY(mutex_) = 0;
  // Counts calls of WakeAll.
  std::uint64_t wakes_ ABSL_GUARDED_BY(mutex_) = 0;
  mutable std::map<std::string, Collection> collections_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gantry::simulator

#endif  // GANTRY_TESTS_SIMULATOR_STORE_H_
