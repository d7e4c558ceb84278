// SPDX-License-Identifier: Apache-2.0
#include "server/steps/argocd_update/patch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/steps/argocd_update/match.h"
#include "tests/server/argocd/documents.h"
#include "tests/server/steps/argocd_update/updates.h"

namespace gantry::steps {
namespace {

using argocd::documents::ApplicationDocument;
using argocd::documents::json;
using argocd::documents::Parse;
using argocd::documents::ParseDocument;
using ::testing::ElementsAre;

// Of an Application with this `spec`.
json SpecPatch(const json& spec, const std::vector<SourceUpdate>& updates) {
  json document = ApplicationDocument();
  document["spec"] = spec;
  const argocd::Application application = ParseDocument(document);
  const SourceMatch match = MatchSources(application, updates);
  EXPECT_EQ(match.problem, SourceMatch::Problem::kNone) << match.message;
  return BuildSpecPatch(application, DesiredSources(application, updates, match));
}

struct SpecCase {
  const char* name;
  const char* spec;
  const char* updates;
  const char* patch;
};

void Check(const std::vector<SpecCase>& cases) {
  for (const SpecCase& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(SpecPatch(json::parse(c.spec), Updates(c.updates)), json::parse(c.patch));
  }
}

TEST(BuildSpecPatchTest, TargetRevision) {
  Check({
      {"single source", R"({"source": {"repoURL": "a", "targetRevision": "v1"}})",
       R"([{"repoURL": "a", "desiredRevision": "v2", "updateTargetRevision": true}])",
       R"([{"op": "add", "path": "/spec/source/targetRevision", "value": "v2"}])"},
      {"that has none", R"({"source": {"repoURL": "a"}})",
       R"([{"repoURL": "a", "desiredRevision": "v2", "updateTargetRevision": true}])",
       R"([{"op": "add", "path": "/spec/source/targetRevision", "value": "v2"}])"},
      {"that has null", R"({"source": {"repoURL": "a", "targetRevision": null}})",
       R"([{"repoURL": "a", "desiredRevision": "v2", "updateTargetRevision": true}])",
       R"([{"op": "add", "path": "/spec/source/targetRevision", "value": "v2"}])"},
      {"that has it", R"({"source": {"repoURL": "a", "targetRevision": "v2"}})",
       R"([{"repoURL": "a", "desiredRevision": "v2", "updateTargetRevision": true}])", "[]"},
      {"not to be updated", R"({"source": {"repoURL": "a", "targetRevision": "v1"}})",
       R"([{"repoURL": "a", "desiredRevision": "v2"}])", "[]"},
      {"nothing desired", R"({"source": {"repoURL": "a", "targetRevision": "v1"}})",
       R"([{"repoURL": "a"}])", "[]"},
      {"no updates", R"({"source": {"repoURL": "a", "targetRevision": "v1"}})", "[]", "[]"},
      {"one of several sources", R"({"sources": [{"repoURL": "b"}, {"repoURL": "a"}]})",
       R"([{"repoURL": "a", "desiredRevision": "v2", "updateTargetRevision": true}])",
       R"([{"op": "add", "path": "/spec/sources/1/targetRevision", "value": "v2"}])"},
      {"the only one of sources, beside a source that is overridden",
       R"({"source": {"repoURL": "a"}, "sources": [{"repoURL": "a"}]})",
       R"([{"repoURL": "a", "desiredRevision": "v2", "updateTargetRevision": true}])",
       R"([{"op": "add", "path": "/spec/sources/0/targetRevision", "value": "v2"}])"},
      {"a source beside empty sources", R"({"source": {"repoURL": "a"}, "sources": []})",
       R"([{"repoURL": "a", "desiredRevision": "v2", "updateTargetRevision": true}])",
       R"([{"op": "add", "path": "/spec/source/targetRevision", "value": "v2"}])"},
      {"every source that matches, the changed ones alone",
       R"({"sources": [{"repoURL": "a", "ref": "values", "targetRevision": "v1"},
                       {"repoURL": "b", "targetRevision": "v1"},
                       {"repoURL": "a", "path": "x", "targetRevision": "v2"},
                       {"repoURL": "a", "path": "y", "directory": {}}]})",
       R"([{"repoURL": "a", "desiredRevision": "v2", "updateTargetRevision": true}])",
       R"([{"op": "add", "path": "/spec/sources/0/targetRevision", "value": "v2"},
           {"op": "add", "path": "/spec/sources/3/targetRevision", "value": "v2"}])"},
      {"a chart", R"({"source": {"repoURL": "a", "chart": "web", "targetRevision": "1.0.0"}})",
       R"([{"repoURL": "a", "chart": "web", "desiredRevision": "1.1.0",
            "updateTargetRevision": true}])",
       R"([{"op": "add", "path": "/spec/source/targetRevision", "value": "1.1.0"}])"},
      {"an update that asks for it and one that does not",
       R"({"source": {"repoURL": "a", "targetRevision": "v1"}})",
       R"([{"repoURL": "a", "desiredRevision": "v2", "updateTargetRevision": true},
           {"repoURL": "a", "desiredRevision": "v2"}])",
       R"([{"op": "add", "path": "/spec/source/targetRevision", "value": "v2"}])"},
  });
}

