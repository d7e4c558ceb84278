// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_PROBE_H_
#define GANTRY_CLIENT_GANTRYCTL_PROBE_H_

#include <functional>
#include <string>

#include "absl/time/time.h"
#include "client/gantryctl/command_line.h"
#include "client/gantryctl/transport.h"

namespace gantry::gantryctl {

// What there is at an address, as far as a few bytes tell.
struct Finding {
  enum class Kind {
    kUnclear,        // nothing that could be told
    kUnknownHost,    // the name has no address
    kRefused,        // nobody listens
    kNoAnswer,       // no connection came about, or the peer is silent
    kHttp1,          // HTTP/1, in plain text
    kPlaintext,      // HTTP/2 in plain text, as gRPC speaks it
    kClosed,         // it takes connections, and closes them before gRPC comes about
    kTls,            // TLS, and nothing is wrong with its certificate
    kNoHttp2,        // TLS, but without the HTTP/2 that gRPC needs
    kBadCertificate  // TLS, and `detail` is what is wrong with its certificate
  };
  Kind kind = Kind::kUnclear;
  std::string detail;
};

// Connects to the flags' server once or a few times, each for up to `limit`, and looks who is
// there: after a call has failed, since gRPC's own errors do not tell. Sends neither a request nor
// a token nor the client's certificate. Blocks; any thread.
Finding Probe(const ServiceFlags& flags, const TlsMaterial& material, absl::Duration limit);

// Who is there after a call has failed with `message`: what gRPC itself says of the peer wins,
// since it is about that call, over what `probe`, which may be null, finds a moment later. The
// probe is left out where it cannot add anything.
Finding Explain(const std::string& message, const std::function<Finding()>& probe);

// What that means and what to do about it, in sentences; empty if there is nothing to tell. Pure.
std::string RenderFinding(const Finding& finding, const ServiceFlags& flags);

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_PROBE_H_
