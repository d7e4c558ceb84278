// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_INTEGRATION_CLUSTER_ACCESS_H_
#define GANTRY_TESTS_INTEGRATION_CLUSTER_ACCESS_H_

#include <httplib.h>

#include <chrono>
#include <memory>
#include <string>

namespace gantry::integration {

// How long a test waits for an event that is expected to come. Reaching it is a failure.
inline constexpr std::chrono::seconds kPatience{20};

// Ends the test as failed: GoogleTest reports what is thrown.
[[noreturn]] void GiveUp(const std::string& why);

// How to reach an API server as one user: of a kubeconfig what the control planes of the tests use.
struct ClusterAccess {
  std::string server;   // "https://127.0.0.1:6443"
  std::string ca_file;  // empty: the server is a plain http:// one
  std::string token;
  std::string ns;
};

// The files of the control plane that the suite runs against, in $GANTRY_TEST_CONTROL_PLANE.
std::string ControlPlaneFile(const std::string& name);
// Whether the API server streams initial lists (sendInitialEvents), which it does unless it was
// started with the feature gate WatchList off.
bool StreamsLists();
ClusterAccess ReadKubeconfig(const std::string& path);
void WriteKubeconfig(const ClusterAccess& access, const std::string& path);

// A client that keeps its connection, sends paths as they are and passes bodies on as they come.
std::unique_ptr<httplib::Client> MakeHttpClient(const ClusterAccess& access);

// A folder for this process's files, removed at its end.
const std::string& TemporaryFolder();

// `prefix` and something that no other test, and no other run on the same control plane, has.
std::string UniqueName(const std::string& prefix);

}  // namespace gantry::integration

#endif  // GANTRY_TESTS_INTEGRATION_CLUSTER_ACCESS_H_