TEST(BuildSpecPatchTest, KustomizeImages) {
  constexpr const char* kUpdate =
      R"([{"repoURL": "a", "kustomize": {"images": [{"repoURL": "reg/web", "tag": "2"}]}}])";
  Check({
      {"no kustomize", R"({"source": {"repoURL": "a"}})", kUpdate,
       R"([{"op": "add", "path": "/spec/source/kustomize", "value": {"images": ["reg/web:2"]}}])"},
      {"null kustomize", R"({"source": {"repoURL": "a", "kustomize": null}})", kUpdate,
       R"([{"op": "add", "path": "/spec/source/kustomize", "value": {"images": ["reg/web:2"]}}])"},
      {"empty kustomize", R"({"source": {"repoURL": "a", "kustomize": {}}})", kUpdate,
       R"([{"op": "add", "path": "/spec/source/kustomize/images", "value": ["reg/web:2"]}])"},
      {"kustomize without images",
       R"({"source": {"repoURL": "a", "kustomize": {"namePrefix": "x-"}}})", kUpdate,
       R"([{"op": "add", "path": "/spec/source/kustomize/images", "value": ["reg/web:2"]}])"},
      {"null images", R"({"source": {"repoURL": "a", "kustomize": {"images": null}}})", kUpdate,
       R"([{"op": "add", "path": "/spec/source/kustomize/images", "value": ["reg/web:2"]}])"},
      {"empty images", R"({"source": {"repoURL": "a", "kustomize": {"images": []}}})", kUpdate,
       R"([{"op": "add", "path": "/spec/source/kustomize/images", "value": ["reg/web:2"]}])"},
      {"the same images", R"({"source": {"repoURL": "a", "kustomize": {"images": ["reg/web:2"]}}})",
       kUpdate, "[]"},
      {"other images, of which none stays",
       R"({"source": {"repoURL": "a", "kustomize": {"images": ["reg/web:1", "reg/db:7"]}}})",
       kUpdate,
       R"([{"op": "add", "path": "/spec/source/kustomize/images", "value": ["reg/web:2"]}])"},
      {"the same among others",
       R"({"source": {"repoURL": "a", "kustomize": {"images": ["reg/web:2", "reg/db:7"]}}})",
       kUpdate,
       R"([{"op": "add", "path": "/spec/source/kustomize/images", "value": ["reg/web:2"]}])"},
      {"of several sources, the first that renders",
       R"({"sources": [{"repoURL": "a", "ref": "values"}, {"repoURL": "a", "path": "x"},
                       {"repoURL": "a", "path": "y"}]})",
       kUpdate,
       R"([{"op": "add", "path": "/spec/sources/1/kustomize",
            "value": {"images": ["reg/web:2"]}}])"},
      {"every form of an image, in the update's order", R"({"source": {"repoURL": "a"}})",
       R"([{"repoURL": "a", "kustomize": {"images": [
            {"repoURL": "z", "tag": "1"},
            {"repoURL": "z", "digest": "sha256:0a"},
            {"repoURL": "z", "newName": "reg:5000/y"},
            {"repoURL": "z", "newName": "y", "tag": "1"},
            {"repoURL": "z", "newName": "y", "digest": "sha256:0a"},
            {"repoURL": "b", "tag": "1"}]}}])",
       R"([{"op": "add", "path": "/spec/source/kustomize", "value": {"images": [
            "z:1", "z@sha256:0a", "z=reg:5000/y", "z=y:1", "z=y@sha256:0a", "b:1"]}}])"},
      {"the same in another order",
       R"({"source": {"repoURL": "a", "kustomize": {"images": ["b:1", "a:1"]}}})",
       R"([{"repoURL": "a", "kustomize": {"images": [{"repoURL": "a", "tag": "1"},
                                                     {"repoURL": "b", "tag": "1"}]}}])",
       R"([{"op": "add", "path": "/spec/source/kustomize/images", "value": ["a:1", "b:1"]}])"},
      {"of two updates on one source the later replaces the list",
       R"({"source": {"repoURL": "a"}})",
       R"([{"repoURL": "a", "kustomize": {"images": [{"repoURL": "x", "tag": "1"}]}},
           {"repoURL": "a", "kustomize": {"images": [{"repoURL": "y", "tag": "2"}]}}])",
       R"([{"op": "add", "path": "/spec/source/kustomize", "value": {"images": ["y:2"]}}])"},
  });
}

