// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_BENCHMARK_REALISTIC_APPLICATION_H_
#define GANTRY_TESTS_BENCHMARK_REALISTIC_APPLICATION_H_

#include <nlohmann/json.hpp>
#include <string>

namespace gantry::benchmark {

inline constexpr char kRevision[] = "5f3c9d2e8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d";

// An Application as a cluster has it, some 20 KB of JSON: two sources, 30 resources, told twice
// (as they are and as they were synced), and ten entries of history. It authorizes shop:prod, is
// synced to kRevision and healthy.
inline nlohmann::json RealisticApplication(const std::string& name) {
  using nlohmann::json;
  json resources = json::array();
  for (int i = 0; i < 30; ++i) {
    resources.push_back({{"group", "apps"},
                         {"version", "v1"},
                         {"kind", "Deployment"},
                         {"namespace", "shop"},
                         {"name", "component-" + std::to_string(i) + "-of-" + name},
                         {"status", "Synced"},
                         {"health", {{"status", "Healthy"}}},
                         {"syncWave", i}});
  }
  const json sources = {
      {{"repoURL", "https://github.com/example/shop.git"},
       {"path", "apps/" + name},
       {"targetRevision", kRevision},
       {"helm", {{"parameters", {{{"name", "image.tag"}, {"value", "v1.2.3"}}}}}}},
      {{"repoURL", "https://github.com/example/values.git"},
       {"ref", "values"},
       {"targetRevision", kRevision}}};
  json history = json::array();
  for (int i = 0; i < 10; ++i) {
    history.push_back({{"id", i},
                       {"revisions", {kRevision, kRevision}},
                       {"deployedAt", "2023-11-14T20:00:00Z"},
                       {"deployStartedAt", "2023-11-14T19:59:00Z"},
                       {"initiatedBy", {{"username", "gantry"}, {"automated", true}}},
                       {"sources", sources}});
  }
  return {{"apiVersion", "argoproj.io/v1alpha1"},
          {"kind", "Application"},
          {"metadata",
           {{"name", name},
            {"namespace", "argocd"},
            {"uid", "1b7ad5a6-9c3e-4c52-8d41-" + name},
            {"creationTimestamp", "2023-11-01T00:00:00Z"},
            {"labels", {{"team", "shop"}, {"app.kubernetes.io/name", name}}},
            {"annotations", {{"kargo.akuity.io/authorized-stage", "shop:prod"}}}}},
          {"spec",
           {{"project", "shop"},
            {"sources", sources},
            {"destination", {{"namespace", "shop"}, {"server", "https://kubernetes.default.svc"}}},
            {"syncPolicy", {{"syncOptions", {"CreateNamespace=true"}}}}}},
          {"status",
           {{"health", {{"status", "Healthy"}}},
            {"sync",
             {{"status", "Synced"},
              {"revisions", {kRevision, kRevision}},
              {"comparedTo", {{"sources", sources}, {"destination", {{"namespace", "shop"}}}}}}},
            {"operationState",
             {{"phase", "Succeeded"},
              {"message", "successfully synced (all tasks run)"},
              {"operation",
               {{"sync", {{"revisions", {kRevision, kRevision}}}},
                {"initiatedBy", {{"username", "gantry"}, {"automated", true}}},
                {"info", {{{"name", "kargo.akuity.io/promotion"}, {"value", "release-1"}}}}}},
              {"startedAt", "2023-11-14T22:00:00Z"},
              {"finishedAt", "2023-11-14T22:00:10Z"},
              {"syncResult",
               {{"revisions", {kRevision, kRevision}},
                {"sources", sources},
                {"resources", resources}}}}},
            {"reconciledAt", "2023-11-14T22:01:00Z"},
            {"resources", resources},
            {"history", history}}}};
}

}  // namespace gantry::benchmark

#endif  // GANTRY_TESTS_BENCHMARK_REALISTIC_APPLICATION_H_
