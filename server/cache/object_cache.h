// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_CACHE_OBJECT_CACHE_H_
#define GANTRY_SERVER_CACHE_OBJECT_CACHE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "server/kubernetes/api/resource_version.h"

namespace gantry::cache {

// The objects of one resource as the watches have brought them, and as this process has written
// them since: an event that is older than our own last write changes nothing. Objects are immutable
// and shared.
//
// `Object` has `Key key() const`, `std::string uid`, `std::string resource_version`, and
// `bool SaysTheSame(const Object&) const`, which is true when only what nobody reads differs.
//
// Owned by the wiring. One listener, set before the first change; it is called without a lock, on
// the thread that brought the change, and reads what it needs to know from the cache, because
// another change may have come since. Any thread otherwise.
template <typename Key, typename Object>
class ObjectCache {
 public:
  using Ptr = std::shared_ptr<const Object>;
  using Listener = std::function<void(const Key& key)>;

  explicit ObjectCache(const base::Clock& clock) : clock_(clock) {}

  void SetListener(Listener listener) { listener_ = std::move(listener); }

  struct Found {
    Ptr object;  // null: there is none
    // When there is none: since when, as far as known.
    std::optional<absl::Time> absent_since;
    // Grows with each change of anything in the cache; that of this object's last one. Zero for
    // what was never there.
    std::uint64_t changed = 0;
  };

  Ptr Find(const Key& key) const {
    base::MutexLock lock(mutex_);
    const auto found = slots_.find(key);
    return found == slots_.end() ? nullptr : found->second.object;
  }

  // As Find, with what else is known of it.
  Found Look(const Key& key) const {
    base::MutexLock lock(mutex_);
    const auto found = slots_.find(key);
    if (found != slots_.end()) return {found->second.object, std::nullopt, found->second.changed};
    const auto [first, end] = deleted_.equal_range(key);
    if (first == end) return {};
    const Deleted& last = std::prev(end)->second;
    return {nullptr, last.time, last.changed};
  }

  // The objects from `first` on, in order, for as long as `wanted` says so.
  template <typename While>
  std::vector<Ptr> From(const Key& first, const While& wanted) const {
    std::vector<Ptr> objects;
    base::MutexLock lock(mutex_);
    for (auto slot = slots_.lower_bound(first); slot != slots_.end() && wanted(slot->first);
         ++slot) {
      objects.push_back(slot->second.object);
    }
    return objects;
  }
  std::vector<Ptr> All() const {
    return From(Key(), [](const Key&) { return true; });
  }

  std::size_t size() const {
    base::MutexLock lock(mutex_);
    return slots_.size();
  }
  // The number of the last change.
  std::uint64_t changed() const {
    base::MutexLock lock(mutex_);
    return changed_;
  }

  // From a watch. `list` is what BeginList returned for its last list.
  void Put(Ptr object, std::uint64_t list) {
    Tell(object->key(), [&](const Key& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return PutLocked(key, std::move(object), list);
    });
  }
  // From a watch.
  void Delete(const Key& key, std::string_view uid) {
    Tell(key, [&](const Key&) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      const auto found = slots_.find(key);
      if (found == slots_.end() || found->second.object->uid != uid) return false;
      EraseLocked(found);
      return true;
    });
  }

  // A list begins; what of `scope` is not put with the number returned until EndList is deleted.
  std::uint64_t BeginList() {
    base::MutexLock lock(mutex_);
    return ++lists_;
  }
  // Not, however, what we wrote after the list was made, which `resource_version` tells.
  template <typename Scope>
  void EndList(std::uint64_t list, std::string_view resource_version, const Scope& in_scope) {
    std::vector<Key> gone;
    {
      base::MutexLock lock(mutex_);
      for (auto slot = slots_.begin(); slot != slots_.end();) {
        const auto next = std::next(slot);
        if (slot->second.list < list && in_scope(slot->first) &&
            !kubernetes::IsOlder(resource_version, slot->second.object->resource_version)) {
          gone.push_back(slot->first);
          EraseLocked(slot);
        }
        slot = next;
      }
    }
    for (const Key& key : gone) Notify(key);
  }

  // What this process wrote itself, as the API server answered. Ignored when the watch has brought
  // something newer, or the object's end, meanwhile. `creates`: it may be new.
  void PutOwnWrite(Ptr object, bool creates) {
    Tell(object->key(), [&](const Key& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      const auto found = slots_.find(key);
      if (found == slots_.end() ? !creates : found->second.object->uid != object->uid) return false;
      const auto [first, end] = deleted_.equal_range(key);
      for (auto deleted = first; deleted != end; ++deleted) {
        if (deleted->second.uid == object->uid) return false;
      }
      return PutLocked(key, std::move(object), 0);
    });
  }

 private:
  struct Slot {
    Ptr object;
    std::uint64_t list = 0;  // that it was last seen in
    std::uint64_t changed = 0;
  };
  struct Deleted {
    std::string uid;
    absl::Time time;
    std::uint64_t changed = 0;
  };
  using Slots = std::map<Key, Slot>;
  static constexpr std::size_t kMaxDeleted = 1024;

  bool PutLocked(const Key& key, Ptr object, std::uint64_t list)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Slot& slot = slots_[key];
    slot.list = std::max(slot.list, list);
    if (slot.object != nullptr && slot.object->uid == object->uid &&
        kubernetes::IsOlder(object->resource_version, slot.object->resource_version)) {
      return false;
    }
    const bool same = slot.object != nullptr && slot.object->SaysTheSame(*object);
    slot.object = std::move(object);
    if (!same) slot.changed = ++changed_;
    return !same;
  }

  void EraseLocked(typename Slots::iterator slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    // Behind those of the same key.
    deleted_.emplace(slot->first, Deleted{slot->second.object->uid, clock_.Now(), ++changed_});
    deletions_.push_back(slot->first);
    if (deletions_.size() > kMaxDeleted) {
      deleted_.erase(deleted_.lower_bound(deletions_.front()));
      deletions_.pop_front();
    }
    slots_.erase(slot);
  }

  template <typename Change>
  void Tell(const Key& key, const Change& change) {
    // The key may live in the object that the change lets go of.
    const Key copy = key;  // NOLINT(performance-unnecessary-copy-initialization)
    bool changed = false;
    {
      base::MutexLock lock(mutex_);
      changed = change(copy);
    }
    if (changed) Notify(copy);
  }
  void Notify(const Key& key) {
    if (listener_) listener_(key);
  }

  const base::Clock& clock_;
  Listener listener_;
  mutable base::Mutex mutex_;
  Slots slots_ ABSL_GUARDED_BY(mutex_);
  // The last kMaxDeleted, those of one key in the order of their deletion; and their keys in the
  // order of all deletions.
  std::multimap<Key, Deleted> deleted_ ABSL_GUARDED_BY(mutex_);
  std::deque<Key> deletions_ ABSL_GUARDED_BY(mutex_);
  std::uint64_t lists_ ABSL_GUARDED_BY(mutex_) = 0;
  std::uint64_t changed_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace gantry::cache

#endif  // GANTRY_SERVER_CACHE_OBJECT_CACHE_H_
