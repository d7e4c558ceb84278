// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_INTEGRATION_ARGO_CD_H_
#define GANTRY_TESTS_INTEGRATION_ARGO_CD_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/integration/kubernetes_api.h"

namespace gantry::integration {

// "2024-05-01T10:00:00Z": so many seconds ago, as Kubernetes writes times.
std::string SecondsAgo(int seconds);
inline constexpr int kHour = 3600;

// How an operation ends.
struct Completion {
  std::string phase = "Succeeded";
  std::string message = "successfully synced (all tasks run)";
  // One per source of the Application; empty: what each source's targetRevision says.
  std::vector<std::string> revisions = {};
  std::string finished_at = SecondsAgo(0);
  bool has_sync_result = true;
};

// Plays the part of Argo CD's controller on one Application, each step when it is told to, with the
// writes that the controller makes: without a resourceVersion, the state of an operation replaced
// whole.
class ArgoCd {
 public:
  // `api` outlives it.
  ArgoCd(KubernetesApi& api, std::string application, std::string ns = "argocd")
      : api_(api), path_(ApplicationPath(application, ns)) {}

  // Begins to work on the operation that is requested, which stays requested. With a message it has
  // begun to sync as well.
  void TakeUp(const std::string& message = "");
  // Ends it: an entry in the history if it deployed something, then the state and the clearing of
  // the request in one write.
  void Complete(const Completion& completion = {});
  // Both.
  void Work(const Completion& completion = {});
  // An automated sync of its own, requested, begun and ended: it replaces the state of the last
  // operation. It heals one resource, which the history does not tell; with revisions of its own it
  // is a sync of all, to a new commit.
  void SelfHeal(const Completion& completion = {});

 private:
  // Puts what the operation deployed into its state.
  void AddResult(const nlohmann::json& application, const std::vector<std::string>& revisions,
                 nlohmann::json& state) const;

  KubernetesApi& api_;
  const std::string path_;
};

}  // namespace gantry::integration

#endif  // GANTRY_TESTS_INTEGRATION_ARGO_CD_H_
