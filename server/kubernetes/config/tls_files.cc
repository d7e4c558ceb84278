// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/config/tls_files.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "base/strings.h"
#include "server/kubernetes/config/file.h"

namespace gantry::kubernetes {
namespace {

struct PemFreed {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

std::unique_ptr<BIO, PemFreed> Reader(const std::string& pem) {
  return std::unique_ptr<BIO, PemFreed>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// Gives no passphrase; OpenSSL's own callback would ask on the terminal.
int NoPassphrase(char*, int, int, void*) { return -1; }

std::unique_ptr<X509, PemFreed> FirstCertificate(const std::string& pem) {
  const auto reader = Reader(pem);
  return std::unique_ptr<X509, PemFreed>(
      reader ? PEM_read_bio_X509(reader.get(), nullptr, NoPassphrase, nullptr) : nullptr);
}

std::string Named(std::string_view what, const DataOrFile& item) {
  if (!item.data.empty()) return base::StrCat(what, " (given as data)");
  return base::StrCat(what, " file ", item.file);
}

absl::Status CheckPair(const TlsFiles& files, const ClientCertificate& pair) {
  const auto certificate = FirstCertificate(pair.certificate);
  if (!certificate) {
    return absl::FailedPreconditionError(
        base::StrCat("the ", Named("client certificate", files.certificate),
                     " holds no PEM certificate; it must begin with one"));
  }
  const auto reader = Reader(pair.key);
  const std::unique_ptr<EVP_PKEY, PemFreed> key(
      reader ? PEM_read_bio_PrivateKey(reader.get(), nullptr, NoPassphrase, nullptr) : nullptr);
  if (!key) {
    return absl::FailedPreconditionError(
        base::StrCat("the ", Named("client key", files.key),
                     " holds no PEM private key that can be read; a key with a passphrase is not "
                     "supported"));
  }
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return absl::FailedPreconditionError(
        base::StrCat("the ", Named("client key", files.key), " does not belong to the ",
                     Named("client certificate", files.certificate)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ReadDataOrFile(const DataOrFile& item, std::string_view what) {
  if (!item.data.empty() || item.file.empty()) return item.data;
  absl::StatusOr<std::string> content = ReadFile(item.file);
  if (!content.ok()) {
    return absl::Status(content.status().code(),
                        base::StrCat("the ", what, ": ", content.status().message()));
  }
  return content;
}

absl::StatusOr<TlsMaterial> ReadTlsFiles(const TlsFiles& files) {
  TlsMaterial material;
  auto ca = ReadDataOrFile(files.ca, "certificate authority");
  if (!ca.ok()) return ca.status();
  auto certificate = ReadDataOrFile(files.certificate, "client certificate");
  if (!certificate.ok()) return certificate.status();
  auto key = ReadDataOrFile(files.key, "client key");
  if (!key.ok()) return key.status();
  material.ca = *std::move(ca);
  material.client = {*std::move(certificate), *std::move(key)};

  absl::Status status;
  if (!files.ca.empty() && !FirstCertificate(material.ca)) {
    status = absl::FailedPreconditionError(base::StrCat(
        "the ", Named("certificate authority", files.ca), " holds no PEM certificate"));
  } else if (files.certificate.empty() != files.key.empty()) {
    status = absl::FailedPreconditionError(
        "a client certificate and its key are given together or not at all");
  } else if (!files.certificate.empty()) {
    status = CheckPair(files, material.client);
  }
  // What failed above must not be taken for the error of somebody's later TLS call.
  ERR_clear_error();
  if (!status.ok()) return status;
  return material;
}

}  // namespace gantry::kubernetes
