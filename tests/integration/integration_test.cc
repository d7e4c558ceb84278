// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/integration_test.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace gantry::integration {
namespace {

using nlohmann::json;

std::string Escaped(const std::string& name) { return absl::StrReplaceAll(name, {{".", "\\."}}); }

std::string PathPattern(const std::string& plural, const std::string& name) {
  return absl::StrCat("/", plural, "/", Escaped(name), "(\\?|$)");
}

bool IsWrite(const Exchange& exchange) { return exchange.method != "GET"; }
bool IsOfApplications(const Exchange& exchange) {
  return absl::StrContains(exchange.target, "/applications");
}

google::protobuf::Struct ToStruct(const json& object) {
  google::protobuf::Struct made;
  const auto status = google::protobuf::util::JsonStringToMessage(object.dump(), &made);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return made;
}

json ToJson(const google::protobuf::Struct& object) {
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(object, &text);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return json::parse(text);
}

// What a leader asks Argo CD for, whatever the test is about.
bool IsRefresh(const Exchange& exchange) {
  const json patch = json::parse(exchange.body, nullptr, false);
  return exchange.method == "PATCH" && patch.is_array() && patch.size() == 2 &&
         patch[1].value("value", json()) == "normal";
}

std::string Describe(const StepResult& result) {
  if (result.status.ok()) return result.response.DebugString();
  return absl::StrCat("gRPC status ", static_cast<int>(result.status.error_code()), ": ",
                      result.status.error_message());
}

}  // namespace

// ---- Replica -----------------------------------------------------------------------

Replica::Replica(const std::vector<std::string>& flags, const std::string& user_kubeconfig)
    : access_(ReadKubeconfig(ControlPlaneFile(user_kubeconfig))), proxy(access_) {
  ClusterAccess access = access_;
  access.server = proxy.url();
  access.ca_file.clear();
  const std::string kubeconfig =
      absl::StrCat(TemporaryFolder(), "/", UniqueName("proxied"), ".kubeconfig");
  WriteKubeconfig(access, kubeconfig);
  server = std::make_unique<GantryServer>(kubeconfig, flags);
}

Replica::~Replica() {
  EXPECT_EQ(server->Log().find(access_.token), std::string::npos)
      << "the token is in the server's log";
  for (const Exchange& exchange : proxy.Exchanges()) {
    if (!expects_forbidden_) {
      EXPECT_NE(exchange.status, 403)
          << "the roles do not allow " << exchange.method << " " << exchange.target;
    }
    if (!IsWrite(exchange) || !IsOfApplications(exchange)) continue;
    EXPECT_EQ(exchange.method, "PATCH") << exchange.target;
    const json patch = json::parse(exchange.body, nullptr, false);
    EXPECT_TRUE(patch.is_array() && !patch.empty() && patch.at(0).at("op") == "replace" &&
                patch.at(0).at("path") == "/metadata/resourceVersion")
        << exchange.body;
  }
}

void Replica::AwaitSeen(const v1::RunStepRequest& request) {
  std::string text;
  // What cannot be told as JSON names no Application.
  if (!google::protobuf::util::MessageToJsonString(request.config(), &text).ok()) return;
  const json config = json::parse(text, nullptr, false);
  if (!config.is_object() || !config.contains("apps") || !config["apps"].is_array()) return;
  for (const json& entry : config["apps"]) {
    if (!entry.is_object() || !entry.contains("name") || !entry["name"].is_string()) continue;
    const json ns = entry.value("namespace", json("argocd"));
    const std::string name = entry["name"];
    // Other names than these reach other paths.
    const auto is_plain = [](const std::string& part) {
      return !part.empty() &&
             part.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
    };
    if (ns.is_string() && is_plain(ns) && is_plain(name)) AwaitSeen(request, ns, name);
  }
}

void Replica::AwaitSeen(const v1::RunStepRequest& request, const std::string& ns,
                        const std::string& name) {
  v1::GetStageHealthRequest question;
  question.set_project(request.project());
  question.set_stage(request.stage());
  v1::HealthCheck& check = *question.add_health_checks();
  check.set_uses("argocd-update");
  *check.mutable_input() = ToStruct({{"apps", json::array({{{"namespace", ns}, {"name", name}}})}});
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  KubernetesApi api(ReadKubeconfig(ControlPlaneFile("admin.kubeconfig")));
  while (true) {
    const auto live = api.Find(ApplicationPath(name, ns));
    // A Stage that may not see it is told nothing of it.
    if (!live || live->value("/metadata/annotations/kargo.akuity.io~1authorized-stage"_json_pointer,
                             "") != absl::StrCat(request.project(), ":", request.stage())) {
      return;
    }
    const std::string phase = live->value("/status/operationState/phase"_json_pointer, "");
    v1::GetStageHealthResponse answer;
    const grpc::Status status = server->GetStageHealth(question, answer);
    if (!status.ok() || answer.health().applications_size() != 1) {
      // What it is reading may become known to it between this and the step, as it was.
      if (!IsReadingAll(ns)) return;
    } else if (answer.health().applications(0).operation_phase() == phase) {
      return;
    }
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "the server did not see that " << ns << "/" << name << " is " << phase;
      return;
    }
  }
}

