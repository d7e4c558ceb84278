// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_BASE_NAMES_H_
#define GANTRY_BASE_NAMES_H_

#include <string_view>

namespace gantry::base {

// A name of 1 to 63 lower-case letters, digits and '-', with a letter or digit at both ends
// (RFC 1123): what Kubernetes takes for namespaces, and what a project is named by.
bool IsDns1123Label(std::string_view name);

// Labels' characters in parts joined by dots, at most 253 characters together: what Kubernetes
// takes for most objects' names. As there, a part may be longer than 63 characters.
bool IsDns1123Subdomain(std::string_view name);

}  // namespace gantry::base

#endif  // GANTRY_BASE_NAMES_H_
