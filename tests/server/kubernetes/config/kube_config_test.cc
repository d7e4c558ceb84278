// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/config/kube_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "tests/server/kubernetes/temporary_folder.h"
#include "tests/server/kubernetes/test_certificates.h"

namespace gantry::kubernetes {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

// Made once: keys take their time.
const TestAuthority& TheAuthority() {
  static const TestAuthority authority("test authority");
  return authority;
}
const ClientCertificate& ClientPair() {
  static const ClientCertificate client = TheAuthority().Issue("me", "");
  return client;
}

class KubeConfigTest : public ::testing::Test {
 protected:
  KubeConfigTest() {
    environment_.get_variable = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = variables_.find(name);
      if (found == variables_.end()) return std::nullopt;
      return found->second;
    };
    environment_.service_account_folder = folder_.path() + "/serviceaccount";
    variables_["HOME"] = folder_.path() + "/home";
  }

  absl::StatusOr<ClusterConfig> Load(const std::string& path = "",
                                     const std::string& context = "") const {
    return LoadClusterConfig({path, context}, environment_);
  }
  ClusterConfig MustLoad(const std::string& path = "", const std::string& context = "") const {
    absl::StatusOr<ClusterConfig> config = Load(path, context);
    EXPECT_TRUE(config.ok()) << config.status();
    return config.ok() ? *std::move(config) : ClusterConfig();
  }
  std::string ErrorOf(const std::string& path = "", const std::string& context = "") const {
    const absl::StatusOr<ClusterConfig> config = Load(path, context);
    EXPECT_FALSE(config.ok());
    return std::string(config.status().message());
  }