bool Replica::IsReadingAll(const std::string& ns) {
  const std::vector<Exchange> asked = proxy.Exchanges(
      {.method = "GET",
       .target = absl::StrCat("/namespaces/", ns, "/applications\\?(?!.*labelSelector=)")});
  const bool taken = !asked.empty() && asked.back().canned_status == 0 &&
                     (asked.back().status == 200 || !asked.back().answered);
  return taken && server->Admin("/readyz").first != 200;
}

std::vector<json> Replica::OperationsWritten(const std::string& application) {
  std::vector<json> operations;
  for (const Exchange& exchange : proxy.Exchanges(WriteOf(application))) {
    if (exchange.status != 200) continue;
    for (const json& change : json::parse(exchange.body)) {
      if (change.at("path") == "/operation") operations.push_back(change.at("value"));
    }
  }
  return operations;
}

std::size_t Replica::ApplicationWritesTried() {
  const std::vector<Exchange> all = proxy.Exchanges();
  return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [](const Exchange& e) {
    return IsWrite(e) && IsOfApplications(e) && !IsRefresh(e);
  }));
}

std::vector<Exchange> Replica::StepRequests() {
  std::vector<Exchange> requests;
  for (Exchange& exchange : proxy.Exchanges()) {
    const std::string path = exchange.target.substr(0, exchange.target.find('?'));
    const bool of_collection =
        absl::EndsWith(path, "/applications") || absl::EndsWith(path, "/stagehealths");
    const bool background = absl::StrContains(exchange.target, "/leases") ||
                            absl::EndsWith(path, "/status") || IsRefresh(exchange) ||
                            (exchange.method == "GET" && of_collection &&
                             !absl::StrContains(exchange.target, "labelSelector="));
    if (!background) requests.push_back(std::move(exchange));
  }
  return requests;
}

RequestPattern ReadOf(const std::string& application) {
  return {.method = "GET", .target = PathPattern("applications", application)};
}
RequestPattern WriteOf(const std::string& application) {
  return {.method = "PATCH", .target = PathPattern("applications", application)};
}

// ---- IntegrationTest ---------------------------------------------------------------

json IntegrationTest::Config(const std::string& application, const json& sources) {
  return {{"apps", json::array({{{"name", application}, {"sources", sources}}})}};
}

json IntegrationTest::UpdateTo(const std::string& application, const std::string& revision) {
  return Config(application, json::array({{{"repoURL", kRepository},
                                           {"desiredRevision", revision},
                                           {"updateTargetRevision", true}}}));
}

json IntegrationTest::SyncTo(const std::string& application, const std::string& revision) {
  return Config(application,
                json::array({{{"repoURL", kRepository}, {"desiredRevision", revision}}}));
}

v1::RunStepRequest IntegrationTest::Request(const json& config, const std::string& promotion,
                                            const std::string& step) const {
  v1::RunStepRequest request;
  request.set_project(kProject);
  request.set_stage(stage_);
  request.set_promotion(promotion);
  request.set_step(step);
  request.set_uses("argocd-update");
  *request.mutable_config() = ToStruct(config);
  return request;
}

json IntegrationTest::NewApplication() const {
  return {
      {"apiVersion", "argoproj.io/v1alpha1"},
      {"kind", "Application"},
      {"metadata",
       {{"name", UniqueName("app")},
        {"namespace", "argocd"},
        {"annotations",
         {{"kargo.akuity.io/authorized-stage", std::string(kProject) + ":" + stage_}}}}},
      {"spec",
       {{"project", "default"},
        {"destination", {{"server", "https://kubernetes.default.svc"}, {"namespace", "shop"}}},
        {"source", {{"repoURL", kRepository}, {"path", "deploy"}, {"targetRevision", "main"}}}}}};
}

std::string IntegrationTest::CreateApplication(const json& change) {
  json application = NewApplication();
  application.merge_patch(change);
  const json& metadata = application.at("metadata");
  api_.Create(ApplicationsPath(metadata.at("namespace").get<std::string>()), application);
  return metadata.at("name").get<std::string>();
}

