// SPDX-License-Identifier: Apache-2.0
#include "server/argocd/application.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "tests/server/argocd/documents.h"

namespace gantry::argocd {
namespace {

using documents::ApplicationDocument;
using documents::json;
using documents::Parse;
using documents::ParseDocument;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

// Every field that is read, each with a value of the right type.
json FullDocument() {
  return json::parse(R"({
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Application",
    "metadata": {
      "namespace": "argocd",
      "name": "shop",
      "uid": "0000-1111",
      "resourceVersion": "70",
      "deletionTimestamp": "2026-03-01T10:00:00Z",
      "labels": {"team": "a", "argocd.argoproj.io/instance": "root"},
      "annotations": {"kargo.akuity.io/authorized-stage": "shop:prod",
                      "argocd.argoproj.io/tracking-id": "parent:argoproj.io/Application:x/shop"},
      "ownerReferences": [{"kind": "ApplicationSet", "name": "shops", "controller": true}]
    },
    "spec": {
      "source": {"repoURL": "https://git.example/single", "targetRevision": "main"},
      "sources": [
        {
          "repoURL": "https://git.example/shop",
          "chart": "web",
          "targetRevision": "1.2.3",
          "ref": "values",
          "path": "prod",
          "directory": {"recurse": true},
          "plugin": {"name": "p"},
          "kustomize": {"images": ["a:1", "b=c:2"]},
          "helm": {"parameters": [{"name": "tag", "value": "1", "forceString": true}]}
        },
        {"repoURL": "https://git.example/other"}
      ],
      "sourceHydrator": {"drySource": {}},
      "syncPolicy": {
        "syncOptions": ["CreateNamespace=true"],
        "retry": {"limit": 3, "backoff": {"duration": "5s", "factor": 2}}
      }
    },
    "operation": {
      "initiatedBy": {"username": "alice", "automated": true},
      "info": [{"name": "kargo.akuity.io/promotion", "value": "p-2"}],
      "sync": {"revision": "v2"}
    },
    "status": {
      "operationState": {
        "phase": "Running",
        "message": "waiting for hooks",
        "finishedAt": "2026-03-01T11:00:00Z",
        "operation": {
          "initiatedBy": {"username": "bob", "automated": true},
          "info": [{"name": "kargo.akuity.io/promotion", "value": "p-1"}],
          "sync": {}
        },
        "syncResult": {
          "revision": "v1",
          "revisions": ["v1", "w1"],
          "source": {"targetRevision": "main"},
          "sources": [{"targetRevision": "main"}, {"targetRevision": "1.*"}]
        }
      }
    }
  })");
}

json Describe(const Operation& operation) {
  return {{"initiated_by", operation.initiated_by},
          {"automated", operation.automated},
          {"has_sync", operation.has_sync},
          {"info", operation.info}};
}

// All that was parsed, so that two Applications can be compared as a whole.
json Describe(const Application& application) {
  json sources = json::array();
  for (const Source& source : application.sources) {
    sources.push_back({{"repo_url", source.repo_url},
                       {"chart", source.chart},
                       {"target_revision", source.target_revision},
                       {"has_ref", source.has_ref},
                       {"has_path", source.has_path},
                       {"has_directory", source.has_directory},
                       {"has_plugin", source.has_plugin},
                       {"kustomize", source.kustomize.value_or(nullptr)},
                       {"helm", source.helm.value_or(nullptr)}});
  }
  json description = {{"name", ToString(application.name)},
                      {"uid", application.uid},
                      {"resource_version", application.resource_version},
                      {"deleting", application.deleting},
                      {"labels", application.labels},
                      {"annotations", application.annotations},
                      {"owner", application.owner},
                      {"has_source_hydrator", application.has_source_hydrator},
                      {"multi_source", application.multi_source},
                      {"sources", std::move(sources)},
                      {"sync_options", application.sync_options.value_or(nullptr)},
                      {"retry", application.retry.value_or(nullptr)},
                      {"operation", nullptr},
                      {"has_status", application.has_status},
                      {"has_operation_state_key", application.has_operation_state_key},
                      {"operation_state", nullptr}};
  if (application.operation) description["operation"] = Describe(*application.operation);
  if (const auto& state = application.operation_state) {
    description["operation_state"] = {{"phase", state->phase},
                                      {"message", state->message},
                                      {"finished_at", nullptr},
                                      {"operation", Describe(state->operation)},
                                      {"sync_result", nullptr}};
    if (state->finished_at) {
      description["operation_state"]["finished_at"] = absl::FormatTime(*state->finished_at);
    }
    if (const auto& result = state->sync_result) {
      description["operation_state"]["sync_result"] = {
          {"revisions", result->revisions}, {"target_revisions", result->target_revisions}};
    }
  }
  return description;
}

// The pointers to all members of objects in `value`, at any depth.
void CollectMembers(const json& value, const json::json_pointer& at,
                    std::vector<json::json_pointer>& members) {
  if (value.is_object()) {
    for (const auto& [key, member] : value.items()) {
      members.push_back(at / key);
      CollectMembers(member, at / key, members);
    }
  } else if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i) CollectMembers(value[i], at / i, members);
  }
}

