// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SIMULATOR_SIMULATOR_H_
#define GANTRY_TESTS_SIMULATOR_SIMULATOR_H_

#include <chrono>
#include <deque>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/mutex.h"
#include "tests/simulator/api_server.h"
#include "tests/simulator/certificates.h"
#include "tests/simulator/faults.h"
#include "tests/simulator/http_server.h"
#include "tests/simulator/rbac.h"
#include "tests/simulator/resources.h"
#include "tests/simulator/store.h"
#include "tests/simulator/writer.h"

namespace gantry::simulator {

struct SimulatorOptions {
  std::string address = "127.0.0.1";
  int port = 0;  // 0: any
  bool tls = true;
  // Changes that are kept of each resource: older watches and pages get 410.
  std::size_t history = 10000;
  std::chrono::milliseconds bookmark_interval{60000};
  // Answer sendInitialEvents as servers without the feature gate WatchList do (422).
  bool refuse_initial_events = false;
  // Begin with what the tests' real control plane begins with: definitions, namespaces, roles.
  bool default_manifests = true;
  // And with these, which come back with every restart that does not keep the objects.
  struct Manifest {
    std::string name;  // for errors: the file's
    std::string text;  // as for Load
  };
  std::vector<Manifest> manifests;
  // A handshake, or a request that has begun, may stand still for so long.
  std::chrono::milliseconds idle_timeout{30000};
  base::Sleeper* sleeper = &base::SystemSleeper();
  const base::Clock* clock = &base::SystemClock();
};

// A simulated Kubernetes API server on a port of this host, with users, certificates and faults on
// demand. It keeps everything in memory, and nothing when it ends. Owned by a test or by the
// program; any thread may call it.
class Simulator {
 public:
  static absl::StatusOr<std::unique_ptr<Simulator>> Start(SimulatorOptions options = {});
  ~Simulator();
  Simulator(const Simulator&) = delete;
  Simulator& operator=(const Simulator&) = delete;

  // "https://127.0.0.1:12345".
  std::string url() const;

  // Creates the objects of a YAML or JSON text with one or more documents, Lists included, with the
  // status they have. One that is there already stays as it is; a namespaced one that names no
  // namespace goes to gantry-system. The error names the object.
  absl::Status Load(const std::string& manifest);
  // Writes what tests/control_plane has in its folder: a kubeconfig for each user, url, ca.crt,
  // tokens.csv and the client certificate. The folder exists.
  absl::Status WriteFiles(const std::string& folder) const;

  // Faults of single requests.
  Faults& faults() { return faults_; }
  // Older resourceVersions are out of reach from now on.
  void Compact();
  // As if the process ended and another one came after `down`: connections are cut, history is
  // gone, and so are the objects unless they are kept. Returns when connections are taken again,
  // which may take long when somebody else has the port, or with CANCELLED at the end.
  absl::Status Restart(std::chrono::milliseconds down = {}, bool keep_objects = true);
  // Connections are cut, and the next ones are taken.
  void CutConnections();
  // The first half of Restart, and the second. No request from before Stop does anything after it.
  void Stop();
  absl::Status Resume();

  const Store& store() const { return store_; }

 private:
  explicit Simulator(SimulatorOptions options);

  absl::Status Begin();
  absl::Status LoadDefaults();
  void ForgetObjects();
  absl::Status LoadObject(nlohmann::json object);
  void Handle(const HttpRequest& request, HttpAnswer& answer);
  // What is below /simulator/.
  void Control(const HttpRequest& request, HttpAnswer& answer) ABSL_LOCKS_EXCLUDED(restarting_);
  // Carries out what restarts_ asks for, until the end.
  void RunRestarts() ABSL_LOCKS_EXCLUDED(restarting_);

  const SimulatorOptions options_;
  const CertificateAuthority authority_;
  const KeyPair gantry_certificate_;
  Tokens tokens_;
  Store store_;
  Resources resources_;
  Rbac rbac_;
  Faults faults_;
  Writer writer_;
  std::unique_ptr<ApiServer> api_;
  // Ends the waits of restarts.
  base::Context end_;
  base::Mutex restarting_;
  base::ConditionVariable restart_asked_;
  struct RestartOrder {
    std::chrono::milliseconds down{0};
    bool keep_objects = true;
  };
  std::deque<RestartOrder> restarts_ ABSL_GUARDED_BY(restarting_);
  bool ends_ ABSL_GUARDED_BY(restarting_) = false;
  // For restarts that were asked for over HTTP: those connections are cut by them, and waited for.
  std::thread restarter_;
  std::unique_ptr<HttpServer> http_;
};

}  // namespace gantry::simulator

#endif  // GANTRY_TESTS_SIMULATOR_SIMULATOR_H_
