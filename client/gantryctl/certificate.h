// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_CERTIFICATE_H_
#define GANTRY_CLIENT_GANTRYCTL_CERTIFICATE_H_

#include <openssl/x509.h>

#include <string>

namespace gantry::gantryctl {

// What is wrong with the certificate of `host`, of which OpenSSL says `error`, to go on after "the
// certificate". `own_ca`: it was verified with the authorities of --ca-file. Any thread.
std::string CertificateProblem(long error, X509* certificate, const std::string& host, bool own_ca);

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_CERTIFICATE_H_
