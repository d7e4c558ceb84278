// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_INTEGRATION_KUBERNETES_API_H_
#define GANTRY_TESTS_INTEGRATION_KUBERNETES_API_H_

#include <httplib.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/integration/cluster_access.h"

namespace gantry::integration {

// Paths below the API server's URL.
std::string ApplicationPath(const std::string& name, const std::string& ns = "argocd");
std::string ApplicationsPath(const std::string& ns = "argocd");
std::string StageHealthPath(const std::string& name, const std::string& ns = "gantry-system");
std::string StageHealthsPath(const std::string& ns = "gantry-system");
std::string EventsPath(const std::string& ns = "argocd");

// What a test does and sees on the API server, independently of the code under test. An answer
// that the test cannot go on with ends it. Any thread; one request at a time.
class KubernetesApi {
 public:
  explicit KubernetesApi(const ClusterAccess& access);

  // These fail unless the API server does what is asked for. They return the object as stored.
  nlohmann::json Create(const std::string& collection, const nlohmann::json& object);
  nlohmann::json Get(const std::string& path);
  nlohmann::json MergePatch(const std::string& path, const nlohmann::json& patch);
  nlohmann::json JsonPatch(const std::string& path, const nlohmann::json& patch);
  void Delete(const std::string& path);
  std::vector<nlohmann::json> List(const std::string& collection);
  // Nothing when there is no such object.
  std::optional<nlohmann::json> Find(const std::string& path);

 private:
  struct Answer {
    int status = 0;
    std::string body;
  };
  Answer Send(const std::string& method, const std::string& path, const std::string& body = "",
              const std::string& content_type = "");
  nlohmann::json SendOrGiveUp(const std::string& method, const std::string& path,
                              const std::string& body = "", const std::string& content_type = "");

  const std::string token_;
  const std::unique_ptr<httplib::Client> client_;
};

}  // namespace gantry::integration

#endif  // GANTRY_TESTS_INTEGRATION_KUBERNETES_API_H_
