// SPDX-License-Identifier: Apache-2.0
#include "tests/client/test_authority.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace gantry::client {
namespace {

struct Freed {
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
};
using Certificate = std::unique_ptr<X509, Freed>;
using Key = std::unique_ptr<EVP_PKEY, Freed>;

std::string Pem(const std::function<int(BIO*)>& write) {
  const std::unique_ptr<BIO, Freed> bio(BIO_new(BIO_s_mem()));
  write(bio.get());
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &bytes);
  return std::string(bytes, static_cast<std::size_t>(size));
}

// A certificate that its signer has not signed yet; without a signer it is its own.
Certificate Unsigned(const Subject& subject, EVP_PKEY* key, X509* signer,
                     const std::vector<std::pair<int, std::string>>& extensions) {
  static std::atomic<std::uint64_t> serial = 1;
  Certificate certificate(X509_new());
  X509* const it = certificate.get();
  X509_set_version(it, X509_VERSION_3);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(it), serial++);
  X509_gmtime_adj(X509_getm_notBefore(it), subject.valid_from);
  X509_gmtime_adj(X509_getm_notAfter(it), subject.valid_until);
  X509_NAME_add_entry_by_NID(X509_get_subject_name(it), NID_commonName, MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(subject.common_name.data()),
                             static_cast<int>(subject.common_name.size()), -1, 0);
  X509_set_issuer_name(it, X509_get_subject_name(signer != nullptr ? signer : it));
  X509_set_pubkey(it, key);
  X509V3_CTX context;
  X509V3_set_ctx(&context, signer != nullptr ? signer : it, it, nullptr, nullptr, 0);
  for (const auto& [nid, value] : extensions) {
    const std::unique_ptr<X509_EXTENSION, Freed> extension(
        X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
    X509_add_ext(it, extension.get(), -1);
  }
  return certificate;
}

}  // namespace

struct TestAuthority::Signer {
  Key key;
  Certificate certificate;
  std::string pem;
};

TestAuthority::TestAuthority(const std::string& name) : signer_(std::make_unique<Signer>()) {
  Subject subject;
  subject.common_name = name;
  signer_->key.reset(EVP_EC_gen("P-256"));
  signer_->certificate = Unsigned(
      subject, signer_->key.get(), nullptr,
      {{NID_basic_constraints, "critical,CA:TRUE"}, {NID_key_usage, "critical,keyCertSign"}});
  X509_sign(signer_->certificate.get(), signer_->key.get(), EVP_sha256());
  signer_->pem =
      Pem([this](BIO* bio) { return PEM_write_bio_X509(bio, signer_->certificate.get()); });
}

TestAuthority::~TestAuthority() = default;

const std::string& TestAuthority::certificate() const { return signer_->pem; }

KeyPair TestAuthority::Issue(const Subject& subject) const {
  const Key key(EVP_EC_gen("P-256"));
  std::vector<std::pair<int, std::string>> extensions;
  if (!subject.names.empty()) extensions.emplace_back(NID_subject_alt_name, subject.names);
  const Certificate certificate =
      Unsigned(subject, key.get(), signer_->certificate.get(), extensions);
  X509_sign(certificate.get(), signer_->key.get(), EVP_sha256());
  return {Pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate.get()); }),
          Pem([&](BIO* bio) {
            return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

std::shared_ptr<grpc::ServerCredentials> TlsServer(const KeyPair& pair,
                                                   const std::string& clients) {
  grpc::SslServerCredentialsOptions options(
      clients.empty() ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                      : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_key_cert_pairs.push_back({pair.key, pair.certificate});
  options.pem_root_certs = clients;
  return grpc::SslServerCredentials(options);
}

}  // namespace gantry::client
