// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SERVER_KUBERNETES_TEST_CERTIFICATES_H_
#define GANTRY_TESTS_SERVER_KUBERNETES_TEST_CERTIFICATES_H_

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "server/kubernetes/config/tls_files.h"

namespace gantry::kubernetes {

// A certificate authority of a test's own, made anew for each test.
class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name);

  // Its certificate, PEM.
  const std::string& pem() const { return pem_; }
  // `alternative_names` as OpenSSL writes them: "DNS:server.test,IP:127.0.0.1"; may be empty.
  ClientCertificate Issue(const std::string& common_name,
                          const std::string& alternative_names) const;

 private:
  struct Freed {
    void operator()(X509* certificate) const { X509_free(certificate); }
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  };

  std::unique_ptr<EVP_PKEY, Freed> key_;
  std::unique_ptr<X509, Freed> certificate_;
  std::string pem_;
};

}  // namespace gantry::kubernetes

#endif  // GANTRY_TESTS_SERVER_KUBERNETES_TEST_CERTIFICATES_H_
