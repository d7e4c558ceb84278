// SPDX-License-Identifier: Apache-2.0
#include "tests/argocd/argocd_test.h"

#include <algorithm>
#include <iostream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace gantry::integration {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

std::map<std::string, std::string>& ExpectedFaults() {
  static std::map<std::string, std::string> faults;
  return faults;
}

// Changed, it makes Argo CD look at an Application.
constexpr char kLook[] = "test.gantry.dev/look";

bool IsAtHook(const json& application) {
  return Text(application, "/status/operationState/phase") == "Running" &&
         absl::StrContains(Text(application, "/status/operationState/message"),
                           "waiting for completion of hook");
}

bool IsThrough(const json& application) {
  return !application.contains("operation") &&
         !Text(application, "/status/operationState/finishedAt").empty();
}

}  // namespace

std::string Text(const json& object, const std::string& pointer) {
  return object.value(json::json_pointer(pointer), "");
}

// ---- around a test -----------------------------------------------------------------

void ArgoCdTest::SetExpectedFaults(std::map<std::string, std::string> faults) {
  ExpectedFaults() = std::move(faults);
}

ArgoCdTest::ArgoCdTest()
    : backend_(HasRealArgoCd() ? NewRealBackend(api_) : NewStandInBackend(api_, stage_)) {}

void ArgoCdTest::SetUp() {
  const testing::TestInfo& test = *testing::UnitTest::GetInstance()->current_test_info();
  const auto fault = ExpectedFaults().find(absl::StrCat(test.test_suite_name(), ".", test.name()));
  if (fault == ExpectedFaults().end()) return;
  expected_fault_ = std::make_unique<ExpectedFault>(fault->second);
}

void ArgoCdTest::TearDown() {
  expected_fault_ = nullptr;
  if (HasFailure()) std::cerr << "---- log of Argo CD:\n" << backend_->Log();
  for (const std::string& app : applications_) {
    if (api_.Find(ApplicationPath(app))) api_.Delete(ApplicationPath(app));
  }
}

// ---- Applications ------------------------------------------------------------------

std::string ArgoCdTest::NewApp(const json& change) {
  json application = NewApplication();
  const std::string name = application.at("metadata").at("name");
  const std::string url = repositories_[name] = backend_->NewRepository(name);
  application["spec"]["source"]["repoURL"] = url;
  application["metadata"]["labels"] = backend_->Labels();
  application.merge_patch(change);
  api_.Create(ApplicationsPath(), application);
  applications_.push_back(name);
  return name;
}

std::string ArgoCdTest::NewAppWith(const std::string& name, const json& spec) {
  json application = NewApplication();
  application["metadata"]["name"] = name;
  application["spec"].erase("source");
  application["spec"].merge_patch(spec);
  api_.Create(ApplicationsPath(), application);
  applications_.push_back(name);
  return name;
}

json ArgoCdTest::Updating(const std::string& app, const std::string& revision) const {
  return Config(app, json::array({{{"repoURL", repository(app)},
                                   {"desiredRevision", revision},
                                   {"updateTargetRevision", true}}}));
}

json ArgoCdTest::Syncing(const std::string& app, const std::string& revision) const {
  return Config(app, json::array({{{"repoURL", repository(app)}, {"desiredRevision", revision}}}));
}

v1::RunStepRequest ArgoCdTest::WaitRequest(const std::string& app, const json& wait_for) const {
  json config = {{"apps", json::array({{{"name", app}}})}};
  if (!wait_for.is_null()) config["waitFor"] = wait_for;
  v1::RunStepRequest request = Request(config, "p1", "wait");
  request.set_uses("argocd-wait");
  return request;
}

// ---- steps -------------------------------------------------------------------------

v1::RunStepRequest ArgoCdTest::Held(v1::RunStepRequest request) {
  request.mutable_wait()->set_seconds(60);
  return request;
}

StepResult ArgoCdTest::RunToItsEnd(Replica& gantry, const v1::RunStepRequest& request) {
  return gantry.server->RunStep(Held(request), kArgoCdPatience);
}

