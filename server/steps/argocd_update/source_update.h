// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_STEPS_ARGOCD_UPDATE_SOURCE_UPDATE_H_
#define GANTRY_SERVER_STEPS_ARGOCD_UPDATE_SOURCE_UPDATE_H_

#include <string>
#include <vector>

namespace gantry::steps {

// What a step wants of one source of an Application, as written in the step's configuration and
// already validated. Empty strings mean "not given".

struct KustomizeImage {
  std::string repo_url;
  std::string new_name;
  std::string tag;  // at most one of tag and digest
  std::string digest;
  bool operator==(const KustomizeImage&) const = default;
};

struct HelmImage {
  std::string key;
  std::string value;  // may be empty
  bool operator==(const HelmImage&) const = default;
};

struct SourceUpdate {
  std::string repo_url;
  std::string chart;
  std::string desired_revision;
  bool update_target_revision = false;  // true only with a desired revision
  std::vector<KustomizeImage> kustomize_images;
  std::vector<HelmImage> helm_images;
  bool operator==(const SourceUpdate&) const = default;
};

}  // namespace gantry::steps

#endif  // GANTRY_SERVER_STEPS_ARGOCD_UPDATE_SOURCE_UPDATE_H_
