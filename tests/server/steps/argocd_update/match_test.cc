// SPDX-License-Identifier: Apache-2.0
#include "server/steps/argocd_update/match.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/server/argocd/documents.h"
#include "tests/server/steps/argocd_update/updates.h"

namespace gantry::steps {
namespace {

using argocd::documents::ApplicationDocument;
using argocd::documents::json;
using argocd::documents::Parse;
using argocd::documents::ParseDocument;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Problem = SourceMatch::Problem;

argocd::Application WithSources(const std::string& sources) {
  json document = ApplicationDocument();
  document["spec"] = {{"sources", json::parse(sources)}};
  return ParseDocument(document);
}

TEST(MatchesTest, ByChartToTheLetterElseByNormalizedGitUrl) {
  const struct {
    const char* name;
    const char* update;
    const char* source;
    bool matches;
  } cases[] = {
      {"one git URL", R"({"repoURL": "https://git.example/a"})",
       R"({"repoURL": "https://git.example/a"})", true},
      {"another git URL", R"({"repoURL": "https://git.example/a"})",
       R"({"repoURL": "https://git.example/b"})", false},
      {"two spellings of a git URL", R"({"repoURL": "https://Git.Example/a.git"})",
       R"({"repoURL": " https://me:secret@git.example/a/"})", true},
      {"two spellings of an ssh URL", R"({"repoURL": "git@git.example:a.git"})",
       R"({"repoURL": "ssh://git@git.example/a"})", true},
      {"a query makes it compared as it is", R"({"repoURL": "https://git.example/a?x=1"})",
       R"({"repoURL": "https://git.example/a.git?x=1"})", false},
      {"the same query", R"({"repoURL": "https://git.example/a?x=1"})",
       R"({"repoURL": "https://git.example/a?x=1"})", true},

      {"one chart", R"({"repoURL": "https://charts.example", "chart": "web"})",
       R"({"repoURL": "https://charts.example", "chart": "web"})", true},
      {"another chart", R"({"repoURL": "https://charts.example", "chart": "web"})",
       R"({"repoURL": "https://charts.example", "chart": "db"})", false},
      {"a chart in other case", R"({"repoURL": "https://charts.example", "chart": "web"})",
       R"({"repoURL": "https://charts.example", "chart": "Web"})", false},
      {"a chart of another repository", R"({"repoURL": "https://charts.example", "chart": "web"})",
       R"({"repoURL": "https://other.example", "chart": "web"})", false},
      {"a chart's URL in other case", R"({"repoURL": "https://charts.example/A", "chart": "web"})",
       R"({"repoURL": "https://charts.example/a", "chart": "web"})", false},
      {"a chart's URL with a slash", R"({"repoURL": "https://charts.example/", "chart": "web"})",
       R"({"repoURL": "https://charts.example", "chart": "web"})", false},
      {"a chart's URL with .git", R"({"repoURL": "https://charts.example/a.git", "chart": "web"})",
       R"({"repoURL": "https://charts.example/a", "chart": "web"})", false},
      {"a chart in an OCI registry", R"({"repoURL": "oci.example/charts", "chart": "web"})",
       R"({"repoURL": "oci.example/charts", "chart": "web"})", true},
      {"only the update names a chart", R"({"repoURL": "https://charts.example", "chart": "web"})",
       R"({"repoURL": "https://charts.example"})", false},
      {"only the source names a chart", R"({"repoURL": "https://charts.example"})",
       R"({"repoURL": "https://charts.example", "chart": "web"})", false},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const SourceUpdate update = Updates(std::string("[") + c.update + "]")[0];
    const argocd::Source source = WithSources(std::string("[") + c.source + "]").sources[0];
    EXPECT_EQ(Matches(update, source), c.matches);
  }
}

TEST(MatchSourcesTest, TheSourcesOfARevision) {
  const struct {
    const char* name;
    const char* sources;
    const char* updates;
    std::vector<std::string> desired_revisions;
    std::vector<std::vector<int>> targets;
  } cases[] = {
      {"no updates", R"([{"repoURL": "a"}, {"repoURL": "b"}])", "[]", {"", ""}, {}},
      {"no desired revision", R"([{"repoURL": "a"}])", R"([{"repoURL": "a"}])", {""}, {{0}}},
      {"one source",
       R"([{"repoURL": "a"}])",
       R"([{"repoURL": "a", "desiredRevision": "v1"}])",
       {"v1"},
       {{0}}},
      {"the second of two",
       R"([{"repoURL": "a"}, {"repoURL": "b"}])",
       R"([{"repoURL": "b", "desiredRevision": "v1"}])",
       {"", "v1"},
       {{1}}},
      {"every source that matches",
       R"([{"repoURL": "a", "path": "x"}, {"repoURL": "b"}, {"repoURL": "a", "path": "y"}])",
       R"([{"repoURL": "a", "desiredRevision": "v1"}])",
       {"v1", "", "v1"},
       {{0, 2}}},
      {"one that only lends its files, too",
       R"([{"repoURL": "a", "ref": "values"}, {"repoURL": "a", "path": "x"}])",
       R"([{"repoURL": "a", "desiredRevision": "v1"}])",
       {"v1", "v1"},
       {{0, 1}}},
      {"an update for each, in their own order",
       R"([{"repoURL": "a"}, {"repoURL": "b"}])",
       R"([{"repoURL": "b", "desiredRevision": "v2"}, {"repoURL": "a", "desiredRevision": "v1"}])",
       {"v1", "v2"},
       {{1}, {0}}},
      {"two updates that want the same",
       R"([{"repoURL": "a"}])",
       R"([{"repoURL": "a", "desiredRevision": "v1"}, {"repoURL": "a", "desiredRevision": "v1"}])",
       {"v1"},
       {{0}, {0}}},
      {"two updates of which the first wants one",
       R"([{"repoURL": "a"}])",
       R"([{"repoURL": "a", "desiredRevision": "v1"}, {"repoURL": "a"}])",
       {"v1"},
       {{0}, {0}}},
      {"two updates of which the second wants one",
       R"([{"repoURL": "a"}])",
       R"([{"repoURL": "a"}, {"repoURL": "a", "desiredRevision": "v1"}])",
       {"v1"},
       {{0}, {0}}},
      {"a chart beside a git repository at one URL",
       R"([{"repoURL": "a"}, {"repoURL": "a", "chart": "web"}])",
       R"([{"repoURL": "a", "chart": "web", "desiredRevision": "1.2"},
           {"repoURL": "a", "desiredRevision": "v1"}])",
       {"v1", "1.2"},
       {{1}, {0}}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const SourceMatch match = MatchSources(WithSources(c.sources), Updates(c.updates));
    EXPECT_EQ(match.problem, Problem::kNone);
    EXPECT_EQ(match.message, "");
    EXPECT_EQ(match.desired_revisions, c.desired_revisions);
    std::vector<std::vector<int>> targets;
    for (const SourceMatch::Target& target : match.targets) {
      targets.push_back(target.sources);
      EXPECT_EQ(target.kustomize_source, -1);
      EXPECT_EQ(target.helm_source, -1);
    }
    EXPECT_EQ(targets, c.targets);
  }
}

TEST(MatchSourcesTest, TheSourceOfImages) {
  // Each source is at repository "a"; the update brings images for one tool.
  const struct {
    const char* name;
    const char* sources;
    int kustomize_source;  // -1: none can take them
    int helm_source;
  } cases[] = {
      {"a plain source", R"([{"path": "x"}])", 0, 0},
      {"without a path", R"([{}])", 0, 0},
      {"the first of two", R"([{"path": "x"}, {"path": "y"}])", 0, 0},
      {"a ref alone only lends its files", R"([{"ref": "values"}])", -1, -1},
      {"a ref with an empty path, too", R"([{"ref": "values", "path": ""}])", -1, -1},
      {"the first after a ref", R"([{"ref": "values"}, {"path": "x"}])", 1, 1},
      {"a ref and a path renders", R"([{"ref": "values", "path": "x"}, {"path": "y"}])", 0, 0},
      {"an empty ref is none", R"([{"ref": ""}])", 0, 0},
      {"a directory", R"([{"path": "x", "directory": {"recurse": true}}])", -1, -1},
      {"an empty directory", R"([{"path": "x", "directory": {}}])", -1, -1},
      {"a null directory is none", R"([{"path": "x", "directory": null}])", 0, 0},
      {"the first after a directory", R"([{"path": "x", "directory": {}}, {"path": "y"}])", 1, 1},
      {"a plugin", R"([{"path": "x", "plugin": {"name": "p"}}])", -1, -1},
      {"a null plugin is none", R"([{"path": "x", "plugin": null}])", 0, 0},
      {"the first after a plugin", R"([{"path": "x", "plugin": {}}, {"path": "y"}])", 1, 1},
      {"explicitly helm", R"([{"path": "x", "helm": {"releaseName": "r"}}])", -1, 0},
      {"explicitly helm, empty", R"([{"path": "x", "helm": {}}])", -1, 0},
      {"null helm is none", R"([{"path": "x", "helm": null}])", 0, 0},
      {"explicitly kustomize", R"([{"path": "x", "kustomize": {"namePrefix": "n"}}])", 0, -1},
      {"explicitly kustomize, empty", R"([{"path": "x", "kustomize": {}}])", 0, -1},
      {"null kustomize is none", R"([{"path": "x", "kustomize": null}])", 0, 0},
      {"helm before kustomize", R"([{"path": "x", "helm": {}}, {"path": "y", "kustomize": {}}])", 1,
       0},
      {"kustomize before helm", R"([{"path": "x", "kustomize": {}}, {"path": "y", "helm": {}}])", 0,
       1},
      {"all that can't before one that can",
       R"([{"ref": "v"}, {"directory": {}}, {"plugin": {}}, {"path": "x"}])", 3, 3},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    json sources = json::parse(c.sources);
    for (json& source : sources) source["repoURL"] = "a";
    const argocd::Application application = WithSources(sources.dump());

    const SourceMatch kustomize = MatchSources(
        application,
        Updates(R"([{"repoURL": "a", "kustomize": {"images": [{"repoURL": "i", "tag": "1"}]}}])"));
    const SourceMatch helm = MatchSources(
        application,
        Updates(R"([{"repoURL": "a", "helm": {"images": [{"key": "k", "value": "1"}]}}])"));
    if (c.kustomize_source < 0) {
      EXPECT_EQ(kustomize.problem, Problem::kNotMatched);
      EXPECT_THAT(kustomize.message, HasSubstr("kustomize"));
    } else {
      ASSERT_EQ(kustomize.problem, Problem::kNone) << kustomize.message;
      EXPECT_EQ(kustomize.targets[0].kustomize_source, c.kustomize_source);
      EXPECT_EQ(kustomize.targets[0].helm_source, -1);
    }
    if (c.helm_source < 0) {
      EXPECT_EQ(helm.problem, Problem::kNotMatched);
      EXPECT_THAT(helm.message, HasSubstr("helm"));
    } else {
      ASSERT_EQ(helm.problem, Problem::kNone) << helm.message;
      EXPECT_EQ(helm.targets[0].helm_source, c.helm_source);
      EXPECT_EQ(helm.targets[0].kustomize_source, -1);
    }
  }
}

TEST(MatchSourcesTest, ImagesGoToAChartAndToASingleSource) {
  const SourceMatch chart = MatchSources(
      WithSources(R"([{"repoURL": "a", "chart": "web", "ref": "values"}])"),
      Updates(R"([{"repoURL": "a", "chart": "web", "helm": {"images": [{"key": "k"}]}}])"));
  ASSERT_EQ(chart.problem, Problem::kNone) << chart.message;
  EXPECT_EQ(chart.targets[0].helm_source, 0);

  const SourceMatch single =
      MatchSources(Parse(), Updates(R"([{"repoURL": "https://git.example/shop",
                                         "kustomize": {"images": [{"repoURL": "i"}]}}])"));
  ASSERT_EQ(single.problem, Problem::kNone) << single.message;
  EXPECT_EQ(single.targets[0].kustomize_source, 0);
}

TEST(MatchSourcesTest, ImagesOfSeveralUpdates) {
  // All updates are for repository "a"; K brings kustomize images, H helm images.
  const std::string k = R"({"repoURL": "a", "kustomize": {"images": [{"repoURL": "i"}]}})";
  const std::string h = R"({"repoURL": "a", "helm": {"images": [{"key": "k"}]}})";
  const std::string both = R"({"repoURL": "a", "kustomize": {"images": [{"repoURL": "i"}]},
                               "helm": {"images": [{"key": "k"}]}})";
  const std::string one = R"([{"repoURL": "a", "path": "x"}])";
  const std::string two = R"([{"repoURL": "a", "path": "x"}, {"repoURL": "a", "path": "y"}])";
  using Images = std::vector<std::pair<int, int>>;  // per update: kustomize_source, helm_source
  const struct {
    const char* name;
    std::string sources;
    std::string updates;
    Images images;  // empty: not matched
  } cases[] = {
      {"K and K share a source", one, k + "," + k, {{0, -1}, {0, -1}}},
      {"H and H share a source", one, h + "," + h, {{-1, 0}, {-1, 0}}},
      {"H after K finds no source", one, k + "," + h, {}},
      {"K after H finds no source", one, h + "," + k, {}},
      {"both in one update find no two sources", one, both, {}},
      {"H after K takes the next source", two, k + "," + h, {{0, -1}, {-1, 1}}},
      {"K after H takes the next source", two, h + "," + k, {{-1, 0}, {1, -1}}},
      {"both in one update take two sources", two, both, {{0, 1}}},
      {"what was taken stays taken", two, k + "," + h + "," + k, {{0, -1}, {-1, 1}, {0, -1}}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const SourceMatch match = MatchSources(WithSources(c.sources), Updates("[" + c.updates + "]"));
    if (c.images.empty()) {
      EXPECT_EQ(match.problem, Problem::kNotMatched);
      continue;
    }
    EXPECT_EQ(match.problem, Problem::kNone) << match.message;
    Images images;
    for (const SourceMatch::Target& target : match.targets) {
      images.emplace_back(target.kustomize_source, target.helm_source);
    }
    EXPECT_EQ(images, c.images);
  }
}

TEST(MatchSourcesTest, Problems) {
  const struct {
    const char* name;
    const char* spec;
    const char* updates;
    Problem problem;
    std::vector<const char*> message;
  } cases[] = {
      {"no source of that URL",
       R"({"source": {"repoURL": "https://git.example/a"}})",
       R"([{"repoURL": "https://git.example/b", "desiredRevision": "v1"}])",
       Problem::kNotMatched,
       {"argocd/shop", "https://git.example/b"}},
      {"no source of that chart",
       R"({"source": {"repoURL": "https://charts.example", "chart": "db"}})",
       R"([{"repoURL": "https://charts.example", "chart": "web"}])",
       Problem::kNotMatched,
       {"argocd/shop", "https://charts.example", "web"}},
      {"the second update matches none",
       R"({"source": {"repoURL": "a"}})",
       R"([{"repoURL": "a"}, {"repoURL": "b"}])",
       Problem::kNotMatched,
       {"\"b\""}},
      {"it would match the source that sources override",
       R"({"source": {"repoURL": "a"}, "sources": [{"repoURL": "b"}]})",
       R"([{"repoURL": "a"}])",
       Problem::kNotMatched,
       {"\"a\""}},
      {"no source at all",
       R"({"destination": {}})",
       R"([{"repoURL": "a"}])",
       Problem::kNotMatched,
       {"argocd/shop"}},
      {"two revisions for one source",
       R"({"source": {"repoURL": "a"}})",
       R"([{"repoURL": "a", "desiredRevision": "v1"}, {"repoURL": "a", "desiredRevision": "v2"}])",
       Problem::kConflictingRevisions,
       {"argocd/shop", "\"v1\"", "\"v2\""}},
      {"two revisions by two spellings",
       R"({"source": {"repoURL": "https://git.example/a"}})",
       R"([{"repoURL": "https://git.example/a.git", "desiredRevision": "v1"},
           {"repoURL": "https://git.example/A", "desiredRevision": "v2"}])",
       Problem::kConflictingRevisions,
       {"\"v1\"", "\"v2\""}},
      {"two revisions with one that has none between them",
       R"({"sources": [{"repoURL": "b"}, {"repoURL": "a"}]})",
       R"([{"repoURL": "a", "desiredRevision": "v1"}, {"repoURL": "a"},
           {"repoURL": "a", "desiredRevision": "v2"}])",
       Problem::kConflictingRevisions,
       {"\"v1\"", "\"v2\""}},
      {"the hydrator overrides a source",
       R"({"source": {"repoURL": "a"}, "sourceHydrator": {"drySource": {"repoURL": "a"}}})",
       R"([{"repoURL": "a", "desiredRevision": "v1"}])",
       Problem::kNotMatched,
       {"argocd/shop", "sourceHydrator"}},
      {"the hydrator overrides sources",
       R"({"sources": [{"repoURL": "a"}], "sourceHydrator": {}})",
       R"([{"repoURL": "a"}])",
       Problem::kNotMatched,
       {"argocd/shop", "sourceHydrator"}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    json document = ApplicationDocument();
    document["spec"] = json::parse(c.spec);
    const SourceMatch match = MatchSources(ParseDocument(document), Updates(c.updates));
    EXPECT_EQ(match.problem, c.problem);
    for (const char* part : c.message) EXPECT_THAT(match.message, HasSubstr(part));
  }
}

TEST(MatchSourcesTest, AHydratedApplicationCanBeSyncedWithoutUpdates) {
  const SourceMatch match = MatchSources(Parse(R"({"spec": {"sourceHydrator": {}}})"), {});
  EXPECT_EQ(match.problem, Problem::kNone);
  EXPECT_THAT(match.desired_revisions, ElementsAre(""));
  EXPECT_THAT(match.targets, IsEmpty());
}

TEST(MatchSourcesTest, AnApplicationWithoutSourcesAndUpdates) {
  json document = ApplicationDocument();
  document["spec"] = nullptr;
  const SourceMatch match = MatchSources(ParseDocument(document), {});
  EXPECT_EQ(match.problem, Problem::kNone);
  EXPECT_THAT(match.desired_revisions, IsEmpty());
}

}  // namespace
}  // namespace gantry::steps
