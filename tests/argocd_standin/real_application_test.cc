// SPDX-License-Identifier: Apache-2.0
//
// Holds the stand-in to Applications of a real Argo CD 3.6.1 (real_applications.json): brought into
// the same situation by the same operation, it writes the same fields with the same values. What
// cannot be the same is masked: commits, versions, times, and what the resources are.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <map>
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
      {std::regex(" /ConfigMap/"), " apps/Deployment/"},
      {std::regex("-presync$"), ""},
      // It depends on what else is in the wave of the one that fails.
      {std::regex("one or more synchronization tasks completed unsuccessfully, reason: namespaces"),
       "one or more objects failed to apply, reason: namespaces"}};
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
        if (member.empty()) continue;
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
                            public ::testing::WithParamInterface<const char*> {
 protected:
  RealApplicationTest() {
    std::ifstream file(REAL_APPLICATIONS);
    real_ = json::parse(file, nullptr, /*allow_exceptions=*/false).value(GetParam(), json());
    if (!real_.is_object()) return;
    app_["metadata"]["name"] = real_["name"];
    app_["spec"] = real_["spec"];
    // What the branch is when it is compared last.
    const std::string head = TextAt(real_, {"status", "sync", "revision"});
    if (head.size() == 40) Order("revision", "main=" + head + ",v2=" + head + ",v1=" + kOld);
  }

  // The operation that Argo CD was asked for, on the resources that the stand-in has.
  json RealOperation() const {
    if (real_.contains("operation")) return real_["operation"];
    json operation = At(real_, {"status", "operationState", "operation"});
    const json& resources = At(operation, {"sync", "resources"});
    if (resources.is_array() && TextAt(resources[0], {"kind"}) != "Secret") {
      operation["sync"]["resources"] = {
          {{"group", "apps"}, {"kind", "Deployment"}, {"name", real_["name"]}},
          {{"kind", "Service"}, {"name", real_["name"]}}};
    }
    return operation;
  }
  void Run(const json& operation) {
    Settle();
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
  std::string ConditionMessage() const {
    return real_["status"]["conditions"][0]["message"].get<std::string>();
  }
  std::string FailReason() const {
    std::smatch match;
    const std::string message = TextAt(real_, {"status", "operationState", "message"});
    static const std::regex pattern("reason: (.*?found)");
    return std::regex_search(message, match, pattern) ? match[1].str() : "";
  }

  void RunReal() { Run(RealOperation()); }
  void RunWhole() { Run({{"sync", json::object()}}); }
  void RunUntilItsFirstEnd() {
    Settle();
    Request(RealOperation());
    Settle();
    SettleAfter(settings_.sync_duration);
  }
  void Terminate() {
    app_["status"]["operationState"]["phase"] = "Terminating";
    RunOn();
  }
  void Fail() { Order("fail", FailReason()); }
  // Whole at first, then as often as the resources drift.
  void Heal(int times) {
    RunOn();
    for (int i = 0; i < times; ++i) {
      Order("drift", "again " + std::to_string(i));
      RunOn();
    }
  }
  void BeOfHealth(const std::string& health) {
    RunOn();
    RunReal();
    Order("health", health);
    Settle();
  }
  // What was wanted before the spec was as it is.
  void WantMain() { app_["spec"]["source"]["targetRevision"] = "main"; }

  // How each situation comes about.
  std::map<std::string, std::function<void()>> Situations() {
    return {
        {"before-any-sync", [&] { Settle(); }},
        {"after-sync", [&] { RunReal(); }},
        {"multi-source", [&] { RunReal(); }},
        {"history-limit-0", [&] { RunReal(); }},
        {"out-of-sync-after-push",
         [&] {
           RunReal();
           Order("revision", kNew);
           Refresh();
         }},
        {"persons-sync-to-an-old-commit",
         [&] {
           RunWhole();
           RunReal();
         }},
        {"multi-source-persons-sync-to-old-revisions",
         [&] {
           RunWhole();
           RunReal();
         }},
        {"operation-without-sync",
         [&] {
           RunWhole();
           RunReal();
         }},
        {"sync-of-nothing",
         [&] {
           RunWhole();
           RunReal();
         }},
        {"dry-run",
         [&] {
           RunOfAnOlderCommit();
           RunReal();
         }},
        {"partial-sync",
         [&] {
           RunOfAnOlderCommit();
           RunReal();
         }},
        {"rollback",
         [&] {
           RunOfAnOlderCommit();
           RunReal();
         }},
        {"revision-that-is-not-there",
         [&] {
           RunOfAnOlderCommit();
           RunReal();
         }},
        {"sync-with-manifests",
         [&] {
           RunOfAnOlderCommit();
           Order("drift", "true");
           RunReal();
         }},
        {"failing",
         [&] {
           Fail();
           RunReal();
         }},
        {"failing-after-retries",
         [&] {
           Fail();
           RunReal();
         }},
        {"failing-awaiting-its-retry",
         [&] {
           Fail();
           RunUntilItsFirstEnd();
         }},
        {"failing-in-the-second-wave",
         [&] {
           Order("health", "Healthy");
           Fail();
           RunUntilItsFirstEnd();
         }},
        {"retried-with-another-source",
         [&] {
           WantMain();
           Order("fail", "");
           RunUntilItsFirstEnd();
           app_["spec"] = real_["spec"];
           Countermand("fail");
           RunOn();
         }},
        {"between-two-waves",
         [&] {
           Order("health", "Healthy");
           Order("hang", "true");
           RunReal();
         }},
        {"manifests-cannot-be-generated",
         [&] {
           Order("condition", "ComparisonError=" + ConditionMessage());
           RunReal();
         }},
        {"invalid-spec",
         [&] {
           WantMain();
           Settle();
           app_["spec"] = real_["spec"];
           Order("condition", "InvalidSpecError=" + ConditionMessage());
           Settle();
         }},
        {"hook-hanging",
         [&] {
           Order("hang", "hook");
           RunReal();
         }},
        {"terminated",
         [&] {
           Order("hang", "hook");
           RunReal();
           Terminate();
         }},
        {"after-sync-with-hook",
         [&] {
           Order("hang", "hook");
           RunReal();
           Countermand("hang");
           RunOn();
         }},
        {"skipped-while-a-hook-runs",
         [&] {
           WantMain();
           Order("health", "Healthy");
           Order("hang", "hook");
           RunReal();
           app_["metadata"]["annotations"]["argocd.argoproj.io/skip-reconcile"] = "true";
           app_["spec"] = real_["spec"];
           Countermand("hang");
           RunOn();
         }},
        {"blocked-by-a-sync-window",
         [&] {
           Order("sync-window", "true");
           RunReal();
         }},
        {"terminated-in-a-sync-window",
         [&] {
           Order("sync-window", "true");
           RunReal();
           Terminate();
         }},
        {"terminated-before-a-retry",
         [&] {
           Fail();
           RunUntilItsFirstEnd();
           Terminate();
         }},
        {"automated-first-sync", [&] { Heal(1); }},
        {"self-heal", [&] { Heal(3); }},
        {"automated-sync-failed",
         [&] {
           Fail();
           RunOn();
         }},
        {"ours-on-an-automated-application",
         [&] {
           RunOn();
           RunReal();
         }},
        {"health-degraded", [&] { BeOfHealth("Degraded"); }},
        {"health-progressing", [&] { BeOfHealth("Progressing"); }},
        {"health-suspended", [&] { BeOfHealth("Suspended"); }},
    };
  }

  json real_;
};

TEST_P(RealApplicationTest, TheStandInWritesWhatArgoCdWrote) {
  ASSERT_TRUE(real_.is_object()) << REAL_APPLICATIONS << " has no " << GetParam();
  Situations().at(GetParam())();
  EXPECT_EQ(Masked(app_["status"]).dump(1), Masked(real_["status"]).dump(1));
  EXPECT_EQ(Masked(app_["spec"]), Masked(real_["spec"]));
  EXPECT_EQ(At(app_, {"operation"}), At(real_, {"operation"}));
}

INSTANTIATE_TEST_SUITE_P(
    All, RealApplicationTest,
    ::testing::Values(
        "after-sync", "after-sync-with-hook", "automated-first-sync", "before-any-sync",
        "blocked-by-a-sync-window", "dry-run", "failing", "failing-after-retries",
        "failing-awaiting-its-retry", "health-degraded", "health-progressing", "health-suspended",
        "hook-hanging", "manifests-cannot-be-generated", "multi-source",
        "multi-source-persons-sync-to-old-revisions", "ours-on-an-automated-application",
        "out-of-sync-after-push", "partial-sync", "persons-sync-to-an-old-commit",
        "revision-that-is-not-there", "rollback", "self-heal", "sync-with-manifests", "terminated",
        "failing-in-the-second-wave", "retried-with-another-source", "history-limit-0",
        "automated-sync-failed", "invalid-spec", "skipped-while-a-hook-runs",
        "operation-without-sync", "sync-of-nothing", "terminated-in-a-sync-window",
        "terminated-before-a-retry", "between-two-waves"),
    [](const ::testing::TestParamInfo<const char*>& instance) {
      std::string name = instance.param;
      name.erase(std::remove(name.begin(), name.end(), '-'), name.end());
      return name;
    });

}  // namespace
}  // namespace gantry::argocd_standin
