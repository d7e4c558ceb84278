// SPDX-License-Identifier: Apache-2.0
#include "server/steps/argocd_update/config.h"

#include <exception>
#include <utility>

#include "base/strings.h"
#include "server/steps/argocd_update/schema.h"
#include "server/steps/config/config_rules.h"
#include "server/steps/config/config_schema.h"

namespace gantry::steps {
namespace {

using nlohmann::json;

void SourceUpdateAsAWhole(const json& source, const ConfigPath& path, ViolationList& violations) {
  const auto update = source.find("updateTargetRevision");
  if (update == source.end() || *update != true || source.contains("desiredRevision")) return;
  violations.Add(ConfigPath(path, "updateTargetRevision"), [] {
    return std::string("found true, expected desiredRevision beside it: the revision to set");
  });
}

// An empty string counts as not given. What is not a string was reported already, and was meant to
// be something.
bool IsGiven(const json& image, const char* field) {
  const auto value = image.find(field);
  return value != image.end() && *value != json("");
}

void KustomizeImageAsAWhole(const json& image, const ConfigPath& path, ViolationList& violations) {
  const bool tag = IsGiven(image, "tag");
  const bool digest = IsGiven(image, "digest");
  if (tag && digest) {
    violations.Add(path,
                   [] { return std::string("found both tag and digest, expected one of them"); });
  } else if (!tag && !digest && !image.contains("newName")) {
    violations.Add(path, [] {
      return std::string(
          "found neither tag, digest nor newName, expected tag or digest, or newName alone");
    });
  }
}

const ConfigSchema& UpdateSchema() {
  // Never destroyed: threads may still look at it when the process ends.
  static const ConfigSchema& schema =
      *new ConfigSchema(ArgocdUpdateConfigSchema(),
                        WithApplicationRules({
                            {"apps[].sources[]", SourceUpdateAsAWhole},
                            {"apps[].sources[].chart", NoControlCharacters},
                            {"apps[].sources[].desiredRevision", NoControlCharacters},
                            {"apps[].sources[].kustomize.images[]", KustomizeImageAsAWhole},
                            {"apps[].sources[].kustomize.images[].repoURL", NoBlanks},
                            {"apps[].sources[].kustomize.images[].newName", NoBlanks},
                            {"apps[].sources[].kustomize.images[].tag", NoBlanks},
                            {"apps[].sources[].kustomize.images[].digest", NoBlanks},
                            {"apps[].sources[].helm.images[].key", NoControlCharacters},
                            {"apps[].sources[].helm.images[].value", NoControlCharacters},
                        }));
  return schema;
}

// From here on configurations are valid: a field is missing or of its type.

std::string TextAt(const json& object, const char* field) {
  const auto value = object.find(field);
  return value == object.end() ? "" : value->get<std::string>();
}

SourceUpdate ReadSourceUpdate(const json& source) {
  SourceUpdate update;
  update.repo_url = TextAt(source, "repoURL");
  update.chart = TextAt(source, "chart");
  update.desired_revision = TextAt(source, "desiredRevision");
  update.update_target_revision = source.value("updateTargetRevision", false);
  if (const auto kustomize = source.find("kustomize"); kustomize != source.end()) {
    for (const json& image : kustomize->at("images")) {
      update.kustomize_images.push_back({TextAt(image, "repoURL"), TextAt(image, "newName"),
                                         TextAt(image, "tag"), TextAt(image, "digest")});
    }
  }
  if (const auto helm = source.find("helm"); helm != source.end()) {
    for (const json& image : helm->at("images")) {
      update.helm_images.push_back({TextAt(image, "key"), TextAt(image, "value")});
    }
  }
  return update;
}

ArgocdUpdateConfig ReadUpdateConfig(const json& config) {
  ArgocdUpdateConfig read;
  for (const json& entry : config.at("apps")) {
    ArgocdUpdateConfig::App& app = read.apps.emplace_back();
    app.selection = ReadApplicationSelection(entry);
    if (const auto sources = entry.find("sources"); sources != entry.end()) {
      for (const json& source : *sources) app.sources.push_back(ReadSourceUpdate(source));
    }
  }
  return read;
}

}  // namespace

std::string_view ArgocdUpdateConfigSchema() { return kArgocdUpdateSchema; }

std::vector<Violation> ParseArgocdUpdateConfig(const json& json, ArgocdUpdateConfig& config) {
  try {
    std::vector<Violation> violations = UpdateSchema().Check(json);
    if (violations.empty()) config = ReadUpdateConfig(json);
    return violations;
  } catch (const std::exception& e) {
    return {{"", base::StrCat("could not be read: ", e.what())}};
  }
}

}  // namespace gantry::steps