  // A file with one context "dev", whose cluster and user have these fields (a JSON object each).
  std::string WriteConfig(const std::string& cluster, const std::string& user,
                          const std::string& name = "config") const {
    return folder_.Write(name, R"({"kind": "Config", "apiVersion": "v1", "current-context": "dev",
      "contexts": [{"name": "dev", "context": {"cluster": "c1", "user": "u1"}}],
      "clusters": [{"name": "c1", "cluster": )" +
                                   cluster + R"(}],
      "users": [{"name": "u1", "user": )" +
                                   user + "}]}");
  }

  void WriteServiceAccount() const {
    folder_.Write("serviceaccount/token", "pod-token\n");
    folder_.Write("serviceaccount/ca.crt", TheAuthority().pem());
    folder_.Write("serviceaccount/namespace", "gantry-system\n");
  }

  TemporaryFolder folder_;
  std::map<std::string, std::string> variables_;
  Environment environment_;
};

constexpr char kCluster[] = R"({"server": "https://api.test:6443"})";

TEST_F(KubeConfigTest, ReadsWhatKubectlWrites) {
  folder_.Write("home/.kube/config", R"(apiVersion: v1
kind: Config
current-context: prod
preferences: {}
contexts:
- name: prod
  context: {cluster: main, user: deployer, namespace: shop}
clusters:
- name: main
  cluster:
    server: https://api.test:6443/
users:
- name: deployer
  user:
    token: abc
)");
  const ClusterConfig config = MustLoad();
  EXPECT_EQ(config.server, "https://api.test:6443");
  EXPECT_EQ(config.token, "abc");
  EXPECT_EQ(config.ns, "shop");
  EXPECT_EQ(config.source, "context \"prod\" of " + folder_.path() + "/home/.kube/config");
  EXPECT_EQ(config.proxy_url, "");
  EXPECT_FALSE(config.tls.insecure_skip_verify);
  EXPECT_FALSE(config.exec.has_value());
}

TEST_F(KubeConfigTest, WithoutANamespaceItIsDefault) {
  EXPECT_EQ(MustLoad(WriteConfig(kCluster, "{}")).ns, "default");
}

// Where the configuration comes from.

TEST_F(KubeConfigTest, TheFileGivenComesBeforeAllOthers) {
  const std::string given = WriteConfig(R"({"server": "https://given.test"})", "{}", "given");
  variables_["KUBECONFIG"] = WriteConfig(R"({"server": "https://env.test"})", "{}", "env");
  WriteConfig(R"({"server": "https://home.test"})", "{}", "home/.kube/config");
  WriteServiceAccount();
  variables_["KUBERNETES_SERVICE_HOST"] = "10.0.0.1";
  variables_["KUBERNETES_SERVICE_PORT"] = "443";
  EXPECT_EQ(MustLoad(given).server, "https://given.test:443");
  EXPECT_EQ(MustLoad().server, "https://env.test:443");
  variables_.erase("KUBECONFIG");
  EXPECT_EQ(MustLoad().server, "https://home.test:443");
  variables_["HOME"] = folder_.path() + "/elsewhere";
  EXPECT_EQ(MustLoad().server, "https://10.0.0.1:443");
}

TEST_F(KubeConfigTest, TheFileGivenMustBeThere) {
  WriteConfig(kCluster, "{}", "home/.kube/config");
  EXPECT_THAT(ErrorOf(folder_.path() + "/nowhere"),
              AllOf(HasSubstr("--kubeconfig"), HasSubstr(folder_.path() + "/nowhere"),
                    HasSubstr("No such file")));
}

TEST_F(KubeConfigTest, TheFileGivenMustNotBeEmpty) {
  WriteServiceAccount();
  variables_["KUBERNETES_SERVICE_HOST"] = "10.0.0.1";
  variables_["KUBERNETES_SERVICE_PORT"] = "443";
  EXPECT_THAT(ErrorOf(folder_.Write("empty", "")), HasSubstr("is an empty kubeconfig"));
}

TEST_F(KubeConfigTest, OfSeveralFilesTheFirstWinsPerEntry) {
  const std::string first = folder_.Write("first", R"(
clusters: [{name: c1, cluster: {server: "https://first.test"}}]
contexts: [{name: a, context: {cluster: c1, user: u1}}]
)");
  const std::string second = folder_.Write("second", R"(
current-context: b
clusters:
- {name: c1, cluster: {server: "https://second.test", tls-server-name: second}}
- {name: c2, cluster: {server: "https://other.test"}}
users: [{name: u1, user: {token: second-token}}]
contexts: [{name: b, context: {cluster: c2, user: u1}}]
)");
  const std::string third = folder_.Write("third", "current-context: a\n");
  variables_["KUBECONFIG"] =
      folder_.path() + "/missing::" + first + ":" + second + ":" + third + ":";
  EXPECT_EQ(MustLoad().server, "https://other.test:443");
  EXPECT_EQ(MustLoad().source, "context \"b\" of " + second);
  const ClusterConfig a = MustLoad("", "a");
  EXPECT_EQ(a.server, "https://first.test:443");
  EXPECT_EQ(a.tls.server_name, "") << "an entry is taken whole";
  EXPECT_EQ(a.token, "second-token");
}

TEST_F(KubeConfigTest, ABrokenFileInTheListIsAnError) {
  variables_["KUBECONFIG"] =
      folder_.Write("broken", "clusters: [") + ":" + WriteConfig(kCluster, "{}");
  EXPECT_THAT(ErrorOf(),
              AllOf(HasSubstr(folder_.path() + "/broken is not YAML"), HasSubstr("line 1")));
}

TEST_F(KubeConfigTest, AFileThatCannotBeReadIsAnError) {
  variables_["KUBECONFIG"] = folder_.path();
  EXPECT_THAT(ErrorOf(),
              AllOf(HasSubstr("the kubeconfig of the environment"), HasSubstr("Is a directory")));
}

TEST_F(KubeConfigTest, RelativePathsAreRelativeToTheirFile) {
  folder_.Write("a/pki/ca.crt", TheAuthority().pem());
  folder_.Write("a/me.crt", ClientPair().certificate);
  folder_.Write("a/me.key", ClientPair().key);
  const std::string file = WriteConfig(
      R"({"server": "https://api.test", "certificate-authority": "../a/pki/ca.crt"})",
      R"({"client-certificate": "me.crt", "client-key": "./me.key", "tokenFile": "token"})",
      "a/config");
  const ClusterConfig config = MustLoad(file);
  EXPECT_EQ(config.tls.ca.file, folder_.path() + "/a/pki/ca.crt");
  EXPECT_EQ(config.tls.certificate.file, folder_.path() + "/a/me.crt");
  EXPECT_EQ(config.tls.key.file, folder_.path() + "/a/me.key");
  EXPECT_EQ(config.token_file, folder_.path() + "/a/token");
}

TEST_F(KubeConfigTest, AbsolutePathsStayAsTheyAre) {
  const std::string ca = folder_.Write("ca.crt", TheAuthority().pem());
  const std::string file =
      WriteConfig(R"({"server": "https://api.test", "certificate-authority": ")" + ca + "\"}",
                  R"({"tokenFile": "/run/token"})", "a/config");
  EXPECT_EQ(MustLoad(file).tls.ca.file, ca);
  EXPECT_EQ(MustLoad(file).token_file, "/run/token");
}

TEST_F(KubeConfigTest, DataIsDecoded) {
  const auto base64 = [](const std::string& text) { return absl::Base64Escape(text); };
  const ClusterConfig config =
      MustLoad(WriteConfig(R"({"server": "https://api.test", "certificate-authority-data": ")" +
                               base64(TheAuthority().pem()) + "\"}",
                           R"({"client-certificate-data": ")" + base64(ClientPair().certificate) +
                               R"(", "client-key-data": ")" + base64(ClientPair().key) + "\"}"));
  EXPECT_EQ(config.tls.ca.data, TheAuthority().pem());
  EXPECT_EQ(config.tls.certificate.data, ClientPair().certificate);
  EXPECT_EQ(config.tls.key.data, ClientPair().key);
}

TEST_F(KubeConfigTest, TheRestIsRead) {
  const ClusterConfig config = MustLoad(WriteConfig(
      R"({"server": "https://10.0.0.1", "tls-server-name": "api.test",
          "insecure-skip-tls-verify": true, "proxy-url": "socks5://me:pw@proxy.test:1080"})",
      R"({"username": "me", "password": "secret", "as": "robot", "as-uid": "7",
          "as-groups": ["g1", "g2"], "as-user-extra": {"reason": ["x", "y"]}})"));
  EXPECT_EQ(config.tls.server_name, "api.test");
  EXPECT_TRUE(config.tls.insecure_skip_verify);
  EXPECT_EQ(config.proxy_url, "socks5://me:pw@proxy.test:1080");
  EXPECT_EQ(config.username, "me");
  EXPECT_EQ(config.password, "secret");
  EXPECT_EQ(config.impersonation.user, "robot");
  EXPECT_EQ(config.impersonation.uid, "7");
  EXPECT_THAT(config.impersonation.groups, ElementsAre("g1", "g2"));
  EXPECT_THAT(config.impersonation.extra, ElementsAre(Pair("reason", "x"), Pair("reason", "y")));
}

TEST_F(KubeConfigTest, TheEnvironmentsProxyIsUsedWhenTheClusterHasNone) {
  variables_["HTTPS_PROXY"] = "http://proxy.test:3128";
  EXPECT_EQ(MustLoad(WriteConfig(kCluster, "{}")).proxy_url, "http://proxy.test:3128");
  EXPECT_EQ(MustLoad(WriteConfig(
                         R"({"server": "https://a.test", "proxy-url": "http://own.test:1"})", "{}"))
                .proxy_url,
            "http://own.test:1");
  variables_["NO_PROXY"] = "api.test";
  EXPECT_EQ(MustLoad(WriteConfig(kCluster, "{}")).proxy_url, "");
}

TEST_F(KubeConfigTest, AContextWithoutAUserIsAnonymous) {
  const std::string file = folder_.Write("config", R"(
current-context: a
clusters: [{name: c1, cluster: {server: "https://first.test"}}]
contexts: [{name: a, context: {cluster: c1}}]
)");
  const ClusterConfig config = MustLoad(file);
  EXPECT_EQ(config.token, "");
  EXPECT_EQ(config.token_file, "");
}

TEST_F(KubeConfigTest, ReadsAnExecPlugin) {
  const std::string file = WriteConfig(
      R"({"server": "https://api.test", "extensions": [
            {"name": "other", "extension": {"x": 1}},
            {"name": "client.authentication.k8s.io/exec",
             "extension": {"audience": "me", "count": 3, "deep": [true, null, "7"]}}]})",
      R"({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./bin/login",
                   "args": ["--as", "me"], "env": [{"name": "REGION", "value": "eu"}],
                   "installHint": "install login", "provideClusterInfo": true,
                   "interactiveMode": "Never"}})");
  const ClusterConfig config = MustLoad(file);
  ASSERT_TRUE(config.exec.has_value());
  EXPECT_EQ(config.exec->api_version, "client.authentication.k8s.io/v1");
  EXPECT_EQ(config.exec->command, folder_.path() + "/bin/login");
  EXPECT_THAT(config.exec->arguments, ElementsAre("--as", "me"));
  EXPECT_THAT(config.exec->environment, ElementsAre(Pair("REGION", "eu")));
  EXPECT_EQ(config.exec->install_hint, "install login");
  EXPECT_TRUE(config.exec->provide_cluster_info);
  EXPECT_EQ(config.exec->cluster_extension_json,
            R"({"audience":"me","count":3,"deep":[true,null,"7"]})");
}

