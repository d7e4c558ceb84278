// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <fstream>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/argocd/backend.h"
#include "tests/argocd/repositories.h"
#include "tests/integration/argo_cd.h"

namespace gantry::integration {
namespace {

using nlohmann::json;

constexpr char kProjects[] = "/apis/argoproj.io/v1alpha1/namespaces/argocd/appprojects";

// The `count`th good state of an Application.
std::string Manifests(const std::string& app, int count) {
  return absl::StrCat(
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ", app, "}\ndata: {version: v", count,
      "}\n---\napiVersion: test.gantry.dev/v1\nkind: Gauge\nmetadata: {name: ", app, "}\n");
}

class RealBackend : public Backend {
 public:
  explicit RealBackend(KubernetesApi& api) : api_(api) {}
  ~RealBackend() override {
    if (paused_) Resume();
    if (killed_) Start();
  }

  std::string NewRepository(const std::string& app) override {
    const auto made = repositories_.try_emplace(app, app);
    GitRepository& repository = made.first->second.git;
    Commit(app, Content::kGood);
    return repository.url();
  }

  std::string Commit(const std::string& app, Content content) override {
    Repository& repository = repositories_.at(app);
    Files files = {{"deploy/app.yaml", Manifests(app, ++repository.commits)},
                   {"deploy/extra.yaml", "# nothing\n"}};
    std::string& extra = files.at("deploy/extra.yaml");
    if (content == Content::kInvalid) {
      extra = absl::StrCat("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ", app,
                           "-extra}\ndata: {wrong: [a list]}\n");
    } else if (content == Content::kWithHook) {
      extra = absl::StrCat(
          "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: ", Hook(app),
          "\n  annotations: {argocd.argoproj.io/hook: PreSync}\n"
          "spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: c}]}}}\n");
    }
    return repository.head = repository.git.Commit(files);
  }

  void Tag(const std::string& app, const std::string& tag) override {
    const Repository& repository = repositories_.at(app);
    repositories_.at(app).git.Tag(tag, repository.head);
  }

  json Labels() const override { return json::object(); }

  // There is no controller of Jobs here, nor a machine that they run on.
  void EndHook(const std::string& app) override {
    const std::string now = SecondsAgo(0);
    const auto condition = [&](const char* type) {
      return json{{"type", type}, {"status", "True"}, {"lastTransitionTime", now}};
    };
    api_.MergePatch(absl::StrCat("/apis/batch/v1/namespaces/shop/jobs/", Hook(app), "/status"),
                    {{"status",
                      {{"startTime", now},
                       {"completionTime", now},
                       {"succeeded", 1},
                       {"conditions", {condition("SuccessCriteriaMet"), condition("Complete")}}}}});
  }

  void CloseWindow(const std::string& app) override {
    const json anything = json::array({"*"});
    const json everywhere = json::array({{{"server", "*"}, {"namespace", "*"}}});
    const json never = {{"kind", "deny"},
                        {"schedule", "* * * * *"},
                        {"duration", "24h"},
                        {"applications", anything}};
    api_.Create(kProjects, {{"apiVersion", "argoproj.io/v1alpha1"},
                            {"kind", "AppProject"},
                            {"metadata", {{"name", app}, {"namespace", "argocd"}}},
                            {"spec",
                             {{"sourceRepos", anything},
                              {"destinations", everywhere},
                              {"syncWindows", json::array({never})}}}});
    api_.MergePatch(ApplicationPath(app), {{"spec", {{"project", app}}}});
  }

  void OpenWindow(const std::string& app) override {
    api_.MergePatch(absl::StrCat(kProjects, "/", app), {{"spec", {{"syncWindows", nullptr}}}});
  }

  void SetHealth(const std::string& app, const std::string& health,
                 const std::string& message) override {
    const std::string gauge = "/apis/test.gantry.dev/v1/namespaces/shop/gauges/" + app;
    if (health == "Missing") {
      // Of some that are there Argo CD judges those alone.
      api_.Delete(gauge);
      api_.Delete("/api/v1/namespaces/shop/configmaps/" + app);
    } else {
      api_.MergePatch(gauge, {{"status", {{"health", health}, {"message", message}}}});
    }
  }

  void Drift(const std::string& app) override {
    api_.MergePatch("/api/v1/namespaces/shop/configmaps/" + app,
                    {{"data", {{"version", "drifted"}}}});
  }

  void Pause() override {
    Order("pause");
    paused_ = true;
  }
  void Resume() override {
    Order("resume");
    paused_ = false;
  }
  void Kill() override {
    Order("kill");
    killed_ = true;
  }
  void Start() override {
    Order("start");
    killed_ = false;
  }

  std::optional<int> OperationsInLog(const std::string& app) override {
    int count = 0;
    std::ifstream log(BedFile("controller.log"));
    for (std::string line; std::getline(log, line);) {
      // Cheap things first: the log is long.
      if (!absl::StrContains(line, "Initialized new operation") || !absl::StrContains(line, app)) {
        continue;
      }
      const json entry = json::parse(line, nullptr, false);
      if (entry.is_object() && entry.value("application", "") == app) ++count;
    }
    return count;
  }

  std::string Log() const override {
    std::string found;
    std::ifstream log(BedFile("controller.log"));
    for (std::string line; std::getline(log, line);) {
      for (const auto& [app, repository] : repositories_) {
        if (absl::StrContains(line, app)) absl::StrAppend(&found, line, "\n");
      }
    }
    return found;
  }

 private:
  struct Repository {
    explicit Repository(const std::string& name) : git(name) {}
    GitRepository git;
    int commits = 0;
    std::string head;
  };

  static std::string Hook(const std::string& app) { return app + "-hook"; }

  static void Order(const std::string& order) {
    ClusterAccess access;
    access.server = BedUrl("");
    const auto client = MakeHttpClient(access);
    const httplib::Result result = client->Post(("/controller/" + order).c_str());
    if (!result || result->status != 200) {
      GiveUp(absl::StrCat("could not ", order,
                          " the controller: ", result ? result->body : "no answer"));
    }
  }

  KubernetesApi& api_;
  std::map<std::string, Repository> repositories_;
  bool paused_ = false;
  bool killed_ = false;
};

}  // namespace

bool HasRealArgoCd() { return std::getenv("GANTRY_TEST_ARGOCD") != nullptr; }

std::unique_ptr<Backend> NewRealBackend(KubernetesApi& api) {
  return std::make_unique<RealBackend>(api);
}

}  // namespace gantry::integration
