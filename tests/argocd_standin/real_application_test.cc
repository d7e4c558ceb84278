// SPDX-License-Identifier: Apache-2.0
//
// Holds the stand-in to Applications of a real Argo CD 3.6.1 (real_applications.json): brought into
// the same situation by the same operation, it writes the same fields with the same values. What
// cannot be the same is masked: commits, versions, times, and what the resources are.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <regex>
#include <set>

#include "absl/strings/match.h"
#include "tests/argocd_standin/played_application.h"

namespace gantry::argocd_standin {
namespace {

using nlohmann::json;

// A path in an Application where the stand-in differs from Argo CD because its resources are
// others: a Deployment, which has an image, and a Service in a second wave, where the real ones
// were a ConfigMap and a custom resource; one of those was to be pruned.
const std::set<std::string>& DifferentByTheResources() {
  static const std::set<std::string> paths = {"group", "images", "requiresPruning", "syncWave"};
  return paths;
}

std::string MaskedText(std::string text) {
  static const std::vector<std::pair<std::regex, std::string>> masks = {
      {std::regex("[0-9a-f]{40}"), "<commit>"},
      {std::regex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z"), "<time>"},
      {std::regex("^[0-9]+\\.[0-9]+\\.[0-9]+$"), "<version>"},
      // The names of resources.
      {std::regex("test\\.gantry\\.dev/Gauge"), "apps/Deployment"},
      {std::regex("-presync$"), ""}};
  for (const auto& [mask, replacement] : masks) text = std::regex_replace(text, mask, replacement);
  return text;
}

json Masked(const json& value);

// Of a list of resources, which fields there are, and of what type.
json MaskedResources(const json& resources) {
  std::set<std::string> fields;
  for (const json& resource : resources) {
    for (const auto& [key, member] : resource.items()) {
      if (DifferentByTheResources().count(key) == 0) fields.insert(key + ": " + member.type_name());
    }
  }
  return fields;
}

json Masked(const json& value) {
  if (value.is_string()) return MaskedText(value.get<std::string>());
  json masked = value;
  if (value.is_array()) {
    for (json& member : masked) member = Masked(member);
  } else if (value.is_object()) {
    for (auto& [key, member] : masked.items()) {
      if (key == "history") {
        // How many there were before does not matter.
        json last = Masked(member.back());
        last.erase("id");
        member = last;
      } else if (key == "resources") {
        member = MaskedResources(member);
      } else {
        member = Masked(member);
      }
    }
    // Of the images of what is deployed.
    masked.erase("summary");
  }
  return masked;
}

class RealApplicationTest : public PlayedApplication,
                            public testing::WithParamInterface<const char*> {
 protected:
  RealApplicationTest() {
    std::ifstream file(REAL_APPLICATIONS);
    real_ = json::parse(file, nullptr, /*allow_exceptions=*/false).value(GetParam(), json());
    if (!real_.is_object()) return;
    app_["metadata"]["name"] = real_["name"];
    app_["spec"] = real_["spec"];
    // What the branch is when it is compared last.
    const std::string head = TextAt(real_, {"status", "sync", "revision"});
    if (head.size() == 40) Order("revision", "main=" + head + ",v1=" + kOld);
  }

  // The operation that Argo CD was asked for, on the resources that the stand-in has.
  json RealOperation() const {
    if (real_.contains("operation")) return real_["operation"];
    json operation = At(real_, {"status", "operationState", "operation"});
    if (At(operation, {"sync", "resources"}).is_array()) {
      operation["sync"]["resources"] = {
          {{"group", "apps"}, {"kind", "Deployment"}, {"name", real_["name"]}},
          {{"kind", "Service"}, {"name", real_["name"]}}};
    }
    return operation;
  }
  void Run(const json& operation) {
    Request(operation);
    RunOn();
  }
  void RunOn() {
    Settle();
    for (int i = 0; i < 8; ++i) SettleAfter(absl::Seconds(10));
  }
  void Refresh() {
    app_["metadata"]["annotations"][kRefresh] = "hard";
    Settle();
  }
  // Before the operation that counts, another commit than the present one was deployed.
  void RunOfAnOlderCommit() {
    Run({{"sync", {{"revision", kOld}}}, {"initiatedBy", {{"username", "admin"}}}});
  }
  std::string FailReason() const {
    std::smatch match;
    const std::string message = TextAt(real_, {"status", "operationState", "message"});
    static const std::regex pattern("reason: (.*?found)");
    return std::regex_search(message, match, pattern) ? match[1].str() : "";
  }

  // Brings the situation about.
  void Play(const std::string& name) {
    if (name == "automated-first-sync" || name == "self-heal") return PlayAutomated(name);
    Settle();
    if (name == "before-any-sync") return;
    if (name == "ours-on-an-automated-application" || absl::StartsWith(name, "health-")) RunOn();
    static const std::set<std::string> kAfterAnother = {
        "dry-run", "partial-sync", "sync-with-manifests", "rollback", "revision-that-is-not-there"};
    if (kAfterAnother.count(name) > 0) RunOfAnOlderCommit();
    if (name == "persons-sync-to-an-old-commit") Run({{"sync", json::object()}});
    if (name == "sync-with-manifests") Order("drift", "true");
    if (absl::StartsWith(name, "failing")) Order("fail", FailReason());
    if (name == "manifests-cannot-be-generated") {
      Order("condition",
            "ComparisonError=" + real_["status"]["conditions"][0]["message"].get<std::string>());
    }
    if (name == "blocked-by-a-sync-window") Order("sync-window", "true");
    static const std::set<std::string> kHooked = {"hook-hanging", "terminated",
                                                  "after-sync-with-hook"};
    if (kHooked.count(name) > 0) Order("hang", "hook");

    Request(RealOperation());
    if (name == "failing-awaiting-its-retry") {
      Settle();
      SettleAfter(absl::Seconds(3));
      return;
    }
    RunOn();
    if (name == "out-of-sync-after-push") {
      Order("revision", kNew);
      Refresh();
    } else if (name == "terminated") {
      app_["status"]["operationState"]["phase"] = "Terminating";
      RunOn();
    } else if (name == "after-sync-with-hook") {
      Countermand("hang");
      RunOn();
    } else if (absl::StartsWith(name, "health-")) {
      Order("health", name.substr(std::string("health-").size(), 1) == "d" ? "Degraded"
                      : name == "health-progressing"                       ? "Progressing"
                                                                           : "Suspended");
      Settle();
    }
  }

  // Whole at first, then as often as the resources drift.
  void PlayAutomated(const std::string& name) {
    RunOn();
    const int times = name == "self-heal" ? 3 : 1;
    for (int i = 0; i < times; ++i) {
      Order("drift", std::string("again ") + std::to_string(i));
      RunOn();
    }
  }

  json real_;
};

TEST_P(RealApplicationTest, TheStandInWritesWhatArgoCdWrote) {
  ASSERT_TRUE(real_.is_object()) << REAL_APPLICATIONS << " has no " << GetParam();
  Play(GetParam());
  EXPECT_EQ(Masked(app_["status"]).dump(1), Masked(real_["status"]).dump(1));
  EXPECT_EQ(Masked(app_["spec"]), Masked(real_["spec"]));
  EXPECT_EQ(At(app_, {"operation"}), At(real_, {"operation"}));
}

INSTANTIATE_TEST_SUITE_P(
    All, RealApplicationTest,
    testing::Values("before-any-sync", "after-sync", "out-of-sync-after-push",
                    "persons-sync-to-an-old-commit", "dry-run", "partial-sync",
                    "sync-with-manifests", "rollback", "revision-that-is-not-there", "failing",
                    "failing-awaiting-its-retry", "failing-after-retries",
                    "manifests-cannot-be-generated", "hook-hanging", "terminated",
                    "after-sync-with-hook", "blocked-by-a-sync-window", "automated-first-sync",
                    "self-heal", "ours-on-an-automated-application", "health-degraded",
                    "health-progressing", "health-suspended", "multi-source",
                    "multi-source-persons-sync-to-old-revisions"),
    [](const testing::TestParamInfo<const char*>& instance) {
      std::string name = instance.param;
      name.erase(std::remove(name.begin(), name.end(), '-'), name.end());
      return name;
    });

}  // namespace
}  // namespace gantry::argocd_standin
