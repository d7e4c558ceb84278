// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/gantry_server.h"

#include <fcntl.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gantry/rpc/v1/status.pb.h"
#include "tests/integration/cluster_access.h"

namespace gantry::integration {
namespace {

std::string ServerProgram() {
  const char* given = std::getenv("GANTRY_SERVER");
  return given != nullptr ? given : GANTRY_SERVER_PROGRAM;
}

std::string ReadFile(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path).rdbuf();
  return content.str();
}

int MillisecondsUntil(std::chrono::steady_clock::time_point deadline) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return left.count() > 0 ? static_cast<int>(left.count()) : 0;
}

std::chrono::system_clock::time_point FromNow(std::chrono::milliseconds time) {
  return std::chrono::system_clock::now() + time;
}

template <typename Detail>
void Unpack(const google::protobuf::Any& any, const char* name, std::optional<Detail>& detail) {
  if (any.type_url() != std::string("type.googleapis.com/google.rpc.") + name) return;
  EXPECT_FALSE(detail) << "two details of type " << name;
  Detail parsed;
  EXPECT_TRUE(parsed.ParseFromString(any.value())) << name;
  detail = std::move(parsed);
}

}  // namespace

ErrorDetails DetailsOf(const grpc::Status& status) {
  ErrorDetails details;
  rpc::v1::Status carried;
  EXPECT_TRUE(carried.ParseFromString(status.error_details()));
  if (carried.details_size() > 0) {
    EXPECT_EQ(carried.code(), static_cast<int>(status.error_code()));
    EXPECT_EQ(carried.message(), status.error_message());
  }
  for (const google::protobuf::Any& any : carried.details()) {
    Unpack(any, "ErrorInfo", details.error_info);
    Unpack(any, "BadRequest", details.bad_request);
    Unpack(any, "RetryInfo", details.retry_info);
  }
  return details;
}

// ---- PendingStep -------------------------------------------------------------------

PendingStep::PendingStep(v1::PromotionStepService::Stub& stub, v1::RunStepRequest request,
                         std::chrono::milliseconds timeout)
    : request_(std::move(request)) {
  context_.set_deadline(FromNow(timeout));
  thread_ = std::thread(
      [this, &stub] { result_.status = stub.RunStep(&context_, request_, &result_.response); });
}

PendingStep::~PendingStep() {
  if (!thread_.joinable()) return;
  Cancel();
  thread_.join();
}

const StepResult& PendingStep::Result() {
  if (thread_.joinable()) thread_.join();
  return result_;
}

// ---- HealthStream ------------------------------------------------------------------

HealthStream::HealthStream(v1::PromotionStepService::Stub& stub, const std::string& project,
                           const std::string& stage) {
  v1::WatchStageHealthRequest request;
  request.set_project(project);
  request.set_stage(stage);
  // Longer than any test waits.
  context_.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(5));
  reader_ = stub.WatchStageHealth(&context_, request);
}

HealthStream::~HealthStream() {
  context_.TryCancel();
  v1::WatchStageHealthResponse rest;
  while (reader_->Read(&rest)) {
  }
  reader_->Finish();
}

std::optional<v1::WatchStageHealthResponse> HealthStream::Next() {
  v1::WatchStageHealthResponse event;
  // Cancelling is how a read that waits too long is ended.
  std::promise<void> read;
  std::thread guard([this, done = read.get_future()] {
    if (done.wait_for(std::chrono::minutes(2)) == std::future_status::timeout) context_.TryCancel();
  });
  const bool ok = reader_->Read(&event);
  read.set_value();
  guard.join();
  if (!ok) return std::nullopt;
  return event;
}

v1::WatchStageHealthResponse HealthStream::Await(
    const std::function<bool(const v1::WatchStageHealthResponse& event)>& expected,
    const std::function<void(const v1::WatchStageHealthResponse& event)>& seen) {
  std::string last;
  while (auto event = Next()) {
    if (expected(*event)) return *event;
    if (seen) seen(*event);
    last = event->ShortDebugString();
  }
  GiveUp("the stream ended without the event that was expected; the last one: " + last);
}

v1::StageHealth HealthStream::AwaitState(v1::HealthState state) {
  return Await([&](const v1::WatchStageHealthResponse& event) {
           return event.updated().state() == state;
         })
      .updated();
}