TEST(BuildSpecPatchTest, HelmParameters) {
  constexpr const char* kUpdate =
      R"([{"repoURL": "a", "helm": {"images": [{"key": "image.tag", "value": "2"}]}}])";
  Check({
      {"no helm", R"({"source": {"repoURL": "a"}})", kUpdate,
       R"([{"op": "add", "path": "/spec/source/helm",
            "value": {"parameters": [{"name": "image.tag", "value": "2"}]}}])"},
      {"null helm", R"({"source": {"repoURL": "a", "helm": null}})", kUpdate,
       R"([{"op": "add", "path": "/spec/source/helm",
            "value": {"parameters": [{"name": "image.tag", "value": "2"}]}}])"},
      {"helm without parameters",
       R"({"source": {"repoURL": "a", "helm": {"valuesObject": {"replicas": null}}}})", kUpdate,
       R"([{"op": "add", "path": "/spec/source/helm/parameters",
            "value": [{"name": "image.tag", "value": "2"}]}])"},
      {"null parameters", R"({"source": {"repoURL": "a", "helm": {"parameters": null}}})", kUpdate,
       R"([{"op": "add", "path": "/spec/source/helm/parameters",
            "value": [{"name": "image.tag", "value": "2"}]}])"},
      {"empty parameters", R"({"source": {"repoURL": "a", "helm": {"parameters": []}}})", kUpdate,
       R"([{"op": "add", "path": "/spec/source/helm/parameters",
            "value": [{"name": "image.tag", "value": "2"}]}])"},
      {"one of the name, in place",
       R"({"source": {"repoURL": "a", "helm": {"parameters": [
           {"name": "x", "value": "1"}, {"name": "image.tag", "value": "1"},
           {"name": "y", "value": "1"}]}}})",
       kUpdate,
       R"([{"op": "add", "path": "/spec/source/helm/parameters/1/value",
            "value": "2"}])"},
      {"one of the name keeps the rest",
       R"({"source": {"repoURL": "a", "helm": {"parameters": [
           {"name": "image.tag", "value": "1", "forceString": true}]}}})",
       kUpdate,
       R"([{"op": "add", "path": "/spec/source/helm/parameters/0/value",
            "value": "2"}])"},
      {"one of the name with the value it has already",
       R"({"source": {"repoURL": "a", "helm": {"parameters": [
           {"name": "image.tag", "value": "2", "forceString": true}]}}})",
       kUpdate, "[]"},
      {"one of the name without a value",
       R"({"source": {"repoURL": "a", "helm": {"parameters": [{"name": "image.tag"}]}}})", kUpdate,
       R"([{"op": "add", "path": "/spec/source/helm/parameters/0/value",
            "value": "2"}])"},
      {"one of the name with the value",
       R"({"source": {"repoURL": "a", "helm": {"parameters": [
           {"name": "image.tag", "value": "2"}]}}})",
       kUpdate, "[]"},
      {"several of the name, of which the last one counts",
       R"({"source": {"repoURL": "a", "helm": {"parameters": [
           {"name": "image.tag", "value": "1"}, {"name": "x", "value": "1"},
           {"name": "image.tag", "value": "2"}, {"name": "image.tag", "value": "3"}]}}})",
       kUpdate,
       R"([{"op": "add", "path": "/spec/source/helm/parameters/0/value",
            "value": "2"},
           {"op": "add", "path": "/spec/source/helm/parameters/3/value",
            "value": "2"}])"},
      {"a name in other case is another",
       R"({"source": {"repoURL": "a", "helm": {"parameters": [
           {"name": "Image.Tag", "value": "1"}]}}})",
       kUpdate,
       R"([{"op": "add", "path": "/spec/source/helm/parameters/-",
            "value": {"name": "image.tag", "value": "2"}}])"},
      {"parameters without a name are left alone",
       R"({"source": {"repoURL": "a", "helm": {"parameters": [
           {}, {"name": null, "value": "1"}, {"value": "image.tag"}]}}})",
       kUpdate,
       R"([{"op": "add", "path": "/spec/source/helm/parameters/-",
            "value": {"name": "image.tag", "value": "2"}}])"},
      {"new ones are appended in the update's order",
       R"({"source": {"repoURL": "a", "helm": {"parameters": [{"name": "m", "value": "1"}]}}})",
       R"([{"repoURL": "a", "helm": {"images": [{"key": "z", "value": "1"},
            {"key": "m", "value": "2"}, {"key": "b", "value": "3"}]}}])",
       R"([{"op": "add", "path": "/spec/source/helm/parameters/0/value",
            "value": "2"},
           {"op": "add", "path": "/spec/source/helm/parameters/-",
            "value": {"name": "z", "value": "1"}},
           {"op": "add", "path": "/spec/source/helm/parameters/-",
            "value": {"name": "b", "value": "3"}}])"},
      {"an empty value",
       R"({"source": {"repoURL": "a", "helm": {"parameters": [{"name": "m", "value": "1"}]}}})",
       R"([{"repoURL": "a", "helm": {"images": [{"key": "m", "value": ""}]}}])",
       R"([{"op": "add", "path": "/spec/source/helm/parameters/0/value",
            "value": ""}])"},
      {"a key that comes twice has the later value, once", R"({"source": {"repoURL": "a"}})",
       R"([{"repoURL": "a", "helm": {"images": [{"key": "m", "value": "1"},
                                                {"key": "m", "value": "2"}]}}])",
       R"([{"op": "add", "path": "/spec/source/helm",
            "value": {"parameters": [{"name": "m", "value": "2"}]}}])"},
      {"two updates on one source, in order",
       R"({"source": {"repoURL": "a", "helm": {"parameters": [{"name": "m", "value": "1"}]}}})",
       R"([{"repoURL": "a", "helm": {"images": [{"key": "m", "value": "2"},
                                                {"key": "z", "value": "1"}]}},
           {"repoURL": "a", "helm": {"images": [{"key": "b", "value": "1"},
                                                {"key": "z", "value": "2"}]}}])",
       R"([{"op": "add", "path": "/spec/source/helm/parameters/0/value",
            "value": "2"},
           {"op": "add", "path": "/spec/source/helm/parameters/-",
            "value": {"name": "z", "value": "2"}},
           {"op": "add", "path": "/spec/source/helm/parameters/-",
            "value": {"name": "b", "value": "1"}}])"},
      {"of several sources, the first that renders and is not of another type",
       R"({"sources": [{"repoURL": "a", "kustomize": {}}, {"repoURL": "a", "path": "x"}]})",
       kUpdate,
       R"([{"op": "add", "path": "/spec/sources/1/helm",
            "value": {"parameters": [{"name": "image.tag", "value": "2"}]}}])"},
  });
}