void ArgoCdTest::AwaitMessage(Replica& gantry, const v1::RunStepRequest& request,
                              const std::string& words) {
  const auto deadline = Clock::now() + kArgoCdPatience;
  while (true) {
    const StepResult result = gantry.RunStep(request);
    ASSERT_TRUE(result.status.ok()) << result.status.error_message();
    ASSERT_EQ(result.response.status(), v1::STEP_STATUS_RUNNING)
        << result.response.ShortDebugString();
    if (absl::StrContains(result.response.message(), words)) return;
    ASSERT_LT(Clock::now(), deadline)
        << "\"" << words << "\" is not in " << result.response.message();
  }
}

// ---- what becomes of objects -------------------------------------------------------

std::optional<std::vector<json>> ArgoCdTest::TryAwaitObjects(
    const std::string& collection, const std::string& field_selector,
    const std::function<bool(const std::vector<json>&)>& expected, std::chrono::seconds patience,
    std::vector<json>& last) {
  const auto deadline = Clock::now() + patience;
  const auto client = MakeHttpClient(access_);
  client->set_read_timeout(patience);
  const httplib::Headers headers = {{"Authorization", "Bearer " + access_.token}};
  const std::string query = absl::StrCat(collection, "?fieldSelector=", field_selector);
  std::map<std::string, json> objects;
  const auto values = [&] {
    std::vector<json> all;
    for (const auto& [name, object] : objects) all.push_back(object);
    return all;
  };

  while (Clock::now() < deadline) {
    const httplib::Result listed = client->Get(query.c_str(), headers);
    if (!listed || listed->status != 200) {
      GiveUp(absl::StrCat("GET ", query, ": ", listed ? listed->body : "no answer"));
    }
    const json list = json::parse(listed->body);
    objects.clear();
    for (const json& object : list.at("items")) {
      objects[object.at("metadata").at("name").get<std::string>()] = object;
    }
    if (expected(values())) return values();

    const std::string watch =
        absl::StrCat(query, "&watch=1&timeoutSeconds=", patience.count(),
                     "&resourceVersion=", Text(list, "/metadata/resourceVersion"));
    std::string line;
    bool seen = false;
    client->Get(watch.c_str(), headers, [&](const char* data, std::size_t size) {
      for (std::size_t i = 0; i < size; ++i) {
        if (data[i] != '\n') {
          line += data[i];
          continue;
        }
        const json event = json::parse(line);
        line.clear();
        const std::string name = Text(event, "/object/metadata/name");
        if (event.at("type") == "ERROR") return false;
        if (event.at("type") == "DELETED") {
          objects.erase(name);
        } else {
          objects[name] = event.at("object");
        }
        seen = expected(values());
        if (seen) return false;
      }
      return Clock::now() < deadline;
    });
    if (seen) return values();
  }
  last = values();
  return std::nullopt;
}

std::vector<json> ArgoCdTest::AwaitObjects(
    const std::string& collection, const std::string& field_selector,
    const std::function<bool(const std::vector<json>&)>& expected) {
  std::vector<json> last;
  if (auto found = TryAwaitObjects(collection, field_selector, expected, kArgoCdPatience, last)) {
    return *found;
  }
  GiveUp(absl::StrCat(collection, " ", field_selector, " did not become as expected; the last:\n",
                      json(last).dump(2)));
}

json ArgoCdTest::AwaitObject(const std::string& collection, const std::string& name,
                             const std::function<bool(const json&)>& expected) {
  const auto found =
      AwaitObjects(collection, "metadata.name%3D" + name, [&](const std::vector<json>& objects) {
        return objects.size() == 1 && expected(objects[0]);
      });
  return found.at(0);
}

json ArgoCdTest::AwaitApplication(const std::string& app,
                                  const std::function<bool(const json&)>& expected) {
  return AwaitObject(ApplicationsPath(), app, expected);
}

json ArgoCdTest::AwaitPhase(const std::string& app, const std::string& phase) {
  return AwaitApplication(app, [&](const json& application) {
    return Text(application, "/status/operationState/phase") == phase;
  });
}

json ArgoCdTest::AwaitHook(const std::string& app) { return AwaitApplication(app, IsAtHook); }

