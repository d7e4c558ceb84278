// SPDX-License-Identifier: Apache-2.0
#include "server/argocd/observed_application.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "server/argocd/annotations.h"
#include "server/kubernetes/api/json_text.h"
#include "tests/server/argocd/documents.h"

namespace gantry::argocd {
namespace {

using base::InternedString;
using documents::ApplicationDocument;
using nlohmann::json;
using ::testing::HasSubstr;

absl::Status ObserveText(std::string text, ObservedApplication& application) {
  return ObserveApplication(kubernetes::JsonText(std::move(text)).padded(), application);
}
ObservedApplication ObserveDocument(const json& document) {
  ObservedApplication application;
  const absl::Status status = ObserveText(document.dump(), application);
  EXPECT_TRUE(status.ok()) << status;
  return application;
}
ObservedApplication Observe(const char* changes = "{}") {
  return ObserveDocument(ApplicationDocument(changes));
}
std::vector<InternedString> Texts(const std::vector<std::string>& texts) {
  std::vector<InternedString> interned;
  for (const std::string& text : texts) interned.emplace_back(text);
  return interned;
}
absl::Time Time(const char* text) {
  absl::Time time;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, text, &time, nullptr));
  return time;
}

constexpr const char* kEverything = R"({
  "apiVersion": "argoproj.io/v1alpha1",
  "metadata": {
    "namespace": "argocd", "name": "shop", "uid": "u1", "resourceVersion": "70",
    "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-02T00:00:00Z",
    "labels": {"b": "2", "a": "1"},
    "annotations": {"kargo.akuity.io/authorized-stage": "shop:prod", "other": "x",
                    "argocd.argoproj.io/refresh": "hard",
                    "argocd.argoproj.io/skip-reconcile": "true"}},
  "spec": {
    "source": {"repoURL": "ignored, for there are sources"},
    "sources": [
      {"repoURL": "r1", "chart": "c1", "targetRevision": "t1", "helm": {"parameters": []}},
      {"repoURL": "r2", "ref": "values"},
      {"repoURL": "r3", "path": "p", "kustomize": {}, "directory": {}, "plugin": {"name": "x"}}],
    "sourceHydrator": {"drySource": {}}},
  "operation": {"initiatedBy": {"username": "ann", "automated": true}, "sync": {},
    "info": [{"name": "Reason", "value": "r"}, {"name": "gantry.dev/attempt", "value": "2"},
             {"name": "kargo.akuity.io/promotion", "value": "p1"},
             {"name": "kargo.akuity.io/promotion", "value": "p2"}]},
  "status": {
    "operationState": {"phase": "Failed", "message": "m", "startedAt": "2026-01-03T00:00:00Z",
      "finishedAt": "2026-01-04T00:00:00Z", "operation": {"initiatedBy": {"username": "bob"}},
      "syncResult": {"revisions": ["x", "y"], "revision": "z",
        "sources": [{"targetRevision": "s1"}, {}], "source": {"targetRevision": "s"},
        "resources": [{"kind": "Service"}]}},
    "sync": {"status": "OutOfSync", "revision": "q", "revisions": ["q1", "q2"],
      "comparedTo": {"sources": [{"targetRevision": "k1"}, {"targetRevision": "k2"}],
                     "source": {"targetRevision": "k"}}},
    "health": {"status": "Degraded", "message": "why"},
    "conditions": [{"type": "OrphanedResourceWarning", "message": "not kept"},
                   {"type": "ComparisonError", "message": "c"},
                   {"type": "InvalidSpecError", "message": "i"}],
    "reconciledAt": "2026-01-05T00:00:00Z",
    "resources": [{"kind": "Service", "health": {"status": "Healthy"}}],
    "history": [{"revision": "old"}], "summary": {"images": ["a"]}}
})";

