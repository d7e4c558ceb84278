// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_ARGOCD_REACHED_H_
#define GANTRY_SERVER_ARGOCD_REACHED_H_

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace gantry::argocd {

// What it means that desired revisions (one per source, empty where none is asked for) were
// reached. Templates, because Applications read live keep plain strings and watched ones interned
// strings; both compare with a string_view.

inline bool AnyDesired(const std::vector<std::string>& desired) {
  return std::any_of(desired.begin(), desired.end(),
                     [](const std::string& revision) { return !revision.empty(); });
}

// True when `revisions` are of `count` sources and that of source `i` is `wanted`.
template <typename Revisions>
bool NamesRevision(const Revisions& revisions, std::size_t count, std::size_t i,
                   std::string_view wanted) {
  return revisions.size() == count && revisions[i] == wanted;
}

// Whether an operation that is in `phase` and deployed `result` (a SyncResult or an
// ObservedSyncResult) reached what is desired of source `i`.
template <typename Result>
bool IsReached(const std::vector<std::string>& desired, std::size_t i, std::string_view phase,
               const Result& result) {
  if (desired[i].empty()) return true;
  if (NamesRevision(result.revisions, desired.size(), i, desired[i])) return true;
  // A tag, branch or chart range is observed as what Argo CD resolved it to.
  return phase == "Succeeded" &&
         NamesRevision(result.target_revisions, desired.size(), i, desired[i]);
}

// The same for every source.
template <typename Result>
bool AllReached(const std::vector<std::string>& desired, std::string_view phase,
                const Result& result) {
  for (std::size_t i = 0; i < desired.size(); ++i) {
    if (!IsReached(desired, i, phase, result)) return false;
  }
  return true;
}

}  // namespace gantry::argocd

#endif  // GANTRY_SERVER_ARGOCD_REACHED_H_
