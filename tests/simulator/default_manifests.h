// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SIMULATOR_DEFAULT_MANIFESTS_H_
#define GANTRY_TESTS_SIMULATOR_DEFAULT_MANIFESTS_H_

#include <string>
#include <vector>

namespace gantry::simulator {

// The texts of tests/control_plane/manifests, deploy/crds and deploy/rbac, as they were when this
// was built, in the order in which the real control plane gets them.
const std::vector<std::string>& DefaultManifests();

}  // namespace gantry::simulator

#endif  // GANTRY_TESTS_SIMULATOR_DEFAULT_MANIFESTS_H_