TEST(BuildSpecPatchTest, SeveralUpdatesAtOnce) {
  Check({
      {"revision and images of several sources",
       R"({"sources": [{"repoURL": "a", "path": "x", "targetRevision": "v1",
                        "kustomize": {"images": ["reg/web:1"]}},
                       {"repoURL": "charts", "chart": "db", "targetRevision": "1.0.0",
                        "helm": {"parameters": [{"name": "tag", "value": "1"}]}},
                       {"repoURL": "other", "targetRevision": "main"}]})",
       R"([{"repoURL": "charts", "chart": "db", "desiredRevision": "1.1.0",
            "updateTargetRevision": true, "helm": {"images": [{"key": "tag", "value": "2"}]}},
           {"repoURL": "a", "desiredRevision": "v2", "updateTargetRevision": true,
            "kustomize": {"images": [{"repoURL": "reg/web", "tag": "2"}]}}])",
       R"([{"op": "add", "path": "/spec/sources/0/targetRevision", "value": "v2"},
           {"op": "add", "path": "/spec/sources/0/kustomize/images", "value": ["reg/web:2"]},
           {"op": "add", "path": "/spec/sources/1/targetRevision", "value": "1.1.0"},
           {"op": "add", "path": "/spec/sources/1/helm/parameters/0/value",
            "value": "2"}])"},
      {"both kinds of images, on two sources of one repository",
       R"({"sources": [{"repoURL": "a", "path": "x"}, {"repoURL": "a", "path": "y"}]})",
       R"([{"repoURL": "a", "kustomize": {"images": [{"repoURL": "i", "tag": "1"}]}},
           {"repoURL": "a", "helm": {"images": [{"key": "k", "value": "1"}]}}])",
       R"([{"op": "add", "path": "/spec/sources/0/kustomize", "value": {"images": ["i:1"]}},
           {"op": "add", "path": "/spec/sources/1/helm",
            "value": {"parameters": [{"name": "k", "value": "1"}]}}])"},
  });
}

TEST(DesiredSourcesTest, TargetRevisionsThatAreToBeUpdatedChangedOrNot) {
  const argocd::Application application = Parse(R"({"spec": {"sources": [
      {"repoURL": "a", "targetRevision": "v2"}, {"repoURL": "b"}, {"repoURL": "c"},
      {"repoURL": "a", "targetRevision": "v1"}]}})");
  const std::vector<SourceUpdate> updates = Updates(
      R"([{"repoURL": "b", "desiredRevision": "w2"},
          {"repoURL": "a", "desiredRevision": "v2", "updateTargetRevision": true},
          {"repoURL": "c"}])");
  const auto targets = [&](const std::vector<SourceUpdate>& given) {
    std::vector<std::string> revisions;
    for (const argocd::DesiredSource& source :
         DesiredSources(application, given, MatchSources(application, given))) {
      revisions.push_back(source.target_revision);
    }
    return revisions;
  };
  EXPECT_THAT(targets(updates), ElementsAre("v2", "", "", "v2"));
  EXPECT_THAT(targets({}), ElementsAre("", "", "", ""));
}

OperationRequest Request() {
  OperationRequest request;
  request.promotion = "p-1";
  request.project = "shop";
  request.stage = "prod";
  return request;
}

// The patch that changes nothing in the spec of this Application.
json PatchOf(const json& document, const OperationRequest& request) {
  argocd::LiveParts live;
  const argocd::Application application = ParseDocument(document, &live);
  return BuildPatch(application, live, json::array(), request);
}

