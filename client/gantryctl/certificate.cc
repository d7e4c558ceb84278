// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/certificate.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <ctime>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "base/text.h"
#include "client/gantryctl/owned.h"
#include "client/gantryctl/text.h"

namespace gantry::gantryctl {
namespace {

std::string TimeOf(const ASN1_TIME* time) {
  tm utc{};
  if (ASN1_TIME_to_tm(time, &utc) != 1) return "an unknown time";
  return base::UtcTime(absl::FromTM(utc, absl::UTCTimeZone()));
}

std::string NameOf(X509_NAME* name) {
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  if (!bio || X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253) < 0) return "an unknown name";
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &bytes);
  const std::string text(bytes, static_cast<std::size_t>(std::max(size, 0L)));
  return text.empty() ? "nobody" : CutTo(OneLine(text), 100);
}

// The names that the certificate is for.
std::string NamesOf(X509* certificate) {
  const Owned<GENERAL_NAMES> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::vector<std::string> texts;
  for (int i = 0; i < (names ? sk_GENERAL_NAME_num(names.get()) : 0) && texts.size() < 10; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) {
      texts.push_back(
          OneLine(std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                              static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)))));
    } else if (name->type == GEN_IPADD) {
      char text[INET6_ADDRSTRLEN] = "";
      const int family = ASN1_STRING_length(name->d.iPAddress) == 4 ? AF_INET : AF_INET6;
      if (family == AF_INET || ASN1_STRING_length(name->d.iPAddress) == 16) {
        inet_ntop(family, ASN1_STRING_get0_data(name->d.iPAddress), text, sizeof text);
      }
      texts.emplace_back(text);
    }
  }
  return texts.empty() ? "no name at all" : absl::StrJoin(texts, ", ");
}

}  // namespace

std::string CertificateProblem(long error, X509* certificate, const std::string& host,
                               bool own_ca) {
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return absl::StrCat("has expired at ", TimeOf(X509_get0_notAfter(certificate)));
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return absl::StrCat("is not valid before ", TimeOf(X509_get0_notBefore(certificate)));
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return absl::StrCat("is for ", NamesOf(certificate), ", and not for ", host);
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return absl::StrCat("is from ", NameOf(X509_get_issuer_name(certificate)), ", which is none ",
                          own_ca ? "of the certificate authorities in --ca-file"
                                 : "of the system's certificate authorities");
    default:
      return absl::StrCat("cannot be verified: ", X509_verify_cert_error_string(error));
  }
}

}  // namespace gantry::gantryctl