absl::Status ParseError(std::string_view text) { return ParseApplication(text).status(); }

TEST(ParseApplicationTest, ReadsEveryField) {
  const Application application = ParseDocument(FullDocument());

  EXPECT_EQ(application.name.ns, "argocd");
  EXPECT_EQ(application.name.name, "shop");
  EXPECT_EQ(ToString(application.name), "argocd/shop");
  EXPECT_EQ(application.uid, "0000-1111");
  EXPECT_EQ(application.resource_version, "70");
  EXPECT_TRUE(application.deleting);
  EXPECT_THAT(application.labels,
              UnorderedElementsAre(Pair("team", "a"), Pair("argocd.argoproj.io/instance", "root")));
  EXPECT_EQ(application.annotations.at("kargo.akuity.io/authorized-stage"), "shop:prod");
  EXPECT_EQ(application.annotations.size(), 2u);
  EXPECT_EQ(application.owner, "ApplicationSet shops");

  EXPECT_TRUE(application.has_source_hydrator);
  EXPECT_TRUE(application.multi_source);
  ASSERT_EQ(application.sources.size(), 2u);
  const Source& first = application.sources[0];
  EXPECT_EQ(first.repo_url, "https://git.example/shop");
  EXPECT_EQ(first.chart, "web");
  EXPECT_EQ(first.target_revision, "1.2.3");
  EXPECT_TRUE(first.has_ref);
  EXPECT_TRUE(first.has_path);
  EXPECT_TRUE(first.has_directory);
  EXPECT_TRUE(first.has_plugin);
  EXPECT_EQ(first.kustomize, json::parse(R"({"images": ["a:1", "b=c:2"]})"));
  EXPECT_EQ(first.helm,
            json::parse(R"({"parameters": [{"name": "tag", "value": "1", "forceString": true}]})"));
  const Source& second = application.sources[1];
  EXPECT_EQ(second.repo_url, "https://git.example/other");
  EXPECT_EQ(second.chart, "");
  EXPECT_EQ(second.target_revision, "");
  EXPECT_FALSE(second.has_ref || second.has_path || second.has_directory || second.has_plugin);
  EXPECT_FALSE(second.kustomize.has_value());
  EXPECT_FALSE(second.helm.has_value());
  EXPECT_EQ(application.sync_options, json::parse(R"(["CreateNamespace=true"])"));
  EXPECT_EQ(application.retry,
            json::parse(R"({"limit": 3, "backoff": {"duration": "5s", "factor": 2}})"));

  ASSERT_TRUE(application.operation.has_value());
  EXPECT_EQ(application.operation->initiated_by, "alice");
  EXPECT_TRUE(application.operation->automated);
  EXPECT_TRUE(application.operation->has_sync);
  EXPECT_THAT(application.operation->info,
              UnorderedElementsAre(Pair("kargo.akuity.io/promotion", "p-2")));

  EXPECT_TRUE(application.has_status);
  EXPECT_TRUE(application.has_operation_state_key);
  ASSERT_TRUE(application.operation_state.has_value());
  const OperationState& state = *application.operation_state;
  EXPECT_EQ(state.phase, "Running");
  EXPECT_EQ(state.message, "waiting for hooks");
  EXPECT_EQ(state.finished_at,
            absl::FromCivil(absl::CivilSecond(2026, 3, 1, 11, 0, 0), absl::UTCTimeZone()));
  EXPECT_EQ(state.operation.initiated_by, "bob");
  EXPECT_TRUE(state.operation.automated);
  EXPECT_TRUE(state.operation.has_sync);
  EXPECT_THAT(state.operation.info, UnorderedElementsAre(Pair("kargo.akuity.io/promotion", "p-1")));
  ASSERT_TRUE(state.sync_result.has_value());
  EXPECT_THAT(state.sync_result->revisions, ElementsAre("v1", "w1"));
  EXPECT_THAT(state.sync_result->target_revisions, ElementsAre("main", "1.*"));
}

