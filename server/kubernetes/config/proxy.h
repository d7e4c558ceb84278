// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_CONFIG_PROXY_H_
#define GANTRY_SERVER_KUBERNETES_CONFIG_PROXY_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/kubernetes/config/kube_config.h"
#include "server/kubernetes/config/server_url.h"

namespace gantry::kubernetes {

// The URL of a proxy, as given in a kubeconfig or the environment: http, https or socks5, the
// first being meant when there is no scheme. Errors name `where` it was found and never quote
// a password.
absl::StatusOr<std::string> CheckProxyUrl(std::string_view url, std::string_view where);

// The proxy to reach `server` by, from HTTPS_PROXY (or HTTP_PROXY) and NO_PROXY, in upper or
// lower case, read as kubectl reads them: an entry of NO_PROXY is a domain with its subdomains
// (".example.com": these alone), an address, a network in CIDR notation, any of the first two
// with a port, or "*"; this machine itself is never reached by a proxy. Empty: none.
absl::StatusOr<std::string> ProxyFromEnvironment(const ServerUrl& server,
                                                 const Environment& environment);

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_CONFIG_PROXY_H_