TEST(BuildPatchTest, IsAllThatAWriteChanges) {
  argocd::LiveParts live;
  const argocd::Application application = Parse(R"({
    "metadata": {"resourceVersion": "4711"},
    "spec": {"syncPolicy": {"syncOptions": ["CreateNamespace=true", "Prune=false"],
                            "retry": {"limit": 3, "backoff": {"duration": "5s", "factor": 2}},
                            "automated": {"prune": true}}},
    "operation": null,
    "status": {"operationState": {"phase": "Failed"}, "sync": {}}
  })",
                                                &live);
  const json spec_patch =
      json::parse(R"([{"op": "add", "path": "/spec/source/targetRevision", "value": "v2"}])");
  OperationRequest request = Request();
  request.attempt = 3;
  EXPECT_EQ(BuildPatch(application, live, spec_patch, request), json::parse(R"([
    {"op": "replace", "path": "/metadata/resourceVersion", "value": "4711"},
    {"op": "add", "path": "/metadata/annotations/argocd.argoproj.io~1refresh", "value": "hard"},
    {"op": "add", "path": "/spec/source/targetRevision", "value": "v2"},
    {"op": "add", "path": "/operation", "value": {
      "initiatedBy": {"username": "gantry", "automated": true},
      "info": [
        {"name": "Reason", "value": "Promotion p-1 of Stage shop/prod"},
        {"name": "kargo.akuity.io/promotion", "value": "p-1"},
        {"name": "gantry.dev/attempt", "value": "3"}
      ],
      "sync": {"syncOptions": ["CreateNamespace=true", "Prune=false"]},
      "retry": {"limit": 3, "backoff": {"duration": "5s", "factor": 2}}
    }},
    {"op": "remove", "path": "/status/operationState"}
  ])"));
}

TEST(BuildPatchTest, WithNothingToChangeInTheSpecItStillStartsAnOperation) {
  EXPECT_EQ(PatchOf(ApplicationDocument(), Request()), json::parse(R"([
    {"op": "replace", "path": "/metadata/resourceVersion", "value": "70"},
    {"op": "add", "path": "/metadata/annotations/argocd.argoproj.io~1refresh", "value": "hard"},
    {"op": "add", "path": "/operation", "value": {
      "initiatedBy": {"username": "gantry", "automated": true},
      "info": [
        {"name": "Reason", "value": "Promotion p-1 of Stage shop/prod"},
        {"name": "kargo.akuity.io/promotion", "value": "p-1"},
        {"name": "gantry.dev/attempt", "value": "1"}
      ],
      "sync": {}
    }},
    {"op": "add", "path": "/status", "value": {}}
  ])"));
}

json OperationOf(const json& patch) {
  for (const json& op : patch) {
    if (op["path"] == "/operation") return op["value"];
  }
  return nullptr;
}

TEST(BuildPatchTest, AnActorMakesItAManualSync) {
  OperationRequest request = Request();
  EXPECT_EQ(OperationOf(PatchOf(ApplicationDocument(), request))["initiatedBy"],
            json::parse(R"({"username": "gantry", "automated": true})"));
  request.default_initiator = "kargo-gantry";
  EXPECT_EQ(OperationOf(PatchOf(ApplicationDocument(), request))["initiatedBy"],
            json::parse(R"({"username": "kargo-gantry", "automated": true})"));
  request.actor = "alice@example.com";
  EXPECT_EQ(OperationOf(PatchOf(ApplicationDocument(), request))["initiatedBy"],
            json::parse(R"({"username": "alice@example.com"})"));
}