TEST_F(KubeConfigTest, ACommandWithoutAFolderIsLeftToThePath) {
  const ClusterConfig config = MustLoad(WriteConfig(
      kCluster,
      R"({"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "aws"}})"));
  EXPECT_EQ(config.exec->command, "aws");
}

// What is wrong, and what to do about it.

struct BadEntryCase {
  const char* name;
  std::string cluster;
  std::string user;
  std::string message;  // FOLDER stands for the test's folder
};
// Without it a failure would print the bytes.
void PrintTo(const BadEntryCase& bad, std::ostream* out) { *out << bad.name; }

class BadEntryTest : public KubeConfigTest, public ::testing::WithParamInterface<BadEntryCase> {};

TEST_P(BadEntryTest, NamesTheEntryAndTheFile) {
  const std::string cluster = GetParam().cluster.empty() ? kCluster : GetParam().cluster;
  const std::string user = GetParam().user.empty() ? "{}" : GetParam().user;
  const std::string message = ErrorOf(WriteConfig(cluster, user));
  const bool about_cluster = !GetParam().cluster.empty();
  EXPECT_THAT(message,
              HasSubstr(std::string(about_cluster ? "cluster \"c1\" in " : "user \"u1\" in ") +
                        folder_.path() + "/config"));
  EXPECT_THAT(message,
              HasSubstr(absl::StrReplaceAll(GetParam().message, {{"FOLDER", folder_.path()}})));
  EXPECT_THAT(message, Not(HasSubstr("S3CRET")));
}

