// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/config/exec_plugin.h"

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "base/strings.h"
#include "server/kubernetes/api/json_field.h"
#include "server/kubernetes/config/process.h"

namespace gantry::kubernetes {
namespace {

absl::StatusOr<nlohmann::json> ClusterInfo(const ClusterConfig& config) {
  nlohmann::json cluster = {{"server", config.server}};
  if (!config.tls.server_name.empty()) cluster["tls-server-name"] = config.tls.server_name;
  if (config.tls.insecure_skip_verify) cluster["insecure-skip-tls-verify"] = true;
  if (!config.proxy_url.empty()) cluster["proxy-url"] = config.proxy_url;
  if (!config.tls.ca.empty()) {
    const absl::StatusOr<std::string> ca = ReadDataOrFile(config.tls.ca, "certificate authority");
    if (!ca.ok()) return ca.status();
    cluster["certificate-authority-data"] = absl::Base64Escape(*ca);
  }
  if (!config.exec->cluster_extension_json.empty()) {
    cluster["config"] = nlohmann::json::parse(config.exec->cluster_extension_json, nullptr, false);
  }
  return cluster;
}

// The error says what is wrong with `output`.
absl::StatusOr<ExecCredential> Parse(const std::string& output, const std::string& api_version) {
  const nlohmann::json json = nlohmann::json::parse(output, nullptr, false);
  if (!json.is_object() || TextAt(json, "kind") != "ExecCredential") {
    return absl::FailedPreconditionError("did not print an ExecCredential in JSON");
  }
  if (TextAt(json, "apiVersion") != api_version) {
    return absl::FailedPreconditionError(
        base::StrCat("printed an ExecCredential of another apiVersion than ", api_version));
  }
  const auto status = json.find("status");
  if (status == json.end() || !status->is_object()) {
    return absl::FailedPreconditionError("printed an ExecCredential without a status");
  }
  ExecCredential credential;
  credential.token = TextAt(*status, "token");
  ClientCertificate pair{TextAt(*status, "clientCertificateData"),
                         TextAt(*status, "clientKeyData")};
  if (pair.certificate.empty() != pair.key.empty()) {
    return absl::FailedPreconditionError(
        "printed only one of clientCertificateData and clientKeyData");
  }
  if (credential.token.empty() && pair.certificate.empty()) {
    return absl::FailedPreconditionError("printed neither a token nor a client certificate");
  }
  if (!pair.certificate.empty()) {
    TlsFiles files;
    files.certificate.data = pair.certificate;
    files.key.data = pair.key;
    const absl::StatusOr<TlsMaterial> checked = ReadTlsFiles(files);
    if (!checked.ok()) {
      return absl::FailedPreconditionError(
          base::StrCat("printed a pair that cannot be used: ", checked.status().message()));
    }
    credential.certificate = std::move(pair);
  }
  for (const char c : credential.token) {
    if (c <= ' ' || c == 0x7f) {
      return absl::FailedPreconditionError("printed a token with blanks or line breaks");
    }
  }
  if (const std::string text = TextAt(*status, "expirationTimestamp"); !text.empty()) {
    absl::Time expiration;
    if (!absl::ParseTime(absl::RFC3339_full, text, &expiration, nullptr)) {
      return absl::FailedPreconditionError(
          "printed an expirationTimestamp that is not an RFC 3339 time");
    }
    credential.expiration = expiration;
  }
  return credential;
}

}  // namespace

absl::StatusOr<ExecCredential> RunExecPlugin(const ClusterConfig& config, absl::Duration timeout,
                                             base::Context& context) {
  const ExecPlugin& plugin = *config.exec;
  const std::string who =
      base::StrCat("the exec plugin ", plugin.command, " (", config.source, ")");
  nlohmann::json info = {{"kind", "ExecCredential"},
                         {"apiVersion", plugin.api_version},
                         {"spec", {{"interactive", false}}}};
  if (plugin.provide_cluster_info) {
    absl::StatusOr<nlohmann::json> cluster = ClusterInfo(config);
    if (!cluster.ok()) return cluster.status();
    info["spec"]["cluster"] = *std::move(cluster);
  }
  ProcessOptions options;
  options.command = plugin.command;
  options.arguments = plugin.arguments;
  options.environment = plugin.environment;
  options.environment.emplace_back(
      "KUBERNETES_EXEC_INFO", info.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));

  base::Context limited(context, timeout);
  const absl::StatusOr<ProcessResult> result = RunProcess(options, limited);
  if (!result.ok()) {
    std::string message = base::StrCat(who, " failed: ", result.status().message());
    if (absl::IsDeadlineExceeded(result.status()) && context.Check().ok()) {
      base::StrAppend(&message, "; it took longer than ", absl::FormatDuration(timeout));
    }
    if (absl::IsNotFound(result.status()) && !plugin.install_hint.empty()) {
      base::StrAppend(&message, "; ", plugin.install_hint);
    }
    return absl::Status(result.status().code(), message);
  }
  if (result->exit_code != 0) {
    return absl::FailedPreconditionError(
        base::StrCat(who, " exited with code ", result->exit_code,
                     "; what it said is in this process's standard error"));
  }
  absl::StatusOr<ExecCredential> credential = Parse(result->output, plugin.api_version);
  if (!credential.ok()) {
    return absl::Status(credential.status().code(),
                        base::StrCat(who, " ", credential.status().message()));
  }
  return credential;
}

}  // namespace gantry::kubernetes
