// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_ARGOCD_ARGOCD_TEST_H_
#define GANTRY_TESTS_ARGOCD_ARGOCD_TEST_H_

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/argocd/backend.h"
#include "tests/argocd/expected_faults.h"
#include "tests/integration/integration_test.h"

namespace gantry::integration {

// How long a test waits for Argo CD, on a busy machine: longer than for the server alone.
inline constexpr std::chrono::seconds kArgoCdPatience{90};

// One Stage and some Applications that Argo CD deploys, the real one or argocd-standin. Suites
// whose names begin with "Real" are for the real one alone. The Applications go when the test ends,
// what they have deployed stays.
class ArgoCdTest : public IntegrationTest {
 public:
  // The list of expected faults, for tests made after that.
  static void SetExpectedFaults(std::map<std::string, std::string> faults);

 protected:
  ArgoCdTest();
  void SetUp() override;
  void TearDown() override;

  // An Application that follows the branch `main` of a repository of its own and was never synced;
  // `change` is merged into it. Returns its name.
  std::string NewApp(const nlohmann::json& change = nlohmann::json::object());
  // Makes any other, to be removed at the end; it authorizes this test's Stage.
  std::string NewAppWith(const std::string& name, const nlohmann::json& spec);
  const std::string& repository(const std::string& app) const { return repositories_.at(app); }

  // Configurations of argocd-update: the desired revision is written as target revision, or only
  // waited for.
  nlohmann::json Updating(const std::string& app, const std::string& revision) const;
  nlohmann::json Syncing(const std::string& app, const std::string& revision) const;
  v1::RunStepRequest WaitRequest(const std::string& app,
                                 const nlohmann::json& wait_for = nullptr) const;

  // A call that the server holds open until the step is through, and its answer.
  static v1::RunStepRequest Held(v1::RunStepRequest request);
  static StepResult RunToItsEnd(Replica& gantry, const v1::RunStepRequest& request);
  // Calls until the step's message has the words; it is RUNNING all the time.
  static void AwaitMessage(Replica& gantry, const v1::RunStepRequest& request,
                           const std::string& words);

  // Waits until the Application, or another object, is as expected, and returns it as it is then.
  nlohmann::json AwaitApplication(const std::string& app,
                                  const std::function<bool(const nlohmann::json&)>& expected);
  nlohmann::json AwaitPhase(const std::string& app, const std::string& phase);
  // The hook of a commit runs; EndHook ends it and waits until Argo CD has seen that.
  nlohmann::json AwaitHook(const std::string& app);
  void EndHook(const std::string& app);
  // The last operation is through and Argo CD has compared the Application since.
  nlohmann::json AwaitSettled(const std::string& app);
  std::vector<nlohmann::json> AwaitObjects(
      const std::string& collection, const std::string& field_selector,
      const std::function<bool(const std::vector<nlohmann::json>&)>& expected);
  nlohmann::json AwaitObject(const std::string& collection, const std::string& name,
                             const std::function<bool(const nlohmann::json&)>& expected);
  // What has arrived in the cluster.
  nlohmann::json ConfigMapData(const std::string& name);
  // Asks for a comparison; RefreshAndAwait waits for its end, and begins another as long as its
  // time is not later than that of the last operation's end.
  void Refresh(const std::string& app);
  nlohmann::json RefreshAndAwait(const std::string& app);
  // Begins an operation as Argo CD's own API server does.
  void Operate(const std::string& app, const nlohmann::json& operation);

  // The Stage's health, once all caches are filled: before, streams are refused.
  std::unique_ptr<HealthStream> WatchHealth(Replica& gantry);
  v1::StageHealth Health(Replica& gantry);

  // That so many operations were done on the Application, as all who tell of them agree: its
  // history, Argo CD's Events and its log.
  void ExpectOperations(const std::string& app, int succeeded, int failed = 0);

  std::unique_ptr<Backend> backend_;

 private:
  // Nothing when it did not become so in that time: `last` is how it was then.
  std::optional<std::vector<nlohmann::json>> TryAwaitObjects(
      const std::string& collection, const std::string& field_selector,
      const std::function<bool(const std::vector<nlohmann::json>&)>& expected,
      std::chrono::seconds patience, std::vector<nlohmann::json>& last);

  const ClusterAccess access_ = ReadKubeconfig(ControlPlaneFile("admin.kubeconfig"));
  std::map<std::string, std::string> repositories_;  // by Application
  std::vector<std::string> applications_;
  std::unique_ptr<ExpectedFault> expected_fault_;
};

// The text at a JSON pointer, or an empty string.
std::string Text(const nlohmann::json& object, const std::string& pointer);

}  // namespace gantry::integration

#endif  // GANTRY_TESTS_ARGOCD_ARGOCD_TEST_H_
