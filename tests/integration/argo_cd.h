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

// Plays the part of Argo CD's controller on one Application, each step when it is told to: as the
// controller does, by merge patches without a resourceVersion.
class ArgoCd {
 public:
  // `api` outlives it.
  ArgoCd(KubernetesApi& api, std::string application, std::string ns = "argocd")
      : api_(api), path_(ApplicationPath(application, ns)) {}

  // Begins to work on the operation that is requested, which stays requested.
  void TakeUp(const std::string& message = "");
  // Ends it: the state and the clearing of the request are one write.
  void Complete(const Completion& completion = {});
  // Both.
  void Work(const Completion& completion = {});
  // An automated sync of its own, begun and ended: it replaces the state of the last operation.
  void SelfHeal(const Completion& completion = {});

 private:
  nlohmann::json CompletedState(const nlohmann::json& application, const nlohmann::json& operation,
                                const Completion& completion);

  KubernetesApi& api_;
  const std::string path_;
};

}  // namespace gantry::integration

#endif  // GANTRY_TESTS_INTEGRATION_ARGO_CD_H_