std::string Exec(const std::string& fields) {
  return R"({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "login",
                      "interactiveMode": "Never", )" +
         fields + "}}";
}

INSTANTIATE_TEST_SUITE_P(
    All, BadEntryTest,
    ::testing::ValuesIn(std::vector<BadEntryCase>{
        {"NoServer", R"({"tls-server-name": "x"})", "", "has no server; set it"},
        {"ServerWithoutScheme", R"({"server": "api.test:6443"})", "",
         "the server URL \"api.test:6443\" has no scheme"},
        {"ServerThatIsAList", R"({"server": ["x"]})", "", "has a server that is not a text"},
        {"InsecureWithAuthority",
         R"({"server": "https://a.test", "insecure-skip-tls-verify": true,
             "certificate-authority": "ca.crt"})",
         "", "insecure-skip-tls-verify and a certificate authority"},
        {"InsecureThatIsNoBoolean",
         R"({"server": "https://a.test", "insecure-skip-tls-verify": "yes"})", "",
         "insecure-skip-tls-verify that is neither true nor false"},
        {"TwoAuthorities",
         R"({"server": "https://a.test", "certificate-authority": "ca.crt",
             "certificate-authority-data": "eA=="})",
         "", "both certificate-authority and certificate-authority-data"},
        {"AuthorityMissing", R"({"server": "https://a.test", "certificate-authority": "ca.crt"})",
         "", "cannot read FOLDER/ca.crt: No such file"},
        {"AuthorityNotBase64",
         R"({"server": "https://a.test", "certificate-authority-data": "S3CRET!"})", "",
         "certificate-authority-data that is not base64"},
        {"AuthorityNotPem", R"({"server": "https://a.test", "certificate-authority-data": "eHg="})",
         "", "certificate authority (given as data) holds no PEM certificate"},
        {"ProxyOfAnotherKind", R"({"server": "https://a.test", "proxy-url": "ftp://S3CRET@p"})", "",
         "is not the URL of a proxy"},
        {"AuthProvider", "", R"({"auth-provider": {"name": "gcp", "config": {"x": "S3CRET"}}})",
         "uses the auth-provider \"gcp\", which is no longer supported; use an exec plugin"},
        {"TokenAndPassword", "", R"({"token": "S3CRET", "username": "a", "password": "S3CRET"})",
         "has both a token and a username or password"},
        {"TokenWithALineBreak", "", R"({"token": "S3CRET\nS3CRET"})", "blanks or line breaks"},
        {"CertificateWithoutKey", "", R"({"client-certificate": "me.crt"})",
         "has a client certificate without its client-key"},
        {"KeyWithoutCertificate", "", R"({"client-key-data": "eA=="})",
         "has a client-key without its client certificate"},
        {"CertificateTwice", "",
         R"({"client-certificate": "me.crt", "client-certificate-data": "eA=="})",
         "both client-certificate and client-certificate-data"},
        {"KeyTwice", "", R"({"client-key": "me.key", "client-key-data": "eA=="})",
         "both client-key and client-key-data"},
        {"CertificateMissing", "", R"({"client-certificate": "me.crt", "client-key": "me.key"})",
         "cannot read FOLDER/me.crt"},
        {"CertificateNotPem", "",
         R"({"client-certificate-data": "eHg=", "client-key-data": "eHg="})",
         "client certificate (given as data) holds no PEM certificate"},
        {"GroupsWithoutUser", "", R"({"as-groups": ["admins"]})",
         "impersonates a uid, groups or extra fields without a user"},
        {"GroupsNotAList", "", R"({"as": "x", "as-groups": "admins"})", "as-groups that are not"},
        {"ExtraFieldsThatAreNoMap", "", R"({"as": "x", "as-user-extra": ["S3CRET"]})",
         "as-user-extra that is not a map"},
        {"ExtraFieldsThatAreNoLists", "", R"({"as": "x", "as-user-extra": {"a": "S3CRET"}})",
         "has a that are not a list"},
        {"ExecWithoutCommand", "",
         R"({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}})",
         "exec plugin without a command"},
        {"ExecOfAnOldVersion", "",
         R"({"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1", "command": "x"}})",
         "apiVersion \"client.authentication.k8s.io/v1alpha1\"; supported are"},
        {"ExecWithoutVersion", "", R"({"exec": {"command": "x"}})", "apiVersion \"\""},
        {"ExecWithoutMode", "",
         R"({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "x"}})",
         "without interactiveMode"},
        {"ExecThatNeedsATerminal", "",
         R"({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "x",
                      "interactiveMode": "Always"}})",
         "needs a terminal"},
        {"ExecWithAnUnknownMode", "",
         R"({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "x",
                      "interactiveMode": "Maybe"}})",
         "unknown interactiveMode"},
        {"ExecWithANamelessVariable", "", Exec(R"("env": [{"value": "S3CRET"}])"),
         "environment variable without a proper name"},
        {"ExecWithArgumentsThatAreNoTexts", "", Exec(R"("args": [["S3CRET"]])"),
         "has args that are not texts"},
        {"ExecWithArgumentsThatAreNoList", "", Exec(R"("args": "S3CRET")"),
         "has args that are not a list"},
        {"ExecWithEnvironmentThatIsNoList", "", Exec(R"("env": {"A": "S3CRET"})"),
         "env is not a list"},
    }),
    [](const auto& test) { return test.param.name; });

