// SPDX-License-Identifier: Apache-2.0
#include "server/argocd/application_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "server/kubernetes/api/json_text.h"
#include "tests/server/argocd/documents.h"

namespace gantry::argocd {
namespace {

using base::InternedString;
using documents::ApplicationDocument;
using nlohmann::json;
using ::testing::HasSubstr;

absl::Status ReadText(std::string text, Application& application) {
  return ReadApplication(kubernetes::JsonText(std::move(text)).padded(), application);
}
Application ReadDocument(const json& document) {
  Application application;
  const absl::Status status = ReadText(document.dump(), application);
  EXPECT_TRUE(status.ok()) << status;
  return application;
}
Application Read(const char* changes = "{}") { return ReadDocument(ApplicationDocument(changes)); }
std::vector<InternedString> Texts(const std::vector<std::string>& texts) {
  std::vector<InternedString> interned;
  for (const std::string& text : texts) interned.emplace_back(text);
  return interned;
}
// Sources of which only the target revision is known.
Sources Targets(const std::vector<std::string>& texts) {
  std::vector<Source> sources;
  for (const std::string& text : texts) {
    sources.emplace_back().target_revision = InternedString(text);
  }
  return Sources(std::move(sources));
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
      {"repoURL": "r1", "chart": "c1", "targetRevision": "t1", "helm": {"parameters": [{"name": "n", "value": "v", "forceString": true}, {"name": "m"}]}},
      {"repoURL": "r2", "ref": "values"},
      {"repoURL": "r3", "path": "p", "kustomize": {"images": ["i:1"]}, "directory": {}, "plugin": {"name": "x"}}],
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
    "history": [{"id": 3, "revision": "old"}, {"id": 7, "revision": "h", "source": {"targetRevision": "hs"}},
                {"id": 5, "revision": "older"}, {"revision": "no id"}, {"id": "9", "revision": "id"}], "summary": {"images": ["a"]}}
})";

Application Everything() {
  Application expected;
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
  std::vector<Source> sources(3);
  sources[0].repo_url = InternedString("r1");
  sources[0].chart = InternedString("c1");
  sources[0].target_revision = InternedString("t1");
  sources[0].has_helm = true;
  sources[0].helm_parameters = {{InternedString("n"), InternedString("v"), true},
                                {InternedString("m"), InternedString(), false}};
  sources[1].repo_url = InternedString("r2");
  sources[1].has_ref = true;
  sources[2].repo_url = InternedString("r3");
  sources[2].has_path = true;
  sources[2].has_kustomize = true;
  sources[2].kustomize_images = Texts({"i:1"});
  sources[2].has_directory = true;
  sources[2].has_plugin = true;
  expected.sources = Sources(std::move(sources));
  Operation& operation = expected.operation.emplace();
  operation.initiated_by = InternedString("ann");
  operation.automated = true;
  operation.has_sync = true;
  operation.promotion = InternedString("p1");
  operation.attempt = InternedString("2");
  OperationState& state = expected.operation_state.emplace();
  state.phase = InternedString("Failed");
  state.message = "m";
  state.started_at = Time("2026-01-03T00:00:00Z");
  state.finished_at = Time("2026-01-04T00:00:00Z");
  state.operation.initiated_by = InternedString("bob");
  state.sync_result = Deployed{Texts({"x", "y"}), Targets({"s1", ""})};
  expected.sync_status = InternedString("OutOfSync");
  expected.sync_revisions = Texts({"q1", "q2"});
  expected.compared_sources = Targets({"k1", "k2"});
  expected.last_deployed = HistoryEntry{7, {Texts({"h"}), Targets({"hs"})}};
  expected.health_status = InternedString("Degraded");
  expected.health_message = "why";
  expected.conditions = {{InternedString("ComparisonError"), "c"},
                         {InternedString("InvalidSpecError"), "i"}};
  expected.reconciled_at = Time("2026-01-05T00:00:00Z");
  return expected;
}

TEST(ReadApplicationTest, ReadsEveryField) {
  EXPECT_EQ(ReadDocument(json::parse(kEverything)), Everything());
}

TEST(ReadApplicationTest, TheOrderOfFieldsDoesNotMatter) {
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
  Application application;
  ASSERT_TRUE(ReadText(reversed(json::parse(kEverything)), application).ok());
  EXPECT_EQ(application, Everything());
}

TEST(ReadApplicationTest, WhatIsAbsentOrNullIsEmpty) {
  Application expected;
  expected.name = {"argocd", "shop"};
  expected.resource_version = "70";
  const json bare = {
      {"metadata", {{"namespace", "argocd"}, {"name", "shop"}, {"resourceVersion", "70"}}}};
  EXPECT_EQ(ReadDocument(bare), expected);

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
      EXPECT_EQ(ReadDocument(null), ReadDocument(absent)) << where;
      EXPECT_EQ(ReadDocument(null).problem, "") << where;
    }
  }
}

