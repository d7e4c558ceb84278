// SPDX-License-Identifier: Apache-2.0
//
// What reads cost a gantry-server on the API server that $GANTRY_TEST_CONTROL_PLANE leads to: one
// GetStageHealth of a Stage of ten Applications, and one ListStageHealth of 1,000 Stages, each
// against a gRPC server that answers with as many bytes it has ready. Prints calls per second; with
// $GANTRY_CALLGRIND set to 1 both servers run in valgrind, and it prints instructions per call.
//   gantry-sim run read_benchmark
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/server_builder.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/integration/integration_test.h"

namespace gantry::integration {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr int kStages = 1000;
constexpr int kApplicationsPerStage = 10;
constexpr int kRead = 7;  // the number of the Stage that is read by itself

bool InValgrind() { return std::getenv("GANTRY_CALLGRIND") != nullptr; }

grpc::ByteBuffer Bytes(const std::string& text) {
  const grpc::Slice slice(text);
  return grpc::ByteBuffer(&slice, 1);
}

// --- the echo: `read_benchmark --echo BYTES PORT_FILE`

class EchoReactor final : public grpc::ServerGenericBidiReactor {
 public:
  explicit EchoReactor(const grpc::ByteBuffer& response) : response_(response) {
    StartRead(&request_);
  }
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no message"));
    StartWriteAndFinish(&response_, grpc::WriteOptions(), grpc::Status::OK);
  }
  void OnDone() override { delete this; }

 private:
  grpc::ByteBuffer request_;
  const grpc::ByteBuffer response_;
};

class Echo final : public grpc::CallbackGenericService {
 public:
  explicit Echo(std::size_t bytes) : response_(Bytes(std::string(bytes, 'x'))) {}
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
    return new EchoReactor(response_);
  }

 private:
  const grpc::ByteBuffer response_;
};

int RunEcho(std::size_t bytes, const std::string& port_file) {
  sigset_t stops;
  sigemptyset(&stops);
  sigaddset(&stops, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &stops, nullptr);
  Echo service(bytes);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterCallbackGenericService(&service);
  const auto server = builder.BuildAndStart();
  std::ofstream(port_file + ".new") << port;
  std::filesystem::rename(port_file + ".new", port_file);
  int signal = 0;
  sigwait(&stops, &signal);
  server->Shutdown(std::chrono::system_clock::now());
  return EXIT_SUCCESS;
}

// --- the client

class Caller {
 public:
  Caller(const std::string& address, std::string method, const std::string& request)
      : channel_(grpc::CreateChannel(address, grpc::InsecureChannelCredentials())),
        stub_(channel_),
        method_(std::move(method)),
        request_(Bytes(request)) {}

  // The size of the response.
  std::size_t Call() {
    grpc::ClientContext context;
    grpc::ByteBuffer response;
    std::promise<grpc::Status> ended;
    stub_.UnaryCall(&context, method_, grpc::StubOptions(), &request_, &response,
                    [&ended](grpc::Status status) { ended.set_value(std::move(status)); });
    const grpc::Status status = ended.get_future().get();
    if (!status.ok()) GiveUp(method_ + ": " + status.error_message());
    return response.Length();
  }

 private:
  const std::shared_ptr<grpc::Channel> channel_;
  grpc::GenericStub stub_;
  const std::string method_;
  const grpc::ByteBuffer request_;
};

std::string Output(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  std::string output;
  for (int c = 0; pipe != nullptr && (c = fgetc(pipe)) != EOF;) output.push_back(char(c));
  if (pipe != nullptr) pclose(pipe);
  return output;
}

// What one call costs the server of process `pid`: instructions, or seconds.
double CostOf(Caller& caller, pid_t pid, int calls, const std::string& folder) {
  for (int i = 0; i < calls / 10 + 2; ++i) caller.Call();
  if (InValgrind()) Output(absl::StrCat("callgrind_control --zero ", pid, " 2>&1"));
  const Clock::time_point begun = Clock::now();
  for (int i = 0; i < calls; ++i) caller.Call();
  const double seconds = std::chrono::duration<double>(Clock::now() - begun).count();
  if (!InValgrind()) return seconds / calls;
  Output(absl::StrCat("callgrind_control --dump=", calls, " ", pid, " 2>&1"));
  // The newest dump is that of this call; it says how many instructions all its threads took.
  const std::string totals =
      Output(absl::StrCat("grep -h '^totals:' $(ls -t ", folder, "/callgrind.out.", pid,
                          ".* | head -1) | head -1 | cut -d' ' -f2"));
  if (totals.empty()) GiveUp("callgrind wrote no dump into " + folder);
  return std::stod(totals) / calls;
}

pid_t StartEcho(const std::string& program, std::size_t bytes, const std::string& folder,
                std::string& address) {
  const std::string port_file = absl::StrCat(folder, "/echo-", bytes);
  std::filesystem::remove(port_file);
  std::vector<std::string> arguments = {program, "--echo", std::to_string(bytes), port_file};
  if (InValgrind()) {
    arguments.insert(arguments.begin(),
                     {"valgrind", "--tool=callgrind", "--log-file=/dev/null",
                      absl::StrCat("--callgrind-out-file=", folder, "/callgrind.out.%p")});
  }
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    execvp(argv[0], argv.data());
    _exit(127);
  }
  while (!std::filesystem::exists(port_file)) {
    if (waitpid(pid, nullptr, WNOHANG) != 0) GiveUp("the echo did not start");
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  int port = 0;
  std::ifstream(port_file) >> port;
  address = absl::StrCat("127.0.0.1:", port);
  return pid;
}