TEST(ParseApplicationTest, NeedsOnlyANameAndAResourceVersion) {
  const absl::StatusOr<Application> application =
      ParseApplication(R"({"metadata": {"name": "shop", "resourceVersion": "7"}})");
  ASSERT_TRUE(application.ok()) << application.status();
  EXPECT_EQ(application->name.name, "shop");
  EXPECT_FALSE(application->deleting);
  EXPECT_THAT(application->owner, IsEmpty());
  EXPECT_FALSE(application->has_source_hydrator);
  EXPECT_FALSE(application->multi_source);
  EXPECT_THAT(application->sources, IsEmpty());
  EXPECT_FALSE(application->sync_options.has_value());
  EXPECT_FALSE(application->retry.has_value());
  EXPECT_FALSE(application->operation.has_value());
  EXPECT_FALSE(application->has_status);
  EXPECT_FALSE(application->has_operation_state_key);
  EXPECT_FALSE(application->operation_state.has_value());
}

TEST(ParseApplicationTest, ANameAndAResourceVersionAreRequired) {
  for (const char* field : {"/metadata", "/metadata/name", "/metadata/resourceVersion"}) {
    SCOPED_TRACE(field);
    const json::json_pointer at(field);
    json absent = ApplicationDocument();
    absent[at.parent_pointer()].erase(at.back());
    json null = ApplicationDocument();
    null[at] = nullptr;
    for (const json& document : {absent, null}) {
      const absl::Status status = ParseError(document.dump());
      EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
      EXPECT_THAT(std::string(status.message()), HasSubstr("metadata.resourceVersion"));
    }
  }
}

TEST(ParseApplicationTest, NullIsAbsentEverywhere) {
  std::vector<json::json_pointer> members;
  CollectMembers(FullDocument(), json::json_pointer(), members);
  ASSERT_GT(members.size(), 60u);
  for (const json::json_pointer& at : members) {
    SCOPED_TRACE(at.to_string());
    json absent = FullDocument();
    absent[at.parent_pointer()].erase(at.back());
    json null = FullDocument();
    null[at] = nullptr;

    const absl::StatusOr<Application> without = ParseApplication(absent.dump());
    const absl::StatusOr<Application> with_null = ParseApplication(null.dump());
    ASSERT_EQ(with_null.status(), without.status());
    if (!without.ok()) continue;  // a required field
    json expected = Describe(*without);
    // The one difference that matters: a patch can remove a key only where there is one.
    if (at.to_string() == "/status/operationState") expected["has_operation_state_key"] = true;
    // `retry` is kept as it is, for the operation.
    if (at.to_string().rfind("/spec/syncPolicy/retry/", 0) == 0) {
      expected["retry"] = null["spec"]["syncPolicy"]["retry"];
    }
    // So are a source's parameters, which a patch compares with.
    if (at.to_string().rfind("/spec/sources/0/helm/parameters/", 0) == 0) {
      expected["sources"][0]["helm"] = null["spec"]["sources"][0]["helm"];
    }
    EXPECT_EQ(Describe(*with_null), expected);
  }
}

