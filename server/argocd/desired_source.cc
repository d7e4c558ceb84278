// SPDX-License-Identifier: Apache-2.0
#include "server/argocd/desired_source.h"

#include <algorithm>

namespace gantry::argocd {

bool Holds(const Source& source, const DesiredSource& desired) {
  if (!desired.target_revision.empty() && source.target_revision != desired.target_revision) {
    return false;
  }
  const auto has_image = [&](const std::string& image) {
    return std::find(source.kustomize_images.begin(), source.kustomize_images.end(), image) !=
           source.kustomize_images.end();
  };
  if (!std::all_of(desired.kustomize_images.begin(), desired.kustomize_images.end(), has_image)) {
    return false;
  }
  const auto has_parameter = [&](const DesiredSource::Parameter& wanted) {
    bool found = false;
    for (const HelmParameter& parameter : source.helm_parameters) {
      if (parameter.name != wanted.name) continue;
      if (parameter.value != wanted.value) return false;
      found = true;
    }
    return found;
  };
  return std::all_of(desired.helm_parameters.begin(), desired.helm_parameters.end(), has_parameter);
}

bool AnyDesired(const std::vector<std::string>& revisions) {
  return std::any_of(revisions.begin(), revisions.end(),
                     [](const std::string& revision) { return !revision.empty(); });
}

bool Reached(const std::vector<std::string>& desired, std::size_t i, std::string_view phase,
             const Deployed& deployed) {
  if (desired[i].empty()) return true;
  if (deployed.revisions.size() == desired.size() && deployed.revisions[i] == desired[i]) {
    return true;
  }
  return phase == "Succeeded" && deployed.sources.size() == desired.size() &&
         deployed.sources[i].target_revision == desired[i];
}

bool AllReached(const std::vector<std::string>& desired, std::string_view phase,
                const Deployed& deployed) {
  for (std::size_t i = 0; i < desired.size(); ++i) {
    if (!Reached(desired, i, phase, deployed)) return false;
  }
  return true;
}

}  // namespace gantry::argocd