void Compare(const char* what, const std::string& program, GantryServer& server,
             const std::string& method, const std::string& request, int calls,
             const std::string& folder) {
  Caller ours(server.listen(), "/gantry.v1.PromotionStepService/" + method, request);
  const std::size_t bytes = ours.Call();
  std::string address;
  const pid_t echo = StartEcho(program, bytes, folder, address);
  Caller floor(address, "/echo/Echo", request);
  const double cost = CostOf(ours, server.pid(), calls, folder);
  const double least = CostOf(floor, echo, calls, folder);
  kill(echo, SIGTERM);
  waitpid(echo, nullptr, 0);
  if (InValgrind()) {
    std::printf("%s, %zu bytes: %.0f instructions, the echo %.0f: %.2f times\n", what, bytes, cost,
                least, cost / least);
  } else {
    std::printf("%s, %zu bytes: %.0f a second, the echo %.0f: %.2f of its rate\n", what, bytes,
                1 / cost, 1 / least, least / cost);
  }
}

json StageOf(int number, const std::vector<std::string>& applications) {
  json checks = json::array();
  for (const std::string& application : applications) {
    checks.push_back({{"namespace", "argocd"},
                      {"name", application},
                      {"promotion", "p1"},
                      {"desiredRevisions", {kNewRevision}}});
  }
  return {{"apiVersion", "gantry.dev/v1alpha1"},
          {"kind", "StageHealth"},
          {"metadata",
           {{"name", absl::StrCat("reads.stage-", number)}, {"namespace", "gantry-system"}}},
          {"spec",
           {{"project", "reads"},
            {"stage", absl::StrCat("stage-", number)},
            {"promotion", {{"name", "p1"}, {"phase", "Succeeded"}}},
            {"healthChecks", checks}}}};
}

// For its Applications.
class World : public IntegrationTest {
 public:
  void TestBody() override {}
  void Fill() {
    std::vector<std::string> names;
    for (int i = 0; i < kApplicationsPerStage; ++i) names.push_back(CreateApplication());
    // The Stage that is read by itself has all of them, the others one each.
    for (int i = 0; i < kStages; ++i) {
      api_.Create(StageHealthsPath(),
                  StageOf(i, i == kRead ? names : std::vector<std::string>{names[0]}));
    }
  }
};

// Until the server has nothing to do any more but to answer.
void AwaitStatuses() {
  KubernetesApi api(ReadKubeconfig(ControlPlaneFile("admin.kubeconfig")));
  for (bool all = false; !all;) {
    std::this_thread::sleep_for(std::chrono::seconds(2));
    const std::vector<json> stages = api.List(StageHealthsPath());
    all = std::all_of(stages.begin(), stages.end(),
                      [](const json& stage) { return stage.contains("status"); });
  }
}

int Main(const std::string& program) {
  World().Fill();
  const std::string folder = std::filesystem::temp_directory_path() / UniqueName("reads");
  std::filesystem::create_directory(folder);
  if (InValgrind()) {
    const char* given = std::getenv("GANTRY_SERVER");
    const std::string real =
        given != nullptr ? given : std::filesystem::path(program).parent_path() / "gantry-server";
    const std::string wrapper = folder + "/gantry-server";
    std::ofstream(wrapper) << "#!/bin/sh\nexec valgrind --tool=callgrind "
                           << "--callgrind-out-file=" << folder << "/callgrind.out.%p '" << real
                           << "' \"$@\"\n";
    std::filesystem::permissions(wrapper, std::filesystem::perms::owner_all);
    setenv("GANTRY_SERVER", wrapper.c_str(), 1);
  }
  {
    GantryServer server(ControlPlaneFile("gantry.kubeconfig"),
                        {"--kube-qps=100000", "--kube-burst=100000"});
    v1::ListStageHealthRequest list;
    list.set_project("reads");
    list.set_page_size(kStages);
    v1::ListStageHealthResponse all;
    while (all.stages_size() < kStages) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      grpc::ClientContext context;
      const grpc::Status status = server.stub().ListStageHealth(&context, list, &all);
      if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) {
        GiveUp(status.error_message());
      }
    }
    AwaitStatuses();
    v1::GetStageHealthRequest get;
    get.set_project("reads");
    get.set_stage(absl::StrCat("stage-", kRead));
    const int less = InValgrind() ? 20 : 1;
    Compare("GetStageHealth", program, server, "GetStageHealth", get.SerializeAsString(),
            20'000 / less, folder);
    Compare("ListStageHealth", program, server, "ListStageHealth", list.SerializeAsString(),
            1'000 / less, folder);
  }
  std::filesystem::remove_all(folder);
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace gantry::integration

int main(int argc, char** argv) {
  if (argc == 4 && std::string(argv[1]) == "--echo") {
    return gantry::integration::RunEcho(static_cast<std::size_t>(std::atol(argv[2])), argv[3]);
  }
  return gantry::integration::Main(argv[0]);
}