namespace {

std::shared_ptr<grpc::Channel> NewChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  // A later server may get the same port, and a connection carries just so many calls: it is not to
  // be shared.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

// ---- GantryServer ------------------------------------------------------------------

GantryServer::GantryServer(const std::string& kubeconfig, const std::vector<std::string>& flags)
    : folder_(absl::StrCat(TemporaryFolder(), "/", UniqueName("server"))) {
  std::filesystem::create_directory(folder_);
  std::vector<std::string> arguments = {
      ServerProgram(),     "--listen=127.0.0.1:0",       "--admin-listen=127.0.0.1:0",
      "--log-format=json", "--kubeconfig=" + kubeconfig, "--port-file=" + folder_ + "/ports"};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  Start(arguments);

  nlohmann::json ports;
  const bool serving = AwaitFile([&] {
    ports = nlohmann::json::parse(ReadFile(folder_ + "/ports"), nullptr, false);
    return ports.is_object();
  });
  if (!serving) {
    const std::string log = Log();
    Kill9();
    GiveUp(absl::StrCat(arguments[0], " did not begin to serve; its log:\n", log));
  }
  admin_ = ports.at("admin").get<std::string>();
  listen_ = ports.at("listen").get<std::string>();
  channel_ = NewChannel(listen_);
  stub_ = v1::PromotionStepService::NewStub(channel_);
}

GantryServer::~GantryServer() {
  Kill9();
  // An exception that ends the test is a failure only when it has left the test.
  const bool failed = testing::Test::HasFailure() || std::uncaught_exceptions() > 0;
  if (failed) std::cerr << "---- log of gantry-server:\n" << Log();
}

void GantryServer::Start(const std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const int log = open((folder_ + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0) GiveUp("could not make a log file in " + folder_);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) {
    // Other threads may hold any lock: system calls alone from here on.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    signal(SIGPIPE, SIG_DFL);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execv(argv[0], argv.data());
    constexpr char kWhy[] = "could not be executed\n";
    if (write(STDERR_FILENO, kWhy, sizeof kWhy - 1) < 0) _exit(126);
    _exit(127);
  }
  close(log);
  if (pid_ < 0) GiveUp("could not fork");
  pid_fd_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  if (pid_fd_ < 0) GiveUp("no pidfd");
}

StepResult GantryServer::RunStep(const v1::RunStepRequest& request,
                                 std::chrono::milliseconds timeout) {
  return PendingStep(*stub_, request, timeout).Result();
}

std::unique_ptr<v1::PromotionStepService::Stub> GantryServer::NewStub() const {
  return v1::PromotionStepService::NewStub(NewChannel(listen_));
}

std::unique_ptr<HealthStream> GantryServer::Watch(const std::string& project,
                                                  const std::string& stage) {
  return std::make_unique<HealthStream>(*stub_, project, stage);
}

std::pair<int, std::string> GantryServer::Admin(const std::string& path) {
  httplib::Client client("http://" + admin_);
  const httplib::Result result = client.Get(path.c_str());
  if (!result) return {0, ""};
  return {result->status, result->body};
}

grpc::Status GantryServer::GetStageHealth(const v1::GetStageHealthRequest& request,
                                          v1::GetStageHealthResponse& response) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  return stub_->GetStageHealth(&context, request, &response);
}

std::unique_ptr<PendingStep> GantryServer::StartStep(const v1::RunStepRequest& request,
                                                     std::chrono::milliseconds timeout) {
  return std::make_unique<PendingStep>(*stub_, request, timeout);
}

grpc::Status GantryServer::RunStepWithBytes(const std::string& bytes) {
  grpc::GenericStub stub(channel_);
  grpc::ClientContext context;
  context.set_deadline(FromNow(std::chrono::seconds(30)));
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer response;
  std::promise<grpc::Status> done;
  stub.UnaryCall(&context, "/gantry.v1.PromotionStepService/RunStep", grpc::StubOptions(), &request,
                 &response, [&](grpc::Status status) { done.set_value(std::move(status)); });
  return done.get_future().get();
}

void GantryServer::Kill9() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  close(pid_fd_);
  pid_ = -1;
}

void GantryServer::BeginTermination() {
  if (channel_->GetState(true) != GRPC_CHANNEL_READY &&
      !channel_->WaitForConnected(FromNow(kPatience))) {
    GiveUp("no connection to the server");
  }
  terminating_ = true;
  kill(pid_, SIGTERM);
  // A server that takes no more calls tells its clients to go elsewhere.
  if (!channel_->WaitForStateChange(GRPC_CHANNEL_READY, FromNow(kPatience))) {
    GiveUp("the server takes calls after SIGTERM");
  }
}

void GantryServer::Terminate() {
  if (!terminating_) kill(pid_, SIGTERM);
  const std::optional<int> status = AwaitExit();
  if (!status) GiveUp("the server does not end after SIGTERM");
  EXPECT_TRUE(WIFEXITED(*status) && WEXITSTATUS(*status) == 0)
      << "wait status " << *status << " after SIGTERM";
}

std::optional<int> GantryServer::AwaitExit() {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  pollfd ended = {pid_fd_, POLLIN, 0};
  while (poll(&ended, 1, MillisecondsUntil(deadline)) < 0) {
  }
  if (ended.revents == 0) return std::nullopt;
  int status = 0;
  waitpid(pid_, &status, 0);
  close(pid_fd_);
  pid_ = -1;
  return status;
}

bool GantryServer::AwaitFile(const std::function<bool()>& happened) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  const int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (watch < 0 || inotify_add_watch(watch, folder_.c_str(),
                                     IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE) < 0) {
    GiveUp("cannot watch " + folder_);
  }
  bool seen = happened();
  while (!seen) {
    pollfd fds[] = {{watch, POLLIN, 0}, {pid_fd_, POLLIN, 0}};
    if (poll(fds, 2, MillisecondsUntil(deadline)) == 0) break;
    char events[4096];
    while (read(watch, events, sizeof events) > 0) {
    }
    seen = happened();
    if (fds[1].revents != 0) break;
  }
  close(watch);
  return seen;
}

std::string GantryServer::Log() const { return ReadFile(folder_ + "/log"); }

std::string GantryServer::AwaitLogLine(
    const std::function<bool(const std::string& line)>& matches) {
  std::string found;
  const bool seen = AwaitFile([&] {
    for (const absl::string_view line : absl::StrSplit(Log(), '\n')) {
      found = std::string(line);
      if (matches(found)) return true;
    }
    return false;
  });
  if (!seen) GiveUp("the line did not come into the server's log");
  return found;
}

}  // namespace gantry::integration