TEST(ParseApplicationTest, AWrongTypeIsAnErrorThatNamesTheField) {
  const struct {
    const char* field;
    const char* value;
    const char* message;
  } cases[] = {
      {"/metadata", "[]", "its field metadata is an array, expected an object"},
      {"/metadata/namespace", "1", "its field namespace is a number, expected a string"},
      {"/metadata/name", "true", "its field name is a boolean, expected a string"},
      {"/metadata/uid", "{}", "its field uid is an object, expected a string"},
      {"/metadata/resourceVersion", "7",
       "its field resourceVersion is a number, expected a string"},
      {"/metadata/deletionTimestamp", "1",
       "its field deletionTimestamp is a number, expected a string"},
      {"/metadata/labels", "[]", "its field labels is an array, expected an object"},
      {"/metadata/labels/team", "1", R"(its field labels["team"] is a number, expected a string)"},
      {"/metadata/annotations", R"("x")", "its field annotations is a string, expected an object"},
      {"/metadata/annotations/x", "true",
       R"(its field annotations["x"] is a boolean, expected a string)"},
      {"/metadata/ownerReferences", "{}",
       "its field ownerReferences is an object, expected an array"},
      {"/metadata/ownerReferences/0", R"("x")",
       "its field ownerReferences[0] is a string, expected an object"},
      {"/metadata/ownerReferences/0/kind", "1", "its field kind is a number, expected a string"},
      {"/metadata/ownerReferences/0/name", "1", "its field name is a number, expected a string"},
      {"/metadata/ownerReferences/0/controller", R"("true")",
       "its field controller is a string, expected a boolean"},
      {"/spec", "[]", "its field spec is an array, expected an object"},
      {"/spec/sources", "{}", "its field sources is an object, expected an array"},
      {"/spec/sources/0", "1", "its field sources[0] is a number, expected an object"},
      {"/spec/sources/1", "null", "its field sources[1] is null, expected an object"},
      {"/spec/sources/1/repoURL", "1.5", "its field repoURL is a number, expected a string"},
      {"/spec/sources/0/chart", "[]", "its field chart is an array, expected a string"},
      {"/spec/sources/0/targetRevision", "1",
       "its field targetRevision is a number, expected a string"},
      {"/spec/sources/0/ref", "true", "its field ref is a boolean, expected a string"},
      {"/spec/sources/0/path", "{}", "its field path is an object, expected a string"},
      {"/spec/sources/0/directory", R"("x")",
       "its field directory is a string, expected an object"},
      {"/spec/sources/0/plugin", "[]", "its field plugin is an array, expected an object"},
      {"/spec/sources/0/kustomize", "true", "its field kustomize is a boolean, expected an object"},
      {"/spec/sources/0/kustomize/images", R"("a:1")",
       "its field images is a string, expected an array"},
      {"/spec/sources/0/kustomize/images/1", "{}",
       "its field images[1] is an object, expected a string"},
      {"/spec/sources/0/kustomize/images/0", "null",
       "its field images[0] is null, expected a string"},
      {"/spec/sources/0/helm", "1", "its field helm is a number, expected an object"},
      {"/spec/sources/0/helm/parameters", "{}",
       "its field parameters is an object, expected an array"},
      {"/spec/sources/0/helm/parameters/0", R"("x")",
       "its field parameters[0] is a string, expected an object"},
      {"/spec/sourceHydrator", "true", "its field sourceHydrator is a boolean, expected an object"},
      {"/spec/syncPolicy", "[]", "its field syncPolicy is an array, expected an object"},
      {"/spec/syncPolicy/syncOptions", R"("x")",
       "its field syncOptions is a string, expected an array"},
      {"/spec/syncPolicy/syncOptions/0", "true",
       "its field syncOptions[0] is a boolean, expected a string"},
      {"/spec/syncPolicy/retry", "3", "its field retry is a number, expected an object"},
      {"/operation", R"("sync")", "its field operation is a string, expected an object"},
      {"/operation", "[]", "its field operation is an array, expected an object"},
      {"/operation/initiatedBy", R"("bob")",
       "its field initiatedBy is a string, expected an object"},
      {"/operation/initiatedBy/username", "1", "its field username is a number, expected a string"},
      {"/operation/initiatedBy/automated", "1",
       "its field automated is a number, expected a boolean"},
      {"/operation/info", "{}", "its field info is an object, expected an array"},
      {"/operation/info/0", "[]", "its field info[0] is an array, expected an object"},
      {"/operation/info/0/name", "1", "its field name is a number, expected a string"},
      {"/operation/info/0/value", "7", "its field value is a number, expected a string"},
      {"/status", "[]", "its field status is an array, expected an object"},
      {"/status/operationState", R"("Running")",
       "its field operationState is a string, expected an object"},
      {"/status/operationState/phase", "1", "its field phase is a number, expected a string"},
      {"/status/operationState/message", "[]", "its field message is an array, expected a string"},
      {"/status/operationState/finishedAt", "1700000000",
       "its field finishedAt is a number, expected a string"},
      {"/status/operationState/finishedAt", R"("yesterday")",
       R"(its field finishedAt is "yesterday", expected an RFC 3339 time)"},
      {"/status/operationState/finishedAt", R"("2026-03-01 11:00:00")",
       R"(its field finishedAt is "2026-03-01 11:00:00", expected an RFC 3339 time)"},
      {"/status/operationState/finishedAt", R"("infinite-future")",
       R"(its field finishedAt is "infinite-future", expected an RFC 3339 time)"},
      {"/status/operationState/operation", "true",
       "its field operation is a boolean, expected an object"},
      {"/status/operationState/operation/info", R"("x")",
       "its field info is a string, expected an array"},
      {"/status/operationState/syncResult", "[]",
       "its field syncResult is an array, expected an object"},
      {"/status/operationState/syncResult/revisions", R"("v1")",
       "its field revisions is a string, expected an array"},
      {"/status/operationState/syncResult/revisions/1", "2",
       "its field revisions[1] is a number, expected a string"},
      {"/status/operationState/syncResult/sources", "{}",
       "its field sources is an object, expected an array"},
      {"/status/operationState/syncResult/sources/0", R"("x")",
       "its field sources[0] is a string, expected an object"},
      {"/status/operationState/syncResult/sources/1/targetRevision", "1",
       "its field targetRevision is a number, expected a string"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(std::string(c.field) + " = " + c.value);
    json document = FullDocument();
    document[json::json_pointer(c.field)] = json::parse(c.value);
    const absl::Status status = ParseError(document.dump());
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.message));
  }
}