struct BadFileCase {
  const char* name;
  std::string content;
  std::string context;
  std::string message;
};
void PrintTo(const BadFileCase& bad, std::ostream* out) { *out << bad.name; }

class BadFileTest : public KubeConfigTest, public ::testing::WithParamInterface<BadFileCase> {};

TEST_P(BadFileTest, NamesTheFile) {
  const std::string file = folder_.Write("config", GetParam().content);
  EXPECT_THAT(ErrorOf(file, GetParam().context),
              AllOf(HasSubstr(file), HasSubstr(GetParam().message), Not(HasSubstr("S3CRET"))));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadFileTest,
    ::testing::ValuesIn(std::vector<BadFileCase>{
        {"NotYaml", "users:\n- name: \"S3CRET", "", "is not YAML"},
        {"AText", "S3CRET", "", "is not a kubeconfig: not a map"},
        {"AnotherKind", "kind: Pod", "", "its kind is not Config"},
        {"ListsThatAreNone", "clusters: {c1: {}}", "", "clusters is not a list"},
        {"AnEntryWithoutAName", "users: [{user: {token: S3CRET}}]", "",
         "users has an item without a name"},
        {"AnEntryThatIsAText", "users: [S3CRET]", "", "users has an item without a name"},
        {"AnEntryThatIsNoMap", "users: [{name: u1, user: S3CRET}]", "",
         "the item \"u1\", whose user is not a map"},
        {"TwoOfTheSameName", "contexts: [{name: a, context: {}}, {name: a, context: {}}]", "",
         "contexts has two items named \"a\""},
        {"NoCurrentContext",
         "contexts: [{name: b, context: {cluster: c}}, {name: a, context: {cluster: c}}]", "",
         "has no current-context; choose one with --context, or with \"kubectl config "
         "use-context\"; there are: \"a\", \"b\""},
        {"CurrentContextMissing", "current-context: b\ncontexts: [{name: a, context: {}}]", "",
         "names the context \"b\", which is not in"},
        {"ContextGivenMissing", "current-context: a\ncontexts: [{name: a, context: {}}]", "z",
         "--context names the context \"z\", which is not in"},
        {"ContextWithoutCluster", "current-context: a\ncontexts: [{name: a, context: {user: u}}]",
         "", "the context \"a\" in"},
        {"ContextWithoutContent", "current-context: a\ncontexts: [{name: a}]", "",
         "has no cluster; set it"},
        {"ClusterMissing", "current-context: a\ncontexts: [{name: a, context: {cluster: c9}}]", "",
         "names the cluster \"c9\", which is not in"},
        {"UserMissing",
         "current-context: a\ncontexts: [{name: a, context: {cluster: c1, user: u9}}]\n"
         "clusters: [{name: c1, cluster: {server: 'https://a.test'}}]\n"
         "users: [{name: u1, user: {token: S3CRET}}]",
         "", "names the user \"u9\", which is not in"},
    }),
    [](const auto& test) { return test.param.name; });

