// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_ARGOCD_APPLICATION_H_
#define GANTRY_SERVER_ARGOCD_APPLICATION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/interned_string.h"

namespace gantry::argocd {

// Names of entries in an operation's `info`, which Argo CD copies to the operation's state.
inline constexpr std::string_view kPromotionInfo = "kargo.akuity.io/promotion";
inline constexpr std::string_view kAttemptInfo = "gantry.dev/attempt";

// An Argo CD Application as far as any rule reads it: steps decide by it, health is evaluated from
// it, and tens of thousands of them are kept in memory. So what repeats among Applications is
// interned, and what no rule reads (resources, most of the history) is not here. Plain values; a
// JSON null counts as absent everywhere. Read by application_reader.h.

struct ApplicationName {
  std::string ns;
  std::string name;
  auto operator<=>(const ApplicationName&) const = default;
};
// "namespace/name"
std::string ToString(const ApplicationName& name);

struct HelmParameter {
  base::InternedString name;
  base::InternedString value;
  bool force_string = false;
  bool operator==(const HelmParameter&) const = default;
};

// A source: one of `spec`, one that was compared, or one that was synced.
struct Source {
  base::InternedString repo_url;
  base::InternedString chart;
  base::InternedString target_revision;
  // Whether Argo CD renders manifests from it, and how. A source with a `ref` and neither path nor
  // chart only lends its files to others.
  bool has_ref = false;
  bool has_path = false;
  bool has_directory = false;
  bool has_plugin = false;
  bool has_kustomize = false;
  bool has_helm = false;
  std::vector<base::InternedString> kustomize_images;
  std::vector<HelmParameter> helm_parameters;
  bool operator==(const Source&) const = default;
};

// The sources of an Application at one time. What was compared, synced and kept in the history is
// mostly what `spec` has, and is then the same object. Never null.
class Sources {
 public:
  Sources();
  explicit Sources(std::vector<Source> sources);
  const std::vector<Source>& operator*() const { return *sources_; }
  const std::vector<Source>* operator->() const { return sources_.get(); }
  std::size_t size() const { return sources_->size(); }
  bool empty() const { return sources_->empty(); }
  const Source& operator[](std::size_t i) const { return (*sources_)[i]; }
  auto begin() const { return sources_->begin(); }
  auto end() const { return sources_->end(); }
  // Makes this the same object as `other` if the two are equal.
  void ShareWith(const Sources& other);
  bool operator==(const Sources& other) const {
    return sources_ == other.sources_ || *sources_ == *other.sources_;
  }

 private:
  std::shared_ptr<const std::vector<Source>> sources_;
};

struct Operation {
  base::InternedString initiated_by;
  bool automated = false;
  bool has_sync = false;
  // Entries of `info` (kPromotionInfo, kAttemptInfo); nothing when there is no such entry.
  std::optional<base::InternedString> promotion;
  std::optional<base::InternedString> attempt;
  bool operator==(const Operation&) const = default;
};

// What a sync deployed: `syncResult`, or an entry of the history.
struct Deployed {
  std::vector<base::InternedString> revisions;  // [revision] where `revisions` is empty
  Sources sources;                              // `sources`, or [`source`] where that is empty
  bool operator==(const Deployed&) const = default;
};

struct OperationState {
  base::InternedString phase;  // Running, Terminating, Succeeded, Failed, Error
  std::string message;
  std::optional<absl::Time> started_at;
  std::optional<absl::Time> finished_at;
  Operation operation;
  std::optional<Deployed> sync_result;
  bool operator==(const OperationState&) const = default;
};

// An entry of `status.history`: Argo CD appends one for each whole sync that succeeded.
struct HistoryEntry {
  std::int64_t id = 0;
  Deployed deployed;
  bool operator==(const HistoryEntry&) const = default;
};

// `status.conditions`, those that say that something is wrong with the Application itself.
struct Condition {
  base::InternedString type;  // ComparisonError, InvalidSpecError
  std::string message;
  bool operator==(const Condition&) const = default;
};

struct Application {
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
  // Who generates the Application and puts it back when it is changed by hand, such as
  // "ApplicationSet shop"; empty when nobody is known.
  base::InternedString owner;

  bool has_source_hydrator = false;
  bool multi_source = false;  // `spec.sources` is not empty and overrides `spec.source`
  Sources sources;

  std::optional<Operation> operation;
  std::optional<OperationState> operation_state;
  std::optional<HistoryEntry> last_deployed;  // the newest entry of the history

  base::InternedString sync_status;  // Synced, OutOfSync, Unknown
  // `status.sync.revisions`, or [`revision`] where that is empty; empty when both are.
  std::vector<base::InternedString> sync_revisions;
  Sources compared_sources;  // `status.sync.comparedTo.sources`, or its [`source`]
  base::InternedString health_status;
  std::string health_message;
  std::vector<Condition> conditions;
  std::optional<absl::Time> reconciled_at;

  // Why the object could not be understood, in words. No other field but the name, uid and
  // resourceVersion is to be relied on then, and nobody may conclude anything from it.
  std::string problem;

  bool operator==(const Application&) const = default;
};

using ApplicationPtr = std::shared_ptr<const Application>;

// The value of a label; nothing when there is no such one.
std::optional<std::string_view> FindLabel(const Application& application, std::string_view key);

// "promotion p1", "alice" or "Argo CD's automated sync": whoever began an operation.
std::string InitiatorOf(const Operation& operation);

// Succeeded, Failed and Error; Running and Terminating are not, whatever else is set.
bool IsCompleted(std::string_view phase);

}  // namespace gantry::argocd

#endif  // GANTRY_SERVER_ARGOCD_APPLICATION_H_