TEST(BuildPatchTest, SyncOptionsAndRetryAreTakenFromThePolicyAsTheyAre) {
  const struct {
    const char* name;
    const char* sync_policy;
    const char* sync;
    const char* retry;  // "" for no such member
  } cases[] = {
      {"no policy", "null", "{}", ""},
      {"an empty policy", "{}", "{}", ""},
      {"nulls", R"({"syncOptions": null, "retry": null})", "{}", ""},
      {"options alone", R"({"syncOptions": ["a=b"]})", R"({"syncOptions": ["a=b"]})", ""},
      {"empty options", R"({"syncOptions": []})", R"({"syncOptions": []})", ""},
      {"retry alone", R"({"retry": {"limit": -1}})", "{}", R"({"limit": -1})"},
      {"retry with what nobody here knows",
       R"({"retry": {"limit": 2, "refresh": true, "backoff": {"factor": null}}})", "{}",
       R"({"limit": 2, "refresh": true, "backoff": {"factor": null}})"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    json document = ApplicationDocument();
    document["spec"]["syncPolicy"] = json::parse(c.sync_policy);
    const json operation = OperationOf(PatchOf(document, Request()));
    EXPECT_EQ(operation["sync"], json::parse(c.sync));
    EXPECT_EQ(operation.contains("retry"), std::string_view(c.retry) != "");
    if (operation.contains("retry")) {
      EXPECT_EQ(operation["retry"], json::parse(c.retry));
    }
  }
}

TEST(BuildPatchTest, TheStatusExistsAfterwardsWithoutAnOperationState) {
  const struct {
    const char* name;
    const char* changes;
    const char* op;  // the one below /status; null for none
  } cases[] = {
      {"absent", "{}", R"({"op": "add", "path": "/status", "value": {}})"},
      {"null", R"({"status": null})", R"({"op": "add", "path": "/status", "value": {}})"},
      {"empty", R"({"status": {}})", "null"},
      {"without operationState", R"({"status": {"sync": {"status": "Synced"}}})", "null"},
      {"with operationState", R"({"status": {"operationState": {"phase": "Failed"}}})",
       R"({"op": "remove", "path": "/status/operationState"})"},
      {"with an empty operationState", R"({"status": {"operationState": {}}})",
       R"({"op": "remove", "path": "/status/operationState"})"},
      {"with a null operationState", R"({"status": {"operationState": null}})",
       R"({"op": "remove", "path": "/status/operationState"})"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const json patch = PatchOf(ApplicationDocument(c.changes), Request());
    json found;
    for (const json& op : patch) {
      if (op["path"].get<std::string>().rfind("/status", 0) == 0) {
        EXPECT_TRUE(found.is_null());
        found = op;
      }
    }
    EXPECT_EQ(found, json::parse(c.op));

    const json after = ApplicationDocument(c.changes).patch(patch);
    EXPECT_TRUE(after["status"].is_object());
    EXPECT_FALSE(after["status"].contains("operationState"));
  }
}

TEST(BuildPatchTest, ARefreshOrAnOperationThatIsThereIsReplaced) {
  const char* changes = R"({
      "metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal", "a~b/c": "kept"}},
      "operation": null})";
  const json after =
      ApplicationDocument(changes).patch(PatchOf(ApplicationDocument(changes), Request()));
  EXPECT_EQ(after["metadata"]["annotations"],
            json::parse(R"({"argocd.argoproj.io/refresh": "hard", "a~b/c": "kept",
                            "kargo.akuity.io/authorized-stage": "shop:prod"})"));
  EXPECT_TRUE(after["operation"].is_object());
}

TEST(BuildPatchTest, NamesInWordsAreKeptAsTheyAre) {
  OperationRequest request = Request();
  request.promotion = "p \"1\"/~\n";
  request.actor = "\u00C9va \\ \"x\"";
  json document = ApplicationDocument();
  const json patch = PatchOf(document, request);
  // Through text, as it is sent.
  const argocd::Application after = ParseDocument(document.patch(json::parse(patch.dump())));
  ASSERT_TRUE(after.operation.has_value());
  EXPECT_EQ(*after.operation->promotion, request.promotion);
  EXPECT_EQ(after.operation->initiated_by, request.actor);
}

