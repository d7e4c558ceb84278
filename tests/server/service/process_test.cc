// SPDX-License-Identifier: Apache-2.0
// The program itself: what it prints, how it exits, what it leaves behind.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gantry/v1/promotion_step_service.grpc.pb.h"

namespace gantry::service {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// A running gantry-server whose standard output and error come together in one pipe.
class Program {
 public:
  Program(std::vector<std::string> arguments, std::vector<std::string> environment = {}) {
    arguments.insert(arguments.begin(), GANTRY_SERVER);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) std::abort();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    if (posix_spawn(&pid_, GANTRY_SERVER, &actions, nullptr, Pointers(arguments).data(),
                    Pointers(environment).data()) != 0) {
      std::abort();
    }
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    output_fd_ = ends[0];
  }
  ~Program() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      Wait();
    }
    close(output_fd_);
  }

  void Signal(int number) const { kill(pid_, number); }

  // Reads until `text` was printed, or the program ended.
  void WaitFor(const std::string& text) {
    while (output_.find(text) == std::string::npos && Read()) {
    }
    EXPECT_THAT(output_, HasSubstr(text));
  }
  // The exit status; -1 when a signal ended it.
  int Wait() {
    while (Read()) {
    }
    int status = 0;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  const std::string& output() const { return output_; }

 private:
  static std::vector<char*> Pointers(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (std::string& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
  }

  bool Read() {
    char buffer[4096];
    const ssize_t n = read(output_fd_, buffer, sizeof buffer);
    if (n > 0) output_.append(buffer, static_cast<std::size_t>(n));
    return n > 0;
  }

  pid_t pid_ = -1;
  int output_fd_ = -1;
  std::string output_;
};

class ProcessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string folder = ::testing::TempDir() + "/process-XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    // Nothing answers there, and nothing has to.
    WriteKubeconfig(1);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void WriteKubeconfig(int port) const {
    std::ofstream(folder_ / "kubeconfig") << R"(
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u, namespace: n}}]
users: [{name: u, user: {}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:)"
                                          << port << "\"}}]\n";
  }

  std::vector<std::string> Flags(std::vector<std::string> more = {}) const {
    std::vector<std::string> flags = {"--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0",
                                      "--kubeconfig=" + (folder_ / "kubeconfig").string(),
                                      "--port-file=" + PortFile().string()};
    flags.insert(flags.end(), more.begin(), more.end());
    return flags;
  }
  std::filesystem::path PortFile() const { return folder_ / "ports"; }

  std::filesystem::path folder_;
};

TEST_F(ProcessTest, PrintsItsHelp) {
  Program program({"--help"});
  EXPECT_EQ(program.Wait(), 0);
  EXPECT_THAT(program.output(), HasSubstr("--drain-timeout DURATION"));
}

TEST_F(ProcessTest, PrintsItsVersion) {
  Program program({"--version"});
  EXPECT_EQ(program.Wait(), 0);
  EXPECT_THAT(program.output(), StartsWith("gantry-server "));
}

TEST_F(ProcessTest, TellsEveryBadOptionAndExitsWith2) {
  Program program({"--listen=nowhere", "--frobnicate"}, {"GANTRY_MAX_WAIT=10"});
  EXPECT_EQ(program.Wait(), 2);
  EXPECT_THAT(program.output(), AllOf(HasSubstr("gantry-server: There is no flag"),
                                      HasSubstr("gantry-server: --listen is \"nowhere\""),
                                      HasSubstr("gantry-server: GANTRY_MAX_WAIT is \"10\"")));
}

TEST_F(ProcessTest, ServesUntilASignalAndLeavesNothingBehind) {
  for (const int number : {SIGTERM, SIGINT}) {
    Program program(Flags());
    program.WaitFor("\"message\":\"serving\"");
    std::ifstream in(PortFile());
    const nlohmann::json ports = nlohmann::json::parse(in);
    EXPECT_THAT(ports.at("listen").get<std::string>(), StartsWith("127.0.0.1:"));
    httplib::Client admin("http://" + ports.at("admin").get<std::string>());
    const auto live = admin.Get("/livez");
    ASSERT_TRUE(live);
    EXPECT_EQ(live->status, 200);
    // It serves, but nothing was read from the API server yet.
    const auto ready = admin.Get("/readyz?verbose");
    ASSERT_TRUE(ready);
    EXPECT_EQ(ready->status, 503);
    EXPECT_THAT(ready->body, AllOf(HasSubstr("[+]serving ok\n"),
                                   HasSubstr("[-]caches-synced failed: the first list of "),
                                   HasSubstr("[-]stages-evaluated failed: the health of the Stages "
                                             "is not evaluated yet\n")));
    const auto metrics = admin.Get("/metrics");
    ASSERT_TRUE(metrics);
    EXPECT_EQ(metrics->status, 200);
    EXPECT_THAT(metrics->body,
                AllOf(HasSubstr("gantry_build_info{version="), HasSubstr("gantry_cache_synced 0\n"),
                      HasSubstr("leader_election_master_status{name=\"gantry\"} 0\n")));
    program.Signal(number);
    EXPECT_EQ(program.Wait(), 0);
    EXPECT_THAT(program.output(), HasSubstr("\"message\":\"stopped\""));
    EXPECT_FALSE(std::filesystem::exists(PortFile()));
  }
}