TEST_F(KubeConfigTest, AKeyThatBelongsToAnotherCertificateIsRefused) {
  folder_.Write("me.crt", ClientPair().certificate);
  folder_.Write("other.key", TheAuthority().Issue("other", "").key);
  EXPECT_THAT(ErrorOf(WriteConfig(
                  kCluster, R"({"client-certificate": "me.crt", "client-key": "other.key"})")),
              AllOf(HasSubstr(folder_.path() + "/other.key does not belong to"),
                    HasSubstr(folder_.path() + "/me.crt")));
}

// In a pod.

class InClusterTest : public KubeConfigTest {
 protected:
  InClusterTest() {
    WriteServiceAccount();
    variables_["KUBERNETES_SERVICE_HOST"] = "10.96.0.1";
    variables_["KUBERNETES_SERVICE_PORT"] = "443";
  }
};

TEST_F(InClusterTest, UsesTheServiceAccount) {
  const ClusterConfig config = MustLoad();
  EXPECT_EQ(config.server, "https://10.96.0.1:443");
  EXPECT_EQ(config.tls.ca.file, environment_.service_account_folder + "/ca.crt");
  EXPECT_EQ(config.token_file, environment_.service_account_folder + "/token");
  EXPECT_EQ(config.ns, "gantry-system");
  EXPECT_EQ(config.source, "the pod's service account in " + environment_.service_account_folder);
}

