// SPDX-License-Identifier: Apache-2.0
#include "server/argocd/desired_source.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/server/argocd/documents.h"

namespace gantry::argocd {
namespace {

using documents::Parse;
using Strings = std::vector<std::string>;

// A source as `json` has it.
Source SourceOf(const std::string& json) {
  return Parse(R"({"spec": {"source": )" + json + "}}").sources[0];
}

TEST(HoldsTest, EveryDesiredValueIsThere) {
  struct Case {
    const char* name;
    const char* source;
    DesiredSource desired;
    bool holds;
  };
  const Case cases[] = {
      {"nothing desired", "{}", {}, true},
      {"a revision alone is no value", "{}", {.revision = "abc"}, true},
      {"the target revision", R"({"targetRevision": "v1"})", {.target_revision = "v1"}, true},
      {"another target revision", R"({"targetRevision": "v2"})", {.target_revision = "v1"}, false},
      {"an image among others",
       R"({"kustomize": {"images": ["a:1", "b:2"]}})",
       {.kustomize_images = {"b:2"}},
       true},
      {"one image of two",
       R"({"kustomize": {"images": ["a:1"]}})",
       {.kustomize_images = {"a:1", "b:2"}},
       false},
      {"no images at all", "{}", {.kustomize_images = {"a:1"}}, false},
      {"a parameter",
       R"({"helm": {"parameters": [{"name": "k", "value": "v"}]}})",
       {.helm_parameters = {{"k", "v"}}},
       true},
      {"a parameter of another value",
       R"({"helm": {"parameters": [{"name": "k", "value": "w"}]}})",
       {.helm_parameters = {{"k", "v"}}},
       false},
      {"one of two parameters of a name",
       R"({"helm": {"parameters": [{"name": "k", "value": "v"}, {"name": "k", "value": "w"}]}})",
       {.helm_parameters = {{"k", "v"}}},
       false},
      {"no parameters at all",
       R"({"helm": {"valueFiles": ["a"]}})",
       {.helm_parameters = {{"k", "v"}}},
       false},
  };
  for (const Case& c : cases) EXPECT_EQ(Holds(SourceOf(c.source), c.desired), c.holds) << c.name;
}

TEST(ReachedTest, ByTheRevisionOrByTheNameItWasResolvedFrom) {
  const auto deployed = [](const std::string& sync_result) {
    return *Parse(R"({"status": {"operationState": {"syncResult": )" + sync_result + "}}}")
                .operation_state->sync_result;
  };
  struct Case {
    const char* name;
    Strings desired;
    const char* phase;
    const char* sync_result;
    bool reached;
  };
  const Case cases[] = {
      {"nothing desired", {"", ""}, "Failed", "{}", true},
      {"the commit", {"abc"}, "Succeeded", R"({"revision": "abc"})", true},
      {"the commit, failed", {"abc"}, "Failed", R"({"revision": "abc"})", true},
      {"another commit", {"abc"}, "Succeeded", R"({"revision": "def"})", false},
      {"another count", {"abc"}, "Succeeded", R"({"revisions": ["abc", "def"]})", false},
      {"a tag",
       {"v1"},
       "Succeeded",
       R"({"revision": "abc", "source": {"targetRevision": "v1"}})",
       true},
      {"a tag, failed",
       {"v1"},
       "Failed",
       R"({"revision": "abc", "source": {"targetRevision": "v1"}})",
       false},
      {"the second source",
       {"", "v1"},
       "Succeeded",
       R"({"revisions": ["a", "b"], "sources": [{}, {"targetRevision": "v1"}]})",
       true},
      {"the other source",
       {"v1", ""},
       "Succeeded",
       R"({"revisions": ["a", "b"], "sources": [{}, {"targetRevision": "v1"}]})",
       false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(AllReached(c.desired, c.phase, deployed(c.sync_result)), c.reached) << c.name;
  }
}

}  // namespace
}  // namespace gantry::argocd
