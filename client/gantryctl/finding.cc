// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/finding.h"

#include "absl/strings/str_cat.h"

namespace gantry::gantryctl {

// Longer than 60 lines because it is a table of texts, one for each kind of finding.
std::string RenderFinding(const Finding& finding, const ServiceFlags& flags) {
  const std::string& address = flags.server;
  const bool has_credentials = !flags.token.empty() || !flags.token_file.empty() ||
                               !flags.cert_file.empty() || !flags.ca_file.empty();
  switch (finding.kind) {
    case Finding::Kind::kUnclear:
      return "";
    case Finding::Kind::kUnknownHost:
      return absl::StrCat("The host of ", address, " has no address (", finding.detail,
                          "); check its name in --server or GANTRY_SERVER.\n");
    case Finding::Kind::kRefused:
      return absl::StrCat("Nobody listens at ", address,
                          "; start gantry-server there, or name the address of one that runs (its "
                          "--listen) with --server or GANTRY_SERVER.\n");
    case Finding::Kind::kNoAnswer:
      return absl::StrCat("Nothing comes back from ", address,
                          "; check the address in --server or GANTRY_SERVER, and whether a "
                          "firewall or a network policy is in between.\n");
    case Finding::Kind::kHttp1:
      return absl::StrCat(address,
                          " answers HTTP/1: that looks like the admin listener of gantry-server "
                          "(its --admin-listen), or another web server. gRPC is at --listen, port "
                          "50051 unless told otherwise.\n");
    case Finding::Kind::kPlaintext:
      if (flags.plaintext) return "";
      if (!has_credentials) {
        return absl::StrCat(address,
                            " speaks plain text and was called with TLS; add --plaintext, or set "
                            "GANTRY_PLAINTEXT=true, if it should be so.\n");
      }
      return absl::StrCat(address,
                          " speaks plain text and was called with TLS, because a token, a "
                          "certificate or a CA is given; remove these (their GANTRY_ variables, "
                          "too), or name an address that has TLS.\n");
    case Finding::Kind::kClosed:
      return absl::StrCat(
          address, " takes the connection and closes it before gRPC comes about; ",
          flags.plaintext ? "it may expect TLS: use --ca-file with the certificate authority of "
                            "the service, or --plaintext=false. "
                          : "it may expect plain text (--plaintext), or a certificate of its "
                            "callers (--cert-file and --key-file). ",
          "Check also that it is gantry-server's --listen, and no proxy that has no service "
          "behind it.\n");
    case Finding::Kind::kNoHttp2:
      return absl::StrCat(address,
                          " speaks TLS but not gRPC (no HTTP/2): probably the Kubernetes API "
                          "server, a web server or a proxy without HTTP/2; gRPC is at "
                          "gantry-server's --listen.\n");
    case Finding::Kind::kTls:
      if (flags.plaintext) {
        return absl::StrCat(address,
                            " speaks TLS and was called in plain text; use --plaintext=false, or "
                            "--ca-file with the certificate authority of the service.\n");
      }
      if (flags.cert_file.empty()) {
        return absl::StrCat(address,
                            " speaks TLS and its certificate is in order; if it asks its callers "
                            "for a certificate, give one with --cert-file and --key-file.\n");
      }
      return absl::StrCat(address,
                          " speaks TLS and its certificate is in order; it may not accept the "
                          "certificate of --cert-file. Check that this is from an authority that "
                          "the service trusts, and has not expired.\n");
    case Finding::Kind::kBadCertificate:
      if (flags.plaintext) {
        return absl::StrCat(address,
                            " speaks TLS and was called in plain text; use --ca-file with the "
                            "certificate authority of the service, or --plaintext=false.\n");
      }
      return absl::StrCat("The certificate of ", address, " ", finding.detail,
                          ". Check the address in --server, and --ca-file, which names the "
                          "certificate authority of the service.\n");
  }
  return "";
}

}  // namespace gantry::gantryctl