TEST_F(ProcessTest, APeerThatGoesAwayDoesNotEndIt) {
  Program program(Flags());
  program.WaitFor("\"message\":\"serving\"");
  program.Signal(SIGPIPE);
  program.Signal(SIGTERM);
  EXPECT_EQ(program.Wait(), 0);
}

// An API server that takes connections and never answers.
class SilentServer {
 public:
  SilentServer() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (bind(fd_, reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(fd_, 8) != 0 ||
        getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
      std::abort();
    }
    port_ = ntohs(address.sin_port);
  }
  ~SilentServer() {
    for (const int connection : connections_) close(connection);
    close(fd_);
  }

  int port() const { return port_; }
  // Until somebody asks for one object of one of these resources; watches ask for all.
  void WaitForAGetOf(const std::vector<std::string>& plurals) {
    while (true) {
      connections_.push_back(accept(fd_, nullptr, nullptr));
      std::string request(4096, '\0');
      const ssize_t n = recv(connections_.back(), request.data(), request.size(), 0);
      request.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
      for (const std::string& plural : plurals) {
        if (request.find("/" + plural + "/") != std::string::npos) return;
      }
    }
  }

 private:
  int fd_;
  int port_ = 0;
  std::vector<int> connections_;
};

// A program with a step in progress that will not end by itself.
class BusyProcessTest : public ProcessTest {
 protected:
  void Start(std::vector<std::string> flags) {
    WriteKubeconfig(api_server_.port());
    program_.emplace(Flags(std::move(flags)));
    program_->WaitFor("\"message\":\"serving\"");
    std::ifstream in(PortFile());
    stub_ = v1::PromotionStepService::NewStub(
        grpc::CreateChannel(nlohmann::json::parse(in).at("listen").get<std::string>(),
                            grpc::InsecureChannelCredentials()));
    request_.set_project("p");
    request_.set_stage("s");
    request_.set_promotion("1");
    request_.set_uses("argocd-update");
    auto& apps = *(*request_.mutable_config()->mutable_fields())["apps"].mutable_list_value();
    auto& app = *apps.add_values()->mutable_struct_value()->mutable_fields();
    app["name"].set_string_value("a");
    stub_->async()->RunStep(&context_, &request_, &response_,
                            [this](grpc::Status status) { ended_.set_value(std::move(status)); });
    api_server_.WaitForAGetOf({"applications", "stagehealths"});
  }

  SilentServer api_server_;
  std::optional<Program> program_;
  std::unique_ptr<v1::PromotionStepService::Stub> stub_;
  v1::RunStepRequest request_;
  grpc::ClientContext context_;
  v1::RunStepResponse response_;
  std::promise<grpc::Status> ended_;
};

TEST_F(BusyProcessTest, ASecondSignalEndsItAtOnce) {
  Start({"--drain-timeout=1h"});
  program_->Signal(SIGTERM);
  program_->WaitFor("\"message\":\"stopping");
  program_->Signal(SIGINT);
  EXPECT_EQ(program_->Wait(), 1);
  EXPECT_FALSE(ended_.get_future().get().ok());
}

TEST_F(BusyProcessTest, WhatIsLeftAfterTheDrainTimeoutIsCancelledDownToTheWire) {
  Start({"--drain-timeout=0s"});
  program_->Signal(SIGTERM);
  EXPECT_EQ(program_->Wait(), 0);
  EXPECT_FALSE(ended_.get_future().get().ok());
}

TEST_F(ProcessTest, AnAddressInUseIsOneLineAndExit1) {
  Program first(Flags());
  first.WaitFor("\"message\":\"serving\"");
  std::ifstream in(PortFile());
  const nlohmann::json ports = nlohmann::json::parse(in);
  for (const std::string flag : {"listen", "admin-listen"}) {
    const std::string address = ports.at(flag == "listen" ? "listen" : "admin");
    std::vector<std::string> flags = Flags({"--" + flag + "=" + address, "--log-format=text"});
    flags.push_back("--port-file=" + (folder_ / "second").string());
    Program second(flags);
    EXPECT_EQ(second.Wait(), 1);
    EXPECT_THAT(second.output(),
                AllOf(HasSubstr("ERROR cannot start"), HasSubstr("(--" + flag + ")"),
                      HasSubstr("Address already in use")));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "second"));
  }
}

TEST_F(ProcessTest, APortFileThatCannotBeWrittenIsExit1) {
  Program program(Flags({"--port-file=" + (folder_ / "missing" / "ports").string()}));
  EXPECT_EQ(program.Wait(), 1);
  EXPECT_THAT(program.output(), HasSubstr("(--port-file): No such file or directory"));
}

}  // namespace
}  // namespace gantry::service
