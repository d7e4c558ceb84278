// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_ARGOCD_OBSERVED_APPLICATION_H_
#define GANTRY_SERVER_ARGOCD_OBSERVED_APPLICATION_H_

#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/interned_string.h"
#include "server/argocd/application.h"

namespace gantry::argocd {

// An Argo CD Application as far as it is watched, judged and waited for: small, because tens of
// thousands are kept in memory. What repeats among Applications is interned, what nobody judges by
// (resources, history) is not here. Plain values; a JSON null counts as absent everywhere.

inline constexpr std::size_t kMaxObservedMessageBytes = 1024;  // longer ones are cut

struct ObservedSource {
  base::InternedString repo_url;
  base::InternedString chart;
  base::InternedString target_revision;
  // As in Source: what kind of manifests it yields.
  bool has_ref = false;
  bool has_path = false;
  bool has_directory = false;
  bool has_plugin = false;
  bool has_kustomize = false;
  bool has_helm = false;
  bool operator==(const ObservedSource&) const = default;
};

struct ObservedOperation {
  base::InternedString initiated_by;
  bool automated = false;
  bool has_sync = false;
  // Entries of `info` (kPromotionInfo, kAttemptInfo); nothing when there is no such entry.
  std::optional<base::InternedString> promotion;
  std::optional<base::InternedString> attempt;
  bool operator==(const ObservedOperation&) const = default;
};

struct ObservedSyncResult {
  std::vector<base::InternedString> revisions;         // [revision] where revisions is empty
  std::vector<base::InternedString> target_revisions;  // of the sources that were synced
  bool operator==(const ObservedSyncResult&) const = default;
};

struct ObservedOperationState {
  base::InternedString phase;  // Running, Terminating, Succeeded, Failed, Error
  std::string message;
  std::optional<absl::Time> started_at;
  std::optional<absl::Time> finished_at;
  ObservedOperation operation;
  std::optional<ObservedSyncResult> sync_result;
  bool operator==(const ObservedOperationState&) const = default;
};

// `status.conditions`, those that say that something is wrong with the Application itself.
struct ObservedCondition {
  base::InternedString type;  // ComparisonError, InvalidSpecError
  std::string message;
  bool operator==(const ObservedCondition&) const = default;
};

struct ObservedApplication {
  ApplicationName name;
  std::string uid;
  std::string resource_version;
  std::optional<absl::Time> created_at;
  std::optional<absl::Time> deletion_requested_at;  // set: it is being deleted
  std::vector<std::pair<base::InternedString, base::InternedString>> labels;  // ordered by key
  // Annotations; nothing when there is no such one.
  std::optional<base::InternedString> authorized_stage;
  std::optional<base::InternedString> refresh;  // asked for and not taken up yet
  bool skip_reconcile = false;                  // it is "true"

  bool has_source_hydrator = false;
  bool multi_source = false;
  std::vector<ObservedSource> sources;  // `sources`, or [`source`] when that is empty

  std::optional<ObservedOperation> operation;
  std::optional<ObservedOperationState> operation_state;

  base::InternedString sync_status;  // Synced, OutOfSync, Unknown
  // `status.sync.revisions`, or [`revision`] where that is empty; empty when both are.
  std::vector<base::InternedString> sync_revisions;
  // targetRevision of `status.sync.comparedTo.sources`, or of its [`source`].
  std::vector<base::InternedString> compared_target_revisions;
  base::InternedString health_status;
  std::string health_message;
  std::vector<ObservedCondition> conditions;
  std::optional<absl::Time> reconciled_at;

  // Why the object could not be understood, in words; then nothing the fields above `created_at`
  // is to be relied on, and nobody may conclude anything from it.
  std::string problem;

  bool operator==(const ObservedApplication&) const = default;
};

// Reads one Application object. An error only when not even its namespace, name and
// resourceVersion can be read; anything else that is wrong is told in `problem`.
absl::Status ObserveApplication(simdjson::padded_string_view json,
                                ObservedApplication& application);

// The same Application as steps decide on it, but with empty objects for kustomize and helm, and
// without sync options and retry: enough for MatchSources and Decide, not for a patch.
Application ToApplication(const ObservedApplication& observed);

}  // namespace gantry::argocd

#endif  // GANTRY_SERVER_ARGOCD_OBSERVED_APPLICATION_H_
