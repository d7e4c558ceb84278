// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/config/kube_config.h"

#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/strings.h"
#include "server/kubernetes/config/file.h"
#include "server/kubernetes/config/proxy.h"
#include "server/kubernetes/config/server_url.h"

namespace gantry::kubernetes {
namespace {

constexpr char kExecExtension[] = "client.authentication.k8s.io/exec";
constexpr int kMaxExtensionNodes = 10'000;

std::string Quoted(std::string_view text) {
  return base::StrCat("\"", absl::CEscape(base::ToAbsl(text)), "\"");
}

// A named cluster, user or context, and the file that has it.
struct Entry {
  std::string kind;  // "cluster", ...
  std::string name;
  YAML::Node node;
  std::string file;

  std::string Describe() const {
    return base::StrCat("the ", kind, " ", Quoted(name), " in ", file);
  }
};

using Entries = std::map<std::string, Entry>;

// Several files, merged.
struct Merged {
  Entries clusters;
  Entries users;
  Entries contexts;
  std::string current_context;
  std::string current_context_file;
  std::vector<std::string> files;  // those that are there

  bool empty() const {
    return clusters.empty() && users.empty() && contexts.empty() && current_context.empty();
  }
};

bool IsAbsent(const YAML::Node& node) { return !node.IsDefined() || node.IsNull(); }

// Never the library's invalid node, which throws at each use.
YAML::Node Child(const YAML::Node& map, const char* key) {
  if (map.IsMap()) {
    // The constant operator[] does not add what is missing.
    const YAML::Node value = map[key];
    if (value.IsDefined()) return value;
  }
  return YAML::Node(YAML::NodeType::Undefined);
}

// Reads the fields of an entry and keeps the first error, so that the caller asks once, at the
// end.
class FieldReader {
 public:
  FieldReader(const Entry& entry, const YAML::Node& node) : entry_(entry), node_(node) {}

  std::string Text(const char* key) {
    const YAML::Node value = Child(node_, key);
    if (IsAbsent(value)) return "";
    if (!value.IsScalar()) {
      Fail(base::StrCat("has a ", key, " that is not a text"));
      return "";
    }
    return value.Scalar();
  }

  bool Bool(const char* key) {
    const std::string text = Text(key);
    if (text.empty() || text == "false") return false;
    if (text != "true") Fail(base::StrCat("has a ", key, " that is neither true nor false"));
    return text == "true";
  }

  // Relative paths are relative to the file's folder.
  std::string Path(const char* key) { return Absolute(Text(key)); }

  std::string Absolute(const std::string& path) const {
    if (path.empty() || path.front() == '/') return path;
    return (std::filesystem::path(entry_.file).parent_path() / path).lexically_normal().string();
  }

  std::string Base64(const char* key) {
    const std::string text = Text(key);
    std::string data;
    if (!absl::Base64Unescape(text, &data)) {
      Fail(base::StrCat("has a ", key, " that is not base64"));
    }
    return data;
  }

  std::vector<std::string> Texts(const char* key) {
    std::vector<std::string> texts;
    const YAML::Node list = Child(node_, key);
    if (IsAbsent(list)) return texts;
    if (!list.IsSequence()) {
      Fail(base::StrCat("has ", key, " that are not a list"));
      return texts;
    }
    for (const YAML::Node& item : list) {
      if (item.IsScalar()) {
        texts.push_back(item.Scalar());
      } else {
        Fail(base::StrCat("has ", key, " that are not texts"));
      }
    }
    return texts;
  }

  YAML::Node Node(const char* key) const { return Child(node_, key); }

  void Fail(std::string_view what) {
    if (status_.ok()) {
      status_ = absl::InvalidArgumentError(base::StrCat(entry_.Describe(), " ", what));
    }
  }
  const absl::Status& status() const { return status_; }

