// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_ARGOCD_GIT_URL_H_
#define GANTRY_SERVER_ARGOCD_GIT_URL_H_

#include <string>
#include <string_view>

namespace gantry::argocd {

// A form of a git repository's URL in which the spellings that people use for one repository are
// equal. It is meant for comparison alone, never for fetching.
//
// Blanks and unprintable characters are dropped wherever they stand and ASCII letters become lower
// case. Then
//   http://[user-info@]host[:port][/path]   loses its user info (http and https stay different),
//   ssh://[user-info@]host[:port][/path]    keeps it,
//   user@host:path                          becomes ssh://user@host/path, and a path that begins
//                                           with a slash gets no second one;
// and the path loses one trailing "/", then one trailing ".git". A port is never taken for the
// default one.
//
// Everything else is returned exactly as it came, letter case and blanks included: another scheme
// (git, file, oci), a file path, an scp-like URL without a user, a URL with a query ("?") or a
// fragment ("#"), without a host, with a port that is not a number, with a broken percent escape
// or with bytes that are not UTF-8.
//
// Pure; any thread may call it. Time and memory are linear in the input.
std::string NormalizeGitUrl(std::string_view url);

}  // namespace gantry::argocd

#endif  // GANTRY_SERVER_ARGOCD_GIT_URL_H_
