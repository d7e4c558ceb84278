// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SERVER_ARGOCD_DOCUMENTS_H_
#define GANTRY_TESTS_SERVER_ARGOCD_DOCUMENTS_H_

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "server/argocd/application.h"
#include "server/argocd/application_reader.h"
#include "server/kubernetes/api/json_text.h"

// What tests of rules on Applications build their inputs with: JSON literals, as users write them.
namespace gantry::argocd::documents {

using nlohmann::json;

// A small Application with `changes` laid over it: objects member by member, while anything else,
// null included, takes the place of what was there.
inline json ApplicationDocument(std::string_view changes = "{}") {
  json document = json::parse(R"({
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Application",
    "metadata": {
      "namespace": "argocd",
      "name": "shop",
      "resourceVersion": "70",
      "annotations": {"kargo.akuity.io/authorized-stage": "shop:prod"}
    },
    "spec": {
      "source": {"repoURL": "https://git.example/shop", "path": "prod", "targetRevision": "main"}
    }
  })");
  document.update(json::parse(changes), /*merge_objects=*/true);
  return document;
}

// As a live read has it.
inline Application ParseDocument(const json& document, LiveParts* live = nullptr) {
  const kubernetes::JsonText text(document.dump());
  Application application;
  LiveParts ignored;
  const absl::Status read =
      ReadApplication(text.padded(), application, live != nullptr ? live : &ignored);
  EXPECT_TRUE(read.ok()) << read;
  EXPECT_EQ(application.problem, "");
  return application;
}

inline Application Parse(std::string_view changes = "{}", LiveParts* live = nullptr) {
  return ParseDocument(ApplicationDocument(changes), live);
}

}  // namespace gantry::argocd::documents

#endif  // GANTRY_TESTS_SERVER_ARGOCD_DOCUMENTS_H_