TEST(ReadApplicationTest, SingleValuesStandInForEmptyLists) {
  const Application application = Read(R"({
      "spec": {"sources": []},
      "status": {"sync": {"revision": "q", "revisions": [],
                          "comparedTo": {"source": {"targetRevision": "k"}}},
                 "operationState": {"syncResult": {"revision": "z", "sources": [],
                                                   "source": {"targetRevision": "s"}}}}})");
  EXPECT_FALSE(application.multi_source);
  ASSERT_EQ(application.sources.size(), 1U);
  EXPECT_EQ(application.sources[0].target_revision, "main");
  EXPECT_EQ(application.sync_revisions, Texts({"q"}));
  EXPECT_EQ(application.compared_sources, Targets({"k"}));
  EXPECT_EQ(application.operation_state->sync_result->revisions, Texts({"z"}));
  EXPECT_EQ(application.operation_state->sync_result->sources, Targets({"s"}));
  EXPECT_TRUE(Read(R"({"status": {"sync": {"revision": ""}}})").sync_revisions.empty());
}

TEST(ReadApplicationTest, AWrongTypeIsAProblemThatNamesTheField) {
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
    const Application application = ReadDocument(document);
    EXPECT_THAT(application.problem, HasSubstr(c.problem)) << c.changes;
    EXPECT_EQ(application.name.name, "shop");
    EXPECT_EQ(application.resource_version, "70");
  }
}

TEST(ReadApplicationTest, WithoutNameOrVersionItIsAnError) {
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
    Application application;
    EXPECT_EQ(ReadText(c.text, application).code(), absl::StatusCode::kInvalidArgument) << c.name;
  }
}

TEST(ReadApplicationTest, BrokenJsonBehindTheMetadataIsAProblem) {
  Application application;
  const std::string broken =
      R"({"metadata": {"namespace": "argocd", "name": "shop", "resourceVersion": "70"},
          "spec": {"source": {"repoURL": tru}}})";
  const absl::Status status = ReadText(broken, application);
  // Whichever way the parser notices: nobody takes it for a good one.
  EXPECT_TRUE(!status.ok() || !application.problem.empty());
}

TEST(ReadApplicationTest, ReadsEscapes) {
  const Application application = Read(R"({
      "metadata": {"labels": {"a\/b": "\u00e4\ud83d\ude00"}},
      "status": {"health": {"status": "He\u0061lthy", "message": "line\none \"two\" \\"}}})");
  ASSERT_EQ(application.labels.size(), 1U);
  EXPECT_EQ(application.labels[0].first, "a/b");
  EXPECT_EQ(application.labels[0].second, "ä😀");
  EXPECT_EQ(application.health_status, "Healthy");
  EXPECT_EQ(application.health_message, "line\none \"two\" \\");
  // As it is written by servers that escape more.
  Application escaped;
  ASSERT_TRUE(ReadText(R"({"\u006detadata": {"name\u0073pace": "argocd", "name": "sh\u006fp",
                              "resourceVersion": "70"}})",
                       escaped)
                  .ok());
  EXPECT_EQ(escaped.name, (ApplicationName{"argocd", "shop"}));
}

