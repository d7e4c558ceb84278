// SPDX-License-Identifier: Apache-2.0
#include "tests/simulator/simulator.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "base/strings.h"
#include "tests/simulator/default_manifests.h"
#include "tests/simulator/objects.h"

namespace gantry::simulator {

using base::StrCat;
using nlohmann::json;

namespace {

constexpr char kNamespace[] = "gantry-system";
constexpr char kGantryUser[] = "system:serviceaccount:gantry-system:gantry";
constexpr char kControlPath[] = "/simulator/";
constexpr char kAdminToken[] = "admin";
constexpr absl::Duration kListenPause = absl::Milliseconds(50);
// One a second.
constexpr int kListenTriesPerMessage = 20;

std::vector<std::string> AccountGroups() {
  return {"system:serviceaccounts", StrCat("system:serviceaccounts:", kNamespace)};
}

absl::Status WriteFile(const std::string& path, const std::string& content, mode_t mode) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  std::size_t written = 0;
  while (fd >= 0 && written < content.size()) {
    const ssize_t count = write(fd, content.data() + written, content.size() - written);
    if (count <= 0) break;
    written += static_cast<std::size_t>(count);
  }
  const int error = errno;
  const bool failed = fd < 0 || written < content.size();
  if (fd >= 0) close(fd);
  if (!failed) return absl::OkStatus();
  return absl::UnavailableError(StrCat("cannot write ", path, ": ", std::strerror(error)));
}

// `lines`: those of the cluster's authority, and those of the user.
std::string Kubeconfig(const std::string& url, const std::string& ns, const std::string& authority,
                       const std::string& credentials) {
  return StrCat("apiVersion: v1\nkind: Config\nclusters:\n- name: test\n  cluster:\n    server: ",
                url, "\n", authority, "users:\n- name: test\n  user:\n", credentials,
                "contexts:\n- name: test\n  context:\n    cluster: test\n    user: test\n"
                "    namespace: ",
                ns, "\ncurrent-context: test\n");
}

// Names a field of the body that is not among the known ones; empty when there is none.
std::string WhyNoOrder(const json& body, const std::vector<std::string>& known) {
  for (const auto& [key, value] : body.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    return StrCat("unknown field \"", key, "\"; known: ", absl::StrJoin(known, ", "));
  }
  return "";
}

void RespondJson(HttpAnswer& answer, int status, const json& body) {
  answer.Respond(status, "application/json",
                 body.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
}

}  // namespace

Simulator::Simulator(SimulatorOptions options)
    : options_(std::move(options)),
      gantry_certificate_(authority_.Issue(kGantryUser, AccountGroups(), "clientAuth")),
      store_(options_.history),
      writer_(store_, resources_, rbac_, *options_.clock) {
  tokens_[RandomHex(48)] = {kAdminToken, "admin", {"system:masters"}};
  tokens_[RandomHex(48)] = {kGantryUser, "gantry", AccountGroups()};
  tokens_[RandomHex(48)] = {"nobody", "nobody", {}};
}

Simulator::~Simulator() {
  {
    base::MutexLock lock(restarting_);
    ends_ = true;
    restart_asked_.NotifyAll();
  }
  end_.Cancel();
  if (restarter_.joinable()) restarter_.join();
  if (http_ == nullptr) return;
  http_->StopListening();
  http_->CutConnections();
  faults_.Unfreeze();
  store_.WakeAll();
  http_->End();
}

absl::StatusOr<std::unique_ptr<Simulator>> Simulator::Start(SimulatorOptions options) {
  std::unique_ptr<Simulator> simulator(new Simulator(std::move(options)));
  if (absl::Status begun = simulator->Begin(); !begun.ok()) return begun;
  return simulator;
}

absl::Status Simulator::Begin() {
  if (absl::Status loaded = LoadDefaults(); !loaded.ok()) return loaded;
  ApiServer::Options api;
  api.bookmark_interval = options_.bookmark_interval;
  api.refuse_initial_events = options_.refuse_initial_events;
  api.address = options_.address;
  api_ = std::make_unique<ApiServer>(store_, resources_, rbac_, writer_, faults_, tokens_,
                                     *options_.clock, std::move(api));
  HttpServer::Options http;
  http.address = options_.address;
  http.port = options_.port;
  http.idle_timeout = options_.idle_timeout;
  if (options_.tls) {
    http.tls = authority_.ServerContext(
        authority_.Issue("kube-apiserver", {}, "serverAuth",
                         StrCat("DNS:localhost,IP:127.0.0.1",
                                options_.address == "0.0.0.0" || options_.address == "127.0.0.1"
                                    ? ""
                                    : StrCat(",IP:", options_.address))));
  }
  auto started = HttpServer::Start(
      std::move(http),
      [this](const HttpRequest& request, HttpAnswer& answer) { Handle(request, answer); });
  if (!started.ok()) return started.status();
  http_ = std::move(*started);
  restarter_ = std::thread([this] { RunRestarts(); });
  return absl::OkStatus();
}

std::string Simulator::url() const {
  return StrCat(options_.tls ? "https" : "http", "://",
                options_.address == "0.0.0.0" ? "127.0.0.1" : options_.address, ":", http_->port());
}

absl::Status Simulator::LoadDefaults() {
  for (const char* name : {"default", "kube-node-lease", "kube-public", "kube-system"}) {
    const absl::Status loaded =
        LoadObject({{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", name}}}});
    if (!loaded.ok()) return loaded;
  }
  for (const json& object : DefaultRbacObjects()) {
    if (absl::Status loaded = LoadObject(object); !loaded.ok()) return loaded;
  }
  if (options_.default_manifests) {
    for (const std::string& manifest : DefaultManifests()) {
      if (absl::Status loaded = Load(manifest); !loaded.ok()) return loaded;
    }
  }
  for (const SimulatorOptions::Manifest& manifest : options_.manifests) {
    const absl::Status loaded = Load(manifest.text);
    if (!loaded.ok()) {
      return absl::Status(loaded.code(), StrCat(manifest.name, ": ", loaded.message()));
    }
  }
  return absl::OkStatus();
}

absl::Status Simulator::Load(const std::string& manifest) {
  absl::StatusOr<std::vector<json>> documents = ParseYaml(manifest);
  if (!documents.ok()) return documents.status();
  for (json& document : *documents) {
    if (!document.is_object()) return absl::InvalidArgumentError("a document is not an object");
    if (absl::StartsWith(TextAt(document, "apiVersion"), "kustomize.config.k8s.io/")) continue;
    const auto items = document.find("items");
    if (items == document.end() || !items->is_array()) {
      if (absl::Status loaded = LoadObject(std::move(document)); !loaded.ok()) return loaded;
      continue;
    }
    for (json& item : *items) {
      if (absl::Status loaded = LoadObject(std::move(item)); !loaded.ok()) return loaded;
    }
  }
  return absl::OkStatus();
}

absl::Status Simulator::LoadObject(json object) {
  if (!object.is_object()) return absl::InvalidArgumentError("an item is not an object");
  const std::string kind = TextAt(object, "kind");
  const std::string what = StrCat(kind, " ", TextAt(MetadataOf(object), "name"));
  const ResourcePtr resource = resources_.FindKind(TextAt(object, "apiVersion"), kind);
  if (!resource || resource->review) {
    return absl::InvalidArgumentError(StrCat(what, ": the simulator does not know kind \"", kind,
                                             "\" of \"", TextAt(object, "apiVersion"),
                                             "\"; load its CustomResourceDefinition before"));
  }
  std::string ns = TextAt(MetadataOf(object), "namespace");
  if (resource->namespaced && ns.empty()) ns = kNamespace;
  Writer::Options options;
  options.seeding = true;
  Result<json> typed = CheckType(*resource, std::move(object), "");
  if (!typed.ok()) {
    return absl::InvalidArgumentError(StrCat(what, ": ", TextAt(typed.error().body, "message")));
  }
  const Result<Written> written = writer_.Create(*resource, ns, std::move(*typed), options);
  if (written.ok() || written.error().code == 409) return absl::OkStatus();
  return absl::InvalidArgumentError(StrCat(what, ": ", TextAt(written.error().body, "message")));
}

absl::Status Simulator::WriteFiles(const std::string& folder) const {
  std::string authority;
  std::string file_authority;
  if (options_.tls) {
    authority = StrCat(
        "    certificate-authority-data: ", absl::Base64Escape(authority_.certificate()), "\n");
    file_authority = "    certificate-authority: ca.crt\n";
  }
  std::string list;
  std::string admin;
  std::string gantry;
  std::string nobody;
  for (const auto& [token, user] : tokens_) {
    std::string groups;
    for (const std::string& group : user.groups) groups += (groups.empty() ? "" : ",") + group;
    base::StrAppend(&list, token, ",", user.name, ",", user.uid,
                    groups.empty() ? "" : StrCat(",\"", groups, "\""), "\n");
    const std::string credentials = StrCat("    token: ", token, "\n");
    if (user.uid == "admin") admin = credentials;
    if (user.uid == "gantry") gantry = credentials;
    if (user.uid == "nobody") nobody = credentials;
  }
  const std::pair<std::string, std::string> files[] = {
      {"admin.kubeconfig", Kubeconfig(url(), "default", authority, admin)},
      {"gantry.kubeconfig", Kubeconfig(url(), kNamespace, authority, gantry)},
      {"nobody.kubeconfig", Kubeconfig(url(), "default", authority, nobody)},
      // Relative to the kubeconfig, wherever its reader runs.
      {"gantry-cert.kubeconfig",
       Kubeconfig(url(), kNamespace, file_authority,
                  "    client-certificate: gantry.crt\n    client-key: gantry.key\n")},
      {"gantry.crt", gantry_certificate_.certificate},
      {"gantry.key", gantry_certificate_.key},
      {"ca.crt", authority_.certificate()},
      {"tokens.csv", list},
      {"apiserver.flags",
       options_.refuse_initial_events ? "--feature-gates=WatchList=false\n" : ""},
      {"url", url() + "\n"},
      {"env", StrCat("export GANTRY_TEST_CONTROL_PLANE='", folder, "'\n")}};
  for (const auto& [name, content] : files) {
    absl::Status written = WriteFile(StrCat(folder, "/", name), content, 0600);
    if (!written.ok()) return written;
  }
  return absl::OkStatus();
}

void Simulator::Compact() {
  store_.Compact();
  store_.WakeAll();
}

void Simulator::CutConnections() {
  http_->CutConnections();
  store_.WakeAll();
}

void Simulator::Stop() {
  http_->StopListening();
  CutConnections();
  // Frozen watches end as well.
  faults_.Unfreeze();
  http_->AwaitCut();
}

absl::Status Simulator::Resume() {
  store_.Compact();
  faults_.Unfreeze();
  return http_->Listen();
}

void Simulator::ForgetObjects() {
  for (const ResourcePtr& resource : resources_.All()) {
    const auto all = [](const Entry&) { return true; };
    const auto page = store_.List(resource->key(), "", all, std::nullopt, 0, std::nullopt);
    store_.Clear(resource->key());
    for (const EntryPtr& entry : page->entries) {
      rbac_.Remove(resource->kind, entry->ns, entry->name);
      if (resource->plural == "customresourcedefinitions") resources_.Undefine(entry->name);
    }
  }
}

absl::Status Simulator::Restart(std::chrono::milliseconds down, bool keep_objects) {
  Stop();
  if (down.count() > 0) {
    const absl::Status slept = options_.sleeper->Sleep(absl::FromChrono(down), end_);
    if (!slept.ok()) return slept;
  }
  if (!keep_objects) {
    ForgetObjects();
    if (absl::Status loaded = LoadDefaults(); !loaded.ok()) return loaded;
  }
  // Somebody else may have taken the port.
  absl::Status listening = Resume();
  for (int tries = 1; !listening.ok(); ++tries) {
    if (tries % kListenTriesPerMessage == 0) {
      std::fprintf(stderr, "gantry-sim: restarts, and tries again: %s\n",
                   std::string(listening.message()).c_str());
    }
    const absl::Status slept = options_.sleeper->Sleep(kListenPause, end_);
    if (!slept.ok()) return slept;
    listening = Resume();
  }
  return listening;
}

void Simulator::RunRestarts() {
  while (true) {
    RestartOrder order;
    {
      base::MutexLock lock(restarting_);
      while (restarts_.empty() && !ends_) restart_asked_.Wait(restarting_);
      if (ends_) return;
      order = restarts_.front();
      restarts_.pop_front();
    }
    const absl::Status restarted = Restart(order.down, order.keep_objects);
    if (restarted.ok() || end_.cancelled()) continue;
    std::fprintf(stderr, "gantry-sim: the restart failed: %s\n",
                 std::string(restarted.message()).c_str());
  }
}

void Simulator::Handle(const HttpRequest& request, HttpAnswer& answer) {
  try {
    if (absl::StartsWith(request.path, kControlPath)) return Control(request, answer);
    api_->Handle(request, answer);
  } catch (const json::exception& exception) {
    // A body, or what is stored of an earlier one, has a type where nobody looked for it.
    if (answer.IsAnswered()) return answer.Abort();
    RespondJson(answer, 400, BadRequest(exception.what()).body);
  }
}

void Simulator::Control(const HttpRequest& request, HttpAnswer& answer) {
  const Result<User> user = Authenticate(request, tokens_);
  if (!user.ok() || user->name != kAdminToken) {
    return RespondJson(answer, 403,
                       {{"error", "only the administrator of admin.kubeconfig may do this"}});
  }
  const std::string what = request.path.substr(std::string(kControlPath).size());
  const bool too_deep = NestsTooDeep(request.body);
  const json body =
      request.body.empty() || too_deep ? json::object() : json::parse(request.body, nullptr, false);
  const auto refuse = [&](const std::string& why) {
    RespondJson(answer, 400, {{"error", StrCat(request.method, " ", request.path, ": ", why)}});
  };
  if (too_deep) return refuse(StrCat("the body nests deeper than ", kMaxDepth, " levels"));
  if (!body.is_object()) return refuse("the body is not a JSON object");
  if (request.method == "GET" && what == "status") {
    return RespondJson(answer, 200,
                       {{"simulator", "gantry-sim: keeps nothing"},
                        {"objects", store_.size()},
                        {"resourceVersion", store_.revision()},
                        {"faults", faults_.size()},
                        {"connections", http_->connections()}});
  }
  const json done = {{"done", what}};
  if (request.method == "DELETE" && what == "faults") {
    faults_.Clear();
    return RespondJson(answer, 200, done);
  }
  if (request.method != "POST") return refuse("nothing answers to this; see gantry-sim --help");
  if (what == "faults") {
    const absl::StatusOr<Fault> fault = Fault::FromJson(body);
    if (!fault.ok()) return refuse(std::string(fault.status().message()));
    faults_.Add(*fault);
  } else if (what == "freeze") {
    if (const std::string why = WhyNoOrder(body, {"resource"}); !why.empty()) return refuse(why);
    const json resource = body.value("resource", json(""));
    if (!resource.is_string()) return refuse("resource is not a string");
    faults_.Freeze(resource.get<std::string>());
  } else if (what == "unfreeze") {
    faults_.Unfreeze();
  } else if (what == "compact") {
    Compact();
  } else if (what == "cut") {
    // Whoever has the answer may connect again.
    const std::function<void()> cut = http_->PrepareCut();
    RespondJson(answer, 200, done);
    return cut();
  } else if (what == "restart") {
    const std::string why = WhyNoOrder(body, {"downMilliseconds", "keepObjects"});
    if (!why.empty()) return refuse(why);
    const json down = body.value("downMilliseconds", json(0u));
    const json keep = body.value("keepObjects", json(true));
    if (!down.is_number_unsigned() || down > 3600000 || !keep.is_boolean()) {
      return refuse("downMilliseconds is a number up to 3600000, keepObjects true or false");
    }
    // First: it cuts this connection.
    RespondJson(answer, 202, done);
    base::MutexLock lock(restarting_);
    restarts_.push_back({std::chrono::milliseconds(down.get<int>()), keep.get<bool>()});
    restart_asked_.NotifyAll();
    return;
  } else {
    return refuse("nothing answers to this; see gantry-sim --help");
  }
  RespondJson(answer, 200, done);
}

}  // namespace gantry::simulator
