// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SIMULATOR_CERTIFICATES_H_
#define GANTRY_TESTS_SIMULATOR_CERTIFICATES_H_

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <vector>

namespace gantry::simulator {

// A certificate and its private key, in PEM.
struct KeyPair {
  std::string certificate;
  std::string key;
};

// A throw-away certificate authority: its key is nowhere but in this process. Made by the
// Simulator; used by one thread.
class CertificateAuthority {
 public:
  CertificateAuthority();

  const std::string& certificate() const { return pem_; }
  // `alternative_names` as OpenSSL's configuration spells them: "DNS:localhost,IP:127.0.0.1".
  KeyPair Issue(const std::string& common_name, const std::vector<std::string>& organizations,
                const std::string& usage, const std::string& alternative_names = "") const;
  // For a server that takes client certificates of this authority, and does without.
  std::shared_ptr<SSL_CTX> ServerContext(const KeyPair& server) const;

 private:
  struct Freed {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(X509* certificate) const { X509_free(certificate); }
  };
  const std::unique_ptr<EVP_PKEY, Freed> key_;
  const std::unique_ptr<X509, Freed> certificate_;
  std::string pem_;
};

// So many random hexadecimal digits.
std::string RandomHex(std::size_t digits);
// A random UUID.
std::string NewUid();

}  // namespace gantry::simulator

#endif  // GANTRY_TESTS_SIMULATOR_CERTIFICATES_H_
