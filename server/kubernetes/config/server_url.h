// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_CONFIG_SERVER_URL_H_
#define GANTRY_SERVER_KUBERNETES_CONFIG_SERVER_URL_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace gantry::kubernetes {

// Where a server is, taken apart.
struct ServerUrl {
  std::string scheme;  // "https" or "http"
  std::string host;    // an IPv6 address stands in brackets
  int port = 0;
  std::string path;  // without a trailing slash; often empty

  bool https() const { return scheme == "https"; }
  // "https://host:port", without the path.
  std::string Origin() const;
  // "host", or "host:port" when the port is not the scheme's own.
  std::string HostHeader() const;
};

// Refuses what is not such an absolute URL, or has user info, a query or a fragment. The error
// quotes the URL, without its user info.
absl::StatusOr<ServerUrl> ParseServerUrl(std::string_view url);

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_CONFIG_SERVER_URL_H_
