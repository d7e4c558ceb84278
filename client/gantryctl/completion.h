// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_COMPLETION_H_
#define GANTRY_CLIENT_GANTRYCTL_COMPLETION_H_

#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}  // namespace CLI

// What could come next on a command line, for shells. The scripts ask gantryctl itself, with the
// hidden command `__complete`, so that they always know the commands and flags of the gantryctl
// that is installed. Pure; any thread.
namespace gantry::gantryctl {

struct Candidate {
  std::string text;  // the whole word
  std::string description;
};

// What the last word of a command line can become.
struct Completion {
  // Names that only the service knows.
  enum class Names { kNone, kProjects, kStageNames, kStages, kKinds };

  std::vector<Candidate> candidates;  // those that begin as the word does
  bool files = false;                 // the names of files, too
  Names names = Names::kNone;
  std::string project;  // only its Stages are meant; empty: those of all
  std::string prefix;   // what the names are put behind: "--stage=", or nothing
  std::string begin;    // what the names begin with
};

// How the last of `words`, which may be empty, can be completed. `root` is the command tree; the
// words do not have the program's name. By the name of a flag's value: a|b|c is a choice, FILE a
// file, and PROJECT, STAGE, PROJECT[/STAGE] and KIND are names that the service knows.
Completion Complete(const CLI::App& root, const std::vector<std::string>& words);

// A line for each candidate: the word, a tab, the description; then ":files" where files are
// possible. `names` are those that the service knows.
std::string RenderCompletion(const Completion& completion, const std::vector<std::string>& names);

// The script for bash, zsh or fish; nothing for another shell.
std::optional<std::string> CompletionScript(const std::string& shell);

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_COMPLETION_H_