TEST(ParseApplicationTest, AWrongTypeIsAnErrorWhereASingleSourceIsRead) {
  const struct {
    const char* changes;
    const char* message;
  } cases[] = {
      {R"({"spec": {"source": "x"}})", "its field source is a string, expected an object"},
      {R"({"spec": {"source": {"repoURL": []}}})",
       "its field repoURL is an array, expected a string"},
      {R"({"status": {"operationState": {"syncResult": {"revision": 1}}}})",
       "its field revision is a number, expected a string"},
      {R"({"status": {"operationState": {"syncResult": {"source": []}}}})",
       "its field source is an array, expected an object"},
      {R"({"status": {"operationState": {"syncResult": {"source": {"targetRevision": 1}}}}})",
       "its field targetRevision is a number, expected a string"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.changes);
    const absl::Status status = ParseError(ApplicationDocument(c.changes).dump());
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.message));
    EXPECT_THAT(std::string(status.message()), HasSubstr("argocd/shop"));
  }
}

TEST(ParseApplicationTest, SourcesOverrideTheSourceUnlessTheyAreEmpty) {
  const struct {
    const char* name;
    const char* spec;
    bool multi_source;
    std::vector<std::string> repo_urls;
  } cases[] = {
      {"only a source", R"({"source": {"repoURL": "a"}})", false, {"a"}},
      {"null sources", R"({"source": {"repoURL": "a"}, "sources": null})", false, {"a"}},
      {"empty sources", R"({"source": {"repoURL": "a"}, "sources": []})", false, {"a"}},
      {"both", R"({"source": {"repoURL": "a"}, "sources": [{"repoURL": "b"}]})", true, {"b"}},
      {"two", R"({"sources": [{"repoURL": "b"}, {"repoURL": "c"}]})", true, {"b", "c"}},
      {"null source", R"({"source": null, "sources": [{"repoURL": "b"}]})", true, {"b"}},
      {"no source", R"({"destination": {}})", false, {}},
      {"nothing in either", R"({"source": null, "sources": []})", false, {}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    json document = ApplicationDocument();
    document["spec"] = json::parse(c.spec);
    const Application application = ParseDocument(document);
    EXPECT_EQ(application.multi_source, c.multi_source);
    std::vector<std::string> repo_urls;
    for (const Source& source : application.sources) repo_urls.push_back(source.repo_url);
    EXPECT_EQ(repo_urls, c.repo_urls);
  }
}

TEST(ParseApplicationTest, ASourceHydratorIsSeenUnlessItIsNull) {
  EXPECT_FALSE(Parse().has_source_hydrator);
  EXPECT_FALSE(Parse(R"({"spec": {"sourceHydrator": null}})").has_source_hydrator);
  EXPECT_TRUE(Parse(R"({"spec": {"sourceHydrator": {}}})").has_source_hydrator);
  EXPECT_TRUE(Parse(R"({"spec": {"sourceHydrator": {"syncSource": {}}}})").has_source_hydrator);
}

TEST(ParseApplicationTest, AnExplicitTypeIsOneThatIsThereEvenIfEmpty) {
  const Source empty =
      Parse(R"({"spec": {"source": {"directory": {}, "plugin": {}, "kustomize": {}, "helm": {}}}})")
          .sources[0];
  EXPECT_TRUE(empty.has_directory);
  EXPECT_TRUE(empty.has_plugin);
  EXPECT_EQ(empty.kustomize, json::object());
  EXPECT_EQ(empty.helm, json::object());
}

TEST(ParseApplicationTest, AnEmptyPathOrRefIsNone) {
  const Source source = Parse(R"({"spec": {"source": {"path": "", "ref": ""}}})").sources[0];
  EXPECT_FALSE(source.has_path);
  EXPECT_FALSE(source.has_ref);
}

TEST(ParseApplicationTest, SyncResultInItsTwoForms) {
  const struct {
    const char* name;
    const char* sync_result;
    std::vector<std::string> revisions;
    std::vector<std::string> target_revisions;
  } cases[] = {
      {"single", R"({"revision": "v1", "source": {"targetRevision": "main"}})", {"v1"}, {"main"}},
      {"empty lists beside the single form",
       R"({"revision": "v1", "revisions": [], "source": {"targetRevision": "main"},
           "sources": []})",
       {"v1"},
       {"main"}},
      {"null lists beside the single form",
       R"({"revision": "v1", "revisions": null, "source": {"targetRevision": "main"},
           "sources": null})",
       {"v1"},
       {"main"}},
      {"lists",
       R"({"revisions": ["v1", "w1"],
           "sources": [{"targetRevision": "main"}, {"repoURL": "x"}]})",
       {"v1", "w1"},
       {"main", ""}},
      {"lists before the single form",
       R"({"revision": "v1", "revisions": ["w1"], "source": {"targetRevision": "main"},
           "sources": [{"targetRevision": "dev"}]})",
       {"w1"},
       {"dev"}},
      // What Argo CD's Go code writes for an Application with several sources.
      {"lists and an empty single form",
       R"({"revision": "", "revisions": ["v1", "w1"], "source": {"repoURL": ""},
           "sources": [{"targetRevision": "a"}, {"targetRevision": "b"}]})",
       {"v1", "w1"},
       {"a", "b"}},
      {"nothing", "{}", {""}, {}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    json document = ApplicationDocument();
    document["status"]["operationState"]["syncResult"] = json::parse(c.sync_result);
    const Application application = ParseDocument(document);
    ASSERT_TRUE(application.operation_state && application.operation_state->sync_result);
    EXPECT_EQ(application.operation_state->sync_result->revisions, c.revisions);
    EXPECT_EQ(application.operation_state->sync_result->target_revisions, c.target_revisions);
  }
}

