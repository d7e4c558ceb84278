// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_OWNED_H_
#define GANTRY_CLIENT_GANTRYCTL_OWNED_H_

#include <netdb.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>

namespace gantry::gantryctl {

struct FreedByLibrary {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* tls) const { SSL_free(tls); }
  void operator()(addrinfo* addresses) const { freeaddrinfo(addresses); }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};

// Owns an object that OpenSSL or the C library made, and gives it back to it.
template <typename T>
using Owned = std::unique_ptr<T, FreedByLibrary>;

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_OWNED_H_
