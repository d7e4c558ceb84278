// SPDX-License-Identifier: Apache-2.0
#include "tests/verdicts/requests.h"

#include <google/protobuf/util/json_util.h>

#include <utility>

#include "tests/verdicts/applications.h"

namespace gantry::verdicts {
namespace {

using nlohmann::json;

json RandomSelection(Choice& choice, const json& application) {
  const std::string ns = application["metadata"]["namespace"];
  json entry = json::object();
  const int kind = choice.Below(100);
  if (kind < 70) {
    entry["name"] = application["metadata"]["name"];
    if (ns != "argocd" || choice.Percent(20)) entry["namespace"] = ns;
  } else if (kind < 96) {
    json labels = {{"app", choice.Of({"shop", "shop", "shop", "pay"})}};
    if (choice.Percent(70)) labels = application["metadata"].value("labels", labels);
    if (choice.Percent(15)) labels["tier"] = choice.Of({"front", "back", "none"});
    entry["selector"] = {{"matchLabels", std::move(labels)}};
    if (ns != "argocd" ? choice.Percent(80) : choice.Percent(3)) entry["namespace"] = "team-a";
  } else if (kind < 98) {
    entry["name"] = "ghost";
  } else {
    entry["name"] = "web";
    entry["namespace"] = "elsewhere";
  }
  return entry;
}

json RandomKustomizeImages(Choice& choice) {
  json images = json::array();
  const int count = choice.Between(1, 2);
  for (int i = 0; i < count; ++i) {
    json image = {{"repoURL", choice.Of({"shop", "proxy"})}};
    const std::string what = choice.Of({"tag", "tag", "digest", "newName"});
    image[what] = what == "tag" ? choice.Of({"1.0", "2.0"}) : choice.Of({"sha256:aa", "mirror"});
    if (what == "tag" && choice.Percent(20)) image["newName"] = "mirror/shop";
    images.push_back(std::move(image));
  }
  return images;
}

json RandomSourceUpdate(Choice& choice, const json& application) {
  const json sources = SourcesOf(application);
  json update = {{"repoURL", "https://github.com/example/shop"}};
  if (!sources.empty() && choice.Percent(93)) {
    const json& source =
        sources[static_cast<std::size_t>(choice.Below(static_cast<int>(sources.size())))];
    update["repoURL"] = source.value("repoURL", "https://github.com/example/shop");
    if (update["repoURL"] == "https://github.com/example/shop.git" && choice.Percent(30)) {
      update["repoURL"] = "ssh://git@github.com/Example/shop";
    }
    if (source.contains("chart") && choice.Percent(95)) update["chart"] = source["chart"];
  }
  if (choice.Percent(85)) {
    update["desiredRevision"] = choice.Percent(75) ? "v2" : RandomRevision(choice);
    if (choice.Percent(60)) update["updateTargetRevision"] = choice.Percent(90);
  }
  if (choice.Percent(18)) update["kustomize"]["images"] = RandomKustomizeImages(choice);
  if (choice.Percent(18)) {
    json& images = update["helm"]["images"] = json::array();
    const int count = choice.Between(1, 2);
    for (int i = 0; i < count; ++i) {
      images.push_back({{"key", choice.Of({"image.tag", "color", "debug"})},
                        {"value", choice.Of({"1.0", "2.0", ""})}});
    }
  }
  return update;
}

void MakeInvalid(Choice& choice, json& config) {
  json& entry = config["apps"][0];
  switch (choice.Below(8)) {
    case 0:
      entry["nmae"] = "web";
      break;
    case 1:
      entry["selector"] = {{"matchLabels", {{"app", "shop"}}}};
      entry["name"] = "web";
      break;
    case 2:
      entry["sources"] = {{{"repoURL", "https://x.example/r"}, {"updateTargetRevision", true}}};
      break;
    case 3:
      config["apps"] = json::array();
      break;
    case 4:
      config["apps"] = "web";
      break;
    case 5:
      entry = {{"name", "No_Such*Name"}, {"namespace", 3}};
      break;
    case 6:
      entry["sources"] = {
          {{"repoURL", "r"},
           {"kustomize", {{"images", {{{"repoURL", "a b"}, {"tag", "1"}, {"digest", "d"}}}}}}}};
      break;
    default:
      config = json::object();
  }
}

}  // namespace

Step MakeStep(Choice& choice, const std::vector<json>& applications) {
  Step step;
  step.promotion = choice.Of({"p1", "p1", "p1", "p2", "p3"});
  step.uses = choice.Percent(70) ? "argocd-update" : "argocd-wait";
  step.name = choice.Percent(8) ? "shared" : choice.Percent(15) ? step.uses + "-2" : step.uses;
  step.actor = choice.Percent(15) ? "maria" : "";
  json& apps = step.config["apps"] = json::array();
  const int entries = choice.Percent(65) ? 1 : choice.Between(2, 3);
  for (int i = 0; i < entries; ++i) {
    // Several entries about one Application are worth more than their share.
    const json& application =
        i > 0 && choice.Percent(40) ? applications[0] : choice.Of(applications);
    json entry = RandomSelection(choice, application);
    if (step.uses == "argocd-update" && choice.Percent(entry.contains("name") ? 85 : 50)) {
      json& sources = entry["sources"] = json::array();
      const int updates = choice.Percent(80) ? 1 : 2;
      for (int u = 0; u < updates; ++u) {
        sources.push_back(RandomSourceUpdate(choice, application));
      }
    }
    apps.push_back(std::move(entry));
  }
  if (step.uses == "argocd-wait" && choice.Percent(55)) {
    json& wait_for = step.config["waitFor"] = json::array();
    for (const char* what : {"health", "sync", "operation", "suspended", "degraded"}) {
      if (choice.Percent(what[0] == 'h' ? 65 : 30)) wait_for.push_back(what);
    }
    if (choice.Percent(3)) wait_for.push_back("luck");
  }
  if (choice.Percent(3)) MakeInvalid(choice, step.config);
  return step;
}

std::vector<v1::HealthCheck> MakeHealthChecks(Choice& choice,
                                              const std::vector<json>& applications) {
  std::vector<v1::HealthCheck> checks;
  const int count = choice.Below(3);
  for (int i = 0; i < count; ++i) {
    json apps = json::array();
    const int members = choice.Between(1, 3);
    for (int m = 0; m < members; ++m) {
      const json& application = choice.Of(applications);
      json entry = {{"name", application["metadata"]["name"]}};
      if (choice.Percent(60)) entry["namespace"] = application["metadata"]["namespace"];
      if (choice.Percent(5)) entry["name"] = "ghost";
      if (choice.Percent(3)) entry["namespace"] = "elsewhere";
      if (choice.Percent(85)) {
        json& desired = entry["desiredRevisions"] = json::array();
        const std::size_t sources = SourcesOf(application).size();
        for (std::size_t s = 0; s < sources; ++s) {
          desired.push_back(choice.Percent(70) ? choice.Of({"v2", "v2", "v1"}) : "");
        }
        if (choice.Percent(5)) desired.push_back("v2");
      }
      if (choice.Percent(3)) entry[choice.Of({"name", "desiredRevisions", "odd"})] = 7;
      apps.push_back(std::move(entry));
    }
    json check = {{"uses", choice.Percent(90) ? "argocd-update" : choice.Of({"", "argocd-wait"})},
                  {"input", {{"apps", std::move(apps)}}}};
    if (choice.Percent(3)) check["input"] = {{"apps", "web"}};
    v1::HealthCheck& added = checks.emplace_back();
    const auto read = google::protobuf::util::JsonStringToMessage(check.dump(), &added);
    if (!read.ok()) checks.pop_back();
  }
  return checks;
}

}  // namespace gantry::verdicts
