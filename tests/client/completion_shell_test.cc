// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/client/answers.h"
#include "tests/client/scripted_service.h"

// The completion scripts, in the shells that they are for.
namespace gantry::gantryctl {
namespace {

using client::HealthScript;
using client::Page;
using client::ScriptedService;
using client::Stage;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

struct Outcome {
  int exit_code = -1;
  std::vector<std::string> lines;
};

class CompletionShellTest : public ::testing::Test {
 protected:
  CompletionShellTest() {
    const std::string program = GANTRYCTL_PATH;
    directory_ = program.substr(0, program.rfind('/'));
    home_ = absl::StrCat(::testing::TempDir(), "/gantryctl_completion_", getpid());
    EXPECT_EQ(std::system(("mkdir -p '" + home_ + "'").c_str()), 0);
  }
  ~CompletionShellTest() override { EXPECT_EQ(std::system(("rm -rf '" + home_ + "'").c_str()), 0); }

  // Runs a script in a shell that finds gantryctl, and nothing of this machine's settings.
  Outcome In(const std::string& shell, const std::string& script) const {
    const std::string file = home_ + "/script";
    std::ofstream(file) << script;
    const std::string command =
        absl::StrCat("cd '", home_, "' && env -i HOME='", home_, "' TERM=dumb PATH='", directory_,
                     "':/usr/local/bin:/usr/bin:/bin ", shell, " '", file, "' 2>&1");
    FILE* const pipe = popen(command.c_str(), "r");
    Outcome outcome;
    if (pipe == nullptr) return outcome;
    std::string text;
    char buffer[4096];
    while (const std::size_t size = std::fread(buffer, 1, sizeof buffer, pipe)) {
      text.append(buffer, size);
    }
    const int status = pclose(pipe);
    if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
    outcome.lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
    return outcome;
  }

  // What bash makes of a line when the tabulator key is pressed at its end.
  std::vector<std::string> Bash(const std::string& line) const {
    const Outcome outcome = In("bash --norc", absl::StrCat(R"(source <(gantryctl completion bash)
[[ $(complete -p gantryctl) == "complete -F _gantryctl gantryctl" ]] || exit 9
COMP_LINE=')",
                                                           line, R"('
COMP_POINT=${#COMP_LINE}
_gantryctl
((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"
)"));
    EXPECT_EQ(outcome.exit_code, 0) << line;
    return outcome.lines;
  }

  std::string directory_;
  std::string home_;
};

TEST_F(CompletionShellTest, EachShellAcceptsItsScript) {
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    const Outcome outcome =
        In("sh", absl::StrCat("command -v ", shell, " >/dev/null || { echo 'no ", shell,
                              "; tools/install-packages.sh test installs it'; exit 1; }\ngantryctl "
                              "completion ",
                              shell, " > completion && ", shell, " -n completion\n"));
    EXPECT_EQ(outcome.exit_code, 0) << shell;
    EXPECT_THAT(outcome.lines, IsEmpty()) << shell;
  }
}

TEST_F(CompletionShellTest, BashCompletes) {
  EXPECT_THAT(Bash("gantryctl r"), ElementsAre("run-step", "report"));
  EXPECT_THAT(Bash("gantryctl report "), ElementsAre("promotion", "indicator"));
  EXPECT_THAT(Bash("gantryctl report indicator --state un"), ElementsAre("unknown", "unhealthy"));
  EXPECT_THAT(Bash("gantryctl health --wat"), ElementsAre("--watch"));
  // bash takes what follows = for a word of its own.
  EXPECT_THAT(Bash("gantryctl health --output=j"), ElementsAre("json"));
  EXPECT_THAT(Bash("gantryctl report promotion --message "), IsEmpty());
  std::ofstream(home_ + "/step.yaml") << "uses: argocd-update\n";
  EXPECT_THAT(Bash("gantryctl run-step --file st"), ElementsAre("step.yaml"));
  EXPECT_THAT(Bash("gantryctl run-step --file=st"), ElementsAre("step.yaml"));
}

TEST_F(CompletionShellTest, BashCompletesWhatTheServiceKnows) {
  ScriptedService service(HealthScript{
      {}, {Page({Stage("shop", "prod"), Stage("shop", "test"), Stage("web", "prod")})}, {}});
  const std::string server = "--server " + service.address() + " ";
  EXPECT_THAT(Bash("gantryctl health " + server + "sh"), ElementsAre("shop/prod", "shop/test"));
  EXPECT_THAT(Bash("gantryctl run-step " + server + "--project "), ElementsAre("shop", "web"));
  EXPECT_THAT(Bash("gantryctl run-step " + server + "--stage="), ElementsAre("prod", "test"));
  EXPECT_THAT(Bash("gantryctl steps " + server), ElementsAre("argocd-update", "argocd-wait"));
  EXPECT_THAT(Bash("gantryctl steps --server nonsense "), IsEmpty());
}

TEST_F(CompletionShellTest, ZshCompletes) {
  // zsh's own functions, which exist only while it completes.
  const Outcome outcome = In("zsh -f", R"(compdef() { registered=$2 }
_describe() { print -rl -- "${(@P)4}" }
_files() { print files }
compset() { : }
source <(gantryctl completion zsh)
print -r -- "$registered"
words=(gantryctl report indicator --state un) CURRENT=5
_gantryctl
words=(gantryctl he) CURRENT=2
_gantryctl
words=(gantryctl run-step -f '') CURRENT=4
_gantryctl
)");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.lines, ElementsAre("gantryctl", "unknown:", "unhealthy:",
                                         StartsWith("health:Tell how healthy"), "files"));
}

TEST_F(CompletionShellTest, FishCompletes) {
  const Outcome outcome = In("fish --no-config", R"(gantryctl completion fish | source
complete -C 'gantryctl report indicator --state unk'
complete -C 'gantryctl he'
complete -C 'gantryctl health --output=y'
)");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.lines,
              ElementsAre("unknown", StartsWith("health\tTell how healthy"), "--output=yaml"));
}

}  // namespace
}  // namespace gantry::gantryctl
