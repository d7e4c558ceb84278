// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_PROBE_H_
#define GANTRY_CLIENT_GANTRYCTL_PROBE_H_

#include <functional>
#include <string>

#include "absl/time/time.h"
#include "client/gantryctl/command_line.h"
#include "client/gantryctl/finding.h"
#include "client/gantryctl/transport.h"

namespace gantry::gantryctl {

// Connects to the flags' server once or a few times, each for up to `limit`, and looks who is
// there: after a call has failed, since gRPC's own errors do not tell. Sends neither a request nor
// a token nor the client's certificate. Blocks; any thread.
Finding Probe(const ServiceFlags& flags, const TlsMaterial& material, absl::Duration limit);

// Who is there after a call has failed with `message`: what gRPC itself says of the peer wins,
// since it is about that call, over what `probe`, which may be null, finds a moment later. The
// probe is left out where it cannot add anything.
Finding Explain(const std::string& message, const std::function<Finding()>& probe);

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_PROBE_H_