TEST_F(InClusterTest, AnAddressOfVersion6StandsInBrackets) {
  variables_["KUBERNETES_SERVICE_HOST"] = "fd00:10:96::1";
  EXPECT_EQ(MustLoad().server, "https://[fd00:10:96::1]:443");
}

TEST_F(InClusterTest, FilesThatGiveNothingAreNoObstacle) {
  variables_["KUBECONFIG"] = folder_.Write("empty", "kind: Config\nclusters: []\nusers: null\n");
  EXPECT_EQ(MustLoad().server, "https://10.96.0.1:443");
}

TEST_F(InClusterTest, TheNamespaceIsDefaultWhenTheFileIsMissing) {
  folder_.Remove("serviceaccount/namespace");
  EXPECT_EQ(MustLoad().ns, "default");
}

TEST_F(InClusterTest, WithoutATokenItSaysHowToGetOne) {
  folder_.Remove("serviceaccount/token");
  EXPECT_THAT(ErrorOf(), AllOf(HasSubstr("no service account token"),
                               HasSubstr("automountServiceAccountToken")));
}

TEST_F(InClusterTest, WithoutTheClustersAuthorityNothingIsTrusted) {
  folder_.Remove("serviceaccount/ca.crt");
  EXPECT_THAT(ErrorOf(), HasSubstr("serviceaccount/ca.crt"));
}

TEST_F(InClusterTest, AContextGivenMustBeThere) {
  EXPECT_THAT(ErrorOf("", "prod"),
              AllOf(HasSubstr("there is no context \"prod\""), HasSubstr("/home/.kube/config"),
                    HasSubstr("--kubeconfig")));
}

TEST_F(InClusterTest, TheEnvironmentsProxyIsUsed) {
  variables_["HTTPS_PROXY"] = "http://proxy.test:3128";
  EXPECT_EQ(MustLoad().proxy_url, "http://proxy.test:3128");
  variables_["NO_PROXY"] = "10.96.0.0/12";
  EXPECT_EQ(MustLoad().proxy_url, "");
}

TEST_F(KubeConfigTest, WithoutAnythingItSaysWhereItLooked) {
  EXPECT_THAT(ErrorOf(), AllOf(HasSubstr("no Kubernetes cluster is configured"),
                               HasSubstr(folder_.path() + "/home/.kube/config"),
                               HasSubstr("KUBERNETES_SERVICE_HOST"), HasSubstr("--kubeconfig")));
  variables_.clear();
  EXPECT_THAT(ErrorOf(), HasSubstr("neither KUBECONFIG nor HOME is set"));
}

TEST_F(KubeConfigTest, AVeryDeepFileIsAnErrorAndNoCrash) {
  EXPECT_THAT(ErrorOf(folder_.Write("deep", std::string(100'000, '['))), HasSubstr("/deep is not"));
}

TEST_F(KubeConfigTest, ThePodsNamespaceIsReadWhereThereIsOne) {
  EXPECT_EQ(PodNamespace(environment_), "");
  WriteServiceAccount();
  EXPECT_EQ(PodNamespace(environment_), "gantry-system");
}

TEST(ProcessEnvironmentTest, ReadsTheProcessesVariables) {
  const Environment environment = ProcessEnvironment();
  EXPECT_TRUE(environment.get_variable("PATH").has_value());
  EXPECT_FALSE(environment.get_variable("GANTRY_TEST_NO_SUCH_VARIABLE").has_value());
  EXPECT_EQ(environment.service_account_folder, "/var/run/secrets/kubernetes.io/serviceaccount");
}

}  // namespace
}  // namespace gantry::kubernetes