ObservedApplication Everything() {
  ObservedApplication expected;
  expected.name = {"argocd", "shop"};
  expected.uid = "u1";
  expected.resource_version = "70";
  expected.created_at = Time("2026-01-01T00:00:00Z");
  expected.deletion_requested_at = Time("2026-01-02T00:00:00Z");
  expected.labels = {{InternedString("a"), InternedString("1")},
                     {InternedString("b"), InternedString("2")}};
  expected.authorized_stage = InternedString("shop:prod");
  expected.refresh = InternedString("hard");
  expected.skip_reconcile = true;
  expected.has_source_hydrator = true;
  expected.multi_source = true;
  expected.sources.resize(3);
  expected.sources[0].repo_url = InternedString("r1");
  expected.sources[0].chart = InternedString("c1");
  expected.sources[0].target_revision = InternedString("t1");
  expected.sources[0].has_helm = true;
  expected.sources[1].repo_url = InternedString("r2");
  expected.sources[1].has_ref = true;
  expected.sources[2].repo_url = InternedString("r3");
  expected.sources[2].has_path = true;
  expected.sources[2].has_kustomize = true;
  expected.sources[2].has_directory = true;
  expected.sources[2].has_plugin = true;
  ObservedOperation& operation = expected.operation.emplace();
  operation.initiated_by = InternedString("ann");
  operation.automated = true;
  operation.has_sync = true;
  operation.promotion = InternedString("p1");
  operation.attempt = InternedString("2");
  ObservedOperationState& state = expected.operation_state.emplace();
  state.phase = InternedString("Failed");
  state.message = "m";
  state.started_at = Time("2026-01-03T00:00:00Z");
  state.finished_at = Time("2026-01-04T00:00:00Z");
  state.operation.initiated_by = InternedString("bob");
  state.sync_result = ObservedSyncResult{Texts({"x", "y"}), Texts({"s1", ""})};
  expected.sync_status = InternedString("OutOfSync");
  expected.sync_revisions = Texts({"q1", "q2"});
  expected.compared_target_revisions = Texts({"k1", "k2"});
  expected.health_status = InternedString("Degraded");
  expected.health_message = "why";
  expected.conditions = {{InternedString("ComparisonError"), "c"},
                         {InternedString("InvalidSpecError"), "i"}};
  expected.reconciled_at = Time("2026-01-05T00:00:00Z");
  return expected;
}

TEST(ObservedApplicationTest, ReadsEveryField) {
  EXPECT_EQ(ObserveDocument(json::parse(kEverything)), Everything());
}

TEST(ObservedApplicationTest, TheOrderOfFieldsDoesNotMatter) {
  // nlohmann sorts keys; this turns each object around.
  const std::function<std::string(const json&)> reversed = [&](const json& value) -> std::string {
    if (value.is_array()) {
      std::string text;
      for (const json& item : value) text += (text.empty() ? "" : ",") + reversed(item);
      return "[" + text + "]";
    }
    if (!value.is_object()) return value.dump();
    std::string text;
    for (const auto& [key, member] : value.items()) {
      text = json(key).dump() + ": " + reversed(member) + (text.empty() ? "" : ",\n ") + text;
    }
    return "{" + text + "}";
  };
  ObservedApplication application;
  ASSERT_TRUE(ObserveText(reversed(json::parse(kEverything)), application).ok());
  EXPECT_EQ(application, Everything());
}

TEST(ObservedApplicationTest, WhatIsAbsentOrNullIsEmpty) {
  ObservedApplication expected;
  expected.name = {"argocd", "shop"};
  expected.resource_version = "70";
  const json bare = {
      {"metadata", {{"namespace", "argocd"}, {"name", "shop"}, {"resourceVersion", "70"}}}};
  EXPECT_EQ(ObserveDocument(bare), expected);

  // Each member of everything in turn, at every depth, once absent and once null.
  const json everything = json::parse(kEverything);
  const json flat = everything.flatten();
  for (const auto& [pointer, unused] : flat.items()) {
    for (json::json_pointer at(pointer); !at.empty(); at = at.parent_pointer()) {
      if (everything[at.parent_pointer()].is_array()) continue;
      const std::string where = at.to_string();
      if (where == "/metadata" || where == "/metadata/namespace" || where == "/metadata/name" ||
          where == "/metadata/resourceVersion") {
        continue;
      }
      json null = everything;
      null[at] = nullptr;
      json absent = everything;
      absent[at.parent_pointer()].erase(at.back());
      EXPECT_EQ(ObserveDocument(null), ObserveDocument(absent)) << where;
      EXPECT_EQ(ObserveDocument(null).problem, "") << where;
    }
  }
}

TEST(ObservedApplicationTest, SingleValuesStandInForEmptyLists) {
  const ObservedApplication application = Observe(R"({
      "spec": {"sources": []},
      "status": {"sync": {"revision": "q", "revisions": [],
                          "comparedTo": {"source": {"targetRevision": "k"}}},
                 "operationState": {"syncResult": {"revision": "z", "sources": [],
                                                   "source": {"targetRevision": "s"}}}}})");
  EXPECT_FALSE(application.multi_source);
  ASSERT_EQ(application.sources.size(), 1U);
  EXPECT_EQ(application.sources[0].target_revision, "main");
  EXPECT_EQ(application.sync_revisions, Texts({"q"}));
  EXPECT_EQ(application.compared_target_revisions, Texts({"k"}));
  EXPECT_EQ(application.operation_state->sync_result->revisions, Texts({"z"}));
  EXPECT_EQ(application.operation_state->sync_result->target_revisions, Texts({"s"}));
  EXPECT_TRUE(Observe(R"({"status": {"sync": {"revision": ""}}})").sync_revisions.empty());
}

