// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/transport.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/gantryctl/text.h"

namespace gantry::gantryctl {
namespace {

constexpr std::size_t kMaxTlsFileBytes = 4 << 20;  // the system's authorities take 200 KiB
constexpr std::size_t kMaxTokenBytes = 64 << 10;

struct PemFreed {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

// Gives no passphrase; OpenSSL's own callback would ask on the terminal.
int NoPassphrase(char*, int, int, void*) { return -1; }

std::unique_ptr<BIO, PemFreed> Reader(const std::string& pem) {
  return std::unique_ptr<BIO, PemFreed>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

std::unique_ptr<X509, PemFreed> FirstCertificate(const std::string& pem) {
  const auto reader = Reader(pem);
  return std::unique_ptr<X509, PemFreed>(
      reader ? PEM_read_bio_X509(reader.get(), nullptr, NoPassphrase, nullptr) : nullptr);
}

absl::StatusOr<std::string> Content(const std::string& flag, const std::string& file,
                                    std::size_t limit, const std::string& expected,
                                    const ReadFile& read) {
  absl::StatusOr<std::string> content = read(file, limit);
  if (!content.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        flag, " ", Printable(file), " cannot be read: ", std::string(content.status().message()),
        "; expected ", expected));
  }
  if (content->size() > limit) {
    return absl::InvalidArgumentError(absl::StrCat(flag, " ", Printable(file), " has more than ",
                                                   limit, " bytes; expected ", expected));
  }
  return content;
}

absl::Status Wrong(const std::string& flag, const std::string& file, const std::string& found,
                   const std::string& expected) {
  return absl::InvalidArgumentError(
      absl::StrCat(flag, " ", Printable(file), " holds ", found, "; expected ", expected));
}

constexpr char kCaExpected[] = "the certificates of certificate authorities, in PEM";
constexpr char kCertExpected[] = "a certificate in PEM, with its chain behind it";
constexpr char kKeyExpected[] =
    "the private key of the certificate of --cert-file, in PEM and without a passphrase";
constexpr char kTokenExpected[] = "a bearer token, which is printable ASCII without blanks";

// What gave the flag its value, as usage errors name it.
std::string Source(const ServiceFlags& flags, const std::string& flag) {
  const auto found = flags.sources.find(flag);
  return found == flags.sources.end() ? flag : found->second;
}

absl::Status CheckPair(const ServiceFlags& flags, const TlsMaterial& material) {
  const auto certificate = FirstCertificate(material.certificate);
  if (!certificate) {
    return Wrong(Source(flags, "--cert-file"), flags.cert_file, "no PEM certificate",
                 kCertExpected);
  }
  const auto reader = Reader(material.key);
  const std::unique_ptr<EVP_PKEY, PemFreed> key(
      reader ? PEM_read_bio_PrivateKey(reader.get(), nullptr, NoPassphrase, nullptr) : nullptr);
  if (!key) {
    return Wrong(Source(flags, "--key-file"), flags.key_file, "no PEM private key that can be read",
                 kKeyExpected);
  }
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return Wrong(Source(flags, "--key-file"), flags.key_file,
                 absl::StrCat("a private key that does not belong to the certificate in ",
                              Printable(flags.cert_file)),
                 kKeyExpected);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TlsMaterial> ReadTlsMaterial(const ServiceFlags& flags, const ReadFile& read) {
  TlsMaterial material;
  const struct {
    const char* flag;
    const std::string& file;
    const char* expected;
    std::string& content;
  } files[] = {{"--ca-file", flags.ca_file, kCaExpected, material.ca},
               {"--cert-file", flags.cert_file, kCertExpected, material.certificate},
               {"--key-file", flags.key_file, kKeyExpected, material.key}};
  for (const auto& [flag, file, expected, content] : files) {
    if (file.empty()) continue;
    absl::StatusOr<std::string> found =
        Content(Source(flags, flag), file, kMaxTlsFileBytes, expected, read);
    if (!found.ok()) return found.status();
    content = *std::move(found);
  }

  absl::Status status;
  if (!flags.ca_file.empty() && !FirstCertificate(material.ca)) {
    status = Wrong(Source(flags, "--ca-file"), flags.ca_file, "no PEM certificate", kCaExpected);
  } else if (!flags.cert_file.empty()) {
    status = CheckPair(flags, material);
  }
  // What failed above must not be taken for the error of a later TLS call.
  ERR_clear_error();
  if (!status.ok()) return status;
  return material;
}

absl::StatusOr<std::string> ReadToken(const ServiceFlags& flags, const ReadFile& read) {
  if (flags.token_file.empty()) return flags.token;
  const absl::StatusOr<std::string> content = Content(
      Source(flags, "--token-file"), flags.token_file, kMaxTokenBytes, kTokenExpected, read);
  if (!content.ok()) return content.status();
  std::string token(absl::StripAsciiWhitespace(*content));
  if (token.empty()) {
    return Wrong(Source(flags, "--token-file"), flags.token_file, "nothing", kTokenExpected);
  }
  for (const unsigned char c : token) {
    if (c <= ' ' || c >= 0x7f) {
      return Wrong(Source(flags, "--token-file"), flags.token_file,
                   "blanks, line ends or other characters inside of the token", kTokenExpected);
    }
  }
  return token;
}

absl::StatusOr<client::ChannelOptions> MakeChannelOptions(const ServiceFlags& flags,
                                                          const ReadFile& read) {
  client::ChannelOptions options;
  // The commands tell of each failure and repeat the call themselves.
  options.retries = false;
  if (!flags.plaintext) {
    absl::StatusOr<TlsMaterial> material = ReadTlsMaterial(flags, read);
    if (!material.ok()) return material.status();
    grpc::SslCredentialsOptions tls;
    tls.pem_root_certs = std::move(material->ca);
    tls.pem_cert_chain = std::move(material->certificate);
    tls.pem_private_key = std::move(material->key);
    options.channel_credentials = grpc::SslCredentials(tls);
  }
  if (!flags.token.empty() || !flags.token_file.empty()) {
    const absl::StatusOr<std::string> token = ReadToken(flags, read);
    if (!token.ok()) return token.status();
    options.token = [flags, read] { return ReadToken(flags, read); };
  }
  return options;
}

std::optional<absl::Time> ExpiryOfToken(const std::string& token) {
  const std::vector<std::string> parts = absl::StrSplit(token, '.');
  std::string claims;
  if (parts.size() != 3 || !absl::WebSafeBase64Unescape(parts[1], &claims)) return std::nullopt;
  // A first pass that builds nothing: a document nested without end would be followed on the stack.
  const nlohmann::json json = nlohmann::json::parse(
      claims,
      [](int depth, nlohmann::json::parse_event_t, const nlohmann::json&) { return depth < 2; },
      false);
  if (!json.is_object()) return std::nullopt;
  const auto exp = json.find("exp");
  if (exp == json.end() || !exp->is_number()) return std::nullopt;
  const double seconds = exp->get<double>();
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 253402300799.0) return std::nullopt;
  return absl::FromUnixSeconds(static_cast<std::int64_t>(seconds));
}

}  // namespace gantry::gantryctl
