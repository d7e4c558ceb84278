// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_RESOLVE_H_
#define GANTRY_SERVER_STEPS_RESOLVE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/context.h"
#include "base/worker_pool.h"
#include "server/cache/application_client.h"
#include "server/cache/caches.h"
#include "server/steps/config/application_selection.h"
#include "server/steps/step_plan.h"

namespace gantry::steps {

// Where Applications are looked for.
struct Scope {
  std::string default_namespace;
  std::vector<std::string> served_namespaces;  // empty: all
  bool Serves(const std::string& ns) const;
};

// The selections with the namespace that each of them is about.
std::vector<ApplicationSelection> WithNamespaces(std::vector<ApplicationSelection> selections,
                                                 const Scope& scope);

struct Resolution {
  Refusal refusal;
  // Each Application once, in the order of the selections; and where those of a selection are.
  std::vector<cache::LiveApplication> applications;
  std::vector<std::vector<std::size_t>> entries;
};

// Reads the Applications that `selections` (with their namespaces) are about, several at a time,
// from the Kubernetes API itself. An error is one of the API's (kubernetes/api/error.h), or
// INVALID_ARGUMENT for an Application that cannot be understood.
absl::StatusOr<Resolution> Resolve(cache::ApplicationClient& client, base::WorkerPool& helpers,
                                   const Scope& scope,
                                   const std::vector<ApplicationSelection>& selections,
                                   base::Context& context);

// The same from what the watches brought; nothing when that is not fresh, or does not have an
// Application for each selection, or one that cannot be understood: then read live.
std::optional<Resolution> ResolveFromCache(const cache::Caches& caches, const Scope& scope,
                                           const std::vector<ApplicationSelection>& selections);

// Whether an Application in the namespace of `selection` has the labels that it asks for.
bool Matches(const ApplicationSelection& selection, const argocd::Application& application);

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_RESOLVE_H_