void ArgoCdTest::EndHook(const std::string& app) {
  backend_->EndHook(app);
  // Argo CD looks at a running operation five seconds after a resource of it has changed, and at
  // once when the Application changes; by then it may not have seen the end.
  const auto deadline = Clock::now() + kArgoCdPatience;
  const auto is_through = [](const std::vector<json>& found) { return !IsAtHook(found.at(0)); };
  std::vector<json> last;
  do {
    if (Clock::now() > deadline) GiveUp("Argo CD does not see that the hook of " + app + " ended");
    api_.MergePatch(ApplicationPath(app),
                    {{"metadata", {{"annotations", {{kLook, UniqueName("hook")}}}}}});
  } while (!TryAwaitObjects(ApplicationsPath(), "metadata.name%3D" + app, is_through,
                            std::chrono::seconds(1), last));
}

json ArgoCdTest::AwaitSettled(const std::string& app) {
  return AwaitApplication(app, [](const json& application) {
    return IsThrough(application) && Text(application, "/status/reconciledAt") >=
                                         Text(application, "/status/operationState/finishedAt");
  });
}

json ArgoCdTest::ConfigMapData(const std::string& name) {
  return api_.Get("/api/v1/namespaces/shop/configmaps/" + name).at("data");
}

void ArgoCdTest::Refresh(const std::string& app) {
  // Argo CD may miss this; the next write is seen, if it changes anything.
  api_.MergePatch(
      ApplicationPath(app),
      {{"metadata",
        {{"annotations",
          {{"argocd.argoproj.io/refresh", "normal"}, {kLook, UniqueName("refresh")}}}}}});
}

json ArgoCdTest::RefreshAndAwait(const std::string& app) {
  const auto deadline = Clock::now() + kArgoCdPatience;
  const auto compared = [](const std::vector<json>& found) {
    return !found.at(0).contains("/metadata/annotations/argocd.argoproj.io~1refresh"_json_pointer);
  };
  while (Clock::now() < deadline) {
    Refresh(app);
    std::vector<json> last;
    const auto found = TryAwaitObjects(ApplicationsPath(), "metadata.name%3D" + app, compared,
                                       std::chrono::seconds(1), last);
    if (found && Text(found->at(0), "/status/reconciledAt") >
                     Text(found->at(0), "/status/operationState/finishedAt")) {
      return found->at(0);
    }
  }
  GiveUp(app + " is not compared after its last operation");
}

void ArgoCdTest::Operate(const std::string& app, const json& operation) {
  api_.MergePatch(ApplicationPath(app),
                  {{"operation", operation}, {"status", {{"operationState", nullptr}}}});
}

// ---- health ------------------------------------------------------------------------

std::unique_ptr<HealthStream> ArgoCdTest::WatchHealth(Replica& gantry) {
  const auto deadline = Clock::now() + kArgoCdPatience;
  while (Clock::now() < deadline) {
    grpc::ClientContext context;
    v1::ListStageHealthResponse response;
    if (gantry.server->stub().ListStageHealth(&context, {}, &response).ok()) {
      return gantry.server->Watch(kProject, stage_);
    }
  }
  GiveUp("the server's caches are not filled");
}

v1::StageHealth ArgoCdTest::Health(Replica& gantry) {
  v1::GetStageHealthRequest request;
  request.set_project(kProject);
  request.set_stage(stage_);
  v1::GetStageHealthResponse response;
  const grpc::Status status = gantry.server->GetStageHealth(request, response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.health();
}

// ---- operations --------------------------------------------------------------------

void ArgoCdTest::ExpectOperations(const std::string& app, int succeeded, int failed) {
  const json application = Application(app);
  const json history = application.value("/status/history"_json_pointer, json::array());
  EXPECT_EQ(history.size(), static_cast<std::size_t>(succeeded)) << history.dump(2);
  if (!HasRealArgoCd()) return;
  // The Event comes after the state that tells of the end.
  const auto completed = [](const std::vector<json>& events) {
    return std::count_if(events.begin(), events.end(), [](const json& event) {
      return event.at("reason") == "OperationCompleted";
    });
  };
  const int all = succeeded + failed;
  const std::vector<json> events =
      AwaitObjects(EventsPath(), "involvedObject.name%3D" + app,
                   [&](const std::vector<json>& found) { return completed(found) >= all; });
  EXPECT_EQ(completed(events), all) << json(events).dump(2);
  EXPECT_EQ(backend_->OperationsInLog(app), all);
}

}  // namespace gantry::integration