TEST(ParseApplicationTest, FinishedAtIsReadInEveryFormOfRfc3339) {
  const absl::Time expected =
      absl::FromCivil(absl::CivilSecond(2026, 3, 1, 11, 0, 0), absl::UTCTimeZone());
  const struct {
    const char* text;
    absl::Time time;
  } cases[] = {
      {"2026-03-01T11:00:00Z", expected},
      {"2026-03-01T11:00:00.25Z", expected + absl::Milliseconds(250)},
      {"2026-03-01T13:00:00+02:00", expected},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text);
    json document = ApplicationDocument();
    document["status"]["operationState"]["finishedAt"] = c.text;
    EXPECT_EQ(ParseDocument(document).operation_state->finished_at, c.time);
  }
}

TEST(ParseApplicationTest, OfInfoEntriesWithOneNameTheFirstCounts) {
  const Application application = Parse(R"({"operation": {"info": [
      {"name": "kargo.akuity.io/promotion", "value": "p-1"},
      {"name": "kargo.akuity.io/promotion", "value": "p-2"},
      {"name": "Reason"}]}})");
  EXPECT_THAT(application.operation->info,
              UnorderedElementsAre(Pair("kargo.akuity.io/promotion", "p-1"), Pair("Reason", "")));
}

TEST(ParseApplicationTest, AnEmptyOperationIsOne) {
  const Application application = Parse(R"({"operation": {}})");
  ASSERT_TRUE(application.operation.has_value());
  EXPECT_FALSE(application.operation->has_sync);
  EXPECT_THAT(application.operation->info, IsEmpty());
}

