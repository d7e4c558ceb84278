// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SERVER_STEPS_ARGOCD_UPDATE_UPDATES_H_
#define GANTRY_TESTS_SERVER_STEPS_ARGOCD_UPDATE_UPDATES_H_

#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "server/steps/argocd_update/source_update.h"

namespace gantry::steps {

// `sources` is the list as it stands in the configuration of a step.
inline std::vector<SourceUpdate> Updates(std::string_view sources) {
  std::vector<SourceUpdate> updates;
  for (const nlohmann::json& source : nlohmann::json::parse(sources)) {
    SourceUpdate update;
    update.repo_url = source.value("repoURL", "");
    update.chart = source.value("chart", "");
    update.desired_revision = source.value("desiredRevision", "");
    update.update_target_revision = source.value("updateTargetRevision", false);
    if (source.contains("kustomize")) {
      for (const nlohmann::json& image : source["kustomize"]["images"]) {
        update.kustomize_images.push_back({image.value("repoURL", ""), image.value("newName", ""),
                                           image.value("tag", ""), image.value("digest", "")});
      }
    }
    if (source.contains("helm")) {
      for (const nlohmann::json& image : source["helm"]["images"]) {
        update.helm_images.push_back({image.value("key", ""), image.value("value", "")});
      }
    }
    updates.push_back(std::move(update));
  }
  return updates;
}

}  // namespace gantry::steps

#endif  // GANTRY_TESTS_SERVER_STEPS_ARGOCD_UPDATE_UPDATES_H_
