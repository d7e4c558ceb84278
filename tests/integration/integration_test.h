// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_INTEGRATION_INTEGRATION_TEST_H_
#define GANTRY_TESTS_INTEGRATION_INTEGRATION_TEST_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/integration/argo_cd.h"
#include "tests/integration/cluster_access.h"
#include "tests/integration/gantry_server.h"
#include "tests/integration/holding_proxy.h"
#include "tests/integration/kubernetes_api.h"

namespace gantry::integration {

inline constexpr char kProject[] = "shop";
// The source of the Applications that tests make, and what they ask for.
inline constexpr char kRepository[] = "https://github.com/example/shop.git";
inline constexpr char kNewRevision[] = "5f3c9d2e8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d";
inline constexpr char kOtherRevision[] = "00112233445566778899aabbccddeeff00112233";

// A gantry-server with a proxy of its own before the API server. Before a step is called it waits
// until the server's watch has brought what the test has done to the Applications, because a server
// may answer RUNNING on what it saw a moment ago. At its end it checks what holds in every test:
// the shipped roles suffice, Applications are only ever changed by patches that begin with the
// resourceVersion they were decided on, and no secret is in the log.
class Replica {
 public:
  explicit Replica(const std::vector<std::string>& flags = {},
                   const std::string& user_kubeconfig = "gantry.kubeconfig");
  ~Replica();

  StepResult RunStep(const v1::RunStepRequest& request) {
    AwaitSeen(request);
    return server->RunStep(request);
  }
  std::unique_ptr<PendingStep> StartStep(const v1::RunStepRequest& request) {
    AwaitSeen(request);
    return server->StartStep(request);
  }
  // Waits until the server has seen the phase of the operation that each Application named in the
  // request has now; returns at once when it cannot watch.
  void AwaitSeen(const v1::RunStepRequest& request);
  void AwaitSeen(const v1::RunStepRequest& request, const std::string& ns, const std::string& name);

  // The operations that this server wrote, as the API server took them.
  std::vector<nlohmann::json> OperationsWritten(const std::string& application);
  // Writes that it tried on Applications, but for the refreshes that a leader asks for.
  std::size_t ApplicationWritesTried();
  // The requests that steps made: all but lists of everything, watches, leases, and what a leader
  // does besides.
  std::vector<Exchange> StepRequests();
  // For tests in which the API server itself refuses.
  void ExpectForbidden() { expects_forbidden_ = true; }

 private:
  // Whether it lists or watches all Applications of a namespace and has not come to their end.
  bool IsReadingAll(const std::string& ns);

  const ClusterAccess access_;

 public:
  HoldingProxy proxy;
  std::unique_ptr<GantryServer> server;

 private:
  bool expects_forbidden_ = false;
};

// The requests of a step, as patterns for the proxy. The names may have dots.
RequestPattern ReadOf(const std::string& application);
RequestPattern WriteOf(const std::string& application);

// One Stage of its own for each test, and Applications that authorize it.
class IntegrationTest : public testing::Test {
 protected:
  // A change of kRepository's source to `revision`, for an Application given by name.
  static nlohmann::json UpdateTo(const std::string& application,
                                 const std::string& revision = kNewRevision);
  // The same, but only waiting for the revision to be deployed.
  static nlohmann::json SyncTo(const std::string& application,
                               const std::string& revision = kNewRevision);
  static nlohmann::json Config(const std::string& application, const nlohmann::json& sources);

  v1::RunStepRequest Request(const nlohmann::json& config, const std::string& promotion = "p1",
                             const std::string& step = "") const;

  // Makes an Application with one git source that authorizes this test's Stage; `change` is merged
  // into it (RFC 7386). Returns its name.
  std::string CreateApplication(const nlohmann::json& change = nlohmann::json::object());
  // The same with `sources` instead, taken as they are.
  std::string CreateApplicationWithSources(const nlohmann::json& sources);
  nlohmann::json NewApplication() const;

  nlohmann::json Application(const std::string& name) { return api_.Get(ApplicationPath(name)); }
  // The StageHealth of this test's Stage.
  nlohmann::json Record() { return api_.Get(StageHealthPath(record_name())); }
  bool HasRecord() { return api_.Find(StageHealthPath(record_name())).has_value(); }
  std::string record_name() const { return std::string(kProject) + "." + stage_; }
  RequestPattern ReadOfRecord() const;
  RequestPattern CreationOfRecord() const;
  RequestPattern UpdateOfRecord() const;

  // The Events on an Application, once `replica` has written `count` of them.
  std::vector<nlohmann::json> Events(Replica& replica, const std::string& application,
                                     std::size_t count);

  const std::string stage_ = UniqueName("stage");
  KubernetesApi api_{ReadKubeconfig(ControlPlaneFile("admin.kubeconfig"))};
};

// `EXPECT_TRUE(Is(result, v1::STEP_STATUS_RUNNING, v1::STEP_REASON_OPERATION_RUNNING))`
testing::AssertionResult Is(const StepResult& result, v1::StepStatus status,
                            v1::StepReason reason = v1::STEP_REASON_UNSPECIFIED);
testing::AssertionResult IsError(const StepResult& result, grpc::StatusCode code);
// UNAVAILABLE, with ErrorInfo of this domain and RetryInfo.
testing::AssertionResult IsUnavailable(const StepResult& result);

// What a result says of one Application; an empty outcome, and a failure, when it says nothing.
v1::ApplicationOutcome OutcomeOf(const StepResult& result, const std::string& application);
nlohmann::json OutputOf(const StepResult& result);
nlohmann::json HealthCheckInputOf(const StepResult& result);

// The value of an entry in an operation's `info`; empty when there is none.
std::string InfoOf(const nlohmann::json& operation, const std::string& name);
// Whether `application` has a pending operation of that promotion and attempt.
testing::AssertionResult HasOperation(const nlohmann::json& application,
                                      const std::string& promotion, int attempt);
testing::AssertionResult HasNoOperation(const nlohmann::json& application);

// Names the instances of a parametrized test by the `name` of their parameter.
template <typename Parameter>
std::string NameOf(const testing::TestParamInfo<Parameter>& instance) {
  return instance.param.name;
}

// What an Application looks like apart from what every write changes, and from `changed`, which
// are JSON pointers.
nlohmann::json Remainder(nlohmann::json application, const std::vector<std::string>& changed = {});

}  // namespace gantry::integration

#endif  // GANTRY_TESTS_INTEGRATION_INTEGRATION_TEST_H_