TEST(ParseApplicationTest, FindsTheOwner) {
  const struct {
    const char* name;
    const char* metadata;
    const char* owner;
  } cases[] = {
      {"nobody", R"({})", ""},
      {"no references", R"({"ownerReferences": []})", ""},
      {"an ApplicationSet",
       R"({"ownerReferences": [{"kind": "ApplicationSet", "name": "shops", "controller": true}]})",
       "ApplicationSet shops"},
      {"an owner that is no controller",
       R"({"ownerReferences": [{"kind": "ApplicationSet", "name": "shops"}]})",
       "ApplicationSet shops"},
      {"the controller among several",
       R"({"ownerReferences": [{"kind": "Team", "name": "a"},
                               {"kind": "ApplicationSet", "name": "shops", "controller": true},
                               {"kind": "Team", "name": "b"}]})",
       "ApplicationSet shops"},
      {"the first of several without a controller",
       R"({"ownerReferences": [{"kind": "Team", "name": "a"}, {"kind": "Team", "name": "b"}]})",
       "Team a"},
      {"a parent by its tracking mark",
       R"({"annotations": {"argocd.argoproj.io/tracking-id":
                           "root:argoproj.io/Application:argocd/shop"}})",
       "Application root"},
      {"a parent by Argo CD's label", R"({"labels": {"argocd.argoproj.io/instance": "root"}})",
       "Application root"},
      {"a parent by the common label", R"({"labels": {"app.kubernetes.io/instance": "root"}})",
       "Application root"},
      {"a reference before a mark",
       R"({"ownerReferences": [{"kind": "ApplicationSet", "name": "shops", "controller": true}],
           "annotations": {"argocd.argoproj.io/tracking-id": "root:x"},
           "labels": {"app.kubernetes.io/instance": "other"}})",
       "ApplicationSet shops"},
      {"a mark before a label",
       R"({"annotations": {"argocd.argoproj.io/tracking-id": "root:x"},
           "labels": {"app.kubernetes.io/instance": "other"}})",
       "Application root"},
      {"an empty mark says nothing",
       R"({"annotations": {"argocd.argoproj.io/tracking-id": ""},
           "labels": {"app.kubernetes.io/instance": "root"}})",
       "Application root"},
      {"a mark without a name says nothing",
       R"({"annotations": {"argocd.argoproj.io/tracking-id": ":argoproj.io/Application:a/b"}})",
       ""},
      {"empty labels say nothing",
       R"({"labels": {"argocd.argoproj.io/instance": "", "app.kubernetes.io/instance": ""}})", ""},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    json document = ApplicationDocument();
    document["metadata"].update(json::parse(c.metadata), true);
    EXPECT_EQ(ParseDocument(document).owner, c.owner);
  }
}

TEST(ParseApplicationTest, UnknownFieldsAreIgnored) {
  json document = FullDocument();
  std::vector<json::json_pointer> members;
  CollectMembers(document, json::json_pointer(), members);
  std::size_t added = 0;
  for (const json::json_pointer& at : members) {
    // Labels and annotations are maps: nothing in them is unknown. Parameters and `retry` are kept.
    const std::string path = at.to_string();
    json& value = document[at];
    if (!value.is_object() || at.back() == "labels" || at.back() == "annotations" ||
        path.rfind("/spec/syncPolicy/retry", 0) == 0) {
      continue;
    }
    value["unknown"] = {{"a", nullptr}, {"b", {1, "x", false}}, {"spec", {{"sources", 7}}}};
    value["zzz"] = -0.5;
    ++added;
  }
  ASSERT_GT(added, 10u);
  document["unknown"] = {1, 2};
  EXPECT_EQ(Describe(ParseDocument(document)), Describe(ParseDocument(FullDocument())));
}

TEST(ParseApplicationTest, WhatIsNotOneJsonObjectIsAnError) {
  const struct {
    const char* name;
    std::string_view text;
    const char* message;
  } cases[] = {
      {"empty", "", "not valid JSON"},
      {"empty, pointing nowhere", std::string_view(), "not valid JSON"},
      {"blanks", " \n", "not valid JSON"},
      {"no JSON", "Application", "not valid JSON"},
      {"HTML", "<html></html>", "not valid JSON"},
      {"two documents", R"({"metadata": {}} {"metadata": {}})", "not valid JSON"},
      {"a comment", R"({"metadata": {}} // shop)", "not valid JSON"},
      {"a trailing comma", R"({"metadata": {},})", "not valid JSON"},
      {"single quotes", "{'metadata': {}}", "not valid JSON"},
      {"NaN", R"({"metadata": NaN})", "not valid JSON"},
      {"a zero byte", std::string_view("{\0}", 3), "not valid JSON"},
      {"a raw line break in a string", "{\"a\": \"\n\"}", "not valid JSON"},
      {"invalid UTF-8", "{\"metadata\": {\"name\": \"\xC3\x28\"}}", "not valid JSON"},
      {"UTF-8 cut off", "{\"metadata\": {\"name\": \"\xE2\x82\"}}", "not valid JSON"},
      {"a surrogate in UTF-8", "{\"metadata\": {\"name\": \"\xED\xA0\x80\"}}", "not valid JSON"},
      {"an overlong zero", "{\"metadata\": {\"name\": \"\xC0\x80\"}}", "not valid JSON"},
      {"an array", "[]", "is an array, expected an object"},
      {"an Application in an array", R"([{"metadata": {"name": "a", "resourceVersion": "1"}}])",
       "is an array, expected an object"},
      {"a string", R"("shop")", "is a string, expected an object"},
      {"a number", "7", "is a number, expected an object"},
      {"a boolean", "true", "is a boolean, expected an object"},
      {"null", "null", "is null, expected an object"},
      {"an empty object", "{}", "no metadata.name or no metadata.resourceVersion"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const absl::Status status = ParseError(c.text);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.message));
  }
}

