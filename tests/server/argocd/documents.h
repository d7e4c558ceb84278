// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SERVER_ARGOCD_DOCUMENTS_H_
#define GANTRY_TESTS_SERVER_ARGOCD_DOCUMENTS_H_

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "server/argocd/application.h"
#include "server/argocd/source_update.h"

// What the tests of this folder build their inputs with: JSON literals, as users write them.
namespace gantry::argocd::documents {

using nlohmann::json;

// A small Application with `changes` laid over it: objects member by member, while anything else,
// null included, takes the place of what was there.
inline json ApplicationDocument(std::string_view changes = "{}") {
  json document = json::parse(R"({
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Application",
    "metadata": {
      "namespace": "argocd",
      "name": "shop",
      "resourceVersion": "70",
      "annotations": {"kargo.akuity.io/authorized-stage": "shop:prod"}
    },
    "spec": {
      "source": {"repoURL": "https://git.example/shop", "path": "prod", "targetRevision": "main"}
    }
  })");
  document.update(json::parse(changes), /*merge_objects=*/true);
  return document;
}

inline Application ParseDocument(const json& document) {
  absl::StatusOr<Application> application = ParseApplication(document.dump());
  EXPECT_TRUE(application.ok()) << application.status();
  return application.ok() ? *std::move(application) : Application{};
}

inline Application Parse(std::string_view changes = "{}") {
  return ParseDocument(ApplicationDocument(changes));
}

// `sources` is the list as it stands in the configuration of a step.
inline std::vector<SourceUpdate> Updates(std::string_view sources) {
  std::vector<SourceUpdate> updates;
  for (const json& source : json::parse(sources)) {
    SourceUpdate update;
    update.repo_url = source.value("repoURL", "");
    update.chart = source.value("chart", "");
    update.desired_revision = source.value("desiredRevision", "");
    update.update_target_revision = source.value("updateTargetRevision", false);
    if (source.contains("kustomize")) {
      for (const json& image : source["kustomize"]["images"]) {
        update.kustomize_images.push_back({image.value("repoURL", ""), image.value("newName", ""),
                                           image.value("tag", ""), image.value("digest", "")});
      }
    }
    if (source.contains("helm")) {
      for (const json& image : source["helm"]["images"]) {
        update.helm_images.push_back({image.value("key", ""), image.value("value", "")});
      }
    }
    updates.push_back(std::move(update));
  }
  return updates;
}

}  // namespace gantry::argocd::documents

#endif  // GANTRY_TESTS_SERVER_ARGOCD_DOCUMENTS_H_
