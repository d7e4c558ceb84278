// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_RESOLVE_H_
#define GANTRY_SERVER_STEPS_RESOLVE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/context.h"
#include "base/worker_pool.h"
#include "gantry/v1/step.pb.h"
#include "server/argocd/application.h"
#include "server/argocd/observed_application.h"
#include "server/cache/caches.h"
#include "server/kubernetes/api/client.h"
#include "server/steps/application_selection.h"

namespace gantry::steps {

inline constexpr kubernetes::Resource kApplications = {"argoproj.io", "v1alpha1", "applications"};

// Why a step can't go on, as a verdict. UNSPECIFIED: it can.
struct Refusal {
  v1::StepReason reason = v1::STEP_REASON_UNSPECIFIED;
  std::string message;
  explicit operator bool() const { return reason != v1::STEP_REASON_UNSPECIFIED; }
};

// Where Applications are looked for.
struct Scope {
  std::string default_namespace;
  std::vector<std::string> served_namespaces;  // empty: all
  bool Serves(const std::string& ns) const;
};

// `Application` is argocd::Application or argocd::ObservedApplication.
template <typename Application>
struct Resolution {
  Refusal refusal;
  // Per selection, in its order: the one named, or those that match, by name. The same Application
  // is the same object wherever it appears.
  std::vector<std::vector<std::shared_ptr<const Application>>> applications;
};

// Reads the Applications that `selections` are about, several at a time, from the Kubernetes API
// itself. An error is one of the API's (kubernetes/error.h), or INVALID_ARGUMENT for an
// Application that can't be understood.
template <typename Application>
absl::StatusOr<Resolution<Application>> Resolve(kubernetes::Client& client,
                                                base::WorkerPool& helpers, const Scope& scope,
                                                const std::vector<ApplicationSelection>& selections,
                                                base::Context& context);

// The same from what the watches brought; nothing when that is not fresh, or does not have an
// Application for each selection, or one that can't be understood: then read live.
std::optional<Resolution<argocd::ObservedApplication>> ResolveFromCache(
    const cache::Caches& caches, const Scope& scope,
    const std::vector<ApplicationSelection>& selections);

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_RESOLVE_H_
