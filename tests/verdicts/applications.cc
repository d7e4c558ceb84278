// SPDX-License-Identifier: Apache-2.0
#include "tests/verdicts/applications.h"

#include <utility>
#include <vector>

#include "base/text.h"

namespace gantry::verdicts {
namespace {

using nlohmann::json;

constexpr const char* kCommit = "3f786850e387550fdab836ed7e6dc881de23001b";

// Objects under construction get null members where nothing is said; Kubernetes has none there.
json RandomGitSource(Choice& choice) {
  json source = {
      {"repoURL",
       choice.Of({"https://github.com/example/shop.git", "https://github.com/example/shop.git",
                  "git@github.com:example/shop.git", "https://github.com/example/config"})},
      {"path", choice.Of({"deploy", "."})}};
  if (choice.Percent(85)) source["targetRevision"] = RandomRevision(choice);
  if (choice.Percent(30)) {
    source["kustomize"] = {{"namePrefix", "a-"}};
    if (choice.Percent(70)) {
      source["kustomize"]["images"] = json::array({"shop:1.0"});
      if (choice.Percent(40)) source["kustomize"]["images"].push_back("proxy@sha256:aa");
    }
  } else if (choice.Percent(30)) {
    source["helm"] = {{"valueFiles", {"values.yaml"}}};
    if (choice.Percent(75)) {
      json& parameters = source["helm"]["parameters"] = json::array();
      const int count = choice.Below(4);
      for (int i = 0; i < count; ++i) {
        json parameter = {{"name", choice.Of({"image.tag", "replicas", "color"})},
                          {"value", choice.Of({"1.0", "2.0", ""})}};
        if (choice.Percent(30)) parameter["forceString"] = true;
        if (choice.Percent(3)) parameter.erase("name");
        parameters.push_back(std::move(parameter));
      }
    }
  } else if (choice.Percent(8)) {
    source[choice.Of({"directory", "plugin"})] = {{"recurse", true}};
  }
  return source;
}

json RandomChartSource(Choice& choice) {
  json source = {{"repoURL", choice.Of({"https://charts.example.com", "ghcr.io/example/charts"})},
                 {"chart", choice.Of({"shop", "proxy"})},
                 {"targetRevision", choice.Of({"v1", "v2", "1.x"})}};
  if (choice.Percent(50)) {
    source["helm"] = {{"parameters", {{{"name", "image.tag"}, {"value", "1.0"}}}}};
  }
  return source;
}

json RandomSpec(Choice& choice) {
  json spec = {{"project", "default"}, {"destination", {{"namespace", "shop"}}}};
  const int shape = choice.Below(100);
  if (shape < 52) {
    spec["source"] = RandomGitSource(choice);
  } else if (shape < 66) {
    spec["source"] = RandomChartSource(choice);
  } else if (shape < 95) {
    json& sources = spec["sources"] = json::array();
    const int count = choice.Between(1, 4);
    for (int i = 0; i < count; ++i) {
      json source = choice.Percent(60) ? RandomGitSource(choice) : RandomChartSource(choice);
      if (choice.Percent(25)) {
        source["ref"] = "values";
        if (choice.Percent(60)) source.erase("path");
      }
      sources.push_back(std::move(source));
    }
    if (choice.Percent(20)) spec["source"] = RandomGitSource(choice);
  } else if (shape < 98) {
    spec["source"] = RandomGitSource(choice);
    spec["sources"] = json::array();
  }
  if (choice.Percent(4)) {
    spec["sourceHydrator"] = {{"drySource", {{"repoURL", "https://github.com/example/dry"}}}};
  }
  if (choice.Percent(30)) {
    json policy = json::object();
    if (choice.Percent(60)) policy["syncOptions"] = {"CreateNamespace=true", "Prune=false"};
    if (choice.Percent(40)) policy["retry"] = {{"limit", 3}, {"backoff", {{"duration", "5s"}}}};
    if (choice.Percent(40)) policy["automated"] = {{"selfHeal", true}};
    spec["syncPolicy"] = std::move(policy);
  }
  return spec;
}

json RandomMetadata(Choice& choice, const std::string& ns, const std::string& name,
                    absl::Time now) {
  json metadata = {{"namespace", ns},
                   {"name", name},
                   {"uid", "uid-" + name},
                   {"creationTimestamp", Rfc3339(now - absl::Hours(choice.Between(1, 50)))}};
  json annotations = json::object();
  const int authorized = choice.Below(100);
  const char* const kAuthorized = "kargo.akuity.io/authorized-stage";
  if (authorized < 80) {
    annotations[kAuthorized] = "shop:prod";
  } else if (authorized < 86) {
    annotations[kAuthorized] = choice.Of({"shop:test,shop:prod", " shop : prod ,", "shop:prod,"});
  } else if (authorized < 90) {
    annotations[kAuthorized] = "shop:test";
  } else if (authorized < 95) {
    annotations[kAuthorized] =
        choice.Of({"shop:*", "shop", ":prod", "shop:prod,*:*", "", "shop:\nprod", "pay:prod"});
  }
  if (choice.Percent(4)) {
    annotations["argocd.argoproj.io/skip-reconcile"] = choice.Of({"true", "true", "false"});
  }
  if (choice.Percent(8)) annotations["argocd.argoproj.io/refresh"] = choice.Of({"hard", "normal"});
  if (choice.Percent(10)) {
    annotations["argocd.argoproj.io/tracking-id"] = "parent:argoproj.io/Application:argocd/web";
  }
  if (!annotations.empty() || choice.Percent(50)) metadata["annotations"] = std::move(annotations);
  if (choice.Percent(70)) metadata["labels"]["app"] = choice.Of({"shop", "shop", "pay"});
  if (choice.Percent(30)) metadata["labels"]["tier"] = choice.Of({"front", "back"});
  if (choice.Percent(6)) metadata["labels"]["app.kubernetes.io/instance"] = "parent";
  if (choice.Percent(12)) {
    json owner = {{"kind", "ApplicationSet"}, {"name", "all"}};
    if (choice.Percent(50)) owner["controller"] = true;
    metadata["ownerReferences"] = {{{"kind", "Other"}, {"name", "first"}}, std::move(owner)};
  }
  if (choice.Percent(3)) metadata["deletionTimestamp"] = Rfc3339(now - absl::Minutes(1));
  return metadata;
}

json RandomOperation(Choice& choice) {
  json operation = {{"sync", {{"revision", "v1"}}}};
  const int kind = choice.Below(100);
  if (kind < 50) {
    const std::string attempt = choice.Of({"1", "1", "1", "2", "3", "6", "0", "-1", "x"});
    operation["initiatedBy"] = {{"username", "gantry"}, {"automated", true}};
    operation["info"] = {
        {{"name", "Reason"}, {"value", "Promotion"}},
        {{"name", "kargo.akuity.io/promotion"}, {"value", choice.Of({"p1", "p1", "p2", "p3"})}},
        {{"name", "gantry.dev/attempt"}, {"value", attempt}}};
    if (choice.Percent(10)) operation["info"].erase(2);
    if (choice.Percent(5)) {
      operation["info"].push_back({{"name", "kargo.akuity.io/promotion"}, {"value", "late"}});
    }
  } else if (kind < 75) {
    operation["initiatedBy"] = {{"automated", true}};
  } else if (kind < 90) {
    operation["initiatedBy"] = {{"username", "maria"}};
  }
  return operation;
}

// What an operation deployed: `wanted` of each source, where it says anything; else the source's
// targetRevision.
json SyncResult(Choice& choice, const json& application, const json& wanted, bool reached) {
  const json sources = SourcesOf(application);
  json revisions = json::array();
  json deployed = json::array();
  for (std::size_t i = 0; i < sources.size(); ++i) {
    std::string revision = sources[i].value("targetRevision", "HEAD");
    const std::string asked =
        wanted.is_array() && i < wanted.size() ? wanted[i].get<std::string>() : "";
    json source = {{"repoURL", sources[i].value("repoURL", "")}, {"targetRevision", revision}};
    if (!asked.empty()) {
      // A tag is reached by name alone: what is deployed is a commit.
      const bool by_name = reached && choice.Percent(40);
      if (by_name) source["targetRevision"] = asked;
      revision = reached && !by_name ? asked : kCommit;
      if (!reached) source["targetRevision"] = choice.Of({"v0", "other"});
    }
    revisions.push_back(revision);
    deployed.push_back(std::move(source));
  }
  if (choice.Percent(4)) revisions.push_back("v9");
  const bool multi = application["spec"].contains("sources") && sources.size() > 0;
  json result = json::object();
  if (multi && !choice.Percent(3)) {
    result["revisions"] = std::move(revisions);
    result["sources"] = std::move(deployed);
  } else if (!revisions.empty()) {
    result["revision"] = revisions[0];
    if (!deployed.empty()) result["source"] = deployed[0];
  }
  return result;
}

void Complete(Choice& choice, const json& desired, absl::Time now, bool succeeded, bool reached,
              json& application) {
  json& state = application["status"]["operationState"];
  state["phase"] = succeeded ? "Succeeded" : choice.Of({"Failed", "Error"});
  state["message"] = succeeded ? "successfully synced" : "one or more objects failed to apply";
  state["finishedAt"] = Rfc3339(now - absl::Seconds(choice.Below(4)));
  if (choice.Percent(97)) {
    state["syncResult"] = SyncResult(choice, application, desired, reached);
  } else {
    state.erase("syncResult");
  }
}

void Compare(Choice& choice, const json& desired, absl::Time now, json& application) {
  json& status = application["status"];
  const json result = SyncResult(choice, application, desired, choice.Percent(85));
  json sync = {{"status", choice.Percent(80) ? "Synced" : "OutOfSync"}};
  if (result.contains("revisions")) {
    sync["revisions"] = result["revisions"];
    sync["comparedTo"]["sources"] = result["sources"];
  } else if (result.contains("revision")) {
    sync["revision"] = result["revision"];
    if (result.contains("source")) sync["comparedTo"]["source"] = result["source"];
  }
  status["sync"] = std::move(sync);
  status["reconciledAt"] = Rfc3339(now);
  if (application["metadata"].contains("annotations") &&
      application["metadata"]["annotations"].is_object()) {
    application["metadata"]["annotations"].erase("argocd.argoproj.io/refresh");
  }
}

json RandomStatus(Choice& choice, absl::Time now, const json& application) {
  json holder = application;
  json& status = holder["status"] = json::object();
  if (choice.Percent(6)) return status;
  const json any = json::array({"v2", "v2", "v2", "v2"});
  if (choice.Percent(92)) Compare(choice, any, now, holder);
  if (choice.Percent(93)) status["health"] = {{"status", RandomHealth(choice)}};
  if (choice.Percent(10)) status["health"]["message"] = "1 of 2 replicas";
  if (choice.Percent(7)) {
    status["conditions"] = {
        {{"type", choice.Of({"ComparisonError", "InvalidSpecError", "SyncError"})},
         {"message", "cannot render the manifests"}}};
  }
  if (choice.Percent(80)) {
    json state = {{"operation", RandomOperation(choice)},
                  {"startedAt", Rfc3339(now - absl::Minutes(choice.Between(2, 9)))}};
    status["operationState"] = std::move(state);
    if (choice.Percent(15)) {
      status["operationState"]["phase"] = choice.Of({"Running", "Running", "Terminating"});
      status["operationState"]["message"] = "waiting for a hook";
    } else {
      const absl::Duration ago =
          absl::Seconds(choice.Percent(50) ? choice.Below(25) : choice.Below(300));
      Complete(choice, any, now - ago, choice.Percent(75), choice.Percent(70), holder);
    }
    if (status["operationState"].contains("finishedAt") && choice.Percent(70)) {
      // Compared before, in the very second, or after.
      absl::Time finished;
      std::string error;
      absl::ParseTime(absl::RFC3339_full, status["operationState"]["finishedAt"].get<std::string>(),
                      &finished, &error);
      status["reconciledAt"] = Rfc3339(finished + absl::Seconds(choice.Between(-1, 2)));
    }
  }
  if (choice.Percent(5)) status.erase("reconciledAt");
  if (choice.Percent(30)) {
    status["history"] = {{{"id", 1}, {"revision", "v1"}, {"deployedAt", Rfc3339(now)}}};
  }
  return status;
}

// What should not be there is, now and then: a null, or another type.
void Spoil(Choice& choice, json& application) {
  static const std::vector<std::string> kPaths = {"/status",
                                                  "/status/sync",
                                                  "/status/health",
                                                  "/status/operationState",
                                                  "/status/operationState/phase",
                                                  "/status/operationState/finishedAt",
                                                  "/status/operationState/operation",
                                                  "/status/operationState/operation/info",
                                                  "/status/operationState/syncResult",
                                                  "/status/operationState/syncResult/revisions",
                                                  "/status/conditions",
                                                  "/status/reconciledAt",
                                                  "/spec",
                                                  "/spec/source",
                                                  "/spec/source/targetRevision",
                                                  "/spec/source/kustomize",
                                                  "/spec/source/helm",
                                                  "/spec/source/helm/parameters",
                                                  "/spec/sources",
                                                  "/spec/syncPolicy",
                                                  "/spec/syncPolicy/retry",
                                                  "/metadata/annotations",
                                                  "/metadata/ownerReferences",
                                                  "/operation"};
  const json::json_pointer path(choice.Of(kPaths));
  if (!application.contains(path) && choice.Percent(70)) return;
  if (!application.contains(path.parent_pointer()) ||
      !application[path.parent_pointer()].is_object()) {
    return;
  }
  application[path] =
      choice.Percent(60)
          ? json()
          : choice.Of(std::vector<json>{7, "text", json::array({1}), json::object(), true});
}

}  // namespace

std::string Rfc3339(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

std::string RandomRevision(Choice& choice) {
  return choice.Of({"v1", "v1", "v2", "v2", "main", kCommit});
}

std::string RandomHealth(Choice& choice) {
  return choice.Of({"Healthy", "Healthy", "Healthy", "Progressing", "Degraded", "Suspended",
                    "Missing", "Unknown"});
}

json SourcesOf(const json& application) {
  json sources = json::array();
  const auto spec = application.find("spec");
  if (spec == application.end() || !spec->is_object()) return sources;
  if (const auto many = spec->find("sources"); many != spec->end() && many->is_array()) {
    for (const json& source : *many) {
      if (source.is_object()) sources.push_back(source);
    }
  }
  const auto one = spec->find("source");
  if (sources.empty() && one != spec->end() && one->is_object()) sources.push_back(*one);
  for (json& source : sources) {
    for (const char* field : {"targetRevision", "repoURL", "chart"}) {
      if (source.contains(field) && !source[field].is_string()) source.erase(field);
    }
  }
  return sources;
}

json MakeApplication(Choice& choice, const std::string& ns, const std::string& name,
                     absl::Time now) {
  json application = {{"apiVersion", "argoproj.io/v1alpha1"},
                      {"kind", "Application"},
                      {"metadata", RandomMetadata(choice, ns, name, now)},
                      {"spec", RandomSpec(choice)}};
  if (choice.Percent(94)) application["status"] = RandomStatus(choice, now, application);
  if (choice.Percent(7)) application["operation"] = RandomOperation(choice);
  if (choice.Percent(5)) Spoil(choice, application);
  return application;
}

void Evolve(Choice& choice, const json& desired, absl::Time now, json& application) {
  if (!application["metadata"].is_object() || !application["spec"].is_object()) return;
  if (!application.contains("status") || !application["status"].is_object()) {
    application["status"] = json::object();
  }
  json& status = application["status"];
  const auto has_object = [&](const json& in, const char* key) {
    return in.contains(key) && in[key].is_object();
  };

  // Argo CD's next step, most of the time.
  if (choice.Percent(85)) {
    if (has_object(application, "operation")) {
      status["operationState"] = {{"phase", "Running"},
                                  {"message", choice.Of({"", "waiting for healthy state"})},
                                  {"startedAt", Rfc3339(now)},
                                  {"operation", application["operation"]}};
      application.erase("operation");
    }
    const bool runs = has_object(status, "operationState") &&
                      status["operationState"].value("phase", json()) == "Running";
    if (runs && choice.Percent(75)) {
      Complete(choice, desired, now, choice.Percent(70), choice.Percent(72), application);
    }
    if (choice.Percent(60)) Compare(choice, desired, now, application);
    if (choice.Percent(50)) status["health"] = {{"status", RandomHealth(choice)}};
  }

  // And something else, now and then.
  if (choice.Percent(70)) return;
  json& metadata = application["metadata"];
  switch (choice.Below(12)) {
    case 0:  // self-heal takes the place of whatever was there
      status["operationState"] = {
          {"startedAt", Rfc3339(now)},
          {"operation", {{"initiatedBy", {{"automated", true}}}, {"sync", json::object()}}}};
      Complete(choice, desired, now, choice.Percent(85), choice.Percent(80), application);
      break;
    case 1:
    case 2:  // the owner puts the spec back
      if (has_object(application["spec"], "source")) {
        application["spec"]["source"]["targetRevision"] = "v0";
      } else if (application["spec"].contains("sources") &&
                 application["spec"]["sources"].is_array()) {
        for (json& source : application["spec"]["sources"]) {
          if (source.is_object() && choice.Percent(60)) source["targetRevision"] = "v0";
        }
      }
      break;
    case 3:
      metadata["deletionTimestamp"] = Rfc3339(now);
      break;
    case 4:
      if (has_object(metadata, "annotations")) {
        metadata["annotations"].erase("kargo.akuity.io/authorized-stage");
      }
      break;
    case 5:
      if (has_object(metadata, "annotations")) {
        metadata["annotations"]["argocd.argoproj.io/skip-reconcile"] = "true";
      }
      break;
    case 6:
      application["operation"] = RandomOperation(choice);
      break;
    case 7:
      status["operationState"] = {{"operation", RandomOperation(choice)},
                                  {"startedAt", Rfc3339(now)}};
      Complete(choice, desired, now, choice.Percent(60), choice.Percent(60), application);
      break;
    case 8:
      status["conditions"] = {{{"type", "ComparisonError"}, {"message", "no such revision"}}};
      break;
    case 9:
      status.erase("conditions");
      break;
    case 10:
      metadata["labels"]["app"] = choice.Of({"shop", "pay"});
      break;
    default:
      Spoil(choice, application);
  }
}

}  // namespace gantry::verdicts