TEST(ObservedApplicationTest, AWrongTypeIsAProblemThatNamesTheField) {
  struct Case {
    const char* changes;
    const char* problem;
  };
  for (const Case& c : {
           Case{R"({"metadata": {"uid": 7}})", "uid is a number, expected a string"},
           Case{R"({"metadata": {"labels": ["a"]}})", "labels is an array, expected an object"},
           Case{R"({"metadata": {"labels": {"a": 7}}})", "labels is a number, expected a string"},
           Case{R"({"metadata": {"annotations": {"argocd.argoproj.io/refresh": true}}})",
                "annotations is a boolean, expected a string"},
           Case{R"({"metadata": {"creationTimestamp": "yesterday"}})",
                "creationTimestamp is \"yesterday\", expected an RFC 3339 time"},
           Case{R"({"spec": "x"})", "spec is a string, expected an object"},
           Case{R"({"spec": {"source": []}})", "source is an array, expected an object"},
           Case{R"({"spec": {"sources": {}}})", "sources is an object, expected an array"},
           Case{R"({"spec": {"sources": [7]}})", "source is a number, expected an object"},
           Case{R"({"spec": {"source": {"repoURL": {}}}})",
                "repoURL is an object, expected a string"},
           Case{R"({"operation": true})", "operation is a boolean, expected an object"},
           Case{R"({"operation": {"info": {}}})", "info is an object, expected an array"},
           Case{R"({"operation": {"initiatedBy": {"automated": "yes"}}})",
                "automated is a string, expected a boolean"},
           Case{R"({"status": []})", "status is an array, expected an object"},
           Case{R"({"status": {"health": "Healthy"}})", "health is a string, expected an object"},
           Case{R"({"status": {"sync": {"revisions": "a"}}})",
                "revisions is a string, expected an array"},
           Case{R"({"status": {"conditions": [7]}})", "conditions is a number, expected an object"},
           Case{R"({"status": {"reconciledAt": "infinite-future"}})",
                "reconciledAt is \"infinite-future\", expected an RFC 3339 time"},
           Case{R"({"status": {"operationState": {"finishedAt": 7}}})",
                "finishedAt is a number, expected a string"},
       }) {
    json document = ApplicationDocument();
    document.merge_patch(json::parse(c.changes));
    const ObservedApplication application = ObserveDocument(document);
    EXPECT_THAT(application.problem, HasSubstr(c.problem)) << c.changes;
    EXPECT_EQ(application.name.name, "shop");
    EXPECT_EQ(application.resource_version, "70");
  }
}

TEST(ObservedApplicationTest, WithoutNameOrVersionItIsAnError) {
  struct Case {
    const char* name;
    std::string text;
  };
  for (const Case& c : {
           Case{"nothing", ""},
           Case{"blanks", "   "},
           Case{"null", "null"},
           Case{"a number", "7"},
           Case{"an array", "[]"},
           Case{"no metadata", "{}"},
           Case{"metadata of another type", R"({"metadata": 7})"},
           Case{"no namespace", R"({"metadata": {"name": "a", "resourceVersion": "1"}})"},
           Case{"no name", R"({"metadata": {"namespace": "a", "resourceVersion": "1"}})"},
           Case{"no version", R"({"metadata": {"namespace": "a", "name": "b"}})"},
           Case{"cut off", R"({"metadata": {"namespace": "a", "na)"},
           Case{"not UTF-8", "{\"metadata\": {\"name\": \"\xff\"}}"},
       }) {
    ObservedApplication application;
    EXPECT_EQ(ObserveText(c.text, application).code(), absl::StatusCode::kInvalidArgument)
        << c.name;
  }
}

TEST(ObservedApplicationTest, BrokenJsonBehindTheMetadataIsAProblem) {
  ObservedApplication application;
  const std::string broken =
      R"({"metadata": {"namespace": "argocd", "name": "shop", "resourceVersion": "70"},
          "spec": {"source": {"repoURL": tru}}})";
  const absl::Status status = ObserveText(broken, application);
  // Whichever way the parser notices: nobody takes it for a good one.
  EXPECT_TRUE(!status.ok() || !application.problem.empty());
}

