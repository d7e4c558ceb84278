// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/flag_checks.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/gantryctl/flags.h"
#include "gantry/client/connection.h"

namespace gantry::gantryctl {
namespace {

// How a flag was given: "--token", "GANTRY_TOKEN", or not at all.
class Sources {
 public:
  explicit Sources(const Given& given) : given_(given) {}

  std::string Where(const std::string& name) const {
    const auto found = given_.find(name);
    return found == given_.end() ? "" : found->second;
  }
  bool ByFlag(const std::string& name) const { return Where(name) == name; }
  bool IsGiven(const std::string& name) const { return !Where(name).empty(); }

 private:
  const Given& given_;
};

// A token, or a file that holds it; a certificate with its key.
void CheckCredentials(ServiceFlags& flags, const Sources& sources, UsageErrors& usage_errors) {
  if (sources.IsGiven("--token") && sources.IsGiven("--token-file")) {
    if (sources.ByFlag("--token") == sources.ByFlag("--token-file")) {
      usage_errors.push_back(absl::StrCat(sources.Where("--token"), " and ",
                                          sources.Where("--token-file"),
                                          " are both given; expected one of them."));
    } else if (sources.ByFlag("--token")) {
      flags.token_file.clear();
    } else {
      flags.token.clear();
    }
  }
  if (sources.IsGiven("--cert-file") != sources.IsGiven("--key-file")) {
    const bool certificate = sources.IsGiven("--cert-file");
    usage_errors.push_back(absl::StrCat(
        sources.Where(certificate ? "--cert-file" : "--key-file"), " is given without ",
        certificate ? "--key-file" : "--cert-file",
        "; expected both, the certificate that tells who calls and its private key, or neither."));
  }
}

// Whether plain text is asked for, and nothing that wins over it is for TLS.
bool AsksForPlaintext(ServiceFlags& flags, const Sources& sources, UsageErrors& usage_errors) {
  bool asked_for_plaintext = sources.IsGiven("--plaintext") && flags.plaintext;
  for (const auto& [name, file] : {std::make_pair("--ca-file", &flags.ca_file),
                                   std::make_pair("--cert-file", &flags.cert_file),
                                   std::make_pair("--key-file", &flags.key_file)}) {
    if (!sources.IsGiven(name) || !asked_for_plaintext) continue;
    if (sources.ByFlag(name) == sources.ByFlag("--plaintext")) {
      usage_errors.push_back(absl::StrCat(sources.Where(name), " is for TLS, and ",
                                          sources.Where("--plaintext"),
                                          " asks for none; expected one of the two."));
    } else if (sources.ByFlag(name)) {
      asked_for_plaintext = false;
    } else {
      file->clear();
    }
  }
  return asked_for_plaintext;
}

}  // namespace

void CheckService(ServiceFlags& flags, const Given& given, UsageErrors& usage_errors) {
  flags.sources = given;
  const Sources sources(given);
  CheckCredentials(flags, sources, usage_errors);
  const bool asked_for_tls = sources.IsGiven("--plaintext") && !flags.plaintext;
  const bool asked_for_plaintext = AsksForPlaintext(flags, sources, usage_errors);
  const bool has_token = !flags.token.empty() || !flags.token_file.empty();
  const bool is_local = client::IsLoopback(flags.server);
  const bool has_tls =
      has_token || !flags.ca_file.empty() || !flags.cert_file.empty() || !flags.key_file.empty();
  flags.plaintext = asked_for_plaintext || (is_local && !has_tls && !asked_for_tls);
  if (flags.plaintext && has_token && !is_local && !flags.server.empty()) {
    usage_errors.push_back(absl::StrCat(
        "A token is not sent to ", flags.server,
        " in plain text, where others could read it; remove ", sources.Where("--plaintext"), " or ",
        flags.token.empty() ? sources.Where("--token-file") : sources.Where("--token"),
        ", or name an address on this machine, such as 127.0.0.1:50051."));
  }
}

void CheckFlags(const RunStepFlags& flags, UsageErrors& usage_errors) {
  if (flags.file.empty() && usage_errors.empty()) {
    usage_errors.push_back(
        "The step file is missing; expected its name, or - to read the step from standard input.");
  }
}
void CheckFlags(const HealthFlags& flags, UsageErrors& usage_errors) {
  if (flags.wait_for != v1::HEALTH_STATE_UNSPECIFIED && flags.stage.empty() &&
      usage_errors.empty()) {
    usage_errors.push_back(
        "--wait-for is about one Stage, and none is given; expected PROJECT/STAGE, such as "
        "shop/prod.");
  }
}
void CheckFlags(const StepsFlags&, UsageErrors&) {}
void CheckFlags(const ReportPromotionFlags&, UsageErrors&) {}
void CheckFlags(const ReportIndicatorFlags& flags, UsageErrors& usage_errors) {
  const bool says = flags.state != v1::HEALTH_STATE_UNSPECIFIED;
  if (flags.remove && (says || !flags.message.empty() || flags.ttl)) {
    usage_errors.push_back(
        "--remove is given together with --state, --message or --ttl; expected either what the "
        "indicator says, or --remove.");
  } else if (!flags.remove && !says && usage_errors.empty()) {
    usage_errors.push_back(absl::StrCat("--state is missing; expected --state ", kStates,
                                        ", or --remove to remove the indicator."));
  }
}

}  // namespace gantry::gantryctl
