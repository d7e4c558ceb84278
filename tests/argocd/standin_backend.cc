// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/argocd/backend.h"

namespace gantry::integration {
namespace {

using nlohmann::json;

constexpr char kLabel[] = "standin-of";
constexpr char kOrders[] = "standin.gantry.dev/";

// Some commit that nobody has made before.
std::string NewCommit() {
  static const unsigned int run = std::random_device()();
  static unsigned int count = 0;
  return absl::StrCat(absl::Hex(run, absl::kZeroPad8), "000000000000000000000000",
                      absl::Hex(++count, absl::kZeroPad8));
}

class StandInBackend : public Backend {
 public:
  StandInBackend(KubernetesApi& api, std::string label)
      : api_(api),
        label_(std::move(label)),
        log_(absl::StrCat(TemporaryFolder(), "/", UniqueName("standin"), ".log")) {
    Start();
  }
  ~StandInBackend() override {
    if (pid_ >= 0) Kill();
  }

  std::string NewRepository(const std::string& app) override {
    return absl::StrCat("https://git.example.com/", app, ".git");
  }

  std::string Commit(const std::string& app, Content content) override {
    const std::string commit = revisions_[app]["main"] = NewCommit();
    json orders = {{"revision", Revisions(app)}, {"fail", nullptr}};
    if (content == Content::kInvalid) orders["fail"] = "the API server refuses it";
    if (content == Content::kWithHook) orders["hang"] = "hook";
    Order(app, orders);
    return commit;
  }

  void Tag(const std::string& app, const std::string& tag) override {
    revisions_[app][tag] = revisions_[app].at("main");
    Order(app, {{"revision", Revisions(app)}});
  }

  json Labels() const override { return {{kLabel, label_}}; }

  void EndHook(const std::string& app) override { Order(app, {{"hang", nullptr}}); }
  void CloseWindow(const std::string& app) override { Order(app, {{"sync-window", "true"}}); }
  void OpenWindow(const std::string& app) override { Order(app, {{"sync-window", nullptr}}); }

  void SetHealth(const std::string& app, const std::string& health,
                 const std::string& message) override {
    if (health == "Degraded") {
      Order(app, {{"degrade", message}, {"health", nullptr}});
    } else {
      Order(app, {{"degrade", nullptr}, {"health", health}});
    }
  }

  void Drift(const std::string& app) override { Order(app, {{"drift", UniqueName("drift")}}); }

  void Pause() override {
    kill(pid_, SIGSTOP);
    // Only when it has stopped does it do nothing more.
    if (waitpid(pid_, nullptr, WUNTRACED) != pid_) GiveUp("argocd-standin does not stop");
  }
  void Resume() override { kill(pid_, SIGCONT); }
  void Kill() override {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

  void Start() override {
    const char* given = std::getenv("ARGOCD_STANDIN");
    const std::vector<std::string> arguments = {
        given != nullptr ? given : ARGOCD_STANDIN_PROGRAM,
        "--kubeconfig=" + ControlPlaneFile("admin.kubeconfig"),
        absl::StrCat("--selector=", kLabel, "=", label_),
        "--sync-duration=100ms",
        "--refresh-delay=100ms",
        "--health-duration=100ms",
        "--resync=0s"};
    std::vector<char*> argv;
    for (const std::string& argument : arguments) {
      argv.push_back(const_cast<char*>(argument.c_str()));
    }
    argv.push_back(nullptr);
    const int log = open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0) GiveUp("could not make " + log_);
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
      _exit(127);
    }
    close(log);
    if (pid_ < 0) GiveUp("could not fork");
  }

  std::optional<int> OperationsInLog(const std::string& /*app*/) override { return std::nullopt; }

  std::string Log() const override {
    std::ostringstream log;
    log << std::ifstream(log_).rdbuf();
    return log.str();
  }

 private:
  // What the names of an Application's repository stand for.
  std::string Revisions(const std::string& app) const {
    return absl::StrJoin(revisions_.at(app), ",", absl::PairFormatter("="));
  }
  void Order(const std::string& app, const json& orders) {
    json annotations = json::object();
    for (const auto& [name, value] : orders.items()) annotations[kOrders + name] = value;
    api_.MergePatch(ApplicationPath(app), {{"metadata", {{"annotations", annotations}}}});
  }

  KubernetesApi& api_;
  std::map<std::string, std::map<std::string, std::string>> revisions_;  // by Application, by name
  const std::string label_;
  const std::string log_;
  pid_t pid_ = -1;  // -1: it does not run
};

}  // namespace

std::unique_ptr<Backend> NewStandInBackend(KubernetesApi& api, const std::string& label) {
  return std::make_unique<StandInBackend>(api, label);
}

}  // namespace gantry::integration
