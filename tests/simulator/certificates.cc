// SPDX-License-Identifier: Apache-2.0
#include "tests/simulator/certificates.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <cstdint>

namespace gantry::simulator {
namespace {

std::string Content(BIO* bio) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio, &bytes);
  std::string text(bytes, static_cast<std::size_t>(size));
  BIO_free(bio);
  return text;
}

std::string PemOf(X509* certificate) {
  BIO* const bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate);
  return Content(bio);
}

std::string PemOf(EVP_PKEY* key) {
  BIO* const bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  return Content(bio);
}

void AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

void AddName(X509* certificate, const char* field, const std::string& value) {
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), field, MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(value.c_str()), -1, -1, 0);
}

// Unsigned, for `key`, valid from an hour ago for a year.
X509* NewCertificate(EVP_PKEY* key) {
  X509* const certificate = X509_new();
  X509_set_version(certificate, 2);
  std::uint64_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 365L * 24 * 3600);
  X509_set_pubkey(certificate, key);
  return certificate;
}

}  // namespace

std::string RandomHex(std::size_t digits) {
  std::string bytes((digits + 1) / 2, '\0');
  RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  std::string text;
  for (const char byte : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    text += kDigits[(static_cast<unsigned char>(byte) >> 4) & 15];
    text += kDigits[static_cast<unsigned char>(byte) & 15];
  }
  text.resize(digits);
  return text;
}

std::string NewUid() {
  std::string uid = RandomHex(32);
  uid[12] = '4';  // the version: random
  uid[16] = '8';
  for (const std::size_t at : {20, 16, 12, 8}) uid.insert(at, "-");
  return uid;
}

CertificateAuthority::CertificateAuthority()
    : key_(EVP_EC_gen("P-256")), certificate_(NewCertificate(key_.get())) {
  X509* const certificate = certificate_.get();
  AddName(certificate, "CN", "gantry-sim " + RandomHex(8));
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
  AddExtension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
  AddExtension(certificate, certificate, NID_subject_key_identifier, "hash");
  X509_sign(certificate, key_.get(), EVP_sha256());
  pem_ = PemOf(certificate);
}

KeyPair CertificateAuthority::Issue(const std::string& common_name,
                                    const std::vector<std::string>& organizations,
                                    const std::string& usage,
                                    const std::string& alternative_names) const {
  const std::unique_ptr<EVP_PKEY, Freed> key(EVP_EC_gen("P-256"));
  const std::unique_ptr<X509, Freed> certificate(NewCertificate(key.get()));
  for (const std::string& organization : organizations) {
    AddName(certificate.get(), "O", organization);
  }
  AddName(certificate.get(), "CN", common_name);
  X509* const issuer = certificate_.get();
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer));
  AddExtension(certificate.get(), issuer, NID_basic_constraints, "critical,CA:FALSE");
  AddExtension(certificate.get(), issuer, NID_ext_key_usage, usage);
  if (!alternative_names.empty()) {
    AddExtension(certificate.get(), issuer, NID_subject_alt_name, alternative_names);
  }
  X509_sign(certificate.get(), key_.get(), EVP_sha256());
  return {PemOf(certificate.get()), PemOf(key.get())};
}

std::shared_ptr<SSL_CTX> CertificateAuthority::ServerContext(const KeyPair& server) const {
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  BIO* bio =
      BIO_new_mem_buf(server.certificate.data(), static_cast<int>(server.certificate.size()));
  X509* const certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  bio = BIO_new_mem_buf(server.key.data(), static_cast<int>(server.key.size()));
  EVP_PKEY* const key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  SSL_CTX_use_certificate(context.get(), certificate);
  SSL_CTX_use_PrivateKey(context.get(), key);
  X509_free(certificate);
  EVP_PKEY_free(key);
  X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), certificate_.get());
  SSL_CTX_add_client_CA(context.get(), certificate_.get());
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  static constexpr unsigned char kSession[] = "gantry-sim";
  SSL_CTX_set_session_id_context(context.get(), kSession, sizeof kSession - 1);
  return context;
}

}  // namespace gantry::simulator
