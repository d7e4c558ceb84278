// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_CLIENT_TEST_AUTHORITY_H_
#define GANTRY_TESTS_CLIENT_TEST_AUTHORITY_H_

#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

namespace gantry::client {

// A certificate and its private key, PEM.
struct KeyPair {
  std::string certificate;
  std::string key;
};

// What a certificate says; times are in seconds from now.
struct Subject {
  std::string common_name = "test";
  std::string names = "IP:127.0.0.1,DNS:localhost";  // as OpenSSL writes them; may be empty
  long valid_from = -3600;
  long valid_until = 3600;
};

// Signs certificates for one test, made anew each time. One thread.
class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name);
  ~TestAuthority();

  const std::string& certificate() const;  // PEM
  KeyPair Issue(const Subject& subject) const;

 private:
  struct Signer;
  std::unique_ptr<Signer> signer_;
};

// What a gRPC server serves TLS with. Callers have to show a certificate of `clients` if given.
std::shared_ptr<grpc::ServerCredentials> TlsServer(const KeyPair& pair,
                                                   const std::string& clients = "");

}  // namespace gantry::client

#endif  // GANTRY_TESTS_CLIENT_TEST_AUTHORITY_H_
