// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_FINDING_H_
#define GANTRY_CLIENT_GANTRYCTL_FINDING_H_

#include <string>

#include "client/gantryctl/command_line.h"

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

// What that means and what to do about it, in sentences; empty if there is nothing to tell. Pure.
std::string RenderFinding(const Finding& finding, const ServiceFlags& flags);

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_FINDING_H_