std::string IntegrationTest::CreateApplicationWithSources(const json& sources) {
  json application = NewApplication();
  application["spec"].erase("source");
  application["spec"]["sources"] = sources;
  api_.Create(ApplicationsPath(), application);
  return application.at("metadata").at("name").get<std::string>();
}

RequestPattern IntegrationTest::ReadOfRecord() const {
  return {.method = "GET", .target = PathPattern("stagehealths", record_name())};
}
RequestPattern IntegrationTest::CreationOfRecord() const {
  return {.method = "POST", .target = "/stagehealths(\\?|$)"};
}
RequestPattern IntegrationTest::UpdateOfRecord() const {
  return {.method = "PATCH", .target = PathPattern("stagehealths", record_name())};
}

std::vector<json> IntegrationTest::Events(Replica& replica, const std::string& application,
                                          std::size_t count) {
  replica.proxy.AwaitAnswers({.method = "POST", .target = "/events(\\?|$)"}, count);
  std::vector<json> events;
  for (json& event : api_.List(EventsPath())) {
    if (event.at("involvedObject").at("name") == application) events.push_back(std::move(event));
  }
  return events;
}

// ---- what is expected --------------------------------------------------------------

testing::AssertionResult Is(const StepResult& result, v1::StepStatus status,
                            v1::StepReason reason) {
  if (result.status.ok() && result.response.status() == status &&
      result.response.reason() == reason) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure()
         << "expected " << v1::StepStatus_Name(status) << " / " << v1::StepReason_Name(reason)
         << ", found " << Describe(result);
}

testing::AssertionResult IsError(const StepResult& result, grpc::StatusCode code) {
  if (result.status.error_code() == code) return testing::AssertionSuccess();
  return testing::AssertionFailure()
         << "expected gRPC status " << static_cast<int>(code) << ", found " << Describe(result);
}

testing::AssertionResult IsUnavailable(const StepResult& result) {
  if (testing::AssertionResult error = IsError(result, grpc::StatusCode::UNAVAILABLE); !error) {
    return error;
  }
  const ErrorDetails details = DetailsOf(result.status);
  if (!details.error_info || details.error_info->domain() != "gantry.dev" ||
      details.error_info->reason().empty() || details.error_info->metadata().empty()) {
    return testing::AssertionFailure()
           << "no ErrorInfo with domain, reason and metadata: " << Describe(result);
  }
  if (!details.retry_info) return testing::AssertionFailure() << "no RetryInfo";
  return testing::AssertionSuccess();
}

v1::ApplicationOutcome OutcomeOf(const StepResult& result, const std::string& application) {
  for (const v1::ApplicationOutcome& outcome : result.response.applications()) {
    if (outcome.name() == application) return outcome;
  }
  ADD_FAILURE() << "nothing is said of Application " << application << " in " << Describe(result);
  return {};
}

json OutputOf(const StepResult& result) { return ToJson(result.response.output()); }

json HealthCheckInputOf(const StepResult& result) {
  return ToJson(result.response.health_check().input());
}

std::string InfoOf(const json& operation, const std::string& name) {
  for (const json& entry : operation.value("info", json::array())) {
    if (entry.at("name") == name) return entry.at("value").get<std::string>();
  }
  return "";
}

testing::AssertionResult HasOperation(const json& application, const std::string& promotion,
                                      int attempt) {
  if (application.contains("operation")) {
    const json& operation = application.at("operation");
    if (InfoOf(operation, "kargo.akuity.io/promotion") == promotion &&
        InfoOf(operation, "gantry.dev/attempt") == std::to_string(attempt)) {
      return testing::AssertionSuccess();
    }
  }
  return testing::AssertionFailure() << "expected a pending operation of promotion " << promotion
                                     << ", attempt " << attempt << ", found\n"
                                     << application.dump(2);
}

testing::AssertionResult HasNoOperation(const json& application) {
  if (!application.contains("operation")) return testing::AssertionSuccess();
  return testing::AssertionFailure()
         << "unexpected operation: " << application.at("operation").dump();
}

json Remainder(json application, const std::vector<std::string>& changed) {
  std::vector<std::string> paths = {"/metadata/resourceVersion",
                                    "/metadata/generation",
                                    "/metadata/managedFields",
                                    "/metadata/annotations/argocd.argoproj.io~1refresh",
                                    "/operation",
                                    "/status/operationState"};
  paths.insert(paths.end(), changed.begin(), changed.end());
  for (const std::string& path : paths) {
    const json::json_pointer pointer(path);
    if (!application.contains(pointer)) continue;
    application.at(pointer.parent_pointer()).erase(pointer.back());
  }
  return application;
}

}  // namespace gantry::integration