TEST(ObservedApplicationTest, ReadsEscapes) {
  const ObservedApplication application = Observe(R"({
      "metadata": {"labels": {"a\/b": "\u00e4\ud83d\ude00"}},
      "status": {"health": {"status": "He\u0061lthy", "message": "line\none \"two\" \\"}}})");
  ASSERT_EQ(application.labels.size(), 1U);
  EXPECT_EQ(application.labels[0].first, "a/b");
  EXPECT_EQ(application.labels[0].second, "ä😀");
  EXPECT_EQ(application.health_status, "Healthy");
  EXPECT_EQ(application.health_message, "line\none \"two\" \\");
  // As it is written by servers that escape more.
  ObservedApplication escaped;
  ASSERT_TRUE(ObserveText(R"({"\u006detadata": {"name\u0073pace": "argocd", "name": "sh\u006fp",
                              "resourceVersion": "70"}})",
                          escaped)
                  .ok());
  EXPECT_EQ(escaped.name, (ApplicationName{"argocd", "shop"}));
}

TEST(ObservedApplicationTest, LongMessagesAreCutBetweenCharacters) {
  json document = ApplicationDocument();
  document["status"]["health"]["message"] = "x" + std::string(1022, 'y') + "ä and more";
  document["status"]["operationState"]["message"] = std::string(5000, 'm');
  const ObservedApplication application = ObserveDocument(document);
  EXPECT_EQ(application.health_message, "x" + std::string(1022, 'y'));
  EXPECT_EQ(application.operation_state->message.size(), kMaxObservedMessageBytes);
}

// Everything that ToApplication promises to agree in, as text.
std::string Comparable(const Application& application) {
  const auto operation = [](const Operation& from) {
    json info;
    for (const auto& [name, value] : from.info) {
      if (name == kPromotionInfo || name == kAttemptInfo) info[name] = value;
    }
    return json{from.initiated_by, from.automated, from.has_sync, info};
  };
  json text = {{"name", ToString(application.name)},
               {"uid", application.uid},
               {"version", application.resource_version},
               {"deleting", application.deleting},
               {"labels", application.labels},
               {"hydrator", application.has_source_hydrator},
               {"multi", application.multi_source}};
  for (const std::string_view name :
       {kAuthorizedStageAnnotation, kRefreshAnnotation, kSkipReconcileAnnotation}) {
    const auto found = application.annotations.find(std::string(name));
    if (found != application.annotations.end()) text["annotations"][found->first] = found->second;
  }
  for (const Source& source : application.sources) {
    text["sources"].push_back({source.repo_url, source.chart, source.target_revision,
                               source.has_ref, source.has_path, source.has_directory,
                               source.has_plugin, source.kustomize.has_value(),
                               source.helm.has_value()});
  }
  if (application.operation) text["operation"] = operation(*application.operation);
  if (const auto& state = application.operation_state) {
    json& told = text["state"];
    told = {{"phase", state->phase},
            {"message", state->message},
            {"operation", operation(state->operation)}};
    if (state->finished_at) told["finished"] = absl::FormatTime(*state->finished_at);
    if (state->sync_result) {
      told["result"] = {state->sync_result->revisions, state->sync_result->target_revisions};
    }
  }
  return text.dump(1);
}