 private:
  const Entry& entry_;
  const YAML::Node node_;
  absl::Status status_;
};

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

absl::Status AddEntries(const YAML::Node& root, const char* list_key, const std::string& kind,
                        const std::string& file, Entries& entries) {
  const YAML::Node list = Child(root, list_key);
  if (IsAbsent(list)) return absl::OkStatus();
  const auto malformed = [&](std::string_view what) {
    return absl::InvalidArgumentError(base::StrCat(file, ": ", list_key, " ", what));
  };
  if (!list.IsSequence()) return malformed("is not a list");
  std::set<std::string> seen;
  for (const YAML::Node& item : list) {
    const YAML::Node name = Child(item, "name");
    if (IsAbsent(name) || !name.IsScalar() || name.Scalar().empty()) {
      return malformed("has an item without a name");
    }
    if (!seen.insert(name.Scalar()).second) {
      return malformed(base::StrCat("has two items named ", Quoted(name.Scalar())));
    }
    const YAML::Node value = Child(item, kind.c_str());
    if (!IsAbsent(value) && !value.IsMap()) {
      return malformed(
          base::StrCat("has the item ", Quoted(name.Scalar()), ", whose ", kind, " is not a map"));
    }
    entries.try_emplace(name.Scalar(), Entry{kind, name.Scalar(), value, file});
  }
  return absl::OkStatus();
}

absl::Status AddFile(const std::string& file, const std::string& content, Merged& merged) {
  YAML::Node root;
  try {
    root = YAML::Load(content);
  } catch (const YAML::Exception& error) {
    // The exception's own text may quote the file, secrets included.
    return absl::InvalidArgumentError(base::StrCat(file, " is not YAML: line ", error.mark.line + 1,
                                                   ", column ", error.mark.column + 1,
                                                   " cannot be read"));
  }
  merged.files.push_back(file);
  if (IsAbsent(root)) return absl::OkStatus();
  if (!root.IsMap()) {
    return absl::InvalidArgumentError(base::StrCat(file, " is not a kubeconfig: not a map"));
  }
  const YAML::Node kind = Child(root, "kind");
  if (!IsAbsent(kind) &&
      !(kind.IsScalar() && (kind.Scalar() == "Config" || kind.Scalar().empty()))) {
    return absl::InvalidArgumentError(
        base::StrCat(file, " is not a kubeconfig: its kind is not Config"));
  }
  if (absl::Status status = AddEntries(root, "clusters", "cluster", file, merged.clusters);
      !status.ok()) {
    return status;
  }
  if (absl::Status status = AddEntries(root, "users", "user", file, merged.users); !status.ok()) {
    return status;
  }
  if (absl::Status status = AddEntries(root, "contexts", "context", file, merged.contexts);
      !status.ok()) {
    return status;
  }
  const YAML::Node current = Child(root, "current-context");
  if (merged.current_context.empty() && !IsAbsent(current) && current.IsScalar() &&
      !current.Scalar().empty()) {
    merged.current_context = current.Scalar();
    merged.current_context_file = file;
  }
  return absl::OkStatus();
}

std::string Names(const Entries& entries) {
  if (entries.empty()) return "none";
  return absl::StrJoin(entries, ", ", [](std::string* out, const auto& entry) {
    base::StrAppend(out, Quoted(entry.first));
  });
}

absl::Status NoSuchEntry(const std::string& reference, const std::string& kind,
                         const std::string& name, const Entries& entries,
                         const std::vector<std::string>& files) {
  return absl::NotFoundError(base::StrCat(reference, " names the ", kind, " ", Quoted(name),
                                          ", which is not in ", absl::StrJoin(files, ", "),
                                          "; there are: ", Names(entries)));
}

absl::Status ReadCluster(const Entry& entry, const Environment& environment,
                         ClusterConfig& config) {
  FieldReader fields(entry, entry.node);
  const std::string server = fields.Text("server");
  config.tls.ca = {fields.Base64("certificate-authority-data"),
                   fields.Path("certificate-authority")};
  config.tls.server_name = fields.Text("tls-server-name");
  config.tls.insecure_skip_verify = fields.Bool("insecure-skip-tls-verify");
  const std::string proxy = fields.Text("proxy-url");
  if (!config.tls.ca.data.empty() && !config.tls.ca.file.empty()) {
    fields.Fail("has both certificate-authority and certificate-authority-data; remove one");
  }
  if (config.tls.insecure_skip_verify && !config.tls.ca.empty()) {
    fields.Fail(
        "has insecure-skip-tls-verify and a certificate authority, which contradict each other; "
        "remove insecure-skip-tls-verify");
  }
  if (server.empty()) fields.Fail("has no server; set it to the API server's URL");
  if (!fields.status().ok()) return fields.status();

  const absl::StatusOr<ServerUrl> url = ParseServerUrl(server);
  if (!url.ok()) {
    return absl::InvalidArgumentError(base::StrCat(entry.Describe(), ": ", url.status().message()));
  }
  config.server = base::StrCat(url->Origin(), url->path);
  absl::StatusOr<std::string> checked =
      proxy.empty() ? ProxyFromEnvironment(*url, environment)
                    : CheckProxyUrl(proxy, base::StrCat("proxy-url of ", entry.Describe()));
  if (!checked.ok()) return checked.status();
  config.proxy_url = *std::move(checked);
  return absl::OkStatus();
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
  if (const YAML::Node list = fields.Node("env"); !IsAbsent(list)) {
    if (!list.IsSequence()) {
      fields.Fail("has an exec plugin whose env is not a list");
      return fields.status();
    }
    for (const YAML::Node& item : list) {
      FieldReader variable(entry, item);
      plugin.environment.emplace_back(variable.Text("name"), variable.Text("value"));
      const std::string& name = plugin.environment.back().first;
      if (!variable.status().ok()) return variable.status();
      if (name.empty() || name.find('=') != std::string::npos) {
        fields.Fail("has an exec plugin with an environment variable without a proper name");
      }
    }
  }
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

absl::Status ReadUser(const Entry& entry, const Entry& cluster, ClusterConfig& config) {
  FieldReader fields(entry, entry.node);
  config.tls.certificate = {fields.Base64("client-certificate-data"),
                            fields.Path("client-certificate")};
  config.tls.key = {fields.Base64("client-key-data"), fields.Path("client-key")};
  config.token = fields.Text("token");
  config.token_file = fields.Path("tokenFile");
  config.username = fields.Text("username");
  config.password = fields.Text("password");
  config.impersonation.user = fields.Text("as");
  config.impersonation.uid = fields.Text("as-uid");
  config.impersonation.groups = fields.Texts("as-groups");
  if (const YAML::Node extra = fields.Node("as-user-extra"); !IsAbsent(extra)) {
    if (!extra.IsMap()) {
      fields.Fail("has an as-user-extra that is not a map");
      return fields.status();
    }
    FieldReader values(entry, extra);
    for (const auto& field : extra) {
      if (!field.first.IsScalar()) continue;
      for (std::string& value : values.Texts(field.first.Scalar().c_str())) {
        config.impersonation.extra.emplace_back(field.first.Scalar(), std::move(value));
      }
    }
    if (!values.status().ok()) return values.status();
  }

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
  const Impersonation& other = config.impersonation;
  if (other.user.empty() && !(other.uid.empty() && other.groups.empty() && other.extra.empty())) {
    fields.Fail("impersonates a uid, groups or extra fields without a user; set \"as\"");
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

// Files that cannot be used are told at once, not with the first call.
absl::Status CheckTls(const std::string& where, const ClusterConfig& config) {
  const absl::StatusOr<TlsMaterial> material = ReadTlsFiles(config.tls);
  if (material.ok()) return absl::OkStatus();
  return absl::Status(material.status().code(),
                      base::StrCat(where, ": ", material.status().message()));
}

absl::StatusOr<ClusterConfig> Select(const Merged& merged, const std::string& wanted,
                                     const Environment& environment) {
  const std::string files = absl::StrJoin(merged.files, ", ");
  const std::string& name = wanted.empty() ? merged.current_context : wanted;
  if (name.empty()) {
    return absl::InvalidArgumentError(
        base::StrCat(files,
                     " has no current-context; choose one with --context, or with "
                     "\"kubectl config use-context\"; there are: ",
                     Names(merged.contexts)));
  }
  const auto context = merged.contexts.find(name);
  if (context == merged.contexts.end()) {
    const std::string reference =
        wanted.empty() ? base::StrCat("current-context of ", merged.current_context_file)
                       : std::string("--context");
    return NoSuchEntry(reference, "context", name, merged.contexts, merged.files);
  }
  const Entry& entry = context->second;
  FieldReader fields(entry, entry.node);
  const std::string cluster_name = fields.Text("cluster");
  const std::string user_name = fields.Text("user");
  ClusterConfig config;
  config.ns = fields.Text("namespace");
  if (config.ns.empty()) config.ns = "default";
  config.source = base::StrCat("context ", Quoted(name), " of ", entry.file);
  if (cluster_name.empty()) fields.Fail("has no cluster; set it");
  if (!fields.status().ok()) return fields.status();

  const auto cluster = merged.clusters.find(cluster_name);
  if (cluster == merged.clusters.end()) {
    return NoSuchEntry(entry.Describe(), "cluster", cluster_name, merged.clusters, merged.files);
  }
  if (absl::Status status = ReadCluster(cluster->second, environment, config); !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckTls(cluster->second.Describe(), config); !status.ok()) {
    return status;
  }
  // Without a user the server is asked anonymously, as kubectl does.
  if (user_name.empty()) return config;
  const auto user = merged.users.find(user_name);
  if (user == merged.users.end()) {
    return NoSuchEntry(entry.Describe(), "user", user_name, merged.users, merged.files);
  }
  if (absl::Status status = ReadUser(user->second, cluster->second, config); !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckTls(user->second.Describe(), config); !status.ok()) return status;
  return config;
}

absl::StatusOr<ClusterConfig> LoadInCluster(const std::string& host, const std::string& port,
                                            const Environment& environment) {
  const std::string& folder = environment.service_account_folder;
  ClusterConfig config;
  config.source = base::StrCat("the pod's service account in ", folder);
  const bool is_v6 = host.find(':') != std::string::npos && host.front() != '[';
  const std::string server =
      base::StrCat("https://", is_v6 ? base::StrCat("[", host, "]") : host, ":", port);
  const absl::StatusOr<ServerUrl> url = ParseServerUrl(server);
  if (!url.ok()) {
    return absl::InvalidArgumentError(base::StrCat(
        "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT: ", url.status().message()));
  }
  config.server = url->Origin();
  config.tls.ca.file = base::StrCat(folder, "/ca.crt");
  config.token_file = base::StrCat(folder, "/token");
  if (absl::StatusOr<std::string> token = ReadFile(config.token_file); !token.ok()) {
    return absl::FailedPreconditionError(
        base::StrCat("this pod has no service account token: ", token.status().message(),
                     "; set automountServiceAccountToken, or give --kubeconfig"));
  }
  if (absl::Status status = CheckTls(config.source, config); !status.ok()) return status;
  config.ns = PodNamespace(environment);
  if (config.ns.empty()) config.ns = "default";
  absl::StatusOr<std::string> proxy = ProxyFromEnvironment(*url, environment);
  if (!proxy.ok()) return proxy.status();
  config.proxy_url = *std::move(proxy);
  return config;
}

std::string VariableOr(const Environment& environment, const std::string& name) {
  return environment.get_variable(name).value_or("");
}

}  // namespace

Environment ProcessEnvironment() {
  Environment environment;
  environment.get_variable = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
  return environment;
}

absl::StatusOr<ClusterConfig> LoadClusterConfig(const KubeConfigSelection& selection,
                                                const Environment& environment) {
  std::vector<std::string> candidates;
  const std::string listed = VariableOr(environment, "KUBECONFIG");
  if (!selection.path.empty()) {
    candidates = {selection.path};
  } else if (!listed.empty()) {
    candidates = absl::StrSplit(listed, ':', absl::SkipEmpty());
  } else if (const std::string home = VariableOr(environment, "HOME"); !home.empty()) {
    candidates = {base::StrCat(home, "/.kube/config")};
  }

  Merged merged;
  for (const std::string& candidate : candidates) {
    std::error_code ignored;
    const std::string file = std::filesystem::absolute(candidate, ignored).string();
    const absl::StatusOr<std::string> content = ReadFile(file);
    if (!content.ok()) {
      if (absl::IsNotFound(content.status()) && selection.path.empty()) continue;
      return absl::Status(
          content.status().code(),
          base::StrCat(selection.path.empty() ? "the kubeconfig of the environment: "
                                              : "the kubeconfig given with --kubeconfig: ",
                       content.status().message()));
    }
    absl::Status status;
    try {
      status = AddFile(file, *content, merged);
    } catch (const YAML::Exception&) {
      status = absl::InvalidArgumentError(base::StrCat(file, " is not a kubeconfig"));
    }
    if (!status.ok()) return status;
  }

  if (!merged.empty()) {
    try {
      return Select(merged, selection.context, environment);
    } catch (const YAML::Exception&) {
      return absl::InvalidArgumentError(
          base::StrCat(absl::StrJoin(merged.files, ", "), " is not a kubeconfig"));
    }
  }
  const std::string searched = candidates.empty() ? "neither KUBECONFIG nor HOME is set"
                                                  : base::StrCat("nothing is configured in ",
                                                                 absl::StrJoin(candidates, ", "));
  if (!selection.path.empty()) {
    return absl::InvalidArgumentError(
        base::StrCat(selection.path, " is an empty kubeconfig: it has no clusters and contexts"));
  }
  if (!selection.context.empty()) {
    return absl::NotFoundError(base::StrCat("there is no context ", Quoted(selection.context), ": ",
                                            searched, "; give --kubeconfig"));
  }
  const std::string host = VariableOr(environment, "KUBERNETES_SERVICE_HOST");
  const std::string port = VariableOr(environment, "KUBERNETES_SERVICE_PORT");
  if (host.empty() || port.empty()) {
    return absl::NotFoundError(
        base::StrCat("no Kubernetes cluster is configured: ", searched,
                     ", and this is not a pod (KUBERNETES_SERVICE_HOST is not set); give "
                     "--kubeconfig"));
  }
  return LoadInCluster(host, port, environment);
}

std::string PodNamespace(const Environment& environment) {
  const absl::StatusOr<std::string> text =
      ReadFile(base::StrCat(environment.service_account_folder, "/namespace"));
  return text.ok() ? std::string(absl::StripAsciiWhitespace(*text)) : "";
}

}  // namespace gantry::kubernetes