TEST(ReadApplicationTest, LongMessagesAreCutBetweenCharacters) {
  json document = ApplicationDocument();
  document["status"]["health"]["message"] = "x" + std::string(1022, 'y') + "ä and more";
  document["status"]["operationState"]["message"] = std::string(5000, 'm');
  const Application application = ReadDocument(document);
  EXPECT_EQ(application.health_message, "x" + std::string(1022, 'y'));
  EXPECT_EQ(application.operation_state->message.size(), kMaxWatchedMessageBytes);
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

TEST(ReadApplicationTest, ATypicalApplicationIsKeptSmall) {
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
  const Application application = ReadDocument(document);
  ASSERT_EQ(application.problem, "");
  std::size_t size = sizeof(application) + HeapOf(application.name.ns) +
                     HeapOf(application.name.name) + HeapOf(application.uid) +
                     HeapOf(application.resource_version) + HeapOf(application.labels) +
                     HeapOf(*application.sources) + HeapOf(application.operation_state->message) +
                     HeapOf(application.operation_state->sync_result->revisions) +
                     HeapOf(*application.operation_state->sync_result->sources) +
                     HeapOf(application.sync_revisions) + HeapOf(*application.compared_sources) +
                     HeapOf(application.health_message) + HeapOf(application.conditions) +
                     HeapOf(application.problem);
  for (const Condition& condition : application.conditions) {
    size += HeapOf(condition.message);
  }
  EXPECT_LT(size, 2048U);
}

TEST(ReadApplicationTest, ALiveReadAddsWhatAPatchIsBuiltOn) {
  LiveParts live;
  documents::Parse(R"({"spec": {"syncPolicy": {
      "syncOptions": ["CreateNamespace=true"],
      "retry": {"limit": 3, "backoff": {"duration": "5s", "factor": 2}}}}})",
                   &live);
  EXPECT_EQ(json::parse(live.sync_options), json::parse(R"(["CreateNamespace=true"])"));
  EXPECT_EQ(json::parse(live.retry),
            json::parse(R"({"limit": 3, "backoff": {"duration": "5s", "factor": 2}})"));
  EXPECT_FALSE(live.has_status);
  EXPECT_FALSE(live.has_operation_state_key);
  struct Case {
    const char* changes;
    bool has_status;
    bool has_operation_state_key;
  };
  for (const Case& c : {
           Case{R"({"status": null})", false, false},
           Case{R"({"status": {}})", true, false},
           Case{R"({"status": {"operationState": null}})", true, true},
           Case{R"({"status": {"operationState": {}}})", true, true},
       }) {
    documents::Parse(c.changes, &live);
    EXPECT_EQ(live.has_status, c.has_status) << c.changes;
    EXPECT_EQ(live.has_operation_state_key, c.has_operation_state_key) << c.changes;
    EXPECT_EQ(live.sync_options, "") << c.changes;
    EXPECT_EQ(live.retry, "") << c.changes;
  }
}

TEST(ReadApplicationTest, MessagesOfALiveReadAreWhole) {
  json document = ApplicationDocument();
  document["status"]["operationState"]["message"] = std::string(5000, 'm');
  EXPECT_EQ(documents::ParseDocument(document).operation_state->message.size(), 5000U);
}

TEST(ReadApplicationTest, SaysWhoOwnsIt) {
  struct Case {
    const char* changes;
    const char* owner;
  };
  for (
      const Case& c : {
          Case{R"({})", ""},
          Case{
              R"({"metadata": {"ownerReferences": [{"kind": "ApplicationSet", "name": "shops"}]}})",
              "ApplicationSet shops"},
          Case{R"({"metadata": {"ownerReferences": [{"kind": "A", "name": "a"},
                                  {"kind": "B", "name": "b", "controller": true}]}})",
               "B b"},
          Case{R"({"metadata": {"annotations": {"argocd.argoproj.io/tracking-id":
                                  "parent:argoproj.io/Application:x/shop"}}})",
               "Application parent"},
          Case{R"({"metadata": {"labels": {"app.kubernetes.io/instance": "root"}}})",
               "Application root"},
      }) {
    EXPECT_EQ(Read(c.changes).owner, c.owner) << c.changes;
  }
}

TEST(ReadApplicationTest, EqualSourcesAreKeptOnce) {
  const Application application = Read(R"({
      "spec": {"source": {"repoURL": "r", "targetRevision": "v1"}},
      "status": {"sync": {"comparedTo": {"source": {"repoURL": "r", "path": "prod", "targetRevision": "v1"}}},
                 "history": [{"id": 0, "source": {"repoURL": "r", "targetRevision": "v0"}}]}})");
  EXPECT_EQ(application.sources.operator->(), application.compared_sources.operator->());
  EXPECT_NE(application.sources.operator->(),
            application.last_deployed->deployed.sources.operator->());
}

TEST(ReadApplicationTest, ATruncatedDocumentIsNeverAnApplication) {
  const std::string text = json::parse(kEverything).dump();
  for (std::size_t length = 0; length < text.size(); ++length) {
    Application application;
    const absl::Status read = ReadText(text.substr(0, length), application);
    EXPECT_TRUE(!read.ok() || !application.problem.empty()) << length;
  }
}

TEST(ReadApplicationTest, ADamagedDocumentIsAnErrorOrAnApplication) {
  const std::string text = json::parse(kEverything).dump();
  std::mt19937 random(1);
  int understood = 0;
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string damaged = text;
    for (std::size_t changes = 1 + random() % 3; changes > 0; --changes) {
      damaged[random() % damaged.size()] = static_cast<char>(random() % 256);
    }
    Application application;
    const absl::Status read = ReadText(damaged, application);
    if (read.ok() && application.problem.empty()) {
      ++understood;
      EXPECT_FALSE(application.name.name.empty());
      EXPECT_FALSE(application.resource_version.empty());
    } else {
      ++refused;
    }
  }
  EXPECT_GT(understood, 0);
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace gantry::argocd
