// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_ARGOCD_BACKEND_H_
#define GANTRY_TESTS_ARGOCD_BACKEND_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "tests/integration/kubernetes_api.h"

namespace gantry::integration {

// What a commit of an Application's repository has in it.
enum class Content {
  kGood,      // a ConfigMap and a Gauge, both named like the Application
  kInvalid,   // besides, something that the API server refuses: syncs fail
  kWithHook,  // besides, a Job that runs before the sync, and ends when the test says so
};

// The Argo CD that a test runs with, and the world around it: the real one with repositories and a
// cluster, or argocd-standin, which makes them up. What a test does through this class comes to the
// same with both, so that they can be held to each other. The test's own thread.
class Backend {
 public:
  virtual ~Backend() = default;

  // Makes the repository of an Application, with a first good commit on its branch `main`, and
  // returns its URL.
  virtual std::string NewRepository(const std::string& app) = 0;
  // The rest is about Applications that exist. Commit adds to `main` and returns the commit's id;
  // Tag names the newest one.
  virtual std::string Commit(const std::string& app, Content content) = 0;
  virtual void Tag(const std::string& app, const std::string& tag) = 0;
  // What Applications are labelled with.
  virtual nlohmann::json Labels() const = 0;

  // Ends the hook that runs.
  virtual void EndHook(const std::string& app) = 0;
  // From now on no sync of the Application may begin, or may again.
  virtual void CloseWindow(const std::string& app) = 0;
  virtual void OpenWindow(const std::string& app) = 0;
  // The health of what is deployed becomes that.
  virtual void SetHealth(const std::string& app, const std::string& health,
                         const std::string& message) = 0;
  // Somebody changes what is deployed.
  virtual void Drift(const std::string& app) = 0;

  // The controller stands still, and goes on; is killed, and started. All return when that is so.
  virtual void Pause() = 0;
  virtual void Resume() = 0;
  virtual void Kill() = 0;
  virtual void Start() = 0;

  // How many operations of the Application the controller's log tells the beginning of; nothing
  // when it does not tell.
  virtual std::optional<int> OperationsInLog(const std::string& app) = 0;
  virtual std::string Log() const = 0;
};

// The one that argocd.sh has started, and whether there is one.
bool HasRealArgoCd();
std::unique_ptr<Backend> NewRealBackend(KubernetesApi& api);
// A new process that works on the Applications of one test, which have a label with that value.
std::unique_ptr<Backend> NewStandInBackend(KubernetesApi& api, const std::string& label);

}  // namespace gantry::integration

#endif  // GANTRY_TESTS_ARGOCD_BACKEND_H_
