// SPDX-License-Identifier: Apache-2.0
#include "tests/simulator/store.h"

#include <algorithm>
#include <string_view>

#include "base/strings.h"

namespace gantry::simulator {
namespace {

// Of changes that one call of Since returns, so that the lock is not held for long.
constexpr std::size_t kMaxChanges = 256;

}  // namespace

std::string Entry::JsonAt(std::uint64_t version) const {
  return base::StrCat(std::string_view(json).substr(0, version_begin), version,
                      std::string_view(json).substr(version_end));
}

std::uint64_t Store::revision() const {
  base::MutexLock lock(mutex_);
  return revision_;
}

std::size_t Store::size() const {
  base::MutexLock lock(mutex_);
  std::size_t size = 0;
  for (const auto& [name, collection] : collections_) size += collection.entries.size();
  return size;
}

Store::Collection& Store::CollectionLocked(const std::string& resource) {
  return collections_[resource];
}

EntryPtr Store::Get(const std::string& resource, const std::string& ns,
                    const std::string& name) const {
  base::MutexLock lock(mutex_);
  const auto collection = collections_.find(resource);
  if (collection == collections_.end()) return nullptr;
  const auto found = collection->second.entries.find({ns, name});
  return found == collection->second.entries.end() ? nullptr : found->second;
}

EntryPtr Store::EntryLocked(Draft draft) {
  auto entry = std::make_shared<Entry>();
  entry->resource_version = ++revision_;
  const std::string digits = base::StrCat(revision_);
  entry->version_begin = draft.head.size();
  entry->version_end = draft.head.size() + digits.size();
  entry->json.reserve(draft.head.size() + digits.size() + draft.tail.size());
  entry->json.append(draft.head).append(digits).append(draft.tail);
  entry->ns = std::move(draft.ns);
  entry->name = std::move(draft.name);
  entry->uid = std::move(draft.uid);
  entry->labels = std::move(draft.labels);
  entry->fields = std::move(draft.fields);
  return entry;
}

void Store::RecordLocked(Collection& collection, Change change) {
  collection.changes.push_back(std::move(change));
  while (collection.changes.size() > history_) {
    collection.forgotten = collection.changes.front().resource_version;
    collection.changes.pop_front();
  }
  collection.changed->NotifyAll();
}

EntryPtr Store::Put(const std::string& resource, const EntryPtr& expected, Draft draft) {
  base::MutexLock lock(mutex_);
  Collection& collection = CollectionLocked(resource);
  const Key key{draft.ns, draft.name};
  const auto found = collection.entries.find(key);
  if ((found == collection.entries.end() ? nullptr : found->second) != expected) return nullptr;
  const EntryPtr entry = EntryLocked(std::move(draft));
  collection.entries[key] = entry;
  RecordLocked(collection, {expected, entry, entry->resource_version});
  return entry;
}

bool Store::Remove(const std::string& resource, const EntryPtr& expected) {
  base::MutexLock lock(mutex_);
  Collection& collection = CollectionLocked(resource);
  const auto found = collection.entries.find({expected->ns, expected->name});
  if (found == collection.entries.end() || found->second != expected) return false;
  collection.entries.erase(found);
  RecordLocked(collection, {expected, nullptr, ++revision_});
  return true;
}

std::optional<Store::Page> Store::List(
    const std::string& resource, const std::string& ns, const Filter& filter,
    std::optional<std::uint64_t> at, std::size_t limit,
    const std::optional<std::pair<std::string, std::string>>& after) const {
  Page page;
  base::MutexLock lock(mutex_);
  page.resource_version = at.value_or(revision_);
  if (at && *at < compacted_) return std::nullopt;
  const auto collection = collections_.find(resource);
  if (collection == collections_.end()) return page;
  // What differed then: the earliest change since tells what was there before it.
  std::map<Key, EntryPtr> then;
  if (at) {
    if (*at < collection->second.forgotten) return std::nullopt;
    for (auto change = collection->second.changes.rbegin();
         change != collection->second.changes.rend() && change->resource_version > *at; ++change) {
      const Entry& any = change->after ? *change->after : *change->before;
      then[{any.ns, any.name}] = change->before;
    }
  }

  const auto& entries = collection->second.entries;
  auto now = entries.begin();
  auto old = then.begin();
  if (after) {
    now = entries.upper_bound(*after);
    old = then.upper_bound(*after);
  } else if (!ns.empty()) {
    now = entries.lower_bound({ns, ""});
    old = then.lower_bound({ns, ""});
  }
  while (now != entries.end() || old != then.end()) {
    EntryPtr entry;
    if (old != then.end() && (now == entries.end() || old->first <= now->first)) {
      if (now != entries.end() && now->first == old->first) ++now;
      entry = old->second;
      ++old;
    } else {
      entry = now->second;
      ++now;
    }
    if (!entry) continue;
    if (!ns.empty() && entry->ns != ns) break;
    if (!filter(*entry)) continue;
    if (limit == 0 || page.entries.size() < limit) {
      page.entries.push_back(std::move(entry));
    } else {
      page.more = true;
      ++page.remaining;
    }
  }
  return page;
}

Store::Changes Store::Since(const std::string& resource, std::uint64_t version,
                            std::chrono::steady_clock::time_point deadline) {
  Changes result;
  base::MutexLock lock(mutex_);
  Collection& collection = CollectionLocked(resource);
  const std::shared_ptr<base::ConditionVariable> changed = collection.changed;
  const std::uint64_t wakes = wakes_;
  const auto news = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return collection.forgotten > version ||
           (!collection.changes.empty() && collection.changes.back().resource_version > version);
  };
  while (!news() && wakes_ == wakes && changed->WaitUntil(mutex_, deadline)) {
  }
  if (collection.forgotten > version) {
    result.expired = true;
    return result;
  }
  auto change =
      std::upper_bound(collection.changes.begin(), collection.changes.end(), version,
                       [](std::uint64_t v, const Change& c) { return v < c.resource_version; });
  for (; change != collection.changes.end() && result.changes.size() < kMaxChanges; ++change) {
    result.changes.push_back(*change);
  }
  result.up_to =
      change == collection.changes.end() ? revision_ : result.changes.back().resource_version;
  return result;
}

std::uint64_t Store::Oldest(const std::string& resource) const {
  base::MutexLock lock(mutex_);
  const auto collection = collections_.find(resource);
  return std::max(compacted_, collection == collections_.end() ? std::uint64_t{0}
                                                               : collection->second.forgotten);
}

void Store::WakeAll() {
  base::MutexLock lock(mutex_);
  ++wakes_;
  for (auto& [name, collection] : collections_) collection.changed->NotifyAll();
}

void Store::Compact() {
  base::MutexLock lock(mutex_);
  // Also where nothing changed: what is older than now is out of reach for every resource.
  compacted_ = revision_;
  for (auto& [name, collection] : collections_) {
    if (collection.changes.empty()) continue;
    collection.forgotten = collection.changes.back().resource_version;
    collection.changes.clear();
  }
}

void Store::Clear(const std::string& resource) {
  base::MutexLock lock(mutex_);
  Collection& collection = CollectionLocked(resource);
  collection.entries.clear();
  collection.changes.clear();
  collection.forgotten = ++revision_;
}

}  // namespace gantry::simulator
