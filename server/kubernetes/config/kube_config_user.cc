// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/config/kube_config_user.h"

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "base/strings.h"

namespace gantry::kubernetes {
namespace {

constexpr char kExecExtension[] = "client.authentication.k8s.io/exec";
constexpr int kMaxExtensionNodes = 10'000;

// Extensions are free-form; the plugin is told them as JSON.
nlohmann::json ToJson(const YAML::Node& node, int& nodes_left) {
  if (--nodes_left < 0) return nullptr;
  if (node.IsSequence()) {
    nlohmann::json list = nlohmann::json::array();
    for (const YAML::Node& item : node) list.push_back(ToJson(item, nodes_left));
    return list;
  }
  if (node.IsMap()) {
    nlohmann::json object = nlohmann::json::object();
    for (const auto& field : node) object[field.first.Scalar()] = ToJson(field.second, nodes_left);
    return object;
  }
  if (!node.IsScalar()) return nullptr;
  // The tag "!" marks a quoted scalar: a text, whatever it looks like.
  if (node.Tag() == "!") return node.Scalar();
  nlohmann::json value = nlohmann::json::parse(node.Scalar(), nullptr, false);
  if (value.is_number() || value.is_boolean()) return value;
  return node.Scalar();
}

// What the plugin of the user is told of the cluster beyond its address.
std::string ExecExtension(const Entry& cluster) {
  const YAML::Node extensions = Child(cluster.node, "extensions");
  if (!extensions.IsDefined() || !extensions.IsSequence()) return "";
  for (const YAML::Node& item : extensions) {
    const YAML::Node name = Child(item, "name");
    const YAML::Node extension = Child(item, "extension");
    if (IsAbsent(name) || !name.IsScalar() || name.Scalar() != kExecExtension) continue;
    if (IsAbsent(extension)) return "";
    int nodes_left = kMaxExtensionNodes;
    return ToJson(extension, nodes_left)
        .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  return "";
}

void ReadVariables(const Entry& entry, FieldReader& fields, ExecPlugin& plugin) {
  const YAML::Node list = fields.Node("env");
  if (IsAbsent(list)) return;
  if (!list.IsSequence()) return fields.Fail("has an exec plugin whose env is not a list");
  for (const YAML::Node& item : list) {
    FieldReader variable(entry, item);
    plugin.environment.emplace_back(variable.Text("name"), variable.Text("value"));
    const std::string& name = plugin.environment.back().first;
    if (!variable.status().ok()) return fields.Fail(variable.status());
    if (name.empty() || name.find('=') != std::string::npos) {
      fields.Fail("has an exec plugin with an environment variable without a proper name");
    }
  }
}

absl::StatusOr<ExecPlugin> ReadExec(const Entry& entry, const YAML::Node& node) {
  FieldReader fields(entry, node);
  ExecPlugin plugin;
  plugin.api_version = fields.Text("apiVersion");
  plugin.command = fields.Text("command");
  // A bare name is looked up in PATH.
  if (plugin.command.find('/') != std::string::npos) {
    plugin.command = fields.Absolute(plugin.command);
  }
  plugin.arguments = fields.Texts("args");
  plugin.install_hint = fields.Text("installHint");
  plugin.provide_cluster_info = fields.Bool("provideClusterInfo");
  const std::string mode = fields.Text("interactiveMode");
  ReadVariables(entry, fields, plugin);
  constexpr std::string_view kVersions = "client.authentication.k8s.io/";
  const bool v1 = plugin.api_version == base::StrCat(kVersions, "v1");
  if (!v1 && plugin.api_version != base::StrCat(kVersions, "v1beta1")) {
    fields.Fail(base::StrCat("has an exec plugin of apiVersion ", Quoted(plugin.api_version),
                             "; supported are ", kVersions, "v1 and ", kVersions,
                             "v1beta1: upgrade the plugin's configuration"));
  }
  if (plugin.command.empty()) fields.Fail("has an exec plugin without a command");
  if (mode.empty() && v1) {
    fields.Fail("has an exec plugin without interactiveMode; set it to Never or IfAvailable");
  } else if (mode == "Always") {
    fields.Fail(
        "has an exec plugin with interactiveMode Always, which needs a terminal; a server has "
        "none: use credentials made for services");
  } else if (!mode.empty() && mode != "Never" && mode != "IfAvailable") {
    fields.Fail(
        "has an exec plugin with an unknown interactiveMode; set it to Never or IfAvailable");
  }
  if (!fields.status().ok()) return fields.status();
  return plugin;
}

void ReadImpersonation(const Entry& entry, FieldReader& fields, Impersonation& other) {
  other.user = fields.Text("as");
  other.uid = fields.Text("as-uid");
  other.groups = fields.Texts("as-groups");
  if (const YAML::Node extra = fields.Node("as-user-extra"); !IsAbsent(extra)) {
    if (!extra.IsMap()) return fields.Fail("has an as-user-extra that is not a map");
    FieldReader values(entry, extra);
    for (const auto& field : extra) {
      if (!field.first.IsScalar()) continue;
      for (std::string& value : values.Texts(field.first.Scalar().c_str())) {
        other.extra.emplace_back(field.first.Scalar(), std::move(value));
      }
    }
    if (!values.status().ok()) return fields.Fail(values.status());
  }
  if (other.user.empty() && !(other.uid.empty() && other.groups.empty() && other.extra.empty())) {
    fields.Fail("impersonates a uid, groups or extra fields without a user; set \"as\"");
  }
}

}  // namespace

absl::Status ReadUser(const Entry& entry, const Entry& cluster, ClusterConfig& config) {
  FieldReader fields(entry, entry.node);
  config.tls.certificate = {fields.Base64("client-certificate-data"),
                            fields.Path("client-certificate")};
  config.tls.key = {fields.Base64("client-key-data"), fields.Path("client-key")};
  config.token = fields.Text("token");
  config.token_file = fields.Path("tokenFile");
  config.username = fields.Text("username");
  config.password = fields.Text("password");
  ReadImpersonation(entry, fields, config.impersonation);
  if (const YAML::Node provider = fields.Node("auth-provider"); !IsAbsent(provider)) {
    FieldReader inner(entry, provider);
    fields.Fail(base::StrCat("uses the auth-provider ", Quoted(inner.Text("name")),
                             ", which is no longer supported; use an exec plugin, a token or a "
                             "client certificate"));
  }
  if (!config.tls.certificate.data.empty() && !config.tls.certificate.file.empty()) {
    fields.Fail("has both client-certificate and client-certificate-data; remove one");
  }
  if (!config.tls.key.data.empty() && !config.tls.key.file.empty()) {
    fields.Fail("has both client-key and client-key-data; remove one");
  }
  if (config.tls.certificate.empty() != config.tls.key.empty()) {
    fields.Fail(config.tls.key.empty() ? "has a client certificate without its client-key"
                                       : "has a client-key without its client certificate");
  }
  for (const char c : config.token) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c))) {
      fields.Fail("has a token with blanks or line breaks");
    }
  }
  const bool has_token = !config.token.empty() || !config.token_file.empty();
  const bool has_basic = !config.username.empty() || !config.password.empty();
  if (has_token && has_basic) {
    fields.Fail("has both a token and a username or password; remove one");
  }
  if (!fields.status().ok()) return fields.status();
  if (const YAML::Node exec = fields.Node("exec"); !IsAbsent(exec)) {
    absl::StatusOr<ExecPlugin> plugin = ReadExec(entry, exec);
    if (!plugin.ok()) return plugin.status();
    config.exec = *std::move(plugin);
    config.exec->cluster_extension_json = ExecExtension(cluster);
  }
  return absl::OkStatus();
}

}  // namespace gantry::kubernetes