TEST(ObservedApplicationTest, StepsDecideOnItAsOnALiveRead) {
  const char* const changes[] = {
      "{}",
      R"({"metadata": {"uid": "u", "labels": {"b": "2", "a": ""}, "deletionTimestamp": null}})",
      R"({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})",
      R"({"metadata": {"annotations": null}})",
      R"({"metadata": {"annotations": {"argocd.argoproj.io/refresh": "",
                                       "argocd.argoproj.io/skip-reconcile": "true"}}})",
      R"({"spec": null})",
      R"({"spec": {"source": null}})",
      R"({"spec": {"sources": null}})",
      R"({"spec": {"sources": [{"repoURL": "a", "ref": "x"}, {"chart": "c", "path": ""}]}})",
      R"({"spec": {"source": {"kustomize": {"images": ["a:1"]}, "helm": null, "plugin": {}}}})",
      R"({"spec": {"source": {"helm": {"parameters": []}, "directory": {"recurse": true}}}})",
      R"({"spec": {"sourceHydrator": {"drySource": {"repoURL": "a"}}}})",
      R"({"operation": null})",
      R"({"operation": {}})",
      R"({"operation": {"sync": {}, "initiatedBy": {"automated": true},
                        "info": [{"name": "kargo.akuity.io/promotion", "value": "p1"},
                                 {"name": "gantry.dev/attempt"}, {"value": "x"}]}})",
      R"({"operation": {"info": [{"name": "gantry.dev/attempt", "value": "1"},
                                 {"name": "gantry.dev/attempt", "value": "2"}], "sync": null}})",
      R"({"status": {}})",
      R"({"status": {"operationState": {}}})",
      R"({"status": {"operationState": {"phase": "Running", "finishedAt": "", "message": "m"}}})",
      R"({"status": {"operationState": {"phase": "Succeeded", "syncResult": null,
                                        "finishedAt": "2026-01-01T00:00:00.5Z"}}})",
      R"({"status": {"operationState": {"syncResult": {}}}})",
      R"({"status": {"operationState": {"syncResult": {"revision": "", "revisions": ["a"],
                                                       "source": {}}}}})",
      R"({"status": {"operationState": {"syncResult": {"revision": "r", "sources": [{}],
                                                       "source": {"targetRevision": "t"}}}}})",
      R"({"status": {"operationState": {"operation": {"initiatedBy": {"username": "a"},
          "info": [{"name": "kargo.akuity.io/promotion", "value": ""}]}}}})",
  };
  for (const char* change : changes) {
    const json document = ApplicationDocument(change);
    const ObservedApplication observed = ObserveDocument(document);
    ASSERT_EQ(observed.problem, "") << change;
    const Application live = documents::ParseDocument(document);
    EXPECT_EQ(Comparable(ToApplication(observed)), Comparable(live)) << change;
    EXPECT_EQ(ToApplication(observed).operation_state.has_value(), live.operation_state.has_value())
        << change;
  }
  const json everything = json::parse(kEverything);
  EXPECT_EQ(Comparable(ToApplication(ObserveDocument(everything))),
            Comparable(documents::ParseDocument(everything)));
}

std::size_t HeapOf(const std::string& text) {
  const char* const object = reinterpret_cast<const char*>(&text);
  const bool inside = text.data() >= object && text.data() < object + sizeof(text);
  return inside ? 0 : text.capacity() + 1;
}
template <typename T>
std::size_t HeapOf(const std::vector<T>& items) {
  return items.capacity() * sizeof(T);
}

TEST(ObservedApplicationTest, ATypicalApplicationIsKeptSmall) {
  json document = json::parse(kEverything);
  document["metadata"]["uid"] = "8d4c1b5e-0f0a-4f7e-9c7a-3d2f5a6b7c8d";
  document["status"]["history"] = json::array();
  json resources = json::array();
  for (int i = 0; i < 20; ++i) {
    const std::string name = "a-resource-of-the-shop-" + std::to_string(i);
    resources.push_back({{"group", "apps"},
                         {"version", "v1"},
                         {"kind", "Deployment"},
                         {"namespace", "shop-production"},
                         {"name", name},
                         {"status", "Synced"},
                         {"health", {{"status", "Healthy"}}},
                         {"syncWave", i}});
    document["status"]["operationState"]["syncResult"]["resources"].push_back(
        {{"group", "apps"},
         {"version", "v1"},
         {"kind", "Deployment"},
         {"namespace", "shop-production"},
         {"name", name},
         {"status", "Synced"},
         {"message", "deployment.apps/" + name + " configured by a server-side apply"},
         {"hookPhase", "Running"},
         {"syncPhase", "Sync"}});
    document["metadata"]["managedFields"].push_back(
        {{"manager", "argocd-controller"}, {"fieldsV1", std::string(150, 'f')}});
  }
  document["status"]["resources"] = resources;
  ASSERT_GT(document.dump().size(), 11'000U);
  const ObservedApplication application = ObserveDocument(document);
  ASSERT_EQ(application.problem, "");
  std::size_t size =
      sizeof(application) + HeapOf(application.name.ns) + HeapOf(application.name.name) +
      HeapOf(application.uid) + HeapOf(application.resource_version) + HeapOf(application.labels) +
      HeapOf(application.sources) + HeapOf(application.operation_state->message) +
      HeapOf(application.operation_state->sync_result->revisions) +
      HeapOf(application.operation_state->sync_result->target_revisions) +
      HeapOf(application.sync_revisions) + HeapOf(application.compared_target_revisions) +
      HeapOf(application.health_message) + HeapOf(application.conditions) +
      HeapOf(application.problem);
  for (const ObservedCondition& condition : application.conditions) {
    size += HeapOf(condition.message);
  }
  EXPECT_LT(size, 2048U);
}

}  // namespace
}  // namespace gantry::argocd
