// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/cluster_access.h"

#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "yaml-cpp/yaml.h"

namespace gantry::integration {
namespace {

YAML::Node Named(const YAML::Node& list, const std::string& name, const std::string& path) {
  for (const YAML::Node& entry : list) {
    if (entry["name"].as<std::string>() == name) return entry;
  }
  GiveUp(path + " has no entry named " + name);
}

void WriteFile(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::trunc | std::ios::binary);
  file << content;
  file.close();
  if (!file) GiveUp("could not write " + path);
}

class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "gantry-test.XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) GiveUp("could not make the folder " + pattern);
    path_ = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

void GiveUp(const std::string& why) { throw std::runtime_error(why); }

std::string ControlPlaneFile(const std::string& name) {
  const char* folder = std::getenv("GANTRY_TEST_CONTROL_PLANE");
  if (folder == nullptr) {
    GiveUp(
        "GANTRY_TEST_CONTROL_PLANE is not set: run this program by "
        "tests/control_plane/control_plane.sh run");
  }
  return std::string(folder) + "/" + name;
}

bool StreamsLists() {
  const std::string path = ControlPlaneFile("apiserver.flags");
  std::ifstream file(path);
  if (!file) GiveUp("could not read " + path);
  const std::string flags{std::istreambuf_iterator<char>(file), {}};
  return flags.find("WatchList=false") == std::string::npos;
}

ClusterAccess ReadKubeconfig(const std::string& path) {
  const YAML::Node config = YAML::LoadFile(path);
  const YAML::Node context =
      Named(config["contexts"], config["current-context"].as<std::string>(), path)["context"];
  const YAML::Node cluster =
      Named(config["clusters"], context["cluster"].as<std::string>(), path)["cluster"];
  const YAML::Node user = Named(config["users"], context["user"].as<std::string>(), path)["user"];

  ClusterAccess access;
  access.server = cluster["server"].as<std::string>();
  access.token = user["token"].as<std::string>("");
  access.ns = context["namespace"].as<std::string>("default");
  if (const YAML::Node data = cluster["certificate-authority-data"]) {
    std::string authority;
    if (!absl::Base64Unescape(data.as<std::string>(), &authority)) {
      GiveUp(path + ": certificate-authority-data is not base64");
    }
    access.ca_file = absl::StrCat(TemporaryFolder(), "/", UniqueName("ca"), ".crt");
    WriteFile(access.ca_file, authority);
  }
  return access;
}

void WriteKubeconfig(const ClusterAccess& access, const std::string& path) {
  const std::string authority =
      access.ca_file.empty() ? "" : "\n    certificate-authority: " + access.ca_file;
  WriteFile(path,
            absl::StrCat("apiVersion: v1\nkind: Config\ncurrent-context: test\n",
                         "clusters:\n- name: test\n  cluster:\n    server: ", access.server,
                         authority, "\nusers:\n- name: test\n  user:\n    token: ", access.token,
                         "\ncontexts:\n- name: test\n  context:\n",
                         "    cluster: test\n    user: test\n    namespace: ", access.ns, "\n"));
}

std::unique_ptr<httplib::Client> MakeHttpClient(const ClusterAccess& access) {
  // The library writes to connections that the peer may have closed.
  signal(SIGPIPE, SIG_IGN);
  auto client = std::make_unique<httplib::Client>(access.server);
  if (!client->is_valid()) GiveUp("not a server's URL: " + access.server);
  if (!access.ca_file.empty()) client->set_ca_cert_path(access.ca_file);
  client->set_keep_alive(true);
  client->set_url_encode(false);
  client->set_decompress(false);
  client->set_tcp_nodelay(true);
  // Watches are silent for minutes.
  client->set_read_timeout(std::chrono::hours(1));
  return client;
}

const std::string& TemporaryFolder() {
  static const Folder folder;
  return folder.path();
}

std::string UniqueName(const std::string& prefix) {
  static const unsigned int run = std::random_device()();
  static std::atomic<int> count{0};
  return absl::StrCat(prefix, "-", absl::Hex(run, absl::kZeroPad8), "-", ++count);
}

}  // namespace gantry::integration
