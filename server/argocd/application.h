// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_ARGOCD_APPLICATION_H_
#define GANTRY_SERVER_ARGOCD_APPLICATION_H_

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/argocd/annotations.h"

namespace gantry::argocd {

// Names of entries in an operation's `info`, which Argo CD copies to the operation's state.
inline constexpr std::string_view kPromotionInfo = "kargo.akuity.io/promotion";
inline constexpr std::string_view kAttemptInfo = "gantry.dev/attempt";

// An Argo CD Application, read from the Kubernetes API, as far as a step decides by it or changes
// it. A JSON null counts as absent everywhere. Plain values; what is not here stays untouched in
// the cluster because patches name single leaves.

struct ApplicationName {
  std::string ns;
  std::string name;
  auto operator<=>(const ApplicationName&) const = default;
};
// "namespace/name"
std::string ToString(const ApplicationName& name);

struct Source {
  std::string repo_url;
  std::string chart;
  std::string target_revision;
  // Whether Argo CD renders manifests from it, and how. A source with a `ref` and neither path nor
  // chart only lends its files to others.
  bool has_ref = false;
  bool has_path = false;
  bool has_directory = false;
  bool has_plugin = false;
  std::optional<nlohmann::json> kustomize;  // with `images` alone, when there is any
  std::optional<nlohmann::json> helm;       // with `parameters` alone, when there is any
};

struct Operation {
  std::string initiated_by;
  bool automated = false;
  bool has_sync = false;
  std::map<std::string, std::string> info;  // the first entry of each name
};

// `syncResult`: what an operation deployed.
struct SyncResult {
  std::vector<std::string> revisions;         // [revision] where revisions is empty
  std::vector<std::string> target_revisions;  // of the sources that were synced
};

struct OperationState {
  std::string phase;  // Running, Terminating, Succeeded, Failed, Error
  std::string message;
  std::optional<absl::Time> finished_at;
  Operation operation;
  std::optional<SyncResult> sync_result;
};

struct Application {
  ApplicationName name;
  std::string uid;
  std::string resource_version;
  bool deleting = false;
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;
  std::string owner;  // who generates it, "ApplicationSet shop"; empty when nobody is known

  bool has_source_hydrator = false;
  bool multi_source = false;  // `spec.sources` is not empty and overrides `spec.source`
  std::vector<Source> sources;
  std::optional<nlohmann::json> sync_options;
  std::optional<nlohmann::json> retry;

  std::optional<Operation> operation;
  bool has_status = false;               // false also for null
  bool has_operation_state_key = false;  // true also for null: a patch may remove the key
  std::optional<OperationState> operation_state;
};

// `json` is one Application object. INVALID_ARGUMENT, saying which field has the wrong type, when
// it is not one: deciding on half-understood state could do harm.
absl::StatusOr<Application> ParseApplication(std::string_view json);

}  // namespace gantry::argocd

#endif  // GANTRY_SERVER_ARGOCD_APPLICATION_H_