TEST(ParseApplicationTest, ATruncatedDocumentIsAnErrorWhereverItEnds) {
  const std::string text = FullDocument().dump();
  for (std::size_t length = 0; length < text.size(); ++length) {
    // A copy of exactly that size, so that reading beyond it can be noticed.
    const std::vector<char> cut(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(length));
    ASSERT_TRUE(absl::IsInvalidArgument(ParseError({cut.data(), cut.size()}))) << length;
  }
  EXPECT_TRUE(ParseError(text).ok());
}

TEST(ParseApplicationTest, ADamagedDocumentIsAnErrorOrAnApplication) {
  const std::string text = FullDocument().dump();
  std::mt19937 random(1);
  int understood = 0;
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string damaged = text;
    for (std::size_t changes = 1 + random() % 3; changes > 0; --changes) {
      damaged[random() % damaged.size()] = static_cast<char>(random() % 256);
    }
    const absl::StatusOr<Application> application = ParseApplication(damaged);
    if (application.ok()) {
      ++understood;
      EXPECT_FALSE(application->name.name.empty());
      EXPECT_FALSE(application->resource_version.empty());
    } else {
      ++refused;
      EXPECT_TRUE(absl::IsInvalidArgument(application.status())) << application.status();
      EXPECT_FALSE(application.status().message().empty());
    }
  }
  EXPECT_GT(understood, 0);
  EXPECT_GT(refused, 0);
}

TEST(ParseApplicationTest, DeepNestingIsAnError) {
  constexpr int kLevels = 10'000;
  const auto nested = [](std::string_view open, std::string_view close, int levels) {
    std::string text;
    for (int i = 0; i < levels; ++i) text += open;
    text += "1";
    for (int i = 0; i < levels; ++i) text += close;
    return text;
  };
  const auto with_values = [](const std::string& values) {
    return R"({"metadata": {"name": "shop", "resourceVersion": "7"},
               "spec": {"source": {"helm": {"valuesObject": )" +
           values + "}}}}";
  };
  for (const std::string& text :
       {nested("[", "]", kLevels), nested(R"({"a":)", "}", kLevels),
        with_values(nested("[", "]", kLevels)), with_values(nested(R"({"a":)", "}", kLevels)),
        std::string(kLevels, '['), std::string(1'000'000, '{')}) {
    const absl::Status status = ParseError(text);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  }
  // As deep as anybody's values are.
  EXPECT_TRUE(ParseError(with_values(nested(R"({"a":)", "}", 500))).ok());
}

TEST(ParseApplicationTest, ALargeApplicationIsReadToItsEnd) {
  json document = FullDocument();
  json& resources = document["status"]["resources"];
  for (int i = 0; i < 2600; ++i) {
    resources.push_back({{"group", "apps"},
                         {"version", "v1"},
                         {"kind", "Deployment"},
                         {"namespace", "shop"},
                         {"name", "deployment-" + std::to_string(i)},
                         {"status", "Synced"},
                         {"health", {{"status", "Healthy"}, {"message", nullptr}}}});
  }
  const std::string text = document.dump();
  ASSERT_GT(text.size(), 400'000u);
  const absl::StatusOr<Application> application = ParseApplication(text);
  ASSERT_TRUE(application.ok()) << application.status();
  EXPECT_EQ(Describe(*application), Describe(ParseDocument(FullDocument())));
  // A small one after a large one, through the same parser.
  EXPECT_EQ(Parse().name.name, "shop");
}

TEST(ParseApplicationTest, TextIsKeptAsItIs) {
  json document = ApplicationDocument();
  document["status"]["operationState"]["message"] = std::string("a\0b \"\\ \u00E9 \U0001F600", 15);
  EXPECT_EQ(ParseDocument(document).operation_state->message,
            document["status"]["operationState"]["message"].get<std::string>());
}

}  // namespace
}  // namespace gantry::argocd