TEST(DescribeWriteTest, SaysWhoSyncsToWhat) {
  const struct {
    const char* name;
    const char* spec;
    std::vector<std::string> given;
    const char* actor;
    const char* words;
  } cases[] = {
      {"a given revision",
       R"({"source": {"repoURL": "a", "targetRevision": "v1"}})",
       {"v2"},
       "",
       "gantry initiated sync to v2"},
      {"the revision that is there",
       R"({"source": {"repoURL": "a", "targetRevision": "v1"}})",
       {""},
       "",
       "gantry initiated sync to v1"},
      {"Argo CD's default revision",
       R"({"source": {"repoURL": "a"}})",
       {""},
       "",
       "gantry initiated sync to HEAD"},
      {"an actor",
       R"({"source": {"repoURL": "a", "targetRevision": "v1"}})",
       {""},
       "alice",
       "alice initiated sync to v1"},
      {"several sources",
       R"({"sources": [{"repoURL": "a", "targetRevision": "v1"}, {"repoURL": "b"}]})",
       {"v2", ""},
       "",
       "gantry initiated sync to 2 sources"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    json document = ApplicationDocument();
    document["spec"] = json::parse(c.spec);
    OperationRequest request = Request();
    request.actor = c.actor;
    std::vector<argocd::DesiredSource> desired;
    for (const std::string& given : c.given) desired.push_back({.target_revision = given});
    EXPECT_EQ(DescribeWrite(ParseDocument(document), desired, request), c.words);
  }
  json without_source = ApplicationDocument();
  without_source["spec"] = json::object();
  EXPECT_EQ(DescribeWrite(ParseDocument(without_source), {}, Request()),
            "gantry initiated sync to its source");
}

// Makes Applications of all shapes, and updates for them. The same seed makes the same.
class Generator {
 public:
  explicit Generator(std::uint32_t seed) : random_(seed) {}

  json Document() {
    json document = ApplicationDocument(R"({
      "metadata": {"labels": {"team": "a"}, "finalizers": ["f"], "unknown": {"n": null},
                   "managedFields": [{"manager": "argocd"}]},
      "unknown": [null, {"n": null}, 1.5]
    })");
    document["metadata"]["resourceVersion"] = std::to_string(1 + Below(1'000'000));
    if (Chance()) document["metadata"]["annotations"]["argocd.argoproj.io/refresh"] = "normal";
    if (Chance()) document["operation"] = nullptr;
    json& spec = document["spec"];
    spec = {{"destination", {{"namespace", "shop"}, {"server", nullptr}}}, {"project", "default"}};
    if (Chance()) spec["source"] = ASource();
    if (Chance() || !spec.contains("source")) {
      spec["sources"] = json::array();
      for (int n = Below(4) + (spec.contains("source") ? 0 : 1); n > 0; --n) {
        spec["sources"].push_back(ASource());
      }
    }
    if (Chance()) {
      spec["syncPolicy"] = Pick({R"({})", R"({"automated": {"prune": null}})",
                                 R"({"syncOptions": ["a=b"], "retry": {"limit": 2, "x": null}})",
                                 R"({"syncOptions": null, "retry": null})"});
    }
    if (Chance()) {
      document["status"] =
          Pick({"null", "{}", R"({"sync": {"status": "Synced"}, "history": [{"id": 1}]})",
                R"({"operationState": {"phase": "Failed", "syncResult": null}, "x": null})",
                R"({"operationState": null, "health": {}})"});
    }
    return document;
  }

  std::vector<SourceUpdate> SomeUpdates() {
    std::vector<SourceUpdate> updates(static_cast<std::size_t>(1 + Below(3)));
    for (SourceUpdate& update : updates) {
      update.repo_url = ARepository();
      if (Below(4) == 0) update.chart = "web";
      if (Chance()) {
        update.desired_revision = "v" + std::to_string(1 + Below(2));
        update.update_target_revision = Below(4) != 0;
      }
      switch (Below(4)) {
        case 0:
          for (int n = 1 + Below(3); n > 0; --n) {
            update.kustomize_images.push_back({"reg/" + ALetter(), "", ALetter(), ""});
          }
          break;
        case 1:
          for (int n = 1 + Below(3); n > 0; --n) update.helm_images.push_back({ALetter(), "2"});
          break;
      }
    }
    return updates;
  }

 private:
  int Below(int limit) { return static_cast<int>(random_() % static_cast<std::uint32_t>(limit)); }
  bool Chance() { return Below(2) == 0; }
  json Pick(std::vector<const char*> literals) {
    return json::parse(
        literals[static_cast<std::size_t>(Below(static_cast<int>(literals.size())))]);
  }
  std::string ALetter() { return std::string(1, static_cast<char>('p' + Below(4))); }
  std::string ARepository() { return Chance() ? "https://git.example/a" : "https://git.example/b"; }

  json ASource() {
    json source = {{"repoURL", ARepository()}, {"unknown", {{"n", nullptr}}}};
    if (Below(4) == 0) source["chart"] = "web";
    if (Chance()) source["path"] = "x";
    if (Below(4) == 0) source["ref"] = "values";
    if (Below(3) > 0) source["targetRevision"] = Pick({"null", R"("v1")", R"("v2")", R"("main")"});
    switch (Below(5)) {
      case 0:
        source["kustomize"] = Pick({"null", "{}", R"({"namePrefix": null})",
                                    R"({"images": null, "patches": [{"x": null}]})",
                                    R"({"images": []})", R"({"images": ["reg/p:p", "reg/q:q"]})"});
        break;
      case 1:
      case 2:
        source["helm"] =
            Pick({"null", "{}", R"({"parameters": null, "valuesObject": {"replicas": null}})",
                  R"({"valuesObject": {"a": {"b": null, "c": [null, 1e3]}}, "unknown": null})",
                  R"({"parameters": [], "valuesObject": {"a": null}})",
                  R"({"parameters": [{"name": "p", "value": "1", "forceString": true},
                                     {"name": "z", "value": null, "unknown": 1},
                                     {"name": "q", "value": "2"}, {"value": "x"},
                                     {"name": "p", "value": "2"}],
                      "valuesObject": {"a": null}})"});
        break;
      case 3:
        if (Chance()) source["directory"] = json::object();
        break;
    }
    return source;
  }

  std::mt19937 random_;
};

// `document` without what a write of `match` may change. Where it may create something to put its
// leaf into, that is created first.
json WithoutWhatMayChange(json document, bool multi_source,
                          const std::vector<SourceUpdate>& updates, const SourceMatch& match) {
  document["metadata"].erase("resourceVersion");
  document["metadata"]["annotations"].erase("argocd.argoproj.io/refresh");
  document.erase("operation");
  if (document["status"].is_null()) document["status"] = json::object();
  document["status"].erase("operationState");
  const auto source = [&](int index) -> json& {
    json& spec = document["spec"];
    return multi_source ? spec["sources"][static_cast<std::size_t>(index)] : spec["source"];
  };
  const auto erase = [](json& object, const char* key) {
    if (object.is_null()) object = json::object();
    object.erase(key);
  };
  for (std::size_t u = 0; u < updates.size(); ++u) {
    const SourceMatch::Target& target = match.targets[u];
    if (updates[u].update_target_revision) {
      for (const int index : target.sources) source(index).erase("targetRevision");
    }
    if (target.kustomize_source >= 0) erase(source(target.kustomize_source)["kustomize"], "images");
    if (target.helm_source >= 0) erase(source(target.helm_source)["helm"], "parameters");
  }
  return document;
}

// What the updates say about one source, found in the plainest way.
void CheckSource(const json& before, json after, int index,
                 const std::vector<SourceUpdate>& updates, const SourceMatch& match) {
  std::string revision;
  json images;
  std::vector<std::pair<std::string, std::string>> values;  // of helm parameters, in order
  for (std::size_t u = 0; u < updates.size(); ++u) {
    const SourceMatch::Target& target = match.targets[u];
    for (const int source : target.sources) {
      if (source == index && updates[u].update_target_revision) {
        revision = updates[u].desired_revision;
      }
    }
    if (target.kustomize_source == index) {
      images = json::array();
      for (const KustomizeImage& image : updates[u].kustomize_images) {
        images.push_back(image.repo_url + ":" + image.tag);
      }
    }
    if (target.helm_source == index) {
      for (const HelmImage& image : updates[u].helm_images) {
        values.emplace_back(image.key, image.value);
      }
    }
  }
  if (!revision.empty()) {
    EXPECT_EQ(after["targetRevision"], revision);
  }
  if (!images.is_null()) {
    EXPECT_EQ(after["kustomize"]["images"], images);
  }
  if (values.empty()) return;

  json parameters = json::array();
  if (before.contains("helm") && before["helm"].is_object() &&
      before["helm"].contains("parameters") && before["helm"]["parameters"].is_array()) {
    parameters = before["helm"]["parameters"];
  }
  for (const auto& [name, value] : values) {
    const json wanted = {{"name", name}, {"value", value}};
    bool found = false;
    for (json& parameter : parameters) {
      if (!parameter.contains("name") || parameter["name"] != name) continue;
      parameter["value"] = value;
      found = true;
    }
    if (!found) parameters.push_back(wanted);
  }
  EXPECT_EQ(after["helm"]["parameters"], parameters);
}

TEST(BuildPatchTest, ChangesNothingElseAndIsDoneAfterwards) {
  int written = 0;
  int with_spec_changes = 0;
  int without_spec_changes = 0;
  int with_values_object = 0;
  for (std::uint32_t seed = 0; seed < 600; ++seed) {
    Generator generate(seed);
    const json before = generate.Document();
    const std::vector<SourceUpdate> updates = generate.SomeUpdates();
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + before.dump());

    argocd::LiveParts live;
    const argocd::Application application = ParseDocument(before, &live);
    const SourceMatch match = MatchSources(application, updates);
    if (match.problem != SourceMatch::Problem::kNone) continue;
    const json spec_patch =
        BuildSpecPatch(application, DesiredSources(application, updates, match));
    const json patch = BuildPatch(application, live, spec_patch, Request());
    SCOPED_TRACE("patch: " + patch.dump());
    ASSERT_EQ(patch[0]["op"], "replace");
    ASSERT_EQ(patch[0]["path"], "/metadata/resourceVersion");
    ASSERT_EQ(patch[0]["value"], before["metadata"]["resourceVersion"]);

    json after;
    ASSERT_NO_THROW(after = before.patch(patch));
    ++written;
    ++(spec_patch.empty() ? without_spec_changes : with_spec_changes);
    if (before.dump().find("valuesObject") != std::string::npos) ++with_values_object;

    EXPECT_EQ(WithoutWhatMayChange(after, application.multi_source, updates, match),
              WithoutWhatMayChange(before, application.multi_source, updates, match));
    for (std::size_t i = 0; i < application.sources.size(); ++i) {
      const auto source = [&](const json& document) {
        const json& spec = document["spec"];
        return application.multi_source ? spec["sources"][i] : spec["source"];
      };
      CheckSource(source(before), source(after), static_cast<int>(i), updates, match);
    }

    const argocd::Application again = ParseDocument(after);
    const SourceMatch match_again = MatchSources(again, updates);
    ASSERT_EQ(match_again.problem, SourceMatch::Problem::kNone) << match_again.message;
    EXPECT_EQ(match_again.desired_revisions, match.desired_revisions);
    for (std::size_t u = 0; u < updates.size(); ++u) {
      EXPECT_EQ(match_again.targets[u].sources, match.targets[u].sources);
      EXPECT_EQ(match_again.targets[u].kustomize_source, match.targets[u].kustomize_source);
      EXPECT_EQ(match_again.targets[u].helm_source, match.targets[u].helm_source);
    }
    EXPECT_EQ(BuildSpecPatch(again, DesiredSources(again, updates, match_again)), json::array());
    if (HasFailure()) return;  // one document tells enough
  }
  // The generator reaches what it is for.
  EXPECT_GT(written, 60);
  EXPECT_GT(with_spec_changes, 40);
  EXPECT_GT(without_spec_changes, 5);
  EXPECT_GT(with_values_object, 20);
  RecordProperty("written", written);
}

}  // namespace
}  // namespace gantry::steps
